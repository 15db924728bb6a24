/*
 * CSV: bytes in blocks of any size become records. One exact state machine; memory does not grow with the file.
 *
 * Bytes are those of UTF-8 or of a single-byte encoding (UTF-16 is transcoded first); cells are not decoded here.
 *
 * What a byte means:
 *   - CR, LF and CRLF each end a record, also mixed in one file; inside quotes they are data.
 *   - A quote opens a quoted field only as the field's first byte; anywhere else it is data (12" monitor).
 *   - Inside quotes "" is one quote. Text after the closing quote is appended ("a"b is ab), quotes in it are data.
 *   - Backslash is data. With dialect.backslash, \" and \\ inside quotes stand for " and \ (any other \x stays as it is).
 *   - NUL bytes are dropped everywhere, as if they were not there (ROW_FLAG_NUL_REMOVED).
 *   - A quoted field still open after limits.record_bytes of its record, after limits.quoted_lines line ends or at the end of
 *     the file was opened by mistake: the record is read again with quotes from there on as data, so it ends with
 *     the line of the bad quote, flagged ROW_FLAG_UNCLOSED_QUOTE, and the lines after it are read as usual.
 *   - A record longer than limits.record_bytes is cut there (ROW_FLAG_RECORD_TOO_LONG) and the rest of its line dropped.
 *   - A cell longer than limits.field_bytes is cut (ROW_FLAG_FIELD_TOO_LONG), not inside a UTF-8 character.
 *   - Surplus cells past csv_expect() columns: empty ones are dropped, else ROW_FLAG_LONG; missing ones: ROW_FLAG_SHORT.
 *
 * Life cycle: csv_init; then csv_next until CSV_MORE, csv_room/csv_fed (or csv_finish at the end), again csv_next, … until CSV_DONE.
 */
#ifndef TIDEGATE_READERS_CSV_H
#define TIDEGATE_READERS_CSV_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CSV_COLUMNS_MAX 4096u
#define CSV_RECORD_MAX (1u << 20)
#define CSV_FIELD_MAX (64u << 10)
#define CSV_QUOTED_LINES_MAX 1000u
#define CSV_BLOCK (256u << 10)

struct csv_dialect {
	char delimiter;
	char quote; /* '\0': nothing quotes */
	bool backslash;
};

struct csv_limits {
	size_t record_bytes; /* 1 .. CSV_RECORD_MAX */
	size_t field_bytes;
	size_t quoted_lines;
	size_t columns; /* 1 .. CSV_COLUMNS_MAX */
};

#define CSV_LIMITS_DEFAULT ((struct csv_limits){CSV_RECORD_MAX, CSV_FIELD_MAX, CSV_QUOTED_LINES_MAX, CSV_COLUMNS_MAX})

struct csv_record {
	uint64_t number; /* 1-based, empty records included */
	uint64_t offset;
	uint32_t flags;  /* enum row_flag, see frame.h */
	bool empty;      /* no cell holds anything but blanks and tabs */
	bool maybe_not_ascii; /* false: every cell is plain ASCII */
	uint32_t cell_count;
	struct str *cells; /* the caller may replace them; they live until the next csv_next */
};

struct csv_extent {
	uint32_t start, end; /* from the start of the record; start is after an opening quote */
	bool quoted;
	bool plain; /* what is between (for quoted ones: but the last byte) is the value */
};

enum csv_state { CSV_AT_FIELD, CSV_UNQUOTED, CSV_QUOTED, CSV_QUOTE_SEEN, CSV_ESCAPED };

struct csv {
	struct csv_dialect dialect;
	struct csv_limits limits;
	size_t columns; /* expected, 0 not known */

	char *window; /* holds at least one whole record of maximal length */
	size_t room, filled;
	size_t start; /* of the record, in the window; all other positions count from here */
	uint64_t offset; /* of window[0] in the input */
	uint64_t number;
	bool finished;

	enum csv_state state;
	size_t at;
	size_t consumed; /* bytes of the record handed out last, with its line end */
	bool skip_line_feed; /* the byte before was CR */
	bool discarding;     /* the rest of a line that was too long */
	uint32_t flags;
	size_t quote_at;     /* where the open quoted field began */
	size_t quoted_lines;
	size_t literal_from; /* quotes from here on are data */

	struct csv_extent field;
	uint32_t field_count;
	struct csv_extent *fields;
	struct str *cells;
};

enum csv_step {
	CSV_RECORD,
	CSV_MORE, /* feed it, or finish it */
	CSV_DONE,
	CSV_TOO_MANY_COLUMNS /* more than limits.columns cells of which the surplus is not empty; nothing can follow */
};

/* offset: where in the input the first byte fed will stand. About 1.4 MiB at the default limits. ERR_INVALID for limits out of
   range or a delimiter that is a line end, NUL or the quote; ERR_TOO_LARGE when the arena is exhausted. */
enum err csv_init(struct csv *csv, struct arena *arena, const struct csv_dialect *dialect, const struct csv_limits *limits, uint64_t offset) MUST_USE;

/* How many cells a record should have, for ROW_FLAG_SHORT and ROW_FLAG_LONG; 0 (at first): any number. */
void csv_expect(struct csv *csv, size_t columns);

/* Where the next bytes go, after CSV_MORE: at least CSV_BLOCK bytes. What csv_next gave out before is void. */
char *csv_room(struct csv *csv, size_t *ret_room) MUST_USE;
void csv_fed(struct csv *csv, size_t n);

/* No byte will follow. */
void csv_finish(struct csv *csv);

enum csv_step csv_next(struct csv *csv, struct csv_record *record) MUST_USE;

#endif
