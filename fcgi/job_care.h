/*
 * What a capability has to say when a person looks at one of its jobs, retries or cancels it (handlers/system/jobs.c). The
 * tables are handed down by `tidegate serve`; a kind that stands in none follows the rules of the queue alone.
 */
#ifndef TIDEGATE_FCGI_JOB_CARE_H
#define TIDEGATE_FCGI_JOB_CARE_H

#include "fcgi/route.h"

struct job_care {
	const char *kind;
	/*
	 * Instead of the queue's own retry of a dead letter, or cancel of a job that waits or runs. Called in the request's
	 * transaction with the subject of the job (its argument `id`) as the only path value; may refuse. The answer it makes is
	 * replaced by the job. NULL: the queue's own.
	 */
	handler *retry, *cancel;
	bool needed; /* cancel is refused in every state: what the job does, nobody would do any more */
	const char *(*sentence)(const char *code, enum language language); /* what a code of failure means; NULL: nobody says */
};

struct job_care_table {
	const struct job_care *kinds;
	size_t count;
};

#endif
