/* Health, metrics, jobs, and the internal addresses that nginx calls for objects. Routes: routes.c. */
#ifndef TIDEGATE_HANDLERS_SYSTEM_HANDLERS_H
#define TIDEGATE_HANDLERS_SYSTEM_HANDLERS_H

#include "core/jobs/jobs.h"
#include "fcgi/route.h"

extern const struct route_table system_routes;

enum err system_health(struct request *request, struct response *response);
enum err system_openapi(struct request *request, struct response *response);
enum err system_metrics(struct request *request, struct response *response);

/* jobs.c: the queue, as an administrator of a space may see it and change it */
enum err jobs_list(struct request *request, struct response *response);
enum err jobs_get(struct request *request, struct response *response);
enum err jobs_retry(struct request *request, struct response *response);
enum err jobs_cancel(struct request *request, struct response *response);

/* objects.c: see nginx/tidegate.conf.in */
enum err object_auth(struct request *request, struct response *response);
enum err object_put(struct request *request, struct response *response);
enum err object_get(struct request *request, struct response *response);

extern const struct job_kind system_job_kinds[];
extern const size_t system_job_kind_count;
extern const struct job_schedule system_schedules[];
extern const size_t system_schedule_count;

#endif
