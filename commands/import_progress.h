/*
 * What `tidegate import` shows while it works: a bar on a terminal, lines in a pipe, JSON lines when asked for. Progress
 * goes to standard error, except JSON, which has standard output to itself; the result goes to standard output.
 */
#ifndef TIDEGATE_COMMANDS_IMPORT_PROGRESS_H
#define TIDEGATE_COMMANDS_IMPORT_PROGRESS_H

#include "core/base/json.h"

struct import_progress {
	enum { PROGRESS_LINES, PROGRESS_BAR, PROGRESS_JSON } how;
	int64_t started_us;
	char status[16]; /* what was shown last, and when */
	int64_t done, shown_us;
};

/* How it ended, for the last line. */
struct import_end {
	const char *outcome; /* complete, partial, queued, dry_run, failed, cancelled, refused, unreachable, misused, report_not_written, internal */
	int exit_status;
	const char *code, *sentence; /* of what went wrong, or NULL */
	const char *report;          /* file with the rows left out, or NULL */
};

void import_progress_start(struct import_progress *progress, bool json);

/* The upload begins. */
void import_progress_upload(struct import_progress *progress, const char *name, int64_t size);

/* One look at the import (answer of GET …/jobs/{id}); shows nothing when nothing moved. */
void import_progress_show(struct import_progress *progress, const json_t *job);

/* The end: clears the bar and writes the summary. job: the last look, or NULL when there was none. */
void import_progress_end(struct import_progress *progress, const char *name, const json_t *job, const struct import_end *end);

/* Rows of counts, e.g. "invalid"; 0 when job is NULL. */
long long import_count(const json_t *job, const char *name);

#endif
