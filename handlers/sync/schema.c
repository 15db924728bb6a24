/*
 * GET /api/sync/schema: what a client must know of an app, and the SQLite DDL that makes its database: all of it, or with ?from= what brings a
 * database of that version of the app to the present one.
 * Must never touch the database.
 */
#include "core/schema/describe.h"
#include "core/schema/sqlite_ddl.h"
#include "fcgi/fields.h"
#include "handlers/sync/handlers.h"
#include "handlers/sync/sync.h"

enum { CHECK_MAX = 1 << 20 };

static void put_limits(struct json_writer *w, const struct config *config)
{
	json_object_open(w, "limits");
	json_put_i64(w, "maxChanges", config->sync_max_changes);
	json_put_i64(w, "maxBytes", config->sync_max_bytes);
	json_put_i64(w, "maxRowBytes", SYNC_ROW_MAX);
	json_put_i64(w, "pageRows", config->sync_page_rows);
	json_object_close(w);
}

static void put_sqlite(struct json_writer *w, const struct schema_texts *ddl, const char *check)
{
	json_object_open(w, "sqlite");
	json_array_open(w, "statements");
	for (size_t i = 0; i < ddl->count; i++)
		json_put_text(w, NULL, ddl->items[i]);
	json_array_close(w);
	json_put_text(w, "check", check);
	json_object_close(w);
}

enum err sync_schema(struct request *request, struct response *response)
{
	const struct sync_app *synced = NULL;
	const char *scope = NULL;
	struct schema_texts ddl = {NULL, 0};
	struct buf check;
	int64_t from = 0;
	if (!sync_find_app(response, query_text(request, "app"), &synced, &scope) || !query_i64(response, "from", 0, 0, INT32_MAX, &from))
		return OK;
	const struct schema_app *app = synced->app;
	if (from > app->version)
		return refuse(response, PROBLEM_SCHEMA_TOO_NEW);
	if (from && from < app->oldest)
		return refuse(response, PROBLEM_SCHEMA_TOO_OLD);
	buf_init(&check, CHECK_MAX);
	enum err err = sync_sqlite_ddl(app, request->arena, from, &ddl);
	if (!err)
		err = sync_sqlite_check(app, &check);
	if (!err) {
		struct json_writer *w = respond_json(response, 200);
		schema_describe(w, app);
		put_limits(w, request->gate->config);
		put_sqlite(w, &ddl, buf_text(&check));
		if (from)
			schema_describe_migration(w, app, from);
		err = respond_end(response);
	}
	buf_release(&check);
	return err;
}
