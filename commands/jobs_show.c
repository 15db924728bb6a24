/* Tables and lines of `tidegate jobs`; see the header. Must never let a control character of an answer reach a terminal. */
#include "commands/jobs_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLAIN_SIZE = 256, SECONDS_WIDTH = 19, REFUSAL_MAX = 4096 };

struct plain {
	char text[PLAIN_SIZE];
};

/* The text of a member without control characters, cut where it is too long, "-" when there is none. */
static struct plain plain(const json_t *object, const char *name)
{
	struct plain out = {"-"};
	const char *text = json_text(object, name);
	if (!text)
		return out;
	size_t n = utf8_valid_prefix(text, strnlen(text, PLAIN_SIZE - 1));
	memcpy(out.text, text, n);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			out.text[i] = '?';
	out.text[n] = '\0';
	return out;
}

static long long number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* A time to the second: 2026-03-01T08:00:00 of 2026-03-01T08:00:00.123456Z. */
static struct plain seconds(const json_t *object, const char *name)
{
	struct plain out = plain(object, name);
	if (strlen(out.text) > SECONDS_WIDTH)
		out.text[SECONDS_WIDTH] = '\0';
	return out;
}

static struct plain attempts(const json_t *job)
{
	struct plain out;
	if (json_is_integer(json_object_get(job, "maxAttempts")))
		(void)snprintf(out.text, sizeof(out.text), "%lld/%lld", number(job, "attempt"), number(job, "maxAttempts"));
	else
		(void)snprintf(out.text, sizeof(out.text), "%lld", number(job, "attempt"));
	return out;
}

void jobs_show_headings(void)
{
	if (isatty(STDOUT_FILENO))
		printf("%-9s %-9s %-16s %-8s %-19s  %-36s  %s\n", "id", "state", "kind", "attempts", "created (UTC)", "subject", "last error");
}

void jobs_show_row(const json_t *job)
{
	printf("%-9lld %-9s %-16s %-8s %-19s  %-36s  %s\n", number(job, "id"), plain(job, "state").text, plain(job, "kind").text, attempts(job).text,
	       seconds(job, "createdAt").text, plain(job, "subject").text, plain(json_object_get(job, "lastError"), "code").text);
}

static void show_time(const json_t *job, const char *label, const char *name)
{
	if (json_text(job, name))
		printf("%-11s %s UTC\n", label, seconds(job, name).text);
}

static void show_event(const json_t *event)
{
	const json_t *error = json_object_get(event, "error");
	printf("  %s  %-16s", seconds(event, "at").text, plain(event, "event").text);
	if (json_is_integer(json_object_get(event, "attempt")))
		printf(" attempt %lld", number(event, "attempt"));
	if (json_text(event, "actor"))
		printf(" by %s", plain(event, "actor").text);
	if (json_text(error, "code"))
		printf(" %s", plain(error, "code").text);
	putchar('\n');
}

void jobs_show_job(const json_t *job)
{
	const json_t *error = json_object_get(job, "lastError"), *event;
	size_t index;
	printf("%-11s %lld\n%-11s %s\n%-11s %s%s\n", "job", number(job, "id"), "kind", plain(job, "kind").text, "state", plain(job, "state").text,
	       json_is_true(json_object_get(job, "cancelRequested")) ? ", asked to stop" : "");
	printf("%-11s %s\n%-11s %s\n", "subject", plain(job, "subject").text, "attempts", attempts(job).text);
	show_time(job, "not before", "runAt");
	show_time(job, "created", "createdAt");
	show_time(job, "started", "startedAt");
	show_time(job, "ended", "endedAt");
	if (json_text(error, "code"))
		printf("%-11s %s%s%s\n", "last error", plain(error, "code").text, json_text(error, "message") ? ": " : "",
		       json_text(error, "message") ? plain(error, "message").text : "");
	if (json_array_size(json_object_get(job, "events")))
		puts("events (UTC)");
	json_array_foreach(json_object_get(job, "events"), index, event)
	{
		show_event(event);
	}
}

void jobs_show_change(const json_t *job)
{
	bool stopping = json_is_true(json_object_get(job, "cancelRequested"));
	printf("%lld %s%s\n", number(job, "id"), plain(job, "state").text, stopping ? ", asked to stop at its next batch" : "");
}

bool jobs_show_json(const json_t *job)
{
	char *text = json_dumps(job, JSON_COMPACT);
	bool good = text && puts(text) >= 0;
	free(text); /* from json_dumps */
	return good;
}

void jobs_show_refusal(const char *id, const char *code, const char *sentence)
{
	struct buf line;
	struct json_writer w;
	buf_init(&line, REFUSAL_MAX);
	json_start(&w, &line);
	json_object_open(&w, NULL);
	json_put_raw(&w, "id", id);
	json_object_open(&w, "error");
	json_put_text(&w, "code", code);
	json_put_text(&w, "message", sentence);
	json_object_close(&w);
	json_object_close(&w);
	puts(buf_text(&line));
	buf_release(&line);
}
