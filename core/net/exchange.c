/*
 * One HTTP exchange, on libcurl. Called by http.c and http_many.c.
 * Must never follow a redirect, use a proxy from the environment, connect to an address before the guard saw it, or grow with
 * what the peer sends. libcurl's own request signing is not used (see sigv4.h).
 */
#include "core/net/exchange.h"

#include "core/net/address.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOW_BYTES_PER_SECOND 1024L
#define TRANSFER_BUFFER (256L << 10)
#define READS_BETWEEN_LOOKS 100 /* buffers curl takes from a socket that is never empty before it looks at the speed: a second's worth */

static size_t refuse(struct exchange *exchange, enum err err, const char *why)
{
	exchange->refusal = err;
	exchange->why = why;
	return 0;
}

static curl_socket_t open_guarded(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct exchange *exchange = context;
	(void)purpose;
	const struct http_request *request = exchange->request;
	bool reachable = !request->deny_private || address_is_public(&address->addr) ||
	                 (request->allowed != NULL && address_list_holds(request->allowed, &address->addr));
	if (!reachable || (exchange->plain && !address_is_loopback(&address->addr))) {
		refuse(exchange, ERR_DENIED, "the address may not be reached from here");
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t receive_body(char *bytes, size_t size, size_t count, void *context)
{
	struct exchange *exchange = context;
	size_t n = size * count;
	long status = 0;

	if (n > exchange->request->response_max - exchange->received) {
		exchange->cut = exchange->request->cut_response;
		if (exchange->cut)
			buf_append(&exchange->body, bytes, exchange->request->response_max - exchange->received);
		return exchange->cut ? 0 : refuse(exchange, ERR_TOO_LARGE, "the response is larger than allowed");
	}
	exchange->received += n;
	curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
	if (exchange->request->sink != NULL && status >= 200 && status <= 299) {
		enum err err = OK;
		if (!exchange->begun && exchange->request->begin != NULL)
			err = exchange->request->begin(exchange->request->sink_context, (int)status, exchange->headers, exchange->header_count);
		exchange->begun = true;
		if (err == OK)
			err = exchange->request->sink(exchange->request->sink_context, bytes, n);
		return err == OK ? n : refuse(exchange, err, "the receiver of the response stopped it");
	}
	return buf_append(&exchange->body, bytes, n) == OK ? n : refuse(exchange, ERR_TOO_LARGE, "no memory for the response");
}

static size_t receive_header(char *bytes, size_t size, size_t count, void *context)
{
	struct exchange *exchange = context;
	size_t n = size * count;
	const char *colon = memchr(bytes, ':', n);

	if (n >= 5 && memcmp(bytes, "HTTP/", 5) == 0) { /* the headers of a 1xx do not count */
		exchange->header_count = 0;
		return n;
	}
	exchange->header_bytes += n;
	if (exchange->header_bytes > HTTP_HEADER_BYTES_MAX)
		return refuse(exchange, ERR_TOO_LARGE, "the response has too many headers");
	if (colon == NULL)
		return n;
	if (exchange->header_count == HTTP_HEADERS_MAX)
		return refuse(exchange, ERR_TOO_LARGE, "the response has too many headers");
	struct str value = str_trim((struct str){colon + 1, n - (size_t)(colon + 1 - bytes)});
	char *name = arena_copy(exchange->arena, bytes, (size_t)(colon - bytes));
	char *copy = arena_copy(exchange->arena, value.p, value.n);
	if (name == NULL || copy == NULL)
		return refuse(exchange, ERR_TOO_LARGE, "no memory for the response");
	for (char *c = name; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	exchange->headers[exchange->header_count++] = (struct http_header){name, copy};
	return n;
}

static size_t send_file(char *out, size_t size, size_t count, void *context)
{
	struct exchange *exchange = context;
	int64_t left = exchange->request->body_size - exchange->sent;
	size_t room = size * count;
	ssize_t n = 0;

	if ((int64_t)room > left)
		room = (size_t)left;
	do {
		n = pread(exchange->request->body_fd, out, room, exchange->request->body_offset + exchange->sent);
	} while (n < 0 && errno == EINTR);
	if (n < 0 || (n == 0 && room > 0)) {
		refuse(exchange, ERR_IO, "the file to send could not be read to its end");
		return CURL_READFUNC_ABORT;
	}
	exchange->sent += n;
	return (size_t)n;
}

static int seek_file(void *context, curl_off_t offset, int origin)
{
	struct exchange *exchange = context;

	if (origin != SEEK_SET || offset < 0 || offset > exchange->request->body_size)
		return CURL_SEEKFUNC_FAIL;
	exchange->sent = offset;
	return CURL_SEEKFUNC_OK;
}

static bool method_is_valid(const char *method)
{
	size_t n = strlen(method);

	for (size_t i = 0; i < n; i++) {
		if (method[i] < 'A' || method[i] > 'Z')
			return false;
	}
	return n > 0 && n <= 16;
}

static bool header_is_valid(const char *header)
{
	const char *colon = strchr(header, ':');

	for (const char *c = header; *c != '\0'; c++) {
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f || (*c == ' ' && colon != NULL && c < colon))
			return false;
	}
	return colon != NULL && colon != header;
}

static enum err add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = line != NULL ? curl_slist_append(*list, line) : NULL;

	if (longer == NULL)
		return ERR_TOO_LARGE;
	*list = longer;
	return OK;
}

/* The request's headers as curl has them: "Name:" removes one that curl would add, "Name;" is one without a value. */
static enum err collect_headers(const struct http_request *request, struct arena *arena, struct curl_slist **list)
{
	enum err err = add_line(list, "Expect:");
	bool typed = false;

	for (const char *const *h = request->headers; err == OK && h != NULL && *h != NULL; h++) {
		if (!header_is_valid(*h))
			return ERR_INVALID;
		const char *colon = strchr(*h, ':');
		struct str name = {*h, (size_t)(colon - *h)};
		bool empty = str_trim(str_of(colon + 1)).n == 0;
		typed = typed || str_equal_ignore_case(name, "content-type");
		err = add_line(list, empty ? arena_printf(arena, "%.*s;", (int)name.n, name.p) : *h);
	}
	if (err == OK && !typed)
		err = add_line(list, "Content-Type:");
	return err;
}

static void set_limits(CURL *curl, const struct http_request *request, struct exchange *exchange)
{
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, exchange->plain ? "http" : "https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* nobody waits for a resolver that hangs */
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(request->timeout_ms > 0 ? request->timeout_ms : HTTP_TIMEOUT_MS));
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_guarded);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, exchange);
	if (!request->cut_response) { /* many of those are under way at once, and small */
		curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, TRANSFER_BUFFER);
		curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, TRANSFER_BUFFER);
	}
	if (request->max_bytes_s > 0) {
		long buffer = request->max_bytes_s / READS_BETWEEN_LOOKS < TRANSFER_BUFFER ? (long)(request->max_bytes_s / READS_BETWEEN_LOOKS) : TRANSFER_BUFFER;
		curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, buffer > 1024 ? buffer : 1024);
		curl_easy_setopt(curl, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)request->max_bytes_s);
		curl_easy_setopt(curl, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)request->max_bytes_s);
	}
	if (request->stall_timeout_s > 0) {
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES_PER_SECOND);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)request->stall_timeout_s);
	}
	if (request->ca_file != NULL) {
		curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca_file);
		curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	}
}

static void set_message(CURL *curl, const struct http_request *request, struct exchange *exchange, struct curl_slist *headers)
{
	const char *method = request->method != NULL ? request->method : "GET";

	curl_easy_setopt(curl, CURLOPT_URL, request->url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	if (request->send_file) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body_size);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, send_file);
		curl_easy_setopt(curl, CURLOPT_READDATA, exchange);
		curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, seek_file);
		curl_easy_setopt(curl, CURLOPT_SEEKDATA, exchange);
	} else if (request->body.p != NULL) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.n);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.p);
	}
	if (strcmp(method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, receive_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
}

static enum err result_of(CURLcode code, const struct exchange *exchange, const char **why)
{
	if (code == CURLE_OK || exchange->cut)
		return OK; /* even if the guard refused one of several addresses */
	if (exchange->refusal != OK) {
		*why = exchange->why;
		return exchange->refusal;
	}
	*why = curl_easy_strerror(code);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return ERR_TIMEOUT;
	if (code == CURLE_URL_MALFORMAT || code == CURLE_LOGIN_DENIED)
		return ERR_INVALID;
	return ERR_UNAVAILABLE;
}

static bool begins_with(const char *url, const char *scheme)
{
	return url != NULL && strncasecmp(url, scheme, strlen(scheme)) == 0;
}

static enum err check(const struct http_request *request, bool *ret_plain, const char **why)
{
	bool plain = request->allow_loopback_http && begins_with(request->url, "http://");

	*why = "the URL must begin with https://";
	if (!plain && !begins_with(request->url, "https://"))
		return ERR_INVALID;
	*why = "the method is not one";
	if (request->method != NULL && !method_is_valid(request->method))
		return ERR_INVALID;
	*why = NULL;
	*ret_plain = plain;
	return OK;
}

enum err exchange_open(struct exchange *exchange, CURL *curl, struct arena *arena, const struct http_request *request, const char **ret_why)
{
	*exchange = (struct exchange){.request = request, .arena = arena, .curl = curl};
	buf_init(&exchange->body, request->response_max);
	enum err err = check(request, &exchange->plain, ret_why);
	if (err != OK)
		return err;
	exchange->headers = arena_array(arena, HTTP_HEADERS_MAX, sizeof *exchange->headers);
	err = exchange->headers == NULL || curl == NULL ? ERR_TOO_LARGE : collect_headers(request, arena, &exchange->list);
	*ret_why = err == ERR_INVALID ? "a header is malformed" : "no memory for the request";
	if (err != OK)
		return err;
	set_limits(curl, request, exchange);
	set_message(curl, request, exchange, exchange->list);
	return OK;
}

enum err exchange_result(struct exchange *exchange, CURLcode code, struct http_response *ret, const char **ret_why)
{
	long status = 0;

	enum err err = result_of(code, exchange, ret_why);
	if (err != OK)
		return err;
	char *body = arena_copy(exchange->arena, buf_text(&exchange->body), exchange->body.len);
	if (body == NULL) {
		*ret_why = "no memory for the response";
		return ERR_TOO_LARGE;
	}
	curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
	ret->status = (int)status;
	ret->body = (struct str){body, exchange->body.len};
	ret->headers = exchange->headers;
	ret->header_count = exchange->header_count;
	return OK;
}

void exchange_close(struct exchange *exchange)
{
	if (exchange->curl != NULL)
		curl_easy_reset(exchange->curl);
	curl_slist_free_all(exchange->list);
	buf_release(&exchange->body);
}
