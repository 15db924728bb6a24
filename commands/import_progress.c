/* Progress and summary of `tidegate import`; see the header. Must never decide anything. */
#include "commands/import_progress.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 28, LINE_EVERY_US = 5000000, LINE_MAX_BYTES = 16 << 10 };

static const char *const counted[] = {"total", "inserted", "updated", "skipped", "invalid", "failed", "cancelled"};

static long long number(const json_t *job, const char *group, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(job, group), name));
}

long long import_count(const json_t *job, const char *name)
{
	return number(job, "counts", name);
}

static double seconds_since(int64_t started_us)
{
	return (double)(clock_monotonic_us() - started_us) / 1e6;
}

static void open_line(struct json_writer *w, struct buf *line, const char *event)
{
	buf_init(line, LINE_MAX_BYTES);
	json_start(w, line);
	json_object_open(w, NULL);
	json_put_text(w, "event", event);
}

static void close_line(struct json_writer *w)
{
	json_object_close(w);
	puts(buf_text(w->out));
	fflush(stdout);
	buf_release(w->out);
}

void import_progress_start(struct import_progress *progress, bool json)
{
	*progress = (struct import_progress){.started_us = clock_monotonic_us(), .done = -1};
	progress->how = json ? PROGRESS_JSON : isatty(STDERR_FILENO) ? PROGRESS_BAR : PROGRESS_LINES;
}

void import_progress_upload(struct import_progress *progress, const char *name, int64_t size)
{
	struct buf line;
	struct json_writer w;
	if (progress->how != PROGRESS_JSON) {
		fprintf(stderr, "%suploading  %s (%lld bytes)%s", progress->how == PROGRESS_BAR ? "" : "  ", name, (long long)size,
		        progress->how == PROGRESS_BAR ? "\033[K" : "\n");
		return;
	}
	open_line(&w, &line, "upload");
	json_put_text(&w, "fileName", name);
	json_put_i64(&w, "fileSize", size);
	close_line(&w);
}

static void show_bar(const json_t *job)
{
	char bar[BAR_WIDTH + 1];
	long long percent = number(job, "progress", "percent");
	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < percent * BAR_WIDTH / 100 ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r%-10s [%s] %3lld %%  ", json_text(job, "status"), bar, percent);
}

static void show_text(const json_t *job)
{
	const json_t *eta = json_object_get(json_object_get(job, "progress"), "etaSeconds");
	fprintf(stderr, "%lld of %lld rows  %lld rows/s", number(job, "progress", "done"), number(job, "progress", "total"),
	        number(job, "progress", "rowsPerSecond"));
	if (json_is_integer(eta))
		fprintf(stderr, "  %lld s left", (long long)json_integer_value(eta));
}

static void show_json(const json_t *job)
{
	static const char *const shown[] = {"done", "total", "percent", "rowsPerSecond"};
	const json_t *eta = json_object_get(json_object_get(job, "progress"), "etaSeconds");
	struct buf line;
	struct json_writer w;
	open_line(&w, &line, "progress");
	json_put_text(&w, "id", json_text(job, "id") ? json_text(job, "id") : json_text(job, "batchId"));
	json_put_text(&w, "status", json_text(job, "status"));
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		json_put_i64(&w, shown[i], number(job, "progress", shown[i]));
	if (json_is_integer(eta))
		json_put_i64(&w, "etaSeconds", json_integer_value(eta));
	else
		json_put_null(&w, "etaSeconds");
	close_line(&w);
}

void import_progress_show(struct import_progress *progress, const json_t *job)
{
	const char *status = json_text(job, "status") ? json_text(job, "status") : "";
	int64_t done = number(job, "progress", "done"), now = clock_monotonic_us();
	bool moved_on = !text_equal(status, progress->status);
	bool due = progress->how != PROGRESS_LINES || now - progress->shown_us >= LINE_EVERY_US;
	if (!moved_on && (done == progress->done || !due))
		return;
	(void)snprintf(progress->status, sizeof(progress->status), "%s", status);
	progress->done = done;
	progress->shown_us = now;
	if (progress->how == PROGRESS_JSON) {
		show_json(job);
	} else if (progress->how == PROGRESS_BAR) {
		show_bar(job);
		show_text(job);
		fputs("   \033[K", stderr);
	} else {
		fprintf(stderr, "  %-10s ", status);
		show_text(job);
		fputc('\n', stderr);
	}
}

static void end_json(const struct import_progress *progress, const char *name, const json_t *job, const struct import_end *end)
{
	double seconds = seconds_since(progress->started_us);
	struct buf line;
	struct json_writer w;
	open_line(&w, &line, "summary");
	json_put_text(&w, "outcome", end->outcome);
	json_put_i64(&w, "exitStatus", end->exit_status);
	json_put_text(&w, "fileName", name);
	json_put_text(&w, "id", json_text(job, "id"));
	json_put_text(&w, "status", json_text(job, "status"));
	json_object_open(&w, "counts");
	for (size_t i = 0; job && i < sizeof(counted) / sizeof(counted[0]); i++)
		json_put_i64(&w, counted[i], import_count(job, counted[i]));
	json_object_close(&w);
	json_put_real(&w, "seconds", seconds);
	json_put_text(&w, "errorReport", end->report);
	if (end->sentence) {
		json_object_open(&w, "error");
		json_put_text(&w, "code", end->code);
		json_put_text(&w, "message", end->sentence);
		json_object_close(&w);
	} else {
		json_put_null(&w, "error");
	}
	close_line(&w);
}

void import_progress_end(struct import_progress *progress, const char *name, const json_t *job, const struct import_end *end)
{
	double seconds = seconds_since(progress->started_us);
	if (progress->how == PROGRESS_JSON) {
		end_json(progress, name, job, end);
		return;
	}
	if (progress->how == PROGRESS_BAR)
		fputs("\r\033[K", stderr);
	if (end->sentence || !job)
		return;
	printf("%s: %lld rows in %.2f s (%.0f rows/s)%s\n", name, import_count(job, "total"), seconds, seconds > 0 ? (double)import_count(job, "total") / seconds : 0,
	       text_equal(end->outcome, "queued") ? ", their import is queued" : text_equal(end->outcome, "dry_run") ? ", tried out: nothing was written" : "");
	printf("  inserted %lld, updated %lld, skipped %lld, invalid %lld, failed %lld\n", import_count(job, "inserted"), import_count(job, "updated"),
	       import_count(job, "skipped"), import_count(job, "invalid"), import_count(job, "failed"));
	if (end->report)
		printf("  rows left out, with their reasons: %s\n", end->report);
}
