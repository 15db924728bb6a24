/*
 * One slice of a commit. It is one transaction: insert, update, history, counters, the lane's checkpoint, lease and
 * cancel check.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_COMMIT_LANE_H
#define TIDEGATE_HANDLERS_IMPORT_COMMIT_LANE_H

#include "handlers/import/commit_options.h"
#include "handlers/import/lanes.h"

enum { COMMIT_REFUSED_MAX = 1000 };

struct commit {
	struct worker *worker;
	struct arena *arena; /* of the job */
	struct arena slice;
	struct job *job;
	const struct import_work *work;
	struct commit_plan plan;
	struct pg_scope scope;
};

/* What lanes_run calls for a slice; context is the struct commit. */
enum err commit_slice(void *context, struct lane *lane, const char *from, const char *to, const char *refused_as) MUST_USE;

#endif
