/*
 * The handlers of /backups, by file, and the jobs. Routes: routes.c. What a run is: sql/functions/backups.sql.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_HANDLERS_H
#define TIDEGATE_HANDLERS_BACKUPS_HANDLERS_H

#include "core/jobs/jobs.h"
#include "handlers/backups/sources.h"

/*
 * Begins a run over these databases (names NULL: all that are in the daily backup), or joins the one that is under way. ERR_NOT_FOUND: no database is configured;
 * ERR_INVALID with a name that is not configured, or a sentence about the list itself, in *ret_why.
 */
enum err backup_begin(struct pg *pg, struct arena *arena, const struct config *config, const char *trigger, const char *reason, const char *const *names, size_t count,
                      const char **ret_run, bool *ret_joined, const char **ret_why) MUST_USE;

/* job_database.c, job_tick.c: what the workers run. */
enum err backup_database_run(struct worker *worker, struct arena *arena, struct job *job);
enum err backup_database_dead(struct worker *worker, struct arena *arena, int64_t job_id, const char *code);
enum err backup_tick_run(struct worker *worker, struct arena *arena, struct job *job);

extern const struct job_kind backup_job_kinds[];
extern const size_t backup_job_kind_count;
extern const struct job_schedule backup_schedules[];
extern const size_t backup_schedule_count;

#endif
