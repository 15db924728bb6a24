/* tidegate work: one worker. All kinds of jobs and all schedules are registered here. */
#include "commands/commands.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/jobs/jobs.h"
#include "core/net/hints.h"
#include "core/store/store.h"
#include "handlers/backups/failures.h"
#include "handlers/backups/handlers.h"
#include "handlers/import/failures.h"
#include "handlers/import/handlers.h"
#include "handlers/sqlite/failures.h"
#include "handlers/sqlite/handlers.h"
#include "handlers/sync/handlers.h"
#include "handlers/system/handlers.h"
#include "handlers/webhooks/failures.h"
#include "handlers/webhooks/handlers.h"

#include <string.h>
#include <unistd.h>

enum { KINDS_MAX = 64, SCHEDULES_MAX = 32 };

static const struct {
	const struct job_kind *kinds;
	const size_t *kind_count;
	const struct job_schedule *schedules;
	const size_t *schedule_count;
} capabilities[] = {
    {system_job_kinds, &system_job_kind_count, system_schedules, &system_schedule_count},
    {import_job_kinds, &import_job_kind_count, import_schedules, &import_schedule_count},
    {sqlite_job_kinds, &sqlite_job_kind_count, sqlite_schedules, &sqlite_schedule_count},
    {sync_job_kinds, &sync_job_kind_count, sync_schedules, &sync_schedule_count},
    {webhook_job_kinds, &webhook_job_kind_count, webhook_schedules, &webhook_schedule_count},
    {backup_job_kinds, &backup_job_kind_count, backup_schedules, &backup_schedule_count},
};

/*
 * Without a spool nothing can be fetched, and on a full one it fails again and again: another host's workers are better off with
 * the job. Objects on our own disk are another matter: jobs are what removes them from a full one.
 */
static bool fit(const struct config *config)
{
	enum store_spool spool = store_spool(config);
	return spool != STORE_SPOOL_GONE && (spool != STORE_SPOOL_FULL || !store_is_remote(config));
}

/* Every capability has a table of its own; the type of an event says whose code it carries. */
static const char *explain(const char *type, const char *code, unsigned language)
{
	static const struct {
		const char *prefix;
		const char *(*sentence)(const char *code, enum language language);
	} tables[] = {
	    {"import.", import_failure_sentence},
	    {"sqlite.", sqlite_failure_sentence},
	    {"backup.", backup_failure_sentence},
	    {"webhook.", webhook_failure_sentence},
	};
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (text_starts_with(type, tables[i].prefix))
			return tables[i].sentence(code, language ? LANGUAGE_FR : LANGUAGE_EN);
	return code;
}

int command_work(struct command *command)
{
	struct schema_catalog *catalog = arena_alloc(command->arena, sizeof(*catalog));
	struct worker *worker = arena_alloc(command->arena, sizeof(*worker));
	struct job_kind kinds[KINDS_MAX];
	struct job_schedule schedules[SCHEDULES_MAX];
	struct outgoing outgoing;
	struct publisher publisher;
	struct hints hints = {command->config, &publisher};
	char host[32] = "host";
	size_t count = 0, schedule_count = 0;
	const char *why = NULL;
	if (!catalog || !worker || !load_catalog(command, catalog) || !load_outgoing(command, &outgoing))
		return EXIT_CONFIGURATION;
	why = backup_heartbeat_refused(command->arena, command->config, &outgoing);
	if (why)
		return complain(EXIT_CONFIGURATION, "%s must be an https URL of a public address, or of one that webhooks.allow_networks and webhooks.allow_ports open.", why);
	if (store_is_remote(command->config) && store_configured(command->config, &why))
		return complain(EXIT_CONFIGURATION, "%s", why);
	if (metrics_open(command->config->metrics_file))
		log_write(LOG_LEVEL_WARN, "metrics_private", LOG_TEXT("file", command->config->metrics_file));
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		memcpy(kinds + count, capabilities[i].kinds, *capabilities[i].kind_count * sizeof(kinds[0]));
		count += *capabilities[i].kind_count;
		memcpy(schedules + schedule_count, capabilities[i].schedules, *capabilities[i].schedule_count * sizeof(schedules[0]));
		schedule_count += *capabilities[i].schedule_count;
	}
	struct job_tables tables = {kinds, count, schedules, schedule_count, fit};
	struct pg_options options = database_options(command->config, "worker");
	worker->config = command->config;
	worker->catalog = catalog;
	worker->explain = explain;
	pg_init(&worker->pg, &options);
	if (publisher_init(&publisher, command->config->events_publisher))
		return complain(EXIT_CONFIGURATION, "events.publisher is too long for the path of a socket.");
	pg_listen(&worker->pg, hints_tell, &hints);
	gethostname(host, sizeof(host) - 1);
	snprintf(worker->name, sizeof(worker->name), "%.31s:%d", host, (int)getpid());
	int status = wait_for_database(command, &worker->pg, catalog);
	if (!status)
		status = jobs_run(worker, &tables) ? EXIT_INTERNAL : 0;
	pg_close(&worker->pg);
	publisher_close(&publisher);
	return status;
}
