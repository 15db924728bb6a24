/* tidegate backup retention: removes the backups whose time is over now, or lists them. Must never remove anything with --dry-run. */
#include "commands/backup.h"

#include "handlers/backups/handlers.h"

static void tell(const char *key, int64_t size)
{
	printf("%12lld  %s\n", (long long)size, key);
}

int backup_retention(struct command *command)
{
	struct config config;
	struct pg pg;
	const char *why = NULL;
	bool dry_run = option_flag(command, "--dry-run");
	int64_t count = 0, bytes = 0;
	if (command->argc != 2)
		return complain(EXIT_USAGE, "backup retention [--dry-run]");
	if (config_load(command->arena, command->config_path, &config, &why))
		return complain(EXIT_CONFIGURATION, "%s", why);
	struct pg_options options = database_options(&config, "worker");
	pg_init(&pg, &options);
	enum err err = backup_retain(&pg, command->arena, &config, dry_run, tell, &count, &bytes);
	int status = err == ERR_INVALID ? complain(EXIT_CONFIGURATION, "backups.sources cannot be read.") : err ? complain(EXIT_UNAVAILABLE, "%s", err_name(err)) : 0;
	if (!status)
		printf("%lld backups, %lld bytes %s\n", (long long)count, (long long)bytes, dry_run ? "would go" : "are gone");
	pg_close(&pg);
	return status;
}
