/*
 * Outgoing HTTP: one request at a time, with a limit on everything.
 *
 * Always: https (or http to a loopback address when asked for), no redirects, no proxy, no credentials in the URL,
 * certificates verified, TLS 1.2 or newer, 5 s to connect, a total timeout, a cap on the response. Connections are kept
 * for the next request to the same host; those made under deny_private are never mixed with others. One thread. Many requests
 * at once: http_many.h.
 */
#ifndef TIDEGATE_CORE_NET_HTTP_H
#define TIDEGATE_CORE_NET_HTTP_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_CONNECT_TIMEOUT_MS 5000
#define HTTP_TIMEOUT_MS 15000
#define HTTP_HEADERS_MAX 64
#define HTTP_HEADER_BYTES_MAX ((size_t)32 << 10)

struct address_list;

/* Receives a piece of the response body of a 2xx answer. Anything but OK stops the request and becomes its result. */
typedef enum err http_sink(void *context, const char *bytes, size_t n);

struct http_header {
	const char *name; /* lower case */
	const char *value;
};

/*
 * Called once before the first byte of a 2xx body goes to a sink: status and headers, so that the sink knows what it gets.
 * Anything but OK stops the request and becomes its result.
 */
typedef enum err http_begin(void *context, int status, const struct http_header *headers, size_t header_count);

struct http_request {
	const char *method; /* capital letters; NULL is GET */
	const char *url;
	const char *const *headers; /* "Name: value" each, NULL at the end; may be NULL. CR, LF and other controls are refused */
	struct str body;            /* sent when p is not NULL */
	bool send_file;             /* send body_size bytes of body_fd, from body_offset on, instead of body */
	int body_fd;
	int64_t body_offset;
	int64_t body_size;
	size_t response_max;   /* bytes of body; more is ERR_TOO_LARGE */
	http_begin *begin;     /* may be NULL */
	http_sink *sink;       /* where a 2xx body goes piece by piece; NULL collects it in the arena. Other bodies are always collected */
	void *sink_context;
	int64_t timeout_ms;    /* for the whole exchange; 0 is HTTP_TIMEOUT_MS */
	int64_t max_bytes_s;     /* cap on the bandwidth of bodies, each way; 0 is none */
	int64_t stall_timeout_s; /* ends a transfer that moved under 1 KiB/s for so long; 0 is never */
	const char *ca_file;   /* PEM file instead of the system's certificates; NULL for those */
	bool cut_response;     /* more than response_max is cut off, not an error: the rest is not received */
	bool deny_private;     /* the URL came from somebody else: connect only to address_is_public() (the port is the caller's to check) */
	const struct address_list *allowed; /* with deny_private: networks that may be reached all the same; may be NULL, and is one list per process */
	bool allow_loopback_http; /* allow http://, and then only to a loopback address */
};

struct http_response {
	int status;
	struct str body; /* NUL-terminated; empty after a sink */
	const struct http_header *headers;
	size_t header_count;
};

/*
 * Sends the request, follows nothing, judges no status: a 500 is OK with status 500. The response belongs to the arena.
 * ERR_INVALID: the URL, method or a header is not acceptable; ERR_DENIED: the address is; ERR_TIMEOUT; ERR_TOO_LARGE: the
 * response, its headers, or the arena; ERR_IO: body_fd could not be read; ERR_UNAVAILABLE: everything between us and the
 * peer. *ret_why (may be NULL) is then a sentence for the log, without the URL.
 */
enum err http_request(struct arena *arena, const struct http_request *request, struct http_response *ret, const char **ret_why) MUST_USE;

/* Value of the first header of that (lower-case) name, or NULL. */
const char *http_header_of(const struct http_header *headers, size_t count, const char *name);

/* GET with these limits and the defaults above. */
enum err http_get(struct arena *arena, const char *url, size_t response_max, struct http_response *ret, const char **ret_why) MUST_USE;

/* The same of a response. */
const char *http_header(const struct http_response *response, const char *name);

/* Closes kept connections: before a process ends, and in tests. */
void http_close_all(void);

#endif
