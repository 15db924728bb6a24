/*
 * tidegate jobs: lists, shows, retries and cancels jobs of the queue through the public API, as an administrator of a space.
 * What is printed: jobs_show.c. Must never touch the database: what the token may see is what the server shows.
 */
#include "commands/api_client.h"
#include "commands/commands.h"
#include "commands/jobs_show.h"
#include "core/base/text.h"

#include <string.h>

enum { STEP_ARENA = 16 << 20, PAGE = 200, LIMIT_DEFAULT = 100, LIMIT_MAX = 100000 };

struct jobs_command {
	struct api_client client;
	struct arena step; /* of one call */
	const char *state, *kind;
	int64_t limit;
	bool json;
	int count; /* ids */
	char **ids;
};

static const char help[] =
    "usage: tidegate jobs list|show|retry|cancel [ID]… --url URL --token-file FILE [OPTION]…\n"
    "\n"
    "  list                   jobs of the token's space, newest first\n"
    "  show ID…               a job and what happened to it\n"
    "  retry ID…              brings dead letters back, with all their attempts\n"
    "  cancel ID…             ends waiting jobs, asks running ones to stop at their next batch, dismisses dead letters\n"
    "\n"
    "  --url URL              address of the server, e.g. https://localhost:8443\n"
    "  --token-file FILE      file that holds an administrator's token\n"
    "  --cacert FILE          certificate to trust instead of the system's\n"
    "  --state STATE          list: ready, scheduled, running, dead, done or cancelled\n"
    "  --kind KIND            list: of this kind, e.g. import.parse\n"
    "  --limit N              list: at most so many (100)\n"
    "  --json                 one JSON object a line on standard output\n"
    "\n"
    "exit status\n"
    "  0   done\n"
    "  64  wrong usage; nothing was changed\n"
    "  65  the server refused, for one job at least; the sentence says why. The other jobs were treated\n"
    "  69  the server could not be reached, or is busy\n";

/* Tells the last refusal or failure; the exit status. */
static int told(struct jobs_command *jobs, const char *id)
{
	const struct api_client *client = &jobs->client;
	int status = api_refused(client) ? EXIT_REFUSED : EXIT_UNAVAILABLE;
	if (jobs->json && id && status == EXIT_REFUSED)
		jobs_show_refusal(id, client->code, client->trouble);
	return id ? complain(status, "job %s: %s", id, client->trouble) : complain(status, "%s", client->trouble);
}

/* The address of one page. State and kind come from the command line: they are encoded. */
static const char *page_path(struct jobs_command *jobs, int64_t limit, const char *cursor)
{
	struct buf path;
	const struct {
		const char *name, *value;
	} filters[] = {{"state", jobs->state}, {"kind", jobs->kind}, {"cursor", cursor}};
	buf_init(&path, 4096);
	buf_printf(&path, "/api/jobs?limit=%lld", (long long)limit);
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		if (filters[i].value) {
			buf_printf(&path, "&%s=", filters[i].name);
			(void)percent_encode(&path, filters[i].value, strlen(filters[i].value), false); /* an overflow is seen below */
		}
	const char *copy = path.overflowed ? NULL : arena_strdup(&jobs->step, buf_text(&path));
	buf_release(&path);
	return copy;
}

static bool show_row(const struct jobs_command *jobs, const json_t *job)
{
	if (jobs->json)
		return jobs_show_json(job);
	jobs_show_row(job);
	return true;
}

static int list(struct jobs_command *jobs)
{
	char cursor[64] = "";
	int64_t shown = 0;
	bool more = true;
	if (!jobs->json)
		jobs_show_headings();
	while (more && shown < jobs->limit) {
		json_t *answer = NULL, *job;
		size_t index;
		arena_reset(&jobs->step);
		const char *path = page_path(jobs, jobs->limit - shown < PAGE ? jobs->limit - shown : PAGE, *cursor ? cursor : NULL);
		if (!path)
			return complain(EXIT_USAGE, "--state or --kind is too long.");
		if (!api_call(&jobs->client, &jobs->step, "GET", path, NULL, &answer))
			return told(jobs, NULL);
		json_array_foreach(json_object_get(answer, "items"), index, job)
		{
			if (!show_row(jobs, job))
				return complain(EXIT_INTERNAL, "standard output cannot be written.");
			shown++;
		}
		const char *next = json_text(answer, "nextCursor");
		more = next != NULL;
		(void)snprintf(cursor, sizeof(cursor), "%s", more ? next : "");
	}
	if (more)
		fprintf(stderr, "There are more; --limit shows them.\n");
	return 0;
}

/* One call for every id. What is refused does not stop the rest; a server that is away does. */
static int each(struct jobs_command *jobs, const char *method, const char *what, void (*show)(const json_t *job))
{
	int status = 0;
	for (int i = 0; i < jobs->count; i++) {
		json_t *answer = NULL;
		arena_reset(&jobs->step);
		const char *path = arena_printf(&jobs->step, "/api/jobs/%s%s", jobs->ids[i], what);
		if (!path)
			return complain(EXIT_INTERNAL, "there is not enough memory.");
		if (!api_call(&jobs->client, &jobs->step, method, path, *what ? "{}" : NULL, &answer)) {
			status = told(jobs, jobs->ids[i]);
			if (status == EXIT_UNAVAILABLE)
				return status;
		} else if (!jobs->json) {
			show(answer);
		} else if (!jobs_show_json(answer)) {
			return complain(EXIT_INTERNAL, "standard output cannot be written.");
		}
	}
	return status;
}

static bool read_ids(const struct jobs_command *jobs)
{
	int64_t id;
	for (int i = 0; i < jobs->count; i++)
		if (parse_i64(jobs->ids[i], 1, INT64_MAX, &id) || jobs->ids[i][0] == '0') {
			complain(EXIT_USAGE, "\"%s\" is not the id of a job.", jobs->ids[i]);
			return false;
		}
	return true;
}

/* What stands on the command line; false after one sentence. */
static bool read_options(struct command *command, struct jobs_command *ret, const char **ret_what)
{
	const char *limit = option_value(command, "--limit"), *token_file = option_value(command, "--token-file");
	ret->client = (struct api_client){.arena = command->arena, .url = option_value(command, "--url"), .ca_file = option_value(command, "--cacert")};
	ret->state = option_value(command, "--state");
	ret->kind = option_value(command, "--kind");
	ret->json = option_flag(command, "--json");
	ret->limit = LIMIT_DEFAULT;
	for (int i = 1; i < command->argc; i++)
		if (command->argv[i][0] == '-') {
			complain(EXIT_USAGE, "jobs cannot use %s: no such option, given twice, or its value is missing; see tidegate jobs --help.", command->argv[i]);
			return false;
		}
	*ret_what = command->argc > 1 ? command->argv[1] : "";
	ret->count = command->argc > 2 ? command->argc - 2 : 0;
	ret->ids = command->argv + 2;
	bool listing = text_equal(*ret_what, "list");
	if (!ret->client.url || !token_file || listing == (ret->count > 0) || (!listing && (ret->state || ret->kind || limit))) {
		complain(EXIT_USAGE, "jobs takes list, or show, retry or cancel with ids, and --url URL --token-file FILE; see tidegate jobs --help.");
		return false;
	}
	if (limit && parse_i64(limit, 1, LIMIT_MAX, &ret->limit)) {
		complain(EXIT_USAGE, "--limit is a number from 1 to %d.", LIMIT_MAX);
		return false;
	}
	ret->client.token = api_token(command->arena, token_file);
	if (!ret->client.token)
		complain(EXIT_USAGE, "%s cannot be read.", token_file);
	return ret->client.token && read_ids(ret);
}

int command_jobs(struct command *command)
{
	struct jobs_command jobs = {0};
	const char *what = NULL;
	int status;
	if (option_flag(command, "--help")) {
		fputs(help, stdout);
		return 0;
	}
	if (!read_options(command, &jobs, &what))
		return EXIT_USAGE;
	arena_init(&jobs.step, STEP_ARENA);
	if (text_equal(what, "list"))
		status = list(&jobs);
	else if (text_equal(what, "show"))
		status = each(&jobs, "GET", "", jobs_show_job);
	else if (text_equal(what, "retry"))
		status = each(&jobs, "POST", "/retry", jobs_show_change);
	else if (text_equal(what, "cancel"))
		status = each(&jobs, "POST", "/cancel", jobs_show_change);
	else
		status = complain(EXIT_USAGE, "jobs knows list, show, retry and cancel, not \"%s\".", what);
	arena_release(&jobs.step);
	return status;
}
