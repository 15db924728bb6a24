/*
 * backup.tick: what is periodic about backups, every minute. Must never begin a run that the schedule does not say.
 */
#include "core/base/log.h"
#include "handlers/backups/handlers.h"

enum err backup_tick_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct pg_rows rows = {0};
	enum err err = pg_begin(&worker->pg, NULL);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_BACKUP_REAP, PG_NONE, &rows);
	if (!err && pg_i64(&rows, 0, 0))
		log_write(LOG_LEVEL_WARN, "backups_reaped", LOG_INT("count", pg_i64(&rows, 0, 0)));
	if (!err)
		err = job_end(worker, arena, job, "done");
	if (!err)
		err = pg_commit(&worker->pg);
	pg_rollback(&worker->pg);
	return err;
}
