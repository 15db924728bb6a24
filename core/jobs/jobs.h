/*
 * The worker's side of the queue (sql/functions/jobs.sql has the rules): a loop that claims jobs and runs them by kind.
 *
 * A job is held by its token. Every batch of a kind is one transaction that ends with job_beat or a checkpoint that
 * calls it: data, progress, lease and cancel check commit together, or none does. A run ends in one of
 *   OK            the kind has called job_end in its last transaction
 *   ERR_LOST      the lease is somebody else's: nothing to do
 *   ERR_TIMEOUT, ERR_UNAVAILABLE, ERR_IO, ERR_CONFLICT   tried again later with back-off
 *   anything else permanent: the job is dead, on_dead of its kind is told
 */
#ifndef TIDEGATE_CORE_JOBS_JOBS_H
#define TIDEGATE_CORE_JOBS_JOBS_H

#include "core/base/arena.h"
#include "core/base/config.h"
#include "core/pg/pg.h"
#include "core/schema/catalog.h"

#include <stdbool.h>
#include <stdint.h>

struct worker {
	const struct config *config;
	const struct schema_catalog *catalog;
	struct pg pg;
	char name[64]; /* host:pid */
	/* The sentence of a code in an event of that type (language: 0 English, 1 French), for whoever tells people of it. Handed down by `tidegate work`. */
	const char *(*explain)(const char *type, const char *code, unsigned language);
};

struct job {
	int64_t id;
	const char *id_text; /* decimal, for statements */
	const char *kind;
	const char *token;
	const char *space;
	int attempt;
	json_t *args;
	const char *lease; /* interval text for the statements that renew it */
	bool cancelled; /* set by job_check when somebody asked */
	char failure[64]; /* code of the reason when the run fails, for last_error and for what the kind shows */
};

/* One kind of job. Tables of these are handed down by `tidegate work`. */
struct job_kind {
	const char *name;
	enum err (*run)(struct worker *worker, struct arena *arena, struct job *job);
	/* In its own transaction, which job_fail shares: the job was given up with this code. NULL: nobody needs to know. */
	enum err (*on_dead)(struct worker *worker, struct arena *arena, int64_t job_id, const char *code);
};

/* Work that recurs: a job of that kind every so many seconds, over all workers once. */
struct job_schedule {
	const char *name;
	const char *kind;
	int64_t every_s;
};

struct job_tables {
	const struct job_kind *kinds;
	size_t kind_count;
	const struct job_schedule *schedules;
	size_t schedule_count;
	/* False: nothing that a job needs is in order on this host, so its workers take none and leave them to others. Asked before every claim. */
	bool (*fit)(const struct config *config);
};

/* Runs until SIGTERM (the job at hand is given back at its next batch) or max_jobs. */
enum err jobs_run(struct worker *worker, const struct job_tables *tables) MUST_USE;

/* True once the process was asked to stop: long kinds give their job back at the next batch. */
bool jobs_stopping(void);

/* Heartbeat outside a batch. Fills job->cancelled. ERR_LOST when the lease is gone. */
enum err job_beat(struct worker *worker, struct arena *arena, struct job *job) MUST_USE;

/* Ends the job in the transaction that is open. state: "done" or "cancelled". */
enum err job_end(struct worker *worker, struct arena *arena, const struct job *job, const char *state) MUST_USE;

/* Notes why the run is about to fail; returns the result that means "permanent". */
enum err job_refuse(struct job *job, const char *code);

/* Wakes waiting workers after the commit of an enqueue; at most five times a second per process (the poll does the rest). */
void jobs_wake(struct pg *pg);

#endif
