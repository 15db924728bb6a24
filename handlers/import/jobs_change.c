/*
 * Changing imports: mapping, parse, commit, undo, cancel, retry, delete, error report. Each runs in the transaction of its
 * request: row lock, check of the state, change, queue. Must never do a worker's work.
 */
#include "core/base/clock.h"
#include "core/store/store.h"
#include "fcgi/fields.h"
#include "handlers/import/commit_options.h"
#include "handlers/import/handlers.h"
#include "handlers/import/mapping_change.h"
#include "handlers/import/retention.h"

/* Columns of the statement import_lock. */
enum { LOCK_NO, LOCK_STATUS, LOCK_TARGET, LOCK_COLUMNS, LOCK_MAPPING, LOCK_FORMAT, LOCK_QUEUE_JOB, LOCK_PARSED, LOCK_FAILED_IN, LOCK_FINGERPRINT, LOCK_PLANNED, LOCK_REPORT, LOCK_OBJECT };

static bool in(const char *status, const char *const *list)
{
	for (; *list; list++)
		if (text_equal(status, *list))
			return true;
	return false;
}

/* Locks the import of the path. False after a refusal or failure (*ret_err). */
static bool lock(struct request *request, struct response *response, const char **ret_id, struct pg_rows *ret, enum err *ret_err)
{
	const char *id = path_uuid(response, 0);
	*ret_err = OK;
	if (!id)
		return false;
	*ret_err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_LOCK, PG_VALUES(id), ret);
	if (*ret_err)
		return false;
	if (ret->count == 0) {
		refuse(response, PROBLEM_NOT_FOUND);
		return false;
	}
	*ret_id = id;
	return true;
}

static enum err queue(struct request *request, const char *no, const char *status, const char *kind)
{
	request->wake = true;
	return pg_query(&request->gate->pg, request->arena, STMT_IMPORT_QUEUE, PG_VALUES(no, status, kind), NULL);
}

enum err import_put_mapping(struct request *request, struct response *response)
{
	static const char *const allowed[] = {"mapping", "ready", NULL};
	struct pg *pg = &request->gate->pg;
	const char *id;
	struct pg_rows rows;
	struct mapping_change change;
	enum err err;
	if (!lock(request, response, &id, &rows, &err))
		return err;
	const char *status = pg_text(&rows, 0, LOCK_STATUS), *no = pg_text(&rows, 0, LOCK_NO);
	/* An inspection that failed because of a wrong override can be put right by another one, and by nothing else. */
	bool not_inspected = text_equal(status, "failed") && text_equal(pg_text(&rows, 0, LOCK_FAILED_IN), "inspecting");
	if (!in(status, allowed) && !not_inspected)
		return refuse_with(response, PROBLEM_WRONG_STATE, "state", status);
	const struct schema_target *target = catalog_target(&request->gate->catalog, pg_text(&rows, 0, LOCK_TARGET));
	if (!target)
		return ERR_BUG;
	err = mapping_change_read(request, response, target->table, pg_text(&rows, 0, LOCK_COLUMNS), &change);
	if (err || response->is_problem)
		return err;
	if (not_inspected && !change.overrides)
		return refuse_with(response, PROBLEM_WRONG_STATE, "state", status);
	if (change.mapping)
		err = pg_query(pg, request->arena, STMT_IMPORT_SET_MAPPING, PG_VALUES(no, change.mapping, change.columns), NULL);
	if (!err && change.save_as && change.mapping)
		err = pg_query(pg, request->arena, STMT_IMPORT_SAVE_MAPPING,
		               PG_VALUES(target->table->name, pg_text(&rows, 0, LOCK_FINGERPRINT), change.save_as, change.mapping), NULL);
	if (!err && change.overrides)
		err = pg_query(pg, request->arena, STMT_IMPORT_SET_OVERRIDES, PG_VALUES(no, change.overrides), NULL);
	if (!err && change.values)
		err = pg_query(pg, request->arena, STMT_IMPORT_SET_VALUES, PG_VALUES(no, change.values), NULL);
	if (!err && change.overrides)
		err = queue(request, no, "inspecting", "import.inspect");
	else if (!err && (change.mapping || change.values) && text_equal(status, "ready")) /* the rows were made by another mapping */
		err = pg_query(pg, request->arena, STMT_IMPORT_MOVE, PG_VALUES(no, "mapping"), NULL);
	return err ? err : import_answer(request, response, id, change.overrides ? 202 : 200);
}

enum err import_parse(struct request *request, struct response *response)
{
	static const char *const allowed[] = {"mapping", "ready", NULL};
	const char *id;
	struct pg_rows rows;
	enum err err;
	if (!lock(request, response, &id, &rows, &err))
		return err;
	const struct schema_target *target = catalog_target(&request->gate->catalog, pg_text(&rows, 0, LOCK_TARGET));
	if (!in(pg_text(&rows, 0, LOCK_STATUS), allowed))
		return refuse_with(response, PROBLEM_WRONG_STATE, "state", pg_text(&rows, 0, LOCK_STATUS));
	if (!target)
		return ERR_BUG;
	if (!mapping_complete(target->table, pg_text(&rows, 0, LOCK_MAPPING)))
		return refuse(response, PROBLEM_MAPPING_INCOMPLETE);
	const char *no = pg_text(&rows, 0, LOCK_NO);
	err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_RESET_ROWS, PG_VALUES(no), NULL);
	if (!err)
		err = queue(request, no, "queued", "import.parse");
	return err ? err : import_answer(request, response, id, 202);
}

/* A dry run changes nothing but the preview, which is made in the background. */
static enum err queue_preview(struct request *request, const char *no, const struct commit_options *options)
{
	request->wake = true;
	return pg_query(&request->gate->pg, request->arena, STMT_IMPORT_SET_PREVIEW,
	                PG_VALUES(no, options->assignment, options->duplicates, options->defaults), NULL);
}

enum err import_commit(struct request *request, struct response *response)
{
	const json_t *dry = json_object_get(request->json, "dryRun");
	const char *id = path_uuid(response, 0);
	struct pg_rows rows;
	struct commit_options options;
	enum err err = OK;
	if (!id)
		return OK;
	if (dry && !json_is_boolean(dry))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "dryRun", "true or false");
	if (json_is_true(dry))
		err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_REVIEW, PG_VALUES(id), NULL);
	if (err || !lock(request, response, &id, &rows, &err))
		return err;
	const struct schema_target *target = catalog_target(&request->gate->catalog, pg_text(&rows, 0, LOCK_TARGET));
	if (!text_equal(pg_text(&rows, 0, LOCK_STATUS), "ready"))
		return refuse_with(response, PROBLEM_WRONG_STATE, "state", pg_text(&rows, 0, LOCK_STATUS));
	if (!target)
		return ERR_BUG;
	err = commit_options_read(request, response, target, pg_text(&rows, 0, LOCK_COLUMNS), &options);
	if (err || response->is_problem)
		return err;
	const char *no = pg_text(&rows, 0, LOCK_NO);
	if (json_is_true(dry)) {
		err = queue_preview(request, no, &options);
		return err ? err : import_answer(request, response, id, 202);
	}
	err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_SET_COMMIT,
	               PG_VALUES(no, options.assignment, options.duplicates, options.defaults), NULL);
	if (!err)
		err = queue(request, no, "importing", "import.commit");
	return err ? err : import_answer(request, response, id, 202);
}

/* Only what is completed; what a failed or cancelled commit has written stays, unless it is retried first. */
enum err import_undo(struct request *request, struct response *response)
{
	const char *id;
	struct pg_rows rows;
	enum err err;
	if (!lock(request, response, &id, &rows, &err))
		return err;
	if (!text_equal(pg_text(&rows, 0, LOCK_STATUS), "completed"))
		return refuse_with(response, PROBLEM_WRONG_STATE, "state", pg_text(&rows, 0, LOCK_STATUS));
	const char *no = pg_text(&rows, 0, LOCK_NO);
	err = pg_query(&request->gate->pg, request->arena, STMT_UNDO_ASK, PG_VALUES(no), NULL);
	if (!err)
		err = queue(request, no, "undoing", "import.undo");
	return err ? err : import_answer(request, response, id, 202);
}

/*
 * A job in a worker's hands is stopped by the worker at its next batch; anything else ends here and now. The job is locked
 * before the import, as everywhere: we wait for a batch that is just ending, and see what it made of the import.
 */
enum err import_cancel(struct request *request, struct response *response)
{
	static const char *const ended[] = {"completed", "failed", "cancelled", "undone", NULL};
	struct pg *pg = &request->gate->pg;
	const char *id = path_uuid(response, 0), *job = NULL;
	struct pg_rows rows, found;
	bool in_hands = false;
	if (!id)
		return OK;
	enum err err = pg_query(pg, request->arena, STMT_IMPORT_QUEUE_JOB, PG_VALUES(id), &found);
	if (!err && found.count)
		job = pg_text(&found, 0, 0);
	if (!err && job)
		err = pg_query(pg, request->arena, STMT_IMPORT_CANCEL_JOB, PG_VALUES(job), NULL);
	if (!err && job)
		err = pg_query(pg, request->arena, STMT_IMPORT_JOB_RUNNING, PG_VALUES(job), &found);
	if (!err && job)
		in_hands = found.count && pg_bool(&found, 0, 0);
	if (err || !lock(request, response, &id, &rows, &err))
		return err;
	const char *status = pg_text(&rows, 0, LOCK_STATUS), *job_now = pg_text(&rows, 0, LOCK_QUEUE_JOB);
	/* ended, or on to its next phase, while we waited */
	if (in(status, ended) || (job_now && !text_equal(job_now, job)))
		return refuse_with(response, PROBLEM_WRONG_STATE, "state", status);
	if (!in_hands)
		err = pg_query(pg, request->arena, STMT_IMPORT_STOP, PG_VALUES(pg_text(&rows, 0, LOCK_NO), "cancelled", NULL), NULL);
	return err ? err : import_answer(request, response, id, 202);
}

/* Goes on from the checkpoint of the phase in which it stopped. */
enum err import_retry(struct request *request, struct response *response)
{
	static const char *const allowed[] = {"failed", "cancelled", NULL};
	static const struct {
		const char *failed_in, *status, *kind;
	} resumes[] = {
	    {"pending", "inspecting", "import.inspect"}, {"inspecting", "inspecting", "import.inspect"}, {"queued", "queued", "import.parse"},
	    {"parsing", "queued", "import.parse"},       {"importing", "importing", "import.commit"},
	    {"undoing", "undoing", "import.undo"},
	};
	const char *id;
	struct pg_rows rows;
	enum err err;
	if (!lock(request, response, &id, &rows, &err))
		return err;
	const char *no = pg_text(&rows, 0, LOCK_NO), *failed_in = pg_text(&rows, 0, LOCK_FAILED_IN);
	if (!in(pg_text(&rows, 0, LOCK_STATUS), allowed))
		return refuse_with(response, PROBLEM_WRONG_STATE, "state", pg_text(&rows, 0, LOCK_STATUS));
	err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_RESUME, PG_VALUES(no), NULL);
	for (size_t i = 0; !err && i < sizeof(resumes) / sizeof(resumes[0]); i++)
		if (text_equal(resumes[i].failed_in, failed_in)) {
			err = queue(request, no, resumes[i].status, resumes[i].kind);
			return err ? err : import_answer(request, response, id, 202);
		}
	/* cancelled in mapping or when it was ready: nothing was under way, it is there again */
	if (!err)
		err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_MOVE, PG_VALUES(no, failed_in), NULL);
	return err ? err : import_answer(request, response, id, 202);
}

/* The import is gone at once; its rows, file and report follow in the background. Imported records stay. */
enum err import_delete(struct request *request, struct response *response)
{
	static const char *const busy[] = {"pending", "inspecting", "queued", "parsing", "importing", "undoing", NULL};
	struct pg *pg = &request->gate->pg;
	const char *id;
	struct pg_rows rows;
	enum err err;
	if (!lock(request, response, &id, &rows, &err))
		return err;
	if (in(pg_text(&rows, 0, LOCK_STATUS), busy))
		return refuse_with(response, PROBLEM_WRONG_STATE, "state", pg_text(&rows, 0, LOCK_STATUS));
	const struct import_removal what = {pg_text(&rows, 0, LOCK_NO), id, request->scope.space, pg_text(&rows, 0, LOCK_OBJECT)};
	err = import_remove(pg, request->arena, &what);
	if (err)
		return err;
	request->wake = true;
	response->status = 204;
	return OK;
}

enum err import_error_report(struct request *request, struct response *response)
{
	const struct config *config = request->gate->config;
	const char *id = path_uuid(response, 0), *url;
	char expires[CLOCK_ISO_SIZE];
	struct pg_rows rows;
	if (!id)
		return OK;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_REPORT, PG_VALUES(id), &rows);
	if (err || rows.count == 0)
		return err ? err : refuse(response, PROBLEM_NOT_FOUND);
	const char *key = pg_text(&rows, 0, 0);
	if (!key)
		return refuse(response, PROBLEM_REPORT_NOT_READY);
	const char *name = arena_printf(request->arena, "erreurs-%s", pg_text(&rows, 0, 2));
	if (!name)
		return ERR_TOO_LARGE;
	err = store_presign_get(request->arena, config, key, name, "text/csv; charset=utf-8", config->download_url_life_s, &url);
	if (err)
		return err;
	clock_iso8601((clock_unix() + config->download_url_life_s) * 1000000, expires);
	struct json_writer *w = respond_json(response, 200);
	json_put_text(w, "downloadUrl", url);
	json_put_text(w, "expiresAt", expires);
	json_put_i64(w, "rows", pg_i64(&rows, 0, 1));
	return respond_end(response);
}
