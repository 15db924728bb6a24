/*
 * Cells of the error report, out and in. Called by report.c and job_parse.c.
 * Must never change a number or a phone number, nor leave a formula unprotected.
 */
#include "handlers/import/error_file.h"

#include <string.h>

enum { PHONE_MIN = 6, PHONE_MAX = 15 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* [+-]digits[.,digits] and nothing else. */
static bool is_number(struct str cell)
{
	size_t i = 1, digits = 0;
	for (; i < cell.n && is_digit(cell.p[i]); i++)
		digits++;
	if (i < cell.n && (cell.p[i] == '.' || cell.p[i] == ','))
		for (i++; i < cell.n && is_digit(cell.p[i]); i++)
			digits++;
	return digits > 0 && i == cell.n && is_digit(cell.p[cell.n - 1]);
}

static bool is_phone(struct str cell)
{
	if (cell.p[0] != '+' || cell.n - 1 < PHONE_MIN || cell.n - 1 > PHONE_MAX)
		return false;
	for (size_t i = 1; i < cell.n; i++)
		if (!is_digit(cell.p[i]))
			return false;
	return true;
}

static bool starts_formula(struct str cell)
{
	static const char *const wide[] = {"\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0"};
	if (cell.n && strchr("=+-@\t\r\n", cell.p[0]))
		return true;
	for (size_t i = 0; i < 4; i++)
		if (cell.n >= 3 && memcmp(cell.p, wide[i], 3) == 0)
			return true;
	return false;
}

/* Any number of apostrophes before a trigger: one more is added, one is taken off. */
static bool is_protected(struct str cell)
{
	size_t quotes = 0;
	while (quotes < cell.n && cell.p[quotes] == '\'')
		quotes++;
	return quotes > 0 && starts_formula((struct str){cell.p + quotes, cell.n - quotes});
}

bool error_cell_needs_protection(struct str cell)
{
	if (is_protected(cell))
		return true;
	if (!starts_formula(cell))
		return false;
	bool sign = cell.p[0] == '+' || cell.p[0] == '-';
	return !(sign && (is_number(cell) || is_phone(cell)));
}

enum err error_cell_write(struct buf *out, struct str cell, char delimiter)
{
	if (!cell.p)
		cell = STR("");
	bool protect = error_cell_needs_protection(cell);
	bool quote = memchr(cell.p, '"', cell.n) || memchr(cell.p, '\n', cell.n) || memchr(cell.p, '\r', cell.n) || memchr(cell.p, delimiter, cell.n);
	if (quote)
		buf_append_char(out, '"');
	if (protect)
		buf_append_char(out, '\'');
	for (size_t i = 0; i < cell.n; i++) {
		if (cell.p[i] == '"')
			buf_append_char(out, '"');
		buf_append_char(out, cell.p[i]);
	}
	if (quote)
		buf_append_char(out, '"');
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

struct str error_cell_unprotect(struct str cell)
{
	return is_protected(cell) ? (struct str){cell.p + 1, cell.n - 1} : cell;
}

const struct str *error_file_unprotect(struct arena *arena, const struct str *cells, size_t count)
{
	struct str *plain = arena_array(arena, count + 1, sizeof(*plain));
	for (size_t i = 0; plain && i < count; i++)
		plain[i] = error_cell_unprotect(cells[i]);
	return plain;
}

enum err error_file_is(struct worker *worker, struct arena *arena, const struct import_work *work, bool *ret)
{
	struct pg_rows rows;
	enum err err = pg_query(&worker->pg, arena, STMT_IMPORT_LAST_HEADINGS, PG_VALUES(work->no), &rows);
	if (!err)
		*ret = text_equal(pg_text(&rows, 0, 0), ERROR_FILE_ROW) && text_equal(pg_text(&rows, 0, 1), ERROR_FILE_REASONS);
	return err;
}
