/*
 * The handlers of /api/import/sqlite, and of the calls of parsers that run elsewhere, by file. Routes: routes.c. States of a batch and
 * what is made of it: sql/functions/sqlite.sql, sqlite_profiles.sql.
 */
#ifndef TIDEGATE_HANDLERS_SQLITE_HANDLERS_H
#define TIDEGATE_HANDLERS_SQLITE_HANDLERS_H

#include "core/jobs/jobs.h"
#include "fcgi/job_care.h"
#include "fcgi/route.h"

extern const struct route_table sqlite_routes;
extern const struct job_care_table sqlite_job_care;

/* batch_create.c */
enum err sqlite_create(struct request *request, struct response *response);

/* batch_read.c */
enum err sqlite_list(struct request *request, struct response *response);
enum err sqlite_get(struct request *request, struct response *response);
enum err sqlite_raw(struct request *request, struct response *response);
enum err sqlite_data(struct request *request, struct response *response);

/* batch_change.c */
enum err sqlite_activate(struct request *request, struct response *response);
enum err sqlite_retry(struct request *request, struct response *response);
enum err sqlite_cancel(struct request *request, struct response *response);

/* calls.c: parsers that run elsewhere */
enum err sqlite_call_queue(struct request *request, struct response *response);
enum err sqlite_call_callback(struct request *request, struct response *response);

/* Answers with the batch as GET would, with that status. The id is a UUID; the transaction or scope of the caller applies. */
enum err sqlite_answer(struct request *request, struct response *response, const char *id, int status) MUST_USE;

/* What a new batch is made of. Texts are the request's. */
struct sqlite_creation {
	const char *id; /* NULL: one is made */
	const char *object_key, *file_name, *checksum, *profile, *parser, *idempotency_key;
	const char *timezone_offset; /* decimal, or NULL */
	int64_t file_size;           /* -1: that of the upload */
};

struct sqlite_created {
	const char *id, *status;
	bool deduplicated; /* it was there */
};

/*
 * Makes a batch of an upload, in the transaction and scope of its owner, and queues its import when the parser is our own; or finds the
 * one that its key or its file has. The request may be refused.
 */
enum err sqlite_make(struct request *request, struct response *response, const struct sqlite_creation *creation, struct sqlite_created *ret) MUST_USE;

/* Answers 202 with what was made. url: where a parser elsewhere gets the file, or NULL. */
enum err sqlite_accepted(struct response *response, const struct sqlite_created *created, const char *url, int64_t life_s) MUST_USE;

/* timezoneOffsetMinutes and profile of a body. False after a refusal. */
bool sqlite_read_options(struct request *request, struct response *response, struct sqlite_creation *ret);

/* job_import.c, retention.c: what the workers run. */
enum err sqlite_import_run(struct worker *worker, struct arena *arena, struct job *job);
enum err sqlite_retention_run(struct worker *worker, struct arena *arena, struct job *job);

extern const struct job_kind sqlite_job_kinds[];
extern const size_t sqlite_job_kind_count;
extern const struct job_schedule sqlite_schedules[];
extern const size_t sqlite_schedule_count;

#endif
