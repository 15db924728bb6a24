/*
 * tidegate serve: sets up what requests need and runs the accept loop. All routes are registered here.
 * Refuses to start with one sentence when the configuration, the keys, the declarations or the database do not fit.
 */
#include "commands/commands.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/base/text.h"
#include "core/store/store.h"
#include "fcgi/loop.h"
#include "handlers/backups/handlers.h"
#include "handlers/import/handlers.h"
#include "handlers/sqlite/handlers.h"
#include "handlers/sync/handlers.h"
#include "handlers/system/handlers.h"
#include "handlers/webhooks/handlers.h"

#include <string.h>
#include <unistd.h>

static bool set_up_keys(const struct config *config, struct gate *gate)
{
	const char *why = NULL;
	struct jwks_options keys = {
	    .location = *config->jwks ? config->jwks : NULL,
	    .secret = *config->jwt_secret ? config->jwt_secret : NULL,
	    .secret_length = strlen(config->jwt_secret),
	};
	if (jwks_init(&gate->jwks, &keys)) {
		complain(EXIT_CONFIGURATION, "auth.jwt_secret needs at least 32 bytes, or auth.jwks must name a file or an https URL.");
		return false;
	}
	gate->policy = (struct jwt_policy){
	    .issuer = *config->jwt_issuer ? config->jwt_issuer : NULL,
	    .audience = *config->jwt_audience ? config->jwt_audience : NULL,
	    .role_claim = config->role_claim,
	    .leeway = config->jwt_leeway_s,
	};
	if (queue_keys_init(&gate->queue_keys, config->queue_current_key, config->queue_next_key)) {
		complain(EXIT_UNAVAILABLE, "the keys of the external queue cannot be loaded: no memory.");
		return false;
	}
	if (store_configured(config, &why)) {
		complain(EXIT_CONFIGURATION, "%s", why);
		return false;
	}
	gate->storage_credentials = store_credentials(config);
	return true;
}

int command_serve(struct command *command)
{
	static struct gate gate;
	const char *socket = option_value(command, "--socket");
	const struct route_table tables[] = {system_routes, import_routes, sqlite_routes, sync_routes, webhook_routes, backup_routes};
	static enum err (*const figures[])(struct request *request, struct buf *out) = {backup_figures};
	const struct job_care_table care[] = {import_job_care, sqlite_job_care};
	gate.config = command->config;
	gate.job_care = care;
	gate.figures = figures;
	gate.figure_count = sizeof(figures) / sizeof(figures[0]);
	gate.job_care_count = sizeof(care) / sizeof(care[0]);
	if (!set_up_keys(command->config, &gate) || !load_catalog(command, &gate.catalog) || !load_outgoing(command, &gate.webhooks))
		return EXIT_CONFIGURATION;
	if (publisher_init(&gate.publisher, command->config->events_publisher))
		return complain(EXIT_CONFIGURATION, "events.publisher is too long for the path of a socket.");
	if (metrics_open(command->config->metrics_file))
		log_write(LOG_LEVEL_WARN, "metrics_private", LOG_TEXT("file", command->config->metrics_file));
	struct pg_options options = database_options(command->config, "api");
	pg_init(&gate.pg, &options);
	gate.hints = (struct hints){command->config, &gate.publisher};
	pg_listen(&gate.pg, hints_tell, &gate.hints);
	int status = wait_for_database(command, &gate.pg, &gate.catalog);
	if (status)
		return status;
	int fd = socket ? FCGX_OpenSocket(socket, 4096) : STDIN_FILENO;
	if (fd < 0 || loop_run(&gate, fd, tables, sizeof(tables) / sizeof(tables[0])))
		return complain(EXIT_UNAVAILABLE, "descriptor 0 is no listening socket; use --socket PATH, or a socket unit.");
	pg_close(&gate.pg);
	publisher_close(&gate.publisher);
	jwks_release(&gate.jwks);
	queue_keys_release(&gate.queue_keys);
	return 0;
}
