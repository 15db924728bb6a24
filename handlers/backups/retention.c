/*
 * backup.retention: what is old goes. Also called by `tidegate backup retention`. Must never remove what the rules of tidegate.backup_expired keep; an object goes first, its row after.
 */
#include "core/base/log.h"
#include "core/store/store.h"
#include "handlers/backups/copy.h"
#include "handlers/backups/handlers.h"
#include "handlers/backups/manifest.h"

/* The rows that are to go, each by itself: a run that dies leaves rows in state deleting, which the next one finds. */
static enum err mark(struct pg *pg, struct arena *arena, const struct config *config, const char *weekly, bool dry_run, void (*tell)(const char *key, int64_t size), int64_t *count,
                     int64_t *bytes)
{
	const char *days = pg_number(arena, config->backups_daily_days), *weeks = pg_number(arena, config->backups_weekly_weeks);
	struct pg_rows rows;
	enum err err = pg_query(pg, arena, STMT_BACKUP_EXPIRED, PG_VALUES(config->backups_space, days, weeks, weekly), &rows);
	for (int i = 0; !err && i < rows.count; i++) {
		struct pg_rows marked = {.affected = 1};
		if (!dry_run)
			err = pg_query(pg, arena, STMT_BACKUP_DELETING, PG_VALUES(pg_text(&rows, i, 0), config->backups_space, days, weeks, weekly), &marked);
		if (err || !marked.affected)
			continue;
		tell(pg_text(&rows, i, 1), pg_i64(&rows, i, 2));
		++*count;
		*bytes += pg_i64(&rows, i, 2);
	}
	return err;
}

/* Of both stores; a copy may be there also when its row does not say so. */
static enum err remove_object(struct arena *arena, const struct config *config, const char *key)
{
	struct config replica;
	const char *manifest = arena_join(arena, key, MANIFEST_SUFFIX, "");
	enum err err = manifest ? store_delete(config, key) : ERR_TOO_LARGE, second = backup_second_store(arena, config, &replica);
	if (!err)
		err = store_delete(config, manifest);
	if (err || second)
		return err ? err : second == ERR_NOT_FOUND ? OK : second;
	err = store_delete(&replica, key);
	return err ? err : store_delete(&replica, manifest);
}

static enum err sweep(struct pg *pg, struct arena *arena, const struct config *config)
{
	struct pg_rows rows;
	enum err err = pg_query(pg, arena, STMT_BACKUP_GOING, PG_VALUES(config->backups_space), &rows);
	for (int i = 0; !err && i < rows.count; i++) {
		const char *key = pg_text(&rows, i, 1);
		enum err gone = remove_object(arena, config, key);
		if (!gone)
			err = pg_query(pg, arena, STMT_BACKUP_DELETED, PG_VALUES(pg_text(&rows, i, 0)), NULL);
		else
			log_write(LOG_LEVEL_WARN, "backup_kept_by_store", LOG_TEXT("key", key), LOG_TEXT("reason", err_name(gone)));
	}
	return err ? err : pg_query(pg, arena, STMT_BACKUP_FORGET_MADE, PG_NONE, NULL);
}

enum err backup_sweep_run(struct worker *worker, struct arena *arena, struct job *job)
{
	enum err err = sweep(&worker->pg, arena, worker->config);
	return err ? err : job_end(worker, arena, job, "done");
}

enum err backup_retain(struct pg *pg, struct arena *arena, const struct config *config, bool dry_run, void (*tell)(const char *key, int64_t size), int64_t *ret_count,
                       int64_t *ret_bytes)
{
	struct backup_sources sources;
	const char *why = NULL;
	*ret_count = *ret_bytes = 0;
	enum err err = backup_sources_load(arena, config, &sources, &why);
	const char *weekly = err ? NULL : backup_names(arena, &sources, true);
	if (!err && !weekly)
		err = ERR_TOO_LARGE;
	if (!err)
		err = mark(pg, arena, config, weekly, dry_run, tell, ret_count, ret_bytes);
	return err || dry_run ? err : sweep(pg, arena, config);
}

static void tell_log(const char *key, int64_t size)
{
	log_write(LOG_LEVEL_INFO, "backup_expired", LOG_TEXT("key", key), LOG_INT("bytes", size));
}

enum err backup_retention_run(struct worker *worker, struct arena *arena, struct job *job)
{
	int64_t count = 0, bytes = 0;
	enum err err = backup_retain(&worker->pg, arena, worker->config, false, tell_log, &count, &bytes);
	return err ? err : job_end(worker, arena, job, "done");
}
