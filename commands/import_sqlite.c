/*
 * tidegate import --sqlite FILE: signed URL, upload, batch, and what became of it, as any client would. Called by import.c.
 * Must never look into the file: the server does, in its sandbox.
 */
#include "commands/import_sqlite.h"

#include "commands/api_client.h"
#include "commands/import_progress.h"
#include "core/base/clock.h"

#include <string.h>
#include <unistd.h>

enum { STEP_ARENA = 16 << 20, POLL_FIRST_MS = 20, POLL_MAX_MS = 200, AWAY_TRIES = 60, AWAY_PAUSE_MS = 1000, WARNINGS_SHOWN = 20 };

struct importing {
	struct api_client client;
	struct arena step; /* of one call */
	struct import_progress progress;
	const char *name, *profile, *offset, *id;
	json_t *batch; /* the last look; belongs to step */
	int64_t size;
	bool wait, json;
};

static bool create(struct importing *in, int fd)
{
	const char *key = NULL;
	json_t *answer = NULL;
	int64_t minutes = 0;
	import_progress_upload(&in->progress, in->name, in->size);
	if (!api_upload(&in->client, &in->step, in->name, fd, in->size, &key))
		return false;
	json_t *body = json_pack("{s:s, s:s, s:I, s:s}", "objectKey", key, "fileName", in->name, "fileSize", (json_int_t)in->size, "profile", in->profile);
	if (in->offset && !parse_i64(in->offset, -840, 840, &minutes))
		json_object_set_new(body, "timezoneOffsetMinutes", json_integer(minutes));
	const char *text = api_body(&in->client, body);
	if (!text || !api_call(&in->client, in->client.arena, "POST", "/api/import/sqlite", text, &answer))
		return false;
	in->id = json_text(answer, "batchId");
	return in->id != NULL;
}

/* A server that is being restarted is waited for: the import itself goes on without us. */
static bool look(struct importing *in)
{
	for (int tries = 0;; tries++) {
		arena_reset(&in->step);
		in->batch = NULL;
		const char *path = arena_printf(&in->step, "/api/import/sqlite/%s", in->id);
		if (path && api_call(&in->client, &in->step, "GET", path, NULL, &in->batch))
			return true;
		if (!path || api_refused(&in->client) || tries == AWAY_TRIES)
			return false;
		clock_sleep_ms(AWAY_PAUSE_MS);
	}
}

static bool has_ended(const struct importing *in)
{
	const char *status = json_text(in->batch, "status");
	return text_equal(status, "completed") || text_equal(status, "failed");
}

static bool wait_for_end(struct importing *in)
{
	int64_t pause = POLL_FIRST_MS;
	for (;;) {
		if (!look(in))
			return false;
		import_progress_show(&in->progress, in->batch);
		if (has_ended(in) || !in->wait)
			return true;
		clock_sleep_ms(pause);
		pause = pause * 2 > POLL_MAX_MS ? POLL_MAX_MS : pause * 2;
	}
}

static void free_line(char *text)
{
	free(text); /* from json_dumps */
}

static void show_summary(struct importing *in, double seconds)
{
	const json_t *counts = json_object_get(json_object_get(in->batch, "summary"), "counts"), *value, *warning;
	long long rows = json_integer_value(json_object_get(json_object_get(in->batch, "progress"), "done"));
	const char *name, *separator = "  ";
	size_t i;
	printf("%s: %lld rows in %.2f s (%.0f rows/s)%s\n", in->name, rows, seconds, seconds > 0 ? (double)rows / seconds : 0,
	       has_ended(in) ? "" : ", the import goes on");
	json_object_foreach((json_t *)(uintptr_t)counts, name, value) if (json_is_integer(value))
	{
		printf("%s%s %lld", separator, name, (long long)json_integer_value(value));
		separator = ", ";
	}
	if (json_object_size(counts))
		putchar('\n');
	json_array_foreach(json_object_get(in->batch, "warnings"), i, warning)
		if (i < WARNINGS_SHOWN)
			printf("  warning: %s %s\n", json_text(warning, "place"), json_text(warning, "message"));
	printf("  look at it: GET %s/api/import/sqlite/%s\n", in->client.url, in->id);
}

/* The batch as the API says it, in one line. */
static void show_json(const struct importing *in, int exit_status)
{
	json_t *line = json_pack("{s:s, s:i, s:O?}", "event", "summary", "exitStatus", exit_status, "batch", in->batch);
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	if (text)
		puts(text);
	free_line(text);
	json_decref(line);
}

static int finish(struct importing *in, bool good, int64_t started_us)
{
	bool failed = good && text_equal(json_text(in->batch, "status"), "failed");
	const char *why = failed ? json_text(json_object_get(in->batch, "error"), "message") : in->client.trouble;
	int status = failed ? EXIT_FAILED : good ? 0 : api_refused(&in->client) ? EXIT_REFUSED : EXIT_UNAVAILABLE;
	if (in->progress.how == PROGRESS_BAR)
		fputs("\r\033[K", stderr);
	if (in->json)
		show_json(in, status);
	else if (status == 0)
		show_summary(in, (double)(clock_monotonic_us() - started_us) / 1e6);
	return status ? complain(status, "%s%s", failed ? "The import failed: " : "", why) : 0;
}

/* What is left of the arguments is wrong. */
static bool options_are_fine(struct command *command, const struct importing *in, const char *token_file)
{
	int64_t minutes;
	if (command->argc > 1 || !in->client.url || !token_file) {
		complain(EXIT_USAGE, "import --sqlite FILE takes --url URL --token-file FILE, and --cacert, --profile, --timezone-offset, --no-wait, --json; see import --help.");
		return false;
	}
	if (in->offset && parse_i64(in->offset, -840, 840, &minutes)) {
		complain(EXIT_USAGE, "--timezone-offset is a number of minutes from -840 to 840, UTC minus local time.");
		return false;
	}
	return true;
}

int import_sqlite(struct command *command, const char *path)
{
	const char *token_file = option_value(command, "--token-file"), *profile = option_value(command, "--profile");
	int64_t started_us = clock_monotonic_us();
	struct importing in = {
	    .client = {.arena = command->arena, .url = option_value(command, "--url"), .ca_file = option_value(command, "--cacert")},
	    .profile = profile ? profile : "bowling",
	    .offset = option_value(command, "--timezone-offset"),
	    .wait = !option_flag(command, "--no-wait"),
	    .json = option_flag(command, "--json"),
	};
	if (!options_are_fine(command, &in, token_file))
		return EXIT_USAGE;
	in.client.token = api_token(command->arena, token_file);
	if (!in.client.token)
		return complain(EXIT_USAGE, "%s cannot be read.", token_file);
	int fd = import_open_file(path, &in.name, &in.size);
	if (fd < 0)
		return EXIT_USAGE;
	import_progress_start(&in.progress, in.json);
	arena_init(&in.step, STEP_ARENA);
	int status = finish(&in, create(&in, fd) && wait_for_end(&in), started_us);
	arena_release(&in.step);
	close(fd);
	return status;
}
