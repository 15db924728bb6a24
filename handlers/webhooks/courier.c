/*
 * webhook.deliver: sends what is due, for all endpoints at once. One such job is live at a time (sql/functions/events.sql), so that it
 * takes one worker however many receivers hang; their requests are under way side by side, each endpoint having no more of them
 * than its window. docs/decisions/0011 says why.
 *
 * A run takes new deliveries for OPEN_MS, then only those of endpoints that answer quickly, until the slow ones have ended; so a slow
 * receiver holds up nobody at the change from one run to the next. What is under way is known to this process alone: when it dies,
 * its deliveries are due as before and are sent again under the same id.
 *
 * Must never hold a transaction while it waits for the network, record an answer without its lease, nor log more of a URL than host
 * and port.
 */
#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "handlers/webhooks/handlers.h"
#include "handlers/webhooks/message.h"
#include "handlers/webhooks/outcome.h"

#include <string.h>

enum {
	PARCELS = 64,
	PARCEL_ARENA = 512 << 10,
	ROUND_ARENA = 8 << 20,
	LOOK_MS = 200,        /* between two looks for what has become due */
	OPEN_MS = 60000,      /* for new deliveries of every endpoint */
	SLOW_MS = 1000,       /* an endpoint that takes longer is slow */
	SLOW_MAX = 256,       /* endpoints that one run remembers as slow; with more it takes no more deliveries */
	GRACE_MS = 5000,      /* for what is under way when the process is asked to stop */
	PATIENCE = 5,         /* failures in a row until an endpoint is left alone */
	PROBE_S = 60,         /* for how long, at first */
	WINDOW_MAX = 20,
};

/* One delivery under way. */
struct parcel {
	struct arena arena;
	struct http_request request;
	const char *id, *endpoint, *event, *type;
	int64_t attempts;
	char host[OUTGOING_HOST_SIZE];
	bool busy;
	const char *refused; /* why it was not sent at all; NULL: it was */
	int64_t started_us;
};

struct courier {
	struct worker *worker;
	struct job *job;
	struct outgoing outgoing;
	struct http_many many;
	struct arena round; /* of one look or one record */
	struct parcel parcels[PARCELS];
	char slow[SLOW_MAX][UUID_SIZE];
	size_t slow_count;
	int64_t opened_us;
	int64_t stopping_us; /* since when; 0: not */
};

enum phase { OPEN, QUICK_ONLY, CLOSED };

static bool is_slow(const struct courier *courier, const char *endpoint)
{
	for (size_t i = 0; i < courier->slow_count; i++)
		if (text_equal(courier->slow[i], endpoint))
			return true;
	return false;
}

static void note_slow(struct courier *courier, const char *endpoint)
{
	if (courier->slow_count < SLOW_MAX && !is_slow(courier, endpoint))
		snprintf(courier->slow[courier->slow_count++], UUID_SIZE, "%s", endpoint);
}

static size_t busy_count(const struct courier *courier)
{
	size_t count = 0;
	for (size_t i = 0; i < PARCELS; i++)
		count += courier->parcels[i].busy;
	return count;
}

/* What this run still takes. Marks as slow whoever keeps us waiting. */
static enum phase phase_of(struct courier *courier)
{
	int64_t now = clock_monotonic_us();
	bool waiting = false;
	if (jobs_stopping())
		return CLOSED;
	for (size_t i = 0; i < PARCELS; i++) {
		const struct parcel *parcel = &courier->parcels[i];
		if (parcel->busy && now - parcel->started_us > (int64_t)SLOW_MS * 1000)
			note_slow(courier, parcel->endpoint);
		waiting = waiting || (parcel->busy && is_slow(courier, parcel->endpoint));
	}
	if (now - courier->opened_us < (int64_t)OPEN_MS * 1000)
		return OPEN;
	return waiting && courier->slow_count < SLOW_MAX ? QUICK_ONLY : CLOSED;
}

static const char *busy_ids(struct courier *courier)
{
	const char *ids[PARCELS];
	size_t count = 0;
	for (size_t i = 0; i < PARCELS; i++)
		if (courier->parcels[i].busy)
			ids[count++] = courier->parcels[i].id;
	return pg_text_array(&courier->round, ids, count);
}

static const char *slow_ids(struct courier *courier)
{
	const char *ids[SLOW_MAX];
	for (size_t i = 0; i < courier->slow_count; i++)
		ids[i] = courier->slow[i];
	return pg_text_array(&courier->round, ids, courier->slow_count);
}

/* Columns of the statement webhook_due. */
enum { DUE_ID, DUE_ENDPOINT, DUE_EVENT, DUE_TYPE, DUE_BODY, DUE_ATTEMPTS, DUE_URL, DUE_HEADERS, DUE_SECRET, DUE_PREVIOUS, DUE_FORMAT, DUE_LANGUAGE };

static enum err start(struct courier *courier, struct parcel *parcel, const struct pg_rows *rows, int row)
{
	const char *language = pg_text(rows, row, DUE_LANGUAGE);
	const struct webhook_message message = {
	    .id = pg_text(rows, row, DUE_EVENT),
	    .body = pg_text(rows, row, DUE_BODY),
	    .url = pg_text(rows, row, DUE_URL),
	    .headers = pg_text(rows, row, DUE_HEADERS),
	    .secret = pg_text(rows, row, DUE_SECRET),
	    .previous_secret = pg_text(rows, row, DUE_PREVIOUS),
	    .format = webhook_format_of(pg_text(rows, row, DUE_FORMAT)),
	    .language = text_equal(language ? language : courier->worker->config->webhooks_language, "fr") ? LANGUAGE_FR : LANGUAGE_EN,
	    .explain = courier->worker->explain,
	};
	struct arena *arena = &parcel->arena;
	arena_reset(arena);
	parcel->id = arena_strdup(arena, pg_text(rows, row, DUE_ID));
	parcel->endpoint = arena_strdup(arena, pg_text(rows, row, DUE_ENDPOINT));
	parcel->event = arena_strdup(arena, message.id);
	parcel->type = arena_strdup(arena, pg_text(rows, row, DUE_TYPE));
	parcel->attempts = pg_i64(rows, row, DUE_ATTEMPTS);
	parcel->started_us = clock_monotonic_us();
	if (!parcel->id || !parcel->endpoint || !parcel->event || !parcel->type)
		return ERR_TOO_LARGE;
	parcel->busy = true;
	parcel->refused = NULL;
	/* What was allowed when it was given may not be so any more. A row that cannot be sent must not stop the others. */
	if (outgoing_check(&courier->outgoing, message.url, parcel->host) != OUTGOING_OK)
		parcel->refused = "url_not_allowed";
	else if (webhook_request(arena, &message, &courier->outgoing, courier->worker->config->webhooks_timeout_s, clock_unix(), &parcel->request))
		parcel->refused = "not_sent";
	return parcel->refused ? OK : http_many_start(&courier->many, arena, &parcel->request, parcel);
}

static struct parcel *free_parcel(struct courier *courier)
{
	for (size_t i = 0; i < PARCELS; i++)
		if (!courier->parcels[i].busy)
			return &courier->parcels[i];
	return NULL;
}

static enum err take_due(struct courier *courier, enum phase phase)
{
	struct pg_rows rows;
	arena_reset(&courier->round);
	const char *room = pg_number(&courier->round, (int64_t)(PARCELS - busy_count(courier)));
	const char *busy = busy_ids(courier), *passed = phase == QUICK_ONLY ? slow_ids(courier) : "{}";
	if (!busy || !passed)
		return ERR_TOO_LARGE;
	enum err err = pg_query(&courier->worker->pg, &courier->round, STMT_WEBHOOK_DUE, PG_VALUES(busy, passed, room), &rows);
	for (int i = 0; !err && i < rows.count; i++) {
		struct parcel *parcel = free_parcel(courier);
		err = parcel ? start(courier, parcel, &rows, i) : ERR_BUG;
	}
	return err;
}

static const char *interval_ms(struct arena *arena, int64_t milliseconds)
{
	const char *text = arena_printf(arena, "%lld milliseconds", (long long)milliseconds);
	return text ? text : "0";
}

/* What the log says; the delivery's row says the rest. */
static void tell(const struct parcel *parcel, const struct webhook_outcome *outcome, const struct http_done *done)
{
	bool good = !outcome->error, again = text_equal(outcome->state, "pending");
	metrics_add(good ? METRIC_WEBHOOKS_SUCCEEDED : again ? METRIC_WEBHOOKS_RETRIED : METRIC_WEBHOOKS_FAILED, 1);
	log_write(good ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "webhook", LOG_TEXT("outcome", good ? "succeeded" : again ? "retry" : "failed"),
	          LOG_TEXT("endpoint", parcel->endpoint), LOG_TEXT("host", parcel->host), LOG_TEXT("webhookId", parcel->event), LOG_TEXT("type", parcel->type),
	          LOG_INT("attempt", parcel->attempts + 1), LOG_INT("status", done->response.status), LOG_TEXT("code", outcome->error),
	          LOG_TEXT("reason", done->why), LOG_INT("milliseconds", done->duration_us / 1000));
}

static enum err disable(struct courier *courier, const struct parcel *parcel, const char *reason)
{
	struct pg_rows rows;
	enum err err = pg_query(&courier->worker->pg, &courier->round, STMT_WEBHOOK_DISABLE, PG_VALUES(parcel->endpoint, reason), &rows);
	if (err || !pg_bool(&rows, 0, 0))
		return err;
	metrics_add(METRIC_WEBHOOKS_DISABLED, 1);
	log_write(LOG_LEVEL_WARN, "webhook_disabled", LOG_TEXT("endpoint", parcel->endpoint), LOG_TEXT("host", parcel->host), LOG_TEXT("reason", reason));
	return OK;
}

/* In the open transaction. */
static enum err record(struct courier *courier, const struct parcel *parcel, const struct http_done *done)
{
	const struct config *config = courier->worker->config;
	struct arena *arena = &courier->round;
	int64_t percent = config->webhooks_schedule_percent;
	struct webhook_outcome outcome = webhook_judge(done, parcel->attempts, clock_unix(), random_unit(), percent);
	const char *status = done->response.status ? pg_number(arena, done->response.status) : NULL;
	struct pg_rows rows;
	if (parcel->refused)
		outcome.error = parcel->refused;
	enum err err = pg_query(&courier->worker->pg, arena, STMT_WEBHOOK_RECORD,
	                        PG_VALUES(parcel->id, outcome.state, interval_ms(arena, outcome.delay_ms), status, webhook_response_text(arena, done->response.body),
	                                  pg_number(arena, done->duration_us / 1000), outcome.error, pg_number(arena, outcome.health),
	                                  interval_ms(arena, outcome.pause_ms), pg_number(arena, PATIENCE), interval_ms(arena, percent * 10 * PROBE_S),
	                                  pg_number(arena, WINDOW_MAX), interval_ms(arena, config->webhooks_disable_after_h * 3600 * 1000)),
	                        &rows);
	if (err)
		return err;
	if (pg_text(&rows, 0, 0))
		tell(parcel, &outcome, done);
	if (outcome.gone)
		return disable(courier, parcel, "gone");
	return pg_bool(&rows, 0, 1) ? disable(courier, parcel, "failing") : OK;
}

/* The next one that has ended: one that was never sent, or an answer. */
static bool next_done(struct courier *courier, int wait_ms, struct http_done *ret)
{
	for (size_t i = 0; i < PARCELS; i++) {
		struct parcel *parcel = &courier->parcels[i];
		if (!parcel->busy || !parcel->refused)
			continue;
		*ret = (struct http_done){.context = parcel, .err = ERR_DENIED, .failure = HTTP_FAILURE_REQUEST, .why = "it was not sent"};
		return true;
	}
	return http_many_next(&courier->many, wait_ms, ret);
}

/* Waits for answers and records all that are there in one transaction, together with the lease. */
static enum err settle(struct courier *courier, int wait_ms)
{
	struct pg *pg = &courier->worker->pg;
	struct http_done done;
	if (!next_done(courier, wait_ms, &done))
		return OK;
	arena_reset(&courier->round);
	enum err err = pg_begin(pg, NULL);
	if (!err)
		err = job_beat(courier->worker, &courier->round, courier->job);
	do {
		struct parcel *parcel = done.context;
		if (!err)
			err = record(courier, parcel, &done);
		if (done.duration_us > (int64_t)SLOW_MS * 1000)
			note_slow(courier, parcel->endpoint);
		parcel->busy = false;
	} while (next_done(courier, 0, &done));
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	return err;
}

/* Asked to stop: what is under way gets a moment, what does not end is sent again by the next run. */
static bool out_of_grace(struct courier *courier)
{
	int64_t now = clock_monotonic_us();
	if (!jobs_stopping())
		return false;
	if (!courier->stopping_us)
		courier->stopping_us = now;
	return now - courier->stopping_us > (int64_t)GRACE_MS * 1000;
}

static enum err deliver(struct courier *courier)
{
	enum err err = OK;
	do {
		enum phase phase = phase_of(courier);
		if (phase != CLOSED && busy_count(courier) < PARCELS)
			err = take_due(courier, phase);
		if (!err)
			err = settle(courier, LOOK_MS);
	} while (!err && busy_count(courier) && !out_of_grace(courier));
	return err;
}

enum err webhook_deliver_run(struct worker *worker, struct arena *arena, struct job *job)
{
	const struct config *config = worker->config;
	struct courier *courier = arena_alloc(arena, sizeof(*courier));
	const char *why = NULL;
	if (!courier)
		return ERR_TOO_LARGE;
	courier->worker = worker;
	courier->job = job;
	courier->opened_us = clock_monotonic_us();
	enum err err = outgoing_init(arena, config->webhooks_allow_networks, config->webhooks_allow_ports, config->webhooks_ca_file, &courier->outgoing, &why);
	if (!err)
		err = http_many_init(&courier->many, arena, PARCELS);
	arena_init_wiping(&courier->round, ROUND_ARENA);
	for (size_t i = 0; i < PARCELS; i++)
		arena_init_wiping(&courier->parcels[i].arena, PARCEL_ARENA);
	if (!err)
		err = deliver(courier);
	http_many_release(&courier->many);
	for (size_t i = 0; i < PARCELS; i++)
		arena_release(&courier->parcels[i].arena);
	if (!err)
		err = pg_query(&worker->pg, &courier->round, STMT_WEBHOOK_RUN_END, PG_VALUES(job->id_text, job->token), NULL);
	arena_release(&courier->round);
	return err;
}
