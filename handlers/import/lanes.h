/*
 * Lanes: rows of an import written by several processes at once, each taking a stretch of row numbers slice by slice in
 * file order (docs/decisions/0005). A commit and an undo say what a slice is; how slices follow each other stands here.
 * The stretches and their checkpoints are the rows of tidegate.import_lane.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_LANES_H
#define TIDEGATE_HANDLERS_IMPORT_LANES_H

#include "handlers/import/job_common.h"

enum { LANES_MAX = 16, LANE_ROWS_MIN = 20000 };

struct lane {
	int64_t number;
	int64_t done_to; /* last row committed */
	int64_t last_row;
	int64_t cursor; /* records written before the next one, for a writer that counts them (import_lane.cursor) */
};

struct lanes {
	struct worker *worker;
	struct arena *arena; /* of the job */
	struct arena *slice; /* reset before each slice */
	struct job *job;
	const struct import_work *work;
	int64_t refused_max; /* rows that the database may refuse in one lane; 0: any number */
	/*
	 * Writes the rows from..to of a lane and its checkpoint in one transaction, and fills job->cancelled. ERR_INVALID, or
	 * SQLSTATE 23505: the data is to blame. refused_as: NULL, or the SQLSTATE with which the database has refused the one row
	 * from = to, which is then to be marked instead of written.
	 */
	enum err (*write)(void *context, struct lane *lane, const char *from, const char *to, const char *refused_as);
	void *context;
};

/* What is left of every lane. OK also when it stopped because of job->cancelled, which another lane may have seen alone.
   ERR_LIMITED after more than refused_max refusals: each one costs a search of its slice. */
enum err lanes_run(struct lanes *lanes) MUST_USE;

#endif
