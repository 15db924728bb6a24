/*
 * GET /api/health, GET /api/openapi.yaml and GET /metrics. `?probe=live` asks nothing of the database: is this process answering? Without it the
 * database, the storage and the queue are looked at too. 200 while it can serve, 503 when it cannot.
 * Must never cost more than one round trip, nor show where things are.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/base/version.h"
#include "core/pg/embedded.h"
#include "core/store/store.h"
#include "handlers/system/handlers.h"

#include <stdio.h>

enum { QUEUE_LATE_S = 300 };

struct checks {
	const char *database, *storage, *queue;
	bool down;
};

static void check_storage(const struct config *config, struct checks *checks)
{
	static const char *const names[] = {
	    [STORE_SPOOL_OK] = "ok", [STORE_SPOOL_NEARLY_FULL] = "nearly_full", [STORE_SPOOL_FULL] = "full", [STORE_SPOOL_GONE] = "unavailable"};
	enum store_spool spool = store_spool(config);
	checks->storage = names[spool];
	checks->down |= spool == STORE_SPOOL_FULL || spool == STORE_SPOOL_GONE;
}

static void check_database(struct request *request, struct checks *checks)
{
	struct pg_rows rows;
	if (pg_query(&request->gate->pg, request->arena, STMT_HEALTH, PG_NONE, &rows)) {
		checks->database = "unavailable";
		checks->queue = "unknown";
		checks->down = true;
		return;
	}
	if (!pg_bool(&rows, 0, 1)) {
		checks->database = "read_only";
		checks->down = true;
	}
	if (pg_i64(&rows, 0, 2) > QUEUE_LATE_S)
		checks->queue = "late";
}

enum err system_health(struct request *request, struct response *response)
{
	struct checks checks = {"ok", "ok", "ok", false};
	char now[CLOCK_ISO_SIZE];
	bool live = str_equal_text(request_query(request, "probe"), "live");
	if (!live) {
		check_storage(request->gate->config, &checks);
		check_database(request, &checks);
	}
	bool fine = text_equal(checks.database, "ok") && text_equal(checks.storage, "ok") && text_equal(checks.queue, "ok");
	struct json_writer *w = respond_json(response, checks.down ? 503 : 200);
	json_put_text(w, "status", checks.down ? "down" : fine ? "ok" : "degraded");
	if (!live) {
		json_object_open(w, "checks");
		json_put_text(w, "database", checks.database);
		json_put_text(w, "storage", checks.storage);
		json_put_text(w, "queue", checks.queue);
		json_object_close(w);
	}
	json_put_text(w, "version", TIDEGATE_VERSION);
	clock_iso8601(clock_unix_us(), now);
	json_put_text(w, "time", now);
	if (checks.down)
		respond_header(response, "Retry-After", "5");
	return respond_end(response);
}

/* The document travels inside the binary: it is that of the program that answers. */
enum err system_openapi(struct request *request, struct response *response)
{
	(void)request;
	response->status = 200;
	response->content_type = "application/yaml; charset=utf-8";
	for (const struct embedded_file *file = embedded_files; file->path; file++)
		if (text_equal(file->path, "docs/openapi.yaml"))
			return buf_append_text(&response->body, file->text);
	return ERR_BUG;
}

/* Columns of the statement queue_metrics. */
enum { FIGURE_KIND, FIGURE_READY, FIGURE_SCHEDULED, FIGURE_RUNNING, FIGURE_DEAD, FIGURE_OLDEST, FIGURES };

static const char *const states[] = {[FIGURE_READY] = "ready", [FIGURE_SCHEDULED] = "scheduled", [FIGURE_RUNNING] = "running", [FIGURE_DEAD] = "dead"};

static void gauge(struct buf *out, const char *name, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

/* The queue over all spaces; the kinds are few (job_figures) and fit a label as they are. */
static void put_queue(struct buf *out, const struct pg_rows *rows)
{
	int64_t total[FIGURES] = {0};
	for (int row = 0; row < rows->count; row++)
		for (int i = FIGURE_READY; i < FIGURES; i++) {
			int64_t value = pg_i64(rows, row, i);
			total[i] = i < FIGURE_OLDEST ? total[i] + value : value > total[i] ? value : total[i];
		}
	gauge(out, "tidegate_queue_jobs", "Jobs in the queue, by state: ready to be taken, scheduled for later, running, dead (given up).");
	for (int i = FIGURE_READY; i < FIGURE_OLDEST; i++)
		buf_printf(out, "tidegate_queue_jobs{state=\"%s\"} %lld\n", states[i], (long long)total[i]);
	gauge(out, "tidegate_queue_oldest_ready_seconds", "How long the oldest job that is ready has been waiting.");
	buf_printf(out, "tidegate_queue_oldest_ready_seconds %lld\n", (long long)total[FIGURE_OLDEST]);
	gauge(out, "tidegate_queue_jobs_by_kind", "The same by kind of job; kinds that have none are left out.");
	for (int row = 0; row < rows->count; row++)
		for (int i = FIGURE_READY; i < FIGURE_OLDEST; i++)
			buf_printf(out, "tidegate_queue_jobs_by_kind{kind=\"%s\",state=\"%s\"} %lld\n", pg_text(rows, row, FIGURE_KIND), states[i],
			           (long long)pg_i64(rows, row, i));
}

enum err system_metrics(struct request *request, struct response *response)
{
	struct pg_rows rows;
	struct buf *out = &response->body;
	response->status = 200;
	response->content_type = "text/plain; version=0.0.4; charset=utf-8";
	metrics_write(out);
	gauge(out, "tidegate_up", "Whether the database answered.");
	bool up = pg_query(&request->gate->pg, request->arena, STMT_QUEUE_METRICS, PG_NONE, &rows) == OK;
	buf_printf(out, "tidegate_up %d\n", up);
	if (!up)
		return OK;
	put_queue(out, &rows);
	if (pg_query(&request->gate->pg, request->arena, STMT_WEBHOOK_BACKLOG, PG_NONE, &rows))
		return OK;
	gauge(out, "tidegate_webhook_pending", "Deliveries of webhooks that have not ended.");
	buf_printf(out, "tidegate_webhook_pending %lld\n", (long long)pg_i64(&rows, 0, 0));
	gauge(out, "tidegate_webhook_oldest_pending_seconds", "Age of the oldest of them.");
	buf_printf(out, "tidegate_webhook_oldest_pending_seconds %lld\n", (long long)pg_i64(&rows, 0, 1));
	for (size_t i = 0; i < request->gate->figure_count; i++) {
		enum err err = request->gate->figures[i](request, out);
		if (err)
			log_write(LOG_LEVEL_WARN, "figures_missing", LOG_TEXT("reason", err_name(err)));
	}
	return OK;
}
