/* Synced tables: what tunes.json becomes, the mistakes that are refused with their place, and the DDL and statements of odd tables. */
#include "core/schema/ddl.h"
#include "core/schema/describe.h"
#include "core/schema/sqlite_ddl.h"
#include "core/schema/sync_statements.h"
#include "tests/unit/tap.h"

static struct arena arena;

static const char good[] =
	"{\"app\":\"demo\",\"sync\":{\"version\":2,\"oldest\":1},\"tables\":{"
	"\"child\":{\"labels\":{\"fr\":\"c\",\"en\":\"c\"},\"sync\":{\"scope\":\"sub\"},\"columns\":[{\"name\":\"a\",\"type\":\"uuid\"},{\"name\":\"b\",\"type\":\"text\"},"
	"{\"name\":\"up\",\"type\":\"uuid\",\"nullable\":true},{\"name\":\"n\",\"type\":\"integer\",\"default\":3,\"since\":2},{\"name\":\"kind\",\"type\":\"text\",\"nullable\":true}],"
	"\"primaryKey\":[\"a\",\"b\"],\"indexes\":[{\"name\":\"child_n\",\"unique\":true,\"columns\":[\"n\"]}],"
	"\"references\":[{\"columns\":[\"up\"],\"table\":\"top\",\"to\":[\"id\"]},{\"columns\":[\"kind\"],\"table\":\"kinds\",\"to\":[\"id\"]}]},"
	"\"top\":{\"labels\":{\"fr\":\"t\",\"en\":\"t\"},\"sync\":{\"scope\":\"sub\"},\"columns\":[{\"name\":\"id\",\"type\":\"uuid\"},{\"name\":\"me\",\"type\":\"uuid\",\"nullable\":true}],"
	"\"primaryKey\":[\"id\"],\"references\":[{\"columns\":[\"me\"],\"table\":\"top\",\"to\":[\"id\"]}]},"
	"\"kinds\":{\"labels\":{\"fr\":\"k\",\"en\":\"k\"},\"sync\":{\"scope\":\"catalogue\"},\"columns\":[{\"name\":\"id\",\"type\":\"text\"}],\"primaryKey\":[\"id\"]}}}";

/* The good declaration with one text in it replaced by another, and the complaint that must follow. */
static const struct {
	const char *from, *to, *why;
} wrong[] = {
	{"\"scope\":\"sub\"}", "\"scope\":\"all\"}", "tables.child.sync.scope: \"all\" is not known here"},
	{"\"scope\":\"sub\"}", "\"scope\":\"space\"}", "tables.top.sync.scope: the synced tables of an app are all of users or all of spaces"},
	{"\"scope\":\"sub\"}", "\"whose\":\"sub\"}", "tables.child.sync.whose: unknown member"},
	{"\"scope\":\"sub\"}", "\"scope\":\"sub\",\"since\":3}", "tables.child.sync.since: is past the version of the app"},
	{"\"sync\":{\"scope\":\"sub\"}", "\"scope\":\"a\",\"sync\":{\"scope\":\"sub\"}", "tables.child.scope: stands in \"sync\" for a synced table"},
	{"\"name\":\"up\"", "\"name\":\"deleted\"", "tables.child.columns[2]: \"deleted\" is added to every synced table by itself"},
	{"\"name\":\"n\",\"type\":\"integer\",\"default\":3,", "\"name\":\"n\",\"type\":\"integer\",", "tables.child.columns[3]: a column that came later is nullable or has a default"},
	{"\"since\":2", "\"since\":3", "tables.child.columns[3]: since is not between the table's and the version of the app"},
	{"\"since\":2", "\"since\":0", "tables.child.columns[3].since: must be at least 1"},
	{"\"version\":2,\"oldest\":1", "\"version\":2,\"oldest\":3", "sync: oldest is at least 1, and version no less"},
	{"\"version\":2,\"oldest\":1", "\"versions\":2", "sync.versions: unknown member"},
	{"\"a\",\"type\":\"uuid\"", "\"a\",\"type\":\"double\"", "tables.child.primaryKey[0]: the key of a synced table is of texts, uuids and whole numbers"},
	{"\"a\",\"type\":\"uuid\"", "\"a\",\"type\":\"uuid\",\"generate\":\"uuid\"", "tables.child.columns[0]: the values of a synced table are made by its clients, not generated"},
	{"[\"a\",\"b\"]", "[\"a\",\"a\"]", "tables.child.primaryKey[1]: stands twice"},
	{"[\"a\",\"b\"]", "[\"a\",\"b\",\"a\",\"b\",\"a\"]", "tables.child.primaryKey: the key of a synced table has at most 4 columns"},
	{"\"table\":\"top\"", "\"table\":\"other\"", "tables.child.references[0].table: no table \"other\" stands before child"},
	{"\"name\":\"up\",\"type\":\"uuid\"", "\"name\":\"up\",\"type\":\"text\"", "tables.child.references[0].columns: \"up\" differs in type from \"id\""},
	{"\"columns\":[\"n\"]}", "\"columns\":[\"n\"],\"where\":{\"null\":[\"n\"]}}", "tables.child.indexes[0].where: a natural key of a synced table holds for all its rows"},
	{"{\"name\":\"id\",\"type\":\"text\"}],\"primaryKey\":[\"id\"]", "{\"name\":\"id\",\"type\":\"text\"},{\"name\":\"t\",\"type\":\"uuid\"}],\"primaryKey\":[\"id\"],"
	 "\"references\":[{\"columns\":[\"t\"],\"table\":\"top\",\"to\":[\"id\"]}]", "tables.kinds.references[0].table: a catalogue refers to catalogues only"},
	{"\"sync\":{\"scope\":\"catalogue\"},\"columns\":[{\"name\":\"id\",\"type\":\"text\"}]", "\"scope\":\"id\",\"columns\":[{\"name\":\"id\",\"type\":\"text\",\"collate\":\"C\"}]", "tables.child.references[1].table: \"kinds\" is not synced"},
};

static void has(const char *text, const char *part)
{
	ok(strstr(text, part) != NULL, "has: %.70s", part);
}

static void test_mistakes(void)
{
	const struct schema_app *app = NULL;
	const char *why = NULL;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *at = strstr(good, wrong[i].from);
		if (!ok(at != NULL, "case %zu stands in the good text", i))
			continue;
		const char *text = arena_printf(&arena, "%.*s%s%s", (int)(at - good), good, wrong[i].to, at + strlen(wrong[i].from));
		ok(schema_load(&arena, text, strlen(text), &app, &why) == ERR_INVALID, "refused: %s", wrong[i].why);
		is_text(why, wrong[i].why, "reason");
	}
}

static void test_good(void)
{
	const struct schema_app *app = NULL;
	const struct schema_table *child = NULL;
	const char *why = NULL;
	struct buf text;

	if (!ok(schema_load(&arena, good, strlen(good), &app, &why) == OK, "the declaration loads"))
		return;
	child = schema_table_of(app, "child");
	ok(app->version == 2 && app->oldest == 1 && app->has_catalogue && app->sync_scope == SCHEMA_SYNC_SUB, "version, scope, catalogue");
	is_i64((int64_t)app->synced_count, 3, "three synced tables");
	is_text(app->synced[2]->name, "child", "the child comes after both of its parents, although it is declared first");
	is_i64((int64_t)child->primary_count, 3, "the scope is part of the key");
	is_text(child->primary[0]->name, "sync_scope", "and stands first");
	is_i64((int64_t)child->references[0].count, 2, "and part of a reference");
	is_i64((int64_t)child->references[1].count, 1, "but not of one to a catalogue");
	is_i64((int64_t)child->column_count, 5 + 5, "five columns more");
	ok(schema_table_grew(child, 1) && !schema_table_grew(child, 2) && !schema_table_grew(schema_table_of(app, "top"), 1), "which tables grew");
	buf_init(&text, 1 << 20);
	ok(schema_ddl_postgres(app, &text) == OK, "DDL");
	has(buf_text(&text), "PRIMARY KEY (\"sync_scope\", \"a\", \"b\")");
	has(buf_text(&text), "ADD COLUMN IF NOT EXISTS \"n\" integer DEFAULT '3';");
	has(buf_text(&text), "CREATE UNIQUE INDEX IF NOT EXISTS \"child_n\" ON \"demo\".\"child\" USING btree (\"sync_scope\", \"n\") WHERE NOT \"deleted\";");
	has(buf_text(&text), "FOREIGN KEY (\"sync_scope\", \"up\") REFERENCES \"demo\".\"top\" (\"sync_scope\", \"id\") DEFERRABLE INITIALLY DEFERRED;");
	has(buf_text(&text), "USING (\"sync_scope\" = current_setting('tidegate.sub', true));");
	has(buf_text(&text), "GRANT SELECT ON \"demo\".\"kinds\" TO \"tidegate_api\";");
	has(buf_text(&text), "EXECUTE FUNCTION tidegate.sync_catalogue_stamp('demo');");
	buf_clear(&text);
	ok(sync_sql(app, child, SYNC_PUSH, NULL, &text) == OK, "push");
	has(buf_text(&text), "WHERE (excluded.\"last_modified_at\", excluded.\"device_id\") > (t.\"last_modified_at\", t.\"device_id\")");
	has(buf_text(&text), "FROM inp ORDER BY c1, c2");
	buf_clear(&text);
	ok(sync_sql(app, child, SYNC_PATCH, NULL, &text) == OK, "patch");
	has(buf_text(&text), "'3'::integer END AS c4");
	buf_clear(&text);
	ok(sync_sql(app, child, SYNC_AFTER, NULL, &text) == OK, "after");
	has(buf_text(&text), "(t.\"server_seq\", t.\"a\", t.\"b\") > ($2::bigint, $5::uuid, $6::text)");
	buf_clear(&text);
	ok(schema_typescript(app, &text) == OK, "types");
	has(buf_text(&text), "  n: number;\n");
	has(buf_text(&text), "  up: string | null;\n");
	buf_release(&text);
	buf_init(&text, 100);
	ok(sync_sql(app, child, SYNC_PUSH, NULL, &text) == ERR_TOO_LARGE, "a full buffer is an error");
	buf_release(&text);
}

static void test_tunes(void)
{
	static const char *const names[] = {"tune", "note", "repertoire", "repertoire_tune", "practice_record", "tag", "setlist", "setlist_item"};
	const struct schema_app *app = NULL;
	const char *why = NULL;
	struct schema_texts ddl = {NULL, 0};
	size_t triggers = 0;

	if (!ok(schema_load_file(&arena, "schema/tunes.json", &app, &why) == OK, "schema/tunes.json loads"))
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ok(schema_table_of(app, names[i]) && schema_table_of(app, names[i])->sync, "%s is synced", names[i]);
	for (size_t t = 0; t < app->synced_count; t++)
		for (size_t r = 0; r < app->synced[t]->reference_count; r++) {
			size_t parent = 0;
			while (parent < app->synced_count && app->synced[parent] != app->synced[t]->references[r].table)
				parent++;
			ok(parent < t, "%s stands behind %s", app->synced[t]->name, app->synced[parent]->name);
		}
	ok(sync_sqlite_ddl(app, &arena, 0, &ddl) == OK, "SQLite DDL");
	for (size_t i = 0; i < ddl.count; i++)
		triggers += text_starts_with(ddl.items[i], "CREATE TRIGGER");
	is_i64((int64_t)triggers, 12 * 4 + 2 * 3, "four triggers for a table, three for a catalogue");
	ok(sync_sqlite_ddl(app, &arena, 1, &ddl) == OK && ddl.count > 0, "nothing to migrate, triggers made anew");
	for (size_t i = 0; i < ddl.count; i++)
		ok(!text_starts_with(ddl.items[i], "ALTER") && !text_starts_with(ddl.items[i], "CREATE TABLE"), "no table is touched");
}

static void test_small_arena(void)
{
	size_t refused = 0;

	for (size_t cap = 64; cap < 30000; cap += 512) {
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

int main(void)
{
	arena_init(&arena, 64 << 20);
	test_mistakes();
	test_good();
	test_tunes();
	test_small_arena();
	arena_release(&arena);
	return tap_done();
}
