/*
 * Typed rows of tables: the part of the frame protocol for files with several tables, whose cells keep the storage class
 * they have in the file. Payloads, all numbers little-endian:
 *
 *   TABLE      u32 index, u32 cells of each row
 *   VALUES     u32 rows, u32 cells of each row; per row: u64 number, i64 key, then each cell: its class (one byte) and
 *                INTEGER   i64
 *                REAL      the eight bytes of an IEEE 754 double; never NaN
 *                TEXT      u32 length, the bytes as they are: of a UTF-8 file as stored (they may hold NUL and need not be
 *                          UTF-8), of a UTF-16 file as UTF-8
 *                BLOB      u32 length, the bytes
 *                NULL      nothing
 *                TEXT_UTF16  u32 length, the bytes as stored: text of a UTF-16 file that is not well-formed (a lone
 *                          surrogate, an odd byte), which UTF-8 cannot say; META tells the order of its bytes
 *   TABLE_END  u32 index, u64 rows sent, u64 rows left out because they are larger than a frame (a NOTE names each)
 *
 * number: 1-based position of the row in its table. key: the rowid, 0 when META says that there is none to be had.
 */
#ifndef TIDEGATE_READERS_VALUES_H
#define TIDEGATE_READERS_VALUES_H

#include "readers/frame.h"

enum value_class { VALUE_INTEGER = 1, VALUE_REAL, VALUE_TEXT, VALUE_BLOB, VALUE_NULL, VALUE_TEXT_UTF16, VALUE_CLASS_COUNT };

struct value {
	enum value_class class;
	union {
		int64_t integer;  /* VALUE_INTEGER */
		double real;      /* VALUE_REAL; all bits are kept, also the sign of -0.0 */
		struct str bytes; /* VALUE_TEXT, VALUE_BLOB, VALUE_TEXT_UTF16; p is never NULL */
	};
};

struct value_row {
	uint64_t number;
	int64_t key;
	const struct value *values; /* as many as its table has cells */
};

struct table_begin {
	uint32_t index;
	uint32_t cells; /* 1 to FRAME_CELLS_MAX */
};

struct table_end {
	uint32_t index;
	uint64_t rows;     /* sent since TABLE; rows skipped for a resume do not count */
	uint64_t left_out; /* not sent since TABLE, being too large */
};

/* ---- child ---- */

#define VALUES_HEAD 8u                                          /* bytes of a VALUES payload before its first row */
#define VALUES_ROW_MAX ((size_t)FRAME_PAYLOAD_MAX - VALUES_HEAD) /* bytes of the largest row */

/* Bytes a row of so many cells takes in a VALUES frame; sendable when at most VALUES_ROW_MAX. */
size_t values_row_size(const struct value_row *row, uint32_t cells);

/* All: ERR_IO when the parent is gone, ERR_TOO_LARGE when it does not fit or memory is out. Rows waiting are sent before TABLE and
   TABLE_END; all rows of one table have the same number of cells. */
enum err values_put_table(struct frame_writer *w, const struct table_begin *table) MUST_USE;
enum err values_put_row(struct frame_writer *w, const struct value_row *row, uint32_t cells) MUST_USE;
enum err values_put_table_end(struct frame_writer *w, const struct table_end *end) MUST_USE;

/* ---- parent ---- */

/* For frame_payload_check: false for anything the writer above does not write. */
bool values_check_table(struct str payload, uint64_t *last_row);
bool values_check(struct str payload, uint64_t *last_row);
bool values_check_table_end(struct str payload, uint64_t *last_row);

/* Of checked frames of that type. */
struct table_begin values_table_read(const struct frame *frame);
struct table_end values_table_end_read(const struct frame *frame);

/* Rows of a checked VALUES frame, without a copy: bytes point into the payload. values: FRAME_CELLS_MAX places of the caller's. */
struct values_cursor {
	const char *at;
	uint32_t rows, cells; /* rows left, cells of each */
	struct value *values;
};

void values_open(struct values_cursor *cursor, const struct frame *frame, struct value *values);
bool values_next(struct values_cursor *cursor, struct value_row *row);

#endif
