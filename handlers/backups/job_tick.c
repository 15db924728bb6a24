/*
 * backup.tick: what is periodic about backups, every minute. Slots of the schedule are rows of PostgreSQL: whoever takes one acts on it, on whichever
 * host. The timers of systemd, by `tidegate backup wake`, only make somebody look. Must never begin a run that the schedule does not say, nor take a slot without doing what it stands for in the same transaction.
 */
#include "core/base/log.h"
#include "core/base/text.h"
#include "handlers/backups/handlers.h"

static enum err begin_daily(struct pg *pg, struct arena *arena, const struct config *config)
{
	const char *run = NULL, *why = NULL;
	bool joined = false;
	return backup_begin(pg, arena, config, "scheduled", NULL, NULL, 0, &run, &joined, &why);
}

static enum err act(struct pg *pg, struct arena *arena, const struct config *config, const char *kind)
{
	if (!kind)
		return begin_daily(pg, arena, config);
	return pg_query(pg, arena, STMT_BACKUP_ENQUEUE, PG_VALUES(kind, config->backups_space), NULL);
}

static enum err take_slots(struct pg *pg, struct arena *arena, const struct config *config)
{
	const struct {
		const char *name, *at, *weekday, *kind; /* kind NULL: a run */
	} schedules[] = {
	    {"daily", config->backups_daily_at, NULL, NULL},
	    {"weekly", config->backups_weekly_at, "7", "backup.weekly"},
	    {"reconcile", config->backups_reconcile_at, "7", "backup.reconcile"},
	    {"retention", config->backups_retention_at, NULL, "backup.retention"},
	};
	enum err err = OK;
	for (size_t i = 0; !err && i < sizeof(schedules) / sizeof(schedules[0]); i++) {
		struct pg_rows rows;
		err = pg_query(pg, arena, STMT_BACKUP_DUE, PG_VALUES(schedules[i].name, schedules[i].at, schedules[i].weekday), &rows);
		if (!err && pg_bool(&rows, 0, 0))
			err = act(pg, arena, config, schedules[i].kind);
	}
	return err;
}

static enum err tick(struct pg *pg, struct arena *arena, const struct config *config)
{
	struct pg_rows rows = {0};
	struct backup_sources sources;
	const char *why = NULL;
	enum err err = pg_query(pg, arena, STMT_BACKUP_REAP, PG_NONE, &rows);
	if (!err && pg_i64(&rows, 0, 0))
		log_write(LOG_LEVEL_WARN, "backups_reaped", LOG_INT("count", pg_i64(&rows, 0, 0)));
	if (err)
		return err;
	if (backup_sources_load(arena, config, &sources, &why)) {
		log_write(LOG_LEVEL_ERROR, "backup_sources_wrong", LOG_TEXT("why", why));
		return OK;
	}
	err = backup_replicate_ask(pg, arena, config);
	if (!err)
		err = pg_query(pg, arena, STMT_BACKUP_SWEEP_DUE, PG_VALUES(config->backups_space), NULL);
	if (err || sources.count == 0)
		return err;
	err = take_slots(pg, arena, config);
	if (!err)
		err = pg_query(pg, arena, STMT_BACKUP_ABSENT, PG_VALUES(config->backups_space, backup_names(arena, &sources, false), pg_number(arena, config->backups_stale_hours)), NULL);
	return err;
}

enum err backup_wake(struct pg *pg, struct arena *arena, const struct config *config)
{
	enum err err = pg_begin(pg, NULL);
	if (!err)
		err = tick(pg, arena, config);
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	if (!err)
		jobs_wake(pg);
	return err;
}

enum err backup_tick_run(struct worker *worker, struct arena *arena, struct job *job)
{
	enum err err = pg_begin(&worker->pg, NULL);
	if (!err)
		err = tick(&worker->pg, arena, worker->config);
	if (!err)
		err = job_end(worker, arena, job, "done");
	if (!err)
		err = pg_commit(&worker->pg);
	pg_rollback(&worker->pg);
	return err;
}
