/*
 * The rules for URLs of strangers. Called when such a URL is given and again before it is used.
 * Must never resolve a name (the guard at connect time judges what it resolves to), nor read a URL with another parser than
 * the HTTP client does.
 */
#include "core/net/outgoing.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

enum { HOST_MAX = 254 }; /* of a name, with the dot at its end */

static bool parse_ports(struct str text, struct outgoing *ret)
{
	const char *dash = memchr(text.p, '-', text.n);
	size_t n = dash != NULL ? (size_t)(dash - text.p) : text.n;
	struct outgoing_ports ports = {0, 0};

	if (ret->port_count == OUTGOING_PORTS_MAX || parse_i64_n(text.p, n, 1, 65535, &ports.first))
		return false;
	ports.last = ports.first;
	if (dash != NULL && parse_i64_n(dash + 1, text.n - n - 1, ports.first, 65535, &ports.last))
		return false;
	ret->ports[ret->port_count++] = ports;
	return true;
}

enum err outgoing_init(struct arena *arena, const char *networks, const char *ports, const char *ca_file, struct outgoing *ret,
                       const char **ret_why)
{
	struct outgoing outgoing = {.ca_file = *ca_file ? ca_file : NULL};

	enum err err = address_list_parse(arena, networks, &outgoing.networks, ret_why);
	for (const char *p = ports; err == OK && *p;) {
		size_t n = strcspn(p, " ");
		if (n > 0 && !parse_ports((struct str){p, n}, &outgoing)) {
			*ret_why = arena_printf(arena, "\"%.*s\" is no port and no range of ports such as 9000-9010 (or there are more than %d).", (int)n, p,
			                        OUTGOING_PORTS_MAX);
			err = ERR_INVALID;
		}
		p += n + (p[n] == ' ');
	}
	if (err == OK)
		*ret = outgoing;
	return err;
}

struct parts {
	char *scheme, *user, *password, *host, *port, *zone, *fragment;
};

static void parts_release(struct parts *parts)
{
	char *const all[] = {parts->scheme, parts->user, parts->password, parts->host, parts->port, parts->zone, parts->fragment};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		curl_free(all[i]);
}

/* The parts as the client itself will see them: numbers of every kind have become dotted quads. */
static bool split(const char *url, struct parts *ret)
{
	CURLU *handle = curl_url();
	bool good = handle != NULL && curl_url_set(handle, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK;

	*ret = (struct parts){.scheme = NULL};
	good = good && curl_url_get(handle, CURLUPART_SCHEME, &ret->scheme, 0) == CURLUE_OK && curl_url_get(handle, CURLUPART_HOST, &ret->host, 0) == CURLUE_OK &&
	       curl_url_get(handle, CURLUPART_PORT, &ret->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
	if (good) {
		/* what is not there stays NULL */
		(void)curl_url_get(handle, CURLUPART_USER, &ret->user, 0);
		(void)curl_url_get(handle, CURLUPART_PASSWORD, &ret->password, 0);
		(void)curl_url_get(handle, CURLUPART_ZONEID, &ret->zone, 0);
		(void)curl_url_get(handle, CURLUPART_FRAGMENT, &ret->fragment, 0);
	}
	curl_url_cleanup(handle);
	return good;
}

union literal {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Is the host an address? A dot after an IPv4 address changes nothing. */
static bool read_literal(const char *host, union literal *ret)
{
	char text[INET6_ADDRSTRLEN + 2] = {0};
	size_t n = strlen(host);

	memset(ret, 0, sizeof *ret);
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	} else if (n > 1 && host[n - 1] == '.') {
		n--;
	}
	if (n >= sizeof text)
		return false;
	memcpy(text, host, n);
	if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) != 1)
		return false;
	ret->v6.sin6_family = AF_INET6;
	return true;
}

/* A host whose last label is a number is an address that somebody has written in an odd way, and never a name (WHATWG URL). */
static bool ends_in_number(const char *host)
{
	size_t n = strlen(host);

	if (n > 0 && host[n - 1] == '.')
		n--;
	size_t start = n;
	while (start > 0 && host[start - 1] != '.')
		start--;
	const char *label = host + start;
	size_t length = n - start;
	if (length > 1 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
		return strspn(label + 2, "0123456789abcdefABCDEF") >= length - 2;
	return length > 0 && strspn(label, "0123456789") >= length;
}

static bool may_reach(const struct outgoing *outgoing, const union literal *address)
{
	return address_is_public(&address->any) || address_list_holds(&outgoing->networks, &address->any);
}

/* localhost is what the client makes of it without asking anybody: 127.0.0.1 or ::1. */
static bool is_listed_loopback(const struct outgoing *outgoing, const char *host)
{
	union literal address;

	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	return read_literal(host, &address) && address_is_loopback(&address.any) && address_list_holds(&outgoing->networks, &address.any);
}

static bool port_is_open(const struct outgoing *outgoing, const char *text)
{
	int64_t port = 0;

	if (parse_i64(text, 1, 65535, &port))
		return false;
	for (size_t i = 0; i < outgoing->port_count; i++) {
		if (port >= outgoing->ports[i].first && port <= outgoing->ports[i].last)
			return true;
	}
	return port == 443;
}

static enum outgoing_reason judge(const struct outgoing *outgoing, const struct parts *parts)
{
	union literal address;
	bool https = strcmp(parts->scheme, "https") == 0;

	if (parts->user != NULL || parts->password != NULL)
		return OUTGOING_CREDENTIALS;
	if (parts->zone != NULL || parts->fragment != NULL || parts->host[0] == '\0' || parts->host[0] == '.' || strlen(parts->host) > HOST_MAX)
		return OUTGOING_MALFORMED;
	if (!https && (strcmp(parts->scheme, "http") != 0 || !is_listed_loopback(outgoing, parts->host)))
		return OUTGOING_SCHEME;
	if (!port_is_open(outgoing, parts->port))
		return OUTGOING_PORT;
	if (read_literal(parts->host, &address))
		return may_reach(outgoing, &address) ? OUTGOING_OK : OUTGOING_ADDRESS;
	return ends_in_number(parts->host) ? OUTGOING_ADDRESS : OUTGOING_OK;
}

enum outgoing_reason outgoing_check(const struct outgoing *outgoing, const char *url, char host[OUTGOING_HOST_SIZE])
{
	struct parts parts;
	size_t n = strlen(url);

	if (host != NULL)
		host[0] = '\0';
	const char *authority = strstr(url, "://");
	if (n > OUTGOING_URL_MAX || authority == NULL || authority[3] == '/') /* the client would put up with a third slash */
		return OUTGOING_MALFORMED;
	for (const char *c = url; *c; c++) {
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || strchr("\\\"<>^`{|}", *c) != NULL)
			return OUTGOING_MALFORMED;
	}
	enum outgoing_reason reason = split(url, &parts) ? judge(outgoing, &parts) : OUTGOING_MALFORMED;
	if (host != NULL && reason == OUTGOING_OK)
		snprintf(host, OUTGOING_HOST_SIZE, "%s:%s", parts.host, parts.port);
	parts_release(&parts);
	return reason;
}

void outgoing_guard(const struct outgoing *outgoing, struct http_request *request)
{
	request->deny_private = true;
	request->allowed = &outgoing->networks;
	request->allow_loopback_http = true;
	request->ca_file = outgoing->ca_file;
}
