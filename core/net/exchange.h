/*
 * One HTTP exchange on a curl handle: what http.c (one at a time) and http_many.c (many at once) have in common. For core/net
 * alone; the rules stand in http.h.
 *
 * Life cycle: exchange_open on a fresh or reset handle, the transfer, exchange_result, exchange_close.
 */
#ifndef TIDEGATE_CORE_NET_EXCHANGE_H
#define TIDEGATE_CORE_NET_EXCHANGE_H

#include "core/base/buf.h"
#include "core/net/http.h"

#include <curl/curl.h>

struct exchange {
	const struct http_request *request;
	struct arena *arena;
	CURL *curl;
	struct curl_slist *list; /* the request's headers as curl has them */
	struct buf body;
	struct http_header *headers;
	size_t header_count;
	size_t header_bytes;
	size_t received;  /* body bytes so far */
	bool begun;       /* the sink has been told what comes */
	int64_t sent;     /* bytes of body_fd so far */
	bool plain;       /* http, not https */
	bool cut;         /* enough of the body is there: the rest is not wanted */
	enum err refusal; /* why one of our callbacks stopped the transfer */
	const char *why;
};

/* Checks the request and sets the handle up. The exchange must stay where it is until it is closed. Results as http_request. */
enum err exchange_open(struct exchange *exchange, CURL *curl, struct arena *arena, const struct http_request *request, const char **ret_why) MUST_USE;

/* What came of the transfer. The response is in the arena. */
enum err exchange_result(struct exchange *exchange, CURLcode code, struct http_response *ret, const char **ret_why) MUST_USE;

/* Resets the handle, which must not point into what ends here, and gives back the rest. */
void exchange_close(struct exchange *exchange);

#endif
