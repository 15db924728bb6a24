/*
 * Hints: short messages that say that something has changed, and no more, to whoever listens in a scope. Who listens where is decided by the ticket
 * that a stream was opened with (handlers/sync/events.c); what happens to a message, by core/net/publisher.h: it may get lost.
 *
 * Scopes are texts: "APP:sub:NAME" and "APP:space:NAME" of synced apps, "/jobs/N/SPACE/SUB" of a user's jobs (N: bytes of SPACE).
 * The SQL functions tidegate.hint and tidegate.hint_job speak of the same.
 */
#ifndef TIDEGATE_CORE_NET_HINTS_H
#define TIDEGATE_CORE_NET_HINTS_H

#include "core/base/arena.h"
#include "core/base/config.h"
#include "core/crypto/digest.h"
#include "core/net/publisher.h"

/* Who publishes, as the context of hints_tell. Both pointers must live as long. */
struct hints {
	const struct config *config;
	struct publisher *publisher;
};

/* The channel of a scope: a name that says nothing of it, the same in all processes and on all hosts. */
void hints_channel(const struct config *config, const char *scope, char out[SHA256_HEX_SIZE]);

/* Scope of a user's jobs, in the arena; NULL without memory. */
const char *hints_job_scope(struct arena *arena, const char *space, const char *sub);

/* Publishes, counts, and logs what was lost. Does nothing where there is no publisher. */
void hints_publish(const struct hints *hints, const char *scope, const char *hint);

/* For pg_listen: text is a hint, a line feed and its scope, as tidegate.hint raises it. context: a struct hints. */
void hints_tell(void *context, const char *text);

#endif
