/*
 * Keeps the lease of a job while its worker is busy with one long step (a hash of gigabytes, a set statement over millions
 * of rows): a process of its own that beats every third of the lease and dies with the worker. It gives up after the
 * longest statement plus a lease, so that a worker that hangs for ever loses its job all the same.
 */
#ifndef TIDEGATE_CORE_JOBS_KEEP_ALIVE_H
#define TIDEGATE_CORE_JOBS_KEEP_ALIVE_H

#include "core/jobs/jobs.h"

#include <sys/types.h>

/* The process, or -1 when none could be made (then only the batches renew the lease). */
pid_t keep_alive_start(const struct worker *worker, const struct job *job);

void keep_alive_stop(pid_t pid);

#endif
