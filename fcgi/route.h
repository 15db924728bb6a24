/*
 * Routes: one table per capability, handed down by `serve`. A pattern is a path whose segments are literal or {name};
 * a feature is found by its URL.
 */
#ifndef TIDEGATE_FCGI_ROUTE_H
#define TIDEGATE_FCGI_ROUTE_H

#include "fcgi/request.h"
#include "fcgi/response.h"

/* Fills the response, or returns a result that becomes a problem. */
/* A function type, so that tables stay readable. */
typedef enum err handler(struct request *request, struct response *response);

enum guard {
	GUARD_OPEN,   /* anybody; internal locations of nginx and open pages */
	GUARD_MEMBER, /* any verified token with a role of ours */
	GUARD_ADMIN,
	GUARD_PARSER_QUEUE,    /* parsers that run elsewhere, by the signature over address, time, nonce and body; likewise: */
	GUARD_PARSER_CALLBACK,
	GUARD_QUEUE, /* an external queue, by the signature over address and body; the handler takes the scope from what the call is about */
};

enum route_flag {
	ROUTE_JSON = 1 << 0,          /* takes a JSON object */
	ROUTE_JSON_OPTIONAL = 1 << 1, /* takes one, and an empty body counts as {} */
	ROUTE_TRANSACTION = 1 << 2,   /* runs inside a transaction under the scope; commits when the answer is 2xx */
	ROUTE_CREATES = 1 << 3,       /* takes an idempotency key (implies a transaction) */
	ROUTE_UPLOAD = 1 << 4,        /* may take upload_timeout_s instead of request_timeout_s */
	ROUTE_SYNC = 1 << 5,          /* takes JSON of up to sync.max_bytes with a list of changes, as a tree (json_tree.h) */
	ROUTE_BROWSER = 1 << 6,       /* also for people in a browser: the token may come as the password of Basic authentication. For GET alone: browsers send it by themselves */
};

struct route {
	enum method method;
	const char *pattern;
	enum guard guard;
	unsigned flags;
	handler *run;
};

struct route_table {
	const struct route *routes;
	size_t count;
};

#define ROUTE_TABLE(array) ((struct route_table){(array), sizeof(array) / sizeof((array)[0])})

/*
 * Finds the route of a request and fills request->path_values. NULL with *ret_allow NULL: no such path; with *ret_allow
 * set (a list for the Allow header, in the arena): the path exists under other methods. HEAD finds GET.
 */
const struct route *route_find(struct request *request, const struct route_table *tables, size_t table_count, const char **ret_allow);

#endif
