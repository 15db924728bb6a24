/*
 * Makes the error report of an import: rows by row number, a page at a time, into a new object. Called in the last
 * transaction of a parse and of a commit. Must never hold more than a page in memory.
 */
#include "core/store/store.h"
#include "handlers/import/error_file.h"
#include "handlers/import/failures.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 512, STRETCH = 5000, PAGE_ARENA = 16 << 20, WRITE_MAX = 16 << 20 };

struct report {
	struct worker *worker;
	const struct import_work *work;
	struct arena page;
	struct buf out;
	char delimiter;
	bool own; /* the file is a report itself: its last two columns are replaced */
	int fd;
	int64_t rows;
};

static enum err write_out(struct report *report)
{
	for (size_t at = 0; at < report->out.len;) {
		ssize_t n = write(report->fd, report->out.data + at, report->out.len - at);
		if (n <= 0)
			return ERR_IO;
		at += (size_t)n;
	}
	enum err err = report->out.overflowed ? ERR_TOO_LARGE : OK;
	buf_clear(&report->out);
	return err;
}

static void end_row(struct report *report, struct str row_cell, struct str reasons)
{
	buf_append_char(&report->out, report->delimiter);
	error_cell_write(&report->out, row_cell, report->delimiter);
	buf_append_char(&report->out, report->delimiter);
	error_cell_write(&report->out, reasons, report->delimiter);
	buf_append_text(&report->out, "\r\n");
}

/* Headings of a file without a header are "Colonne 1", …; a report of a report does not grow more columns. */
static enum err write_head(struct report *report, const json_t *columns)
{
	buf_append_text(&report->out, "\xef\xbb\xbf");
	for (size_t c = 0; c < json_array_size(columns); c++) {
		const char *name = json_text(json_array_get(columns, c), "name");
		if (!name)
			name = arena_printf(&report->page, "Colonne %zu", c + 1);
		if (c)
			buf_append_char(&report->out, report->delimiter);
		error_cell_write(&report->out, str_of(name), report->delimiter);
	}
	end_row(report, STR(ERROR_FILE_ROW), STR(ERROR_FILE_REASONS));
	return write_out(report);
}

/* "Email : Ce n'est pas une adresse e-mail. Téléphone : …" of the errors, warnings left out. */
static void write_reasons(struct report *report, struct buf *text, const json_t *issues, const char *failure)
{
	const struct schema_table *table = report->work->target->table;
	size_t index;
	const json_t *issue;
	json_array_foreach((json_t *)(uintptr_t)issues, index, issue)
	{
		const char *whole = json_string_value(issue), *colon = whole ? strchr(whole, ':') : NULL;
		enum row_code code = colon ? row_code_of(colon + 1) : ROW_FINE;
		if (row_code_severity(code) != ROW_SEVERITY_ERROR)
			continue;
		char *name = arena_copy(&report->page, whole, (size_t)(colon - whole));
		const struct schema_field *field = name && *name ? schema_field_of(table, name) : NULL;
		buf_printf(text, "%s%s%s%s", text->len ? " " : "", field ? field->column->labels.fr : "", field ? " : " : "",
		           row_code_sentence(code, SCHEMA_FRENCH));
	}
	if (failure)
		buf_printf(text, "%s%s", text->len ? " " : "", import_failure_sentence(failure, LANGUAGE_FR));
}

static enum err write_row(struct report *report, const struct pg_rows *rows, int row, size_t columns)
{
	json_t *cells = NULL, *issues = NULL;
	struct buf reasons;
	const char *text = pg_text(rows, row, 1);
	enum err err = json_parse(&report->page, text, strlen(text), &cells, NULL);
	text = pg_text(rows, row, 2);
	if (!err && text)
		err = json_parse(&report->page, text, strlen(text), &issues, NULL);
	if (err)
		return ERR_BUG;
	for (int i = 0; report->own && i < 2; i++)
		json_array_remove(cells, columns);
	size_t width = json_array_size(cells) > columns ? json_array_size(cells) : columns;
	for (size_t c = 0; c < width; c++) {
		if (c)
			buf_append_char(&report->out, report->delimiter);
		const char *cell = json_string_value(json_array_get(cells, c));
		error_cell_write(&report->out, str_of(cell ? cell : ""), report->delimiter);
	}
	buf_init(&reasons, 64 << 10);
	write_reasons(report, &reasons, issues, pg_i64(rows, row, 3) == 5 ? pg_text(rows, row, 4) : NULL);
	end_row(report, str_of(pg_text(rows, row, 0)), str_of(buf_text(&reasons)));
	buf_release(&reasons);
	return OK;
}

/* One page: rows after `after` up to `to`. Rows may be large, so a page that does not fit is asked for again, smaller. */
static enum err write_page(struct report *report, int64_t after, int64_t to, int64_t *limit, size_t columns, int64_t *ret_last)
{
	struct arena *page = &report->page;
	struct pg_rows rows;
	arena_reset(page);
	enum err err = pg_query(&report->worker->pg, page, STMT_IMPORT_REPORT_ROWS,
	                        PG_VALUES(report->work->no, pg_number(page, after), pg_number(page, to), pg_number(page, *limit)), &rows);
	for (int i = 0; !err && i < rows.count; i++)
		err = write_row(report, &rows, i, columns);
	if ((err == ERR_TOO_LARGE || report->out.overflowed) && *limit > 1) {
		*limit = *limit / 8 > 1 ? *limit / 8 : 1;
		buf_clear(&report->out);
		*ret_last = after;
		return OK;
	}
	if (!err)
		err = write_out(report);
	if (err)
		return err;
	report->rows += rows.count;
	*ret_last = rows.count == *limit ? pg_i64(&rows, rows.count - 1, 0) : to;
	return OK;
}

static enum err write_rows(struct report *report, size_t columns, int64_t last_row)
{
	int64_t limit = PAGE;
	for (int64_t after = 0, to = STRETCH; after < last_row; to = after + STRETCH) {
		enum err err = write_page(report, after, to, &limit, columns, &after);
		if (err)
			return err;
	}
	return OK;
}

static enum err fill(struct report *report)
{
	struct pg_rows head;
	json_t *columns = NULL;
	enum err err = pg_query(&report->worker->pg, &report->page, STMT_IMPORT_REPORT_HEAD, PG_VALUES(report->work->no), &head);
	if (err)
		return err;
	const char *text = pg_text(&head, 0, 0);
	int64_t last_row = pg_i64(&head, 0, 2);
	if (json_parse(&report->page, text, strlen(text), &columns, NULL))
		return ERR_BUG;
	report->delimiter = (char)(pg_text(&head, 0, 1) ? pg_text(&head, 0, 1)[0] : ',');
	size_t count = json_array_size(columns);
	report->own = count >= 2 && text_equal(json_text(json_array_get(columns, count - 2), "name"), ERROR_FILE_ROW) &&
	              text_equal(json_text(json_array_get(columns, count - 1), "name"), ERROR_FILE_REASONS);
	for (int i = 0; report->own && i < 2; i++)
		json_array_remove(columns, --count);
	err = write_head(report, columns);
	if (!err)
		err = write_rows(report, count, last_row);
	return err || fsync(report->fd) == 0 ? err : ERR_IO;
}

const char *import_report_key(struct arena *arena, const char *space, const char *id)
{
	const char *segment = store_key_segment(arena, space);
	return segment ? arena_printf(arena, "reports/%s/%s.csv", segment, id) : NULL;
}

enum err import_make_report(struct worker *worker, struct arena *arena, const struct import_work *work)
{
	struct report report = {.worker = worker, .work = work};
	const char *path, *key = import_report_key(arena, work->space, work->id);
	enum err err = key ? store_create(arena, worker->config, &path, &report.fd) : ERR_TOO_LARGE;
	if (err)
		return err;
	arena_init(&report.page, PAGE_ARENA);
	buf_init(&report.out, WRITE_MAX);
	err = fill(&report);
	close(report.fd);
	if (!err)
		err = store_place(worker->config, path, key);
	unlink(path);
	buf_release(&report.out);
	arena_release(&report.page);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_IMPORT_SET_REPORT, PG_VALUES(work->no, key, pg_number(arena, report.rows)), NULL);
	return err;
}
