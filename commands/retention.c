/* tidegate retention: removes the imports whose time is over, or lists them. What workers do by themselves, here and now. */
#include "commands/commands.h"
#include "core/base/metrics.h"
#include "core/jobs/jobs.h"
#include "handlers/import/retention.h"

enum { AT_ONCE = 200, LIST_MAX = 10000 };

static void print(const struct import_expired *expired)
{
	printf("%s  %-9s %9lld rows  %s  %s  %s  %s\n", expired->ended_at, expired->status, (long long)expired->rows, expired->id, expired->target,
	       expired->space, expired->file_name);
}

static enum err list(struct command *command, struct pg *pg, int64_t *ret_count)
{
	return import_retain(pg, command->arena, IMPORT_RETENTION_LIST, command->config->import_retention_days, LIST_MAX, print, ret_count);
}

/* Until nothing is left that nobody uses. */
static enum err remove_all(struct command *command, struct pg *pg, int64_t *ret_count)
{
	struct arena arena;
	int64_t count = 1;
	enum err err = OK;
	arena_init(&arena, 16 << 20);
	while (!err && count) {
		err = import_retain(pg, &arena, IMPORT_RETENTION_REMOVE, command->config->import_retention_days, AT_ONCE, print, &count);
		*ret_count += count;
		arena_reset(&arena);
	}
	arena_release(&arena);
	if (*ret_count)
		jobs_wake(pg);
	return err;
}

int command_retention(struct command *command)
{
	struct pg_options options = database_options(command->config, "worker");
	bool dry = option_flag(command, "--dry-run");
	struct pg pg;
	int64_t count = 0;
	if (command->argc > 1)
		return complain(EXIT_USAGE, "retention takes --dry-run and nothing else.");
	if (!command->config->import_retention_days) {
		puts("import.retention_days is 0: imports are kept for ever.");
		return 0;
	}
	(void)metrics_open(command->config->metrics_file);
	options.application_name = "tidegate retention";
	pg_init(&pg, &options);
	if (pg_ensure(&pg))
		return complain(EXIT_UNAVAILABLE, "The database does not answer: %s", pg.message);
	enum err err = dry ? list(command, &pg, &count) : remove_all(command, &pg, &count);
	if (err)
		complain(EXIT_UNAVAILABLE, "it ended early: %s", pg.message);
	printf("%lld imports %s%s\n", (long long)count, dry ? "would go" : "removed; their rows, files and reports follow in the background",
	       dry && count == LIST_MAX ? ", and more" : "");
	pg_close(&pg);
	return err ? EXIT_UNAVAILABLE : 0;
}
