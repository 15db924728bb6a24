/* The jobs of backups. Registered by commands/work.c. */
#include "handlers/backups/handlers.h"

enum { TICK_EVERY_S = 60 };

const struct job_kind backup_job_kinds[] = {
    {"backup.database", backup_database_run, backup_database_dead},
    {"backup.tick", backup_tick_run, NULL},
    {"backup.weekly", backup_weekly_run, NULL},
    {"backup.retention", backup_retention_run, NULL},
    {"backup.reconcile", backup_reconcile_run, NULL},
};
const size_t backup_job_kind_count = sizeof(backup_job_kinds) / sizeof(backup_job_kinds[0]);

const struct job_schedule backup_schedules[] = {
    {"backup.tick", "backup.tick", TICK_EVERY_S},
};
const size_t backup_schedule_count = sizeof(backup_schedules) / sizeof(backup_schedules[0]);
