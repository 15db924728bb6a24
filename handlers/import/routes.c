/* The addresses of spreadsheet imports. Registered by commands/serve.c. */
#include "handlers/import/handlers.h"

static const struct route routes[] = {
    {METHOD_POST, "/api/import/upload-url", GUARD_MEMBER, ROUTE_JSON | ROUTE_CREATES, import_upload_url},
    {METHOD_POST, "/api/import/uploads/{id}/complete", GUARD_MEMBER, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, import_upload_complete},
    {METHOD_POST, "/api/import/uploads/{id}/abort", GUARD_MEMBER, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, import_upload_abort},
    {METHOD_GET, "/api/import/targets", GUARD_ADMIN, 0, import_targets},
    {METHOD_GET, "/api/import/targets/{name}/template.csv", GUARD_ADMIN, 0, import_target_csv},
    {METHOD_GET, "/api/import/targets/{name}/template.xlsx", GUARD_ADMIN, 0, import_target_xlsx},
    {METHOD_POST, "/api/import/jobs", GUARD_ADMIN, ROUTE_JSON | ROUTE_CREATES, import_create},
    {METHOD_GET, "/api/import/jobs", GUARD_ADMIN, 0, import_list},
    {METHOD_GET, "/api/import/jobs/{id}", GUARD_ADMIN, 0, import_get},
    {METHOD_DELETE, "/api/import/jobs/{id}", GUARD_ADMIN, ROUTE_TRANSACTION, import_delete},
    {METHOD_PUT, "/api/import/jobs/{id}/mapping", GUARD_ADMIN, ROUTE_JSON | ROUTE_TRANSACTION, import_put_mapping},
    {METHOD_POST, "/api/import/jobs/{id}/parse", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, import_parse},
    {METHOD_GET, "/api/import/jobs/{id}/rows", GUARD_ADMIN, 0, import_rows},
    {METHOD_PATCH, "/api/import/jobs/{id}/rows/{n}", GUARD_ADMIN, ROUTE_JSON | ROUTE_TRANSACTION, import_row_patch},
    {METHOD_GET, "/api/import/jobs/{id}/duplicates", GUARD_ADMIN, ROUTE_TRANSACTION, import_duplicates},
    {METHOD_POST, "/api/import/jobs/{id}/commit", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, import_commit},
    {METHOD_POST, "/api/import/jobs/{id}/cancel", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, import_cancel},
    {METHOD_POST, "/api/import/jobs/{id}/retry", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, import_retry},
    {METHOD_POST, "/api/import/jobs/{id}/undo", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, import_undo},
    {METHOD_POST, "/api/import/jobs/{id}/error-report", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_TRANSACTION, import_error_report},
    {METHOD_POST, "/api/import/parse", GUARD_QUEUE, ROUTE_JSON | ROUTE_TRANSACTION, import_call_parse},
    {METHOD_POST, "/api/import/commit", GUARD_QUEUE, ROUTE_JSON | ROUTE_TRANSACTION, import_call_commit},
    {METHOD_POST, "/api/import/error-report", GUARD_QUEUE, ROUTE_JSON | ROUTE_TRANSACTION, import_call_error_report},
};

const struct route_table import_routes = {routes, sizeof(routes) / sizeof(routes[0])};
