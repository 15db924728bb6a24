/*
 * Idempotency keys. Called by the dispatcher around the handlers of creating routes.
 * Must never answer a key with an answer that was made for another body or another route.
 */
#include "fcgi/idempotency.h"

#include "core/crypto/digest.h"

#include <string.h>

enum { KEY_MAX = 255 };

static enum err replay(struct request *request, struct response *response, const struct idempotency *idempotency)
{
	struct pg_rows rows;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_IDEMPOTENCY_FIND, PG_VALUES(idempotency->key), &rows);
	if (err)
		return err;
	if (rows.count == 0 || !pg_text(&rows, 0, 2))
		return refuse(response, PROBLEM_BUSY); /* its first request was just rolled back */
	if (!text_equal(pg_text(&rows, 0, 0), idempotency->route) || !text_equal(pg_text(&rows, 0, 1), idempotency->body_sha256))
		return refuse(response, PROBLEM_IDEMPOTENCY_MISMATCH);
	response->status = (int)pg_i64(&rows, 0, 2);
	response->content_type = "application/json";
	respond_header(response, "Idempotency-Replayed", "true");
	const char *body = pg_text(&rows, 0, 3);
	return buf_append_text(&response->body, body ? body : "");
}

static const char *key_of_call(struct request *request)
{
	const char *message = request_param(request, "HTTP_UPSTASH_MESSAGE_ID");
	return arena_printf(request->arena, "call:%s", message ? message : request->call.jti);
}

enum err idempotency_begin(struct request *request, struct response *response, const struct route *route, struct idempotency *ret)
{
	const char *key = request_param(request, "HTTP_IDEMPOTENCY_KEY");
	struct pg_rows rows;
	*ret = (struct idempotency){0};
	if (!key && request->json)
		key = json_text(request->json, "idempotencyKey");
	if (!key && request->call.jti)
		key = key_of_call(request);
	if (!key)
		return OK;
	if (!*key || strlen(key) > KEY_MAX || !utf8_valid(key, strlen(key))) {
		ret->replayed = true;
		return refuse_field(response, PROBLEM_INVALID_FIELD, "idempotencyKey", "1 to 255 bytes of UTF-8");
	}
	ret->key = key;
	/* the whole path: the same key and body for another job is another request */
	const char *target = request_param(request, "REQUEST_URI");
	ret->route = arena_printf(request->arena, "%d %.*s", (int)route->method, (int)strcspn(target, "?"), target);
	if (!ret->route)
		return ERR_TOO_LARGE;
	sha256_hex(request->body.p ? request->body.p : "", request->body.n, ret->body_sha256);
	enum err err =
	    pg_query(&request->gate->pg, request->arena, STMT_IDEMPOTENCY_CLAIM, PG_VALUES(key, ret->route, ret->body_sha256), &rows);
	if (err || rows.count == 1)
		return err;
	ret->replayed = true;
	return replay(request, response, ret);
}

enum err idempotency_finish(struct request *request, const struct response *response, const struct idempotency *idempotency)
{
	if (!idempotency->key)
		return OK;
	return pg_query(&request->gate->pg, request->arena, STMT_IDEMPOTENCY_ANSWER,
	                PG_VALUES(idempotency->key, pg_number(request->arena, response->status), buf_text(&response->body)), NULL);
}
