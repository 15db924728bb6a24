/*
 * The handlers of /api/webhooks, by file. Routes: routes.c. Events and deliveries: sql/functions/events.sql, webhooks.sql.
 */
#ifndef TIDEGATE_HANDLERS_WEBHOOKS_HANDLERS_H
#define TIDEGATE_HANDLERS_WEBHOOKS_HANDLERS_H

#include "core/jobs/jobs.h"
#include "fcgi/route.h"

extern const struct route_table webhook_routes;

/* endpoints_read.c */
enum err webhook_list(struct request *request, struct response *response);
enum err webhook_get(struct request *request, struct response *response);

/* endpoints_change.c */
enum err webhook_create(struct request *request, struct response *response);
enum err webhook_patch(struct request *request, struct response *response);
enum err webhook_delete(struct request *request, struct response *response);
enum err webhook_rotate(struct request *request, struct response *response);

/* deliveries.c */
enum err webhook_test(struct request *request, struct response *response);
enum err webhook_deliveries(struct request *request, struct response *response);
enum err webhook_replay_one(struct request *request, struct response *response);
enum err webhook_replay_since(struct request *request, struct response *response);

/*
 * Answers with an endpoint as GET would, with that status; secret, which may be NULL, is shown beside it. In the scope or
 * transaction of the caller.
 */
enum err webhook_answer(struct request *request, struct response *response, const char *id, int status, const char *secret) MUST_USE;

/* Locks the endpoint of the path. *ret_id NULL: the request was refused. *ret_enabled, which may be NULL: is it? */
enum err webhook_lock(struct request *request, struct response *response, const char **ret_id, bool *ret_enabled) MUST_USE;

/* courier.c, retention.c: what the workers run. */
enum err webhook_deliver_run(struct worker *worker, struct arena *arena, struct job *job);
enum err webhook_retention_run(struct worker *worker, struct arena *arena, struct job *job);

extern const struct job_kind webhook_job_kinds[];
extern const size_t webhook_job_kind_count;
extern const struct job_schedule webhook_schedules[];
extern const size_t webhook_schedule_count;

#endif
