/* The addresses of backups, and their jobs. Registered by commands/serve.c and commands/work.c. */
#include "handlers/backups/handlers.h"

enum { TICK_EVERY_S = 60, CLOCK_EVERY_S = 3600 };

static const struct route routes[] = {
    {METHOD_GET, "/backups", GUARD_OPEN, ROUTE_BROWSER, backup_info},
    {METHOD_GET, "/backups/", GUARD_OPEN, ROUTE_BROWSER, backup_info},
    {METHOD_GET, "/backups/health", GUARD_OPEN, 0, backup_health},
    {METHOD_GET, "/backups/metrics", GUARD_ADMIN, 0, backup_metrics},
    {METHOD_GET, "/backups/status", GUARD_ADMIN, 0, backup_status},
    {METHOD_GET, "/backups/list", GUARD_ADMIN, 0, backup_list},
    {METHOD_POST, "/backups/trigger", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, backup_trigger},
    {METHOD_GET, "/backups/runs/{id}", GUARD_ADMIN, ROUTE_TRANSACTION, backup_run_show},
    {METHOD_GET, "/backups/download/{date}/{database}", GUARD_ADMIN, ROUTE_UPLOAD, backup_download},
    {METHOD_GET, "/backups/weekly/{week}", GUARD_ADMIN, ROUTE_UPLOAD, backup_weekly_download},
    {METHOD_POST, "/backups/links", GUARD_ADMIN, ROUTE_JSON | ROUTE_UPLOAD, backup_link},
    {METHOD_GET, "/backups/restore-guide/{database}", GUARD_ADMIN, ROUTE_BROWSER, backup_guide},
    {METHOD_POST, "/backups/verify/{date}/{database}", GUARD_ADMIN, ROUTE_JSON_OPTIONAL | ROUTE_CREATES, backup_verify},
    {METHOD_GET, "/backups/compare/{database}", GUARD_ADMIN, 0, backup_compare},
};

const struct route_table backup_routes = {routes, sizeof(routes) / sizeof(routes[0])};

const struct job_kind backup_job_kinds[] = {
    {"backup.database", backup_database_run, backup_database_dead},
    {"backup.tick", backup_tick_run, NULL},
    {"backup.verify", backup_verify_run, NULL},
    {"backup.weekly", backup_weekly_run, NULL},
    {"backup.retention", backup_retention_run, NULL},
    {"backup.reconcile", backup_reconcile_run, NULL},
    {"backup.replicate", backup_replicate_run, NULL},
    {"backup.clock", backup_clock_run, NULL},
    {"backup.heartbeat", backup_heartbeat_run, NULL},
    {"backup.sweep", backup_sweep_run, NULL},
};
const size_t backup_job_kind_count = sizeof(backup_job_kinds) / sizeof(backup_job_kinds[0]);

const struct job_schedule backup_schedules[] = {
    {"backup.tick", "backup.tick", TICK_EVERY_S},
    {"backup.clock", "backup.clock", CLOCK_EVERY_S},
};
const size_t backup_schedule_count = sizeof(backup_schedules) / sizeof(backup_schedules[0]);
