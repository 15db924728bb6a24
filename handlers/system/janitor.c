/*
 * system.janitor: what others leave behind, every five minutes. Upload URLs nobody used, bodies of uploads that broke off
 * (a killed nginx worker leaves its file), objects that no import took within a day, old keys and history.
 * Must never remove what an import still refers to.
 */
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/store/store.h"
#include "handlers/system/handlers.h"

enum { SPOOL_AGE_S = 7200, EVERY_S = 300 };

/* File first, row after: whatever dies in between leaves a row that leads to the file again. */
static enum err remove_upload(struct worker *worker, struct arena *arena, const char *key, int64_t *count)
{
	struct pg_rows free_to_go;
	enum err err = pg_query(&worker->pg, arena, STMT_JANITOR_UPLOADS_CHECK, PG_VALUES(key), &free_to_go);
	if (err || !pg_bool(&free_to_go, 0, 0))
		return err;
	err = store_delete(worker->config, key);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_JANITOR_UPLOADS_REMOVE, PG_VALUES(key), NULL);
	*count += !err;
	return err;
}

static enum err remove_uploads(struct worker *worker, struct arena *arena, int64_t *ret_count)
{
	struct pg_rows rows;
	enum err err = pg_begin(&worker->pg, NULL);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_JANITOR_UPLOADS_EXPIRE, PG_NONE, NULL);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_JANITOR_UPLOADS_LOCK, PG_NONE, &rows);
	for (int i = 0; !err && i < rows.count; i++)
		err = remove_upload(worker, arena, pg_text(&rows, i, 0), ret_count);
	return err ? err : pg_commit(&worker->pg);
}

static enum err janitor_run(struct worker *worker, struct arena *arena, struct job *job)
{
	int64_t files = 0, uploads = 0;
	struct pg_rows rows;
	enum err err = store_sweep(worker->config, SPOOL_AGE_S, &files);
	if (!err)
		err = remove_uploads(worker, arena, &uploads);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_JANITOR_JOBS, PG_NONE, &rows);
	if (!err)
		err = job_end(worker, arena, job, "done");
	if (err)
		return err;
	int64_t old = pg_i64(&rows, 0, 0);
	metrics_add(METRIC_JANITOR_REMOVED, files + uploads + old);
	if (files + uploads + old)
		log_write(LOG_LEVEL_INFO, "janitor", LOG_INT("files", files), LOG_INT("uploads", uploads), LOG_INT("rows", old));
	return OK;
}

const struct job_kind system_job_kinds[] = {{"system.janitor", janitor_run, NULL}};
const size_t system_job_kind_count = 1;
const struct job_schedule system_schedules[] = {{"janitor", "system.janitor", EVERY_S}};
const size_t system_schedule_count = 1;
