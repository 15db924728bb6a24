/*
 * import.commit: valid rows become records. First the plan: who is a duplicate, and what is to become of them, decided in
 * sets and kept, so that a resumed commit decides nothing anew. Then lanes: large imports are written by several processes
 * (lanes.c), slice by slice (commit_lane.c). Then the ledger. Ends in `completed`.
 * One commit per space runs at a time (the queue's serial key), so two commits cannot make duplicates of each other.
 * Must never say `completed` while the rows do not add up.
 */
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/schema/statements.h"
#include "handlers/import/assignees.h"
#include "handlers/import/commit_lane.h"

enum { SLICE_ARENA = 4 << 20 };

static enum err plan_lanes(struct commit *commit)
{
	struct pg *pg = &commit->worker->pg;
	struct arena *arena = commit->arena;
	const struct import_work *work = commit->work;
	enum err err = pg_query(pg, arena, STMT_IMPORT_LANES_FORGET, PG_VALUES(work->no), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_LANES_MAKE,
		               PG_VALUES(work->no, pg_number(arena, commit->worker->config->import_lanes), pg_number(arena, LANE_ROWS_MIN)), NULL);
	if (!err && commit->plan.users)
		err = pg_query(pg, arena, STMT_IMPORT_LANES_TURNS, PG_VALUES(work->no), NULL);
	return err;
}

static enum err make_plan(struct commit *commit)
{
	struct pg *pg = &commit->worker->pg;
	struct arena *arena = commit->arena;
	const struct import_work *work = commit->work;
	enum err err = import_open_marks(commit->worker, arena, work);
	if (!err)
		err = import_plan_rows(commit->worker, arena, work, &commit->plan);
	if (!err && commit->plan.column)
		err = import_know_people(commit->worker, arena, commit->job, work, commit->plan.column);
	if (!err)
		err = job_beat(commit->worker, arena, commit->job);
	if (!err)
		err = plan_lanes(commit);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_PLANNED, PG_VALUES(work->no), NULL);
	return err ? err : pg_commit(pg);
}

/*
 * A commit that goes on later: other commits of the space have run since the plan. Rows that no lane has reached and that
 * were to be inserted are compared with the stored records once more; what was decided stays.
 */
static enum err renew_plan(struct commit *commit)
{
	struct pg *pg = &commit->worker->pg;
	struct arena *arena = commit->arena;
	const struct import_work *work = commit->work;
	const char *action = pg_number(arena, commit->plan.update ? SCHEMA_ACTION_UPDATE : SCHEMA_ACTION_SKIP);
	struct pg_rows lanes;
	enum err err = import_open_marks(commit->worker, arena, work);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_LANES, PG_VALUES(work->no), &lanes);
	for (int i = 0; !err && i < lanes.count; i++)
		err = import_match(commit->worker, arena, work, commit->plan.keys, pg_number(arena, pg_i64(&lanes, i, 1) + 1), pg_text(&lanes, i, 2), action);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_MARK_SAME_RECORD, PG_VALUES(work->no, pg_number(arena, SCHEMA_ACTION_SKIP)), NULL);
	if (!err)
		err = job_beat(commit->worker, arena, commit->job);
	return err ? err : pg_commit(pg);
}

/* Rows counted one by one against what reader and slices counted: columns 0 to 5 and 6 to 11 of import_ledger. */
static enum err check_ledger(struct commit *commit, int64_t *ret_failed)
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
	*ret_failed = pg_i64(&rows, 0, 5);
	if (same && sum == pg_i64(&rows, 0, 0))
		return OK;
	log_write(LOG_LEVEL_ERROR, "ledger_mismatch", LOG_TEXT("import", commit->work->id), LOG_INT("rows", pg_i64(&rows, 0, 0)), LOG_INT("sum", sum),
	          LOG_INT("counted", pg_i64(&rows, 0, 6)));
	return job_refuse(commit->job, "ledger_mismatch");
}

static enum err complete(struct commit *commit)
{
	struct pg *pg = &commit->worker->pg;
	int64_t failed = 0;
	enum err err = pg_begin(pg, &commit->scope);
	if (!err)
		err = pg_query(pg, commit->arena, STMT_IMPORT_SETS, PG_NONE, NULL);
	if (!err)
		err = check_ledger(commit, &failed);
	/* A cancel came before and is seen here, or it waits and finds the import completed. */
	if (!err)
		err = job_beat(commit->worker, commit->arena, commit->job);
	if (!err && commit->job->cancelled) {
		pg_rollback(pg);
		return import_cancelled(commit->worker, commit->arena, commit->job, commit->work);
	}
	/* The report of the parse stands unless rows have failed since. */
	if (!err && failed)
		err = import_make_report(commit->worker, commit->arena, commit->work);
	if (!err)
		err = pg_query(pg, commit->arena, STMT_IMPORT_MOVE, PG_VALUES(commit->work->no, "completed"), NULL);
	if (!err)
		err = job_end(commit->worker, commit->arena, commit->job, "done");
	return err ? err : pg_commit(pg);
}

static enum err write_lanes(struct commit *commit)
{
	struct lanes lanes = {
	    .worker = commit->worker,
	    .arena = commit->arena,
	    .slice = &commit->slice,
	    .job = commit->job,
	    .work = commit->work,
	    .refused_max = COMMIT_REFUSED_MAX,
	    .write = commit_slice,
	    .context = commit,
	};
	return lanes_run(&lanes);
}

static enum err run(struct commit *commit)
{
	const struct import_work *work = commit->work;
	enum err err = commit_plan_read(commit->arena, work, &commit->plan);
	if (!err && !work->planned)
		err = make_plan(commit);
	else if (!err && !commit->plan.create)
		err = renew_plan(commit);
	if (!err)
		err = write_lanes(commit);
	if (err == ERR_LIMITED)
		return job_refuse(commit->job, "too_many_refused");
	if (!err) /* a cancel that only another lane has seen */
		err = job_beat(commit->worker, commit->arena, commit->job);
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
	struct commit commit = {.worker = worker, .arena = arena, .job = job, .work = &work};
	commit.scope = (struct pg_scope){work.created_by, work.space, "worker"};
	arena_init(&commit.slice, SLICE_ARENA);
	err = run(&commit);
	pg_rollback(&worker->pg);
	arena_release(&commit.slice);
	return err;
}
