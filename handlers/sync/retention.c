/*
 * sync.retention: tombstones go sync.tombstone_days after the delete, answered requests after sync.request_days. A client whose last sync lies
 * before the newest tombstone that went (the floor of its scope) is told to start anew.
 * Must never remove a tombstone without raising the floor in the same transaction, nor one that a row still refers to.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "handlers/sync/handlers.h"

enum { AT_ONCE = 2000, SCOPES_AT_ONCE = 500 };

#define DAY_US INT64_C(86400000000)

/* Children first, so that the tombstones of parents are free to go. Catalogues keep theirs: they belong to no scope. */
static enum err expire_tables(struct worker *worker, struct arena *arena, const struct sync_app *app, const char *scope, const char *before, int64_t *ret_floor,
                              int64_t *ret_count)
{
	enum err err = OK;
	for (size_t t = app->count; !err && t > 0; t--) {
		const struct sync_table *synced = &app->tables[t - 1];
		struct pg_rows rows;
		if (!synced->table->scope)
			continue;
		err = pg_query_generated(&worker->pg, arena, synced->first_slot + SYNC_EXPIRE, synced->sql[SYNC_EXPIRE], 3,
		                         PG_VALUES(scope, before, pg_number(arena, AT_ONCE)), &rows);
		if (err)
			break;
		*ret_floor = pg_i64(&rows, 0, 0) > *ret_floor ? pg_i64(&rows, 0, 0) : *ret_floor;
		*ret_count += pg_i64(&rows, 0, 1);
	}
	return err;
}

static enum err expire_scope(struct worker *worker, struct arena *arena, const struct sync_app *app, const char *name, const char *before, int64_t *ret_count)
{
	const struct pg_scope scope = {name, name, "worker"};
	int64_t floor = 0, count = 0;
	struct pg_rows rows;
	enum err err = pg_begin(&worker->pg, &scope);
	if (!err) /* pushes wait: they must see both the floor and what is gone, or neither */
		err = pg_query(&worker->pg, arena, STMT_SYNC_SCOPE_LOCK, PG_VALUES(app->app->name, name), &rows);
	if (!err)
		err = expire_tables(worker, arena, app, name, before, &floor, &count);
	if (!err && floor)
		err = pg_query(&worker->pg, arena, STMT_SYNC_SCOPE_FLOOR, PG_VALUES(app->app->name, name, pg_number(arena, floor)), NULL);
	if (!err)
		err = pg_commit(&worker->pg);
	pg_rollback(&worker->pg);
	*ret_count += err ? 0 : count;
	return err;
}

/* Scopes in their order, page after page; each in a transaction of its own. */
static enum err expire_app(struct worker *worker, struct arena *arena, const struct sync_app *app, const char *before, int64_t *ret_count)
{
	const char *after = "";
	for (;;) {
		struct pg_rows rows;
		enum err err = pg_query(&worker->pg, arena, STMT_SYNC_SCOPES, PG_VALUES(app->app->name, after, pg_number(arena, SCOPES_AT_ONCE)), &rows);
		for (int i = 0; !err && i < rows.count && !jobs_stopping(); i++)
			err = expire_scope(worker, arena, app, pg_text(&rows, i, 0), before, ret_count);
		if (err || rows.count < SCOPES_AT_ONCE || jobs_stopping())
			return err;
		after = pg_text(&rows, rows.count - 1, 0);
	}
}

enum err sync_retention_run(struct worker *worker, struct arena *arena, struct job *job)
{
	const char *before = pg_number(arena, clock_unix_us() - worker->config->sync_tombstone_days * DAY_US);
	int64_t tombstones = 0;
	struct pg_rows rows;
	enum err err = OK;
	for (size_t i = 0; !err && i < worker->catalog->synced_count; i++)
		err = expire_app(worker, arena, &worker->catalog->synced[i], before, &tombstones);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_SYNC_FORGET, PG_VALUES(pg_number(arena, worker->config->sync_request_days), before), &rows);
	if (!err)
		err = job_end(worker, arena, job, "done");
	metrics_add(METRIC_SYNC_EXPIRED, tombstones);
	if (tombstones)
		log_write(LOG_LEVEL_INFO, "sync_expired", LOG_INT("tombstones", tombstones));
	return err;
}
