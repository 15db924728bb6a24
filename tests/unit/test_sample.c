/* The sample sheet: same bytes for the same seed, the committed file is up to date, and the promised share of bad rows. */
#define main sample_main
int sample_main(int argc, char **argv);
#include "tools/sample.c" /* NOLINT(bugprone-suspicious-include): the tool is one file without a header */
#undef main

#include "handlers/import/check.h"
#include "tests/unit/tap.h"

enum { COLUMNS = 13, SHEET_MAX = 2 << 20 };

static struct arena arena;

static struct str sheet_of(unsigned long rows, uint64_t seed)
{
	char *text = arena_alloc(&arena, SHEET_MAX);
	FILE *out = text ? fmemopen(text, SHEET_MAX, "w") : NULL;
	struct str sheet = {text, 0};

	if (!out)
		return sheet;
	write_sheet(out, rows, seed);
	if (fflush(out) == 0)
		sheet.n = (size_t)ftell(out);
	(void)fclose(out);
	return sheet;
}

static struct str file_of(const char *path)
{
	char *text = arena_alloc(&arena, SHEET_MAX);
	FILE *file = fopen(path, "rbe");
	struct str sheet = {text, 0};

	if (file && text)
		sheet.n = fread(text, 1, SHEET_MAX, file);
	if (file)
		(void)fclose(file);
	return sheet;
}

/* One record of a well-formed sheet; quotes are unescaped in place of a copy. Returns the number of cells. */
static size_t read_row(struct str *rest, struct str cells[COLUMNS])
{
	size_t n = 0;
	bool more = true;

	while (more && n < COLUMNS) {
		bool quoted = rest->n && rest->p[0] == '"';
		char *out = arena_alloc(&arena, 512);
		size_t length = 0, i = quoted;
		for (; i < rest->n; i++) {
			if (quoted && rest->p[i] == '"' && ++i < rest->n && rest->p[i] != '"')
				break;
			if (!quoted && (rest->p[i] == ';' || rest->p[i] == '\n'))
				break;
			out[length++] = rest->p[i];
		}
		more = i < rest->n && rest->p[i] == ';';
		cells[n++] = (struct str){out, length};
		i += i < rest->n;
		*rest = (struct str){rest->p + i, rest->n - i};
	}
	return n;
}

static void test_content(struct str sheet, const struct schema_table *lead)
{
	static const int fields[COLUMNS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13};
	struct import_check check;
	struct import_checked checked;
	struct str cells[COLUMNS];
	size_t rows = 0, invalid = 0, unknown = 0, wrong = 0, repeated = 0;
	char(*seen)[96] = arena_array(&arena, 5001, 96);

	ok(import_check_init(&check, &arena, lead, fields, COLUMNS, false) == OK, "init");
	import_check_start(&check, &arena);
	wrong += read_row(&sheet, cells) != COLUMNS;
	for (; sheet.n && rows < 5001; rows++) {
		wrong += read_row(&sheet, cells) != COLUMNS;
		wrong += import_check_row(&check, cells, COLUMNS, &checked) != OK;
		invalid += !checked.valid;
		for (size_t i = 0; i < checked.issue_count; i++)
			unknown += checked.issues[i].code == ROW_STATUS_UNKNOWN;
		(void)snprintf(seen[rows], 96, "%.*s", (int)cells[3].n, cells[3].p ? cells[3].p : "");
		for (size_t i = 0; i < rows && cells[3].n && checked.valid; i++) {
			if (text_equal(seen[i], seen[rows])) {
				repeated++;
				break;
			}
		}
	}
	printf("# %zu rows, %zu invalid, %zu repeat an e-mail\n", rows, invalid, repeated);
	is_i64((int64_t)rows, 5000, "rows");
	is_i64((int64_t)wrong, 0, "every row has 13 cells");
	is_i64((int64_t)unknown, 0, "every status is known");
	ok(invalid >= 45 && invalid <= 110, "about 1.5 %% cannot be imported");
	ok(repeated >= 25 && repeated <= 80, "about 1 %% repeat an earlier contact");
}

int main(void)
{
	const struct schema_app *app = NULL;
	const char *why = NULL;
	struct str once, twice, other, stored;

	arena_init(&arena, 256 << 20);
	once = sheet_of(5000, 1);
	twice = sheet_of(5000, 1);
	other = sheet_of(5000, 2);
	stored = file_of("samples/leads-5000.csv");
	ok(once.n > 0 && str_equal(once, twice), "same seed, same bytes");
	ok(!str_equal(once, other), "another seed, other bytes");
	ok(str_equal(once, stored), "samples/leads-5000.csv is its output");
	ok(utf8_valid(once.p, once.n), "UTF-8");
	ok(once.n / 5000 >= 145 && once.n / 5000 <= 165, "about 155 bytes a row (%zu)", once.n / 5000);
	if (ok(schema_load_file(&arena, "schema/crm.json", &app, &why) == OK, "crm loads"))
		test_content(once, schema_table_of(app, "lead"));
	arena_release(&arena);
	return tap_done();
}
