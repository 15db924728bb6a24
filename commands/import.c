/*
 * tidegate import FILE: takes a spreadsheet through the public API as any client would: signed URL, upload, inspection,
 * parse, commit. On a terminal it draws a progress bar; with --json it writes one JSON line per look at the job.
 * Exit statuses: 0 imported, 65 refused (the sentence says why), 69 the server could not be reached.
 */
#include "commands/api_client.h"
#include "commands/commands.h"
#include "core/base/clock.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP_ARENA = 16 << 20, POLL_FIRST_MS = 20, POLL_MAX_MS = 100, BAR_WIDTH = 28 };

struct importing {
	struct api_client client;
	struct arena step; /* of one call */
	const char *path, *name, *target, *duplicates, *id;
	bool json, bar, allow_duplicate;
	int64_t size, started_us;
};

static int refused(struct importing *in)
{
	if (in->bar)
		fputc('\n', stderr);
	return complain(*in->client.code ? EXIT_REFUSED : EXIT_UNAVAILABLE, "%s", in->client.trouble);
}

static void json_line(const struct importing *in, const json_t *job)
{
	char *text = in->json ? json_dumps(job, JSON_COMPACT) : NULL;
	if (text)
		puts(text);
	free(text); /* from json_dumps */
	fflush(stdout);
}

static long long number(const json_t *job, const char *group, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(job, group), name));
}

static void draw(const struct importing *in, const json_t *job)
{
	char bar[BAR_WIDTH + 1];
	if (!in->bar)
		return;
	long long percent = number(job, "progress", "percent");
	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < percent * BAR_WIDTH / 100 ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	const json_t *eta = json_object_get(json_object_get(job, "progress"), "etaSeconds");
	fprintf(stderr, "\r%-10s [%s] %3lld %%  %lld of %lld rows  %lld rows/s", json_text(job, "status"), bar, percent, number(job, "progress", "done"),
	        number(job, "progress", "total"), number(job, "progress", "rowsPerSecond"));
	if (json_is_integer(eta))
		fprintf(stderr, "  %lld s left", (long long)json_integer_value(eta));
	fputs("   \033[K", stderr);
}

/* Polls until the import is in `wanted` (or has ended otherwise). */
static bool wait_for(struct importing *in, const char *wanted, json_t **ret)
{
	const char *path = arena_printf(in->client.arena, "/api/import/jobs/%s", in->id);
	int64_t pause = POLL_FIRST_MS;
	for (;;) {
		json_t *job = NULL;
		arena_reset(&in->step);
		if (!path || !api_call(&in->client, &in->step, "GET", path, NULL, &job))
			return false;
		const char *status = json_text(job, "status");
		draw(in, job);
		json_line(in, job);
		*ret = job;
		if (text_equal(status, wanted))
			return true;
		if (text_equal(status, "failed") || text_equal(status, "cancelled")) {
			const json_t *error = json_object_get(job, "error");
			snprintf(in->client.code, sizeof(in->client.code), "%s", status);
			snprintf(in->client.trouble, sizeof(in->client.trouble), "The import %s: %s", status, json_text(error, "message") ? json_text(error, "message") : "");
			return false;
		}
		clock_sleep_ms(pause);
		pause = pause * 2 > POLL_MAX_MS ? POLL_MAX_MS : pause * 2;
	}
}

static bool upload(struct importing *in, int fd, const char **ret_key)
{
	json_t *body = json_pack("{s:s, s:I}", "fileName", in->name, "fileSize", (json_int_t)in->size), *answer = NULL;
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	bool good = text && api_call(&in->client, in->client.arena, "POST", "/api/import/upload-url", text, &answer);
	json_decref(body);
	free(text); /* from json_dumps */
	if (!good)
		return false;
	if (in->bar)
		fprintf(stderr, "uploading  %s (%lld bytes)\033[K", in->name, (long long)in->size);
	*ret_key = json_text(answer, "objectKey");
	return api_put(&in->client, &in->step, json_text(answer, "uploadUrl"), json_object_get(answer, "headers"), fd, in->size);
}

static bool create(struct importing *in, const char *key)
{
	json_t *body = json_pack("{s:s, s:s, s:I, s:s, s:b}", "objectKey", key, "fileName", in->name, "fileSize", (json_int_t)in->size, "target", in->target,
	                         "allowDuplicate", (int)in->allow_duplicate);
	json_t *job = NULL;
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	bool good = text && api_call(&in->client, in->client.arena, "POST", "/api/import/jobs", text, &job);
	json_decref(body);
	free(text); /* from json_dumps */
	if (good)
		in->id = json_text(job, "id");
	return good;
}

static bool step(struct importing *in, const char *what, const char *body, const char *until, json_t **ret)
{
	const char *path = arena_printf(in->client.arena, "/api/import/jobs/%s/%s", in->id, what);
	json_t *answer = NULL;
	arena_reset(&in->step);
	return path && api_call(&in->client, &in->step, "POST", path, body, &answer) && wait_for(in, until, ret);
}

static void summary(const struct importing *in, const json_t *job)
{
	double seconds = (double)(clock_monotonic_us() - in->started_us) / 1e6;
	if (in->json)
		return;
	if (in->bar)
		fputs("\r\033[K", stderr);
	printf("%s: %lld rows in %.2f s (%.0f rows/s)\n", in->name, number(job, "counts", "total"), seconds,
	       seconds > 0 ? (double)number(job, "counts", "total") / seconds : 0);
	printf("  inserted %lld, updated %lld, skipped %lld, invalid %lld, failed %lld\n", number(job, "counts", "inserted"), number(job, "counts", "updated"),
	       number(job, "counts", "skipped"), number(job, "counts", "invalid"), number(job, "counts", "failed"));
	printf("  look at it: GET %s/api/import/jobs/%s\n", in->client.url, in->id);
}

static int run(struct importing *in, int fd)
{
	const char *key = NULL;
	json_t *job = NULL;
	const char *commit = arena_printf(in->client.arena, "{\"duplicates\":{\"strategy\":\"%s\"}}", in->duplicates);
	if (!upload(in, fd, &key) || !create(in, key) || !wait_for(in, "mapping", &job) || !step(in, "parse", "{}", "ready", &job) ||
	    !step(in, "commit", commit, "completed", &job))
		return refused(in);
	summary(in, job);
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

int command_import(struct command *command)
{
	struct importing in = {.started_us = clock_monotonic_us()};
	const char *token_file = option_value(command, "--token-file");
	const char *target = option_value(command, "--target"), *duplicates = option_value(command, "--duplicates");
	struct stat st;
	in.client = (struct api_client){.arena = command->arena, .url = option_value(command, "--url"), .ca_file = option_value(command, "--cacert")};
	in.target = target ? target : "lead";
	in.duplicates = duplicates ? duplicates : "skip";
	in.json = option_flag(command, "--json");
	in.allow_duplicate = option_flag(command, "--allow-duplicate");
	in.bar = !in.json && isatty(STDERR_FILENO);
	if (command->argc != 2 || !in.client.url || !token_file)
		return complain(EXIT_USAGE, "import FILE --url URL --token-file FILE [--cacert FILE] [--target NAME] [--duplicates skip|update|create] "
		                            "[--allow-duplicate] [--json]");
	if (!text_equal(in.duplicates, "skip") && !text_equal(in.duplicates, "update") && !text_equal(in.duplicates, "create"))
		return complain(EXIT_USAGE, "--duplicates is skip, update or create.");
	in.path = command->argv[1];
	in.name = base_name(in.path);
	in.client.token = api_token(command->arena, token_file);
	if (!in.client.token)
		return complain(EXIT_USAGE, "%s cannot be read.", token_file);
	int fd = open(in.path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return complain(EXIT_USAGE, "%s cannot be read.", in.path);
	in.size = st.st_size;
	arena_init(&in.step, STEP_ARENA);
	int status = run(&in, fd);
	arena_release(&in.step);
	close(fd);
	return status;
}
