/* The check of whole rows: values, issues, severities, shape; and how fast it goes. */
#include "handlers/import/check.h"
#include "core/base/clock.h"
#include "tests/unit/tap.h"

static struct arena arena, batch;
static const struct schema_table *lead;

/* Columns of the test sheet. */
enum { ID, FIRST, LAST, EMAIL, PHONE, COMPANY, POSTAL, COUNTRY, STATUS, CREATED, COLUMNS };
static const char *const sheet[COLUMNS] = {"externalId", "firstName", "lastName", "email", "phone", "company", "postalCode", "country", "status", "createdAt"};

static const struct {
	const char *cells[COLUMNS + 2]; /* NULL ends the row */
	const char *field, *value;      /* one value to look at, NULL for absent */
	const char *issues;             /* "code,field" and so on, in order; errors marked with '!' */
} rows[] = {
	{{"1", "Jean", "Dupont", "j@d.fr", "0612345678", "SNCF", "75001", "", "", ""}, "phone", "+33612345678", ""},
	{{"", "JEAN", "Dupont", "", "", "SNCF", "", "", "", ""}, "firstName", "Jean", "!contact_missing"},
	{{"", "Jean", "Dupont", "pas un mail", "", "SNCF", "", "", "", ""}, "email", "pas un mail", "!email_invalid:email"},
	{{"1", "", "", "j@gmailcom", "", "", "", "", "", ""}, "email", "j@gmail.com", "email_repaired:email name_missing company_missing"},
	{{"1", "Jean", "D", "", "123", "S", "", "", "", ""}, "phone", "123", "!phone_too_short:phone"},
	{{"1", "Jean", "D", "", "12345678901234567", "S", "", "", "", ""}, "phone", "12345678901234567", "phone_too_long:phone"},
	{{"1", "Jean", "D", "", "", "S", "1000", "Belgique", "", ""}, "postalCode", "1000", ""},
	{{"1", "Jean", "D", "", "", "S", "1000", " FRANCE ", "", ""}, "postalCode", "01000", ""},
	{{"1", "Jean", "D", "", "0470123456", "S", "", "Belgique", "", ""}, "phone", "0470123456", ""},
	{{"1", "Jean", "D", "", "", "S", "", "", "Pas intéressée", ""}, "status", "not_interested", ""},
	{{"1", "Jean", "D", "", "", "S", "", "", "NRP1", ""}, "status", "no_answer_1", ""},
	{{"1", "Jean", "D", "", "", "S", "", "", "bizarre", ""}, "status", NULL, "status_unknown:status"},
	{{"1", "Jean", "D", "", "", "S", "", "", "", "05/03/2026 14:30"}, "createdAt", "2026-03-05T14:30:00.000000Z", ""},
	{{"1", "Jean", "D", "", "", "S", "", "", "", "jamais"}, "createdAt", NULL, "date_invalid:createdAt"},
	{{"1", "Jean", "D", "", "", "S\xFF", "", "", "", ""}, "company", NULL, "!invalid_bytes:company"},
	{{"1", "Jean", "D", "", "", "S"}, "company", "S", "row_too_short"},
	{{"1", "Jean", "D", "", "", "S", "", "", "", "", " "}, "company", "S", ""},
	{{"1", "Jean", "D", "", "", "S", "", "", "", "", "x"}, "company", "S", "!row_too_long"},
	{{"1", "Jean", "D", "", "", "S", "", "", "", ""}, "country", NULL, ""},
};

static size_t cells_of(const char *const *texts, struct str *cells)
{
	size_t n = 0;

	for (; n < COLUMNS + 2 && texts[n]; n++)
		cells[n] = str_of(texts[n]);
	return n;
}

static const char *issues_of(const struct import_checked *checked)
{
	struct buf text;
	const char *copy = NULL;

	buf_init(&text, 4096);
	for (size_t i = 0; i < checked->issue_count; i++) {
		const struct import_issue *issue = &checked->issues[i];
		(void)buf_printf(&text, "%s%s%s", i ? " " : "", issue->severity == ROW_SEVERITY_ERROR ? "!" : "", row_code_name(issue->code));
		if (issue->field >= 0)
			(void)buf_printf(&text, ":%s", lead->fields[issue->field].name);
	}
	copy = arena_strdup(&arena, buf_text(&text));
	buf_release(&text);
	return copy;
}

static enum err start(struct import_check *check, bool short_rows)
{
	int fields[COLUMNS];
	enum err err = OK;

	for (size_t c = 0; c < COLUMNS; c++)
		fields[c] = (int)schema_field_of(lead, sheet[c])->index;
	err = import_check_init(check, &arena, lead, fields, COLUMNS, short_rows);
	import_check_start(check, &batch);
	return err;
}

static void test_rows(void)
{
	struct import_check check;
	struct import_checked checked;

	ok(start(&check, false) == OK, "init");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str cells[COLUMNS + 2], value;
		size_t n = cells_of(rows[i].cells, cells);
		ok(import_check_row(&check, cells, n, &checked) == OK, "row %zu", i);
		value = checked.vals[schema_field_of(lead, rows[i].field)->index];
		is_text(value.p ? arena_copy(&arena, value.p, value.n) : NULL, rows[i].value, rows[i].field);
		is_text(issues_of(&checked), rows[i].issues, "issues");
		ok(checked.valid == (strchr(rows[i].issues, '!') == NULL), "valid unless an error");
	}
}

static void test_edges(void)
{
	struct import_check check;
	struct import_checked checked;
	struct str cells[COLUMNS] = {STR("1"), STR("Jean"), STR("D"), {0}, {0}, {0}};
	int twice[2] = {3, 3}, beyond[1] = {99}, none[1] = {-1};
	char nul[] = "a\0b", wide[2 * 200 + 1], many[201];

	ok(start(&check, true) == OK, "short rows are fine");
	ok(import_check_row(&check, cells, 3, &checked) == OK && checked.issue_count == 1 && checked.issues[0].code == ROW_COMPANY_MISSING, "no row_too_short");
	cells[COMPANY] = (struct str){nul, 3};
	ok(import_check_row(&check, cells, COLUMNS, &checked) == OK && !checked.valid && checked.issues[0].code == ROW_INVALID_BYTES, "NUL is refused");
	for (size_t i = 0; i < 200; i++)
		memcpy(wide + 2 * i, "é", 2);
	cells[COMPANY] = (struct str){wide, 400};
	ok(import_check_row(&check, cells, COLUMNS, &checked) == OK && checked.valid, "200 characters in 400 bytes fit");
	memset(many, 'x', sizeof(many));
	cells[COMPANY] = (struct str){many, 201};
	ok(import_check_row(&check, cells, COLUMNS, &checked) == OK && !checked.valid && checked.issues[0].code == ROW_TOO_LONG, "201 do not");
	ok(import_check_init(&check, &arena, lead, twice, 2, false) == ERR_INVALID, "a field twice");
	ok(import_check_init(&check, &arena, lead, beyond, 1, false) == ERR_INVALID, "no such field");
	ok(import_check_init(&check, &arena, lead, none, IMPORT_COLUMNS_MAX + 1, false) == ERR_TOO_LARGE, "too many columns");
	ok(import_check_init(&check, &arena, lead, none, 1, false) == OK, "nothing mapped");
	import_check_start(&check, &batch);
	ok(import_check_row(&check, cells, 0, &checked) == OK && !checked.valid, "an empty row has no contact");
}

/* Columns of a menu, as a declaration of another kind of thing makes them. */
enum { SKU, NAME, CATEGORY, PRICE, AVAILABLE, ORDER, MENU_COLUMNS };
static const struct {
	const char *cells[MENU_COLUMNS];
	const char *field, *value, *issues;
} menu_rows[] = {
	{{"T1", "Thé", "Boissons chaudes", "12,50 LE", "oui", "3"}, "price", "1250", ""},
	{{"T1", "Thé", "Boissons chaudes", "12,50 LE", "oui", "3"}, "category", "hot_drink", ""},
	{{"T1", "Thé", "", "12", "non", ""}, "available", "false", ""},
	{{"", "Thé", "quelque chose", "12", "", ""}, "category", NULL, "value_unknown:category"},
	{{"", "", "", "12", "", ""}, "name", NULL, "!required_missing:name"},
	{{"", "Thé", "", "", "", ""}, "price", NULL, "!required_missing:price"},
	{{"", "Thé", "", "cher", "", ""}, "price", "cher", "!amount_invalid:price"},
	{{"", "Thé", "", "-1", "", ""}, "price", "-100", "!number_out_of_range:price"},
	{{"", "Thé", "", "1000000,01", "", ""}, "price", "100000001", "!number_out_of_range:price"},
	{{"", "Thé", "", "99 999 999 999", "", ""}, "price", "9999999999900", "!number_out_of_range:price"},
	{{"", "Thé", "", "1", "bof", "dix"}, "available", "bof", "!boolean_invalid:available !number_invalid:sortOrder"},
};

static void test_menu(void)
{
	static const char *const columns[MENU_COLUMNS] = {"sku", "name", "category", "price", "available", "sortOrder"};
	const struct schema_table *leads = lead;
	const struct schema_app *app = NULL;
	const char *why = NULL;
	int fields[MENU_COLUMNS];
	struct import_check check;
	static struct import_checked checked;

	if (!ok(schema_load_file(&arena, "schema/venue.json", &app, &why) == OK, "venue loads") ||
	    !ok(import_check_target(schema_table_of(app, "menu_item"), &why) == OK, "every name in it is known"))
		return;
	lead = schema_table_of(app, "menu_item"); /* issues_of names its fields */
	for (size_t i = 0; i < MENU_COLUMNS; i++)
		fields[i] = (int)schema_field_of(lead, columns[i])->index;
	ok(import_check_init(&check, &arena, lead, fields, MENU_COLUMNS, false) == OK, "init");
	import_check_start(&check, &batch);
	for (size_t i = 0; i < sizeof(menu_rows) / sizeof(menu_rows[0]); i++) {
		struct str cells[MENU_COLUMNS];
		for (size_t c = 0; c < MENU_COLUMNS; c++)
			cells[c] = str_of(menu_rows[i].cells[c]);
		ok(import_check_row(&check, cells, MENU_COLUMNS, &checked) == OK, "row %zu of the menu", i);
		struct str value = checked.vals[schema_field_of(lead, menu_rows[i].field)->index];
		is_text(value.p ? arena_copy(&arena, value.p, value.n) : NULL, menu_rows[i].value, menu_rows[i].field);
		is_text(issues_of(&checked), menu_rows[i].issues, "its issues");
	}
	lead = leads;
}

/* A column that must not be null and may stay empty would fail in the database: such a declaration is refused at start. */
static void test_unsupplied(void)
{
	static const char form[] = "{\"app\":\"a\",\"tables\":{\"t\":{\"labels\":{\"fr\":\"T\",\"en\":\"T\"},\"scope\":\"space\",\"columns\":["
				   "{\"name\":\"id\",\"type\":\"uuid\"},{\"name\":\"space\",\"type\":\"text\"},"
				   "{\"name\":\"n\",\"type\":\"%s\",\"labels\":{\"fr\":\"N\",\"en\":\"N\"}%s,\"import\":{\"field\":\"n\",\"normalise\":\"%s\"}}],"
				   "\"primaryKey\":[\"id\"],\"import\":{%s}}}}";
	static const struct {
		const char *type, *rest, *normalise, *import;
		bool good;
	} kinds[] = {
		{"text", "", "trim", "", false},
		{"text", ",\"nullable\":true", "trim", "", true},
		{"text", ",\"default\":\"x\"", "trim", "", true},
		{"text", "", "trim", "\"groups\":[{\"code\":\"required_missing\",\"anyOf\":[\"n\"]}]", true},
		{"text", "", "trim", "\"groups\":[{\"code\":\"company_missing\",\"anyOf\":[\"n\"]}]", false},
		{"integer", ",\"nullable\":true", "integer", "", true},
		{"bigint", ",\"nullable\":true", "money", "", true},
		{"boolean", ",\"nullable\":true", "boolean", "", true},
		{"integer", ",\"nullable\":true", "trim", "", false},
		{"boolean", ",\"nullable\":true", "integer", "", false},
		{"numeric", ",\"nullable\":true", "money", "", false},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct schema_app *app = NULL;
		const char *why = NULL;
		char json[2048];
		int n = snprintf(json, sizeof(json), form, kinds[i].type, kinds[i].rest, kinds[i].normalise, kinds[i].import);
		if (!ok(schema_load(&arena, json, (size_t)n, &app, &why) == OK, "declaration %zu loads", i))
			printf("# %s\n", why);
		else
			ok((import_check_target(app->tables, &why) == OK) == kinds[i].good, "%s%s %s", kinds[i].type, kinds[i].rest, kinds[i].normalise);
	}
}

static void test_no_memory(void)
{
	struct import_check check;
	struct import_checked checked;
	struct arena tiny;
	struct str cells[COLUMNS] = {STR("1"), STR("JEAN"), {0}, STR("A@B.FR"), STR("0612345678")};

	ok(start(&check, false) == OK, "init");
	arena_init(&tiny, 64);
	import_check_start(&check, &tiny);
	ok(import_check_row(&check, cells, COLUMNS, &checked) == ERR_TOO_LARGE, "no memory is an error");
	arena_release(&tiny);
}

static void test_rate(void)
{
	enum { ROWS = 200000, BATCH = 5000 };
	static const char *const typical[13] = {"CRM-001234", "ÉLODIE", "Lefèvre", "Elodie.lefevre1234@example.fr", "06 12 34 56 78", "Ateliers Réunis",
						"Directrice", "12 rue de la République", "Saint-Étienne", "42000", "France", "Qualifié", "Rappeler en fin de journée"};
	int fields[13] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13};
	struct str cells[13];
	struct import_check check;
	static struct import_checked checked;
	int64_t begun = 0, took = 0;
	size_t valid = 0;

	for (size_t i = 0; i < 13; i++)
		cells[i] = str_of(typical[i]);
	ok(import_check_init(&check, &arena, lead, fields, 13, false) == OK, "init");
	begun = clock_monotonic_us();
	for (size_t i = 0; i < ROWS; i++) {
		if (i % BATCH == 0) {
			arena_reset(&batch);
			import_check_start(&check, &batch);
		}
		valid += import_check_row(&check, cells, 13, &checked) == OK && checked.valid;
	}
	took = clock_monotonic_us() - begun;
	is_i64((int64_t)valid, ROWS, "all valid");
	printf("# %d rows of 13 cells in %lld ms (%.2f us a row)\n", ROWS, (long long)took / 1000, (double)took / ROWS);
}

int main(void)
{
	const struct schema_app *app = NULL;
	const char *why = NULL;

	arena_init(&arena, 64 << 20);
	arena_init(&batch, 64 << 20);
	if (ok(schema_load_file(&arena, "schema/crm.json", &app, &why) == OK, "crm loads")) {
		lead = schema_table_of(app, "lead");
		ok(import_check_target(lead, &why) == OK, "every name in it is known");
		test_rows();
		test_edges();
		test_menu();
		test_unsupplied();
		test_no_memory();
		test_rate();
	}
	arena_release(&batch);
	arena_release(&arena);
	return tap_done();
}
