/*
 * Publishes short messages on channels of nginx's nchan, over a unix socket: POST /publish?channel=…
 *
 * Fire and forget: nothing here waits. A message that cannot be handed over at once is lost, which its readers must be able to live with. One
 * connection is kept; answers are thrown away unread. One thread.
 */
#ifndef TIDEGATE_CORE_NET_PUBLISHER_H
#define TIDEGATE_CORE_NET_PUBLISHER_H

#include "core/base/err.h"

#include <stdbool.h>

struct publisher {
	const char *path; /* of the socket; empty: there is none, and nothing is published */
	int fd;           /* -1: not connected */
};

/* path must live as long. ERR_INVALID when it is too long for a socket (107 bytes). */
enum err publisher_init(struct publisher *publisher, const char *path) MUST_USE;

/* channel: letters and digits. ERR_UNAVAILABLE: nginx does not take it now; ERR_TOO_LARGE: more than 2 KiB; ERR_NOT_FOUND: there is no socket. */
enum err publisher_send(struct publisher *publisher, const char *channel, const char *message) MUST_USE;

void publisher_close(struct publisher *publisher);

#endif
