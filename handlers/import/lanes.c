/*
 * Runs the lanes of an import: the first one here, the others in processes of their own. Called by job_commit.c and
 * job_undo.c. Must never go on with a slice before the one in front of it is committed.
 */
#include "handlers/import/lanes.h"

#include "core/base/log.h"
#include "core/base/text.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct run {
	const struct lanes *lanes;
	struct lane *lane;
	int64_t refused; /* rows of the lane that the database has refused */
};

/*
 * Rows first..last. When the database refuses a slice because of its data, it is halved until the row that is to blame
 * stands alone; that row is marked with a reason, and everything around it is written.
 */
static enum err write_rows(struct run *run, int64_t first, int64_t last)
{
	const struct lanes *lanes = run->lanes;
	const char *sqlstate = lanes->worker->pg.sqlstate;
	char refused_as[sizeof(lanes->worker->pg.sqlstate)];
	const char *row = pg_number(lanes->slice, first);
	enum err err = lanes->write(lanes->context, run->lane, row, pg_number(lanes->slice, last), NULL);
	/* a unique index of the target: the row is to blame, not the moment */
	if (err == ERR_CONFLICT && text_equal(sqlstate, "23505"))
		err = ERR_INVALID;
	if (err == ERR_INVALID && first == last) {
		snprintf(refused_as, sizeof(refused_as), "%s", sqlstate);
		log_write(LOG_LEVEL_WARN, "row_refused", LOG_TEXT("import", lanes->work->id), LOG_INT("row", first), LOG_TEXT("sqlstate", refused_as));
		bool too_many = ++run->refused > lanes->refused_max && lanes->refused_max;
		return too_many ? ERR_LIMITED : lanes->write(lanes->context, run->lane, row, row, refused_as);
	}
	if (err != ERR_INVALID)
		return err;
	int64_t middle = first + (last - first) / 2;
	err = write_rows(run, first, middle);
	if (!err && !lanes->job->cancelled)
		err = write_rows(run, middle + 1, last);
	return err;
}

static enum err run_lane(const struct lanes *lanes, struct lane *lane)
{
	struct run run = {lanes, lane, 0};
	struct worker *worker = lanes->worker;
	struct arena *arena = lanes->slice;
	int64_t done_to = lane->done_to;
	while (!lanes->job->cancelled) {
		struct pg_rows rows;
		arena_reset(arena);
		enum err err = pg_query(&worker->pg, arena, STMT_IMPORT_SLICE_END,
		                        PG_VALUES(lanes->work->no, pg_number(arena, done_to), pg_number(arena, lane->last_row),
		                                  pg_number(arena, worker->config->import_slice_rows)),
		                        &rows);
		if (err || !pg_text(&rows, 0, 0))
			return err;
		int64_t last = pg_i64(&rows, 0, 0);
		err = write_rows(&run, done_to + 1, last);
		if (err)
			return err;
		done_to = last;
		if (jobs_stopping())
			return ERR_UNAVAILABLE;
	}
	return OK;
}

/* A lane in a process of its own: own connection, own memory, dies with us. Its result is its exit status. */
static pid_t start_lane(const struct lanes *lanes, struct lane *lane)
{
	pid_t parent = getpid(), pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ERR_IO);
	struct pg_options options = lanes->worker->pg.options;
	/* The parent's connection is left as it is: closing it here would end it there. */
	pg_init(&lanes->worker->pg, &options);
	enum err err = run_lane(lanes, lane);
	pg_close(&lanes->worker->pg);
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
enum err lanes_run(struct lanes *lanes)
{
	struct lane list[LANES_MAX] = {0};
	pid_t pids[LANES_MAX] = {0};
	struct pg_rows rows;
	enum err err = pg_query(&lanes->worker->pg, lanes->arena, STMT_IMPORT_LANES, PG_VALUES(lanes->work->no), &rows);
	if (err)
		return err;
	int count = rows.count < LANES_MAX ? rows.count : LANES_MAX;
	for (int i = 0; i < count; i++)
		list[i] = (struct lane){pg_i64(&rows, i, 0), pg_i64(&rows, i, 1), pg_i64(&rows, i, 2), pg_i64(&rows, i, 3)};
	for (int i = 1; i < count; i++)
		pids[i] = start_lane(lanes, &list[i]);
	if (count > 0)
		err = run_lane(lanes, &list[0]);
	for (int i = 1; i < count; i++) {
		/* The signal that stopped us was for this process alone. */
		if (pids[i] > 0 && (err || jobs_stopping()))
			kill(pids[i], SIGTERM);
		enum err other = wait_for_lane(pids[i]);
		err = err ? err : other;
	}
	return err;
}
