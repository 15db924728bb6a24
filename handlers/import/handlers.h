/*
 * The handlers of /api/import, by file. Routes: routes.c. States and moves of an import: sql/functions/import.sql.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_HANDLERS_H
#define TIDEGATE_HANDLERS_IMPORT_HANDLERS_H

#include "core/jobs/jobs.h"
#include "fcgi/job_care.h"
#include "fcgi/route.h"

extern const struct route_table import_routes;

/* job_care.c */
extern const struct job_care_table import_job_care;

/* upload_url.c */
enum err import_upload_url(struct request *request, struct response *response);

/* upload_parts.c */
enum err import_upload_complete(struct request *request, struct response *response);
enum err import_upload_abort(struct request *request, struct response *response);

/* jobs_create.c, jobs_read.c */
enum err import_create(struct request *request, struct response *response);
enum err import_list(struct request *request, struct response *response);
enum err import_get(struct request *request, struct response *response);
enum err import_rows(struct request *request, struct response *response);
enum err import_targets(struct request *request, struct response *response);

/* rows_change.c, duplicates_read.c */
enum err import_row_patch(struct request *request, struct response *response);
enum err import_duplicates(struct request *request, struct response *response);

/* template.c */
enum err import_target_csv(struct request *request, struct response *response);
enum err import_target_xlsx(struct request *request, struct response *response);

/* jobs_change.c */
enum err import_put_mapping(struct request *request, struct response *response);
enum err import_parse(struct request *request, struct response *response);
enum err import_commit(struct request *request, struct response *response);
enum err import_undo(struct request *request, struct response *response);
enum err import_cancel(struct request *request, struct response *response);
enum err import_retry(struct request *request, struct response *response);
enum err import_delete(struct request *request, struct response *response);
enum err import_error_report(struct request *request, struct response *response);

/* calls.c: the same work asked for by an external queue */
enum err import_call_parse(struct request *request, struct response *response);
enum err import_call_commit(struct request *request, struct response *response);
enum err import_call_error_report(struct request *request, struct response *response);

/* Answers with the job as GET would, with that status. The id is a UUID; the transaction or scope of the caller applies. */
enum err import_answer(struct request *request, struct response *response, const char *id, int status) MUST_USE;

/* job_*.c: what the workers run. */
extern const struct job_kind import_job_kinds[];
extern const size_t import_job_kind_count;
extern const struct job_schedule import_schedules[];
extern const size_t import_schedule_count;

#endif
