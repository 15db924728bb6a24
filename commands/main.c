/*
 * tidegate: finds the subcommand, loads the configuration, hands over. The place where libraries are set up once.
 * Must never do a command's work itself.
 */
#include "commands/commands.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/base/version.h"
#include "handlers/backups/prove.h"
#include "readers/read.h"

#include <sodium.h>
#include <stdarg.h>

enum { COMMAND_ARENA = 64 << 20 };

static const struct {
	const char *name;
	int (*run)(struct command *command);
	bool needs_config;
	const char *help;
} commands[] = {
    {"serve", command_serve, true, "one request process on descriptor 0, or on --socket PATH"},
    {"pool", command_pool, true, "keeps the configured number of serve and work processes: --socket PATH [--workers-only]"},
    {"work", command_work, true, "one worker: takes jobs from the queue"},
    {"read", NULL, false, "FORMAT: the sandboxed reader (started by workers)"},
    {"prove", NULL, false, "the sandboxed test restore of a backup (started by workers)"},
    {"migrate", command_migrate, true, "brings the database to this program's version"},
    {"roles", command_roles, false, "prints the SQL that makes the database roles (run it once as a superuser)"},
    {"schema", command_schema, true, "checks the declarations; --sql: their PostgreSQL DDL; --sqlite, --types or --json APP: what clients of its synced tables need"},
    {"token", command_token, true, "--role admin|member --sub NAME [--space NAME] [--hours N]: a development token"},
    {"import", command_import, false, "FILE --url URL --token-file FILE [OPTION]…: a spreadsheet through the public API; `import --help` lists the options"},
    {"jobs", command_jobs, false, "list|show|retry|cancel [ID]… --url URL --token-file FILE [OPTION]…: the queue, dead letters first of all; `jobs --help` says more"},
    {"retention", command_retention, true, "[--dry-run]: removes the imports whose time is over (import.retention_days), or lists them"},
    {"store", command_store, true, "check | setup | list [PREFIX] | get KEY FILE | put FILE KEY [--only-new] | delete KEY…: the S3 bucket (storage.driver = s3)"},
    {"sync", command_sync, false, "--db FILE --app APP --url URL --token-file FILE: an SQLite database and the server brought together; `sync --help` says more"},
    {"backup", command_backup, false, "run [DATABASE]… [--reason TEXT] [--no-wait]: backs up what is configured | rewrap --identity KEY-FILE: stored backups for the present recipients | dump DATABASE-FILE --to NEW-FILE [OPTION]…: one SQLite file by hand"},
    {"restore", command_restore, false, "FILE | DATABASE [--from DIRECTORY | --store | --replica] [--date YYYY-MM-DD] --to NEW-FILE [--table NAME] [--identity KEY-FILE] [--base FILE]: a verified database out of a backup"},
    {"doctor", command_doctor, true, "says in plain words what is wrong"},
    {"config", command_config, false, "--print, --docs, --errors or --nginx"},
};

int complain(int status, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("tidegate: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return status;
}

static void drop_arguments(struct command *command, int at, int count)
{
	for (int i = at; i + count <= command->argc; i++)
		command->argv[i] = command->argv[i + count];
	command->argc -= count;
}

const char *option_value(struct command *command, const char *name)
{
	for (int i = 1; i + 1 < command->argc; i++)
		if (text_equal(command->argv[i], name)) {
			const char *value = command->argv[i + 1];
			drop_arguments(command, i, 2);
			return value;
		}
	return NULL;
}

bool option_flag(struct command *command, const char *name)
{
	for (int i = 1; i < command->argc; i++)
		if (text_equal(command->argv[i], name)) {
			drop_arguments(command, i, 1);
			return true;
		}
	return false;
}

static int usage(FILE *to)
{
	fprintf(to, "tidegate " TIDEGATE_VERSION "\nusage: tidegate [--config FILE] COMMAND …\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].help);
	fputs("\nexit status: 0 done, 64 wrong usage, 65 refused, 69 database or server not to be reached, 70 no memory or no random numbers,\n"
	      "78 configuration; import: also 3 rows were left out, 4 the import failed, 73 the error report cannot be written\n", to);
	return to == stdout ? 0 : EXIT_USAGE;
}

static int run(struct command *command, struct config *config, size_t index)
{
	enum log_level level;
	const char *why = NULL;
	if (commands[index].needs_config) {
		if (config_load(command->arena, command->config_path, config, &why))
			return complain(EXIT_CONFIGURATION, "%s", why);
		if (log_level_parse(config->log_level, &level))
			return complain(EXIT_CONFIGURATION, "log.level must be debug, info, warn or error.");
		log_set_level(level);
		command->config = config;
	}
	log_set_process(commands[index].name);
	return commands[index].run(command);
}

int main(int argc, char **argv)
{
	struct arena arena;
	struct config config;
	struct command command = {.arena = &arena, .argc = argc, .argv = argv};
	/* The reader locks itself in: nothing of the rest may be set up before it. */
	if (argc >= 2 && text_equal(argv[1], "read"))
		return read_main(argc - 1, argv + 1);
	if (argc >= 2 && text_equal(argv[1], "prove"))
		return prove_main(argc - 1, argv + 1);
	if (sodium_init() < 0)
		return complain(EXIT_INTERNAL, "the random number generator of the system does not work.");
	if (argc >= 3 && text_equal(argv[1], "--config")) {
		command.config_path = argv[2];
		drop_arguments(&command, 1, 2);
	}
	drop_arguments(&command, 0, 1);
	if (command.argc == 0 || text_equal(command.argv[0], "--help") || text_equal(command.argv[0], "help"))
		return usage(command.argc ? stdout : stderr);
	if (text_equal(command.argv[0], "--version"))
		return puts(TIDEGATE_VERSION) < 0;
	arena_init(&arena, COMMAND_ARENA);
	int status = -1;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (text_equal(commands[i].name, command.argv[0]))
			status = run(&command, &config, i);
	arena_release(&arena);
	return status < 0 ? usage(stderr) : status;
}
