/* Asking for runs and test restores. Must never do the work: it queues, the workers do it. */
#include "fcgi/fields.h"
#include "handlers/backups/handlers.h"

#include <string.h>

/* Names of the body; false after a refusal. */
static bool read_names(struct request *request, struct response *response, const char **names, size_t *ret_count)
{
	const json_t *list = json_object_get(request->json, "databases");
	*ret_count = json_array_size(list);
	bool good = !list || json_is_null(list) || (json_is_array(list) && *ret_count > 0 && *ret_count <= BACKUP_SOURCES_MAX);
	for (size_t i = 0; good && i < *ret_count; i++) {
		names[i] = json_string_value(json_array_get(list, i));
		good = names[i] != NULL;
	}
	if (!good)
		refuse_field(response, PROBLEM_INVALID_FIELD, "databases", "names of configured databases");
	return good;
}

enum err backup_trigger(struct request *request, struct response *response)
{
	const char *run = NULL, *reason = NULL, *why = NULL, **names = arena_array(request->arena, BACKUP_SOURCES_MAX, sizeof(*names));
	struct backup_sources sources;
	size_t count = 0;
	bool joined = false;
	if (!names)
		return ERR_TOO_LARGE;
	if (!backup_load(request, response, &sources) || !field_text(response, request->json, "reason", 0, 500, &reason) || !read_names(request, response, names, &count))
		return OK;
	if (!text_equal(request->scope.space, request->gate->config->backups_space))
		return refuse(response, PROBLEM_BACKUP_NONE_CONFIGURED);
	for (size_t i = 0; i < count; i++)
		if (!backup_known(request, response, &sources, names[i]))
			return OK;
	enum err err = backup_begin(&request->gate->pg, request->arena, request->gate->config, "manual", reason, names, count, &run, &joined, &why);
	if (err == ERR_NOT_FOUND)
		return refuse(response, PROBLEM_BACKUP_NONE_CONFIGURED);
	if (err)
		return err;
	request->wake = true;
	struct json_writer *w = respond_json(response, 202);
	json_put_text(w, "runId", run);
	json_put_bool(w, "joined", joined);
	return respond_end(response);
}

enum err backup_verify(struct request *request, struct response *response)
{
	struct backup_sources sources;
	struct pg_rows rows, job;
	const char *day = backup_path_text(request, 0), *database = backup_path_text(request, 1);
	struct pg *pg = &request->gate->pg;
	if (!backup_load(request, response, &sources) || !backup_known(request, response, &sources, database))
		return OK;
	if (!backup_is_day(day))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "date", "a day such as 2026-11-21");
	enum err err = pg_query(pg, request->arena, STMT_BACKUP_FIND, PG_VALUES("daily", database, day), &rows);
	if (!err && rows.count == 0) {
		err = pg_query(pg, request->arena, STMT_BACKUP_DAYS, PG_VALUES("daily", database), &rows);
		return err ? err : refuse_with(response, PROBLEM_BACKUP_NOT_FOUND, "available", pg_text(&rows, 0, 0) ? pg_text(&rows, 0, 0) : "");
	}
	if (!err && pg_bool(&rows, 0, 4) && !*request->gate->config->backups_identity_file)
		return refuse(response, PROBLEM_BACKUP_KEY_MISSING);
	if (!err)
		err = pg_query(pg, request->arena, STMT_BACKUP_VERIFY_ENQUEUE, PG_VALUES(pg_text(&rows, 0, 0)), &job);
	if (err)
		return err;
	request->wake = true;
	struct json_writer *w = respond_json(response, 202);
	json_put_text(w, "id", pg_text(&rows, 0, 0));
	json_put_text(w, "objectKey", pg_text(&rows, 0, 1));
	return respond_end(response);
}
