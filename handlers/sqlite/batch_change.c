/*
 * What people may do to a batch: make it their data (again), try a failed one again, and, by way of the queue's own addresses, stop it.
 * Must never take a batch anywhere but where sqlite_move goes.
 */
#include "fcgi/fields.h"
#include "handlers/sqlite/failures.h"
#include "handlers/sqlite/handlers.h"

/* Columns of the statement sqlite_lock. */
enum { LOCKED_NO, LOCKED_STATUS, LOCKED_PROFILE, LOCKED_JOB, LOCKED_GONE, LOCKED_PARSER, LOCKED_OBJECT };

/* rows without a row: the request was refused. */
static enum err lock(struct request *request, struct response *response, const char **ret_id, struct pg_rows *ret)
{
	*ret = (struct pg_rows){0};
	*ret_id = path_uuid(response, 0);
	if (!*ret_id)
		return OK;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_SQLITE_LOCK, PG_VALUES(*ret_id), ret);
	return err || ret->count ? err : refuse(response, PROBLEM_NOT_FOUND);
}

/* A completed batch becomes its owner's data: the one before, or one after it was rolled back. */
enum err sqlite_activate(struct request *request, struct response *response)
{
	const char *id = path_uuid(response, 0);
	struct pg_rows done;
	if (!id)
		return OK;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_SQLITE_ACTIVATE, PG_VALUES(id), &done);
	if (err)
		return err;
	if (!pg_text(&done, 0, 0) || !pg_bool(&done, 0, 0))
		return refuse(response, pg_text(&done, 0, 0) ? PROBLEM_WRONG_STATE : PROBLEM_NOT_FOUND);
	return sqlite_answer(request, response, id, 200);
}

/* A batch that failed begins anew with the same file, unless another batch has it by now. */
enum err sqlite_retry(struct request *request, struct response *response)
{
	struct pg *pg = &request->gate->pg;
	const char *id = NULL;
	struct pg_rows batch, taken;
	enum err err = lock(request, response, &id, &batch);
	if (err || batch.count == 0)
		return err;
	if (!text_equal(pg_text(&batch, 0, LOCKED_STATUS), "failed") || pg_bool(&batch, 0, LOCKED_GONE) ||
	    !text_equal(pg_text(&batch, 0, LOCKED_PARSER), "internal"))
		return refuse(response, PROBLEM_WRONG_STATE);
	const char *no = pg_text(&batch, 0, LOCKED_NO);
	err = pg_query(pg, request->arena, STMT_UPLOAD_TAKEN, PG_VALUES(pg_text(&batch, 0, LOCKED_OBJECT)), &taken);
	if (!err && (pg_bool(&taken, 0, 0) || pg_bool(&taken, 0, 1)))
		return refuse(response, PROBLEM_BATCH_CONFLICT);
	if (!err)
		err = pg_query(pg, request->arena, STMT_SQLITE_MOVE, PG_VALUES(no, "queued"), NULL);
	if (!err)
		err = pg_query(pg, request->arena, STMT_SQLITE_QUEUE, PG_VALUES(no), NULL);
	request->wake = !err;
	return err ? err : sqlite_answer(request, response, id, 202);
}

/* The live job first, then the batch (sqlite.sql): one that waits is ended here, one that runs by its worker. */
enum err sqlite_cancel(struct request *request, struct response *response)
{
	struct pg *pg = &request->gate->pg;
	const char *id = path_uuid(response, 0);
	struct pg_rows job, running, batch;
	if (!id)
		return OK;
	enum err err = pg_query(pg, request->arena, STMT_SQLITE_LOCK_JOB, PG_VALUES(id), &job);
	if (err || job.count == 0)
		return err ? err : refuse(response, PROBLEM_NOT_FOUND);
	const char *queue_job = pg_text(&job, 0, 0);
	if (!queue_job)
		return refuse(response, PROBLEM_WRONG_STATE);
	err = pg_query(pg, request->arena, STMT_IMPORT_CANCEL_JOB, PG_VALUES(queue_job), NULL);
	if (!err)
		err = pg_query(pg, request->arena, STMT_IMPORT_JOB_RUNNING, PG_VALUES(queue_job), &running);
	if (!err)
		err = lock(request, response, &id, &batch);
	if (!err && batch.count && !(running.count && pg_bool(&running, 0, 0)))
		err = pg_query(pg, request->arena, STMT_SQLITE_FAIL, PG_VALUES(pg_text(&batch, 0, LOCKED_NO), "cancelled", NULL), NULL);
	return err ? err : sqlite_answer(request, response, id, 202);
}

/* An administrator sees to the jobs of everybody in the space: under the scope of whose batch it is. */
static enum err for_owner(struct request *request, struct response *response, handler *run)
{
	struct pg *pg = &request->gate->pg;
	const char *id = path_uuid(response, 0);
	struct pg_rows rows;
	if (!id)
		return OK;
	enum err err = pg_query(pg, request->arena, STMT_SQLITE_OWNER, PG_VALUES(id), &rows);
	if (err || !pg_text(&rows, 0, 0))
		return err ? err : refuse(response, PROBLEM_NOT_FOUND);
	const struct pg_scope owner = {pg_text(&rows, 0, 0), request->scope.space, request->scope.role};
	err = pg_rescope(pg, &owner);
	if (!err)
		err = run(request, response);
	return err ? err : pg_rescope(pg, &request->scope);
}

static enum err retry_for_owner(struct request *request, struct response *response)
{
	return for_owner(request, response, sqlite_retry);
}

static enum err cancel_for_owner(struct request *request, struct response *response)
{
	return for_owner(request, response, sqlite_cancel);
}

static const struct job_care kinds[] = {{"sqlite.import", retry_for_owner, cancel_for_owner, false, sqlite_failure_sentence}};

const struct job_care_table sqlite_job_care = {kinds, sizeof(kinds) / sizeof(kinds[0])};
