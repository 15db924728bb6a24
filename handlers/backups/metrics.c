/*
 * The figures of backups for Prometheus: GET /backups/metrics, for administrators of the space, and a part of GET /metrics, for a Prometheus on the machine. One source for both.
 * Must never write half a family: Prometheus would refuse all of it.
 */
#include "fcgi/fields.h"
#include "handlers/backups/handlers.h"

#include <string.h>

/* Of the statement backup_gauges, in the order of its columns after the name. Names of databases have no character that a label could not hold (sources.h). */
static const struct gauge {
	const char *name, *help;
} gauges[] = {
    {"backup_last_verified_timestamp_seconds", "When the newest verified backup was proven; 0: never."},
    {"backup_last_success_timestamp_seconds", "When a backup last succeeded; 0: never."},
    {"backup_size_bytes", "Size of the newest verified backup as it is stored."},
    {"backup_rows", "Rows in it."},
    {"backup_duration_seconds", "How long the last attempt took, test restore included."},
    {"backup_last_failed", "1 when the last attempt failed."},
    {"backup_failures_in_a_row", "Attempts that failed since the last one that succeeded."},
};

enum { GAUGES = sizeof(gauges) / sizeof(gauges[0]) };

static void put_head(struct buf *out, const char *name, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void put_databases(struct buf *out, const struct pg_rows *rows)
{
	for (int i = 0; i < GAUGES; i++) {
		put_head(out, gauges[i].name, gauges[i].help);
		for (int row = 0; row < rows->count; row++)
			buf_printf(out, "%s{db=\"%s\"} %lld\n", gauges[i].name, pg_text(rows, row, 0), (long long)pg_i64(rows, row, i + 1));
	}
}

/* Columns of the statement backup_inventory_figures. */
static void put_inventory(struct buf *out, const struct pg_rows *rows)
{
	static const char *const states[] = {"verified", "unverified", "damaged", "deleting"};
	put_head(out, "backup_inventory_objects", "Backups in the inventory: proven, not (yet), found damaged or gone, on their way out.");
	for (int i = 0; i < 4; i++)
		buf_printf(out, "backup_inventory_objects{state=\"%s\"} %lld\n", states[i], (long long)pg_i64(rows, 0, i));
	put_head(out, "backup_inventory_bytes", "Bytes of all that are stored.");
	buf_printf(out, "backup_inventory_bytes %lld\n", (long long)pg_i64(rows, 0, 4));
	put_head(out, "backup_run_running", "1 while a run is under way.");
	buf_printf(out, "backup_run_running %lld\n", (long long)pg_i64(rows, 0, 5));
}

static enum err write_figures(struct request *request, const struct pg_scope *scope, const struct backup_sources *sources, struct buf *out)
{
	struct pg *pg = &request->gate->pg;
	struct pg_rows databases, inventory;
	const char *names = backup_names(request->arena, sources, false);
	enum err err = names ? pg_call(pg, request->arena, scope, STMT_BACKUP_GAUGES, PG_VALUES(names), &databases) : ERR_TOO_LARGE;
	if (!err)
		err = pg_call(pg, request->arena, scope, STMT_BACKUP_INVENTORY_FIGURES, PG_NONE, &inventory);
	if (err)
		return err;
	put_databases(out, &databases);
	put_inventory(out, &inventory);
	return OK;
}

enum err backup_metrics(struct request *request, struct response *response)
{
	struct backup_sources sources;
	if (!backup_load(request, response, &sources))
		return OK;
	if (!text_equal(request->scope.space, request->gate->config->backups_space))
		sources.count = 0;
	response->status = 200;
	response->content_type = "text/plain; version=0.0.4; charset=utf-8";
	return write_figures(request, &request->scope, &sources, &response->body);
}

enum err backup_figures(struct request *request, struct buf *out)
{
	const struct config *config = request->gate->config;
	const struct pg_scope scope = {"", config->backups_space, "worker"};
	struct backup_sources sources;
	const char *why = NULL;
	bool readable = backup_sources_load(request->arena, config, &sources, &why) == OK;
	if (!*config->backups_sources)
		return OK;
	put_head(out, "backup_sources_readable", "0 when the file of backups.sources cannot be read or is wrong.");
	buf_printf(out, "backup_sources_readable %d\n", readable);
	return readable ? write_figures(request, &scope, &sources, out) : OK;
}
