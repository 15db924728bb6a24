/*
 * A few bytes to nginx, without waiting. Called by handlers after a commit.
 * Must never block, nor fail what it tells about.
 */
#include "core/net/publisher.h"

#include "core/base/buf.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MESSAGE_MAX = 2 << 10, DRAIN_MAX = 64 };

enum err publisher_init(struct publisher *publisher, const char *path)
{
	struct sockaddr_un address;
	*publisher = (struct publisher){"", -1};
	if (strlen(path) >= sizeof(address.sun_path))
		return ERR_INVALID;
	publisher->path = path;
	return OK;
}

void publisher_close(struct publisher *publisher)
{
	if (publisher->fd >= 0)
		close(publisher->fd);
	publisher->fd = -1;
}

/* A unix socket connects at once or not at all. */
static bool connected(struct publisher *publisher)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (publisher->fd >= 0)
		return true;
	publisher->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	memcpy(address.sun_path, publisher->path, strlen(publisher->path));
	if (publisher->fd < 0 || connect(publisher->fd, (struct sockaddr *)&address, sizeof(address)))
		publisher_close(publisher);
	return publisher->fd >= 0;
}

/* Throws away what was answered. Closes a connection that nginx has closed, and one whose answers never end. */
static void drain(struct publisher *publisher)
{
	char answers[4096];
	for (int i = 0; publisher->fd >= 0 && i < DRAIN_MAX; i++) {
		ssize_t n = recv(publisher->fd, answers, sizeof(answers), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			break;
	}
	publisher_close(publisher);
}

/* A request that went out in part leaves a connection that nobody can use any more. */
static bool wrote(struct publisher *publisher, const struct buf *request)
{
	ssize_t n = send(publisher->fd, buf_text(request), request->len, MSG_NOSIGNAL);
	if (n == (ssize_t)request->len)
		return true;
	publisher_close(publisher);
	return false;
}

enum err publisher_send(struct publisher *publisher, const char *channel, const char *message)
{
	struct buf request;
	if (!*publisher->path)
		return ERR_NOT_FOUND;
	buf_init(&request, MESSAGE_MAX + 256);
	buf_printf(&request, "POST /publish?channel=%s HTTP/1.1\r\nHost: events\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", channel,
	           strlen(message), message);
	enum err err = request.overflowed ? ERR_TOO_LARGE : OK;
	drain(publisher);
	/* nginx may close a kept connection between our look and our write: the second one is new. */
	if (!err && !(connected(publisher) && wrote(publisher, &request)) && !(connected(publisher) && wrote(publisher, &request)))
		err = ERR_UNAVAILABLE;
	buf_release(&request);
	return err;
}
