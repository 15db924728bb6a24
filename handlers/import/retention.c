/*
 * Removal of imports, and which of them are due. Called by DELETE, by the job import.retention and by `tidegate retention`.
 * Must never remove an import that has not ended, nor anything that was imported.
 */
#include "handlers/import/retention.h"

#include "core/base/log.h"
#include "core/base/metrics.h"
#include "handlers/import/error_file.h"
#include "handlers/import/handlers.h"
#include "handlers/import/job_common.h"

enum { EVERY_S = 600, PER_RUN = 200 };

/* Columns of the statement import_expired. */
enum { EXPIRED_NO, EXPIRED_ID, EXPIRED_SPACE, EXPIRED_OBJECT, EXPIRED_TARGET, EXPIRED_STATUS, EXPIRED_ROWS, EXPIRED_FILE, EXPIRED_ENDED };

enum err import_remove(struct pg *pg, struct arena *arena, const struct import_removal *what)
{
	const char *report = import_report_key(arena, what->space, what->id);
	/* Keys hold no quote, comma or brace (store.h): they can stand in an array literal as they are. */
	const char *objects = report ? arena_printf(arena, "{%s,%s}", what->object_key, report) : NULL;
	if (!objects)
		return ERR_TOO_LARGE;
	enum err err = pg_query(pg, arena, STMT_IMPORT_ENQUEUE_REMOVAL, PG_VALUES(what->no, objects), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_FORGET_JOBS, PG_VALUES(what->no), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_FORGET_UPLOAD, PG_VALUES(what->no), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_DELETE, PG_VALUES(what->no), NULL);
	return err;
}

/* *ret_gone false: it is not due any more, or somebody uses it. */
static enum err remove_expired(struct pg *pg, struct arena *arena, const struct import_removal *what, const char *days, bool *ret_gone)
{
	const struct pg_scope scope = {"", what->space, "worker"};
	struct pg_rows locked = {0};
	*ret_gone = false;
	enum err err = pg_begin(pg, &scope);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_EXPIRED_LOCK, PG_VALUES(what->no, days), &locked);
	if (!err && locked.count)
		err = import_remove(pg, arena, what);
	if (!err && locked.count)
		err = pg_commit(pg);
	*ret_gone = !err && locked.count;
	pg_rollback(pg);
	return err;
}

enum err import_retain(struct pg *pg, struct arena *arena, enum import_retention what, int64_t days, int64_t limit,
                       void (*tell)(const struct import_expired *expired), int64_t *ret_count)
{
	struct pg_rows rows;
	const char *days_text = pg_number(arena, days);
	*ret_count = 0;
	enum err err = pg_query(pg, arena, STMT_IMPORT_EXPIRED, PG_VALUES(days_text, pg_number(arena, limit)), &rows);
	for (int i = 0; !err && i < rows.count; i++) {
		const struct import_removal removal = {pg_text(&rows, i, EXPIRED_NO), pg_text(&rows, i, EXPIRED_ID), pg_text(&rows, i, EXPIRED_SPACE),
		                                       pg_text(&rows, i, EXPIRED_OBJECT)};
		bool counts = true;
		if (what == IMPORT_RETENTION_REMOVE)
			err = remove_expired(pg, arena, &removal, days_text, &counts);
		if (err || !counts)
			continue;
		const struct import_expired expired = {removal.id, removal.space, pg_text(&rows, i, EXPIRED_TARGET), pg_text(&rows, i, EXPIRED_STATUS),
		                                       pg_text(&rows, i, EXPIRED_FILE), pg_text(&rows, i, EXPIRED_ENDED), pg_i64(&rows, i, EXPIRED_ROWS)};
		++*ret_count;
		if (tell)
			tell(&expired);
	}
	if (what == IMPORT_RETENTION_REMOVE)
		metrics_add(METRIC_IMPORTS_EXPIRED, *ret_count);
	return err;
}

static void note(const struct import_expired *expired)
{
	log_write(LOG_LEVEL_INFO, "import_expired", LOG_TEXT("import", expired->id), LOG_TEXT("ended", expired->ended_at));
}

enum err import_retention_run(struct worker *worker, struct arena *arena, struct job *job)
{
	int64_t count = 0, days = worker->config->import_retention_days;
	enum err err = days ? import_retain(&worker->pg, arena, IMPORT_RETENTION_REMOVE, days, PER_RUN, note, &count) : OK;
	if (!err)
		err = job_end(worker, arena, job, "done");
	if (count)
		jobs_wake(&worker->pg);
	return err;
}

const struct job_schedule import_schedules[] = {{"import.retention", "import.retention", EVERY_S}};
const size_t import_schedule_count = 1;
