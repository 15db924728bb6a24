/* Bodies that `tidegate import` sends: assignment, overrides, columns by heading or number, commit. */
#include "commands/import_request.h"
#include "tests/unit/tap.h"

static struct arena arena;

static json_t *parsed(const char *text)
{
	json_t *value = NULL;
	if (json_parse(&arena, text, strlen(text), &value, NULL))
		printf("Bail out! not JSON: %s\n", text);
	return value;
}

static struct import_options options_of(const char *assign)
{
	struct import_options options = {.target = "lead", .strategy = "skip", .header_row = -1};
	if (assign)
		ok(import_assignment_parse(&arena, assign, &options.assignment), "%s is an assignment", assign);
	return options;
}

static const char COLUMNS[] = "[{\"name\":\"Mail\",\"field\":\"email\"},{\"name\":\"Note\",\"field\":\"notes\"},{\"name\":\"Note\",\"field\":null},"
                              "{\"name\":null,\"field\":null},{\"name\":\"4\",\"field\":null},{\"name\":\"Vendeur\",\"field\":\"assignedTo\"}]";

static void test_assignment(void)
{
	static const char *const wrong[] = {"", "nobody", "single", "single:", "round_robin:", "by_column", "none:x", "singles:x"};
	struct import_assignment assignment;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ok(!import_assignment_parse(&arena, wrong[i], &assignment), "\"%s\" is no assignment", wrong[i]);
	ok(import_assignment_parse(&arena, "none", &assignment) && !assignment.value, "none");
	ok(import_assignment_parse(&arena, "by_column:Vendeur: nom", &assignment), "a heading with a colon");
	is_text(assignment.value, "Vendeur: nom", "the heading");
}

static void test_commit(void)
{
	static const struct {
		const char *assign, *body;
	} rows[] = {
	    {NULL, "{\"duplicates\":{\"strategy\":\"skip\"}}"},
	    {"none", "{\"assignment\":{\"mode\":\"none\"},\"duplicates\":{\"strategy\":\"skip\"}}"},
	    {"single:vera", "{\"assignment\":{\"mode\":\"single\",\"userId\":\"vera\"},\"duplicates\":{\"strategy\":\"skip\"}}"},
	    {"round_robin:vera,,paul,", "{\"assignment\":{\"mode\":\"round_robin\",\"userIds\":[\"vera\",\"paul\"]},\"duplicates\":{\"strategy\":\"skip\"}}"},
	    {"by_column:Vendeur", "{\"assignment\":{\"mode\":\"by_column\",\"column\":5},\"duplicates\":{\"strategy\":\"skip\"}}"},
	    {"by_column:6", "{\"assignment\":{\"mode\":\"by_column\",\"column\":5},\"duplicates\":{\"strategy\":\"skip\"}}"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct import_options options = options_of(rows[i].assign);
		is_text(import_commit_body(&arena, parsed(COLUMNS), &options), rows[i].body, rows[i].assign ? rows[i].assign : "no assignment");
	}
	struct import_options options = options_of(NULL);
	options.strategy = "update";
	options.keys[0] = "email";
	options.keys[1] = "phone";
	options.key_count = 2;
	options.dry_run = true;
	is_text(import_commit_body(&arena, parsed(COLUMNS), &options), "{\"duplicates\":{\"strategy\":\"update\",\"fields\":[\"email\",\"phone\"]},\"dryRun\":true}", "keys, tried out");
}

static void test_overrides(void)
{
	struct import_options options = options_of(NULL);
	ok(!import_overrides_body(&arena, &options), "nothing to override");
	options.header_row = 0;
	options.delimiter = "\t";
	options.sheet = "Fichier \"A\"";
	is_text(import_overrides_body(&arena, &options), "{\"sheet\":\"Fichier \\\"A\\\"\",\"delimiter\":\"\\u0009\",\"headerRow\":0}", "overrides");
}

static void test_columns(void)
{
	static const struct {
		struct import_map maps[2];
		const char *body, *why; /* why: what its sentence holds */
	} rows[] = {
	    {{{"email", "Mail"}}, "{\"columns\":{\"0\":\"email\"}}", NULL},
	    {{{"notes", "3"}}, "{\"columns\":{\"1\":null,\"2\":\"notes\"}}", NULL},
	    {{{"email", "Vendeur"}}, "{\"columns\":{\"0\":null,\"5\":\"email\"}}", NULL},
	    {{{"email", "Vendeur"}, {"assignedTo", "Mail"}}, "{\"columns\":{\"0\":\"assignedTo\",\"5\":\"email\"}}", NULL},
	    {{{"notes", ""}}, "{\"columns\":{\"1\":null}}", NULL},
	    {{{"city", ""}}, NULL, NULL},
	    {{{"phone", "4"}}, "{\"columns\":{\"4\":\"phone\"}}", NULL}, /* a heading before a number */
	    {{{"email", "mail"}}, NULL, "no heading \"mail\""},
	    {{{"email", "7"}}, NULL, "no heading \"7\""},
	    {{{"email", "0"}}, NULL, "Mail, Note, Note, 4, Vendeur"},
	    {{{"notes", "Note"}}, NULL, "columns 2 and 3"},
	    {{{"email", "Mail"}, {"phone", "1"}}, NULL, "both email and phone"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct import_options options = options_of(NULL);
		const char *why = "untouched";
		for (; options.map_count < 2 && rows[i].maps[options.map_count].field; options.map_count++)
			options.maps[options.map_count] = rows[i].maps[options.map_count];
		is_text(import_columns_body(&arena, parsed(COLUMNS), &options, &why), rows[i].body, rows[i].maps[0].heading);
		if (rows[i].why)
			ok(why && strstr(why, rows[i].why), "says: %s", why ? why : "nothing");
		else
			ok(!why, "says nothing");
	}
}

static void test_column_of_assignment(void)
{
	static const char *const wrong[] = {"by_column:Commercial", "by_column:9", "by_column:4th", "by_column:Note"};
	const char *why = NULL;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct import_options options = options_of(wrong[i]);
		ok(!import_columns_body(&arena, parsed(COLUMNS), &options, &why) && why, "%s: %s", wrong[i], why ? why : "nothing");
	}
	struct import_options options = options_of("by_column:4");
	ok(!import_columns_body(&arena, parsed(COLUMNS), &options, &why) && !why, "a column without a heading");
	options = options_of("by_column:Vendeur");
	ok(!import_columns_body(&arena, parsed(COLUMNS), &options, &why) && !why, "a heading of the file");
}

static void test_target(void)
{
	json_t *targets = parsed("{\"items\":[{\"name\":\"lead\",\"fields\":[{\"name\":\"email\"},{\"name\":\"notes\"}],\"duplicateKeys\":[\"email\"]}]}");
	struct import_options options = options_of(NULL);
	options.maps[0] = (struct import_map){"email", "x"};
	options.map_count = options.key_count = 1;
	options.keys[0] = "email";
	ok(!import_target_trouble(&arena, targets, &options), "known field and key");
	options.keys[0] = "notes";
	is_text(import_target_trouble(&arena, targets, &options), "--key: duplicates of lead are not known by \"notes\"; they are by: email.", "a field that is no key");
	options.maps[0].field = "mail";
	is_text(import_target_trouble(&arena, targets, &options), "--map: lead has no field \"mail\"; it has: email, notes.", "no such field");
	options.target = "house";
	is_text(import_target_trouble(&arena, targets, &options), "There is no target \"house\"; there is: lead.", "no such target");
}

int main(void)
{
	arena_init(&arena, 4 << 20);
	test_assignment();
	test_commit();
	test_overrides();
	test_columns();
	test_column_of_assignment();
	test_target();
	arena_release(&arena);
	return tap_done();
}
