/*
 * sqlite.retention: rows of batches that are nobody's data any more go, with their mirror; so do batches of parsers that were not heard of.
 * Must never remove what is somebody's data now, nor what can still be gone back to.
 */
#include "core/base/log.h"
#include "handlers/sqlite/handlers.h"

enum { EVERY_S = 300, PER_RUN = 20 };

static enum err forget_one(struct worker *worker, struct arena *arena, const char *days, bool *ret_more)
{
	struct pg *pg = &worker->pg;
	struct pg_rows rows = {0};
	enum err err = pg_begin(pg, NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_SQLITE_EXPIRED, PG_VALUES(days, "1"), &rows);
	if (!err && rows.count)
		err = pg_query(pg, arena, STMT_SQLITE_FORGET, PG_VALUES(pg_text(&rows, 0, 0)), NULL);
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	*ret_more = !err && rows.count;
	if (*ret_more)
		log_write(LOG_LEVEL_INFO, "sqlite_expired", LOG_TEXT("batch", pg_text(&rows, 0, 0)));
	return err;
}

enum err sqlite_retention_run(struct worker *worker, struct arena *arena, struct job *job)
{
	const struct config *config = worker->config;
	bool more = config->sqlite_keep_days > 0;
	enum err err = pg_query(&worker->pg, arena, STMT_SQLITE_SILENT, PG_VALUES(pg_number(arena, config->parser_silence_s)), NULL);
	for (int i = 0; !err && more && i < PER_RUN; i++)
		err = forget_one(worker, arena, pg_number(arena, config->sqlite_keep_days), &more);
	if (!err && config->import_retention_days > 0)
		err = pg_query(&worker->pg, arena, STMT_SQLITE_HISTORY_EXPIRED, PG_VALUES(pg_number(arena, config->import_retention_days)), NULL);
	return err ? err : job_end(worker, arena, job, "done");
}

const struct job_schedule sqlite_schedules[] = {{"sqlite.retention", "sqlite.retention", EVERY_S}};
const size_t sqlite_schedule_count = 1;
