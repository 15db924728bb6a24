/* Sync of declared tables with clients that were offline: docs/sync.md. Routes: routes.c. */
#ifndef TIDEGATE_HANDLERS_SYNC_HANDLERS_H
#define TIDEGATE_HANDLERS_SYNC_HANDLERS_H

#include "core/jobs/jobs.h"
#include "fcgi/route.h"

extern const struct route_table sync_routes;

enum err sync_post(struct request *request, struct response *response);
enum err sync_schema(struct request *request, struct response *response);
enum err sync_check(struct request *request, struct response *response);

/* events.c */
enum err events_ticket(struct request *request, struct response *response);
enum err events_authorise(struct request *request, struct response *response);
enum err events_missing(struct request *request, struct response *response);

/* retention.c: tombstones and answered requests that are old */
enum err sync_retention_run(struct worker *worker, struct arena *arena, struct job *job);

extern const struct job_kind sync_job_kinds[];
extern const size_t sync_job_kind_count;
extern const struct job_schedule sync_schedules[];
extern const size_t sync_schedule_count;

#endif
