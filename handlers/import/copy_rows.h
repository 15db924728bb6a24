/*
 * Parsed rows as COPY … (FORMAT binary) into tidegate.import_row: job_no bigint, row_no int, row_id uuid, state smallint,
 * keys text[], cells text[], vals text[], issues text[] (https://www.postgresql.org/docs/15/sql-copy.html, "Binary Format").
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_COPY_ROWS_H
#define TIDEGATE_HANDLERS_IMPORT_COPY_ROWS_H

#include "core/base/buf.h"
#include "handlers/import/check.h"

/* Appends the file header / one row / the trailer. ERR_TOO_LARGE when out is full. */
enum err copy_rows_open(struct buf *out) MUST_USE;
enum err copy_rows_put(struct buf *out, int64_t job_no, int32_t row_no, const struct schema_table *table, const struct str *cells,
                       size_t cell_count, const struct import_checked *checked) MUST_USE;
enum err copy_rows_close(struct buf *out) MUST_USE;

enum { ROW_KEY_MAX = 1024, ROW_ISSUE_MAX = 96 };

/* What each dedupe key compares / "field:code" of each issue, into items; scratch holds text that is not the row's. Return how many. */
size_t row_keys(const struct schema_table *table, const struct import_checked *checked, char (*scratch)[ROW_KEY_MAX], struct str *keys);
size_t row_issues(const struct schema_table *table, const struct import_checked *checked, char (*texts)[ROW_ISSUE_MAX], struct str *items);

#endif
