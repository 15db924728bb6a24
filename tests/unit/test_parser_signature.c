/* Calls signed by parsers: a known signature, both secrets, and everything that must not pass, in the order in which it is checked. */
#include "core/crypto/parser_signature.h"
#include "tests/unit/tap.h"

#define SECRET "secret"
#define PATH "/api/import-callback"
#define NOW 1700000000
#define STAMP "1700000000"
#define NONCE "0123456789abcdef"
#define BODY "{\"batchId\":\"batch_0001\",\"stage\":\"parsing\"}"
#define SIGNATURE "c73d8f180cf9e61d60378d1f9d34364ac52fb9747630081ec91e8d9348eadb8c"

static struct parser_call known(void)
{
	return (struct parser_call){.method = "POST", .path = STR(PATH), .timestamp = STAMP, .nonce = NONCE, .signature = SIGNATURE, .body = STR(BODY)};
}

static void test_vector(void)
{
	struct parser_call call = known();
	char hash[SHA256_HEX_SIZE], signature[SHA256_HEX_SIZE];
	sha256_hex(BODY, strlen(BODY), hash);
	is_text(hash, "4abec45636a4b6dccfde10e42cb1f032b914ab031f5cfc1a57e95d2105cfeff4", "the digest of the body");
	parser_sign(SECRET, &call, signature);
	is_text(signature, SIGNATURE, "the known signature");
	is_i64(parser_verify(SECRET, "", &call, NOW), OK, "it is verified");
	call.body = STR("");
	parser_sign(SECRET, &call, signature);
	call.signature = signature;
	is_i64(parser_verify(SECRET, "", &call, NOW), OK, "an empty body has a signature");
	call.body = (struct str){NULL, 0};
	is_i64(parser_verify(SECRET, "", &call, NOW), OK, "no body is an empty one");
}

static void test_keys(void)
{
	static const struct {
		const char *name, *current, *next;
		enum err err;
	} cases[] = {
	    {"the current secret", SECRET, "", OK},
	    {"the next secret", "", SECRET, OK},
	    {"the next of two", "another", SECRET, OK},
	    {"both alike", SECRET, SECRET, OK},
	    {"another secret", "another", "", ERR_DENIED},
	    {"two others", "another", "Secret", ERR_DENIED},
	    {"part of the secret", "secre", "secret ", ERR_DENIED},
	    {"no secret at all", "", "", ERR_DENIED},
	};
	struct parser_call call = known();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_i64(parser_verify(cases[i].current, cases[i].next, &call, NOW), cases[i].err, cases[i].name);
	/* What nobody has configured is no key, not even for who signs with it. */
	char signature[SHA256_HEX_SIZE];
	parser_sign("", &call, signature);
	call.signature = signature;
	is_i64(parser_verify("", "", &call, NOW), ERR_DENIED, "signed with the empty secret");
}

static void test_clock(void)
{
	static const struct {
		int64_t now;
		enum err err;
	} cases[] = {
	    {NOW - PARSER_SKEW_S - 1, ERR_TIMEOUT}, {NOW - PARSER_SKEW_S, OK}, {NOW + PARSER_SKEW_S, OK}, {NOW + PARSER_SKEW_S + 1, ERR_TIMEOUT}, {0, ERR_TIMEOUT},
	    {INT64_C(4000000000), ERR_TIMEOUT},
	};
	struct parser_call call = known();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(parser_verify(SECRET, "", &call, cases[i].now) == cases[i].err, "at %+lld s: %s", (long long)(cases[i].now - NOW), err_name(cases[i].err));
	call.timestamp = "9223372036854775807";
	is_i64(parser_verify(SECRET, "", &call, NOW), ERR_TIMEOUT, "the last second there is");
	/* The shape goes before the clock, the clock before the signature. */
	call = known();
	call.signature = "0000000000000000000000000000000000000000000000000000000000000000";
	is_i64(parser_verify(SECRET, "", &call, NOW + 1000), ERR_TIMEOUT, "late and forged: late");
	call.nonce = "short";
	is_i64(parser_verify(SECRET, "", &call, NOW + 1000), ERR_INVALID, "late, forged, and no nonce: the shape");
}

static void test_shapes(void)
{
	static char longest[PARSER_NONCE_MAX + 1], longer[PARSER_NONCE_MAX + 2];
	memset(longest, 'n', PARSER_NONCE_MAX);
	memset(longer, 'n', PARSER_NONCE_MAX + 1);
	static const char *const stamps[] = {NULL, "", " ", "now", "-1700000000", "+1700000000", " 1700000000", "1700000000 ", "1700000000.0", "1.7e9", "0x6553f100",
	                                     "1700000000\n", "17000000000000000000000"};
	static const char *const nonces[] = {NULL, "", "0123456789abcde", "0123456789abcde\n", "0123456789 abcdef", "0123456789\tabcdef", "0123456789abcd\xc3\xa9", longer};
	static const char *const signatures[] = {NULL, "", "c73d", (SIGNATURE "0"), "C73D8F180CF9E61D60378D1F9D34364AC52FB9747630081EC91E8D9348EADB8C",
	                                         "sha256=c73d8f180cf9e61d60378d1f9d34364ac52fb9747630081ec91e8d9348eadb8c",
	                                         "g73d8f180cf9e61d60378d1f9d34364ac52fb9747630081ec91e8d9348eadb8c",
	                                         " 73d8f180cf9e61d60378d1f9d34364ac52fb9747630081ec91e8d9348eadb8c"};
	struct parser_call call = known();
	for (size_t i = 0; i < sizeof(stamps) / sizeof(stamps[0]); i++) {
		call.timestamp = stamps[i];
		ok(parser_verify(SECRET, "", &call, NOW) == ERR_INVALID, "no time: %s", stamps[i] ? stamps[i] : "(none)");
	}
	call = known();
	for (size_t i = 0; i < sizeof(nonces) / sizeof(nonces[0]); i++) {
		call.nonce = nonces[i];
		ok(parser_verify(SECRET, "", &call, NOW) == ERR_INVALID, "no nonce: case %zu", i);
	}
	call = known();
	for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
		call.signature = signatures[i];
		ok(parser_verify(SECRET, "", &call, NOW) == ERR_INVALID, "no signature: case %zu", i);
	}
	char signature[SHA256_HEX_SIZE];
	call = known();
	call.nonce = longest;
	call.signature = signature;
	parser_sign(SECRET, &call, signature);
	is_i64(parser_verify(SECRET, "", &call, NOW), OK, "the longest nonce");
}

/* One thing about the call is another than what was signed. */
static void test_altered(void)
{
	static const struct {
		const char *name;
		struct parser_call call;
	} cases[] = {
	    {"method", {"PUT", STR(PATH), STAMP, NONCE, SIGNATURE, STR(BODY)}},
	    {"path", {"POST", STR("/api/import-callbacks"), STAMP, NONCE, SIGNATURE, STR(BODY)}},
	    {"case of the path", {"POST", STR("/API/import-callback"), STAMP, NONCE, SIGNATURE, STR(BODY)}},
	    {"time", {"POST", STR(PATH), "1700000001", NONCE, SIGNATURE, STR(BODY)}},
	    {"time written with a zero", {"POST", STR(PATH), "01700000000", NONCE, SIGNATURE, STR(BODY)}},
	    {"nonce", {"POST", STR(PATH), STAMP, "0123456789abcdeg", SIGNATURE, STR(BODY)}},
	    {"body", {"POST", STR(PATH), STAMP, NONCE, SIGNATURE, STR(BODY " ")}},
	    {"no body", {"POST", STR(PATH), STAMP, NONCE, SIGNATURE, {NULL, 0}}},
	    {"first digit of the signature", {"POST", STR(PATH), STAMP, NONCE, "d73d8f180cf9e61d60378d1f9d34364ac52fb9747630081ec91e8d9348eadb8c", STR(BODY)}},
	    {"last digit of the signature", {"POST", STR(PATH), STAMP, NONCE, "c73d8f180cf9e61d60378d1f9d34364ac52fb9747630081ec91e8d9348eadb8d", STR(BODY)}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_i64(parser_verify(SECRET, "", &cases[i].call, NOW), ERR_DENIED, cases[i].name);
}

/* What is too long to be signed is refused, not signed in part. */
static void test_long(void)
{
	static char path[4096], zeros[1000];
	char signature[SHA256_HEX_SIZE];
	memset(path, 'p', sizeof(path));
	struct parser_call call = known();
	call.signature = signature;
	call.path = (struct str){path, 700};
	parser_sign(SECRET, &call, signature);
	is_i64(parser_verify(SECRET, "", &call, NOW), OK, "a long address");
	for (size_t n = 720; n <= sizeof(path); n *= 2) {
		call.path.n = n;
		parser_sign(SECRET, &call, signature);
		enum err err = parser_verify(SECRET, "", &call, NOW);
		path[n - 1] = 'q';
		ok(err == ERR_INVALID || parser_verify(SECRET, "", &call, NOW) == ERR_DENIED, "%zu bytes of address: all of them count", n);
		path[n - 1] = 'p';
	}
	call.path.n = sizeof(path);
	is_i64(parser_verify(SECRET, "", &call, NOW), ERR_INVALID, "an address that is too long");
	call = known();
	memset(zeros, '0', sizeof(zeros) - sizeof(STAMP));
	memcpy(zeros + sizeof(zeros) - sizeof(STAMP), STAMP, sizeof(STAMP));
	call.timestamp = zeros;
	call.signature = signature;
	parser_sign(SECRET, &call, signature);
	is_i64(parser_verify(SECRET, "", &call, NOW), ERR_INVALID, "a time with a thousand zeros");
}

int main(void)
{
	test_vector();
	test_keys();
	test_clock();
	test_shapes();
	test_altered();
	test_long();
	return tap_done();
}
