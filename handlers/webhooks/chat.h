/*
 * Events as messages of chat services: the bodies that Discord's and Slack's incoming webhooks take, with a sentence of events.def in English or French.
 *
 * What comes from elsewhere (names of files, databases, hosts) shows as it is and does nothing: markup is escaped, nobody is mentioned, no link is made,
 * control characters and those that turn the direction of writing are replaced. Lengths are counted in UTF-16 units and stay within what the services take; what
 * does not fit ends with an ellipsis, a list with the number of what is missing.
 *
 * Sources: Discord "Execute Webhook" and "Embed Limits"; Slack "Sending messages using incoming webhooks", "Formatting text for app surfaces", "Block Kit reference".
 */
#ifndef TIDEGATE_HANDLERS_WEBHOOKS_CHAT_H
#define TIDEGATE_HANDLERS_WEBHOOKS_CHAT_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/json.h"
#include "fcgi/problem.h"

enum webhook_format { WEBHOOK_STANDARD, WEBHOOK_DISCORD, WEBHOOK_SLACK };

/* By its name in the API; a name that is none is the standard. */
enum webhook_format webhook_format_of(const char *name);

struct chat_event {
	const char *id;   /* evt_… */
	const char *body; /* the event as JSON: type, timestamp, data */
	enum language language;
	const char *(*explain)(const char *type, const char *code, unsigned language); /* the sentence of a code; NULL: codes are shown */
};

/* The body of the message. ERR_INVALID: the event is no JSON; ERR_TOO_LARGE: the arena or out is full. */
enum err chat_body(struct arena *arena, enum webhook_format format, const struct chat_event *event, struct buf *out) MUST_USE;

#endif
