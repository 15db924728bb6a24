/* The key source against files and a rude server: rotation, limits on asking, staleness, and every bad answer. */
#include "core/crypto/jwks.h"

#include "core/base/clock.h"
#include "core/net/http.h"
#include "tests/unit/loopback.h"
#include "tests/unit/tap.h"
#include "tests/unit/token_tools.h"

#include <fcntl.h>

#define NOW 1700000000
#define GOOD "{\"sub\":\"u1\",\"exp\":1700000600}"

static const struct jwt_policy no_policy;
static struct arena arena;

static enum jwt_reason verify_as(struct jwks *jwks, EVP_PKEY *key, const char *header)
{
	struct jwt_claims claims = {0};
	struct buf token;

	buf_init(&token, 8192);
	if (key != NULL)
		tools_signed(&token, key, header, GOOD);
	else
		tools_hs256(&token, TOOLS_SECRET, 32, header, GOOD);
	arena_reset(&arena);
	enum jwt_reason reason = jwks_verify(jwks, &arena, &no_policy, token.data, token.len, NOW, &claims);
	buf_release(&token);
	return reason;
}

static void is_reason(enum jwt_reason got, enum jwt_reason expected, const char *what)
{
	ok(got == expected, "%s: %s", jwt_reason_name(expected), what);
	if (got != expected)
		printf("# got: %s\n", jwt_reason_name(got));
}

static void publish(struct loopback *server, EVP_PKEY *key, const char *kid)
{
	struct buf json;

	buf_init(&json, 65536);
	tools_jwks(&json, key, kid, "");
	loopback_set(server, LOOPBACK_BODY, 200, json.data);
	buf_release(&json);
}

/* As if that many seconds had passed since the source was last asked / last loaded. */
static void let_pass(struct jwks *jwks, int64_t seconds)
{
	jwks->asked_us -= seconds * 1000000;
	jwks->loaded_us -= seconds * 1000000;
}

static void test_options(void)
{
	static const struct {
		struct jwks_options options;
		enum err err;
		const char *what;
	} cases[] = {
		{{0}, ERR_INVALID, "nothing at all"},
		{{.location = "http://127.0.0.1/keys"}, ERR_INVALID, "http"},
		{{.location = "keys.json"}, ERR_INVALID, "a relative path"},
		{{.location = "file:///keys.json"}, ERR_INVALID, "a file URL"},
		{{.secret = "short", .secret_length = 5}, ERR_INVALID, "a short secret"},
		{{.secret = "", .secret_length = 0}, ERR_INVALID, "an empty secret"},
		{{.location = "https://id.example/keys"}, OK, "https"},
		{{.location = "/etc/keys.json"}, OK, "a path"},
		{{.secret = TOOLS_SECRET, .secret_length = 32}, OK, "a secret"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct jwks jwks;
		is_i64(jwks_init(&jwks, &cases[i].options), cases[i].err, cases[i].what);
		jwks_release(&jwks);
	}
}

static void test_secret_only(EVP_PKEY *key)
{
	const struct jwks_options options = {.secret = TOOLS_SECRET, .secret_length = 32};
	struct jwks jwks;

	is_i64(jwks_init(&jwks, &options), OK, "a secret and no key set");
	is_reason(verify_as(&jwks, NULL, "{\"alg\":\"HS256\"}"), JWT_OK, "HS256");
	is_reason(verify_as(&jwks, key, "{\"alg\":\"ES256\",\"kid\":\"a\"}"), JWT_UNKNOWN_KEY, "ES256");
	jwks_release(&jwks);
}

static void write_keys(const char *path, EVP_PKEY *key, const char *kid)
{
	struct buf json;
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	buf_init(&json, 65536);
	tools_jwks(&json, key, kid, "");
	ok(fd >= 0 && write(fd, json.data, json.len) == (ssize_t)json.len, "keys on disk");
	close(fd);
	buf_release(&json);
}

static void test_file(EVP_PKEY *first, EVP_PKEY *second)
{
	char path[] = "/tmp/tidegate-jwks-XXXXXX";
	struct jwks_options options = {.location = path, .secret = TOOLS_SECRET, .secret_length = 32};
	struct jwks jwks;
	const char *why = NULL;
	int fd = mkstemp(path);

	is_i64(jwks_init(&jwks, &options), OK, "a file and a secret");
	is_reason(verify_as(&jwks, first, "{\"alg\":\"ES256\",\"kid\":\"a\"}"), JWT_KEYS_UNAVAILABLE, "the file is empty");
	is_reason(verify_as(&jwks, NULL, "{\"alg\":\"HS256\"}"), JWT_OK, "the secret works all the same");
	write_keys(path, first, "a");
	is_reason(verify_as(&jwks, first, "{\"alg\":\"ES256\",\"kid\":\"a\"}"), JWT_KEYS_UNAVAILABLE, "asked a moment ago");
	let_pass(&jwks, 31);
	is_reason(verify_as(&jwks, first, "{\"alg\":\"ES256\",\"kid\":\"a\"}"), JWT_OK, "asked again later");
	is_reason(verify_as(&jwks, NULL, "{\"alg\":\"HS256\"}"), JWT_OK, "the secret beside it");
	write_keys(path, second, "b");
	let_pass(&jwks, 31);
	is_reason(verify_as(&jwks, second, "{\"alg\":\"ES256\",\"kid\":\"b\"}"), JWT_OK, "rotation");
	is_reason(verify_as(&jwks, first, "{\"alg\":\"ES256\",\"kid\":\"a\"}"), JWT_UNKNOWN_KEY, "the old key is gone");
	is_i64(ftruncate(fd, 0), 0, "an emptied file");
	is_i64(jwks_load(&jwks, &why), ERR_INVALID, "is no key set");
	is_reason(verify_as(&jwks, second, "{\"alg\":\"ES256\",\"kid\":\"b\"}"), JWT_OK, "the last good keys stay");
	is_i64(ftruncate(fd, (off_t)JWKS_BYTES_MAX + 1), 0, "a huge file");
	is_i64(jwks_load(&jwks, &why), ERR_TOO_LARGE, "is refused");
	unlink(path);
	is_i64(jwks_load(&jwks, &why), ERR_IO, "no file");
	jwks_release(&jwks);
	options.location = "/tmp";
	is_i64(jwks_init(&jwks, &options), OK, "a directory");
	is_i64(jwks_load(&jwks, &why), ERR_IO, "is no file");
	jwks_release(&jwks);
	close(fd);
}

static void test_rotation(struct loopback *server, const struct jwks_options *options, EVP_PKEY *first, EVP_PKEY *second)
{
	struct jwks jwks;
	int before = 0;

	publish(server, first, "a");
	is_i64(jwks_init(&jwks, options), OK, "a URL");
	before = server->shared->requests;
	is_reason(verify_as(&jwks, first, "{\"alg\":\"ES256\",\"kid\":\"a\"}"), JWT_OK, "the first token loads the keys");
	is_reason(verify_as(&jwks, first, "{\"alg\":\"ES256\",\"kid\":\"a\"}"), JWT_OK, "the second");
	is_i64(server->shared->requests, before + 1, "does not");
	publish(server, second, "b");
	for (int i = 0; i < 50; i++)
		(void)verify_as(&jwks, second, "{\"alg\":\"ES256\",\"kid\":\"../../b\"}");
	is_reason(verify_as(&jwks, second, "{\"alg\":\"ES256\",\"kid\":\"b\"}"), JWT_UNKNOWN_KEY, "an unknown kid, too early");
	is_i64(server->shared->requests, before + 1, "unknown kids ask nothing within 30 s");
	let_pass(&jwks, 31);
	is_reason(verify_as(&jwks, second, "{\"alg\":\"ES256\",\"kid\":\"b\"}"), JWT_OK, "an unknown kid, 30 s later");
	is_i64(server->shared->requests, before + 2, "asks once");
	let_pass(&jwks, 31);
	is_reason(verify_as(&jwks, second, "{\"alg\":\"ES256\",\"kid\":\"http://127.0.0.1/evil\"}"), JWT_UNKNOWN_KEY, "a hostile kid");
	is_text(server->shared->path, "/keys", "asks for nothing but the set");
	is_i64(server->shared->requests, before + 3, "and once");

	/* Ten minutes later the keys are loaded again; when that fails they stay. */
	loopback_set(server, LOOPBACK_BODY, 500, "");
	let_pass(&jwks, 601);
	is_reason(verify_as(&jwks, second, "{\"alg\":\"ES256\",\"kid\":\"b\"}"), JWT_OK, "stale keys on error");
	is_i64(server->shared->requests, before + 4, "after asking");
	is_reason(verify_as(&jwks, second, "{\"alg\":\"ES256\",\"kid\":\"b\"}"), JWT_OK, "again");
	is_i64(server->shared->requests, before + 4, "without asking");
	publish(server, first, "a");
	let_pass(&jwks, 31);
	is_reason(verify_as(&jwks, second, "{\"alg\":\"ES256\",\"kid\":\"b\"}"), JWT_UNKNOWN_KEY, "withdrawn keys go as soon as the set loads");
	is_reason(verify_as(&jwks, first, "{\"alg\":\"ES256\",\"kid\":\"a\"}"), JWT_OK, "and the new ones work");
	jwks_release(&jwks);
}

static void test_bad_answers(struct loopback *server, const struct jwks_options *options, EVP_PKEY *key)
{
	static const struct {
		enum loopback_mode mode;
		int status;
		const char *body;
		enum err err;
		const char *what;
	} cases[] = {
		{LOOPBACK_STALL, 200, "", ERR_TIMEOUT, "a server that says nothing"},
		{LOOPBACK_DRIBBLE, 200, "", ERR_TIMEOUT, "a server that dribbles"},
		{LOOPBACK_FLOOD, 200, "", ERR_TOO_LARGE, "a huge set"},
		{LOOPBACK_HEADERS, 200, "", ERR_TOO_LARGE, "huge headers"},
		{LOOPBACK_REDIRECT, 302, "", ERR_UNAVAILABLE, "a redirect"},
		{LOOPBACK_HANG_UP, 200, "", ERR_UNAVAILABLE, "a closed connection"},
		{LOOPBACK_GARBAGE, 200, "", ERR_UNAVAILABLE, "no HTTP"},
		{LOOPBACK_BODY, 404, "{\"keys\":[]}", ERR_UNAVAILABLE, "404"},
		{LOOPBACK_BODY, 204, "", ERR_UNAVAILABLE, "204"},
		{LOOPBACK_BODY, 200, "<html>", ERR_INVALID, "a web page"},
		{LOOPBACK_BODY, 200, "{\"keys\":[]}", ERR_INVALID, "an empty set"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct jwks jwks;
		const char *why = NULL;
		publish(server, key, "a");
		is_i64(jwks_init(&jwks, options), OK, "a URL");
		is_i64(jwks_load(&jwks, &why), OK, "good keys");
		loopback_set(server, cases[i].mode, cases[i].status, cases[i].body);
		int before = server->shared->requests;
		int64_t start = clock_monotonic_us();
		is_i64(jwks_load(&jwks, &why), cases[i].err, cases[i].what);
		ok(why != NULL && clock_monotonic_us() - start < 3000000, "in time: %s", why != NULL ? why : "");
		is_i64(server->shared->requests, before + 1, "one request");
		is_reason(verify_as(&jwks, key, "{\"alg\":\"ES256\",\"kid\":\"a\"}"), JWT_OK, "the good keys stay");
		jwks_release(&jwks);
	}
}

int main(void)
{
	EVP_PKEY *first = EVP_EC_gen("P-256"), *second = EVP_EC_gen("P-256");
	struct loopback server = {0};
	char url[64] = {0};

	arena_init(&arena, 1 << 20);
	test_options();
	test_secret_only(first);
	test_file(first, second);
	if (ok(loopback_start(&server), "a server")) {
		snprintf(url, sizeof url, "http://127.0.0.1:%u/keys", server.port);
		const struct jwks_options options = {.location = url, .allow_loopback_http = true, .timeout_ms = 500};
		test_rotation(&server, &options, first, second);
		test_bad_answers(&server, &options, first);
		loopback_stop(&server);
	}
	http_close_all();
	arena_release(&arena);
	EVP_PKEY_free(first);
	EVP_PKEY_free(second);
	return tap_done();
}
