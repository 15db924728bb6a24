/*
 * tidegate migrate: numbered migrations (each in one transaction, checksummed, once), then the functions and the DDL of
 * the declarations (idempotent, every time), under an advisory lock. Forward only.
 * Must never apply a migration whose text differs from the one that was applied under its name.
 */
#include "commands/commands.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "core/pg/embedded.h"
#include "core/schema/ddl.h"

#include <string.h>

enum { DDL_MAX = 4 << 20 };

static const char prepare_sql[] =
    "CREATE SCHEMA IF NOT EXISTS tidegate AUTHORIZATION tidegate_owner;"
    "CREATE TABLE IF NOT EXISTS tidegate.migration (path text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());"
    "GRANT USAGE ON SCHEMA tidegate TO tidegate_api, tidegate_worker;"
    "GRANT SELECT ON tidegate.migration TO tidegate_api, tidegate_worker;";

static int refuse_file(const struct pg *pg, const char *path)
{
	return complain(EXIT_REFUSED, "%s was not applied: %s (SQLSTATE %s). Nothing of it was kept.", path, pg->message, pg->sqlstate);
}

static int apply_migration(struct pg *pg, struct arena *arena, const struct embedded_file *file)
{
	char sha256[SHA256_HEX_SIZE];
	struct pg_rows rows;
	sha256_hex(file->text, strlen(file->text), sha256);
	if (pg_query(pg, arena, STMT_MIGRATION_FIND, PG_VALUES(file->path), &rows))
		return refuse_file(pg, file->path);
	if (rows.count && text_equal(pg_text(&rows, 0, 0), sha256))
		return 0;
	if (rows.count)
		return complain(EXIT_REFUSED, "%s was applied with another text; a migration is never changed, add a new one.", file->path);
	enum err err = pg_begin(pg, NULL);
	if (!err)
		err = pg_script(pg, file->text);
	if (!err)
		err = pg_query(pg, arena, STMT_MIGRATION_NOTE, PG_VALUES(file->path, sha256), NULL);
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	if (err)
		return refuse_file(pg, file->path);
	printf("applied %s\n", file->path);
	return 0;
}

static int apply_script(struct pg *pg, const char *path, const char *sql)
{
	enum err err = pg_begin(pg, NULL);
	if (!err)
		err = pg_script(pg, sql);
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	return err ? refuse_file(pg, path) : 0;
}

static int apply_declaration(struct pg *pg, const struct schema_app *app)
{
	struct buf ddl;
	buf_init(&ddl, DDL_MAX);
	int status = schema_ddl_postgres(app, &ddl) ? EXIT_INTERNAL : apply_script(pg, app->name, buf_text(&ddl));
	buf_release(&ddl);
	return status;
}

static int apply_all(struct command *command, struct pg *pg, const struct schema_catalog *catalog)
{
	const char *why = NULL;
	int status = apply_script(pg, "the schema tidegate", prepare_sql);
	for (const struct embedded_file *file = embedded_files; !status && file->path; file++)
		if (text_starts_with(file->path, "sql/migrations/"))
			status = apply_migration(pg, command->arena, file);
	for (const struct embedded_file *file = embedded_files; !status && file->path; file++)
		if (text_starts_with(file->path, "sql/functions/"))
			status = apply_script(pg, file->path, file->text);
	for (size_t i = 0; !status && i < catalog->app_count; i++)
		status = apply_declaration(pg, catalog->apps[i]);
	if (!status && check_drift(pg, command->arena, catalog, &why))
		status = complain(EXIT_REFUSED, "%s", why ? why : "The database cannot be compared with the declarations.");
	return status;
}

int command_migrate(struct command *command)
{
	struct schema_catalog *catalog = arena_alloc(command->arena, sizeof(*catalog));
	struct pg_options options = database_options(command->config, "owner");
	struct pg pg;
	if (!catalog || !load_catalog(command, catalog))
		return EXIT_CONFIGURATION;
	options.application_name = "tidegate migrate";
	pg_init(&pg, &options);
	if (pg_ensure(&pg))
		return complain(EXIT_UNAVAILABLE, "The database does not answer: %s", pg.message);
	int status = pg_query(&pg, command->arena, STMT_MIGRATION_LOCK, PG_NONE, NULL) ? EXIT_UNAVAILABLE : apply_all(command, &pg, catalog);
	pg_close(&pg);
	return status;
}

int command_roles(struct command *command)
{
	(void)command;
	for (const struct embedded_file *file = embedded_files; file->path; file++)
		if (text_equal(file->path, "sql/roles.sql"))
			fputs(file->text, stdout);
	return 0;
}
