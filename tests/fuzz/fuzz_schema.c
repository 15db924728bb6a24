/*
 * Fuzz target: the loader of declarations. What must hold: a refusal has a reason; an accepted declaration has DDL (the
 * same twice), a fingerprint, its columns as information_schema will show them, and statements for every import target,
 * in all of which every quote is closed; the same for what is made of synced tables, for the server and for clients.
 * Seeds: tests/fuzz/seeds/schema/.
 */
#include "core/schema/ddl.h"
#include "core/schema/describe.h"
#include "core/schema/sqlite_ddl.h"
#include "core/schema/statements.h"
#include "core/schema/sync_statements.h"
#include "core/schema/undo_statements.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 4 << 20 };

static struct arena arena;

static void must(bool holds)
{
	if (!holds)
		__builtin_trap();
}

/* Outside of '…' and "…" no quote is left open. Function bodies in $$ are of our own making and follow the same rule. */
static bool quotes_close(const char *sql)
{
	char open = '\0';
	bool escapes = false;
	for (const char *p = sql; *p; p++) {
		if (!open && p[0] == '-' && p[1] == '-') {
			p += strcspn(p, "\n");
			if (!*p)
				break;
		} else if (!open && (*p == '\'' || *p == '"')) {
			open = *p;
			escapes = *p == '\'' && p > sql && p[-1] == 'E';
		} else if (open && escapes && *p == '\\' && p[1]) {
			p++;
		} else if (open && *p == open) {
			open = '\0'; /* a doubled quote opens at once again */
			if (escapes && p[1] == '\'')
				open = *++p;
		}
	}
	return !open;
}

static void check_text(enum err err, struct buf *text)
{
	must(err == OK || err == ERR_TOO_LARGE);
	must(err || quotes_close(buf_text(text)));
	buf_clear(text);
}

static void check_statements(const struct schema_app *app, const struct schema_table *table, struct buf *text)
{
	check_text(schema_sql_insert(app, table, text), text);
	check_text(schema_sql_update(app, table, text), text);
	check_text(schema_sql_gone(app, table, text), text);
	check_text(schema_sql_undo_remove(app, table, text), text);
	check_text(schema_sql_undo_keep(app, table, text), text);
	for (size_t k = 0; k < table->import->key_count; k++)
		check_text(schema_sql_match(app, table, k, text), text);
	enum err err = schema_sql_assignee(app, table, text);
	if (err != ERR_INVALID)
		check_text(err, text);
	err = schema_sql_undo_restore(app, table, text);
	if (err != ERR_INVALID)
		check_text(err, text);
}

/* Everything that is made of synced tables; every table stands in the order once. */
static void check_synced(const struct schema_app *app, struct buf *text)
{
	struct schema_texts ddl = {NULL, 0};
	check_text(sync_sql_changed(app, text), text);
	check_text(sync_sqlite_check(app, text), text);
	must(schema_typescript(app, text) != ERR_INVALID);
	buf_clear(text);
	for (int64_t from = 0; from <= 1; from++) {
		enum err err = sync_sqlite_ddl(app, &arena, from, &ddl);
		must(err == OK || err == ERR_TOO_LARGE);
		for (size_t i = 0; !err && i < ddl.count; i++)
			must(quotes_close(ddl.items[i]));
	}
	for (size_t t = 0; t < app->synced_count; t++) {
		const struct schema_table *table = app->synced[t];
		for (size_t other = 0; other < t; other++)
			must(app->synced[other] != table);
		must(table->sync && table->sync->key_count > 0 && table->sync->key_count + table->sync->value_count == table->sync->own_count);
		for (int kind = 0; kind < SYNC_TWIN; kind++)
			check_text(sync_sql(app, table, (enum sync_statement)kind, NULL, text), text);
		for (size_t i = 0; i < table->index_count; i++)
			if (table->indexes[i].unique)
				check_text(sync_sql(app, table, SYNC_TWIN, &table->indexes[i], text), text);
	}
}

static void check_app(const struct schema_app *app)
{
	const struct schema_expectation *columns = NULL;
	char fingerprint[SHA256_HEX_SIZE];
	struct buf text;
	size_t count = 0, expected = 0;
	buf_init(&text, TEXT_MAX);
	check_text(schema_ddl_postgres(app, &text), &text);
	must(schema_fingerprint(app, fingerprint) == OK && strlen(fingerprint) == SHA256_HEX_SIZE - 1);
	must(schema_expect(app, &arena, &columns, &count) == OK);
	for (size_t t = 0; t < app->table_count; t++) {
		expected += app->tables[t].column_count;
		if (app->tables[t].import)
			check_statements(app, &app->tables[t], &text);
	}
	must(count == expected);
	if (app->synced_count)
		check_synced(app, &text);
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct schema_app *app = NULL;
	const char *why = NULL;
	if (arena.cap == 0)
		arena_init(&arena, 64 << 20);
	enum err err = schema_load(&arena, size ? (const char *)data : "", size, &app, &why);
	must(why != NULL && (err == OK) == (app != NULL));
	must(err == OK || (err == ERR_INVALID && *why) || err == ERR_TOO_LARGE);
	if (!err)
		check_app(app);
	arena_reset(&arena);
	return 0;
}
