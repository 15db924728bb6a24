/* The addresses of imports of SQLite databases. Registered by commands/serve.c. */
#include "handlers/sqlite/handlers.h"

static const struct route routes[] = {
    {METHOD_POST, "/api/import/sqlite", GUARD_MEMBER, ROUTE_JSON | ROUTE_TRANSACTION, sqlite_create},
    {METHOD_GET, "/api/import/sqlite", GUARD_MEMBER, 0, sqlite_list},
    {METHOD_GET, "/api/import/sqlite/{batchId}", GUARD_MEMBER, 0, sqlite_get},
    {METHOD_GET, "/api/import/sqlite/{batchId}/raw/{table}", GUARD_MEMBER, ROUTE_TRANSACTION, sqlite_raw},
    {METHOD_GET, "/api/import/sqlite/{batchId}/data/{table}", GUARD_MEMBER, ROUTE_TRANSACTION, sqlite_data},
    {METHOD_POST, "/api/import/sqlite/{batchId}/activate", GUARD_MEMBER, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, sqlite_activate},
    {METHOD_POST, "/api/import/sqlite/{batchId}/retry", GUARD_MEMBER, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, sqlite_retry},
    {METHOD_POST, "/api/import/queue", GUARD_PARSER_QUEUE, ROUTE_JSON | ROUTE_TRANSACTION, sqlite_call_queue},
    {METHOD_POST, "/api/import/callback", GUARD_PARSER_CALLBACK, ROUTE_JSON | ROUTE_TRANSACTION, sqlite_call_callback},
};

const struct route_table sqlite_routes = {routes, sizeof(routes) / sizeof(routes[0])};
