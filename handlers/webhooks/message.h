/* One event on its way to one endpoint: the request that is sent, and the answer as text for the log of deliveries. */
#ifndef TIDEGATE_HANDLERS_WEBHOOKS_MESSAGE_H
#define TIDEGATE_HANDLERS_WEBHOOKS_MESSAGE_H

#include "core/net/http.h"
#include "core/net/outgoing.h"
#include "handlers/webhooks/chat.h"

enum { WEBHOOK_RESPONSE_MAX = 2048 }; /* bytes of an answer that are kept */

struct webhook_message {
	const char *id, *body, *url;
	const char *headers;         /* JSON object: names and values of the endpoint's own */
	const char *secret;
	const char *previous_secret; /* NULL: there is none any more */
	enum webhook_format format;
	enum language language;      /* this and the next: of a message for a chat */
	const char *(*explain)(const char *type, const char *code, unsigned language);
};

/*
 * Fills the request: guarded, in the arena, which should be a wiping one. In the standard format it is signed at that time (Unix seconds); for a chat it
 * is a message, and nothing signs it. Our headers win over those of the endpoint. ERR_INVALID when a secret, the headers or the event cannot be read, ERR_TOO_LARGE.
 */
enum err webhook_request(struct arena *arena, const struct webhook_message *message, const struct outgoing *outgoing, int64_t timeout_s, int64_t now,
                         struct http_request *ret) MUST_USE;

/* The bytes as UTF-8 text: what is no text becomes U+FFFD. NULL when there is none, or no memory. */
const char *webhook_response_text(struct arena *arena, struct str bytes);

#endif
