/*
 * Many HTTP requests at once in one thread, under the rules of http.h: a peer that answers slowly holds up nobody else.
 *
 * Life cycle: http_many_init, any number of http_many_start and http_many_next, http_many_release (which drops what is still
 * under way). Connections are kept as long as the struct lives: all requests of one must be under the same guard.
 */
#ifndef TIDEGATE_CORE_NET_HTTP_MANY_H
#define TIDEGATE_CORE_NET_HTTP_MANY_H

#include "core/net/http.h"

enum { HTTP_MANY_MAX = 256 };

/* Why an exchange gave no answer. */
enum http_failure {
	HTTP_FAILURE_NONE,
	HTTP_FAILURE_REQUEST,    /* ours to put right: URL, header, memory */
	HTTP_FAILURE_ADDRESS,    /* the guard refused every address */
	HTTP_FAILURE_NAME,       /* the name does not resolve */
	HTTP_FAILURE_CONNECTION, /* refused, reset, closed without an answer */
	HTTP_FAILURE_TLS,        /* no agreement, or a certificate that does not verify */
	HTTP_FAILURE_TIMEOUT,
	HTTP_FAILURE_ANSWER,     /* not HTTP, or larger than allowed */
};

struct http_transfer;

struct http_many {
	void *multi; /* curl's */
	struct http_transfer *transfers;
	size_t max, active;
};

struct http_done {
	void *context; /* as given to http_many_start */
	enum err err;
	enum http_failure failure;
	const char *why; /* a sentence for the log, without the URL; NULL when there is an answer */
	struct http_response response;
	int64_t duration_us;
};

/* Room for max (at most HTTP_MANY_MAX) requests at once. ERR_TOO_LARGE when memory is out. */
enum err http_many_init(struct http_many *many, struct arena *arena, size_t max) MUST_USE;

/*
 * Starts one. request, what it points to and the arena (of this request alone) must stay until it comes back from
 * http_many_next, which it does whatever happens. ERR_LIMITED when max are under way.
 */
enum err http_many_start(struct http_many *many, struct arena *arena, const struct http_request *request, void *context) MUST_USE;

/* The next one that has ended, waiting for at most wait_ms. False: none has. */
bool http_many_next(struct http_many *many, int wait_ms, struct http_done *ret);

void http_many_release(struct http_many *many);

#endif
