/*
 * One lane of a commit: a stretch of rows, taken slice by slice in file order. Each slice is one transaction: insert,
 * update, history, counters, the lane's checkpoint, lease and cancel check.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_COMMIT_LANE_H
#define TIDEGATE_HANDLERS_IMPORT_COMMIT_LANE_H

#include "handlers/import/commit_options.h"
#include "handlers/import/job_common.h"

enum { LANES_MAX = 16, LANE_REFUSED_MAX = 1000 };

struct commit {
	struct worker *worker;
	struct arena *arena; /* of the job */
	struct arena slice;
	struct job *job;
	const struct import_work *work;
	struct commit_plan plan;
	struct pg_scope scope;
	const struct lane *lane; /* the one at hand */
	int64_t cursor;          /* of the lane */
	int64_t refused;         /* rows of it that the database has refused */
};

struct lane {
	int64_t number;
	int64_t done_to; /* last row committed */
	int64_t last_row;
	int64_t cursor; /* whose turn the next record is, of those it is assigned to */
};

/* Commits what is left of the lane on the worker's connection. OK also when it stopped because of job->cancelled.
   ERR_LIMITED when the database refuses more than LANE_REFUSED_MAX rows: each one costs a search of its slice. */
enum err commit_lane(struct commit *commit, const struct lane *lane) MUST_USE;

#endif
