/*
 * The error report: the rows that did not come in, as they stood in the file, with row number and reasons, in the file's
 * own header and delimiter, UTF-8 with a byte order mark. Safe to open in a spreadsheet: a cell that would be taken for a
 * formula gets a leading apostrophe, which is taken off again when the corrected report is imported.
 *
 * A cell needs protection when it starts with = + - @ TAB CR LF or the full-width forms of the first four, unless it is a
 * plain number or an international phone number (+ and 6 to 15 digits); and when it starts with an apostrophe before one of
 * these, so that taking one apostrophe off always gives the original back.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_ERROR_FILE_H
#define TIDEGATE_HANDLERS_IMPORT_ERROR_FILE_H

#include "core/base/buf.h"
#include "handlers/import/job_common.h"

#define ERROR_FILE_ROW "_ligne"
#define ERROR_FILE_REASONS "_erreurs"

/* Object key of an import's report: one per import, so that a new one takes the place of the old. NULL: no memory. */
const char *import_report_key(struct arena *arena, const char *space, const char *id) MUST_USE;

/* Does a spreadsheet take this for a formula (so that it needs an apostrophe)? */
bool error_cell_needs_protection(struct str cell);

/* Appends the cell as CSV: protected, and quoted where the delimiter, a quote or a line end asks for it. */
enum err error_cell_write(struct buf *out, struct str cell, char delimiter);

/* Takes the protection off again. */
struct str error_cell_unprotect(struct str cell);

/* Is the file of this import a report of ours (its last two headings say so)? */
enum err error_file_is(struct worker *worker, struct arena *arena, const struct import_work *work, bool *ret) MUST_USE;

/* The cells without protection; NULL when the arena is exhausted. */
const struct str *error_file_unprotect(struct arena *arena, const struct str *cells, size_t count) MUST_USE;

#endif
