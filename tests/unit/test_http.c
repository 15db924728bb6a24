/* The HTTP client against a rude server, and the address guard as a function. */
#include "core/net/http.h"

#include "core/base/clock.h"
#include "core/net/address.h"
#include "core/net/http_many.h"
#include "tests/unit/loopback.h"
#include "tests/unit/tap.h"

static struct arena arena;
static struct http_response response;
static const char *why;

static void test_addresses(void)
{
	static const struct {
		const char *address;
		bool is_public, is_loopback;
	} cases[] = {
		{"8.8.8.8", true, false},          {"1.1.1.1", true, false},         {"0.0.0.0", false, false},
		{"0.255.255.255", false, false},   {"10.0.0.1", false, false},       {"10.255.255.255", false, false},
		{"9.255.255.255", true, false},    {"11.0.0.0", true, false},        {"100.63.255.255", true, false},
		{"100.64.0.0", false, false},      {"100.127.255.255", false, false}, {"100.128.0.0", true, false},
		{"126.255.255.255", true, false},  {"127.0.0.1", false, true},       {"127.255.255.254", false, true},
		{"128.0.0.0", true, false},        {"169.254.169.254", false, false}, {"169.253.255.255", true, false},
		{"172.15.255.255", true, false},   {"172.16.0.0", false, false},     {"172.31.255.255", false, false},
		{"172.32.0.0", true, false},       {"192.0.0.8", false, false},      {"192.0.1.0", true, false},
		{"192.0.2.1", false, false},       {"192.88.99.1", false, false},    {"192.168.1.1", false, false},
		{"192.167.255.255", true, false},  {"198.17.255.255", true, false},  {"198.18.0.0", false, false},
		{"198.19.255.255", false, false},  {"198.20.0.0", true, false},      {"198.51.100.7", false, false},
		{"203.0.113.7", false, false},     {"223.255.255.255", true, false}, {"224.0.0.1", false, false},
		{"239.255.255.255", false, false}, {"240.0.0.1", false, false},      {"255.255.255.255", false, false},
		{"::", false, false},              {"::1", false, true},             {"::2", false, false},
		{"::127.0.0.1", false, false},     {"::ffff:127.0.0.1", false, true}, {"::ffff:10.0.0.1", false, false},
		{"::ffff:169.254.169.254", false, false}, {"::ffff:8.8.8.8", true, false}, {"64:ff9b::808:808", false, false},
		{"64:ff9b:1::1", false, false},    {"100::1", false, false},         {"2001::1", false, false},
		{"2001:1ff::1", false, false},     {"2001:200::1", true, false},     {"2001:db8::1", false, false},
		{"2001:4860:4860::8888", true, false}, {"2002:7f00:1::", false, false}, {"2606:4700::1111", true, false},
		{"3ffe::1", true, false},          {"3fff::1", false, false},        {"3fff:1000::1", true, false},
		{"4000::1", false, false},         {"fc00::1", false, false},        {"fd12:3456::1", false, false},
		{"fe80::1", false, false},         {"fec0::1", false, false},        {"ff02::1", false, false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sockaddr_in6 six = {.sin6_family = AF_INET6};
		struct sockaddr_in four = {.sin_family = AF_INET};
		bool is_six = strchr(cases[i].address, ':') != NULL;
		const struct sockaddr *address = is_six ? (const struct sockaddr *)(const void *)&six : (const struct sockaddr *)(const void *)&four;
		int parsed = is_six ? inet_pton(AF_INET6, cases[i].address, &six.sin6_addr) : inet_pton(AF_INET, cases[i].address, &four.sin_addr);
		ok(parsed == 1 && address_is_public(address) == cases[i].is_public && address_is_loopback(address) == cases[i].is_loopback,
		   "%s is %s", cases[i].address, cases[i].is_public ? "public" : "not public");
	}
	const struct sockaddr other = {.sa_family = AF_UNIX};
	ok(!address_is_public(&other) && !address_is_loopback(&other), "other families are neither");
}

static enum err send_to(const struct loopback *server, struct http_request request)
{
	request.url = arena_printf(&arena, "http://127.0.0.1:%u/a/../b//c?x=%%20+", server->port);
	request.allow_loopback_http = true;
	if (request.response_max == 0)
		request.response_max = 4096;
	response = (struct http_response){0};
	why = NULL;
	return http_request(&arena, &request, &response, &why);
}

static void test_answers(struct loopback *server)
{
	arena_reset(&arena);
	loopback_set(server, LOOPBACK_BODY, 200, "hello");
	is_i64(send_to(server, (struct http_request){0}), OK, "GET");
	is_i64(response.status, 200, "status");
	is_text(response.body.p, "hello", "body");
	is_text(http_header(&response, "x-test"), "a value", "a header, trimmed");
	is_text(http_header(&response, "retry-after"), "7", "another");
	is_text(http_header(&response, "nothing"), NULL, "no such header");
	is_text(server->shared->path, "/a/../b//c?x=%20+", "the path goes out as it is");
	loopback_set(server, LOOPBACK_BODY, 503, "busy");
	is_i64(send_to(server, (struct http_request){0}), OK, "a status is not judged");
	is_i64(response.status, 503, "503");
	is_text(response.body.p, "busy", "with its body");
	loopback_set(server, LOOPBACK_REDIRECT, 302, "");
	int before = server->shared->requests;
	is_i64(send_to(server, (struct http_request){0}), OK, "a redirect");
	is_i64(response.status, 302, "is an answer");
	is_i64(server->shared->requests, before + 1, "that is not followed");
	loopback_set(server, LOOPBACK_BODY, 200, "");
	is_i64(send_to(server, (struct http_request){.method = "HEAD"}), OK, "HEAD");
	is_i64((int64_t)response.body.n, 0, "has no body");
}

static void test_requests(struct loopback *server)
{
	static const char *const headers[] = {"X-One: 1", "X-Empty:", "Content-Type: application/json", NULL};
	char path[] = "/tmp/tidegate-http-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	arena_reset(&arena);
	loopback_set(server, LOOPBACK_ECHO, 200, "");
	is_i64(send_to(server, (struct http_request){.method = "POST", .headers = headers, .body = STR("{\"a\":1}")}), OK, "POST");
	ok(strncmp(response.body.p, "POST /a/../b//c?x=%20+ HTTP/1.1\r\n", 33) == 0, "request line");
	ok(strstr(response.body.p, "\r\nX-One: 1\r\n") != NULL, "a header");
	ok(strstr(response.body.p, "\r\nX-Empty:\r\n") != NULL, "a header without a value");
	ok(strstr(response.body.p, "\r\nContent-Type: application/json\r\n") != NULL, "its type");
	ok(strstr(response.body.p, "Expect:") == NULL, "no Expect");
	ok(strstr(response.body.p, "\r\n\r\n{\"a\":1}") != NULL, "the body");
	is_i64(send_to(server, (struct http_request){.method = "PUT", .body = STR("x")}), OK, "PUT without a type");
	ok(strcasestr(response.body.p, "Content-Type:") == NULL, "gets none");
	is_i64(send_to(server, (struct http_request){.method = "DELETE"}), OK, "DELETE");
	ok(strncmp(response.body.p, "DELETE ", 7) == 0, "method");
	ok(write(fd, "0123456789", 10) == 10, "a file");
	is_i64(send_to(server, (struct http_request){.method = "PUT", .send_file = true, .body_fd = fd, .body_size = 10}), OK, "PUT of a file");
	ok(strstr(response.body.p, "\r\nContent-Length: 10\r\n") != NULL, "its length");
	ok(strstr(response.body.p, "\r\n\r\n0123456789") != NULL, "its bytes");
	is_i64(send_to(server, (struct http_request){.method = "PUT", .send_file = true, .body_fd = fd, .body_size = 0}), OK, "an empty file");
	is_i64(send_to(server, (struct http_request){.method = "PUT", .send_file = true, .body_fd = fd, .body_size = 11, .timeout_ms = 2000}), ERR_IO,
	       "a file that is shorter than promised");
	close(fd);
}

static void test_refusals(struct loopback *server)
{
	static const char *const bad_headers[] = {"X: a\r\nY: b", "no colon", ": no name", "X Y: z", "X: \x01", ""};
	static const char *const bad_methods[] = {"", "get", "GET /", "G\r\nX"};
	static const char *const bad_urls[] = {"", "http://127.0.0.1/", "ftp://example.com/", "file:///etc/passwd", "https://", "//example.com", "gopher://x/"};

	/* the server takes one connection after the other: what was broken off before is counted now */
	is_i64(send_to(server, (struct http_request){0}), OK, "a good request");
	int before = server->shared->requests;
	for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
		const char *const headers[] = {bad_headers[i], NULL};
		is_i64(send_to(server, (struct http_request){.headers = headers}), ERR_INVALID, "a malformed header");
	}
	for (size_t i = 0; i < sizeof bad_methods / sizeof *bad_methods; i++)
		is_i64(send_to(server, (struct http_request){.method = bad_methods[i]}), ERR_INVALID, "no method");
	for (size_t i = 0; i < sizeof bad_urls / sizeof *bad_urls; i++)
		is_i64(http_get(&arena, bad_urls[i], 100, &response, &why), ERR_INVALID, bad_urls[i]);
	struct http_request request = {.allow_loopback_http = true, .response_max = 100};
	request.url = arena_printf(&arena, "http://user:secret@127.0.0.1:%u/", server->port);
	is_i64(http_request(&arena, &request, &response, &why), ERR_INVALID, "credentials in the URL");
	request.url = "http://192.0.2.1/";
	is_i64(http_request(&arena, &request, &response, &why), ERR_DENIED, "http to another host");
	is_i64(send_to(server, (struct http_request){.deny_private = true}), ERR_DENIED, "a private address under the guard");
	is_text(why, "the address may not be reached from here", "says why");
	request = (struct http_request){.url = "https://169.254.169.254/latest/meta-data/", .deny_private = true, .response_max = 100};
	is_i64(http_request(&arena, &request, &response, &why), ERR_DENIED, "the metadata service");
	request.url = "https://2130706433/";
	is_i64(http_request(&arena, &request, &response, &why), ERR_DENIED, "127.0.0.1 as a number");
	request.url = "https://[::ffff:10.0.0.1]/";
	is_i64(http_request(&arena, &request, &response, &why), ERR_DENIED, "a private address in IPv6 clothes");
	request.url = "https://localhost/";
	is_i64(http_request(&arena, &request, &response, &why), ERR_DENIED, "a name of a private address");
	is_i64(server->shared->requests, before, "none of this was sent");
}

static void test_limits(struct loopback *server)
{
	static const struct {
		enum loopback_mode mode;
		enum err err;
		const char *what;
	} cases[] = {
		{LOOPBACK_STALL, ERR_TIMEOUT, "nothing comes"},
		{LOOPBACK_DRIBBLE, ERR_TIMEOUT, "too slow"},
		{LOOPBACK_FLOOD, ERR_TOO_LARGE, "too much"},
		{LOOPBACK_HEADERS, ERR_TOO_LARGE, "too many headers"},
		{LOOPBACK_HANG_UP, ERR_UNAVAILABLE, "closed"},
		{LOOPBACK_GARBAGE, ERR_UNAVAILABLE, "not HTTP"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		arena_reset(&arena);
		loopback_set(server, cases[i].mode, 200, "");
		int64_t start = clock_monotonic_us();
		is_i64(send_to(server, (struct http_request){.timeout_ms = 300}), cases[i].err, cases[i].what);
		ok(clock_monotonic_us() - start < 2000000 && why != NULL, "in time");
		is_i64(response.status, 0, "the response is untouched");
	}
	loopback_set(server, LOOPBACK_BODY, 200, "12345");
	is_i64(send_to(server, (struct http_request){.response_max = 5}), OK, "exactly the limit");
	is_i64(send_to(server, (struct http_request){.response_max = 4}), ERR_TOO_LARGE, "one byte over");
}

static enum err count_bytes(void *context, const char *bytes, size_t n)
{
	size_t *left = context;

	(void)bytes;
	if (n > *left)
		return ERR_CONFLICT;
	*left -= n;
	return OK;
}

static void test_sink(struct loopback *server)
{
	size_t left = 10;

	loopback_set(server, LOOPBACK_BODY, 200, "1234567");
	is_i64(send_to(server, (struct http_request){.sink = count_bytes, .sink_context = &left}), OK, "a sink");
	is_i64((int64_t)left, 3, "gets the bytes");
	is_i64((int64_t)response.body.n, 0, "and the body is empty");
	is_i64(send_to(server, (struct http_request){.sink = count_bytes, .sink_context = &left}), ERR_CONFLICT, "its error is the result");
	loopback_set(server, LOOPBACK_BODY, 404, "not here, my friend");
	is_i64(send_to(server, (struct http_request){.sink = count_bytes, .sink_context = &left}), OK, "not for an error");
	is_text(response.body.p, "not here, my friend", "whose body is collected");
}

static void test_cut(struct loopback *server)
{
	loopback_set(server, LOOPBACK_FLOOD, 200, "");
	is_i64(send_to(server, (struct http_request){.response_max = 2048, .cut_response = true}), OK, "a flood that is cut");
	ok(response.status == 200 && response.body.n == 2048, "has its status and so much of its body");
	loopback_set(server, LOOPBACK_BODY, 200, "12345");
	is_i64(send_to(server, (struct http_request){.response_max = 5, .cut_response = true}), OK, "nothing to cut");
	is_text(response.body.p, "12345", "leaves the body whole");
	is_i64(send_to(server, (struct http_request){.response_max = 4, .cut_response = true}), OK, "one byte to cut");
	is_text(response.body.p, "1234", "takes it off");
}

static void test_allowed(struct loopback *server)
{
	struct address_list list;
	int before = server->shared->requests;
	loopback_set(server, LOOPBACK_BODY, 200, "");
	ok(address_list_parse(&arena, "10.0.0.0/8 ::1", &list, &why) == OK, "a list without the address");
	is_i64(send_to(server, (struct http_request){.deny_private = true, .allowed = &list}), ERR_DENIED, "opens nothing");
	is_i64(server->shared->requests, before, "and nothing was sent");
	ok(address_list_parse(&arena, "127.0.0.1/32", &list, &why) == OK, "a list with it");
	is_i64(send_to(server, (struct http_request){.deny_private = true, .allowed = &list}), OK, "opens the address");
	struct http_request request = {.url = "http://127.0.0.2/", .deny_private = true, .allowed = &list, .allow_loopback_http = true, .response_max = 10};
	is_i64(http_request(&arena, &request, &response, &why), ERR_DENIED, "and no other");
}

enum { MANY = 6 };

/* Good and bad ones side by side, then one after the other. */
static void test_many(struct loopback *server)
{
	struct http_many many;
	struct http_done done;
	struct arena arenas[MANY];
	struct http_request requests[MANY];
	int seen[MANY] = {0};
	if (!ok(http_many_init(&many, &arena, MANY) == OK, "many"))
		return;
	ok(!http_many_next(&many, 10, &done), "nothing is under way");
	loopback_set(server, LOOPBACK_BODY, 201, "here");
	for (int i = 0; i < MANY; i++) {
		arena_init(&arenas[i], 1 << 20);
		requests[i] = (struct http_request){.url = arena_printf(&arena, "http://127.0.0.1:%u/%d", server->port, i), .allow_loopback_http = true,
		                                    .method = "POST", .body = STR("x"), .response_max = 100, .timeout_ms = 10000};
	}
	requests[1].url = "ftp://127.0.0.1/";
	requests[2].url = "https://10.0.0.1/";
	requests[2].deny_private = true;
	requests[3].url = "https://nowhere.invalid/";
	for (int i = 0; i < MANY; i++)
		is_i64(http_many_start(&many, &arenas[i], &requests[i], &seen[i]), OK, "started");
	is_i64(http_many_start(&many, &arenas[0], &requests[0], &seen[0]), ERR_LIMITED, "one too many");
	for (int i = 0; i < MANY; i++) {
		if (!ok(http_many_next(&many, 20000, &done), "one has ended"))
			break;
		int index = (int)((int *)done.context - seen);
		seen[index]++;
		static const enum http_failure failures[MANY] = {HTTP_FAILURE_NONE, HTTP_FAILURE_REQUEST, HTTP_FAILURE_ADDRESS, HTTP_FAILURE_NAME};
		is_i64(done.failure, failures[index], "as expected");
		ok(done.failure != HTTP_FAILURE_NONE || (done.response.status == 201 && str_equal_text(done.response.body, "here")), "with its answer");
		ok((done.failure == HTTP_FAILURE_NONE) == (done.err == OK) && (done.why == NULL) == (done.err == OK), "or its reason");
	}
	for (int i = 0; i < MANY; i++)
		is_i64(seen[i], 1, "each comes back once");
	is_i64((int64_t)many.active, 0, "nothing is left");
	loopback_set(server, LOOPBACK_STALL, 200, "");
	requests[0].timeout_ms = 200;
	ok(http_many_start(&many, &arenas[0], &requests[0], &seen[0]) == OK, "one that hangs");
	ok(!http_many_next(&many, 20, &done), "is not waited for longer than asked");
	ok(http_many_next(&many, 10000, &done) && done.failure == HTTP_FAILURE_TIMEOUT, "and ends at its timeout");
	loopback_set(server, LOOPBACK_HANG_UP, 200, "");
	ok(http_many_start(&many, &arenas[0], &requests[0], &seen[0]) == OK && http_many_next(&many, 10000, &done) && done.failure == HTTP_FAILURE_CONNECTION, "a closed connection");
	loopback_set(server, LOOPBACK_GARBAGE, 200, "");
	ok(http_many_start(&many, &arenas[0], &requests[0], &seen[0]) == OK && http_many_next(&many, 10000, &done) && done.failure == HTTP_FAILURE_ANSWER, "no HTTP");
	loopback_set(server, LOOPBACK_STALL, 200, "");
	ok(http_many_start(&many, &arenas[0], &requests[0], &seen[0]) == OK, "one under way");
	http_many_release(&many);
	is_i64((int64_t)many.active, 0, "can be dropped");
	for (int i = 0; i < MANY; i++)
		arena_release(&arenas[i]);
}

int main(void)
{
	struct loopback server = {0};

	arena_init(&arena, 1 << 20);
	test_addresses();
	if (ok(loopback_start(&server), "a server")) {
		test_answers(&server);
		test_requests(&server);
		test_refusals(&server);
		test_limits(&server);
		test_sink(&server);
		test_cut(&server);
		test_allowed(&server);
		test_many(&server);
		loopback_stop(&server);
		is_i64(send_to(&server, (struct http_request){0}), ERR_UNAVAILABLE, "nobody listens");
	}
	http_close_all();
	arena_release(&arena);
	return tap_done();
}
