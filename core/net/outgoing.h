/*
 * Where a request to a URL given by somebody else may go, as the operator has it: https to public addresses on port 443, and
 * beyond that listed networks and ports. The URL is judged twice: outgoing_check looks at its text when it is given, and the
 * guard of the HTTP client at the address it resolves to, every time it is used.
 */
#ifndef TIDEGATE_CORE_NET_OUTGOING_H
#define TIDEGATE_CORE_NET_OUTGOING_H

#include "core/net/address.h"
#include "core/net/http.h"

enum { OUTGOING_URL_MAX = 2048, OUTGOING_PORTS_MAX = 16, OUTGOING_HOST_SIZE = 300 };

struct outgoing_ports {
	int64_t first, last;
};

struct outgoing {
	struct address_list networks;
	struct outgoing_ports ports[OUTGOING_PORTS_MAX];
	size_t port_count;
	const char *ca_file; /* NULL: the certificates of the system */
};

enum outgoing_reason {
	OUTGOING_OK,
	OUTGOING_MALFORMED,   /* no URL, too long, or with characters that a URL does not have */
	OUTGOING_SCHEME,      /* neither https, nor http to a loopback address that is listed */
	OUTGOING_CREDENTIALS, /* a user or a password in it */
	OUTGOING_PORT,
	OUTGOING_ADDRESS, /* an address that may not be reached, however it is written; names are judged when they are used */
};

/*
 * Reads the lists: networks as address_list_parse, ports as "8443 9000-9010", a certificate file or "". ERR_INVALID with a
 * sentence in *ret_why.
 */
enum err outgoing_init(struct arena *arena, const char *networks, const char *ports, const char *ca_file, struct outgoing *ret,
                       const char **ret_why) MUST_USE;

/* May this URL be used? host, which may be NULL, gets its host and port for the log: never more of a URL. */
enum outgoing_reason outgoing_check(const struct outgoing *outgoing, const char *url, char host[OUTGOING_HOST_SIZE]);

/* Puts the guard on a request. */
void outgoing_guard(const struct outgoing *outgoing, struct http_request *request);

#endif
