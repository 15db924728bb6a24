/*
 * tidegate import FILE: takes a spreadsheet through the public API as any client would: signed URL, upload, inspection,
 * mapping, parse, commit. Options: import_options.c; bodies: import_request.c; what is shown: import_progress.c.
 * An import that cannot go on because of what was asked is removed again, so that the corrected command can be run.
 */
#include "commands/api_client.h"
#include "commands/import_progress.h"
#include "commands/import_request.h"
#include "commands/import_sqlite.h"
#include "core/base/clock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP_ARENA = 16 << 20, POLL_FIRST_MS = 20, POLL_MAX_MS = 100, AWAY_TRIES = 60, AWAY_PAUSE_MS = 1000, REPORT_MODE = 0600 };

struct importing {
	struct api_client client;
	struct arena step; /* of one call */
	struct import_options options;
	struct import_progress progress;
	const char *name; /* of the file, without its folder */
	const char *id;
	const char *commit;  /* body of the commit */
	json_t *job;         /* the last look; belongs to step */
	const char *report;  /* file that was written, or NULL */
	int64_t size;
	int exit_status; /* why it stopped, when not by an answer of the server */
	bool committing;
};

/* Stops with a sentence of our own. */
static bool stop(struct importing *in, int exit_status, const char *code, const char *sentence)
{
	in->exit_status = exit_status;
	(void)snprintf(in->client.code, sizeof(in->client.code), "%s", code);
	(void)snprintf(in->client.trouble, sizeof(in->client.trouble), "%s", sentence ? sentence : "There is not enough memory.");
	return false;
}

/* A call about this import: `what` is a path below it, or "". */
static bool call(struct importing *in, const char *method, const char *what, const char *body, json_t **ret)
{
	arena_reset(&in->step);
	in->job = NULL;
	const char *path = arena_printf(&in->step, "/api/import/jobs/%s%s", in->id, what);
	return path ? api_call(&in->client, &in->step, method, path, body, ret) : stop(in, EXIT_INTERNAL, "", NULL);
}

static bool ended_badly(struct importing *in, const char *status)
{
	const char *why = json_text(json_object_get(in->job, "error"), "message"), *code = json_text(json_object_get(in->job, "error"), "code");
	return stop(in, EXIT_FAILED, code ? code : status, arena_printf(in->client.arena, "The import %s%s%s", text_equal(status, "failed") ? "failed" : "was cancelled",
	                                                                why ? ": " : ".", why ? why : ""));
}

/* Looks at the import. A server that is being restarted is waited for: the import itself goes on without us. */
static bool look(struct importing *in, json_t **ret)
{
	for (int tries = 0; !call(in, "GET", "", NULL, ret); tries++) {
		if (api_refused(&in->client) || tries == AWAY_TRIES)
			return false;
		clock_sleep_ms(AWAY_PAUSE_MS);
	}
	return true;
}

/* Polls until the import is in `wanted`. False when it has ended otherwise, unless it failed and may_fail. */
static bool wait_for(struct importing *in, const char *wanted, bool may_fail)
{
	int64_t pause = POLL_FIRST_MS;
	for (;;) {
		json_t *job = NULL;
		if (!look(in, &job))
			return false;
		const char *status = json_text(job, "status");
		in->job = job;
		import_progress_show(&in->progress, job);
		if (text_equal(status, wanted) || (may_fail && text_equal(status, "failed")))
			return true;
		if (text_equal(status, "failed") || text_equal(status, "cancelled"))
			return ended_badly(in, status);
		clock_sleep_ms(pause);
		pause = pause * 2 > POLL_MAX_MS ? POLL_MAX_MS : pause * 2;
	}
}

/* Fields and keys exist? Said before a byte is uploaded. */
static bool check_target(struct importing *in)
{
	json_t *targets = NULL;
	if (!in->options.map_count && !in->options.key_count)
		return true;
	if (!api_call(&in->client, &in->step, "GET", "/api/import/targets", NULL, &targets))
		return false;
	const char *trouble = import_target_trouble(in->client.arena, targets, &in->options);
	return trouble ? stop(in, EXIT_USAGE, "usage", trouble) : true;
}

static const char *body_text(struct importing *in, json_t *body)
{
	const char *text = api_body(&in->client, body);
	if (!text)
		stop(in, EXIT_INTERNAL, "", NULL);
	return text;
}

static bool upload(struct importing *in, int fd, const char **ret_key)
{
	import_progress_upload(&in->progress, in->name, in->size);
	return api_upload(&in->client, &in->step, in->name, fd, in->size, ret_key);
}

static bool create(struct importing *in, const char *key)
{
	json_t *job = NULL;
	const char *body = body_text(in, json_pack("{s:s, s:s, s:I, s:s, s:b}", "objectKey", key, "fileName", in->name, "fileSize", (json_int_t)in->size, "target",
	                                           in->options.target, "allowDuplicate", (int)in->options.allow_duplicate));
	if (!body || !api_call(&in->client, in->client.arena, "POST", "/api/import/jobs", body, &job))
		return false;
	in->id = json_text(job, "id");
	return true;
}

/* What the file is, as found and as told: sheet, encoding, delimiter and header row first, then the columns. */
static bool settle_mapping(struct importing *in)
{
	const char *overrides = import_overrides_body(in->client.arena, &in->options), *why = NULL;
	json_t *answer = NULL;
	if (!wait_for(in, "mapping", overrides != NULL))
		return false;
	if (overrides && (!call(in, "PUT", "/mapping", overrides, &answer) || !wait_for(in, "mapping", false)))
		return false;
	const json_t *found = json_object_get(in->job, "columns");
	const char *columns = import_columns_body(in->client.arena, found, &in->options, &why);
	if (why)
		return stop(in, EXIT_USAGE, "usage", why);
	in->commit = import_commit_body(in->client.arena, found, &in->options);
	if (!in->commit)
		return stop(in, EXIT_INTERNAL, "", NULL);
	return !columns || call(in, "PUT", "/mapping", columns, &answer);
}

static bool write_report(struct importing *in, const char *url)
{
	int fd = open(in->options.error_report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, REPORT_MODE);
	if (fd < 0)
		return stop(in, EXIT_CANNOT_CREATE, "report_not_written", arena_printf(in->client.arena, "%s cannot be written.", in->options.error_report));
	bool good = api_save(&in->client, in->client.arena, url, fd);
	if (close(fd) || !good)
		return stop(in, EXIT_CANNOT_CREATE, "report_not_written",
		            arena_printf(in->client.arena, "%s was not written to its end.", in->options.error_report));
	in->report = in->options.error_report;
	return true;
}

/* The rows that did not come in, when there are any. The last look at the import is taken again: a call forgets it. */
static bool save_report(struct importing *in, const char *status)
{
	json_t *answer = NULL;
	if (!in->options.error_report || import_count(in->job, "invalid") + import_count(in->job, "failed") == 0)
		return true;
	if (!call(in, "POST", "/error-report", "{}", &answer))
		return false;
	const char *url = arena_strdup(in->client.arena, json_text(answer, "downloadUrl"));
	if (json_integer_value(json_object_get(answer, "rows")) > 0 && !write_report(in, url))
		return false;
	return wait_for(in, status, false);
}

/* What the commit would do, as the counts of the import. */
static bool try_out(struct importing *in)
{
	json_t *job = NULL;
	if (!call(in, "POST", "/commit", in->commit, &job))
		return false;
	for (;;) {
		if (!look(in, &job))
			return false;
		const json_t *preview = json_object_get(job, "preview"), *error = json_object_get(job, "previewError");
		if (json_is_object(error))
			return stop(in, EXIT_REFUSED, json_text(error, "code"), json_text(error, "message"));
		if (json_is_object(preview)) {
			in->job = job;
			return json_object_update(json_object_get(job, "counts"), json_object_get(preview, "counts")) == 0;
		}
		clock_sleep_ms(POLL_MAX_MS);
	}
}

static bool run(struct importing *in, int fd)
{
	const char *key = NULL;
	json_t *answer = NULL;
	if (!check_target(in) || !upload(in, fd, &key) || !create(in, key) || !settle_mapping(in))
		return false;
	if (!call(in, "POST", "/parse", "{}", &answer) || !wait_for(in, "ready", false))
		return false;
	if ((!in->options.wait || in->options.dry_run) && !save_report(in, "ready"))
		return false;
	if (in->options.dry_run)
		return try_out(in);
	if (!call(in, "POST", "/commit", in->commit, &answer))
		return false;
	in->job = answer;
	in->committing = true;
	return !in->options.wait || (wait_for(in, "completed", false) && save_report(in, "completed"));
}

/* Refused because of what was asked, or only tried out: the same file must be welcome again. What was said already stays said. */
static void forget(struct importing *in)
{
	const struct api_client said = in->client;
	json_t *answer = NULL;
	bool over = in->options.dry_run || in->exit_status == EXIT_USAGE || in->exit_status == EXIT_REFUSED || in->exit_status == EXIT_CANNOT_CREATE;
	if (!in->id || in->committing || !over)
		return;
	(void)call(in, "DELETE", "", NULL, &answer);
	in->client = said;
}

static struct import_end end_of(const struct importing *in, bool good)
{
	static const struct {
		int exit_status;
		const char *outcome;
	} bad[] = {{EXIT_USAGE, "misused"}, {EXIT_REFUSED, "refused"}, {EXIT_UNAVAILABLE, "unreachable"}, {EXIT_FAILED, "failed"}, {EXIT_CANNOT_CREATE, "report_not_written"}};
	struct import_end end = {.outcome = "internal", .exit_status = in->exit_status, .code = in->client.code, .sentence = in->client.trouble, .report = in->report};
	if (good) {
		bool partial = import_count(in->job, "invalid") + import_count(in->job, "failed") > 0;
		end.outcome = in->options.dry_run ? "dry_run" : !in->options.wait ? "queued" : partial ? "partial" : "complete";
		end.exit_status = in->options.wait && partial ? EXIT_PARTIAL : 0;
		end.code = end.sentence = NULL;
	}
	for (size_t i = 0; !good && i < sizeof(bad) / sizeof(bad[0]); i++)
		if (bad[i].exit_status == end.exit_status)
			end.outcome = bad[i].outcome;
	if (!good && text_equal(json_text(in->job, "status"), "cancelled"))
		end.outcome = "cancelled";
	return end;
}

static int finish(struct importing *in, bool good)
{
	if (!good && in->exit_status == 0)
		in->exit_status = api_refused(&in->client) ? EXIT_REFUSED : EXIT_UNAVAILABLE;
	struct import_end end = end_of(in, good);
	import_progress_end(&in->progress, in->name, in->job, &end);
	forget(in);
	if (!good)
		return complain(end.exit_status, "%s", end.sentence);
	if (!in->options.json && !in->options.dry_run)
		printf("  look at it: GET %s/api/import/jobs/%s\n", in->client.url, in->id);
	return end.exit_status;
}

int import_open_file(const char *path, const char **ret_name, int64_t *ret_size)
{
	const char *slash = strrchr(path, '/');
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		complain(EXIT_USAGE, "%s cannot be read.", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	*ret_name = slash ? slash + 1 : path;
	*ret_size = st.st_size;
	return fd;
}

int command_import(struct command *command)
{
	struct importing in = {0};
	if (option_flag(command, "--help")) {
		import_options_help(stdout);
		return 0;
	}
	const char *database = option_value(command, "--sqlite");
	if (database)
		return import_sqlite(command, database);
	if (!import_options_read(command, &in.options))
		return EXIT_USAGE;
	in.client = (struct api_client){.arena = command->arena, .url = in.options.url, .ca_file = in.options.ca_file};
	in.client.token = api_token(command->arena, in.options.token_file);
	if (!in.client.token)
		return complain(EXIT_USAGE, "%s cannot be read.", in.options.token_file);
	int fd = import_open_file(in.options.file, &in.name, &in.size);
	if (fd < 0)
		return EXIT_USAGE;
	import_progress_start(&in.progress, in.options.json);
	arena_init(&in.step, STEP_ARENA);
	int status = finish(&in, run(&in, fd));
	arena_release(&in.step);
	close(fd);
	return status;
}
