/*
 * import.commit: valid rows become records. First the plan: who is a duplicate, and what is to become of them, decided in
 * sets and kept, so that a resumed commit decides nothing anew. Then slices of rows in file order, each one transaction:
 * insert, update, history, counters, checkpoint, lease. Then the ledger. Ends in `completed`.
 * One commit per space runs at a time (the queue's serial key), so two commits cannot make duplicates of each other.
 * Must never say `completed` while the rows do not add up.
 */
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/schema/statements.h"
#include "handlers/import/commit_options.h"
#include "handlers/import/job_common.h"

enum { SLICE_ARENA = 4 << 20 };

struct commit {
	struct worker *worker;
	struct arena *arena; /* of the job */
	struct arena slice;
	struct job *job;
	const struct import_work *work;
	struct commit_plan plan;
	struct pg_scope scope;
	int64_t done_to;
};

static enum err make_plan(struct commit *commit)
{
	struct pg *pg = &commit->worker->pg;
	struct arena *arena = commit->arena;
	const struct import_work *work = commit->work;
	int in_database = commit->plan.update ? SCHEMA_ACTION_UPDATE : SCHEMA_ACTION_SKIP;
	enum err err = pg_begin(pg, &commit->scope);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_FORGET_OUTCOMES, PG_VALUES(work->no), NULL);
	if (!err && !commit->plan.create)
		err = import_mark(commit->worker, arena, work, commit->plan.keys, SCHEMA_ACTION_SKIP, in_database);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_ANALYZE, PG_VALUES(work->no), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_PLANNED, PG_VALUES(work->no), NULL);
	if (!err)
		err = job_beat(commit->worker, arena, commit->job);
	return err ? err : pg_commit(pg);
}

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
	                                            commit->plan.source, work->created_by),
	                                  &rows);
	/* A record that vanished between the plan and the write: the transaction is taken again and finds it gone. */
	return !err && rows.affected != expected ? ERR_CONFLICT : err;
}

static enum err write_slice(struct commit *commit, const char *from, const char *to)
{
	struct pg *pg = &commit->worker->pg;
	struct arena *arena = &commit->slice;
	const struct import_work *work = commit->work;
	const struct schema_target *target = work->target;
	struct slice_counts counts;
	struct pg_rows rows;
	enum err err = pg_begin(pg, &commit->scope);
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
		               PG_VALUES(commit->job->id_text, commit->job->token, commit->job->lease, work->no, to, pg_number(arena, counts.rows),
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
	metrics_add(METRIC_ROWS_COMMITTED, counts.rows);
	return OK;
}

static enum err mark_failed(struct commit *commit, const char *row)
{
	return pg_query(&commit->worker->pg, &commit->slice, STMT_IMPORT_MARK_FAILED, PG_VALUES(commit->work->no, row, "database_refused"), NULL);
}

/*
 * Rows first..last. When the database refuses a slice because of its data, it is halved until the row that is to blame
 * stands alone; that row fails with a reason, and everything around it comes in.
 */
static enum err commit_rows(struct commit *commit, int64_t first, int64_t last)
{
	struct arena *arena = &commit->slice;
	enum err err = write_slice(commit, pg_number(arena, first), pg_number(arena, last));
	if (err == ERR_INVALID && first == last) {
		log_write(LOG_LEVEL_WARN, "row_refused", LOG_TEXT("import", commit->work->id), LOG_INT("row", first), LOG_TEXT("sqlstate", commit->worker->pg.sqlstate));
		err = mark_failed(commit, pg_number(arena, first));
		return err ? err : write_slice(commit, pg_number(arena, first), pg_number(arena, last));
	}
	if (err != ERR_INVALID)
		return err;
	int64_t middle = first + (last - first) / 2;
	err = commit_rows(commit, first, middle);
	if (!err && !commit->job->cancelled)
		err = commit_rows(commit, middle + 1, last);
	return err;
}

static enum err commit_slices(struct commit *commit)
{
	struct worker *worker = commit->worker;
	while (!commit->job->cancelled) {
		struct pg_rows rows;
		arena_reset(&commit->slice);
		enum err err = pg_query(&worker->pg, &commit->slice, STMT_IMPORT_SLICE_END,
		                        PG_VALUES(commit->work->no, pg_number(&commit->slice, commit->done_to),
		                                  pg_number(&commit->slice, worker->config->import_slice_rows)),
		                        &rows);
		if (err || !pg_text(&rows, 0, 0))
			return err;
		int64_t last = pg_i64(&rows, 0, 0);
		err = commit_rows(commit, commit->done_to + 1, last);
		if (err)
			return err;
		commit->done_to = last;
		if (jobs_stopping())
			return ERR_UNAVAILABLE;
	}
	return OK;
}

/* Rows counted one by one against what reader and slices counted: columns 0 to 5 and 6 to 11 of import_ledger. */
static enum err check_ledger(struct commit *commit)
{
	struct pg_rows rows;
	enum err err = pg_query(&commit->worker->pg, commit->arena, STMT_IMPORT_LEDGER, PG_VALUES(commit->work->no), &rows);
	if (err)
		return err;
	int64_t sum = 0;
	bool same = true;
	for (int i = 0; i < 6; i++)
		same = same && pg_i64(&rows, 0, i) == pg_i64(&rows, 0, i + 6);
	for (int i = 1; i < 6; i++)
		sum += pg_i64(&rows, 0, i);
	if (same && sum == pg_i64(&rows, 0, 0))
		return OK;
	log_write(LOG_LEVEL_ERROR, "ledger_mismatch", LOG_TEXT("import", commit->work->id), LOG_INT("rows", pg_i64(&rows, 0, 0)), LOG_INT("sum", sum),
	          LOG_INT("counted", pg_i64(&rows, 0, 6)));
	return job_refuse(commit->job, "ledger_mismatch");
}

static enum err complete(struct commit *commit)
{
	struct pg *pg = &commit->worker->pg;
	enum err err = pg_begin(pg, &commit->scope);
	if (!err)
		err = check_ledger(commit);
	if (!err)
		err = import_make_report(commit->worker, commit->arena, commit->work);
	if (!err)
		err = pg_query(pg, commit->arena, STMT_IMPORT_MOVE, PG_VALUES(commit->work->no, "completed"), NULL);
	if (!err)
		err = job_end(commit->worker, commit->arena, commit->job, "done");
	return err ? err : pg_commit(pg);
}

static enum err run(struct commit *commit)
{
	const struct import_work *work = commit->work;
	enum err err = commit_plan_read(commit->arena, work->target, work->assignment, work->duplicates, work->defaults, &commit->plan);
	if (!err && !work->planned)
		err = make_plan(commit);
	if (!err)
		err = commit_slices(commit);
	if (!err && commit->job->cancelled)
		return import_cancelled(commit->worker, commit->arena, commit->job, work);
	return err ? err : complete(commit);
}

enum err import_commit_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct import_work work;
	bool go;
	enum err err = import_begin(worker, arena, job, "importing", "importing", &work, &go);
	if (err || !go)
		return err ? err : import_nothing(worker, arena, job);
	struct commit commit = {.worker = worker, .arena = arena, .job = job, .work = &work, .done_to = work.committed_to};
	commit.scope = (struct pg_scope){work.created_by, work.space, "worker"};
	arena_init(&commit.slice, SLICE_ARENA);
	err = run(&commit);
	pg_rollback(&worker->pg);
	arena_release(&commit.slice);
	return err;
}
