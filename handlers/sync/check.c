/*
 * GET /api/sync/check: rows and checksum of every table, for a client that wants to know whether it has what the server has.
 * Must never write.
 */
#include "handlers/sync/handlers.h"

#include "core/base/clock.h"
#include "fcgi/fields.h"
#include "handlers/sync/sync.h"

static enum err put_tables(const struct request *request, const struct sync_app *app, const char *scope, struct json_writer *w)
{
	enum err err = OK;
	json_object_open(w, "tables");
	for (size_t t = 0; !err && t < app->count; t++) {
		const struct sync_table *synced = &app->tables[t];
		struct pg_rows rows;
		err = pg_query_generated(&request->gate->pg, request->arena, synced->first_slot + SYNC_CHECK, synced->sql[SYNC_CHECK], 1, PG_VALUES(scope), &rows);
		if (err)
			break;
		json_object_open(w, synced->table->name);
		json_put_i64(w, "rows", pg_i64(&rows, 0, 0));
		json_put_text(w, "checksum", pg_text(&rows, 0, 1));
		json_object_close(w);
	}
	json_object_close(w);
	return err;
}

/* The counts are of now. They can be compared when nothing has changed since the client's time: upToDate. */
enum err sync_check(struct request *request, struct response *response)
{
	const struct sync_app *app = NULL;
	const char *scope = NULL, *at = query_text(request, "at");
	int64_t since = 0;
	struct pg_rows rows;
	if (!sync_find_app(response, query_text(request, "app"), &app, &scope))
		return OK;
	if (at && clock_parse_iso8601(at, &since))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "at", "timestamp of an earlier answer");
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_SYNC_LOOK, PG_VALUES(app->app->name, scope, app->app->has_catalogue ? "t" : "f"), &rows);
	if (err)
		return err;
	int64_t version = pg_i64(&rows, 0, 0), catalogue = pg_i64(&rows, 0, 2);
	int64_t latest = version > catalogue ? version : catalogue;
	struct json_writer *w = respond_json(response, 200);
	json_put_text(w, "timestamp", sync_time(request->arena, latest));
	json_put_bool(w, "upToDate", at && since == latest);
	err = put_tables(request, app, scope, w);
	return err ? err : respond_end(response);
}
