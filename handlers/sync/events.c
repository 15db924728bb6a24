/*
 * The change signal: who pushed tells the others of the scope that there is something to fetch, without saying what; a user's jobs tell of their
 * states. nginx (nchan) keeps the streams of GET /api/events; here are their tickets, the check of a ticket that nginx asks for, and the hint after a push.
 * Called by nginx and sync.c.
 * Must never let a hint fail or delay a push, nor name a channel that the token of the ticket did not open.
 */
#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/log.h"
#include "core/crypto/seal.h"
#include "fcgi/fields.h"
#include "fcgi/guard.h"
#include "handlers/sync/handlers.h"
#include "handlers/sync/sync.h"

#include <string.h>

enum { TICKET_LIFE_S = 30, TICKET_MAX = 2048, APP_NAME_MAX = 63, HINT_MAX = 2 << 10 };

static struct seal seal_for(const struct gate *gate, const char *purpose)
{
	struct seal seal;
	seal_init(&seal, gate->config->jwt_secret, gate->config->storage_secret_key, purpose);
	return seal;
}

static const char *scope_of(struct arena *arena, const struct sync_app *app, const char *scope)
{
	return arena_printf(arena, "%s:%s:%s", app->app->name, app->app->sync_scope == SCHEMA_SYNC_SPACE ? "space" : "sub", scope);
}

static const char *make_ticket(const struct request *request, const char *app, const char *channel)
{
	struct seal seal = seal_for(request->gate, "tidegate events ticket");
	char id[UUID_SIZE];
	struct buf payload;
	struct json_writer w;
	uuid_v4(id);
	buf_init(&payload, TICKET_MAX / 2);
	json_start(&w, &payload);
	json_object_open(&w, NULL);
	json_put_text(&w, "id", id);
	json_put_text(&w, "app", app);
	json_put_text(&w, "channel", channel);
	json_put_i64(&w, "expires", clock_unix() + TICKET_LIFE_S);
	json_object_close(&w);
	const char *made = payload.overflowed ? NULL : seal_make(&seal, request->arena, buf_text(&payload), payload.len);
	buf_release(&payload);
	return made;
}

enum err events_ticket(struct request *request, struct response *response)
{
	const struct sync_app *app = NULL;
	const char *name = NULL, *scope;
	char channel[SHA256_HEX_SIZE];
	if (!*request->gate->config->events_publisher)
		return refuse(response, PROBLEM_EVENTS_DISABLED);
	if (!field_text(response, request->json, "app", 0, APP_NAME_MAX, &name))
		return OK;
	bool jobs = !name && !json_text(request->claims.all, "app");
	if (!jobs && !sync_find_app(response, name, &app, &scope))
		return OK;
	const char *text = jobs ? hints_job_scope(request->arena, request->claims.space, request->claims.sub) : scope_of(request->arena, app, scope);
	if (!text)
		return ERR_TOO_LARGE;
	hints_channel(request->gate->config, text, channel);
	const char *ticket = make_ticket(request, jobs ? "" : app->app->name, channel);
	if (!ticket)
		return ERR_TOO_LARGE;
	struct json_writer *w = respond_json(response, 200);
	respond_header(response, "Cache-Control", "no-store");
	json_put_text(w, "ticket", ticket);
	json_put_i64(w, "expiresIn", TICKET_LIFE_S);
	return respond_end(response);
}

/* nginx passes these addresses on only where it has no nchan. */
enum err events_missing(struct request *request, struct response *response)
{
	(void)request;
	return refuse(response, PROBLEM_EVENTS_DISABLED);
}

/* auth_request only knows 2xx, 401 and 403: the reason goes into a header, from which nginx makes the problem document. */
static enum err deny(struct response *response, int status, enum problem problem, const char *why)
{
	log_write(LOG_LEVEL_INFO, "events_refused", LOG_TEXT("reason", why));
	response->status = status;
	respond_header(response, "X-Problem", problem_code(problem));
	return OK;
}

static bool read_ticket(const struct request *request, const json_t **ret)
{
	struct seal seal = seal_for(request->gate, "tidegate events ticket");
	const char *text = query_text(request, "ticket"), *payload = NULL;
	json_t *ticket = NULL;
	size_t n = 0;
	if (!text || !seal_open(&seal, request->arena, text, TICKET_MAX, &payload, &n) || json_parse(request->arena, payload, n, &ticket, NULL))
		return false;
	*ret = ticket;
	return true;
}

static bool origin_allowed(const struct request *request)
{
	const char *origin = request_param(request, "HTTP_ORIGIN");
	return !origin || text_equal(origin, request->gate->config->public_url) || guard_origin_allowed(request->gate->config, origin);
}

enum err events_authorise(struct request *request, struct response *response)
{
	const char *app = query_text(request, "app");
	const json_t *ticket = NULL;
	struct pg_rows rows;
	if (!origin_allowed(request))
		return deny(response, 403, PROBLEM_FORBIDDEN, "origin");
	if (!read_ticket(request, &ticket))
		return deny(response, 401, PROBLEM_TICKET_INVALID, "forged");
	int64_t expires = json_integer_value(json_object_get(ticket, "expires"));
	if (expires <= clock_unix())
		return deny(response, 401, PROBLEM_TICKET_INVALID, "expired");
	if (app && !text_equal(app, json_text(ticket, "app")))
		return deny(response, 401, PROBLEM_TICKET_INVALID, "another app");
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_EVENTS_TICKET_SPEND,
	                        PG_VALUES(json_text(ticket, "id"), pg_number(request->arena, expires)), &rows);
	if (err)
		return err;
	if (!pg_bool(&rows, 0, 0))
		return deny(response, 401, PROBLEM_TICKET_INVALID, "used");
	response->status = 204;
	respond_header(response, "X-Channel", json_text(ticket, "channel"));
	return OK;
}

/* Rows that the client gets back lost against newer ones, unless they said only a part of the row or came from too far in the future: then they may have. */
static bool changed(const struct sync_call *call)
{
	int64_t latest = call->version + call->request->gate->config->sync_future_s * 1000000;
	bool found = call->merge_count > 0;
	for (size_t i = 0; !found && i < call->row_count; i++) {
		const struct sync_row *row = &call->rows[i];
		found = row->code == REJECT_NONE && !row->dropped && (!row->returned || row->mask || row->modified > latest);
	}
	return found;
}

void sync_hint(const struct sync_call *call)
{
	struct gate *gate = call->request->gate;
	if (!*gate->publisher.path || !call->pushed || !changed(call))
		return;
	const char *scope = scope_of(call->arena, call->app, call->scope);
	struct buf hint;
	struct json_writer w;
	buf_init(&hint, HINT_MAX);
	json_start(&w, &hint);
	json_object_open(&w, NULL);
	json_put_text(&w, "app", call->app->app->name);
	json_put_text(&w, "device", call->device);
	json_object_close(&w);
	if (scope && !hint.overflowed)
		hints_publish(&gate->hints, scope, buf_text(&hint));
	buf_release(&hint);
}
