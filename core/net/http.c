/*
 * The HTTP client, one request at a time, on libcurl's easy interface.
 *
 * Called for key sets and object stores. It does not retry and does not log: the caller knows whether trying again is safe.
 */
#include "core/net/http.h"

#include "core/net/exchange.h"

#include <unistd.h>

/* Two handles, because a kept connection is not guarded again. A forked child must not use its parent's connections. */
struct kept {
	CURL *handles[2];
	pid_t owner;
};

static struct kept kept;

static CURL *take_handle(bool guarded)
{
	if (kept.owner != getpid())
		kept = (struct kept){.owner = getpid()};
	CURL **handle = &kept.handles[guarded];
	if (*handle == NULL)
		*handle = curl_easy_init();
	else
		curl_easy_reset(*handle);
	return *handle;
}

enum err http_request(struct arena *arena, const struct http_request *request, struct http_response *ret, const char **ret_why)
{
	struct exchange exchange;
	const char *why = NULL;

	enum err err = exchange_open(&exchange, take_handle(request->deny_private), arena, request, &why);
	if (err == OK)
		err = exchange_result(&exchange, curl_easy_perform(exchange.curl), ret, &why);
	exchange_close(&exchange);
	if (err != OK && ret_why != NULL)
		*ret_why = why;
	return err;
}

enum err http_get(struct arena *arena, const char *url, size_t response_max, struct http_response *ret, const char **ret_why)
{
	const struct http_request request = {.url = url, .response_max = response_max};

	return http_request(arena, &request, ret, ret_why);
}

const char *http_header_of(const struct http_header *headers, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (text_equal(headers[i].name, name))
			return headers[i].value;
	}
	return NULL;
}

const char *http_header(const struct http_response *response, const char *name)
{
	return http_header_of(response->headers, response->header_count, name);
}

void http_close_all(void)
{
	for (size_t i = 0; i < 2 && kept.owner == getpid(); i++)
		curl_easy_cleanup(kept.handles[i]);
	kept = (struct kept){0};
}
