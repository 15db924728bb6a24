/*
 * The one path every request takes. Called by the accept loop.
 * Must never run a handler whose guard has not passed, nor send a success before its transaction is committed.
 */
#include "fcgi/dispatch.h"

#include "core/base/log.h"
#include "core/jobs/jobs.h"
#include "fcgi/guard.h"
#include "fcgi/idempotency.h"

#include <string.h>

static void add_cors(struct request *request, struct response *response)
{
	const char *origin = request_param(request, "HTTP_ORIGIN");
	if (!*request->gate->config->cors_origins)
		return;
	respond_header(response, "Vary", "Origin");
	if (!origin || !guard_origin_allowed(request->gate->config, origin))
		return;
	respond_header(response, "Access-Control-Allow-Origin", origin);
	respond_header(response, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After, Location, Idempotency-Replayed");
}

static void answer_options(struct response *response, const char *allow)
{
	response->status = 204;
	respond_header(response, "Allow", allow);
	respond_header(response, "Access-Control-Allow-Methods", allow);
	respond_header(response, "Access-Control-Allow-Headers",
	               "Authorization, Content-Type, Idempotency-Key, Accept-Language, x-amz-checksum-sha256");
	respond_header(response, "Access-Control-Max-Age", "600");
}

static enum problem prepare_body(struct request *request, const struct route *route)
{
	const struct config *config = request->gate->config;
	unsigned json = route->flags & (ROUTE_JSON | ROUTE_JSON_OPTIONAL | ROUTE_SYNC);
	int64_t max = route->flags & ROUTE_SYNC ? config->sync_max_bytes : config->body_max;
	enum problem problem = request_read_body(request, json ? (size_t)max : 0);
	if (problem == PROBLEM_COUNT)
		problem = guard_check_body(request, route->guard);
	if (problem == PROBLEM_COUNT && json)
		problem = request_parse_json(request, route->flags & ROUTE_JSON_OPTIONAL, route->flags & ROUTE_SYNC);
	return problem;
}

static bool succeeded(const struct response *response)
{
	return !response->is_problem && response->status >= 200 && response->status < 300;
}

static enum err run_in_transaction(struct request *request, struct response *response, const struct route *route)
{
	struct pg *pg = &request->gate->pg;
	struct idempotency idempotency = {0};
	enum err err = pg_begin(pg, &request->scope);
	if (!err && (route->flags & ROUTE_CREATES))
		err = idempotency_begin(request, response, route, &idempotency);
	if (!err && !idempotency.replayed)
		err = route->run(request, response);
	if (!err && succeeded(response) && !idempotency.replayed)
		err = idempotency_finish(request, response, &idempotency);
	if (err || !succeeded(response)) {
		pg_rollback(pg);
		return err;
	}
	err = pg_commit(pg);
	if (!err && request->wake)
		jobs_wake(pg);
	return err;
}

static void run(struct request *request, struct response *response, const struct route *route)
{
	bool transaction = route->flags & (ROUTE_TRANSACTION | ROUTE_CREATES);
	enum err err = transaction ? run_in_transaction(request, response, route) : route->run(request, response);
	if (!err && request->arena->exhausted)
		err = ERR_TOO_LARGE;
	if (!err)
		return;
	log_write(err_log_level(err), "request_failed", LOG_TEXT("reason", err_name(err)), LOG_TEXT("route", route->pattern));
	refuse(response, problem_of(err));
}

void dispatch(struct request *request, struct response *response, const struct route_table *tables, size_t table_count,
              void (*allow_seconds)(struct gate *gate, unsigned seconds))
{
	const struct config *config = request->gate->config;
	const char *allow = NULL;
	enum err err = request_parse(request);
	log_set_context("request", request->id);
	if (err) {
		refuse(response, problem_of(err));
		return;
	}
	add_cors(request, response);
	const struct route *route = route_find(request, tables, table_count, &allow);
	if (!route && !allow) {
		refuse(response, PROBLEM_NOT_FOUND);
		return;
	}
	if (!route && request->method == METHOD_OPTIONS) {
		answer_options(response, allow);
		return;
	}
	if (!route) {
		respond_header(response, "Allow", allow);
		refuse(response, PROBLEM_METHOD_NOT_ALLOWED);
		return;
	}
	allow_seconds(request->gate, (unsigned)(route->flags & ROUTE_UPLOAD ? config->upload_timeout_s : config->request_timeout_s));
	request->browser = route->flags & ROUTE_BROWSER;
	enum problem problem = guard_check(request, route->guard);
	if (problem == PROBLEM_COUNT)
		problem = prepare_body(request, route);
	if (problem != PROBLEM_COUNT)
		refuse(response, problem);
	else
		run(request, response, route);
}
