/* The addresses of webhooks, and the jobs that send them. Registered by commands/serve.c and commands/work.c. */
#include "handlers/webhooks/handlers.h"

enum { DELIVER_EVERY_S = 60, RETENTION_EVERY_S = 600 };

static const struct route routes[] = {
    {METHOD_GET, "/api/webhooks", GUARD_ADMIN, 0, webhook_list},
    {METHOD_POST, "/api/webhooks", GUARD_ADMIN, ROUTE_JSON | ROUTE_CREATES, webhook_create},
    {METHOD_GET, "/api/webhooks/{id}", GUARD_ADMIN, 0, webhook_get},
    {METHOD_PATCH, "/api/webhooks/{id}", GUARD_ADMIN, ROUTE_JSON | ROUTE_TRANSACTION, webhook_patch},
    {METHOD_DELETE, "/api/webhooks/{id}", GUARD_ADMIN, ROUTE_TRANSACTION, webhook_delete},
    {METHOD_POST, "/api/webhooks/{id}/rotate", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, webhook_rotate},
    {METHOD_POST, "/api/webhooks/{id}/test", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, webhook_test},
    {METHOD_POST, "/api/webhooks/{id}/replay", GUARD_ADMIN, ROUTE_JSON | ROUTE_CREATES, webhook_replay_since},
    {METHOD_GET, "/api/webhooks/{id}/deliveries", GUARD_ADMIN, 0, webhook_deliveries},
    {METHOD_POST, "/api/webhooks/{id}/deliveries/{delivery}/replay", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, webhook_replay_one},
};

const struct route_table webhook_routes = {routes, sizeof(routes) / sizeof(routes[0])};

/* Nobody needs to know when a run of the sender is given up: its schedule starts another one. */
const struct job_kind webhook_job_kinds[] = {
    {"webhook.deliver", webhook_deliver_run, NULL},
    {"webhook.retention", webhook_retention_run, NULL},
};
const size_t webhook_job_kind_count = sizeof(webhook_job_kinds) / sizeof(webhook_job_kinds[0]);

/* The name of a schedule is the dedupe key of its job: it is the one that events.sql enqueues. */
const struct job_schedule webhook_schedules[] = {
    {"webhook.deliver", "webhook.deliver", DELIVER_EVERY_S},
    {"webhook.retention", "webhook.retention", RETENTION_EVERY_S},
};
const size_t webhook_schedule_count = sizeof(webhook_schedules) / sizeof(webhook_schedules[0]);
