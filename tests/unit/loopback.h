/*
 * A tiny, rude HTTP server for tests of clients: a forked child on 127.0.0.1 that answers one connection after the other as
 * told through shared memory. It can answer, stall, dribble, flood, redirect and hang up.
 */
#ifndef TIDEGATE_TESTS_LOOPBACK_H
#define TIDEGATE_TESTS_LOOPBACK_H

#include "core/base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum loopback_mode {
	LOOPBACK_BODY,     /* status and body */
	LOOPBACK_ECHO,     /* the request as received, as the body */
	LOOPBACK_STALL,    /* nothing, until the client goes away */
	LOOPBACK_DRIBBLE,  /* a byte of the body now and then */
	LOOPBACK_FLOOD,    /* a body without end */
	LOOPBACK_HEADERS,  /* headers without end */
	LOOPBACK_REDIRECT, /* 302 to /elsewhere */
	LOOPBACK_HANG_UP,
	LOOPBACK_GARBAGE
};

struct loopback_shared {
	volatile int mode;
	volatile int status;
	volatile int requests; /* served so far */
	volatile size_t length;
	char body[65536];
	char path[256]; /* of the last request */
};

struct loopback {
	struct loopback_shared *shared;
	pid_t child;
	unsigned port;
};

static bool loopback_send(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		bytes += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* Reads headers and, as far as Content-Length promises one, a body. */
static size_t loopback_receive(int fd, char *request, size_t room)
{
	size_t n = 0, expected = room;

	while (n < expected) {
		ssize_t got = recv(fd, request + n, room - 1 - n, 0);
		if (got <= 0)
			break;
		n += (size_t)got;
		request[n] = '\0';
		const char *end = strstr(request, "\r\n\r\n");
		const char *length = strcasestr(request, "\r\ncontent-length:");
		if (end != NULL) {
			int64_t body = 0;
			const char *digits = length != NULL && length < end ? length + 17 + strspn(length + 17, " ") : "0";
			if (parse_i64_n(digits, strcspn(digits, "\r"), 0, INT32_MAX, &body))
				break;
			expected = (size_t)(end + 4 - request) + (size_t)body;
		}
		if (n >= room - 1)
			break;
	}
	return n;
}

static void loopback_answer(int fd, struct loopback_shared *shared, const char *request, size_t n)
{
	char head[256] = {0}, filler[4096];
	const char *body = shared->mode == LOOPBACK_ECHO ? request : shared->body;
	size_t length = shared->mode == LOOPBACK_ECHO ? n : shared->length;
	int size = snprintf(head, sizeof head,
	                    "HTTP/1.1 %d Status\r\nConnection: close\r\nX-Test:  a value \r\nRetry-After: 7\r\n%s\r\n", shared->status,
	                    shared->mode == LOOPBACK_REDIRECT ? "Location: /elsewhere\r\n" : "");

	memset(filler, 'x', sizeof filler);
	if (shared->mode == LOOPBACK_STALL) {
		recv(fd, filler, sizeof filler, 0);
	} else if (shared->mode == LOOPBACK_GARBAGE) {
		loopback_send(fd, "nothing like HTTP\r\n\r\n", 21);
	} else if (shared->mode == LOOPBACK_HEADERS) {
		loopback_send(fd, "HTTP/1.1 200 OK\r\n", 17);
		for (int i = 0; i < 5000 && loopback_send(fd, "X-More: and more\r\n", 18); i++)
			;
	} else if (shared->mode != LOOPBACK_HANG_UP) {
		loopback_send(fd, head, (size_t)size);
		if (shared->mode == LOOPBACK_FLOOD) {
			for (int i = 0; i < 20000 && loopback_send(fd, filler, sizeof filler); i++)
				;
		} else if (shared->mode == LOOPBACK_DRIBBLE) {
			for (int i = 0; i < 100 && loopback_send(fd, "x", 1); i++)
				usleep(50000);
		} else {
			loopback_send(fd, body, length);
		}
	}
}

static _Noreturn void loopback_serve(int listener, struct loopback_shared *shared)
{
	static char request[65536];

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		size_t n = loopback_receive(fd, request, sizeof request);
		const char *path = request + strcspn(request, " ");
		path += strspn(path, " ");
		snprintf(shared->path, sizeof shared->path, "%.*s", (int)strcspn(path, " "), path);
		shared->requests++;
		loopback_answer(fd, shared, request, n);
		shutdown(fd, SHUT_WR);
		close(fd);
	}
}

/* Starts a server that answers 200 and an empty body. False when that is impossible here. */
__attribute__((unused)) static bool loopback_start(struct loopback *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	server->shared = mmap(NULL, sizeof *server->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (server->shared == MAP_FAILED || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &length) != 0)
		return false;
	server->shared->status = 200;
	server->port = ntohs(address.sin_port);
	fflush(stdout);
	server->child = fork();
	if (server->child == 0)
		loopback_serve(listener, server->shared);
	close(listener);
	return server->child > 0;
}

__attribute__((unused)) static void loopback_stop(struct loopback *server)
{
	if (server->child > 0) {
		kill(server->child, SIGKILL);
		waitpid(server->child, NULL, 0);
		server->child = 0;
	}
}

__attribute__((unused)) static void loopback_set(struct loopback *server, enum loopback_mode mode, int status, const char *body)
{
	server->shared->mode = (int)mode;
	server->shared->status = status;
	server->shared->length = strlen(body);
	memcpy(server->shared->body, body, strlen(body));
}

#endif
