/* PostgreSQL DDL, fingerprint, expected columns and import statements of schema/crm.json. */
#include "core/schema/ddl.h"
#include "core/schema/quote.h"
#include "core/schema/statements.h"
#include "core/schema/undo_statements.h"
#include "tests/unit/tap.h"

static struct arena arena;
static const struct schema_app *app;

static void has(const char *text, const char *part)
{
	ok(strstr(text, part) != NULL, "has: %.60s", part);
}

static void test_ddl(void)
{
	struct buf first, second;

	buf_init(&first, 1 << 20);
	buf_init(&second, 1 << 20);
	ok(schema_ddl_postgres(app, &first) == OK && schema_ddl_postgres(app, &second) == OK, "made");
	is_text(buf_text(&first), buf_text(&second), "deterministic");
	has(buf_text(&first), "CREATE SCHEMA IF NOT EXISTS \"crm\";");
	has(buf_text(&first), "\"id\" uuid NOT NULL DEFAULT gen_random_uuid(),");
	has(buf_text(&first), "\"country\" text DEFAULT 'France'");
	has(buf_text(&first), "\"email_key\" text COLLATE \"C\" GENERATED ALWAYS AS (lower(\"email\" COLLATE \"C\")) STORED");
	has(buf_text(&first), "WHEN 'not_interested' THEN 'Pas intéressé'");
	has(buf_text(&first), "FOREIGN KEY (\"space\", \"assigned_to\") REFERENCES \"crm\".\"profile\" (\"space\", \"id\") ON DELETE SET NULL (\"assigned_to\")");
	has(buf_text(&first), "CREATE INDEX IF NOT EXISTS \"lead_email\" ON \"crm\".\"lead\" USING hash (\"email_key\") "
			      "WHERE \"email_key\" IS NOT NULL AND \"deleted_at\" IS NULL;");
	has(buf_text(&first), "USING btree (\"space\", \"updated_at\") WHERE \"deleted_at\" IS NULL;");
	has(buf_text(&first), "ALTER TABLE \"crm\".\"lead\" ENABLE ROW LEVEL SECURITY;");
	has(buf_text(&first), "USING (\"space\" = current_setting('tidegate.space', true))");
	has(buf_text(&first), "GRANT SELECT, INSERT ON \"crm\".\"lead_history\" TO \"tidegate_worker\";");
	ok(strstr(buf_text(&first), "USING gin") == NULL, "no trigram index");
	buf_release(&first);
	buf_release(&second);
	buf_init(&first, 100);
	ok(schema_ddl_postgres(app, &first) == ERR_TOO_LARGE, "a full buffer is an error");
	buf_release(&first);
}

static void test_fingerprint(void)
{
	static const char other[] = "{\"app\":\"crm\",\"tables\":{\"t\":{\"labels\":{\"fr\":\"t\",\"en\":\"t\"},\"scope\":\"s\","
				    "\"columns\":[{\"name\":\"s\",\"type\":\"text\"},{\"name\":\"q\",\"type\":\"text\",\"default\":\"it's \\\\\"}],"
				    "\"primaryKey\":[\"s\"],\"indexes\":[{\"name\":\"i\",\"kind\":\"trigram\",\"columns\":[\"q\"]}]}}}";
	char a[SHA256_HEX_SIZE], b[SHA256_HEX_SIZE];
	const struct schema_app *small = NULL;
	const char *why = NULL;
	struct buf text;

	ok(schema_fingerprint(app, a) == OK && schema_fingerprint(app, b) == OK && text_equal(a, b), "same twice");
	ok(schema_load(&arena, other, strlen(other), &small, &why) == OK, "another declaration");
	ok(schema_fingerprint(small, b) == OK && !text_equal(a, b), "differs from another");
	buf_init(&text, 1 << 20);
	ok(schema_ddl_postgres(small, &text) == OK, "made");
	has(buf_text(&text), "DEFAULT E'it''s \\\\'");
	has(buf_text(&text), "CREATE EXTENSION IF NOT EXISTS pg_trgm;");
	has(buf_text(&text), "USING gin (\"q\" gin_trgm_ops)");
	buf_clear(&text);
	quote_identifier(&text, "a\"b");
	is_text(buf_text(&text), "\"a\"\"b\"", "quotes in identifiers are doubled");
	buf_release(&text);
}

static void test_expectation(void)
{
	const struct schema_expectation *list = NULL;
	size_t n = 0;

	ok(schema_expect(app, &arena, &list, &n) == OK, "expected columns");
	is_i64((int64_t)n, 7 + 23 + 10, "count");
	is_text(list[7].table, "lead", "second table");
	is_text(list[7].type, "uuid", "type");
	is_text(list[5].type, "timestamp with time zone", "as information_schema prints it");
	ok(!list[7].nullable && list[9].nullable, "nullable");
}

static void test_statements(void)
{
	const struct schema_table *lead = schema_table_of(app, "lead");
	struct buf sql;

	buf_init(&sql, 1 << 16);
	ok(schema_sql_insert(app, lead, &sql) == OK, "insert");
	has(buf_text(&sql), "INSERT INTO \"crm\".\"lead\" (\"id\", \"space\", \"external_id\",");
	has(buf_text(&sql), "coalesce(r.vals[12], $7::text, 'new')");
	has(buf_text(&sql), "who.user_id, ref15.\"id\")");
	has(buf_text(&sql), "coalesce(r.vals[16]::timestamp with time zone, now())");
	has(buf_text(&sql), "LEFT JOIN \"crm\".\"profile\" AS ref15 ON ref15.\"space\" = $4::text AND ref15.\"id\" = r.vals[15]");
	buf_clear(&sql);
	ok(schema_sql_update(app, lead, &sql) == OK, "update");
	has(buf_text(&sql), "\"email\" = coalesce(r.vals[4], t.\"email\")");
	has(buf_text(&sql), "\"updated_at\" = now()");
	ok(strstr(buf_text(&sql), "'France'") == NULL && strstr(buf_text(&sql), "\"created_at\" =") == NULL, "no default, no creation date");
	buf_clear(&sql);
	ok(schema_sql_match(app, lead, 0, &sql) == OK, "match");
	has(buf_text(&sql), "t.\"email_key\" = r.keys[1] AND t.\"deleted_at\" IS NULL");
	ok(schema_sql_match(app, lead, 3, &sql) == ERR_INVALID, "no such key");
	ok(schema_sql_insert(app, schema_table_of(app, "profile"), &sql) == ERR_INVALID, "no target");
	buf_release(&sql);
}

static void test_undo_statements(void)
{
	const struct schema_table *lead = schema_table_of(app, "lead"), *profile = schema_table_of(app, "profile");
	struct schema_import import = *lead->import;
	struct schema_table plain = *lead;
	struct buf sql;

	buf_init(&sql, 1 << 16);
	ok(schema_sql_undo_remove(app, lead, &sql) == OK, "remove");
	has(buf_text(&sql), "t.\"email\" IS NOT DISTINCT FROM r.vals[4]");
	has(buf_text(&sql), "(r.vals[12] IS NULL OR t.\"status\" = r.vals[12])");
	has(buf_text(&sql), "t.\"updated_at\" <= greatest(r.vals[17]::timestamp with time zone, max(h.\"created_at\")");
	has(buf_text(&sql), "AND t.\"deleted_at\" IS NULL");
	ok(strstr(buf_text(&sql), "t.\"assigned_to\"") == NULL && strstr(buf_text(&sql), "t.\"created_at\"") == NULL, "what the commit chose is no edit");
	buf_clear(&sql);
	ok(schema_sql_undo_restore(app, lead, &sql) == OK, "restore");
	has(buf_text(&sql), "\"email\" = CASE WHEN (p.was).\"email\" IS DISTINCT FROM (p.made).\"email\" THEN (p.was).\"email\" ELSE t.\"email\" END");
	has(buf_text(&sql), "\"updated_at\" = now()");
	ok(strstr(buf_text(&sql), "\"created_at\" = ") == NULL, "a creation date was not written");
	buf_clear(&sql);
	ok(schema_sql_undo_keep(app, lead, &sql) == OK, "keep");
	has(buf_text(&sql), "'edited_since'");
	buf_clear(&sql);
	import.history = NULL;
	plain.import = &import;
	ok(schema_sql_undo_remove(app, &plain, &sql) == OK && strstr(buf_text(&sql), "lead_history") == NULL, "remove without a history");
	buf_clear(&sql);
	ok(schema_sql_undo_restore(app, &plain, &sql) == ERR_INVALID, "nothing to restore from without a history");
	ok(schema_sql_undo_keep(app, &plain, &sql) == OK, "keep without a history");
	has(buf_text(&sql), "SELECT w.row_no, w.updated AS image_gone");
	ok(schema_sql_undo_remove(app, profile, &sql) == ERR_INVALID && schema_sql_undo_keep(app, profile, &sql) == ERR_INVALID, "no target");
	buf_release(&sql);
}

int main(void)
{
	const char *why = NULL;

	arena_init(&arena, 64 << 20);
	if (ok(schema_load_file(&arena, "schema/crm.json", &app, &why) == OK, "loads")) {
		test_ddl();
		test_fingerprint();
		test_expectation();
		test_statements();
		test_undo_statements();
	}
	arena_release(&arena);
	return tap_done();
}
