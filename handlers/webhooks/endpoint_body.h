/*
 * What a client says of an endpoint: the body of POST and PATCH, checked. Limits: URL 2048 bytes, description 200 characters, 32
 * entries in the filter, 10 headers with names of 64 and values of 1024 bytes.
 */
#ifndef TIDEGATE_HANDLERS_WEBHOOKS_ENDPOINT_BODY_H
#define TIDEGATE_HANDLERS_WEBHOOKS_ENDPOINT_BODY_H

#include "fcgi/response.h"

struct endpoint_body {
	const char *url;          /* NULL: not given */
	const char *description;  /* NULL: not given; "" takes it away */
	const char *events;       /* literal of a text[]; NULL: not given */
	const char *headers;      /* JSON object of names and values; NULL: not given */
	const char *header_names; /* JSON array, given with headers */
	const char *format;       /* standard, discord or slack; NULL: not given */
	const char *language;     /* en or fr; NULL: not given; "" takes it away */
	bool has_enabled, enabled;
};

/* False after a refusal. needed: url and events must be there. Types of events are not known here (webhook_unknown_event). */
bool endpoint_body_read(struct request *request, struct response *response, bool needed, struct endpoint_body *ret);

/* May a custom header have this name? Those of the message itself and of the connection are ours. */
bool endpoint_header_allowed(struct str name);

#endif
