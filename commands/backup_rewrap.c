/*
 * tidegate backup rewrap: stored backups for the present recipients, by somebody who has a key of the former ones. The key is read here, used, and wiped. Must never end with success
 * while a backup stayed as it was.
 */
#include "commands/backup.h"

#include "core/base/text.h"
#include "handlers/backups/handlers.h"

static void tell(const struct backup_rewrap_told *told)
{
	printf("%lld/%lld  %s", (long long)told->number, (long long)told->total, told->key);
	if (told->err)
		printf("  stayed as it was: %s", told->failure->code ? backup_failure_sentence(told->failure->code, LANGUAGE_EN) : err_name(told->err));
	else if (told->new_key)
		printf("  is now %s", told->new_key);
	printf("  (%lld bytes)\n", (long long)told->size);
	fflush(stdout);
}

int backup_rewrap_command(struct command *command)
{
	struct config config;
	struct age_identity identity;
	struct pg pg;
	const char *why = NULL, *key = option_value(command, "--identity"), *databases = NULL;
	bool dry_run = option_flag(command, "--dry-run");
	int64_t total = 0, failed = 0;
	if (!key && !dry_run)
		return complain(EXIT_USAGE, "backup rewrap --identity KEY-FILE [--dry-run] [DATABASE]…");
	if (config_load(command->arena, command->config_path, &config, &why))
		return complain(EXIT_CONFIGURATION, "%s", why);
	if (command->argc > 2)
		databases = pg_text_array(command->arena, (const char *const *)&command->argv[2], (size_t)command->argc - 2);
	if (key && !load_identity(key, &identity))
		return EXIT_USAGE;
	struct pg_options options = database_options(&config, "worker");
	pg_init(&pg, &options);
	enum err err = backup_rewrap(&pg, command->arena, &config, key ? &identity : NULL, databases, dry_run, tell, &total, &failed);
	int status = 0;
	if (err == ERR_INVALID)
		status = complain(EXIT_CONFIGURATION, "backups.recipients names no key to encrypt to, or one that is wrong.");
	else if (err)
		status = complain(EXIT_UNAVAILABLE, "The database does not answer: %s", pg.message);
	if (!status && dry_run)
		printf("%lld backups are encrypted to other keys than the present ones\n", (long long)total);
	else if (!status) {
		jobs_wake(&pg);
		printf("%lld backups are for the present keys now, %lld stayed as they were; the former objects go with the next retention (`tidegate backup retention`)\n", (long long)(total - failed), (long long)failed);
		status = !failed ? 0 : failed == total ? EXIT_FAILED : EXIT_PARTIAL;
	}
	if (key)
		age_identity_wipe(&identity);
	pg_close(&pg);
	return status;
}
