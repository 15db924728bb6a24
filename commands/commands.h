/* The subcommands. Each gets its own arguments (argv[0] is its name) and returns the exit status of the process. */
#ifndef TIDEGATE_COMMANDS_COMMANDS_H
#define TIDEGATE_COMMANDS_COMMANDS_H

#include "core/base/config.h"
#include "core/net/outgoing.h"
#include "core/pg/pg.h"
#include "core/schema/catalog.h"

struct command {
	struct arena *arena;
	const struct config *config; /* NULL for commands that need none */
	const char *config_path;     /* as given, or NULL */
	int argc;
	char **argv;
};

/* Exit statuses beside 0: sysexits.h, and two that say how an import ended (the first also that rows of a sync were not taken). */
enum {
	EXIT_PARTIAL = 3,
	EXIT_FAILED = 4,
	EXIT_USAGE = 64,
	EXIT_REFUSED = 65,
	EXIT_UNAVAILABLE = 69,
	EXIT_INTERNAL = 70,
	EXIT_CANNOT_CREATE = 73,
	EXIT_CONFIGURATION = 78,
};

int command_serve(struct command *command);
int command_pool(struct command *command);
int command_work(struct command *command);
int command_migrate(struct command *command);
int command_roles(struct command *command);
int command_schema(struct command *command);
int command_token(struct command *command);
int command_doctor(struct command *command);
int command_config(struct command *command);
int command_import(struct command *command);
int command_jobs(struct command *command);
int command_retention(struct command *command);
int command_store(struct command *command);
int command_sync(struct command *command);
int command_backup(struct command *command);
int command_restore(struct command *command);

/* Value of `--name VALUE` (removed from argv), or NULL. / Is `--name` there (removed)? */
const char *option_value(struct command *command, const char *name);
bool option_flag(struct command *command, const char *name);

/* One sentence on standard error; returns the status, so that callers can `return complain(…)`. */
int complain(int status, const char *format, ...) PRINTF_LIKE(2, 3);

/* Loads the declarations of the configuration, or complains and returns false. */
bool load_catalog(struct command *command, struct schema_catalog *ret);

/* Reads the lists that say where webhooks may go, or complains and returns false. */
bool load_outgoing(struct command *command, struct outgoing *ret);

/* Connection options of a role: "api", "worker" or "owner". */
struct pg_options database_options(const struct config *config, const char *role);

/*
 * Compares the database with the migrations of this program and with the declarations. OK; ERR_INVALID with a sentence in
 * *ret_why when they differ; other results when the database cannot be asked.
 */
enum err check_drift(struct pg *pg, struct arena *arena, const struct schema_catalog *catalog, const char **ret_why) MUST_USE;

/* At the start of a process: a database that is down is waited for (it may be restarting), one that does not fit is refused
   with a sentence. 0, or the exit status. */
int wait_for_database(struct command *command, struct pg *pg, const struct schema_catalog *catalog);

#endif
