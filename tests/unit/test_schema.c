/* Declarations: what crm.json says, and that every mistake is refused with its place. */
#include "core/schema/schema.h"
#include "tests/unit/tap.h"

static struct arena arena;

static const char good[] =
	"{\"app\":\"demo\",\"tables\":{\"thing\":{\"labels\":{\"fr\":\"Chose\",\"en\":\"Thing\"},\"scope\":\"space\",\"columns\":["
	"{\"name\":\"id\",\"type\":\"uuid\",\"generate\":\"uuid\"},{\"name\":\"space\",\"type\":\"text\",\"collate\":\"C\"},"
	"{\"name\":\"size\",\"type\":\"integer\",\"default\":3,\"check\":{\"minimum\":0,\"maximum\":9}},"
	"{\"name\":\"code\",\"type\":\"text\",\"nullable\":true,\"labels\":{\"fr\":\"Code\",\"en\":\"Code\"},\"import\":{\"field\":\"code\"}}],"
	"\"primaryKey\":[\"id\"],\"indexes\":[{\"name\":\"thing_code\",\"columns\":[\"space\",\"code desc\"],\"where\":{\"notNull\":[\"code\"]}}],"
	"\"import\":{\"groups\":[{\"code\":\"contact_missing\",\"anyOf\":[\"code\"]}],\"keys\":[{\"field\":\"code\"}]}}}}";

/* The good declaration with one text in it replaced by another, and the complaint that must follow. */
static const struct {
	const char *from, *to, *why;
} wrong[] = {
	{"\"default\":3", "\"typo\":3", "tables.thing.columns[2].typo: unknown member"},
	{"\"app\":\"demo\"", "\"app\":\"Demo\"", "app: \"Demo\" is reserved or not snake_case"},
	{"\"app\":\"demo\"", "\"app\":\"tidegate\"", "app: \"tidegate\" is reserved or not snake_case"},
	{"\"app\":\"demo\",", "", "app: is missing"},
	{"{\"app\"", "{\"x\":1,\"app\"", "x: unknown member"},
	{"\"type\":\"integer\"", "\"type\":\"int\"", "tables.thing.columns[2].type: \"int\" is not known here"},
	{"\"name\":\"size\",", "", "tables.thing.columns[2].name: is missing"},
	{"\"name\":\"size\"", "\"name\":\"id\"", "tables.thing.columns[2].name: \"id\" is taken or not a snake_case name"},
	{"\"name\":\"size\"", "\"name\":\"si\\\"ze\"", "tables.thing.columns[2].name: \"si\"ze\" is taken or not a snake_case name"},
	{"\"default\":3", "\"default\":\"3\"", "tables.thing.columns[2].default: does not fit the type integer"},
	{"\"minimum\":0", "\"least\":0", "tables.thing.columns[2].check.least: unknown member"},
	{"\"minimum\":0", "\"minimum\":\"0\"", "tables.thing.columns[2].check.minimum: must be a whole number"},
	{"\"generate\":\"uuid\"", "\"generate\":\"now\"", "tables.thing.columns[0].generate: does not fit the type"},
	{"\"generate\":\"uuid\"", "\"generate\":\"lower\"", "tables.thing.columns[0].from: goes with generate \"lower\" or \"label\""},
	{"\"fr\":\"Code\",", "", "tables.thing.columns[3].labels.fr: is missing"},
	{"\"import\":{\"field\":\"code\"}", "\"import\":{\"field\":\"a_b\"}", "tables.thing.columns[3].import.field: \"a_b\" is not camelCase"},
	{"\"import\":{\"field\":\"code\"}", "\"import\":{\"field\":\"code\",\"max\":0}", "tables.thing.columns[3].import.max: must be at least 1 and at most the column's maxLength"},
	{"\"primaryKey\":[\"id\"],", "", "tables.thing.primaryKey: is missing"},
	{"\"primaryKey\":[\"id\"]", "\"primaryKey\":[\"code\"]", "tables.thing.primaryKey[0]: column \"code\" is nullable"},
	{"\"primaryKey\":[\"id\"]", "\"primaryKey\":[\"key\"]", "tables.thing.primaryKey[0]: table thing has no column \"key\""},
	{"\"scope\":\"space\"", "\"scope\":\"code\"", "tables.thing.scope: \"code\" is no text column that is always filled"},
	{"\"code desc\"", "\"code down\"", "tables.thing.indexes[0].columns[1]: table thing has no column \"code down\""},
	{"\"thing_code\"", "\"thing\"", "tables.thing.indexes[0].name: \"thing\" is taken"},
	{"\"notNull\"", "\"not\"", "tables.thing.indexes[0].where.not: unknown member"},
	{"\"anyOf\":[\"code\"]", "\"anyOf\":[\"cod\"]", "tables.thing.import.groups[0].anyOf[0]: no field \"cod\" can be imported"},
	{"[\"space\",\"code desc\"]", "[\"code\"]", "tables.thing.import.keys[0]: no index starts with space and code"},
	{"\"primaryKey\"", "\"references\":[{\"columns\":[\"code\"],\"table\":\"other\",\"to\":[\"id\"]}],\"primaryKey\"",
	 "tables.thing.references[0].table: no table \"other\" stands before thing"},
	{"\"primaryKey\"", "\"references\":[{\"columns\":[\"code\"],\"table\":\"thing\",\"to\":[\"id\"]}],\"primaryKey\"",
	 "tables.thing.references[0].columns: \"code\" differs in type from \"id\""},
	{"{\"fr\":\"Chose\",", "{\"fr\":\"\",", "tables.thing.labels.fr: must be a text that is not empty"},
	{"\"app\":\"demo\"", "\"app\":\"demo\",\"app\":\"demo\"", "a member stands twice in one object"},
	{"}}}}", "}}}", "the text ends too early"},
};

static char *replaced(const char *from, const char *to)
{
	const char *at = strstr(good, from);
	return at ? arena_printf(&arena, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from)) : NULL;
}

static void test_mistakes(void)
{
	const struct schema_app *app = NULL;
	const char *why = NULL;

	ok(schema_load(&arena, good, strlen(good), &app, &why) == OK, "a small declaration loads");
	is_text(why, "", "nothing to complain about");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *text = replaced(wrong[i].from, wrong[i].to);
		enum err err = OK;
		if (!ok(text != NULL, "case %zu stands in the good text", i))
			continue;
		err = schema_load(&arena, text, strlen(text), &app, &why);
		ok(err == ERR_INVALID, "refused: %s", wrong[i].why);
		is_text(why, wrong[i].why, "reason");
	}
}

static void test_small_arena(void)
{
	size_t refused = 0;

	for (size_t cap = 64; cap < 20000; cap += 512) {
		struct arena small;
		const struct schema_app *app = NULL;
		const char *why = NULL;
		arena_init(&small, cap);
		enum err err = schema_load(&small, good, strlen(good), &app, &why);
		if (err != OK && (err != ERR_TOO_LARGE || app != NULL || why == NULL))
			ok(false, "cap %zu gives %s", cap, err_name(err));
		refused += err == ERR_TOO_LARGE;
		arena_release(&small);
	}
	ok(refused > 0, "a small arena is ERR_TOO_LARGE, never a crash");
}

static void test_crm(void)
{
	static const char *const fields[] = {"externalId", "firstName", "lastName", "email", "phone", "company", "jobTitle", "address", "city",
					     "postalCode", "country", "status", "source", "notes", "assignedTo", "createdAt", "updatedAt"};
	const struct schema_app *app = NULL;
	const struct schema_table *lead = NULL;
	const char *why = NULL;

	if (!ok(schema_load_file(&arena, "schema/crm.json", &app, &why) == OK, "schema/crm.json loads"))
		return (void)printf("# %s\n", why);
	lead = schema_table_of(app, "lead");
	is_i64((int64_t)lead->field_count, 17, "lead has 17 fields");
	for (size_t i = 0; i < 17 && i < lead->field_count; i++) {
		is_text(lead->fields[i].name, fields[i], "field");
		ok(lead->fields[i].aliases.count >= 15 && lead->fields[i].aliases.count <= 60, "%s has 15 to 60 aliases (%zu)", fields[i],
		   lead->fields[i].aliases.count);
		ok(lead->fields[i].column->field == &lead->fields[i] && lead->fields[i].index == i, "column and field know each other");
	}
	is_i64((int64_t)schema_column_of(lead, "status")->value_count, 17, "17 states");
	is_text(schema_label(&schema_field_of(lead, "firstName")->column->labels, SCHEMA_FRENCH), "Prénom", "French label");
	is_text(schema_label(&schema_field_of(lead, "firstName")->column->labels, SCHEMA_ENGLISH), "First name", "English label");
	is_i64((int64_t)lead->import->key_count, 3, "three dedupe keys");
	is_text(lead->import->keys[0].column->name, "email_key", "e-mail compares by its lower form");
	is_i64(schema_table_of(app, "lead_history")->access, SCHEMA_ACCESS_APPEND, "history is append only");
	ok(schema_table_of(app, "none") == NULL && schema_field_of(lead, "none") == NULL && schema_column_of(lead, "none") == NULL, "no such name");
}

int main(void)
{
	const struct schema_app *app = NULL;
	const char *why = NULL;

	arena_init(&arena, 64 << 20);
	test_mistakes();
	test_small_arena();
	test_crm();
	ok(schema_load_file(&arena, "schema/none.json", &app, &why) == ERR_NOT_FOUND, "no such file");
	arena_release(&arena);
	return tap_done();
}
