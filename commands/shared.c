/* What several commands need: connections by role, declarations, the comparison with the database. */
#include "commands/commands.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/pg/embedded.h"
#include "core/schema/ddl.h"
#include "handlers/import/check.h"

enum { CHECK_TRIES = 100, CHECK_PAUSE_MS = 200 };

struct pg_options database_options(const struct config *config, const char *role)
{
	struct pg_options options = {
	    .application_name = "tidegate",
	    .statement_timeout_ms = config->worker_statement_timeout_ms,
	    .lock_timeout_ms = config->lock_timeout_ms,
	    .idle_in_transaction_timeout_ms = config->idle_in_transaction_timeout_ms,
	};
	if (text_equal(role, "api")) {
		options.conninfo = config->database_api;
		options.password = config->database_api_password;
		options.application_name = "tidegate serve";
		options.statement_timeout_ms = config->statement_timeout_ms;
	} else if (text_equal(role, "worker")) {
		options.conninfo = config->database_worker;
		options.password = config->database_worker_password;
		options.application_name = "tidegate work";
	} else {
		options.conninfo = config->database_owner;
		options.password = config->database_owner_password;
	}
	return options;
}

bool load_catalog(struct command *command, struct schema_catalog *ret)
{
	const char *why = "The declarations cannot be loaded.";
	if (catalog_load(command->arena, command->config->schema_dir, ret, &why)) {
		complain(EXIT_CONFIGURATION, "%s", why);
		return false;
	}
	for (size_t i = 0; i < ret->target_count; i++)
		if (import_check_target(ret->targets[i].table, &why)) {
			complain(EXIT_CONFIGURATION, "The declaration of %s names \"%s\", which does not exist.", ret->targets[i].table->name, why);
			return false;
		}
	return true;
}

bool load_outgoing(struct command *command, struct outgoing *ret)
{
	const struct config *config = command->config;
	const char *why = NULL;
	if (outgoing_init(command->arena, config->webhooks_allow_networks, config->webhooks_allow_ports, config->webhooks_ca_file, ret, &why)) {
		complain(EXIT_CONFIGURATION, "webhooks.allow_networks or webhooks.allow_ports: %s", why);
		return false;
	}
	return true;
}

static enum err check_migrations(struct pg *pg, struct arena *arena, const char **ret_why)
{
	struct pg_rows rows;
	const char *newest = "";
	for (const struct embedded_file *file = embedded_files; file->path; file++)
		if (text_starts_with(file->path, "sql/migrations/"))
			newest = file->path;
	enum err err = pg_query(pg, arena, STMT_SCHEMA_VERSION, PG_NONE, &rows);
	if (err == ERR_BUG) {
		*ret_why = "The database was never migrated; run `tidegate migrate`.";
		return ERR_INVALID;
	}
	if (err)
		return err;
	if (rows.count == 0 || !text_equal(pg_text(&rows, 0, 0), newest)) {
		*ret_why = arena_printf(arena, "The database is at %s, this program needs %s; run `tidegate migrate`.",
		                        rows.count ? pg_text(&rows, 0, 0) : "nothing", newest);
		return ERR_INVALID;
	}
	return OK;
}

static enum err check_app(struct pg *pg, struct arena *arena, const struct schema_app *app, const char **ret_why)
{
	const struct schema_expectation *expected = NULL;
	size_t count = 0;
	struct pg_rows rows;
	enum err err = schema_expect(app, arena, &expected, &count);
	for (size_t i = 0; !err && i < count; i++) {
		err = pg_query(pg, arena, STMT_SCHEMA_COLUMN, PG_VALUES(app->name, expected[i].table, expected[i].column), &rows);
		if (err)
			break;
		const char *type = rows.count ? pg_text(&rows, 0, 0) : "missing";
		if (rows.count && text_equal(type, expected[i].type) && pg_bool(&rows, 0, 1) == expected[i].nullable)
			continue;
		*ret_why = arena_printf(arena, "The database has drifted from the declarations: %s.%s.%s is %s, declared is %s%s; run `tidegate migrate`.",
		                        app->name, expected[i].table, expected[i].column, type, expected[i].type, expected[i].nullable ? "" : " not null");
		return ERR_INVALID;
	}
	return err;
}

/* The key of a synced table decides what a row is, its natural keys what may stand twice: neither may be another one than declared. */
static enum err check_keys(struct pg *pg, struct arena *arena, const struct schema_app *app, const struct schema_table *table, const char **ret_why)
{
	const char *columns[SCHEMA_KEYS_MAX];
	struct pg_rows rows;
	for (size_t i = 0; i < table->primary_count; i++)
		columns[i] = table->primary[i]->name;
	enum err err = pg_query(pg, arena, STMT_SCHEMA_KEY, PG_VALUES(app->name, table->name, pg_text_array(arena, columns, table->primary_count)), &rows);
	if (!err && !pg_bool(&rows, 0, 0)) {
		*ret_why = arena_printf(arena, "The database has drifted from the declarations: %s.%s has another primary key than declared; a migration must change it.",
		                        app->name, table->name);
		return ERR_INVALID;
	}
	for (size_t i = 0; !err && i < table->index_count; i++) {
		if (!table->indexes[i].unique)
			continue;
		for (size_t c = 0; c < table->indexes[i].count; c++)
			columns[c + 1] = table->indexes[i].columns[c]->name;
		columns[0] = "sync_scope";
		size_t skip = table->scope ? 0 : 1;
		err = pg_query(pg, arena, STMT_SCHEMA_UNIQUE,
		               PG_VALUES(app->name, table->indexes[i].name, pg_text_array(arena, columns + skip, table->indexes[i].count + 1 - skip)), &rows);
		if (!err && !pg_bool(&rows, 0, 0)) {
			*ret_why = arena_printf(arena, "The database has drifted from the declarations: the unique index %s.%s is missing or another one; run `tidegate migrate`.",
			                        app->name, table->indexes[i].name);
			return ERR_INVALID;
		}
	}
	return err;
}

enum err check_drift(struct pg *pg, struct arena *arena, const struct schema_catalog *catalog, const char **ret_why)
{
	enum err err = check_migrations(pg, arena, ret_why);
	for (size_t i = 0; !err && i < catalog->app_count; i++)
		err = check_app(pg, arena, catalog->apps[i], ret_why);
	for (size_t i = 0; !err && i < catalog->synced_count; i++)
		for (size_t t = 0; !err && t < catalog->synced[i].count; t++)
			err = check_keys(pg, arena, catalog->synced[i].app, catalog->synced[i].tables[t].table, ret_why);
	return err;
}

int wait_for_database(struct command *command, struct pg *pg, const struct schema_catalog *catalog)
{
	const char *why = NULL;
	for (int i = 0; i < CHECK_TRIES; i++) {
		enum err err = check_drift(pg, command->arena, catalog, &why);
		if (err == OK)
			return 0;
		if (err == ERR_INVALID)
			return complain(EXIT_CONFIGURATION, "%s", why);
		clock_sleep_ms(CHECK_PAUSE_MS);
	}
	return complain(EXIT_UNAVAILABLE, "The database does not answer: %s", pg->message);
}
