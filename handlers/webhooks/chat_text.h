/*
 * Text of a limited length for a chat service, in which whatever comes from elsewhere has lost its power. Private to chat.c.
 */
#ifndef TIDEGATE_HANDLERS_WEBHOOKS_CHAT_TEXT_H
#define TIDEGATE_HANDLERS_WEBHOOKS_CHAT_TEXT_H

#include "handlers/webhooks/chat.h"

struct chat_text {
	struct buf *out;
	enum webhook_format format;
	size_t length, max; /* UTF-16 units as they are sent, escapes included */
	bool cut;           /* something did not fit; it ends with an ellipsis, and nothing is added any more */
};

/* Empties out. max is at least 2. */
void chat_text_start(struct chat_text *text, struct buf *out, enum webhook_format format, size_t max);

/* Text of ours, without markup, or of strangers: at most max_units of it as they were written. */
void chat_text_put(struct chat_text *text, const char *utf8, size_t max_units);

/* A line break of ours. */
void chat_text_break(struct chat_text *text);

#endif
