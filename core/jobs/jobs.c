/*
 * The worker loop: claim, run, end; wait for a notification or the poll; reap and schedule on the side.
 * Called by `tidegate work`. Must never work on a job inside the transaction of its claim, nor touch one it has lost.
 */
#include "core/jobs/jobs.h"

#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/base/text.h"
#include "core/jobs/keep_alive.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { ARENA_CAP = 24 << 20, RETRY_MS = 500, WAKES = 5 };

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
	(void)signal_number;
	stop = 1;
}

bool jobs_stopping(void)
{
	return stop;
}

/* SIGTERM only raises a flag; system calls restart, so that neither libpq nor a reader notices. */
static void install_signals(void)
{
	struct sigaction action = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

enum err job_refuse(struct job *job, const char *code)
{
	snprintf(job->failure, sizeof(job->failure), "%s", code);
	return ERR_INVALID;
}

enum err job_beat(struct worker *worker, struct arena *arena, struct job *job)
{
	struct pg_rows rows;
	enum err err = pg_query(&worker->pg, arena, STMT_JOB_BEAT, PG_VALUES(job->id_text, job->token, job->lease), &rows);
	if (!err)
		job->cancelled = pg_bool(&rows, 0, 0);
	return err;
}

enum err job_end(struct worker *worker, struct arena *arena, const struct job *job, const char *state)
{
	return pg_query(&worker->pg, arena, STMT_JOB_END, PG_VALUES(job->id_text, job->token, state), NULL);
}

/* A bucket of WAKES notifications, filled at that many per second: a lone one is never held back, a flood is. */
void jobs_wake(struct pg *pg)
{
	static int64_t spent_until_us; /* the bucket is empty when this is a second ahead */
	int64_t now = clock_monotonic_us(), cost = 1000000 / WAKES;
	struct arena arena;
	if (spent_until_us < now)
		spent_until_us = now;
	if (spent_until_us + cost > now + 1000000)
		return;
	spent_until_us += cost;
	arena_init(&arena, 64 << 10);
	if (pg_query(pg, &arena, STMT_JOBS_NOTIFY, PG_NONE, NULL))
		log_write(LOG_LEVEL_DEBUG, "wake_failed");
	arena_release(&arena);
}

static const struct job_kind *find_kind(const struct job_tables *tables, const char *name)
{
	for (size_t i = 0; i < tables->kind_count; i++)
		if (text_equal(tables->kinds[i].name, name))
			return &tables->kinds[i];
	return NULL;
}

static bool worth_another_try(enum err err)
{
	return err == ERR_TIMEOUT || err == ERR_UNAVAILABLE || err == ERR_IO || err == ERR_CONFLICT || err == ERR_LIMITED;
}

static enum err give_up(struct worker *worker, struct arena *arena, const struct job_kind *kind, int64_t id, const char *code)
{
	return kind && kind->on_dead ? kind->on_dead(worker, arena, id, code) : OK;
}

/* Records a failed attempt; when it was the last one, the kind learns of it in the same transaction. */
static enum err record_failure(struct worker *worker, struct arena *arena, const struct job_kind *kind, const struct job *job, enum err why)
{
	const char *code = job->failure[0] ? job->failure : err_name(why);
	struct pg_rows rows;
	enum err err = pg_begin(&worker->pg, NULL);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_JOB_FAIL, PG_VALUES(job->id_text, job->token, code, worth_another_try(why) ? "false" : "true"), &rows);
	bool dead = !err && text_equal(pg_text(&rows, 0, 0), "failed");
	if (dead)
		err = give_up(worker, arena, kind, job->id, code);
	if (!err)
		err = pg_commit(&worker->pg);
	pg_rollback(&worker->pg);
	if (!err)
		metrics_add(dead ? METRIC_JOBS_FAILED : METRIC_JOBS_RETRIED, 1);
	log_write(dead ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, dead ? "job_dead" : "job_retry", LOG_TEXT("kind", job->kind), LOG_TEXT("code", code),
	          LOG_INT("attempt", job->attempt), LOG_TEXT("recorded", err_name(err)));
	return err;
}

static void run_job(struct worker *worker, struct arena *arena, const struct job_tables *tables, struct job *job)
{
	const struct job_kind *kind = find_kind(tables, job->kind);
	int64_t started = clock_monotonic_us();
	pid_t beating = keep_alive_start(worker, job);
	enum err err = kind ? kind->run(worker, arena, job) : job_refuse(job, "unknown_kind");
	keep_alive_stop(beating);
	pg_rollback(&worker->pg);
	if (!err) {
		metrics_add(METRIC_JOBS_DONE, 1);
		log_write(LOG_LEVEL_INFO, "job_done", LOG_TEXT("kind", job->kind), LOG_INT("attempt", job->attempt),
		          LOG_INT("milliseconds", (clock_monotonic_us() - started) / 1000));
		return;
	}
	if (err == ERR_LOST) {
		metrics_add(METRIC_JOBS_LOST, 1);
		log_write(LOG_LEVEL_WARN, "job_lost", LOG_TEXT("kind", job->kind));
		return;
	}
	if (stop && worth_another_try(err) && !pg_query(&worker->pg, arena, STMT_JOB_GIVE_BACK, PG_VALUES(job->id_text, job->token), NULL)) {
		log_write(LOG_LEVEL_INFO, "job_given_back", LOG_TEXT("kind", job->kind));
		return;
	}
	/* When the database is away, the failure cannot be recorded now; the lease runs out and the reaper does it. */
	if (record_failure(worker, arena, kind, job, err) == ERR_LOST)
		metrics_add(METRIC_JOBS_LOST, 1);
}

/* OK with *ret_found false: nothing to do. A lost race for a serial key counts as nothing to do. */
static enum err claim(struct worker *worker, struct arena *arena, struct job *ret, bool *ret_found)
{
	struct pg_rows rows;
	const char *lease = arena_printf(arena, "%lld seconds", (long long)worker->config->worker_lease_s);
	*ret_found = false;
	if (!lease)
		return ERR_TOO_LARGE;
	enum err err = pg_query(&worker->pg, arena, STMT_JOB_CLAIM, PG_VALUES("{default}", worker->name, lease), &rows);
	if (err == ERR_CONFLICT)
		return OK;
	if (err || rows.count == 0)
		return err;
	json_t *args = NULL;
	const char *text = pg_text(&rows, 0, 5);
	err = json_parse(arena, text, strlen(text), &args, NULL);
	if (err)
		return err;
	*ret = (struct job){
	    .id = pg_i64(&rows, 0, 0),
	    .id_text = pg_text(&rows, 0, 0),
	    .kind = pg_text(&rows, 0, 1),
	    .token = pg_text(&rows, 0, 2),
	    .space = pg_text(&rows, 0, 3),
	    .attempt = (int)pg_i64(&rows, 0, 4),
	    .args = args,
	    .lease = lease,
	};
	*ret_found = true;
	return OK;
}

/* Says so when it changes: a host that takes no jobs is found in its logs. */
static bool is_fit(const struct worker *worker, const struct job_tables *tables)
{
	static bool unfit;
	bool fit = tables->fit(worker->config);
	if (fit == unfit)
		log_write(fit ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, fit ? "worker_fit" : "worker_unfit");
	unfit = !fit;
	return fit;
}

/* Everything periodic, in one place: expired leases, schedules, next month's partition. */
static void housekeeping(struct worker *worker, struct arena *arena, const struct job_tables *tables)
{
	static int64_t next_us;
	struct pg_rows rows;
	int64_t now = clock_monotonic_us();
	if (now < next_us)
		return;
	next_us = now + worker->config->worker_reap_s * 1000000;
	enum err err = pg_begin(&worker->pg, NULL);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_JOB_REAP, PG_NONE, &rows);
	for (int i = 0; !err && i < rows.count; i++) {
		log_write(LOG_LEVEL_WARN, "lease_expired", LOG_INT("job", pg_i64(&rows, i, 0)), LOG_TEXT("kind", pg_text(&rows, i, 1)),
		          LOG_TEXT("state", pg_text(&rows, i, 2)));
		if (text_equal(pg_text(&rows, i, 2), "failed"))
			err = give_up(worker, arena, find_kind(tables, pg_text(&rows, i, 1)), pg_i64(&rows, i, 0), "worker_died");
	}
	if (!err)
		err = pg_commit(&worker->pg);
	pg_rollback(&worker->pg);
	for (size_t i = 0; !err && i < tables->schedule_count; i++)
		err = pg_query(&worker->pg, arena, STMT_CRON_TAKE,
		               PG_VALUES(tables->schedules[i].name, tables->schedules[i].kind, pg_number(arena, tables->schedules[i].every_s)), NULL);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_JOB_HISTORY_PARTITIONS, PG_NONE, NULL);
	if (err && err != ERR_UNAVAILABLE)
		log_write(err_log_level(err), "housekeeping_failed", LOG_TEXT("reason", err_name(err)));
}

/* Sleeps until a notification, the poll interval (with jitter, so that workers do not march in step) or a signal. */
static void wait_for_work(struct worker *worker, struct pg *listener, bool *listening)
{
	int64_t milliseconds = (int64_t)((double)worker->config->worker_poll_ms * (0.75 + random_unit() / 2));
	struct pollfd fd = {.fd = -1, .events = POLLIN};
	if (pg_ensure(listener) == OK && (*listening || pg_script(listener, "LISTEN tidegate_job") == OK)) {
		*listening = true;
		fd.fd = PQsocket(listener->connection);
	} else {
		*listening = false;
	}
	if (poll(&fd, 1, (int)milliseconds) <= 0 || !*listening)
		return;
	if (!PQconsumeInput(listener->connection)) {
		pg_close(listener);
		*listening = false;
		return;
	}
	PGnotify *notification;
	while ((notification = PQnotifies(listener->connection)))
		PQfreemem(notification);
}

enum err jobs_run(struct worker *worker, const struct job_tables *tables)
{
	struct arena arena;
	struct pg listener;
	bool listening = false;
	install_signals();
	arena_init(&arena, ARENA_CAP);
	pg_init(&listener, &worker->pg.options);
	for (int64_t done = 0; !stop && done < worker->config->worker_max_jobs;) {
		struct job job;
		bool found = false;
		housekeeping(worker, &arena, tables);
		enum err err = is_fit(worker, tables) ? claim(worker, &arena, &job, &found) : OK;
		if (!err && found) {
			log_set_context("job", job.id_text);
			run_job(worker, &arena, tables, &job);
			log_set_context(NULL, NULL);
			done++;
		} else if (!stop) {
			wait_for_work(worker, &listener, &listening);
		}
		if (err)
			clock_sleep_ms(RETRY_MS);
		arena_reset(&arena);
	}
	pg_close(&listener);
	arena_release(&arena);
	return OK;
}
