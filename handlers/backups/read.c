/*
 * Reading what there is of backups. Never changes anything. What a client sees is shaped by the column aliases of the statements
 * (sql/queries/backups.sql); row-level security keeps it to the space that backups belong to.
 */
#include "core/base/clock.h"
#include "core/base/version.h"
#include "core/store/store.h"
#include "fcgi/fields.h"
#include "fcgi/page.h"
#include "handlers/backups/failures.h"
#include "handlers/backups/handlers.h"

#include <string.h>

const char *backup_path_text(const struct request *request, size_t index)
{
	return arena_copy(request->arena, request->path_values[index].p, request->path_values[index].n);
}

bool backup_is_day(const char *text)
{
	int64_t year = 0, month = 0, day = 0;
	return text && strlen(text) == 10 && text[4] == '-' && text[7] == '-' && !parse_i64_n(text, 4, 1, 9999, &year) && !parse_i64_n(text + 5, 2, 1, 12, &month) &&
	       !parse_i64_n(text + 8, 2, 1, 31, &day) && clock_date_exists(year, month, day);
}

bool backup_load(struct request *request, struct response *response, struct backup_sources *ret)
{
	const char *why = NULL;
	if (backup_sources_load(request->arena, request->gate->config, ret, &why) == OK)
		return true;
	refuse(response, PROBLEM_BACKUP_CONFIGURATION);
	return false;
}

bool backup_known(struct request *request, struct response *response, const struct backup_sources *sources, const char *name)
{
	struct buf names;
	bool ours = text_equal(request->scope.space, request->gate->config->backups_space);
	if (name && ours && backup_source_find(sources, name))
		return true;
	buf_init(&names, 1 << 16);
	for (size_t i = 0; ours && i < sources->count; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", sources->list[i].name);
	refuse_with(response, PROBLEM_BACKUP_NOT_FOUND, "available", arena_strdup(request->arena, buf_text(&names)));
	buf_release(&names);
	return false;
}

static void put_code(struct json_writer *w, const struct request *request, const char *name, const char *code)
{
	if (!code) {
		json_put_null(w, name);
		return;
	}
	json_object_open(w, name);
	json_put_text(w, "code", code);
	json_put_text(w, "message", backup_failure_sentence(code, request->language));
	json_object_close(w);
}

static void put_failure(struct json_writer *w, const struct request *request, const char *code)
{
	put_code(w, request, "error", code);
}

static const char *named(const struct pg_rows *rows, int row, const char *column)
{
	return pg_text(rows, row, PQfnumber(rows->result, column));
}

/* Nothing that an outsider could use: no names, no sizes. */
enum err backup_info(struct request *request, struct response *response)
{
	const struct config *config = request->gate->config;
	respond_header(response, "Vary", "Accept, Accept-Language, Authorization");
	if (accept_names(request_param(request, "HTTP_ACCEPT"), "text/html"))
		return backup_page(request, response);
	struct json_writer *w = respond_json(response, 200);
	json_put_text(w, "name", "Tidegate backups");
	json_put_text(w, "version", TIDEGATE_VERSION);
	json_object_open(w, "schedule");
	json_put_text(w, "daily", config->backups_daily_at);
	json_put_text(w, "weekly", arena_printf(request->arena, "Sunday %s", config->backups_weekly_at));
	json_object_close(w);
	json_object_open(w, "retention");
	json_put_i64(w, "dailyDays", config->backups_daily_days);
	json_put_i64(w, "weeklyWeeks", config->backups_weekly_weeks);
	json_object_close(w);
	json_put_text(w, "documentation", "/api/openapi.yaml");
	return respond_end(response);
}

/* Says whether backups work, not of what. A failed check outranks everything; so does a database that has nothing verified. */
enum err backup_health_now(struct request *request, const char **ret)
{
	const struct config *config = request->gate->config;
	struct backup_sources sources;
	struct pg_rows rows;
	const char *why = NULL, *status = "healthy";
	struct pg_scope scope = {"", config->backups_space, "worker"};
	enum err err = backup_sources_load(request->arena, config, &sources, &why);
	const char *names = err ? NULL : backup_names(request->arena, &sources, false);
	if (!err)
		err = pg_call(&request->gate->pg, request->arena, &scope, STMT_BACKUP_DATABASES, PG_VALUES(names), &rows);
	for (int i = 0; !err && i < rows.count; i++) {
		const struct backup_source *source = backup_source_find(&sources, pg_text(&rows, i, 0));
		if (source && source->postgresql)
			continue;
		bool stale = !pg_text(&rows, i, 1) || pg_i64(&rows, i, 2) > config->backups_stale_hours * 3600;
		if (named(&rows, i, "_error") && !text_equal(status, "unhealthy"))
			status = "degraded";
		status = stale ? "unhealthy" : status;
	}
	if (!err)
		*ret = status;
	return err;
}

enum err backup_health(struct request *request, struct response *response)
{
	const char *status = NULL;
	if (backup_health_now(request, &status))
		status = "unhealthy";
	struct json_writer *w = respond_json(response, text_equal(status, "unhealthy") ? 503 : 200);
	json_put_text(w, "status", status);
	json_put_text(w, "version", TIDEGATE_VERSION);
	return respond_end(response);
}

static void put_databases(struct json_writer *w, const struct request *request, const struct backup_sources *sources, const struct pg_rows *rows)
{
	json_array_open(w, "databases");
	for (int i = 0; i < rows->count; i++) {
		const struct backup_source *source = backup_source_find(sources, pg_text(rows, i, 0));
		json_object_open(w, NULL);
		pg_row_members(w, rows, i);
		json_put_text(w, "description", source ? source->description : "");
		json_put_text(w, "priority", source ? backup_priority_name(source->priority) : "normal");
		put_failure(w, request, named(rows, i, "_error"));
		json_object_close(w);
	}
	json_array_close(w);
}

/* Of the second store; null when there is none. */
static enum err put_replica(struct json_writer *w, struct request *request)
{
	struct config replica;
	const char *place = NULL;
	struct pg_rows rows;
	if (!store_replica(request->arena, request->gate->config, &replica, &place)) {
		json_put_null(w, "replica");
		return OK;
	}
	enum err err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_BACKUP_REPLICA_STATE, PG_VALUES(place), &rows);
	if (!err)
		pg_row_json(w, "replica", &rows, 0);
	return err;
}

enum err backup_status(struct request *request, struct response *response)
{
	struct backup_sources sources;
	struct pg_rows totals, runs, databases;
	struct pg *pg = &request->gate->pg;
	if (!backup_load(request, response, &sources))
		return OK;
	if (!text_equal(request->scope.space, request->gate->config->backups_space))
		sources.count = 0;
	enum err err = pg_call(pg, request->arena, &request->scope, STMT_BACKUP_TOTALS, PG_VALUES(request->gate->config->backups_daily_at), &totals);
	if (!err)
		err = pg_call(pg, request->arena, &request->scope, STMT_BACKUP_RUN_LIST, PG_NONE, &runs);
	if (!err)
		err = pg_call(pg, request->arena, &request->scope, STMT_BACKUP_DATABASES, PG_VALUES(backup_names(request->arena, &sources, false)), &databases);
	if (err)
		return err;
	struct json_writer *w = respond_json(response, 200);
	json_put_text(w, "currentStatus", pg_bool(&totals, 0, 0) ? "running" : "idle");
	json_put_text(w, "nextScheduled", sources.count ? pg_text(&totals, 0, 5) : NULL);
	json_array_open(w, "recentRuns");
	for (int i = 0; i < runs.count; i++)
		pg_row_json(w, NULL, &runs, i);
	json_array_close(w);
	put_databases(w, request, &sources, &databases);
	json_object_open(w, "storage");
	json_put_i64(w, "totalBackups", pg_i64(&totals, 0, 1));
	json_put_i64(w, "totalBytes", pg_i64(&totals, 0, 2));
	json_put_text(w, "oldestBackup", pg_text(&totals, 0, 3));
	json_put_text(w, "newestBackup", pg_text(&totals, 0, 4));
	json_object_close(w);
	err = put_replica(w, request);
	return err ? err : respond_end(response);
}

static void put_backup(struct json_writer *w, const struct request *request, const struct pg_rows *rows, int row)
{
	bool weekly = text_equal(named(rows, row, "kind"), "weekly");
	const char *database = named(rows, row, "database");
	pg_row_members(w, rows, row);
	put_failure(w, request, named(rows, row, "_error"));
	put_code(w, request, "replicaError", named(rows, row, "_replica_error"));
	json_put_text(w, "downloadUrl", weekly ? arena_join(request->arena, "/backups/weekly/", database, "")
	                                       : arena_printf(request->arena, "/backups/download/%s/%s", named(rows, row, "date"), database));
}

static bool query_day(struct response *response, const char *name, const char **ret)
{
	*ret = query_text(response->request, name);
	if (!*ret || backup_is_day(*ret))
		return true;
	refuse_field(response, PROBLEM_INVALID_FIELD, name, "a day such as 2026-11-21");
	return false;
}

enum err backup_list(struct request *request, struct response *response)
{
	struct page page;
	struct pg_rows rows;
	const char *kind, *from, *to, *database = query_text(request, "db");
	if (!query_choice(response, "kind", "daily weekly", &kind) || !query_day(response, "from", &from) || !query_day(response, "to", &to) || !page_read(response, &page))
		return OK;
	enum err err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_BACKUP_LIST,
	                       PG_VALUES(database, kind, from, to, page.at, page.id, pg_number(request->arena, page.limit + 1)), &rows);
	return err ? err : page_answer(response, &page, &rows, put_backup);
}

enum err backup_run_show(struct request *request, struct response *response)
{
	struct pg_rows run, results;
	const char *id = path_uuid(response, 0);
	if (!id)
		return OK;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_BACKUP_RUN_GET, PG_VALUES(id), &run);
	if (!err && run.count == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	if (!err)
		err = pg_query(&request->gate->pg, request->arena, STMT_BACKUP_RUN_RESULTS, PG_VALUES(id), &results);
	if (err)
		return err;
	struct json_writer *w = respond_json(response, 200);
	pg_row_members(w, &run, 0);
	json_array_open(w, "results");
	for (int i = 0; i < results.count; i++) {
		json_object_open(w, NULL);
		pg_row_members(w, &results, i);
		put_failure(w, request, named(&results, i, "_error"));
		json_object_close(w);
	}
	json_array_close(w);
	return respond_end(response);
}

enum err backup_find(struct request *request, struct response *response, const char *kind, const char *database, const char *day, struct pg_rows *rows)
{
	struct pg_rows days;
	enum err err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_BACKUP_FIND, PG_VALUES(kind, database, day), rows);
	if (err || rows->count)
		return err;
	err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_BACKUP_DAYS, PG_VALUES(kind, day ? database : NULL), &days);
	if (err)
		return err;
	const char *available = pg_text(&days, 0, 0);
	return refuse_with(response, PROBLEM_BACKUP_NOT_FOUND, "available", available ? available : "");
}

enum err backup_compare(struct request *request, struct response *response)
{
	struct backup_sources sources;
	struct pg_rows from, to, tables, schema;
	const char *database = backup_path_text(request, 0), *days[2];
	if (!backup_load(request, response, &sources) || !backup_known(request, response, &sources, database) || !query_day(response, "from", &days[0]) ||
	    !query_day(response, "to", &days[1]))
		return OK;
	if (!days[0] || !days[1])
		return refuse_field(response, PROBLEM_INVALID_FIELD, days[0] ? "to" : "from", "a day such as 2026-11-21");
	enum err err = backup_find(request, response, "daily", database, days[0], &from);
	if (err || from.count == 0)
		return err;
	err = backup_find(request, response, "daily", database, days[1], &to);
	if (err || to.count == 0)
		return err;
	const char *const *ids = PG_VALUES(pg_text(&from, 0, 0), pg_text(&to, 0, 0));
	err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_BACKUP_COMPARE, ids, &tables);
	if (!err)
		err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_BACKUP_SCHEMA_SAME, ids, &schema);
	if (err)
		return err;
	struct json_writer *w = respond_json(response, 200);
	json_put_text(w, "database", database);
	json_put_text(w, "from", days[0]);
	json_put_text(w, "to", days[1]);
	json_put_bool(w, "schemaChanged", pg_text(&schema, 0, 0) && !pg_bool(&schema, 0, 0));
	json_array_open(w, "tables");
	for (int i = 0; i < tables.count; i++)
		pg_row_json(w, NULL, &tables, i);
	json_array_close(w);
	return respond_end(response);
}
