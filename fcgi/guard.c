/*
 * Tokens, signed calls and origins. Called by the dispatcher before a body is read, for signed calls once more after it.
 * Must never take a scope from anything but a verified token, nor log a token.
 */
#include "fcgi/guard.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/crypto/base64.h"
#include "core/crypto/parser_signature.h"

#include <string.h>

static enum problem refuse_token(enum jwt_reason reason)
{
	metrics_add(METRIC_TOKENS_REFUSED, 1);
	log_write(LOG_LEVEL_INFO, "token_refused", LOG_TEXT("reason", jwt_reason_name(reason)));
	if (reason == JWT_EXPIRED)
		return PROBLEM_TOKEN_EXPIRED;
	return reason == JWT_KEYS_UNAVAILABLE ? PROBLEM_UNAVAILABLE : PROBLEM_UNAUTHORIZED;
}

/* The keys of a guard for parsers. */
static void parser_keys(const struct config *config, enum guard guard, const char **ret_current, const char **ret_next)
{
	*ret_current = guard == GUARD_PARSER_QUEUE ? config->parser_queue_key : config->parser_callback_key;
	*ret_next = guard == GUARD_PARSER_QUEUE ? config->parser_queue_next_key : config->parser_callback_next_key;
}

/* What can be said of a signed call before its body is read. */
static enum problem check_call(const struct request *request, enum guard guard)
{
	const char *current = NULL, *next = NULL;
	parser_keys(request->gate->config, guard, &current, &next);
	if (guard != GUARD_QUEUE) {
		if (!*current && !*next)
			return PROBLEM_CALLS_DISABLED;
		return request_param(request, "HTTP_X_IMPORT_SIGNATURE") ? PROBLEM_COUNT : PROBLEM_CALL_UNSIGNED;
	}
	if (!queue_keys_present(&request->gate->queue_keys))
		return PROBLEM_CALLS_DISABLED;
	return request_param(request, "HTTP_UPSTASH_SIGNATURE") ? PROBLEM_COUNT : PROBLEM_CALL_UNSIGNED;
}

/* Header shapes, clock, signature; the nonce is spent with the call's effect, in one transaction. The two addresses share no nonces. */
static enum problem check_parser_call(struct request *request, enum guard guard)
{
	const char *target = request_param(request, "REQUEST_URI"), *current = NULL, *next = NULL;
	struct parser_call call = {
	    .method = "POST",
	    .path = {target, strcspn(target, "?")},
	    .timestamp = request_param(request, "HTTP_X_IMPORT_TS"),
	    .nonce = request_param(request, "HTTP_X_IMPORT_NONCE"),
	    .signature = request_param(request, "HTTP_X_IMPORT_SIGNATURE"),
	    .body = request->body,
	};
	parser_keys(request->gate->config, guard, &current, &next);
	enum err err = parser_verify(current, next, &call, clock_unix());
	if (err) {
		metrics_add(METRIC_TOKENS_REFUSED, 1);
		log_write(LOG_LEVEL_INFO, "call_refused", LOG_TEXT("reason", err_name(err)));
		return err == ERR_TIMEOUT ? PROBLEM_CALL_EXPIRED : PROBLEM_CALL_UNSIGNED;
	}
	request->call.jti = arena_printf(request->arena, "parser:%d:%s", guard == GUARD_PARSER_QUEUE, call.nonce);
	request->call.exp = clock_unix() + PARSER_NONCE_KEEP_S;
	request->scope = (struct pg_scope){"", "", "parser"};
	return request->call.jti ? PROBLEM_COUNT : PROBLEM_TOO_LARGE;
}

/* The address that was signed is the public one, query and all: what the queue was told and what it called are the same. */
enum problem guard_check_body(struct request *request, enum guard guard)
{
	struct gate *gate = request->gate;
	if (guard == GUARD_PARSER_QUEUE || guard == GUARD_PARSER_CALLBACK)
		return check_parser_call(request, guard);
	if (guard != GUARD_QUEUE)
		return PROBLEM_COUNT;
	const char *url = arena_printf(request->arena, "%s%s", gate->config->public_url, request_param(request, "REQUEST_URI"));
	struct str token = str_trim(str_of(request_param(request, "HTTP_UPSTASH_SIGNATURE")));
	if (!url)
		return PROBLEM_TOO_LARGE;
	enum jwt_reason reason = queue_signature_verify(request->arena, &gate->queue_keys, token, url, request->body, clock_unix(),
	                                                gate->config->jwt_leeway_s, &request->call);
	if (reason == JWT_OK) {
		request->scope = (struct pg_scope){"", "", "queue"};
		return PROBLEM_COUNT;
	}
	metrics_add(METRIC_TOKENS_REFUSED, 1);
	log_write(LOG_LEVEL_INFO, "call_refused", LOG_TEXT("reason", jwt_reason_name(reason)));
	return reason == JWT_EXPIRED ? PROBLEM_CALL_EXPIRED : PROBLEM_CALL_UNSIGNED;
}

/* What stands behind the colon of Basic credentials. Empty: they are none. */
static struct str password_of(struct request *request, struct str base64)
{
	size_t room = BASE64_DECODED_MAX(base64.n), n = 0;
	char *text = arena_alloc(request->arena, room + 1);
	if (!text || base64_decode(base64.p, base64.n, text, room, &n))
		return (struct str){NULL, 0};
	text[n] = '\0';
	const char *colon = memchr(text, ':', n);
	return colon ? (struct str){colon + 1, n - (size_t)(colon + 1 - text)} : (struct str){NULL, 0};
}

/* The token as it came. Empty: none did. */
static struct str token_of(struct request *request)
{
	const char *authorization = request_param(request, "HTTP_AUTHORIZATION");
	if (authorization && strncasecmp(authorization, "Bearer ", 7) == 0)
		return str_trim(str_of(authorization + 7));
	if (authorization && request->browser && (request->method == METHOD_GET || request->method == METHOD_HEAD) && strncasecmp(authorization, "Basic ", 6) == 0)
		return password_of(request, str_trim(str_of(authorization + 6)));
	return (struct str){NULL, 0};
}

enum problem guard_check(struct request *request, enum guard guard)
{
	if (guard == GUARD_OPEN)
		return PROBLEM_COUNT;
	if (guard == GUARD_QUEUE || guard == GUARD_PARSER_QUEUE || guard == GUARD_PARSER_CALLBACK)
		return check_call(request, guard);
	struct str token = token_of(request);
	if (!token.n)
		return PROBLEM_UNAUTHORIZED;
	enum jwt_reason reason =
	    jwks_verify(&request->gate->jwks, request->arena, &request->gate->policy, token.p, token.n, clock_unix(), &request->claims);
	if (reason != JWT_OK)
		return refuse_token(reason);
	const char *role = request->claims.role;
	bool admin = text_equal(role, "admin"), member = text_equal(role, "member");
	if (guard == GUARD_ADMIN ? !admin : !admin && !member)
		return PROBLEM_FORBIDDEN;
	request->scope = (struct pg_scope){request->claims.sub, request->claims.space, role};
	return PROBLEM_COUNT;
}

bool guard_origin_allowed(const struct config *config, const char *origin)
{
	for (const char *p = config->cors_origins; *p;) {
		size_t n = strcspn(p, " ");
		if (n && str_equal_text((struct str){p, n}, origin))
			return true;
		p += n + (p[n] == ' ');
	}
	return false;
}
