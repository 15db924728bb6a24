/*
 * Slices of a commit. Called by job_commit.c, in the worker and in the processes it forks.
 * Must never write a row twice: a slice and its checkpoint commit together, or neither does.
 */
#include "handlers/import/commit_lane.h"

#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/base/text.h"
#include "core/schema/statements.h"

struct slice_counts {
	int64_t rows, inserts, updates, skips, invalid, failures;
};

static enum err count_slice(struct commit *commit, const char *from, const char *to, struct slice_counts *ret)
{
	struct pg_rows rows;
	enum err err = pg_query(&commit->worker->pg, &commit->slice, STMT_IMPORT_SLICE, PG_VALUES(commit->work->no, from, to), &rows);
	if (!err)
		*ret = (struct slice_counts){pg_i64(&rows, 0, 0), pg_i64(&rows, 0, 1), pg_i64(&rows, 0, 2),
		                             pg_i64(&rows, 0, 3), pg_i64(&rows, 0, 4), pg_i64(&rows, 0, 5)};
	return err;
}

/* Runs one of the target's write statements and compares what it wrote with what the plan says it must. */
static enum err write_records(struct commit *commit, enum schema_slot_kind slot, const char *sql, const char *from, const char *to, int64_t expected)
{
	const struct import_work *work = commit->work;
	struct pg_rows rows;
	if (expected == 0)
		return OK;
	enum err err = pg_query_generated(&commit->worker->pg, &commit->slice, schema_slot(work->target, slot), sql, SCHEMA_WRITE_PARAMETERS,
	                                  PG_VALUES(work->no, from, to, work->space, work->id, commit->plan.user, commit->plan.status,
	                                            commit->plan.source, work->created_by, commit->plan.users,
	                                            pg_number(&commit->slice, commit->cursor), commit->plan.column),
	                                  &rows);
	/* A record that vanished between the plan and the write: the transaction is taken again and finds it gone. */
	return !err && rows.affected != expected ? ERR_CONFLICT : err;
}

/* failed: a row of the slice that the database has refused, or NULL. */
static enum err write_slice(struct commit *commit, const char *from, const char *to, const char *failed)
{
	struct pg *pg = &commit->worker->pg;
	struct arena *arena = &commit->slice;
	const struct import_work *work = commit->work;
	const struct schema_target *target = work->target;
	struct slice_counts counts;
	struct pg_rows rows;
	enum err err = pg_begin(pg, &commit->scope);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_BY_INDEX, PG_NONE, NULL);
	if (!err && failed)
		err = pg_query(pg, arena, STMT_IMPORT_MARK_FAILED, PG_VALUES(work->no, failed, "database_refused"), NULL);
	if (!err && commit->plan.update)
		err = pg_query_generated(pg, arena, schema_slot(target, SLOT_GONE), target->gone_sql, SCHEMA_GONE_PARAMETERS,
		                         PG_VALUES(work->no, from, to, work->space), NULL);
	if (!err)
		err = count_slice(commit, from, to, &counts);
	if (!err)
		err = write_records(commit, SLOT_INSERT, target->insert_sql, from, to, counts.inserts);
	if (!err)
		err = write_records(commit, SLOT_UPDATE, target->update_sql, from, to, counts.updates);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_COMMIT_CHECKPOINT,
		               PG_VALUES(commit->job->id_text, commit->job->token, commit->job->lease, work->no, pg_number(arena, commit->lane->number), to,
		                         pg_number(arena, counts.rows),
		                         pg_number(arena, counts.inserts), pg_number(arena, counts.updates), pg_number(arena, counts.skips),
		                         pg_number(arena, counts.failures)),
		               &rows);
	bool cancel = !err && pg_bool(&rows, 0, 0);
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	if (err)
		return err;
	commit->job->cancelled = cancel;
	commit->cursor += counts.inserts;
	metrics_add(METRIC_ROWS_COMMITTED, counts.rows);
	return OK;
}

/*
 * Rows first..last. When the database refuses a slice because of its data, it is halved until the row that is to blame
 * stands alone; that row fails with a reason, and everything around it comes in.
 */
static enum err commit_rows(struct commit *commit, int64_t first, int64_t last)
{
	struct arena *arena = &commit->slice;
	const char *row = pg_number(arena, first);
	enum err err = write_slice(commit, row, pg_number(arena, last), NULL);
	/* a unique index of the target: the row is to blame, not the moment */
	if (err == ERR_CONFLICT && text_equal(commit->worker->pg.sqlstate, "23505"))
		err = ERR_INVALID;
	if (err == ERR_INVALID && first == last) {
		log_write(LOG_LEVEL_WARN, "row_refused", LOG_TEXT("import", commit->work->id), LOG_INT("row", first), LOG_TEXT("sqlstate", commit->worker->pg.sqlstate));
		return ++commit->refused > LANE_REFUSED_MAX ? ERR_LIMITED : write_slice(commit, row, row, row);
	}
	if (err != ERR_INVALID)
		return err;
	int64_t middle = first + (last - first) / 2;
	err = commit_rows(commit, first, middle);
	if (!err && !commit->job->cancelled)
		err = commit_rows(commit, middle + 1, last);
	return err;
}

enum err commit_lane(struct commit *commit, const struct lane *lane)
{
	struct worker *worker = commit->worker;
	int64_t done_to = lane->done_to;
	commit->lane = lane;
	commit->cursor = lane->cursor;
	while (!commit->job->cancelled) {
		struct pg_rows rows;
		struct arena *arena = &commit->slice;
		arena_reset(arena);
		enum err err = pg_query(&worker->pg, arena, STMT_IMPORT_SLICE_END,
		                        PG_VALUES(commit->work->no, pg_number(arena, done_to), pg_number(arena, lane->last_row),
		                                  pg_number(arena, worker->config->import_slice_rows)),
		                        &rows);
		if (err || !pg_text(&rows, 0, 0))
			return err;
		int64_t last = pg_i64(&rows, 0, 0);
		err = commit_rows(commit, done_to + 1, last);
		if (err)
			return err;
		done_to = last;
		if (jobs_stopping())
			return ERR_UNAVAILABLE;
	}
	return OK;
}
