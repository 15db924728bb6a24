/*
 * Signature Version 4: the examples of the S3 documentation, then our own signer against our own verifier with the
 * difficult names, then everything that can be changed in a signed URL.
 */
#include "core/crypto/sigv4.h"

#include "core/base/clock.h"
#include "core/crypto/digest.h"
#include "tests/unit/tap.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define PAIR(name, value) {STR(name), STR(value)}

static struct arena arena;

static const struct sigv4_credentials example = {
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
	.service = "s3",
};

static int64_t at(const char *basic)
{
	int64_t seconds = 0;

	if (clock_parse_basic(basic, &seconds) != OK)
		printf("# not a date: %s\n", basic);
	return seconds;
}

static void test_documented(void)
{
	static const struct sigv4_pair range[] = {PAIR("Range", "bytes=0-9")};
	static const struct sigv4_pair put[] = {
		PAIR("Date", "Fri, 24 May 2013 00:00:00 GMT"),
		PAIR("x-amz-storage-class", "REDUCED_REDUNDANCY"),
	};
	static const struct sigv4_pair lifecycle[] = {PAIR("lifecycle", "")};
	static const struct sigv4_pair list[] = {PAIR("prefix", "J"), PAIR("max-keys", "2")};
	static const struct {
		struct sigv4_request request;
		const char *body, *target, *names, *signature;
	} cases[] = {
		{{"GET", NULL, STR("/test.txt"), NULL, 0, range, 1}, "", "/test.txt", "host;range;x-amz-content-sha256;x-amz-date",
		 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{{"PUT", NULL, STR("/test$file.text"), NULL, 0, put, 2}, "Welcome to Amazon S3.", "/test%24file.text",
		 "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
		 "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{{"GET", NULL, STR("/"), lifecycle, 1, NULL, 0}, "", "/?lifecycle=", "host;x-amz-content-sha256;x-amz-date",
		 "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{{"GET", NULL, STR("/"), list, 2, NULL, 0}, "", "/?max-keys=2&prefix=J", "host;x-amz-content-sha256;x-amz-date",
		 "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sigv4_request request = cases[i].request;
		struct sigv4_headers headers = {0};
		char hash[SHA256_HEX_SIZE] = {0}, expected[512] = {0};
		request.host = "examplebucket.s3.amazonaws.com";
		sha256_hex(cases[i].body, strlen(cases[i].body), hash);
		is_i64(sigv4_sign(&arena, &example, &request, hash, at("20130524T000000Z"), &headers), OK, "a documented request");
		snprintf(expected, sizeof expected,
		         "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=%s, Signature=%s",
		         cases[i].names, cases[i].signature);
		is_text(headers.authorization, expected, "its Authorization");
		is_text(headers.target, cases[i].target, "its target");
		is_text(headers.content_sha256, hash, "x-amz-content-sha256");
		is_text(headers.date, "20130524T000000Z", "x-amz-date");
	}
}

static void test_documented_generic(void)
{
	static const struct sigv4_credentials generic = {
		.access_key = "AKIDEXAMPLE",
		.secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		.region = "us-east-1",
		.service = "service",
	};
	static const struct sigv4_request request = {.method = "GET", .host = "example.amazonaws.com", .path = STR("/")};
	struct sigv4_headers headers = {0};

	is_i64(sigv4_sign(&arena, &generic, &request, EMPTY_SHA256, at("20150830T123600Z"), &headers), OK, "the generic example");
	is_text(strstr(headers.authorization, "SignedHeaders"),
	        "SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", "its signature");
	is_text(headers.content_sha256, NULL, "no x-amz-content-sha256 outside S3");
}

static void test_documented_presigned(void)
{
	static const struct sigv4_request request = {.method = "GET", .host = "examplebucket.s3.amazonaws.com", .path = STR("/test.txt")};
	const char *url = NULL;

	is_i64(sigv4_presign(&arena, &example, &request, "https", at("20130524T000000Z"), 86400, &url), OK, "the documented presigned URL");
	is_text(url,
	        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
	        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
	        "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
	        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
	        "its text");
}

/* A received request whose headers stand in an array. */
struct sent {
	const struct sigv4_pair *headers;
	size_t count;
};

static struct str find_header(void *context, struct str name)
{
	const struct sent *sent = context;

	for (size_t i = 0; i < sent->count; i++) {
		if (str_equal(sent->headers[i].name, name))
			return sent->headers[i].value;
	}
	return (struct str){NULL, 0};
}

static enum sigv4_reason receive(const char *method, const char *url, struct sent *sent, const struct sigv4_credentials *credentials,
                                 int64_t now, struct sigv4_verified *ret)
{
	const char *path = strchr(strstr(url, "://") + 3, '/');
	const char *query = strchr(path, '?');
	const struct sigv4_received received = {
		.method = str_of(method),
		.path = {path, query != NULL ? (size_t)(query - path) : strlen(path)},
		.query = str_of(query != NULL ? query + 1 : ""),
		.header = find_header,
		.context = sent,
	};

	return sigv4_verify_presigned(&arena, credentials, &received, now, ret);
}

static void is_reason(enum sigv4_reason got, enum sigv4_reason expected, const char *what)
{
	ok(got == expected, "%s: %s", sigv4_reason_name(expected), what);
	if (got != expected)
		printf("# got: %s\n", sigv4_reason_name(got));
}

#define NOW INT64_C(1700000000) /* 20231114T221320Z */
#define HOST "files.example:8443"

static const struct sigv4_pair host_only[] = {PAIR("host", HOST)};
static struct sent plain_sent = {host_only, 1};

static void test_difficult_paths(void)
{
	/* As sent: what a browser or curl makes of the URL, which is what we gave them; the last ones re-encode less or more. */
	static const struct {
		const char *path, *encoded, *also;
	} cases[] = {
		{"/b/plain.txt", "/b/plain.txt", "/%62/plain%2Etxt"},
		{"/b/with blank", "/b/with%20blank", NULL},
		{"/b/a+b", "/b/a%2Bb", "/b/a+b"},
		{"/b/100%", "/b/100%25", NULL},
		{"/b/%41", "/b/%2541", NULL},
		{"/b/~tilde", "/b/~tilde", "/b/%7Etilde"},
		{"/b/\xc3\xa9t\xc3\xa9.csv", "/b/%C3%A9t%C3%A9.csv", "/b/%c3%a9t%c3%a9.csv"},
		{"/b//two//slashes/", "/b//two//slashes/", NULL},
		{"//", "//", NULL},
		{"/b/\xf0\x9f\x8e\xb3 bowling", "/b/%F0%9F%8E%B3%20bowling", NULL},
		{"/b/a&b=c?d#e", "/b/a%26b%3Dc%3Fd%23e", "/b/a&b=c%3Fd%23e"},
		{"/b/(x)'!*,;:@$", "/b/%28x%29%27%21%2A%2C%3B%3A%40%24", "/b/(x)'!*,;:@$"},
		{"/b/\"<>\\^`{|}", "/b/%22%3C%3E%5C%5E%60%7B%7C%7D", NULL},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct sigv4_request request = {.method = "PUT", .host = HOST, .path = str_of(cases[i].path)};
		struct sigv4_verified verified = {0};
		const char *url = NULL;
		arena_reset(&arena);
		is_i64(sigv4_presign(&arena, &example, &request, "https", NOW, 900, &url), OK, cases[i].path);
		const char *path = strstr(url, HOST) + strlen(HOST);
		ok(strncmp(path, cases[i].encoded, strlen(cases[i].encoded)) == 0 && path[strlen(cases[i].encoded)] == '?', "is encoded once");
		is_reason(receive("PUT", url, &plain_sent, &example, NOW + 1, &verified), SIGV4_OK, "comes back");
		ok(str_equal_text(verified.path, cases[i].path), "as the same path");
		if (cases[i].also != NULL) {
			const char *other = arena_printf(&arena, "https://" HOST "%s%s", cases[i].also, strchr(path, '?'));
			is_reason(receive("PUT", other, &plain_sent, &example, NOW + 1, &verified), SIGV4_OK, "another spelling of the same path");
			ok(str_equal_text(verified.path, cases[i].path), "is the same path");
		}
	}
}

static void test_parameters_and_headers(void)
{
	static const struct sigv4_pair query[] = {
		PAIR("response-content-disposition", "attachment; filename=\"\xc3\xa9t\xc3\xa9 1+1.csv\""),
		PAIR("empty", ""),
		PAIR("a-b", "1"),
		PAIR("a", "2"),
		PAIR("a", "1"),
		PAIR("&=%", "&=%"),
	};
	static const struct sigv4_pair signed_headers[] = {PAIR("Content-Length", "1234"), PAIR("x-amz-meta-a", "  a   b\t c "), PAIR("x-amz-meta-a-b", "")};
	static const struct sigv4_pair sent_headers[] = {
		PAIR("host", HOST), PAIR("content-length", "1234"), PAIR("x-amz-meta-a", "a b c"), PAIR("x-amz-meta-a-b", ""), PAIR("accept", "*/*"),
	};
	static const struct sigv4_pair wrong_headers[] = {
		PAIR("host", HOST), PAIR("content-length", "1235"), PAIR("x-amz-meta-a", "a b c"), PAIR("x-amz-meta-a-b", ""),
	};
	static const struct sigv4_pair split_header[] = {
		PAIR("host", HOST), PAIR("content-length", "1234"), PAIR("x-amz-meta-a", "a b c\nx-amz-meta-a-b:"), PAIR("x-amz-meta-a-b", ""),
	};
	const struct sigv4_request request = {
		.method = "PUT", .host = HOST, .path = STR("/k"), .query = query, .query_count = 6, .headers = signed_headers, .header_count = 3};
	struct sent sent = {sent_headers, 5}, wrong = {wrong_headers, 4}, missing = {sent_headers, 3}, split = {split_header, 4};
	struct sigv4_verified verified = {0};
	const char *url = NULL;

	arena_reset(&arena);
	is_i64(sigv4_presign(&arena, &example, &request, "https", NOW, 900, &url), OK, "parameters and headers");
	ok(strstr(url, "X-Amz-SignedHeaders=content-length%3Bhost%3Bx-amz-meta-a%3Bx-amz-meta-a-b") != NULL, "names sorted by name");
	ok(strstr(url, "&a=1&a=2&a-b=1&empty=&") != NULL, "parameters sorted by name, then value");
	is_reason(receive("PUT", url, &sent, &example, NOW, &verified), SIGV4_OK, "with its headers");
	ok(str_equal_text(sigv4_signed_header(&verified, "content-length"), "1234"), "the size is vouched for");
	ok(sigv4_signed_header(&verified, "accept").p == NULL, "an unsigned header is not");
	ok(str_equal(sigv4_signed_parameter(&verified, "response-content-disposition"), query[0].value), "a parameter, decoded");
	ok(sigv4_signed_parameter(&verified, "nothing").p == NULL, "no such parameter");
	is_i64(verified.signed_at, NOW, "signed at");
	is_i64(verified.expires_at, NOW + 900, "expires at");
	is_reason(receive("PUT", url, &wrong, &example, NOW, &verified), SIGV4_BAD_SIGNATURE, "another size");
	is_reason(receive("PUT", url, &missing, &example, NOW, &verified), SIGV4_MISSING_HEADER, "a signed header was not sent");
	is_reason(receive("PUT", url, &split, &example, NOW, &verified), SIGV4_MALFORMED, "a header value of two lines");
	is_reason(receive("GET", url, &sent, &example, NOW, &verified), SIGV4_BAD_SIGNATURE, "another method");
}

static void test_times(void)
{
	const struct sigv4_request request = {.method = "GET", .host = HOST, .path = STR("/k")};
	static const struct {
		int64_t now;
		enum sigv4_reason reason;
	} cases[] = {
		{NOW - 301, SIGV4_NOT_YET_VALID}, {NOW - 300, SIGV4_OK}, {NOW, SIGV4_OK}, {NOW + 899, SIGV4_OK}, {NOW + 900, SIGV4_EXPIRED},
	};
	struct sigv4_verified verified = {0};
	const char *url = NULL;

	is_i64(sigv4_presign(&arena, &example, &request, "https", NOW, 900, &url), OK, "a URL of 15 minutes");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		is_reason(receive("GET", url, &plain_sent, &example, cases[i].now, &verified), cases[i].reason, "at a time");
	is_i64(sigv4_presign(&arena, &example, &request, "https", NOW, 0, &url), ERR_INVALID, "no lifetime");
	is_i64(sigv4_presign(&arena, &example, &request, "https", NOW, 604801, &url), ERR_INVALID, "more than a week");
	is_i64(sigv4_presign(&arena, &example, &request, "https", NOW, 604800, &url), OK, "a week");
	is_reason(receive("GET", url, &plain_sent, &example, NOW + 604799, &verified), SIGV4_OK, "to its end");
}

/* The text with its first `from` replaced. */
static const char *replaced(const char *text, const char *from, const char *to)
{
	const char *found = strstr(text, from);

	if (found == NULL)
		printf("# %s is not in the URL\n", from);
	return found == NULL ? text : arena_printf(&arena, "%.*s%s%s", (int)(found - text), text, to, found + strlen(from));
}

static const struct {
	const char *from, *to;
	enum sigv4_reason reason;
} changes[] = {
	{"/k?", "/K?", SIGV4_BAD_SIGNATURE},
	{"/k?", "/k/?", SIGV4_BAD_SIGNATURE},
	{"/k?", "//k?", SIGV4_BAD_SIGNATURE},
	{"/k?", "/%6?", SIGV4_MALFORMED},
	{"/k?", "/%00k?", SIGV4_MALFORMED},
	{"/k?", "/k?x=1&", SIGV4_BAD_SIGNATURE},
	{"/k?", "/k?&&", SIGV4_OK},
	{"v=1", "v=2", SIGV4_BAD_SIGNATURE},
	{"v=1", "v=1&v=1", SIGV4_BAD_SIGNATURE},
	{"v=1", "v=%31", SIGV4_OK},
	{"v=1", "v=%3", SIGV4_MALFORMED},
	{"v=1", "v=1&e", SIGV4_BAD_SIGNATURE},
	{"&v=1", "", SIGV4_BAD_SIGNATURE},
	{"AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", SIGV4_MALFORMED},
	{"AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", SIGV4_MALFORMED},
	{"AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLF", SIGV4_UNKNOWN_KEY},
	{"AKIAIOSFODNN7EXAMPLE", "", SIGV4_UNKNOWN_KEY},
	{"us-east-1", "us-east-2", SIGV4_WRONG_SCOPE},
	{"%2Fs3%2F", "%2Fs4%2F", SIGV4_WRONG_SCOPE},
	{"%2Fs3%2F", "/s3/", SIGV4_OK},
	{"%2F20231114%2F", "%2F20231115%2F", SIGV4_WRONG_SCOPE},
	{"aws4_request", "aws5_request", SIGV4_MALFORMED},
	{"%2Faws4_request", "", SIGV4_MALFORMED},
	{"X-Amz-Date=20231114T221320Z", "X-Amz-Date=20231114T221321Z", SIGV4_BAD_SIGNATURE},
	{"X-Amz-Date=20231114T221320Z", "X-Amz-Date=20231114T221320", SIGV4_MALFORMED},
	{"X-Amz-Date=20231114T221320Z", "X-Amz-Date=20231314T221320Z", SIGV4_MALFORMED},
	{"X-Amz-Date=20231114T221320Z", "X-Amz-Date=", SIGV4_MALFORMED},
	{"X-Amz-Date=", "x-amz-date=", SIGV4_MALFORMED},
	{"X-Amz-Expires=900", "X-Amz-Expires=901", SIGV4_BAD_SIGNATURE},
	{"X-Amz-Expires=900", "X-Amz-Expires=0", SIGV4_MALFORMED},
	{"X-Amz-Expires=900", "X-Amz-Expires=-900", SIGV4_MALFORMED},
	{"X-Amz-Expires=900", "X-Amz-Expires=604801", SIGV4_MALFORMED},
	{"X-Amz-Expires=900", "X-Amz-Expires=99999999999999999999", SIGV4_MALFORMED},
	{"X-Amz-Expires=900", "X-Amz-Expires=900&X-Amz-Expires=900", SIGV4_MALFORMED},
	{"X-Amz-Expires=900", "X-Amz-Expires=900&X%2DAmz-Expires=604800", SIGV4_MALFORMED},
	{"X-Amz-Expires=900", "X-Amz-Expires=900&x-amz-expires=604800", SIGV4_MALFORMED},
	{"X-Amz-Expires=900", "X-Amz-Expires=900&X-Amz-Other=1", SIGV4_BAD_SIGNATURE},
	{"X-Amz-Expires=900&", "", SIGV4_MALFORMED},
	{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=", SIGV4_MALFORMED},
	{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=Host", SIGV4_MALFORMED},
	{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=accept", SIGV4_MISSING_HEADER},
	{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host%3Bhost", SIGV4_MALFORMED},
	{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host%3Baccept", SIGV4_MALFORMED},
	{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=accept%3Bhost", SIGV4_MISSING_HEADER},
	{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=%3Bhost", SIGV4_MALFORMED},
	{"X-Amz-Signature=", "X-Amz-Signature=0", SIGV4_MALFORMED},
	{"&X-Amz-Signature=", "&X-Amz-Signature=&X-Amz-Signature=", SIGV4_MALFORMED},
	{"&X-Amz-Signature=", "&Signature=", SIGV4_MALFORMED},
	{"/k?", "/k?X-Amz-Security-Token=t&", SIGV4_UNKNOWN_KEY},
	{"/k?", "/k?X-Amz-Security-Token=&", SIGV4_UNKNOWN_KEY},
};

static void test_changed(void)
{
	static const struct sigv4_pair query[] = {PAIR("v", "1")};
	const struct sigv4_request request = {.method = "GET", .host = HOST, .path = STR("/k"), .query = query, .query_count = 1};
	struct sigv4_verified verified = {0};
	const char *url = NULL;

	arena_reset(&arena);
	is_i64(sigv4_presign(&arena, &example, &request, "https", NOW, 900, &url), OK, "a URL to be changed");
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		const char *what = arena_printf(&arena, "%s for %s", changes[i].to, changes[i].from);
		is_reason(receive("GET", replaced(url, changes[i].from, changes[i].to), &plain_sent, &example, NOW, &verified), changes[i].reason, what);
	}
	const char *signature = strstr(url, "X-Amz-Signature=");
	const char *unsorted = arena_printf(&arena, "https://" HOST "/k?%s&%.*s", signature, (int)(signature - strchr(url, '?') - 2), strchr(url, '?') + 1);
	is_reason(receive("GET", unsorted, &plain_sent, &example, NOW, &verified), SIGV4_OK, "the order does not matter");
	unsigned accepted = 0;
	for (size_t i = 0; i < 64; i++) {
		char *changed = arena_strdup(&arena, url);
		char *digit = changed + (signature - url) + 16 + i;
		*digit = *digit == '0' ? '1' : '0';
		accepted += receive("GET", changed, &plain_sent, &example, NOW, &verified) == SIGV4_OK;
	}
	is_i64(accepted, 0, "no changed digit of the signature is accepted");
}

static void test_credentials(void)
{
	const struct sigv4_request request = {.method = "GET", .host = HOST, .path = STR("/k")};
	struct sigv4_credentials session = example, other = example, broken = example;
	struct sigv4_verified verified = {0};
	char long_secret[200] = {0};
	const char *url = NULL;

	session.session_token = "token/+=";
	is_i64(sigv4_presign(&arena, &session, &request, "https", NOW, 900, &url), OK, "a session token");
	ok(strstr(url, "&X-Amz-Security-Token=token%2F%2B%3D&") != NULL, "stands in the URL");
	is_reason(receive("GET", url, &plain_sent, &session, NOW, &verified), SIGV4_OK, "and comes back");
	is_reason(receive("GET", url, &plain_sent, &example, NOW, &verified), SIGV4_UNKNOWN_KEY, "not expected");
	other.session_token = "another";
	is_reason(receive("GET", url, &plain_sent, &other, NOW, &verified), SIGV4_UNKNOWN_KEY, "another one expected");
	is_i64(sigv4_presign(&arena, &example, &request, "https", NOW, 900, &url), OK, "without one");
	is_reason(receive("GET", url, &plain_sent, &session, NOW, &verified), SIGV4_UNKNOWN_KEY, "one expected");
	other = example;
	other.secret_key = "another secret";
	is_reason(receive("GET", url, &plain_sent, &other, NOW, &verified), SIGV4_BAD_SIGNATURE, "another secret");
	other.access_key = "A/KEY/with/slashes";
	is_i64(sigv4_presign(&arena, &other, &request, "https", NOW, 900, &url), OK, "an access key with slashes");
	is_reason(receive("GET", url, &plain_sent, &other, NOW, &verified), SIGV4_OK, "comes back");

	memset(long_secret, 's', sizeof long_secret - 1);
	broken.secret_key = long_secret;
	is_i64(sigv4_presign(&arena, &broken, &request, "https", NOW, 900, &url), ERR_INVALID, "a secret that is too long");
	broken.secret_key = "";
	is_i64(sigv4_presign(&arena, &broken, &request, "https", NOW, 900, &url), ERR_INVALID, "an empty secret");
	is_reason(receive("GET", url, &plain_sent, &broken, NOW, &verified), SIGV4_MALFORMED, "verifies nothing");
}

/* More scopes than signing keys are kept, twice, so that every one is derived again. */
static void test_key_cache(void)
{
	const struct sigv4_request request = {.method = "GET", .host = HOST, .path = STR("/k")};
	struct sigv4_verified verified = {0};
	unsigned good = 0;

	for (int round = 0; round < 2; round++) {
		for (int64_t day = 0; day < 12; day++) {
			const char *url = NULL;
			arena_reset(&arena);
			if (sigv4_presign(&arena, &example, &request, "https", NOW + day * 86400, 900, &url) == OK)
				good += receive("GET", url, &plain_sent, &example, NOW + day * 86400, &verified) == SIGV4_OK;
		}
		sigv4_forget_keys();
	}
	is_i64(good, 24, "keys of many days");
}

static void test_refused_to_sign(void)
{
	static const struct sigv4_pair twice[] = {PAIR("a", "1"), PAIR("A", "2")}, host[] = {PAIR("Host", "x")}, line[] = {PAIR("a", "1\nb:2")},
	                               nameless[] = {PAIR("", "1")};
	static const struct {
		const struct sigv4_pair *headers;
		size_t count;
		const char *what;
	} cases[] = {{twice, 2, "a header twice"}, {host, 1, "host again"}, {line, 1, "a line break"}, {nameless, 1, "no name"}};
	struct sigv4_request request = {.method = "GET", .host = HOST, .path = STR("/k")};
	static struct sigv4_pair many[SIGV4_PAIRS_MAX + 1];
	struct sigv4_headers headers = {0};
	const char *url = NULL;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		request.headers = cases[i].headers;
		request.header_count = cases[i].count;
		is_i64(sigv4_presign(&arena, &example, &request, "https", NOW, 900, &url), ERR_INVALID, cases[i].what);
		is_i64(sigv4_sign(&arena, &example, &request, EMPTY_SHA256, NOW, &headers), ERR_INVALID, cases[i].what);
	}
	request = (struct sigv4_request){.method = "GET", .host = HOST, .path = STR("k")};
	is_i64(sigv4_presign(&arena, &example, &request, "https", NOW, 900, &url), ERR_INVALID, "a path without its slash");
	request = (struct sigv4_request){.method = "GET", .host = HOST, .path = STR("/k"), .query = many, .query_count = SIGV4_PAIRS_MAX + 1};
	is_i64(sigv4_presign(&arena, &example, &request, "https", NOW, 900, &url), ERR_TOO_LARGE, "too many parameters");
}

int main(void)
{
	arena_init(&arena, 8 << 20);
	test_documented();
	test_documented_generic();
	test_documented_presigned();
	test_difficult_paths();
	test_parameters_and_headers();
	test_times();
	test_changed();
	test_credentials();
	test_key_cache();
	test_refused_to_sign();
	sigv4_forget_keys();
	arena_release(&arena);
	return tap_done();
}
