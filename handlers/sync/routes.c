/* The addresses of sync and its job. Registered by commands/serve.c and commands/work.c. */
#include "handlers/sync/handlers.h"

enum { RETENTION_EVERY_S = 600 };

static const struct route routes[] = {
    {METHOD_POST, "/api/sync", GUARD_MEMBER, ROUTE_SYNC, sync_post},
    {METHOD_GET, "/api/sync/schema", GUARD_MEMBER, 0, sync_schema},
    {METHOD_GET, "/api/sync/check", GUARD_MEMBER, ROUTE_TRANSACTION, sync_check},
    {METHOD_POST, "/api/events/tickets", GUARD_MEMBER, ROUTE_JSON_OPTIONAL, events_ticket},
    {METHOD_GET, "/api/events", GUARD_OPEN, 0, events_missing},
    {METHOD_GET, "/_internal/events-auth", GUARD_OPEN, 0, events_authorise}, /* from nginx only */
};

const struct route_table sync_routes = {routes, sizeof(routes) / sizeof(routes[0])};

const struct job_kind sync_job_kinds[] = {{"sync.retention", sync_retention_run, NULL}};
const size_t sync_job_kind_count = sizeof(sync_job_kinds) / sizeof(sync_job_kinds[0]);

const struct job_schedule sync_schedules[] = {{"sync.retention", "sync.retention", RETENTION_EVERY_S}};
const size_t sync_schedule_count = sizeof(sync_schedules) / sizeof(sync_schedules[0]);
