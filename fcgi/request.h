/*
 * A request with everything parsed and checked before a handler sees it: method, decoded path, query, body, who asks.
 *
 * Invariants in a handler: the guard of its route has passed (claims are filled where the route asks for them), the body
 * was read to its declared length, `json` is an object for routes that take one, path parameters are decoded once.
 * Everything lives in the request's arena.
 */
#ifndef TIDEGATE_FCGI_REQUEST_H
#define TIDEGATE_FCGI_REQUEST_H

#include "core/base/arena.h"
#include "core/base/json_tree.h"
#include "core/base/text.h"
#include "core/crypto/queue_signature.h"
#include "core/pg/pg.h"
#include "fcgi/gate.h"
#include "fcgi/problem.h"

#include <fcgiapp.h>
#include <jansson.h>

enum method { METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE, METHOD_OPTIONS, METHOD_OTHER };

enum { REQUEST_SEGMENTS_MAX = 12, REQUEST_QUERY_MAX = 32 };

struct request_pair {
	struct str name, value;
};

struct request {
	struct gate *gate;
	struct arena *arena;
	FCGX_Request *fcgi;
	enum method method;
	enum language language;
	const char *id;                             /* from nginx, or made here: 32 hex digits */
	struct str segments[REQUEST_SEGMENTS_MAX];  /* decoded parts of the path, without the slashes */
	size_t segment_count;
	struct request_pair query[REQUEST_QUERY_MAX];
	size_t query_count;
	struct str body;
	json_t *json; /* NULL unless the route takes JSON */
	const struct json_node *tree; /* of a route that takes changes: the body, all of it; `json` is without its `changes` */
	struct str path_values[4]; /* what stands for {…} in the route's pattern, in order */
	size_t path_value_count;
	struct jwt_claims claims;
	struct pg_scope scope; /* of claims: for pg_call and pg_begin */
	struct queue_call call; /* of a signed call: GUARD_QUEUE */
	bool browser;          /* ROUTE_BROWSER: a person may sign in, with the token as the password */
	bool wake;             /* the handler queued a job: workers are notified after the commit */
};

/* Fills method, path, query, language and id. ERR_INVALID on a broken escape or a NUL, ERR_TOO_LARGE past the limits above. */
enum err request_parse(struct request *request) MUST_USE;

/* Reads exactly CONTENT_LENGTH bytes, at most max. PROBLEM_COUNT: fine; otherwise what to answer. */
enum problem request_read_body(struct request *request, size_t max) MUST_USE;

/* Parses the body as a JSON object. PROBLEM_COUNT: fine. An empty body is an empty object where optional.
   changes: the body may be large, and a text in it may hold what PostgreSQL cannot store; see `tree`. */
enum problem request_parse_json(struct request *request, bool optional, bool changes) MUST_USE;

/* A FastCGI parameter, e.g. "HTTP_ORIGIN"; NULL when absent or empty. Lives until the request ends. */
const char *request_param(const struct request *request, const char *name);

/* First query parameter of that name; p is NULL when absent. */
struct str request_query(const struct request *request, const char *name);

#endif
