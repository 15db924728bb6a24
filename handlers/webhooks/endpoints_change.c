/*
 * Changing endpoints: create, patch, delete, rotate. Each runs in the transaction of its request.
 * Must never log a secret, a header's value or a URL, nor show a secret but in the answer that makes it.
 */
#include "core/base/ids.h"
#include "core/crypto/webhook_signature.h"
#include "fcgi/fields.h"
#include "handlers/webhooks/endpoint_body.h"
#include "handlers/webhooks/handlers.h"

#include <string.h>

enum err webhook_lock(struct request *request, struct response *response, const char **ret_id, bool *ret_enabled)
{
	const char *id = path_uuid(response, 0);
	struct pg_rows rows;
	*ret_id = NULL;
	if (!id)
		return OK;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_WEBHOOK_LOCK, PG_VALUES(id), &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	if (ret_enabled)
		*ret_enabled = pg_bool(&rows, 0, 0);
	*ret_id = id;
	return OK;
}

/* A filter that names nothing would be silent for ever. */
static enum err check_events(struct request *request, struct response *response, const char *events)
{
	struct pg_rows rows;
	if (!events)
		return OK;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_WEBHOOK_UNKNOWN_EVENT, PG_VALUES(events), &rows);
	if (!err && rows.count)
		return refuse_field(response, PROBLEM_WEBHOOK_EVENT, "events", pg_text(&rows, 0, 0));
	return err;
}

static const char *new_secret(struct request *request)
{
	char *secret = arena_alloc(request->arena, WEBHOOK_SECRET_SIZE);
	if (secret)
		webhook_secret_make(secret);
	return secret;
}

enum err webhook_create(struct request *request, struct response *response)
{
	struct endpoint_body body;
	struct pg *pg = &request->gate->pg;
	struct pg_rows rows;
	uint8_t id_bytes[16];
	char *id = arena_alloc(request->arena, UUID_SIZE);
	const char *secret = new_secret(request);
	if (!id || !secret)
		return ERR_TOO_LARGE;
	if (!endpoint_body_read(request, response, true, &body))
		return OK;
	enum err err = check_events(request, response, body.events);
	if (err || response->is_problem)
		return err;
	uuid_v7(id_bytes);
	uuid_format(id_bytes, id);
	err = pg_query(pg, request->arena, STMT_WEBHOOK_LOCK_SPACE, PG_NONE, NULL);
	if (!err)
		err = pg_query(pg, request->arena, STMT_WEBHOOK_CREATE,
		               PG_VALUES(id, body.url, body.description && *body.description ? body.description : NULL, body.events, body.headers ? body.headers : "{}",
		                         body.header_names ? body.header_names : "[]", secret, request->scope.sub,
		                         pg_number(request->arena, request->gate->config->webhooks_endpoints_max), body.format, body.language),
		               &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return refuse(response, PROBLEM_WEBHOOK_LIMIT);
	if (!body.enabled)
		err = pg_query(pg, request->arena, STMT_WEBHOOK_DISABLE, PG_VALUES(id, "manual"), NULL);
	if (err)
		return err;
	respond_header(response, "Location", arena_printf(request->arena, "/api/webhooks/%s", id));
	return webhook_answer(request, response, id, 201, secret);
}

/* Another address is another receiver: what is known of the old one does not count. */
static enum err change(struct request *request, const char *id, bool was_enabled, const struct endpoint_body *body)
{
	struct pg *pg = &request->gate->pg;
	bool enabled = body->has_enabled ? body->enabled : was_enabled;
	enum err err = pg_query(pg, request->arena, STMT_WEBHOOK_CHANGE, PG_VALUES(id, body->url, body->description, body->events, body->format, body->language), NULL);
	if (!err && body->headers)
		err = pg_query(pg, request->arena, STMT_WEBHOOK_CHANGE_HEADERS, PG_VALUES(id, body->headers, body->header_names), NULL);
	if (!err && enabled && (!was_enabled || body->url)) {
		err = pg_query(pg, request->arena, STMT_WEBHOOK_ENABLE, PG_VALUES(id), NULL);
		request->wake = true;
	}
	if (!err && !enabled && was_enabled)
		err = pg_query(pg, request->arena, STMT_WEBHOOK_DISABLE, PG_VALUES(id, "manual"), NULL);
	return err;
}

enum err webhook_patch(struct request *request, struct response *response)
{
	struct endpoint_body body;
	const char *id;
	bool enabled = false;
	enum err err = webhook_lock(request, response, &id, &enabled);
	if (err || !id || !endpoint_body_read(request, response, false, &body))
		return err;
	err = check_events(request, response, body.events);
	if (err || response->is_problem)
		return err;
	err = change(request, id, enabled, &body);
	return err ? err : webhook_answer(request, response, id, 200, NULL);
}

enum err webhook_delete(struct request *request, struct response *response)
{
	const char *id = path_uuid(response, 0);
	struct pg_rows rows;
	if (!id)
		return OK;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_WEBHOOK_DELETE, PG_VALUES(id), &rows);
	if (err)
		return err;
	if (rows.affected == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	response->status = 204;
	return OK;
}

enum err webhook_rotate(struct request *request, struct response *response)
{
	const char *id, *secret = new_secret(request);
	if (!secret)
		return ERR_TOO_LARGE;
	enum err err = webhook_lock(request, response, &id, NULL);
	if (err || !id)
		return err;
	err = pg_query(&request->gate->pg, request->arena, STMT_WEBHOOK_ROTATE, PG_VALUES(id, secret), NULL);
	return err ? err : webhook_answer(request, response, id, 200, secret);
}
