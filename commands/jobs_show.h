/* What `tidegate jobs` prints: lines for people on standard output, or one JSON object a line. Decides nothing. */
#ifndef TIDEGATE_COMMANDS_JOBS_SHOW_H
#define TIDEGATE_COMMANDS_JOBS_SHOW_H

#include "core/base/json.h"

/* The headings of the table, when somebody looks at it; a pipe gets rows alone. */
void jobs_show_headings(void);

/* One row of the table. job: an item of GET /api/jobs. */
void jobs_show_row(const json_t *job);

/* One job in full, with its events. job: the answer of GET /api/jobs/{id}. */
void jobs_show_job(const json_t *job);

/* What a retry or a cancel has made of it. */
void jobs_show_change(const json_t *job);

/* The object as one line of JSON; false without memory. */
bool jobs_show_json(const json_t *job);

/* A job about which the server said no, as one line of JSON. */
void jobs_show_refusal(const char *id, const char *code, const char *sentence);

#endif
