/* The publisher of hints: what it writes, and that it neither waits for nor trips over a reader that is away, gone or asleep. */
#include "core/net/publisher.h"

#include "tests/unit/tap.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 4))
		return -1;
	return fd;
}

static const char *received(int fd)
{
	static char text[4096];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_nobody_there(const char *path)
{
	struct publisher publisher;
	char longest[110];
	memset(longest, 'x', sizeof(longest));
	longest[108] = '\0';
	is_i64(publisher_init(&publisher, longest), ERR_INVALID, "a path that fits no socket");
	longest[107] = '\0';
	is_i64(publisher_init(&publisher, longest), OK, "one that does");
	is_i64(publisher_init(&publisher, ""), OK, "no path");
	is_i64(publisher_send(&publisher, "c", "m"), ERR_NOT_FOUND, "nothing is published without one");
	is_i64(publisher_init(&publisher, path), OK, "a path where nobody listens");
	is_i64(publisher_send(&publisher, "c", "m"), ERR_UNAVAILABLE, "nobody takes it");
	publisher_close(&publisher);
}

static void test_messages(const char *path)
{
	static const char expected[] = "POST /publish?channel=abc HTTP/1.1\r\nHost: events\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
	struct publisher publisher;
	char large[4096];
	memset(large, 'x', sizeof(large));
	large[sizeof(large) - 1] = '\0';
	int server = listen_at(path);
	is_i64(publisher_init(&publisher, path), OK, "a path where somebody listens");
	is_i64(publisher_send(&publisher, "abc", "{\"a\":1}"), OK, "taken");
	int peer = accept(server, NULL, NULL);
	is_text(received(peer), expected, "the request");
	ok(send(peer, "HTTP/1.1 201 Created\r\n\r\n", 24, 0) == 24, "an answer");
	is_i64(publisher_send(&publisher, "abc", large), ERR_TOO_LARGE, "too large");
	is_text(received(peer), "", "nothing of it is sent");
	is_i64(publisher_send(&publisher, "abc", "{\"a\":1}"), OK, "another one");
	is_text(received(peer), expected, "on the same connection");
	close(peer);
	is_i64(publisher_send(&publisher, "abc", "{\"a\":1}"), OK, "after the peer has closed");
	peer = accept(server, NULL, NULL);
	is_text(received(peer), expected, "on a new connection");

	enum err err = OK;
	int sent = 0;
	while (!err && sent++ < 1000000)
		err = publisher_send(&publisher, "abc", "{\"a\":1}");
	is_i64(err, ERR_UNAVAILABLE, "a peer that does not read is not waited for");
	close(peer);
	close(server);
	is_i64(publisher_send(&publisher, "abc", "m"), ERR_UNAVAILABLE, "nobody there any more");
	publisher_close(&publisher);
}

int main(void)
{
	char folder[] = "/tmp/tidegate-publisher-XXXXXX", path[64];
	if (!ok(mkdtemp(folder) != NULL, "a folder"))
		return tap_done();
	snprintf(path, sizeof(path), "%s/sock", folder);
	test_nobody_there(path);
	test_messages(path);
	unlink(path);
	rmdir(folder);
	return tap_done();
}
