/*
 * Tokens and origins. Called by the dispatcher before a body is read.
 * Must never take a scope from anything but a verified token, nor log a token.
 */
#include "fcgi/guard.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"

#include <string.h>

static enum problem refuse_token(enum jwt_reason reason)
{
	metrics_add(METRIC_TOKENS_REFUSED, 1);
	log_write(LOG_LEVEL_INFO, "token_refused", LOG_TEXT("reason", jwt_reason_name(reason)));
	if (reason == JWT_EXPIRED)
		return PROBLEM_TOKEN_EXPIRED;
	return reason == JWT_KEYS_UNAVAILABLE ? PROBLEM_UNAVAILABLE : PROBLEM_UNAUTHORIZED;
}

enum problem guard_check(struct request *request, enum guard guard)
{
	if (guard == GUARD_OPEN)
		return PROBLEM_COUNT;
	const char *authorization = request_param(request, "HTTP_AUTHORIZATION");
	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return PROBLEM_UNAUTHORIZED;
	struct str token = str_trim(str_of(authorization + 7));
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
