/*
 * The cells of one worksheet as rows of text, one at a time. Memory does not grow with the sheet.
 *
 *   - Cells without a reference stand behind the one before, rows without a number below the one before; cells may come in
 *     any order within their row. Rows come in the order of the file; whether that will do is up to the caller.
 *   - Only what has text counts: styled empty cells, the covered cells of merged ones, and what <dimension> says do not.
 *   - true/false for booleans; numbers and dates as xlsx_value.h makes them; #N/A and its like as they are, with a note.
 *   - A shared string that is not there becomes U+FFFD, flagged ROW_FLAG_INVALID_BYTES: such a row must not pass for whole.
 */
#ifndef TIDEGATE_READERS_XLSX_SHEET_H
#define TIDEGATE_READERS_XLSX_SHEET_H

#include "readers/string_store.h"
#include "readers/xlsx_book.h"
#include "readers/xlsx_styles.h"

enum xlsx_note {
	XLSX_NOTE_ERROR_VALUE = 1 << 0,     /* cell_error_value: #N/A, #REF! … */
	XLSX_NOTE_NOT_A_NUMBER = 1 << 1,    /* cell_not_a_number: the text of a number is none; it is kept */
	XLSX_NOTE_NOT_A_DATE = 1 << 2,      /* cell_not_a_date: a date before 1900 or after 9999; the number is kept */
	XLSX_NOTE_FICTITIOUS_DATE = 1 << 3, /* cell_fictitious_date: 29 February 1900, given as the 28th */
	XLSX_NOTE_NO_STRING = 1 << 4,       /* shared_string_missing */
	XLSX_NOTE_COUNT = 5
};

/* Code of one note. */
const char *xlsx_note_code(unsigned note);

struct xlsx_sheet_limits {
	size_t columns;      /* 1 .. FRAME_CELLS_MAX */
	size_t field_bytes;  /* of one cell */
	size_t record_bytes; /* of all cells of a row */
};

struct xlsx_row {
	uint64_t number;
	uint32_t flags; /* enum row_flag */
	unsigned notes; /* enum xlsx_note */
	uint32_t cell_count; /* up to the last one that is not empty */
	struct str *cells;   /* p == NULL: no cell; valid until the next row */
};

enum xlsx_cell_type { XLSX_CELL_NUMBER, XLSX_CELL_SHARED, XLSX_CELL_TEXT, XLSX_CELL_INLINE, XLSX_CELL_BOOLEAN, XLSX_CELL_ERROR, XLSX_CELL_ISO_DATE };

struct xlsx_sheet {
	struct xlsx_book *book;
	struct string_store *strings;
	const struct xlsx_styles *styles;
	struct xlsx_sheet_limits limits;
	enum err error;

	char *text; /* of the cells of the row that are not shared strings */
	size_t text_used;
	struct str *cells;
	uint32_t cells_used; /* cells[] before this one may be set */
	size_t row_bytes;
	uint32_t row_number;
	uint32_t flags;
	unsigned notes;
	bool has_text; /* something in the row is more than blanks */

	bool in_data, in_row, in_cell, in_inline, in_run, collecting;
	bool keeps_space;
	uint32_t column; /* of the cell at hand, from 1; between cells: of the one before */
	enum xlsx_cell_type type;
	enum xlsx_kind kind;
	size_t value_start, run_start; /* in text */
};

/* Buffers of about 1.5 MiB from the arena. ERR_TOO_LARGE when it is exhausted. */
enum err xlsx_sheet_init(struct xlsx_sheet *sheet, struct xlsx_book *book, struct string_store *strings, const struct xlsx_styles *styles,
			 const struct xlsx_sheet_limits *limits, struct arena *arena) MUST_USE;

/* To the first row of the sheet. Refuses with part_missing. */
enum err xlsx_sheet_open(struct xlsx_sheet *sheet, const struct xlsx_sheet_entry *entry) MUST_USE;

enum xlsx_step {
	XLSX_ROW, /* not empty */
	XLSX_END, /* of the whole part, its checksum included */
	XLSX_FAILED /* see error; besides part.h and xml.h: bad_cell_reference, too_many_columns, too_many_rows */
};

enum xlsx_step xlsx_sheet_next(struct xlsx_sheet *sheet, struct xlsx_row *ret) MUST_USE;

#endif
