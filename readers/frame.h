/*
 * Frames: what a reader child says to its parent over a pipe. A frame is a header of FRAME_HEADER bytes (magic "TGF1",
 * type, three zero bytes, payload length; all numbers little-endian) and at most FRAME_PAYLOAD_MAX bytes.
 *
 *   META   JSON: what was detected (encoding, delimiter, header, …); exactly one, before everything but FAIL
 *   ROWS   u32 rows; per row: u64 number, u64 offset, u32 flags, u32 cells, u32 length of each cell, the cells' bytes
 *   NOTE   u64 row number (0: the whole file), code: a warning; may come a little before the row it is about
 *   END    five u64, see struct frame_end; the last frame of a file read to its end
 *   FAIL   u32 code length, code, message: the last frame of a file that cannot be read
 *
 * A file with several tables of typed values has these instead of ROWS; their contents are declared in values.h:
 *
 *   TABLE  u32 index of the table in META, u32 cells of each of its rows: what follows belongs to it
 *   VALUES rows of cells that keep their storage class
 *   TABLE_END  u32 index, u64 rows sent, u64 rows left out since its TABLE
 *
 * Order: META (ROWS | NOTE)* (END | FAIL), or META (NOTE | TABLE (VALUES | NOTE)* TABLE_END)* (END | FAIL), where the indexes
 * of tables rise; FAIL may come at any time. Row numbers rise strictly, from 1 in each table. Cells of ROWS are UTF-8 without
 * NUL; the length FRAME_NO_CELL stands for a cell that is not there (an absent spreadsheet cell). Inside a table, the row
 * number of a NOTE is one of that table.
 * The parent trusts nothing: frame_header_parse and frame_payload_check come before any use of a payload.
 */
#ifndef TIDEGATE_READERS_FRAME_H
#define TIDEGATE_READERS_FRAME_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER 12u
#define FRAME_PAYLOAD_MAX ((1u << 20) + (64u << 10)) /* the slack is for the lengths of one row of a full megabyte */
#define FRAME_CELLS_MAX 4096u
#define FRAME_NO_CELL UINT32_MAX
#define FRAME_CODE_MAX 63u    /* codes are [a-z0-9_]{1,63} */
#define FRAME_MESSAGE_MAX 511u

enum frame_type { FRAME_META = 1, FRAME_ROWS, FRAME_NOTE, FRAME_END, FRAME_FAIL, FRAME_TABLE, FRAME_VALUES, FRAME_TABLE_END, FRAME_TYPE_COUNT };

/* What is odd about a row; several may be set. */
enum row_flag {
	ROW_FLAG_SHORT = 1 << 0,           /* fewer cells than columns: the missing ones are empty */
	ROW_FLAG_LONG = 1 << 1,            /* more cells than columns, and the surplus is not empty */
	ROW_FLAG_INVALID_BYTES = 1 << 2,   /* bytes without meaning became U+FFFD */
	ROW_FLAG_MIXED_ENCODING = 1 << 3,  /* bytes that are no UTF-8 were read as Windows-1252 */
	ROW_FLAG_NUL_REMOVED = 1 << 4,
	ROW_FLAG_FIELD_TOO_LONG = 1 << 5,  /* at least one cell was cut at the field cap */
	ROW_FLAG_UNCLOSED_QUOTE = 1 << 6,  /* a quote that nothing closes was read as data; reading went on at the next line */
	ROW_FLAG_RECORD_TOO_LONG = 1 << 7, /* the row was cut at the record cap */
	ROW_FLAG_ALL = (1 << 8) - 1
};

/* Stable name of one flag, "short_row" …; NULL for anything else. */
const char *row_flag_name(unsigned flag);

struct frame_row {
	uint64_t number; /* 1-based, as a spreadsheet shows it: headings and empty lines count, a `sep=` line does not */
	uint64_t offset; /* byte in the file (UTF-16: in the file's text as UTF-8) where the row begins */
	uint32_t flags;
	uint32_t cell_count;
	const struct str *cells; /* p == NULL: no cell */
};

struct frame_end {
	uint64_t rows;    /* sent in ROWS or VALUES frames */
	uint64_t empty;   /* records without any text, counted in row numbers but not sent */
	uint64_t records; /* number of the last record */
	uint64_t bytes;   /* read from the file */
	uint64_t notes;   /* warnings, also those past the cap on NOTE frames */
};

/* ---- child: building and sending ---- */

struct frame_writer {
	int fd;
	size_t batch_bytes; /* a ROWS or VALUES frame is sent once it is this full */
	enum frame_type batch; /* FRAME_ROWS or FRAME_VALUES */
	struct buf rows;    /* header room and payload of the frame being filled */
	uint32_t row_count;
	uint64_t rows_sent;
	uint64_t notes;
};

#define FRAME_BATCH_DEFAULT (128u << 10)
#define FRAME_NOTES_MAX 1000u /* more are counted, not sent */

void frame_writer_init(struct frame_writer *w, int fd);
void frame_writer_release(struct frame_writer *w);

/* Bytes a row takes in a ROWS frame; a row is sendable when this is at most FRAME_PAYLOAD_MAX - 4. */
size_t frame_row_size(const struct frame_row *row);

/* All: ERR_IO when the parent is gone, ERR_TOO_LARGE when it does not fit or memory is out. frame_put_end/fail send rows first. */
enum err frame_put_row(struct frame_writer *w, const struct frame_row *row) MUST_USE;
enum err frame_flush_rows(struct frame_writer *w) MUST_USE;
enum err frame_put_meta(struct frame_writer *w, struct str json) MUST_USE;
enum err frame_put_note(struct frame_writer *w, uint64_t row, const char *code) MUST_USE;
enum err frame_put_end(struct frame_writer *w, const struct frame_end *end) MUST_USE; /* fills rows and notes itself */
enum err frame_put_fail(struct frame_writer *w, const char *code, const char *message) MUST_USE;

/* Any frame; for tests and for frames made elsewhere. */
enum err frame_send(int fd, enum frame_type type, struct str payload) MUST_USE;

/* ---- parent: checking and reading ---- */

struct frame {
	enum frame_type type;
	struct str payload;
};

/* header: FRAME_HEADER bytes. ERR_INVALID for a wrong magic, type or length. */
enum err frame_header_parse(const char *header, enum frame_type *ret_type, size_t *ret_length) MUST_USE;

/* Every count, length, flag, code and byte of text inside the payload. *last_row: number of the last row seen, kept by the caller;
   TABLE sets it back to 0. */
enum err frame_payload_check(const struct frame *frame, uint64_t *last_row) MUST_USE;

/* Rows of a checked ROWS frame, without a copy: cells point into the payload. cells: FRAME_CELLS_MAX places of the caller's. */
struct frame_cursor {
	struct str rest;
	uint32_t rows_left;
	struct str *cells;
};

void frame_rows_open(struct frame_cursor *cursor, const struct frame *frame, struct str *cells);
bool frame_row_next(struct frame_cursor *cursor, struct frame_row *row);

struct frame_note {
	uint64_t row;
	struct str code;
};

struct frame_failure {
	struct str code;
	struct str message;
};

/* Of checked frames of that type. */
struct frame_note frame_note_read(const struct frame *frame);
struct frame_end frame_end_read(const struct frame *frame);
struct frame_failure frame_failure_read(const struct frame *frame);

#endif
