/*
 * Many HTTP exchanges at once, on libcurl's multi interface. Called by the sender of webhooks.
 * Must never wait for one peer while another could go on, nor let an exchange outlive its timeout. It does not retry and does
 * not log.
 */
#include "core/net/http_many.h"

#include "core/base/clock.h"
#include "core/net/exchange.h"

struct http_transfer {
	struct exchange exchange;
	CURL *curl; /* made once, used again */
	void *context;
	int64_t started_us;
	bool busy;
	bool stillborn; /* it could not be started: comes back at the next http_many_next */
	enum err err;
	const char *why;
};

enum err http_many_init(struct http_many *many, struct arena *arena, size_t max)
{
	*many = (struct http_many){.max = max < HTTP_MANY_MAX ? max : HTTP_MANY_MAX};
	many->transfers = arena_array(arena, many->max, sizeof *many->transfers);
	many->multi = many->transfers != NULL ? curl_multi_init() : NULL;
	if (many->multi == NULL)
		return ERR_TOO_LARGE;
	curl_multi_setopt(many->multi, CURLMOPT_MAXCONNECTS, (long)many->max);
	return OK;
}

static struct http_transfer *free_transfer(struct http_many *many)
{
	for (size_t i = 0; i < many->max; i++) {
		if (!many->transfers[i].busy)
			return &many->transfers[i];
	}
	return NULL;
}

enum err http_many_start(struct http_many *many, struct arena *arena, const struct http_request *request, void *context)
{
	struct http_transfer *transfer = free_transfer(many);

	if (transfer == NULL)
		return ERR_LIMITED;
	if (transfer->curl == NULL)
		transfer->curl = curl_easy_init();
	transfer->context = context;
	transfer->busy = true;
	transfer->why = NULL;
	transfer->started_us = clock_monotonic_us();
	many->active++;
	transfer->err = exchange_open(&transfer->exchange, transfer->curl, arena, request, &transfer->why);
	if (transfer->err == OK) {
		curl_easy_setopt(transfer->curl, CURLOPT_PRIVATE, transfer);
		if (curl_multi_add_handle(many->multi, transfer->curl) != CURLM_OK) {
			transfer->err = ERR_TOO_LARGE;
			transfer->why = "no memory for the request";
		}
	}
	transfer->stillborn = transfer->err != OK;
	return OK;
}

static enum http_failure failure_of(CURLcode code, enum err err)
{
	static const struct {
		CURLcode code;
		enum http_failure failure;
	} failures[] = {
		{CURLE_COULDNT_RESOLVE_HOST, HTTP_FAILURE_NAME},
		{CURLE_SSL_CONNECT_ERROR, HTTP_FAILURE_TLS},
		{CURLE_PEER_FAILED_VERIFICATION, HTTP_FAILURE_TLS},
		{CURLE_SSL_CACERT_BADFILE, HTTP_FAILURE_REQUEST},
		{CURLE_SSL_CERTPROBLEM, HTTP_FAILURE_TLS},
		{CURLE_UNSUPPORTED_PROTOCOL, HTTP_FAILURE_ANSWER},
		{CURLE_WEIRD_SERVER_REPLY, HTTP_FAILURE_ANSWER},
		{CURLE_BAD_CONTENT_ENCODING, HTTP_FAILURE_ANSWER},
		{CURLE_URL_MALFORMAT, HTTP_FAILURE_REQUEST},
		{CURLE_LOGIN_DENIED, HTTP_FAILURE_REQUEST},
		{CURLE_OUT_OF_MEMORY, HTTP_FAILURE_REQUEST},
	};

	if (err == OK)
		return HTTP_FAILURE_NONE;
	if (err == ERR_DENIED)
		return HTTP_FAILURE_ADDRESS;
	if (err == ERR_TIMEOUT)
		return HTTP_FAILURE_TIMEOUT;
	if (err == ERR_TOO_LARGE)
		return HTTP_FAILURE_ANSWER;
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
		if (failures[i].code == code)
			return failures[i].failure;
	}
	return HTTP_FAILURE_CONNECTION;
}

static void finish(struct http_many *many, struct http_transfer *transfer, struct http_done *ret)
{
	ret->context = transfer->context;
	ret->duration_us = clock_monotonic_us() - transfer->started_us;
	exchange_close(&transfer->exchange);
	transfer->busy = false;
	transfer->stillborn = false;
	many->active--;
}

static bool take_stillborn(struct http_many *many, struct http_done *ret)
{
	for (size_t i = 0; i < many->max; i++) {
		struct http_transfer *transfer = &many->transfers[i];
		if (!transfer->busy || !transfer->stillborn)
			continue;
		*ret = (struct http_done){.err = transfer->err, .failure = HTTP_FAILURE_REQUEST, .why = transfer->why};
		finish(many, transfer, ret);
		return true;
	}
	return false;
}

static bool take_ended(struct http_many *many, struct http_done *ret)
{
	int left = 0;
	CURLMsg *message = NULL;

	while ((message = curl_multi_info_read(many->multi, &left)) != NULL) {
		struct http_transfer *transfer = NULL;
		CURLcode code = message->data.result;
		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		*ret = (struct http_done){.err = OK};
		ret->err = exchange_result(&transfer->exchange, code, &ret->response, &ret->why);
		ret->failure = failure_of(code, ret->err);
		curl_multi_remove_handle(many->multi, transfer->curl);
		finish(many, transfer, ret);
		return true;
	}
	return false;
}

bool http_many_next(struct http_many *many, int wait_ms, struct http_done *ret)
{
	int64_t end_us = clock_monotonic_us() + (int64_t)wait_ms * 1000;
	int running = 0;

	while (many->active > 0) {
		if (take_stillborn(many, ret) || take_ended(many, ret))
			return true;
		curl_multi_perform(many->multi, &running);
		if (take_ended(many, ret))
			return true;
		int64_t left_ms = (end_us - clock_monotonic_us()) / 1000;
		if (left_ms <= 0)
			return false;
		curl_multi_poll(many->multi, NULL, 0, (int)left_ms, NULL);
	}
	return false;
}

void http_many_release(struct http_many *many)
{
	for (size_t i = 0; many->transfers != NULL && i < many->max; i++) {
		struct http_transfer *transfer = &many->transfers[i];
		if (transfer->busy && !transfer->stillborn)
			curl_multi_remove_handle(many->multi, transfer->curl);
		if (transfer->busy)
			exchange_close(&transfer->exchange);
		curl_easy_cleanup(transfer->curl);
	}
	if (many->multi != NULL)
		curl_multi_cleanup(many->multi);
	*many = (struct http_many){.multi = NULL};
}
