/*
 * What kind of CSV is this? Works on the first bytes of the file, already without byte order mark and, if it was UTF-16,
 * already as UTF-8. Everything found can be overridden by the user.
 */
#ifndef TIDEGATE_READERS_CSV_DETECT_H
#define TIDEGATE_READERS_CSV_DETECT_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/text.h"
#include "readers/csv.h"
#include "readers/header.h"

#include <stdbool.h>
#include <stdint.h>

#define CSV_SAMPLE (256u << 10) /* bytes of the file that detection sees */

struct csv_wish {
	char delimiter;     /* '\0': detect */
	int64_t header_row; /* HEADER_AUTO: detect; 0: there is none; else its row number */
};

struct csv_layout {
	struct csv_dialect dialect;
	size_t directive;    /* bytes of a first line `sep=…`, with its line end; 0 when there is none */
	bool has_header;
	uint64_t header_row; /* row number, 0 without header; title and empty lines before it are no data */
	size_t columns;      /* cells a row should have */
	uint64_t records;    /* in the sample after the directive */
	uint64_t data_rows;  /* of these, after the header and not empty */
	uint64_t bytes;      /* they take */
	bool too_many;       /* columns, in a row of the sample: nothing after it can be read */
};

/* A code when these first bytes are no text (not_a_text_file, looks_like_xlsx, looks_like_xls), else NULL. */
const char *csv_not_text(const char *bytes, size_t n);
/* The same for bytes that are not UTF-16: too many control characters. */
bool csv_mostly_control(const char *bytes, size_t n);

/* whole: the sample is the entire file, so that its last record is complete. scratch is reset. ERR_TOO_LARGE when scratch is too small (4 MiB do). */
enum err csv_detect(struct arena *scratch, struct str sample, bool whole, const struct csv_wish *wish, struct csv_layout *ret) MUST_USE;

/* ---- steps of csv_detect ---- */

/* `sep=;` as the first line: its length with the line end, and the delimiter; 0 when there is no such line. */
size_t csv_directive(struct str sample, char *ret_delimiter);

/* Delimiter and quote whose rows are the most alike in length and whose cells look the most like something. */
enum err csv_detect_dialect(struct arena *scratch, struct str sample, char delimiter, struct csv_dialect *ret) MUST_USE;

/* Reader over the sample: everything fed at once (at most CSV_SAMPLE * 3 / 2 bytes, the worst that UTF-16 becomes), finished. */
enum err csv_open_sample(struct csv *csv, struct arena *scratch, struct str sample, const struct csv_dialect *dialect) MUST_USE;

#endif
