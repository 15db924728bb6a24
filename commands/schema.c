/*
 * tidegate schema: checks the declarations, and prints what is made of them: PostgreSQL DDL, SQLite DDL for clients, TypeScript types,
 * the JSON that clients get.
 * Must never touch a database.
 */
#include "commands/commands.h"
#include "core/schema/ddl.h"
#include "core/schema/describe.h"
#include "core/schema/sqlite_ddl.h"

enum { TEXT_MAX = 4 << 20 };

static enum err put_sqlite(struct command *command, const struct schema_app *app, struct buf *out)
{
	struct schema_texts ddl = {NULL, 0};
	enum err err = sync_sqlite_ddl(app, command->arena, 0, &ddl);
	for (size_t i = 0; !err && i < ddl.count; i++)
		buf_printf(out, "%s;\n", ddl.items[i]);
	return err;
}

static enum err put_json(const struct schema_app *app, struct buf *out)
{
	struct json_writer w;
	json_start(&w, out);
	json_object_open(&w, NULL);
	schema_describe(&w, app);
	json_object_close(&w);
	buf_append_char(out, '\n');
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

/* What clients of an app with synced tables need. */
static int print_synced(struct command *command, const struct schema_catalog *catalog, const char *option, const char *name, struct buf *out)
{
	const struct sync_app *synced = catalog_synced(catalog, name);
	enum err err;
	if (!synced)
		return complain(EXIT_USAGE, "there is no app \"%s\" with synced tables.", name);
	if (text_equal(option, "--sqlite"))
		err = put_sqlite(command, synced->app, out);
	else if (text_equal(option, "--types"))
		err = schema_typescript(synced->app, out);
	else
		err = put_json(synced->app, out);
	return err ? complain(EXIT_INTERNAL, "%s: that is too large.", name) : 0;
}

static int print_all(const struct schema_catalog *catalog, bool sql, struct buf *out)
{
	for (size_t i = 0; i < catalog->app_count; i++) {
		char fingerprint[SHA256_HEX_SIZE];
		if (sql && schema_ddl_postgres(catalog->apps[i], out))
			return complain(EXIT_INTERNAL, "%s: its DDL is too large.", catalog->apps[i]->name);
		if (!sql && schema_fingerprint(catalog->apps[i], fingerprint) == OK)
			printf("%s: %zu tables, %s\n", catalog->apps[i]->name, catalog->apps[i]->table_count, fingerprint);
	}
	return 0;
}

int command_schema(struct command *command)
{
	static const char *const options[] = {"--sqlite", "--types", "--json"};
	struct schema_catalog *catalog = arena_alloc(command->arena, sizeof(*catalog));
	bool sql = option_flag(command, "--sql");
	const char *option = NULL, *name = NULL;
	struct buf out;
	for (size_t i = 0; !name && i < sizeof(options) / sizeof(options[0]); i++) {
		option = options[i];
		name = option_value(command, option);
	}
	if (command->argc > 1)
		return complain(EXIT_USAGE, "schema takes --sql, or --sqlite, --types or --json with the name of an app.");
	if (!catalog || !load_catalog(command, catalog))
		return EXIT_CONFIGURATION;
	buf_init(&out, TEXT_MAX);
	int status = name ? print_synced(command, catalog, option, name, &out) : print_all(catalog, sql, &out);
	if (!status)
		fputs(buf_text(&out), stdout);
	buf_release(&out);
	return status;
}
