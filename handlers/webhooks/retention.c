/*
 * webhook.retention: events and ended deliveries go webhooks.retention_days after their end; a secret that was replaced goes once it
 * no longer signs. Must never remove what has not ended.
 */
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "handlers/webhooks/handlers.h"

enum { AT_ONCE = 5000, ROUNDS = 20 };

/* In pieces, so that no transaction is long. What is left over goes at the next run. */
static enum err remove_old(struct worker *worker, struct arena *arena, enum stmt stmt, int64_t *ret_count)
{
	const char *days = pg_number(arena, worker->config->webhooks_retention_days), *limit = pg_number(arena, AT_ONCE);
	struct pg_rows rows = {.affected = AT_ONCE};
	enum err err = OK;
	for (int round = 0; !err && round < ROUNDS && rows.affected == AT_ONCE && !jobs_stopping(); round++) {
		err = pg_query(&worker->pg, arena, stmt, PG_VALUES(days, limit), &rows);
		*ret_count += err ? 0 : rows.affected;
	}
	return err;
}

enum err webhook_retention_run(struct worker *worker, struct arena *arena, struct job *job)
{
	int64_t deliveries = 0, events = 0;
	enum err err = remove_old(worker, arena, STMT_WEBHOOK_EXPIRE_DELIVERIES, &deliveries);
	if (!err)
		err = remove_old(worker, arena, STMT_EVENT_EXPIRE, &events);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_WEBHOOK_FORGET_SECRETS, PG_NONE, NULL);
	if (!err)
		err = job_end(worker, arena, job, "done");
	metrics_add(METRIC_JANITOR_REMOVED, deliveries + events);
	if (deliveries + events)
		log_write(LOG_LEVEL_INFO, "webhooks_expired", LOG_INT("deliveries", deliveries), LOG_INT("events", events));
	return err;
}
