/*
 * import.commit: valid rows become records. First the plan: who is a duplicate, and what is to become of them, decided in
 * sets and kept, so that a resumed commit decides nothing anew. Then lanes: large imports are written by several processes
 * (commit_lane.c). Then the ledger. Ends in `completed`.
 * One commit per space runs at a time (the queue's serial key), so two commits cannot make duplicates of each other.
 * Must never say `completed` while the rows do not add up.
 */
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/schema/statements.h"
#include "handlers/import/assignees.h"
#include "handlers/import/commit_lane.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LANE_ROWS_MIN = 20000, SLICE_ARENA = 4 << 20 };

static bool all_keys(const struct commit *commit)
{
	bool all = true;
	for (size_t k = 0; k < commit->work->target->table->import->key_count; k++)
		all = all && commit->plan.keys[k];
	return all;
}

/* Who is a duplicate and what becomes of it. Marks that the parse has made of the file are good while no row was changed. */
static enum err plan_rows(struct commit *commit)
{
	struct pg *pg = &commit->worker->pg;
	struct arena *arena = commit->arena;
	const struct import_work *work = commit->work;
	const struct commit_plan *plan = &commit->plan;
	bool edited = work->edits > 0, file_known = !edited && !plan->create && all_keys(commit);
	int in_database = plan->create ? -1 : plan->update ? SCHEMA_ACTION_UPDATE : SCHEMA_ACTION_SKIP;
	enum err err = file_known ? pg_query(pg, arena, STMT_IMPORT_KEEP_IN_FILE, PG_VALUES(work->no, pg_number(arena, SCHEMA_ACTION_SKIP)), NULL)
	                          : pg_query(pg, arena, STMT_IMPORT_FORGET_OUTCOMES, PG_VALUES(work->no), NULL);
	if (!err && edited)
		err = pg_query(pg, arena, STMT_IMPORT_MARK_DECIDED, PG_VALUES(work->no), NULL);
	if (!err && (edited || !plan->create))
		err = import_mark(commit->worker, arena, work, plan->keys, file_known || plan->create, SCHEMA_ACTION_SKIP, in_database);
	return err;
}

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
	enum err err = import_know_records(commit->worker, arena, work);
	if (!err)
		err = pg_begin(pg, &commit->scope);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_SETS, PG_NONE, NULL);
	if (!err)
		err = plan_rows(commit);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_ANALYZE, PG_VALUES(work->no), NULL);
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
	const struct schema_target *target = work->target;
	const char *action = pg_number(arena, commit->plan.update ? SCHEMA_ACTION_UPDATE : SCHEMA_ACTION_SKIP);
	struct pg_rows lanes;
	enum err err = import_know_records(commit->worker, arena, work);
	if (!err)
		err = pg_begin(pg, &commit->scope);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_SETS, PG_NONE, NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_LANES, PG_VALUES(work->no), &lanes);
	for (int i = 0; !err && i < lanes.count; i++)
		for (size_t k = 0; !err && k < target->table->import->key_count; k++)
			if (commit->plan.keys[k])
				err = pg_query_generated(pg, arena, schema_slot(target, SLOT_MATCH) + (unsigned)k, target->match_sql[k], SCHEMA_MATCH_PARAMETERS,
				                         PG_VALUES(work->no, pg_number(arena, pg_i64(&lanes, i, 1) + 1), pg_text(&lanes, i, 2), work->space, action),
				                         NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_MARK_SAME_RECORD, PG_VALUES(work->no, pg_number(arena, SCHEMA_ACTION_SKIP)), NULL);
	if (!err)
		err = job_beat(commit->worker, arena, commit->job);
	return err ? err : pg_commit(pg);
}

/* A lane in a process of its own: own connection, own memory, dies with us. Its result is its exit status. */
static pid_t start_lane(struct commit *commit, const struct lane *lane)
{
	pid_t parent = getpid(), pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ERR_IO);
	struct pg_options options = commit->worker->pg.options;
	/* The parent's connection is left as it is: closing it here would end it there. */
	pg_init(&commit->worker->pg, &options);
	enum err err = commit_lane(commit, lane);
	pg_close(&commit->worker->pg);
	_exit((int)err);
}

static enum err wait_for_lane(pid_t pid)
{
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return ERR_IO;
	return (enum err)WEXITSTATUS(status);
}

/* All lanes but the first run beside us. The first failure counts; a lane that was cancelled has just stopped. */
static enum err commit_lanes(struct commit *commit)
{
	struct lane lanes[LANES_MAX];
	pid_t pids[LANES_MAX] = {0};
	struct pg_rows rows;
	enum err err = pg_query(&commit->worker->pg, commit->arena, STMT_IMPORT_LANES, PG_VALUES(commit->work->no), &rows);
	if (err)
		return err;
	int count = rows.count < LANES_MAX ? rows.count : LANES_MAX;
	for (int i = 0; i < count; i++)
		lanes[i] = (struct lane){pg_i64(&rows, i, 0), pg_i64(&rows, i, 1), pg_i64(&rows, i, 2), pg_i64(&rows, i, 3)};
	for (int i = 1; i < count; i++)
		pids[i] = start_lane(commit, &lanes[i]);
	if (count)
		err = commit_lane(commit, &lanes[0]);
	for (int i = 1; i < count; i++) {
		/* The signal that stopped us was for this process alone. */
		if (pids[i] > 0 && (err || jobs_stopping()))
			kill(pids[i], SIGTERM);
		enum err other = wait_for_lane(pids[i]);
		err = err ? err : other;
	}
	return err;
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

static enum err run(struct commit *commit)
{
	const struct import_work *work = commit->work;
	enum err err = commit_plan_read(commit->arena, work, &commit->plan);
	if (!err && !work->planned)
		err = make_plan(commit);
	else if (!err && !commit->plan.create)
		err = renew_plan(commit);
	if (!err)
		err = commit_lanes(commit);
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
