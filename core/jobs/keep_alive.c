/*
 * The beating process. Called by the worker loop around every job.
 * Must never touch the worker's connection, nor outlive the worker.
 */
#include "core/jobs/keep_alive.h"

#include "core/base/clock.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BEAT_ARENA = 64 << 10 };

static void beat_until_told(const struct worker *worker, const struct job *job)
{
	const struct config *config = worker->config;
	int64_t every_ms = config->worker_lease_s * 1000 / 3;
	int64_t end_us = clock_monotonic_us() + config->worker_statement_timeout_ms * 1000 + config->worker_lease_s * 1000000;
	struct pg_options options = worker->pg.options;
	struct arena arena;
	struct pg pg; /* ours: the worker's connection is left as it is, closing it here would end it there */
	pg_init(&pg, &options);
	arena_init(&arena, BEAT_ARENA);
	while (clock_monotonic_us() < end_us) {
		clock_sleep_ms(every_ms);
		/* A database that is away is tried again; a job that is gone needs no beat. */
		if (pg_query(&pg, &arena, STMT_JOB_BEAT, PG_VALUES(job->id_text, job->token, job->lease), NULL) == ERR_LOST)
			break;
		arena_reset(&arena);
	}
	pg_close(&pg);
}

pid_t keep_alive_start(const struct worker *worker, const struct job *job)
{
	pid_t parent = getpid(), pid = fork();
	if (pid != 0)
		return pid;
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		beat_until_told(worker, job);
	_exit(0);
}

void keep_alive_stop(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
