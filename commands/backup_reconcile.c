/*
 * tidegate backup reconcile: compares the inventory with the store now, and says what it finds. tidegate backup wake: what the timers of systemd call. Must never take in or delete anything but with --untracked adopt or delete.
 */
#include "commands/backup.h"

#include "handlers/backups/handlers.h"

static void tell(const char *what, const char *key, int64_t size)
{
	printf("%-14s %12lld  %s\n", what, (long long)size, key);
}

int backup_reconcile_now(struct command *command)
{
	struct config config;
	struct pg pg;
	struct backup_reconciled counts;
	enum backup_untracked action = UNTRACKED_REPORT;
	const char *why = NULL, *keys = NULL, *wish = option_value(command, "--untracked");
	if (command->argc != 2 || (wish && !backup_untracked_of(wish, &action)))
		return complain(EXIT_USAGE, "backup reconcile [--untracked report|adopt|delete]");
	if (config_load(command->arena, command->config_path, &config, &why))
		return complain(EXIT_CONFIGURATION, "%s", why);
	struct pg_options options = database_options(&config, "worker");
	pg_init(&pg, &options);
	enum err err = backup_reconcile(&pg, command->arena, &config, action, tell, &counts, &keys);
	int status = err == ERR_INVALID ? complain(EXIT_CONFIGURATION, "backups.sources cannot be read.") : err ? complain(EXIT_UNAVAILABLE, "%s", err_name(err)) : 0;
	if (!status)
		printf("%lld lost, %lld untracked (%lld bytes), %lld adopted, %lld deleted\n", (long long)counts.lost, (long long)counts.untracked, (long long)counts.untracked_bytes,
		       (long long)counts.adopted, (long long)counts.removed);
	pg_close(&pg);
	return status;
}

int backup_wake_now(struct command *command)
{
	struct config config;
	struct pg pg;
	const char *why = NULL;
	if (command->argc != 2)
		return complain(EXIT_USAGE, "backup wake");
	if (config_load(command->arena, command->config_path, &config, &why))
		return complain(EXIT_CONFIGURATION, "%s", why);
	struct pg_options options = database_options(&config, "worker");
	pg_init(&pg, &options);
	enum err err = backup_wake(&pg, command->arena, &config);
	int status = err ? complain(EXIT_UNAVAILABLE, "%s", *pg.message ? pg.message : err_name(err)) : 0;
	pg_close(&pg);
	return status;
}
