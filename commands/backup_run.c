/*
 * tidegate backup run: begins a run, or joins the one under way, and shows how it goes until it has ended. The workers do the work. Must never end
 * with success before every database of the run has ended with it.
 */
#include "commands/backup.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "handlers/backups/handlers.h"

#include <string.h>

enum { POLL_MS = 200, SHOWN_MAX = 200 };

/* Columns of the statements backup_run_get and backup_run_results. */
enum { RUN_STATE = 3 };
enum { RESULT_DATABASE, RESULT_STATE, RESULT_PHASE, RESULT_ERROR = 6, RESULT_DETAIL, RESULT_KEY, RESULT_SIZE, RESULT_ROWS };

static void show(const struct pg_rows *rows, int i)
{
	const char *error = pg_text(rows, i, RESULT_ERROR), *key = pg_text(rows, i, RESULT_KEY);
	printf("%-24s ", pg_text(rows, i, RESULT_DATABASE));
	if (error)
		printf("failed: %s (%s%s%s)\n", backup_failure_sentence(error, LANGUAGE_EN), error, pg_text(rows, i, RESULT_DETAIL) ? ": " : "",
		       pg_text(rows, i, RESULT_DETAIL) ? pg_text(rows, i, RESULT_DETAIL) : "");
	else if (key && text_equal(pg_text(rows, i, RESULT_STATE), "succeeded"))
		printf("%s  %lld bytes, %lld rows\n", key, (long long)pg_i64(rows, i, RESULT_SIZE), (long long)pg_i64(rows, i, RESULT_ROWS));
	else
		printf("%s\n", pg_text(rows, i, RESULT_PHASE));
	fflush(stdout);
}

/* Shows what changed since the last look. The state first: of a run that has ended, the results that are read after it are the last ones. */
static enum err look(struct pg *pg, struct arena *arena, const char *run, char seen[SHOWN_MAX][16], char state[16])
{
	struct pg_rows rows, now_run;
	enum err err = pg_query(pg, arena, STMT_BACKUP_RUN_GET, PG_VALUES(run), &now_run);
	if (!err && now_run.count == 0)
		err = ERR_NOT_FOUND;
	if (!err)
		err = pg_query(pg, arena, STMT_BACKUP_RUN_RESULTS, PG_VALUES(run), &rows);
	for (int i = 0; !err && i < rows.count && i < SHOWN_MAX; i++) {
		const char *now = text_equal(pg_text(&rows, i, RESULT_STATE), "failed") ? "failed" : pg_text(&rows, i, RESULT_PHASE);
		if (text_equal(seen[i], now))
			continue;
		snprintf(seen[i], sizeof(seen[i]), "%s", now);
		show(&rows, i);
	}
	if (!err)
		snprintf(state, 16, "%s", pg_text(&now_run, 0, RUN_STATE));
	return err;
}

static int follow(struct pg *pg, const char *run)
{
	static char seen[SHOWN_MAX][16];
	char state[16] = "running";
	struct arena arena;
	enum err err = OK;
	arena_init(&arena, 16 << 20);
	do {
		err = look(pg, &arena, run, seen, state);
		arena_reset(&arena);
		if (text_equal(state, "running"))
			clock_sleep_ms(POLL_MS);
	} while ((!err || err == ERR_UNAVAILABLE) && text_equal(state, "running"));
	arena_release(&arena);
	if (err)
		return complain(EXIT_UNAVAILABLE, "the run cannot be followed: %s", err_name(err));
	printf("run %s %s\n", run, state);
	return text_equal(state, "completed") ? 0 : text_equal(state, "partial") ? EXIT_PARTIAL : EXIT_FAILED;
}

int backup_run(struct command *command)
{
	struct config config;
	struct pg pg;
	const char *why = NULL, *run = NULL, *reason = option_value(command, "--reason");
	bool joined = false, wait = !option_flag(command, "--no-wait");
	if (config_load(command->arena, command->config_path, &config, &why))
		return complain(EXIT_CONFIGURATION, "%s", why);
	struct pg_options options = database_options(&config, "worker");
	pg_init(&pg, &options);
	why = NULL;
	enum err err = backup_begin(&pg, command->arena, &config, "manual", reason, (const char *const *)&command->argv[2], (size_t)command->argc - 2, &run, &joined, &why);
	int status = 0;
	if (err == ERR_NOT_FOUND)
		status = complain(EXIT_CONFIGURATION, "No database is configured (backups.sources).");
	else if (err == ERR_INVALID && why)
		status = strchr(why, ' ') ? complain(EXIT_CONFIGURATION, "%s", why) : complain(EXIT_USAGE, "%s is not one of the configured databases.", why);
	else if (err)
		status = complain(EXIT_UNAVAILABLE, "The database does not answer: %s", pg.message);
	if (!status) {
		jobs_wake(&pg);
		printf("run %s %s\n", run, joined ? "joined" : "started");
		status = wait ? follow(&pg, run) : 0;
	}
	pg_close(&pg);
	return status;
}
