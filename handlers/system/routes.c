/* Addresses of the system itself. The /_internal ones are reached from nginx only: no location passes them on from outside. */
#include "handlers/system/handlers.h"

static const struct route routes[] = {
    {METHOD_GET, "/api/health", GUARD_OPEN, 0, system_health},
    {METHOD_GET, "/api/openapi.yaml", GUARD_OPEN, 0, system_openapi},
    {METHOD_GET, "/metrics", GUARD_OPEN, 0, system_metrics},
    {METHOD_GET, "/api/jobs", GUARD_ADMIN, 0, jobs_list},
    {METHOD_GET, "/api/jobs/{id}", GUARD_ADMIN, ROUTE_TRANSACTION, jobs_get},
    {METHOD_POST, "/api/jobs/{id}/retry", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, jobs_retry},
    {METHOD_POST, "/api/jobs/{id}/cancel", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, jobs_cancel},
    {METHOD_GET, "/_internal/object-auth", GUARD_OPEN, 0, object_auth},
    {METHOD_PUT, "/_internal/object", GUARD_OPEN, ROUTE_UPLOAD, object_put},
    {METHOD_GET, "/_internal/object", GUARD_OPEN, 0, object_get},
};

const struct route_table system_routes = {routes, sizeof(routes) / sizeof(routes[0])};
