/*
 * The handlers of /backups, by file, and the jobs. Routes: routes.c. What a run is: sql/functions/backups.sql.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_HANDLERS_H
#define TIDEGATE_HANDLERS_BACKUPS_HANDLERS_H

#include "core/jobs/jobs.h"
#include "core/net/outgoing.h"
#include "fcgi/route.h"
#include "handlers/backups/source.h"
#include "handlers/backups/sources.h"

/*
 * Begins a run over these databases (names NULL: all that are in the daily backup), or joins the one that is under way. ERR_NOT_FOUND: no database is configured;
 * ERR_INVALID with a name that is not configured, or a sentence about the list itself, in *ret_why.
 */
enum err backup_begin(struct pg *pg, struct arena *arena, const struct config *config, const char *trigger, const char *reason, const char *const *names, size_t count,
                      const char **ret_run, bool *ret_joined, const char **ret_why) MUST_USE;

extern const struct route_table backup_routes;

/* read.c */
enum err backup_info(struct request *request, struct response *response);
enum err backup_health(struct request *request, struct response *response);
enum err backup_status(struct request *request, struct response *response);
enum err backup_list(struct request *request, struct response *response);
enum err backup_run_show(struct request *request, struct response *response);
enum err backup_compare(struct request *request, struct response *response);

/* metrics.c: one of its own, and a part of GET /metrics (gate.h) */
enum err backup_metrics(struct request *request, struct response *response);
enum err backup_figures(struct request *request, struct buf *out);

/* healthy, degraded or unhealthy. */
enum err backup_health_now(struct request *request, const char **ret) MUST_USE;

/* page.c: the same for people; guide.c */
enum err backup_page(struct request *request, struct response *response);
enum err backup_guide(struct request *request, struct response *response);

/* give.c */
enum err backup_download(struct request *request, struct response *response);
enum err backup_weekly_download(struct request *request, struct response *response);
enum err backup_link(struct request *request, struct response *response);

/*
 * The store that has an object of the statement backup_find: the first, or the second when the first has lost it. From a second one that no client can reach the object is brought back
 * at once. ERR_NOT_FOUND: neither has it. A store that does not answer is what the client will see.
 */
enum err backup_find_store(struct request *request, const struct pg_rows *rows, struct config *ret) MUST_USE;

/* The packing that a stored backup has, as `as` names it; "" for none of those. */
const char *backup_stored_form(const char *key);

/* give_as.c: in another form than it is stored. as, table NULL: not said. */
enum err backup_give_as(struct request *request, struct response *response, const char *database, const char *day, const struct pg_rows *rows, const char *as, const char *table,
                        bool d1);

/* The whole of a differential backup, in the packing that it is stored in; *ret_url NULL after a refusal. */
enum err backup_full_url(struct request *request, struct response *response, const char *database, const char *day, const struct pg_rows *rows, int64_t life_s, const char **ret_url);

/* Columns of the statement backup_find. */
enum { FOUND_ID, FOUND_KEY, FOUND_SIZE, FOUND_VERIFIED, FOUND_ENCRYPTED, FOUND_SHA256, FOUND_REPLICA, FOUND_BASE };

/* change.c */
enum err backup_trigger(struct request *request, struct response *response);
enum err backup_verify(struct request *request, struct response *response);

/* The databases that are configured; false after a refusal. */
bool backup_load(struct request *request, struct response *response, struct backup_sources *ret);

/* 404 with what there is: databases when none of that name is configured. False after the refusal. */
bool backup_known(struct request *request, struct response *response, const struct backup_sources *sources, const char *name);

/* Finds the backup of a day (YYYY-MM-DD, checked), or of a week with day NULL. rows->count 0: the request was refused, with what there is. */
enum err backup_find(struct request *request, struct response *response, const char *kind, const char *database, const char *day, struct pg_rows *rows) MUST_USE;

/* The text of a path value. / Is it a day that exists? */
const char *backup_path_text(const struct request *request, size_t index);
bool backup_is_day(const char *text);

/* job_database.c, job_tick.c …: what the workers run. */
enum err backup_database_run(struct worker *worker, struct arena *arena, struct job *job);
enum err backup_database_dead(struct worker *worker, struct arena *arena, int64_t job_id, const char *code);
enum err backup_verify_run(struct worker *worker, struct arena *arena, struct job *job);
enum err backup_tick_run(struct worker *worker, struct arena *arena, struct job *job);

enum err backup_weekly_run(struct worker *worker, struct arena *arena, struct job *job);
enum err backup_retention_run(struct worker *worker, struct arena *arena, struct job *job);
enum err backup_clock_run(struct worker *worker, struct arena *arena, struct job *job);
enum err backup_heartbeat_run(struct worker *worker, struct arena *arena, struct job *job);
enum err backup_reconcile_run(struct worker *worker, struct arena *arena, struct job *job);
enum err backup_sweep_run(struct worker *worker, struct arena *arena, struct job *job);
enum err backup_replicate_run(struct worker *worker, struct arena *arena, struct job *job);

/* Queues backup.replicate when there is a second store and anything is due to be copied there. */
enum err backup_replicate_ask(struct pg *pg, struct arena *arena, const struct config *config) MUST_USE;

/* Does now what the schedule says is due, as the workers' look of every minute would, and wakes workers. What is taken already is not taken again. */
enum err backup_wake(struct pg *pg, struct arena *arena, const struct config *config) MUST_USE;

/* Names of the databases in the daily run, or in the weekly archive, as a text[]. NULL: no memory. */
const char *backup_names(struct arena *arena, const struct backup_sources *sources, bool weekly);

/*
 * What retention would remove now, or removes: tell is called for each. *ret_count, *ret_bytes of them. What the store keeps locked stays for later.
 */
enum err backup_retain(struct pg *pg, struct arena *arena, const struct config *config, bool dry_run, void (*tell)(const char *key, int64_t size), int64_t *ret_count,
                       int64_t *ret_bytes) MUST_USE;

struct age_identity;
struct backup_rewrap_told {
	const char *key, *new_key; /* new_key NULL: a dry run, or it failed */
	int64_t number, total, size;
	enum err err;
	const struct backup_failure *failure;
};

/*
 * Stored backups that are encrypted to others than the present backups.recipients become such of theirs (databases: a text[], or NULL for all): a new object with a new header and the
 * same payload, test-restored, then it takes the place of the old one in the inventory, which retention removes. tell is called for each. *ret_failed: how many stayed as they were.
 */
enum err backup_rewrap(struct pg *pg, struct arena *arena, const struct config *config, const struct age_identity *identity, const char *databases, bool dry_run,
                       void (*tell)(const struct backup_rewrap_told *told), int64_t *ret_total, int64_t *ret_failed) MUST_USE;

/* The name of an option of heartbeats whose URL may not be called (outgoing.h); NULL: all are fine. */
const char *backup_heartbeat_refused(struct arena *arena, const struct config *config, const struct outgoing *outgoing);

/* What is done with objects that the inventory does not know. */
enum backup_untracked { UNTRACKED_REPORT, UNTRACKED_ADOPT, UNTRACKED_DELETE };
bool backup_untracked_of(const char *name, enum backup_untracked *ret);

struct backup_reconciled {
	int64_t lost;                       /* backups whose object is gone or has another size */
	int64_t untracked, untracked_bytes; /* objects that the inventory does not know, older than the grace time */
	int64_t adopted, removed;           /* of these */
};

/*
 * Compares the inventory with what lies in the store under daily/ and weekly/, page by page. tell is called for every object about which there is something to
 * say: lost, untracked, adopted, deleted. The first keys of what is left untracked are in ret_keys (a text[] for statements). Errors as store_list; a
 * store that does not answer says nothing.
 */
enum err backup_reconcile(struct pg *pg, struct arena *arena, const struct config *config, enum backup_untracked action, void (*tell)(const char *what, const char *key, int64_t size),
                          struct backup_reconciled *ret, const char **ret_keys) MUST_USE;

extern const struct job_kind backup_job_kinds[];
extern const size_t backup_job_kind_count;
extern const struct job_schedule backup_schedules[];
extern const size_t backup_schedule_count;

#endif
