/*
 * Fuzz target: the check of imported rows. The input is one row of cells that end with 0x1F, after a byte that shifts the
 * mapping. What must hold: values are UTF-8 without NUL; an issue is about a field there is; a row is valid unless an
 * issue is an error; the same row gives the same answer; a normaliser leaves alone what it made; and a cell written into
 * an error report is the same cell once the protection is off.
 * Seeds: tests/fuzz/seeds/check/.
 */
#include "handlers/import/check.h"
#include "handlers/import/error_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CELL_END = 0x1F };

static struct arena lasting, batch;
static const struct schema_table *lead;
static const struct value_index *values[SCHEMA_FIELDS_MAX];

static void must(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void check_row(const struct str *cells, size_t n, unsigned shift)
{
	static struct import_checked checked, again;
	int fields[SCHEMA_FIELDS_MAX];
	struct import_check check;
	for (size_t c = 0; c < lead->field_count; c++)
		fields[c] = (int)((c + shift) % lead->field_count);
	must(import_check_init(&check, &batch, lead, fields, lead->field_count, shift & 1) == OK);
	import_check_start(&check, &batch);
	must(import_check_row(&check, cells, n, &checked) == OK && import_check_row(&check, cells, n, &again) == OK);
	must(checked.valid == again.valid && checked.issue_count == again.issue_count && checked.issue_count <= IMPORT_ISSUES_MAX);
	bool valid = true;
	for (size_t i = 0; i < checked.issue_count; i++) {
		must(checked.issues[i].field >= IMPORT_WHOLE_ROW && checked.issues[i].field < (int)lead->field_count);
		must(checked.issues[i].code == again.issues[i].code && row_code_name(checked.issues[i].code) != NULL);
		valid = valid && checked.issues[i].severity != ROW_SEVERITY_ERROR;
	}
	must(valid == checked.valid);
	for (size_t f = 0; f < lead->field_count; f++) {
		struct str value = checked.vals[f];
		must((value.p == NULL) == (again.vals[f].p == NULL) && (!value.p || str_equal(value, again.vals[f])));
		must(!value.p || (utf8_valid(value.p, value.n) && (value.n == 0 || memchr(value.p, 0, value.n) == NULL)));
	}
}

static void normalise_twice(struct normalise_context *context, struct str cell)
{
	for (size_t f = 0; f < lead->field_count; f++) {
		const struct normaliser *normaliser = normaliser_of(lead->fields[f].normalise);
		struct str once = normalise_clean(cell);
		if (!normaliser->run)
			continue;
		context->values = values[f];
		normaliser->run(context, &once);
		struct str twice = once;
		if (once.n)
			normaliser->run(context, &twice);
		must(!context->exhausted && str_equal(once, twice));
	}
}

/* Reads the one cell of a line of CSV back. */
static void report_round_trip(struct str cell, char delimiter)
{
	struct buf line, plain;
	buf_init(&line, 2 * cell.n + 3);
	buf_init(&plain, cell.n + 1);
	must(error_cell_write(&line, cell, delimiter) == OK);
	struct str text = {buf_text(&line), line.len};
	if (text.n && text.p[0] == '"') {
		must(text.n >= 2 && text.p[text.n - 1] == '"');
		text = (struct str){text.p + 1, text.n - 2};
		for (size_t i = 0; i < text.n; i++) {
			must(text.p[i] != '"' || (i + 1 < text.n && text.p[++i] == '"'));
			buf_append_char(&plain, text.p[i]);
		}
		text = (struct str){buf_text(&plain), plain.len};
	} else {
		must(text.n == 0 || (!memchr(text.p, delimiter, text.n) && !memchr(text.p, '\n', text.n) && !memchr(text.p, '\r', text.n)));
	}
	must(!plain.overflowed && str_equal(error_cell_unprotect(text), cell));
	must(!error_cell_needs_protection(cell) || text.p[0] == '\'');
	buf_release(&line);
	buf_release(&plain);
}

static void load(void)
{
	const struct schema_app *app = NULL;
	const char *why = NULL;
	arena_init(&lasting, 16 << 20);
	arena_init(&batch, 16 << 20);
	must(schema_load_file(&lasting, "schema/crm.json", &app, &why) == OK);
	lead = schema_table_of(app, "lead");
	must(lead != NULL);
	for (size_t f = 0; f < lead->field_count; f++)
		if (lead->fields[f].column->value_count)
			values[f] = normalise_values(&lasting, lead->fields[f].column, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str cells[SCHEMA_FIELDS_MAX + 2];
	struct normalise_context context;
	size_t n = 0;
	if (!lead)
		load();
	if (size < 1 || size > 1 << 16)
		return 0;
	struct str rest = {(const char *)data + 1, size - 1};
	while (rest.n && n < sizeof(cells) / sizeof(cells[0])) {
		const char *end = memchr(rest.p, CELL_END, rest.n);
		size_t length = end ? (size_t)(end - rest.p) : rest.n;
		cells[n++] = (struct str){rest.p, length};
		rest = end ? (struct str){end + 1, rest.n - length - 1} : STR("");
	}
	check_row(cells, n, data[0]);
	normalise_start(&context, &batch);
	for (size_t i = 0; i < n; i++) {
		report_round_trip(cells[i], ",;\t|"[data[0] & 3]);
		if (utf8_valid(cells[i].p, cells[i].n) && (cells[i].n == 0 || !memchr(cells[i].p, 0, cells[i].n)))
			normalise_twice(&context, cells[i]);
	}
	arena_reset(&batch);
	return 0;
}
