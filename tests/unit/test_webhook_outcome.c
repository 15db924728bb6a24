/* What answers of receivers mean, requests as they are signed and headed, and what is kept of an answer. */
#include "core/crypto/webhook_signature.h"
#include "handlers/webhooks/endpoint_body.h"
#include "handlers/webhooks/message.h"
#include "handlers/webhooks/outcome.h"
#include "tests/unit/tap.h"

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */

static struct http_header headers[2];

/* A status (or, without one, a failure) with at most one header. */
static struct http_done answer(int status, enum http_failure failure, const char *name, const char *value)
{
	struct http_done done = {.failure = failure, .err = failure ? ERR_UNAVAILABLE : OK, .response = {.status = status}};
	headers[0] = (struct http_header){name, value};
	done.response.headers = headers;
	done.response.header_count = name != NULL;
	return done;
}

static const struct {
	int status;
	enum http_failure failure;
	const char *name, *value;
	const char *state, *error;
	int64_t delay_ms, pause_ms;
	int health;
	bool gone;
} cases[] = {
    {200, 0, NULL, NULL, "succeeded", NULL, 0, 0, 1, false},
    {204, 0, NULL, NULL, "succeeded", NULL, 0, 0, 1, false},
    {299, 0, NULL, NULL, "succeeded", NULL, 0, 0, 1, false},
    {200, 0, "webhook-delivery", "abort-message", "succeeded", NULL, 0, 0, 1, false},
    {200, 0, "retry-after", "60", "succeeded", NULL, 0, 0, 1, false},
    {300, 0, NULL, NULL, "pending", "redirect", 5000, 0, -1, false},
    {301, 0, NULL, NULL, "pending", "redirect", 5000, 0, -1, false},
    {307, 0, NULL, NULL, "pending", "redirect", 5000, 0, -1, false},
    {400, 0, NULL, NULL, "pending", "http_status", 5000, 0, -1, false},
    {404, 0, NULL, NULL, "pending", "http_status", 5000, 0, -1, false},
    {410, 0, NULL, NULL, "failed", "gone", 0, 0, -1, true},
    {410, 0, "webhook-delivery", "abort-message", "failed", "gone", 0, 0, -1, true},
    {500, 0, NULL, NULL, "pending", "http_status", 5000, 0, -1, false},
    {500, 0, "webhook-delivery", "abort-message", "failed", "aborted", 0, 0, 0, false},
    {422, 0, "webhook-delivery", "Abort-Message", "failed", "aborted", 0, 0, 0, false},
    {500, 0, "webhook-delivery", "something else", "pending", "http_status", 5000, 0, -1, false},
    {301, 0, "webhook-delivery", "abort-message", "failed", "aborted", 0, 0, 0, false},
    {500, 0, "retry-after", "60", "pending", "http_status", 5000, 0, -1, false},
    {429, 0, NULL, NULL, "pending", "http_status", 5000, 0, -1, false},
    {429, 0, "retry-after", "60", "pending", "http_status", 60000, 60000, -1, false},
    {429, 0, "retry-after", "2", "pending", "http_status", 5000, 2000, -1, false},
    {429, 0, "retry-after", "0", "pending", "http_status", 5000, 0, -1, false},
    {502, 0, "retry-after", "61", "pending", "http_status", 61000, 61000, -1, false},
    {503, 0, "retry-after", "62", "pending", "http_status", 62000, 62000, -1, false},
    {504, 0, "retry-after", "63", "pending", "http_status", 63000, 63000, -1, false},
    {429, 0, "retry-after", "99999999", "pending", "http_status", 3600000, 3600000, -1, false},
    {429, 0, "retry-after", "-5", "pending", "http_status", 5000, 0, -1, false},
    {429, 0, "retry-after", "soon", "pending", "http_status", 5000, 0, -1, false},
    {429, 0, "retry-after", "1.5", "pending", "http_status", 5000, 0, -1, false},
    {429, 0, "retry-after", "99999999999999999999999", "pending", "http_status", 5000, 0, -1, false},
    {429, 0, "retry-after", "Sun, 06 Nov 1994 08:50:37 GMT", "pending", "http_status", 60000, 60000, -1, false},
    {429, 0, "retry-after", "Sun, 06 Nov 1994 08:49:00 GMT", "pending", "http_status", 5000, 0, -1, false},
    {429, 0, "retry-after", "Sun, 06 Nov 2094 08:49:00 GMT", "pending", "http_status", 3600000, 3600000, -1, false},
    {0, HTTP_FAILURE_TIMEOUT, NULL, NULL, "pending", "timeout", 5000, 0, -1, false},
    {0, HTTP_FAILURE_NAME, NULL, NULL, "pending", "name_not_found", 5000, 0, -1, false},
    {0, HTTP_FAILURE_CONNECTION, NULL, NULL, "pending", "connection_failed", 5000, 0, -1, false},
    {0, HTTP_FAILURE_TLS, NULL, NULL, "pending", "tls_failed", 5000, 0, -1, false},
    {0, HTTP_FAILURE_ADDRESS, NULL, NULL, "pending", "address_denied", 5000, 0, -1, false},
    {0, HTTP_FAILURE_ANSWER, NULL, NULL, "pending", "not_http", 5000, 0, -1, false},
    {0, HTTP_FAILURE_REQUEST, NULL, NULL, "pending", "not_sent", 5000, 0, -1, false},
};

static void test_answers(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_done done = answer(cases[i].status, cases[i].failure, cases[i].name, cases[i].value);
		struct webhook_outcome got = webhook_judge(&done, 0, NOW, 0.5, 100);
		bool same = text_equal(got.state, cases[i].state) && text_equal(got.error, cases[i].error) && got.delay_ms == cases[i].delay_ms &&
		            got.pause_ms == cases[i].pause_ms && (int)got.health == cases[i].health && got.gone == cases[i].gone;
		if (!ok(same, "%d %s: %s", cases[i].status, cases[i].value ? cases[i].value : "", cases[i].error ? cases[i].error : "taken"))
			printf("# got %s %s %lld %lld %d %d\n", got.state, got.error ? got.error : "-", (long long)got.delay_ms, (long long)got.pause_ms, (int)got.health, got.gone);
	}
}

static void test_schedule(void)
{
	static const int64_t waits_s[] = {5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400};
	struct http_done done = answer(500, HTTP_FAILURE_NONE, NULL, NULL);
	for (int i = 0; i < 9; i++) {
		is_i64(webhook_judge(&done, i, NOW, 0.5, 100).delay_ms, waits_s[i] * 1000, "a wait of the schedule");
		is_i64(webhook_judge(&done, i, NOW, 0, 100).delay_ms, waits_s[i] * 900, "a tenth less");
		int64_t most = webhook_judge(&done, i, NOW, 0.999999, 100).delay_ms;
		ok(most > waits_s[i] * 1099 && most <= waits_s[i] * 1100, "a tenth more");
		is_i64(webhook_judge(&done, i, NOW, 0.5, 1).delay_ms, waits_s[i] * 10, "a hundredth of it");
		is_i64(webhook_judge(&done, i, NOW, 0.5, 0).delay_ms, 0, "none");
	}
	struct webhook_outcome last = webhook_judge(&done, 9, NOW, 0.5, 100);
	ok(text_equal(last.state, "failed") && text_equal(last.error, "http_status"), "the tenth attempt is the last");
	done = answer(429, HTTP_FAILURE_NONE, "retry-after", "30");
	ok(text_equal(webhook_judge(&done, 9, NOW, 0.5, 100).state, "failed"), "also when it is asked to wait");
	done = answer(200, HTTP_FAILURE_NONE, NULL, NULL);
	ok(text_equal(webhook_judge(&done, 9, NOW, 0.5, 100).state, "succeeded"), "and may succeed");
	done = answer(429, HTTP_FAILURE_NONE, "retry-after", "30");
	is_i64(webhook_judge(&done, 0, NOW, 0.5, 1).delay_ms, 30000, "what a receiver asks for is not scaled");
}

static void test_header_names(void)
{
	static const char *const good[] = {"Authorization", "X-Token", "x_y.z!", "Cookie", "webhook", "Content-Language", "a"};
	static const char *const bad[] = {
	    "", "webhook-id", "Webhook-Signature", "WEBHOOK-X", "Host", "host", "Content-Length", "content-type", "Transfer-Encoding", "Connection", "Upgrade", "TE",
	    "Trailer", "Expect", "User-Agent", "Date", "Proxy-Authorization", "a b", "a:b", "a\r\nb", "a\nb", "a\tb", "n\xc3\xa9", "(x)", "\x7f",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(endpoint_header_allowed(str_of(good[i])), "a name: %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!endpoint_header_allowed(str_of(bad[i])), "no name of a custom header, number %zu", i);
	ok(!endpoint_header_allowed((struct str){"a\0b", 3}), "nor one with a NUL");
}

static const char *header_of(const struct http_request *request, const char *name)
{
	size_t n = strlen(name);
	const char *found = NULL;
	for (const char *const *h = request->headers; *h; h++)
		if (strncasecmp(*h, name, n) == 0 && (*h)[n] == ':') {
			ok(found == NULL, "%s stands there once", name);
			found = *h + n + 2;
		}
	return found;
}

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define PREVIOUS "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"

static void test_request(struct arena *arena)
{
	static const struct outgoing nowhere = {.port_count = 0};
	struct webhook_message message = {.id = "evt_1", .body = "{}", .url = "https://example.com/x", .headers = "{\"X-Own\":\"1\",\"Webhook-Id\":\"theirs\",\"Host\":\"h\"}",
	                                  .secret = SECRET, .previous_secret = PREVIOUS};
	struct http_request request;
	struct webhook_key keys[2];
	if (!ok(webhook_request(arena, &message, &nowhere, 15, NOW, &request) == OK, "a request"))
		return;
	is_text(request.method, "POST", "method");
	is_i64(request.timeout_ms, 15000, "timeout");
	ok(request.deny_private && request.cut_response && request.response_max == WEBHOOK_RESPONSE_MAX, "guarded, and cut");
	is_text(header_of(&request, "webhook-id"), "evt_1", "our id wins");
	is_text(header_of(&request, "webhook-timestamp"), "784111777", "the time of the attempt");
	is_text(header_of(&request, "content-type"), "application/json", "the type");
	is_text(header_of(&request, "host"), NULL, "no host of theirs");
	is_text(header_of(&request, "x-own"), "1", "a header of their own");
	const struct webhook_received received = {"evt_1", "784111777", header_of(&request, "webhook-signature"), STR("{}")};
	ok(webhook_key_parse(SECRET, &keys[0]) == OK && webhook_key_parse(PREVIOUS, &keys[1]) == OK, "two secrets");
	ok(webhook_verify(&keys[0], &received, NOW) == WEBHOOK_OK && webhook_verify(&keys[1], &received, NOW) == WEBHOOK_OK, "both sign");
	message.previous_secret = NULL;
	ok(webhook_request(arena, &message, &nowhere, 15, NOW, &request) == OK, "without the old secret");
	ok(strchr(header_of(&request, "webhook-signature"), ' ') == NULL, "one signs");
	message.secret = "whsec_";
	ok(webhook_request(arena, &message, &nowhere, 15, NOW, &request) == ERR_INVALID, "a secret that is none signs nothing");
	message.secret = SECRET;
	message.headers = "{";
	ok(webhook_request(arena, &message, &nowhere, 15, NOW, &request) == ERR_INVALID, "nor do headers that cannot be read");
}

static void test_text(struct arena *arena)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *text;
	} texts[] = {
	    {"plain", 5, "plain"},         {"a\r\n\tb", 5, "a\r\n\tb"},         {"\xc3\xa9t\xc3\xa9", 5, "\xc3\xa9t\xc3\xa9"},
	    {"a\0b", 3, "a\xef\xbf\xbd" "b"}, {"\xff", 1, "\xef\xbf\xbd"},      {"\xc3", 1, "\xef\xbf\xbd"},
	    {"\x1b[31m", 5, "\xef\xbf\xbd[31m"}, {"\x7f", 1, "\xef\xbf\xbd"},
	};
	char full[WEBHOOK_RESPONSE_MAX];
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		is_text(webhook_response_text(arena, (struct str){texts[i].bytes, texts[i].n}), texts[i].text, "bytes as text");
	is_text(webhook_response_text(arena, (struct str){NULL, 0}), NULL, "nothing is no text");
	memset(full, 'x', sizeof(full));
	memcpy(full + sizeof(full) - 2, "\xe2\x82", 2);
	const char *text = webhook_response_text(arena, (struct str){full, sizeof(full)});
	ok(text && strlen(text) == sizeof(full) - 2, "a character cut by the limit is left out");
	memset(full, 0xff, sizeof(full));
	text = webhook_response_text(arena, (struct str){full, sizeof(full)});
	ok(text && utf8_valid(text, strlen(text)), "whatever comes, it is UTF-8");
}

int main(void)
{
	struct arena arena;
	arena_init(&arena, 1 << 20);
	test_answers();
	test_schedule();
	test_header_names();
	test_request(&arena);
	test_text(&arena);
	arena_release(&arena);
	return tap_done();
}
