/*
 * tidegate sync: brings an SQLite database and the server together through the public API. The database is made when it is not there; programs
 * may use it meanwhile.
 * Must never touch PostgreSQL: what the token may see is what the server gives.
 */
#include "commands/api_client.h"
#include "commands/commands.h"
#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/text.h"
#include "core/sync/replica.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { STEP_ARENA = 64 << 20, BODY_MAX = 4 << 20, TRIES = 6, PAUSE_MS = 500, BATCH_ROWS = 1000, ROUNDS_MAX = 100000 };

struct sync_command {
	struct api_client client;
	struct arena step; /* of one call */
	struct replica replica;
	struct replica_counts counts;
	const char *app, *db, *check; /* check: the query that gives checksums */
	int64_t every_s;
	bool json, compare;
};

static const char help[] =
    "usage: tidegate sync --db FILE --app APP --url URL --token-file FILE [OPTION]…\n"
    "\n"
    "  --db FILE              SQLite database; made when it is not there\n"
    "  --app APP              app with synced tables, e.g. tunes\n"
    "  --url URL              address of the server, e.g. https://localhost:8443\n"
    "  --token-file FILE      file that holds a token\n"
    "  --cacert FILE          certificate to trust instead of the system's\n"
    "  --check                compares rows and checksums with the server's afterwards\n"
    "  --every SECONDS        goes on until it is interrupted, with that pause between two syncs\n"
    "  --json                 one JSON object a sync on standard output\n"
    "\n"
    "exit status\n"
    "  0   done\n"
    "  3   done, but the server did not take some rows: they are listed on standard error\n"
    "  64  wrong usage\n"
    "  65  the server refused, or the database is another app's or cannot be written; with --check: it differs\n"
    "  69  the server could not be reached, or is busy\n";

static volatile sig_atomic_t stop;

static void on_stop(int number)
{
	(void)number;
	stop = 1;
}

static int told_server(const struct sync_command *sync)
{
	return complain(api_refused(&sync->client) ? EXIT_REFUSED : EXIT_UNAVAILABLE, "%s", sync->client.trouble);
}

static int told_database(const struct sync_command *sync, enum err err)
{
	if (err == ERR_IO)
		return complain(EXIT_REFUSED, "%s: %s.", sync->db, sync->replica.why);
	return complain(err == ERR_INVALID ? EXIT_REFUSED : EXIT_INTERNAL, err == ERR_INVALID ? "the server's answer is not what it should be." : "there is not enough memory.");
}

static const char *address(struct sync_command *sync, struct arena *arena, const char *what, const char *more)
{
	struct buf path;
	buf_init(&path, 4096);
	buf_printf(&path, "/api/sync%s?app=", what);
	(void)percent_encode(&path, sync->app, strlen(sync->app), false); /* an overflow is seen below */
	buf_append_text(&path, more);
	const char *made = path.overflowed ? NULL : arena_strdup(arena, buf_text(&path));
	buf_release(&path);
	return made;
}

/* The schema lives as long as the command: its texts are used as they are. */
static bool get_schema(struct sync_command *sync, int64_t from, json_t **ret)
{
	struct arena *arena = sync->client.arena;
	const char *more = arena_printf(arena, "&from=%lld", (long long)from);
	const char *path = more ? address(sync, arena, "/schema", from ? more : "") : NULL;
	return path && api_call(&sync->client, arena, "GET", path, NULL, ret);
}

static int install(struct sync_command *sync)
{
	char device[UUID_SIZE];
	json_t *full = NULL, *step = NULL;
	int64_t version = 0;
	enum err err = replica_version(&sync->replica, sync->app, &version);
	if (err == ERR_CONFLICT)
		return complain(EXIT_REFUSED, "%s is the database of another app.", sync->db);
	if (err)
		return told_database(sync, err);
	if (!get_schema(sync, 0, &full))
		return told_server(sync);
	int64_t newest = json_integer_value(json_object_get(full, "version"));
	if (version > newest)
		return complain(EXIT_REFUSED, "%s is of a later version (%lld) than the server's app (%lld).", sync->db, (long long)version, (long long)newest);
	step = full;
	if (version && version < newest && !get_schema(sync, version, &step))
		return told_server(sync);
	uuid_v4(device);
	err = replica_install(&sync->replica, step, full, device);
	sync->check = json_text(json_object_get(full, "sqlite"), "check");
	return err ? told_database(sync, err) : 0;
}

/* The same body again and again, with longer and longer pauses, while the server is away or busy. */
static bool call(struct sync_command *sync, const char *body, json_t **ret)
{
	const char *path = address(sync, &sync->step, "", "");
	for (int i = 0; path && i < TRIES && !stop; i++) {
		if (i)
			clock_sleep_ms((int64_t)((double)(PAUSE_MS << i) * (0.5 + random_unit())));
		if (api_call(&sync->client, &sync->step, "POST", path, body, ret))
			return true;
		if (api_refused(&sync->client))
			return false;
	}
	return false;
}

static void tell_rejected(const json_t *answer)
{
	const json_t *list = json_object_get(answer, "rejected");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		const char *table = json_text(item, "table"), *row = json_text(item, "rowId");
		fprintf(stderr, "tidegate: %s %s was not taken: %s (%s)\n", table ? table : "?", row ? row : "?", json_text(item, "message"), json_text(item, "code"));
	}
}

static void show_progress(const struct sync_command *sync)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%lld rows sent, %lld received", (long long)sync->counts.pushed, (long long)sync->counts.pulled);
}

/* Applies an answer, and the pages behind it; *ret_time is the time of the last one. */
static int take_pages(struct sync_command *sync, const json_t *answer, const json_t *sent, const char **ret_time)
{
	struct buf body;
	int status = 0;
	buf_init(&body, BODY_MAX);
	for (;;) {
		enum err err = replica_apply(&sync->replica, &sync->step, answer, sent, &sync->counts);
		if (err) {
			status = told_database(sync, err);
			break;
		}
		tell_rejected(answer);
		show_progress(sync);
		const char *cursor = json_text(answer, "nextCursor");
		*ret_time = json_text(answer, "timestamp");
		if (!cursor)
			break;
		buf_clear(&body);
		err = replica_page_body(&sync->replica, cursor, &body);
		json_t *next = NULL;
		arena_reset(&sync->step); /* the answer before, with its cursor and its time */
		*ret_time = NULL;
		sent = NULL;
		if (err || !call(sync, buf_text(&body), &next)) {
			status = err ? told_database(sync, err) : told_server(sync);
			break;
		}
		answer = next;
	}
	buf_release(&body);
	return status;
}

/* One push with all that follows from it. */
static int round_trip(struct sync_command *sync)
{
	char request_id[UUID_SIZE];
	const char *time = NULL;
	json_t *answer = NULL, *sent = NULL;
	struct buf body;
	int status = 0;
	arena_reset(&sync->step);
	uuid_v4(request_id);
	buf_init(&body, BODY_MAX);
	enum err err = replica_push_body(&sync->replica, &sync->step, request_id, BATCH_ROWS, &body, &sync->counts, &sent);
	if (err)
		status = told_database(sync, err);
	else if (!call(sync, buf_text(&body), &answer))
		status = told_server(sync);
	buf_release(&body);
	if (status)
		return status;
	if (json_is_true(json_object_get(answer, "resync"))) {
		sync->counts.pushed -= (int64_t)json_array_size(sent);
		err = replica_start_anew(&sync->replica);
		return err ? told_database(sync, err) : 0;
	}
	status = take_pages(sync, answer, sent, &time);
	if (status)
		return status;
	err = time ? replica_finish(&sync->replica, time) : ERR_INVALID;
	return err ? told_database(sync, err) : 0;
}

static bool is_new(struct sync_command *sync)
{
	sqlite3_stmt *statement = NULL;
	bool fresh = replica_prepare(&sync->replica, "SELECT 1 FROM sync_control WHERE last_sync_at IS NULL", &statement) == OK && sqlite3_step(statement) == SQLITE_ROW;
	sqlite3_finalize(statement);
	return fresh;
}

static int compare(struct sync_command *sync)
{
	json_t *answer = NULL;
	const char *differs = NULL;
	arena_reset(&sync->step);
	const char *path = address(sync, &sync->step, "/check", "");
	if (!path || !sync->check || !api_call(&sync->client, &sync->step, "GET", path, NULL, &answer))
		return told_server(sync);
	enum err err = replica_compare(&sync->replica, &sync->step, sync->check, json_object_get(answer, "tables"), &differs);
	if (err)
		return told_database(sync, err);
	return differs ? complain(EXIT_REFUSED, "table %s differs from the server's.", differs) : 0;
}

static void tell_outcome(const struct sync_command *sync)
{
	const struct replica_counts *c = &sync->counts;
	if (isatty(STDERR_FILENO))
		fputs("\r", stderr);
	if (sync->json)
		printf("{\"sent\":%lld,\"received\":%lld,\"rejected\":%lld,\"merged\":%lld}\n", (long long)c->pushed, (long long)c->pulled, (long long)c->rejected,
		       (long long)c->merged);
	else
		printf("%lld rows sent, %lld received, %lld rejected, %lld merged\n", (long long)c->pushed, (long long)c->pulled, (long long)c->rejected, (long long)c->merged);
	fflush(stdout);
}

/* Until the outbox is empty: an app may write meanwhile. */
static int sync_once(struct sync_command *sync)
{
	int64_t pending = 0;
	int status = 0;
	sync->counts = (struct replica_counts){0};
	for (int i = 0; !status && i < ROUNDS_MAX; i++) {
		status = round_trip(sync);
		enum err err = status ? OK : replica_pending(&sync->replica, &pending);
		if (err)
			return told_database(sync, err);
		if (status || (!pending && !is_new(sync)))
			break;
	}
	if (!status && sync->compare)
		status = compare(sync);
	if (status)
		return status;
	tell_outcome(sync);
	return sync->counts.rejected ? EXIT_PARTIAL : 0;
}

static int run(struct sync_command *sync)
{
	int status = install(sync);
	if (status || !sync->every_s)
		return status ? status : sync_once(sync);
	signal(SIGINT, on_stop);
	signal(SIGTERM, on_stop);
	while (!stop) {
		status = sync_once(sync);
		if (status && status != EXIT_PARTIAL && status != EXIT_UNAVAILABLE)
			return status;
		if (!stop)
			clock_sleep_ms(sync->every_s * 1000);
	}
	return 0;
}

static bool read_options(struct command *command, struct sync_command *ret)
{
	const char *token_file = option_value(command, "--token-file"), *every = option_value(command, "--every");
	ret->client = (struct api_client){.arena = command->arena, .url = option_value(command, "--url"), .ca_file = option_value(command, "--cacert")};
	ret->db = option_value(command, "--db");
	ret->app = option_value(command, "--app");
	ret->json = option_flag(command, "--json");
	ret->compare = option_flag(command, "--check");
	if (command->argc > 1 || !ret->client.url || !token_file || !ret->db || !ret->app) {
		complain(EXIT_USAGE, "sync takes --db FILE --app APP --url URL --token-file FILE; see tidegate sync --help.");
		return false;
	}
	if (every && parse_i64(every, 1, 86400, &ret->every_s)) {
		complain(EXIT_USAGE, "--every is a number of seconds from 1 to 86400.");
		return false;
	}
	ret->client.token = api_token(command->arena, token_file);
	if (!ret->client.token)
		complain(EXIT_USAGE, "%s cannot be read.", token_file);
	return ret->client.token != NULL;
}

int command_sync(struct command *command)
{
	struct sync_command sync = {0};
	if (option_flag(command, "--help")) {
		fputs(help, stdout);
		return 0;
	}
	if (!read_options(command, &sync))
		return EXIT_USAGE;
	arena_init(&sync.step, STEP_ARENA);
	enum err err = replica_open(&sync.replica, command->arena, sync.db);
	int status = err ? told_database(&sync, err) : run(&sync);
	replica_close(&sync.replica);
	arena_release(&sync.step);
	return status;
}
