/*
 * Slices of a commit. Called by lanes.c, in the worker and in the processes it forks.
 * Must never write a row twice: a slice and its checkpoint commit together, or neither does.
 */
#include "handlers/import/commit_lane.h"

#include "core/base/metrics.h"
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
static enum err write_records(struct commit *commit, const struct lane *lane, enum schema_slot_kind slot, const char *sql, const char *from,
                              const char *to, int64_t expected)
{
	const struct import_work *work = commit->work;
	struct pg_rows rows;
	if (expected == 0)
		return OK;
	enum err err = pg_query_generated(&commit->worker->pg, &commit->slice, schema_slot(work->target, slot), sql, SCHEMA_WRITE_PARAMETERS,
	                                  PG_VALUES(work->no, from, to, work->space, work->id, commit->plan.user, commit->plan.status,
	                                            commit->plan.source, work->created_by, commit->plan.users,
	                                            pg_number(&commit->slice, lane->cursor), commit->plan.column),
	                                  &rows);
	/* A record that vanished between the plan and the write: the transaction is taken again and finds it gone. */
	return !err && rows.affected != expected ? ERR_CONFLICT : err;
}

enum err commit_slice(void *context, struct lane *lane, const char *from, const char *to, const char *refused_as)
{
	struct commit *commit = context;
	struct pg *pg = &commit->worker->pg;
	struct arena *arena = &commit->slice;
	const struct import_work *work = commit->work;
	const struct schema_target *target = work->target;
	struct slice_counts counts;
	struct pg_rows rows;
	enum err err = pg_begin(pg, &commit->scope);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_BY_INDEX, PG_NONE, NULL);
	if (!err && refused_as)
		err = pg_query(pg, arena, STMT_IMPORT_MARK_FAILED, PG_VALUES(work->no, from, "database_refused"), NULL);
	if (!err && commit->plan.update)
		err = pg_query_generated(pg, arena, schema_slot(target, SLOT_GONE), target->gone_sql, SCHEMA_GONE_PARAMETERS,
		                         PG_VALUES(work->no, from, to, work->space), NULL);
	if (!err)
		err = count_slice(commit, from, to, &counts);
	if (!err)
		err = write_records(commit, lane, SLOT_INSERT, target->insert_sql, from, to, counts.inserts);
	if (!err)
		err = write_records(commit, lane, SLOT_UPDATE, target->update_sql, from, to, counts.updates);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_COMMIT_CHECKPOINT,
		               PG_VALUES(commit->job->id_text, commit->job->token, commit->job->lease, work->no, pg_number(arena, lane->number), to,
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
	lane->cursor += counts.inserts;
	metrics_add(METRIC_ROWS_COMMITTED, counts.rows);
	return OK;
}
