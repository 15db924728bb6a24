/* The token verifier: what it must accept, and the long list of what it must not. */
#include "core/crypto/jwt.h"

#include "core/base/json.h"
#include "core/base/text.h"
#include "tests/unit/tap.h"
#include "tests/unit/token_tools.h"

#include <openssl/bio.h>
#include <openssl/pem.h>

#define NOW 1700000000
#define HS_HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD "{\"sub\":\"u1\",\"exp\":1700000600}"

static const struct jwt_policy no_policy;
static struct arena arena;
static struct buf token;
static struct jwt_claims claims;

static enum jwt_reason verify(struct jwt_keyring *ring, const struct jwt_policy *policy)
{
	arena_reset(&arena);
	return jwt_verify(&arena, ring, policy, buf_text(&token), token.len, NOW, &claims);
}

static void is_reason(enum jwt_reason got, enum jwt_reason expected, const char *what)
{
	ok(got == expected, "%s: %s", jwt_reason_name(expected), what);
	if (got != expected)
		printf("# got: %s\n", jwt_reason_name(got));
}

static void secret_ring(struct jwt_keyring *ring)
{
	jwt_keyring_init(ring);
	ok(jwt_keyring_add_secret(ring, NULL, TOOLS_SECRET, strlen(TOOLS_SECRET)) == OK, "a secret of 32 bytes");
}

static enum err ring_of(struct jwt_keyring *ring, const char *json, const char **ret_why)
{
	struct arena scratch;

	arena_init(&scratch, 1 << 20);
	enum err err = jwt_keyring_add_jwks(ring, &scratch, json, strlen(json), ret_why);
	arena_release(&scratch);
	return err;
}

static void key_ring(struct jwt_keyring *ring, EVP_PKEY *key, const char *kid)
{
	struct buf json;
	const char *why = NULL;

	buf_init(&json, 65536);
	tools_jwks(&json, key, kid, ",\"use\":\"sig\"");
	jwt_keyring_init(ring);
	ok(ring_of(ring, json.data, &why) == OK && ring->count == 1, "a key set of one key");
	buf_release(&json);
}

/* RFC 7515 appendix A.1 (its key and token, expired since 2011). */
static void test_published_hs256(void)
{
	static const char text[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
	                           ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	                           ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
	static const char key[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
	struct jwt_keyring ring;
	uint8_t secret[80] = {0};
	size_t n = 0;

	jwt_keyring_init(&ring);
	ok(base64url_decode(key, strlen(key), secret, sizeof secret, &n) == OK && n == 64, "key of RFC 7515 A.1");
	ok(jwt_keyring_add_secret(&ring, NULL, secret, n) == OK, "is long enough");
	is_reason(jwt_verify(&arena, &ring, &no_policy, text, strlen(text), 1300819370, &claims), JWT_BAD_CLAIM, "RFC 7515 A.1 has no sub");
	is_reason(jwt_verify(&arena, &ring, &no_policy, text, strlen(text), 1300819380, &claims), JWT_EXPIRED, "RFC 7515 A.1 later");
	jwt_keyring_release(&ring);
}

/* A queue service's token, under a key shorter than our own may be. */
static void test_foreign_secret(void)
{
	static const char text[] =
		"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJVcHN0YXNoIiwic3ViIjoiaHR0cHM6Ly9leGFtcGxlLmNvbS9ob29rIiwiZXhwIjoxNjU2NTgwNjEy"
		"LCJuYmYiOjE2NTY1ODAzMTIsImlhdCI6MTY1NjU4MDMxMiwianRpIjoiand0XzY3a3hYRDZVQkFrN0RxVTZoenVITURkWEZYZlAiLCJib2R5IjoiazZJNWNha1U1"
		"ZXJMOEtqU1VWVE5vd25Ed2NjdnU1a1UxSHhnODh0b0ZZZz0ifQ.";
	static const struct jwt_policy policy = {.issuer = "Upstash"};
	static const struct {
		const char *key, *signature;
	} signatures[] = {
		{"sig_current", "oFPGMoTpc7EGtVpRsbPxSCpzo_jaoA517n04okY1wxA"},
		{"sig_next", "w03StdbDYUNHSIrUriWtG1tKzDFAc41u3IoicJ1CN00"},
	};

	for (size_t i = 0; i < 2; i++) {
		struct jwt_keyring ring;
		jwt_keyring_init(&ring);
		ok(jwt_keyring_add_secret(&ring, NULL, signatures[i].key, strlen(signatures[i].key)) == ERR_INVALID, "too short for us");
		ok(jwt_keyring_add_foreign_secret(&ring, NULL, signatures[i].key, strlen(signatures[i].key)) == OK, "but not for others");
		buf_clear(&token);
		buf_append_text(&token, text);
		buf_append_text(&token, signatures[i].signature);
		arena_reset(&arena);
		is_reason(jwt_verify(&arena, &ring, &policy, token.data, token.len, 1656580400, &claims), JWT_OK, "a queue service's token");
		is_text(claims.sub, "https://example.com/hook", "sub is a URL there");
		is_text(json_text(claims.all, "body"), "k6I5cakU5erL8KjSUVTNownDwccvu5kU1Hxg88toFYg=", "other claims can be read");
		is_text(claims.jti, "jwt_67kxXD6UBAk7DqU6hzuHMDdXFXfP", "jti");
		jwt_keyring_release(&ring);
	}
}

struct claim_case {
	const char *payload;
	enum jwt_reason reason;
};

static const struct claim_case claim_cases[] = {
	{GOOD, JWT_OK},
	{"{\"sub\":\"u1\"}", JWT_BAD_CLAIM},
	{"{\"exp\":1700000600}", JWT_BAD_CLAIM},
	{"{\"sub\":\"\",\"exp\":1700000600}", JWT_BAD_CLAIM},
	{"{\"sub\":7,\"exp\":1700000600}", JWT_BAD_CLAIM},
	{"{\"sub\":null,\"exp\":1700000600}", JWT_BAD_CLAIM},
	{"{\"sub\":\"a\\nb\",\"exp\":1700000600}", JWT_BAD_CLAIM},
	{"{\"sub\":\"a\\u007fb\",\"exp\":1700000600}", JWT_BAD_CLAIM},
	{"{\"sub\":\"a\\u0085b\",\"exp\":1700000600}", JWT_BAD_CLAIM},
	{"{\"sub\":\"a\\u0000b\",\"exp\":1700000600}", JWT_MALFORMED},
	{"{\"sub\":\"\xff\",\"exp\":1700000600}", JWT_MALFORMED},
	{"{\"sub\":\"\\u00e9\\u00a0\xf0\x9f\x8e\xb3\",\"exp\":1700000600}", JWT_OK},
	/* exp: before it, at it, and every wrong form */
	{"{\"sub\":\"u1\",\"exp\":1700000001}", JWT_OK},
	{"{\"sub\":\"u1\",\"exp\":1700000000}", JWT_EXPIRED},
	{"{\"sub\":\"u1\",\"exp\":0}", JWT_EXPIRED},
	{"{\"sub\":\"u1\",\"exp\":-1}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":\"1700000600\"}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":1700000600.5}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":1.7e12}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":1e400}", JWT_MALFORMED},
	{"{\"sub\":\"u1\",\"exp\":253402300800}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":9223372036854775807}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":9223372036854775808}", JWT_MALFORMED},
	{"{\"sub\":\"u1\",\"exp\":true}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":null}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":[1700000600]}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"exp\":1700000601}", JWT_MALFORMED},
	/* nbf and iat */
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"nbf\":1700000000,\"iat\":1700000000}", JWT_OK},
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"nbf\":1700000001}", JWT_NOT_YET_VALID},
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"iat\":1700000001}", JWT_NOT_YET_VALID},
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"nbf\":\"0\"}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"iat\":-5}", JWT_BAD_CLAIM},
	/* shapes */
	{"[]", JWT_MALFORMED},
	{"\"text\"", JWT_MALFORMED},
	{"", JWT_MALFORMED},
	{"{", JWT_MALFORMED},
	{GOOD " x", JWT_MALFORMED},
	{"{\"sub\":\"u1\",\"sub\":\"u2\",\"exp\":1700000600}", JWT_MALFORMED},
	/* role, space and jti may be absent, but not strange */
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"role\":null,\"space\":null}", JWT_OK},
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"role\":[\"admin\"]}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"role\":\"\"}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"space\":7}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"space\":\"\"}", JWT_BAD_CLAIM},
	{"{\"sub\":\"u1\",\"exp\":1700000600,\"jti\":{}}", JWT_BAD_CLAIM},
};

static void test_claims(void)
{
	struct jwt_keyring ring;

	secret_ring(&ring);
	for (size_t i = 0; i < sizeof claim_cases / sizeof *claim_cases; i++) {
		tools_hs256(&token, TOOLS_SECRET, 32, HS_HEADER, claim_cases[i].payload);
		is_reason(verify(&ring, &no_policy), claim_cases[i].reason, claim_cases[i].payload);
	}
	jwt_keyring_release(&ring);
}

static void test_leeway(void)
{
	static const struct {
		int64_t leeway;
		const char *payload;
		enum jwt_reason reason;
	} cases[] = {
		{30, "{\"sub\":\"u1\",\"exp\":1699999971}", JWT_OK},
		{30, "{\"sub\":\"u1\",\"exp\":1699999970}", JWT_EXPIRED},
		{30, "{\"sub\":\"u1\",\"exp\":1700000600,\"nbf\":1700000030}", JWT_OK},
		{30, "{\"sub\":\"u1\",\"exp\":1700000600,\"nbf\":1700000031}", JWT_NOT_YET_VALID},
		{9999, "{\"sub\":\"u1\",\"exp\":1699999941}", JWT_OK},
		{9999, "{\"sub\":\"u1\",\"exp\":1699999940}", JWT_EXPIRED},
		{-5, "{\"sub\":\"u1\",\"exp\":1700000001}", JWT_OK},
		{0, "{\"sub\":\"u1\",\"exp\":1700000600,\"iat\":1700000601}", JWT_NOT_YET_VALID},
	};
	struct jwt_keyring ring;

	secret_ring(&ring);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct jwt_policy policy = {.leeway = cases[i].leeway};
		tools_hs256(&token, TOOLS_SECRET, 32, HS_HEADER, cases[i].payload);
		is_reason(verify(&ring, &policy), cases[i].reason, "leeway");
	}
	jwt_keyring_release(&ring);
}

static void test_policy(void)
{
	static const struct jwt_policy policy = {.issuer = "https://id.example", .audience = "gate", .type = "JWT"};
	static const struct {
		const char *header, *payload;
		enum jwt_reason reason;
	} cases[] = {
		{HS_HEADER, "{\"iss\":\"https://id.example\",\"aud\":\"gate\",\"sub\":\"u1\",\"exp\":1700000600}", JWT_OK},
		{HS_HEADER, "{\"iss\":\"https://id.example\",\"aud\":[\"x\",\"gate\"],\"sub\":\"u1\",\"exp\":1700000600}", JWT_OK},
		{HS_HEADER, "{\"iss\":\"https://id.example/\",\"aud\":\"gate\",\"sub\":\"u1\",\"exp\":1700000600}", JWT_WRONG_ISSUER},
		{HS_HEADER, "{\"iss\":[\"https://id.example\"],\"aud\":\"gate\",\"sub\":\"u1\",\"exp\":1700000600}", JWT_WRONG_ISSUER},
		{HS_HEADER, "{\"aud\":\"gate\",\"sub\":\"u1\",\"exp\":1700000600}", JWT_WRONG_ISSUER},
		{HS_HEADER, "{\"iss\":\"https://id.example\",\"sub\":\"u1\",\"exp\":1700000600}", JWT_WRONG_AUDIENCE},
		{HS_HEADER, "{\"iss\":\"https://id.example\",\"aud\":\"gates\",\"sub\":\"u1\",\"exp\":1700000600}", JWT_WRONG_AUDIENCE},
		{HS_HEADER, "{\"iss\":\"https://id.example\",\"aud\":[],\"sub\":\"u1\",\"exp\":1700000600}", JWT_WRONG_AUDIENCE},
		{HS_HEADER, "{\"iss\":\"https://id.example\",\"aud\":{\"gate\":1},\"sub\":\"u1\",\"exp\":1700000600}", JWT_WRONG_AUDIENCE},
		{"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", GOOD, JWT_REFUSED_HEADER},
		{"{\"alg\":\"HS256\"}", GOOD, JWT_REFUSED_HEADER},
	};
	struct jwt_keyring ring;

	secret_ring(&ring);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		tools_hs256(&token, TOOLS_SECRET, 32, cases[i].header, cases[i].payload);
		is_reason(verify(&ring, &policy), cases[i].reason, cases[i].payload);
	}
	jwt_keyring_release(&ring);
}

static void test_claim_paths(void)
{
	static const struct {
		const char *path, *payload, *role;
		enum jwt_reason reason;
	} cases[] = {
		{NULL, "{\"sub\":\"u1\",\"exp\":1700000600,\"role\":\"admin\"}", "admin", JWT_OK},
		{"app_metadata.role", "{\"sub\":\"u1\",\"exp\":1700000600,\"role\":\"no\",\"app_metadata\":{\"role\":\"admin\"}}", "admin", JWT_OK},
		{"a.b.c", "{\"sub\":\"u1\",\"exp\":1700000600,\"a\":{\"b\":{\"c\":\"deep\"}}}", "deep", JWT_OK},
		{"a.b.c", "{\"sub\":\"u1\",\"exp\":1700000600,\"a\":{\"b\":\"c\"}}", NULL, JWT_OK},
		{"https://x.example/role", "{\"sub\":\"u1\",\"exp\":1700000600,\"https://x.example/role\":\"whole\"}", "whole", JWT_OK},
		{"a.b", "{\"sub\":\"u1\",\"exp\":1700000600,\"a\":{\"b\":{}}}", NULL, JWT_BAD_CLAIM},
		{"role", "{\"sub\":\"u1\",\"exp\":1700000600}", NULL, JWT_OK},
	};
	struct jwt_keyring ring;

	secret_ring(&ring);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct jwt_policy policy = {.role_claim = cases[i].path};
		tools_hs256(&token, TOOLS_SECRET, 32, HS_HEADER, cases[i].payload);
		is_reason(verify(&ring, &policy), cases[i].reason, cases[i].payload);
		if (cases[i].reason == JWT_OK)
			is_text(claims.role, cases[i].role, "role");
	}
	tools_hs256(&token, TOOLS_SECRET, 32, HS_HEADER, "{\"sub\":\"u1\",\"exp\":1700000600,\"space\":\"team\"}");
	is_reason(verify(&ring, &no_policy), JWT_OK, "a space");
	is_text(claims.space, "team", "is taken");
	tools_hs256(&token, TOOLS_SECRET, 32, HS_HEADER, GOOD);
	is_reason(verify(&ring, &no_policy), JWT_OK, "no space");
	is_text(claims.space, "u1", "is sub");
	jwt_keyring_release(&ring);
}

static void test_headers(void)
{
	static const struct {
		const char *header;
		enum jwt_reason reason;
	} cases[] = {
		{"{\"alg\":\"HS256\",\"x5t\":\"abc\"}", JWT_OK},
		{"{\"alg\":\"none\"}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"None\"}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"hs256\"}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"HS512\"}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"PS256\"}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"\"}", JWT_REFUSED_HEADER},
		{"{}", JWT_MALFORMED},
		{"{\"alg\":null}", JWT_MALFORMED},
		{"{\"alg\":[\"HS256\"]}", JWT_MALFORMED},
		{"{\"alg\":\"HS256\\u0000\"}", JWT_MALFORMED},
		{"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", JWT_MALFORMED},
		{"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", JWT_MALFORMED},
		{"{\"alg\":\"RS256\"}", JWT_UNKNOWN_KEY},
		{"{\"alg\":\"ES256\"}", JWT_UNKNOWN_KEY},
		{"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"HS256\",\"crit\":[]}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"HS256\",\"crit\":null}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"HS256\",\"jku\":\"https://evil.example/\"}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"HS256\",\"x5u\":\"https://evil.example/\"}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"HS256\",\"x5c\":[]}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"HS256\",\"b64\":false}", JWT_REFUSED_HEADER},
		{"{\"alg\":\"HS256\",\"kid\":\"\"}", JWT_MALFORMED},
		{"{\"alg\":\"HS256\",\"kid\":7}", JWT_MALFORMED},
		{"{\"alg\":\"HS256\",\"kid\":\"k1\"}", JWT_UNKNOWN_KEY},
		{"{\"alg\":\"HS256\",\"kid\":\"../../../../dev/null\"}", JWT_UNKNOWN_KEY},
		{"{\"alg\":\"HS256\",\"kid\":\"' OR 1=1 --\"}", JWT_UNKNOWN_KEY},
		{"{\"alg\":\"HS256\",\"kid\":\"%00\"}", JWT_UNKNOWN_KEY},
		{"[\"alg\",\"HS256\"]", JWT_MALFORMED},
		{"", JWT_MALFORMED},
	};
	struct jwt_keyring ring;

	secret_ring(&ring);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		tools_hs256(&token, TOOLS_SECRET, 32, cases[i].header, GOOD);
		is_reason(verify(&ring, &no_policy), cases[i].reason, cases[i].header);
	}
	jwt_keyring_release(&ring);
}

static void test_shape(void)
{
	struct jwt_keyring ring;
	struct buf json, good;
	unsigned accepted = 0;

	buf_init(&json, 65536);
	buf_init(&good, 65536);
	secret_ring(&ring);
	tools_hs256(&good, TOOLS_SECRET, 32, HS_HEADER, GOOD);
	for (size_t n = 0; n < good.len; n++) {
		buf_clear(&token);
		buf_append(&token, good.data, n);
		accepted += verify(&ring, &no_policy) == JWT_OK;
	}
	is_i64(accepted, 0, "no truncation is accepted");
	for (size_t bit = 0; bit < good.len * 8; bit++) {
		buf_clear(&token);
		buf_append(&token, good.data, good.len);
		token.data[bit / 8] = (char)(token.data[bit / 8] ^ (1 << bit % 8));
		accepted += verify(&ring, &no_policy) == JWT_OK;
	}
	is_i64(accepted, 0, "no flipped bit is accepted");
	for (const char *c = ".=\n a-"; *c != '\0'; c++) {
		buf_clear(&token);
		buf_append(&token, good.data, good.len);
		buf_append_char(&token, *c);
		accepted += verify(&ring, &no_policy) == JWT_OK;
	}
	is_i64(accepted, 0, "nothing may follow");
	buf_clear(&token);
	buf_append_text(&token, "..");
	is_reason(verify(&ring, &no_policy), JWT_MALFORMED, "two dots");

	/* 8 KiB is the limit, whatever stands in them. */
	for (int over = 0; over < 2; over++) {
		buf_clear(&json);
		buf_append_text(&json, "{\"sub\":\"u1\",\"exp\":1700000600,\"x\":\"");
		while (json.len < (size_t)(over ? 6100 : 6000))
			buf_append_char(&json, 'x');
		buf_append_text(&json, "\"}");
		tools_hs256(&token, TOOLS_SECRET, 32, HS_HEADER, json.data);
		is_reason(verify(&ring, &no_policy), token.len > JWT_TOKEN_MAX ? JWT_MALFORMED : JWT_OK, "a long token");
	}
	ok(token.len > JWT_TOKEN_MAX, "the second was over the limit");
	buf_clear(&json);
	buf_append_text(&json, "{\"sub\":\"u1\",\"exp\":1700000600,\"x\":");
	for (int i = 0; i < 2500; i++)
		buf_append_char(&json, '[');
	for (int i = 0; i < 2500; i++)
		buf_append_char(&json, ']');
	buf_append_text(&json, "}");
	tools_hs256(&token, TOOLS_SECRET, 32, HS_HEADER, json.data);
	is_reason(verify(&ring, &no_policy), JWT_MALFORMED, "deep JSON");
	buf_release(&json);
	buf_release(&good);
	jwt_keyring_release(&ring);
}

static void test_sub_length(void)
{
	struct jwt_keyring ring;
	char sub[JWT_TEXT_MAX + 2] = {0}, payload[400] = {0};

	secret_ring(&ring);
	for (size_t n = JWT_TEXT_MAX; n <= JWT_TEXT_MAX + 1; n++) {
		memset(sub, 's', n);
		snprintf(payload, sizeof payload, "{\"sub\":\"%s\",\"exp\":1700000600}", sub);
		tools_hs256(&token, TOOLS_SECRET, 32, HS_HEADER, payload);
		is_reason(verify(&ring, &no_policy), n == JWT_TEXT_MAX ? JWT_OK : JWT_BAD_CLAIM, "length of sub");
	}
	jwt_keyring_release(&ring);
}

/* The classic: the public key, in whatever form, as the secret of an HS256 token. */
static void test_confusion(EVP_PKEY *rsa, EVP_PKEY *ec)
{
	EVP_PKEY *keys[] = {rsa, ec};

	for (size_t i = 0; i < 2; i++) {
		struct jwt_keyring ring;
		struct buf number;
		BIO *bio = BIO_new(BIO_s_mem());
		char *pem = NULL;
		buf_init(&number, 4096);
		key_ring(&ring, keys[i], "k1");
		PEM_write_bio_PUBKEY(bio, keys[i]);
		long pem_length = BIO_get_mem_data(bio, &pem);
		tools_hs256(&token, pem, (size_t)pem_length, "{\"alg\":\"HS256\",\"kid\":\"k1\"}", GOOD);
		is_reason(verify(&ring, &no_policy), JWT_WRONG_ALGORITHM, "PEM as secret");
		tools_number(&number, keys[i], "n", i == 0 ? OSSL_PKEY_PARAM_RSA_N : OSSL_PKEY_PARAM_EC_PUB_X, 1);
		tools_hs256(&token, number.data + 6, number.len - 7, "{\"alg\":\"HS256\",\"kid\":\"k1\"}", GOOD);
		is_reason(verify(&ring, &no_policy), JWT_WRONG_ALGORITHM, "n or x as secret");
		tools_hs256(&token, "", 0, "{\"alg\":\"HS256\"}", GOOD);
		is_reason(verify(&ring, &no_policy), JWT_UNKNOWN_KEY, "the empty secret, no kid");
		tools_unsigned(&token, "{\"alg\":\"none\",\"kid\":\"k1\"}", GOOD);
		buf_append_char(&token, '.');
		is_reason(verify(&ring, &no_policy), JWT_REFUSED_HEADER, "none");
		tools_unsigned(&token, i == 0 ? "{\"alg\":\"RS256\",\"kid\":\"k1\"}" : "{\"alg\":\"ES256\",\"kid\":\"k1\"}", GOOD);
		buf_append_char(&token, '.');
		is_reason(verify(&ring, &no_policy), JWT_BAD_SIGNATURE, "no signature");
		tools_signed(&token, keys[1 - i], i == 0 ? "{\"alg\":\"ES256\",\"kid\":\"k1\"}" : "{\"alg\":\"RS256\",\"kid\":\"k1\"}", GOOD);
		is_reason(verify(&ring, &no_policy), JWT_WRONG_ALGORITHM, "the other kind of key");
		BIO_free(bio);
		buf_release(&number);
		jwt_keyring_release(&ring);
	}
}

static void test_rs256(EVP_PKEY *rsa)
{
	struct jwt_keyring ring;
	uint8_t signature[257] = {0};

	key_ring(&ring, rsa, "k1");
	tools_signed(&token, rsa, "{\"alg\":\"RS256\",\"kid\":\"k1\"}", GOOD);
	is_reason(verify(&ring, &no_policy), JWT_OK, "RS256");
	tools_signed(&token, rsa, "{\"alg\":\"RS256\"}", GOOD);
	is_reason(verify(&ring, &no_policy), JWT_OK, "RS256 without a kid, one key");
	tools_signed(&token, rsa, "{\"alg\":\"RS256\",\"kid\":\"K1\"}", GOOD);
	is_reason(verify(&ring, &no_policy), JWT_UNKNOWN_KEY, "a kid is exact");
	for (size_t n = 255; n <= 257; n++) {
		tools_unsigned(&token, "{\"alg\":\"RS256\",\"kid\":\"k1\"}", GOOD);
		tools_signature(&token, signature, n);
		is_reason(verify(&ring, &no_policy), JWT_BAD_SIGNATURE, "zeros");
	}
	jwt_keyring_release(&ring);
}

static void test_es256(EVP_PKEY *ec)
{
	static const char order[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
	static const struct {
		const char *r, *s, *what;
	} bad[] = {
		{"0", "0", "r = 0, s = 0"}, {"0", "1", "r = 0"}, {"1", "0", "s = 0"}, {"n", "1", "r = n"}, {"1", "n", "s = n"}, {"n", "n", "r = s = n"},
	};
	struct jwt_keyring ring;
	char der_form[] = "0";

	key_ring(&ring, ec, "k1");
	for (int i = 0; i < 20; i++) {
		tools_signed(&token, ec, "{\"alg\":\"ES256\",\"kid\":\"k1\"}", GOOD);
		if (verify(&ring, &no_policy) != JWT_OK)
			der_form[0] = '1';
	}
	is_text(der_form, "0", "ES256, twenty times");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint8_t signature[65] = {0};
		const char *halves[] = {bad[i].r, bad[i].s};
		for (size_t h = 0; h < 2; h++) {
			if (*halves[h] == 'n')
				ok(hex_decode(order, 64, signature + 32 * h, 32) == OK, "order of the curve");
			else
				signature[32 * h + 31] = (uint8_t)(*halves[h] - '0');
		}
		tools_unsigned(&token, "{\"alg\":\"ES256\",\"kid\":\"k1\"}", GOOD);
		tools_signature(&token, signature, 64);
		is_reason(verify(&ring, &no_policy), JWT_BAD_SIGNATURE, bad[i].what);
		tools_unsigned(&token, "{\"alg\":\"ES256\",\"kid\":\"k1\"}", GOOD);
		tools_signature(&token, signature, i % 2 ? 63 : 65);
		is_reason(verify(&ring, &no_policy), JWT_BAD_SIGNATURE, "63 or 65 bytes");
	}
	jwt_keyring_release(&ring);
}

/* RFC 7515 appendix A.3, and A.2's key. */
static void test_published_keys(void)
{
	static const char ec_keys[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	                              "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";
	static const char rsa_keys[] = "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":"
		"\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"}]}";
	static const char payload[] = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	static const struct {
		const char *keys, *header, *signature;
	} cases[] = {
		{ec_keys, "eyJhbGciOiJFUzI1NiJ9", "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
		{rsa_keys, "eyJhbGciOiJSUzI1NiJ9", "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
	};

	for (size_t i = 0; i < 2; i++) {
		struct jwt_keyring ring;
		const char *why = NULL;
		jwt_keyring_init(&ring);
		ok(ring_of(&ring, cases[i].keys, &why) == OK, "a published key");
		buf_clear(&token);
		buf_printf(&token, "%s.%s.%s", cases[i].header, payload, cases[i].signature);
		is_reason(jwt_verify(&arena, &ring, &no_policy, token.data, token.len, 1300819370, &claims), JWT_BAD_CLAIM, "the signature is good, sub is missing");
		is_reason(jwt_verify(&arena, &ring, &no_policy, token.data, token.len, 1300819380, &claims), JWT_EXPIRED, "later");
		token.data[token.len - 3] ^= 1;
		is_reason(jwt_verify(&arena, &ring, &no_policy, token.data, token.len, 1300819370, &claims), JWT_BAD_SIGNATURE, "changed");
		jwt_keyring_release(&ring);
	}
}

/* Key sets that hold one key each; taken or passed over. */
static void test_jwk_rules(EVP_PKEY *rsa, EVP_PKEY *ec)
{
	EVP_PKEY *weak = EVP_RSA_gen(1024), *p384 = EVP_EC_gen("P-384");
	const struct {
		EVP_PKEY *key;
		const char *extra, *what;
		bool taken;
	} cases[] = {
		{rsa, "", "RSA", true},
		{rsa, ",\"alg\":\"RS256\",\"key_ops\":[\"verify\"]", "RSA for RS256", true},
		{rsa, ",\"alg\":\"PS256\"", "RSA for PS256", false},
		{rsa, ",\"alg\":\"HS256\"", "RSA for HS256", false},
		{rsa, ",\"use\":\"enc\"", "RSA for encryption", false},
		{rsa, ",\"key_ops\":[\"encrypt\"]", "RSA for other operations", false},
		{rsa, ",\"key_ops\":[]", "RSA for nothing", false},
		{weak, "", "RSA of 1024 bits", false},
		{ec, ",\"alg\":\"ES256\"", "P-256", true},
		{ec, ",\"alg\":\"ES384\"", "P-256 for another algorithm", false},
		{p384, "", "P-384", false},
		{p384, ",\"alg\":\"ES256\"", "P-384 that says ES256", false},
	};
	struct buf json;

	buf_init(&json, 65536);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct jwt_keyring ring;
		const char *why = NULL;
		jwt_keyring_init(&ring);
		tools_jwks(&json, cases[i].key, "k1", cases[i].extra);
		enum err err = ring_of(&ring, json.data, &why);
		ok(cases[i].taken ? err == OK && ring.count == 1 : err == ERR_INVALID && ring.count == 0, "%s: %s", cases[i].taken ? "taken" : "refused", cases[i].what);
		jwt_keyring_release(&ring);
	}
	buf_release(&json);
	EVP_PKEY_free(weak);
	EVP_PKEY_free(p384);
}

#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC_KEY(kid) "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"" kid "\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"

static void test_bad_sets(void)
{
	static const char *const sets[] = {
		"",
		"{}",
		"[]",
		"{\"keys\":{}}",
		"{\"keys\":[]}",
		"{\"keys\":[7,null,\"x\",[]]}",
		"{\"keys\":[" EC_KEY("a") "," EC_KEY("a") "]}",
		"{\"keys\":[" EC_KEY("a") "],\"keys\":[]}",
		"{\"keys\":[" EC_KEY("") "]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":7,\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}]}",
		"{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X "\"}]}", /* not on the curve */
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"" EC_Y "\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" EC_X "\"}]}",
	};

	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		struct jwt_keyring ring;
		const char *why = NULL;
		jwt_keyring_init(&ring);
		ok(ring_of(&ring, sets[i], &why) == ERR_INVALID && why != NULL, "refused set: %s", sets[i]);
		jwt_keyring_release(&ring);
	}
}

/* A good modulus with exponents that are none. */
static void test_exponents(EVP_PKEY *rsa)
{
	static const struct {
		const char *e;
		bool taken;
	} cases[] = {{"Aw", true}, {"AQAB", true}, {"AQ", false}, {"AA", false}, {"Ag", false}, {"AQAA", false}, {"", false}, {"AQAB=", false}};
	struct buf number, json;

	buf_init(&number, 4096);
	buf_init(&json, 8192);
	tools_number(&number, rsa, "n", OSSL_PKEY_PARAM_RSA_N, 1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct jwt_keyring ring;
		const char *why = NULL;
		jwt_keyring_init(&ring);
		buf_clear(&json);
		buf_printf(&json, "{\"keys\":[{\"kty\":\"RSA\"%s,\"e\":\"%s\"}]}", number.data, cases[i].e);
		ok((ring_of(&ring, json.data, &why) == OK) == cases[i].taken, "e = \"%s\"", cases[i].e);
		jwt_keyring_release(&ring);
	}
	buf_release(&number);
	buf_release(&json);
}

static void test_rings(EVP_PKEY *rsa, EVP_PKEY *ec)
{
	struct jwt_keyring ring;
	struct buf json;
	const char *why = NULL;
	char kid[JWT_TEXT_MAX + 2] = {0};

	memset(kid, 'k', sizeof kid - 1);
	buf_init(&json, 65536);
	secret_ring(&ring);
	ok(jwt_keyring_add_secret(&ring, "", TOOLS_SECRET, 32) == ERR_INVALID, "an empty kid");
	ok(jwt_keyring_add_secret(&ring, kid, TOOLS_SECRET, 32) == ERR_INVALID, "a kid of 256 bytes");
	ok(jwt_keyring_add_secret(&ring, "s", TOOLS_SECRET, 31) == ERR_INVALID, "a secret of 31 bytes");
	ok(jwt_keyring_add_secret(&ring, "s", "", 0) == ERR_INVALID, "an empty secret");
	ok(jwt_keyring_add_foreign_secret(&ring, "s", "", 0) == ERR_INVALID, "an empty secret of others");
	tools_jwks(&json, rsa, "r", "");
	ok(ring_of(&ring, json.data, &why) == OK, "an RSA key besides");
	ok(ring_of(&ring, json.data, &why) == ERR_INVALID, "not twice");
	tools_jwks(&json, ec, "e", "");
	ok(ring_of(&ring, json.data, &why) == OK, "an EC key besides");
	is_i64((int64_t)ring.count, 3, "three keys");
	tools_hs256(&token, TOOLS_SECRET, 32, HS_HEADER, GOOD);
	is_reason(verify(&ring, &no_policy), JWT_OK, "HS256 among others");
	tools_signed(&token, rsa, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD);
	is_reason(verify(&ring, &no_policy), JWT_OK, "RS256 among others");
	tools_signed(&token, ec, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD);
	is_reason(verify(&ring, &no_policy), JWT_OK, "ES256 among others");
	tools_signed(&token, ec, "{\"alg\":\"ES256\"}", GOOD);
	is_reason(verify(&ring, &no_policy), JWT_OK, "no kid, the only key of the algorithm");
	tools_jwks(&json, ec, "e2", "");
	ok(ring_of(&ring, json.data, &why) == OK, "a second EC key");
	is_reason(verify(&ring, &no_policy), JWT_UNKNOWN_KEY, "no kid, two keys that could be meant");
	for (int i = 0; ring.count < JWT_KEYS_MAX; i++) {
		char name[16] = {0};
		snprintf(name, sizeof name, "s%d", i);
		if (jwt_keyring_add_secret(&ring, name, TOOLS_SECRET, 32) != OK)
			break;
	}
	ok(jwt_keyring_add_secret(&ring, "one-more", TOOLS_SECRET, 32) == ERR_TOO_LARGE, "a full ring");
	buf_release(&json);
	jwt_keyring_release(&ring);
}

static void test_mint(void)
{
	const struct jwt_mint mint = {
		.kid = "k1", .issuer = "us", .audience = "gate", .sub = "u\"1", .role = "admin", .role_claim = "app_metadata.role",
		.space = "team", .issued_at = NOW, .lifetime = 60,
	};
	const struct jwt_policy policy = {.issuer = "us", .audience = "gate", .type = "JWT", .role_claim = "app_metadata.role"};
	struct jwt_mint broken = mint;
	struct jwt_keyring ring;

	jwt_keyring_init(&ring);
	ok(jwt_keyring_add_secret(&ring, "k1", TOOLS_SECRET, 32) == OK, "a secret with a kid");
	buf_clear(&token);
	ok(jwt_mint_hs256(&token, TOOLS_SECRET, 32, &mint) == OK, "mint");
	is_reason(verify(&ring, &policy), JWT_OK, "a minted token");
	is_text(claims.sub, "u\"1", "sub");
	is_text(claims.role, "admin", "role");
	is_text(claims.space, "team", "space");
	is_i64(claims.exp, NOW + 60, "exp");
	is_i64(claims.iat, NOW, "iat");
	ok(is_uuid(claims.jti), "jti");
	ok(jwt_mint_hs256(&token, TOOLS_SECRET, 31, &mint) == ERR_INVALID, "a short secret");
	broken.lifetime = 0;
	ok(jwt_mint_hs256(&token, TOOLS_SECRET, 32, &broken) == ERR_INVALID, "no lifetime");
	broken = mint;
	broken.sub = NULL;
	ok(jwt_mint_hs256(&token, TOOLS_SECRET, 32, &broken) == ERR_INVALID, "no sub");
	jwt_keyring_release(&ring);
}

static void test_small_arena(void)
{
	struct jwt_keyring ring;
	struct arena small;
	bool only_expected = true;

	secret_ring(&ring);
	tools_hs256(&token, TOOLS_SECRET, 32, HS_HEADER, GOOD);
	for (size_t cap = 0; cap < 2048; cap += 16) {
		arena_init(&small, cap);
		enum jwt_reason reason = jwt_verify(&small, &ring, &no_policy, token.data, token.len, NOW, &claims);
		only_expected = only_expected && (reason == JWT_NO_MEMORY || reason == JWT_OK);
		arena_release(&small);
	}
	ok(only_expected, "an arena that is too small gives no_memory, never another answer");
	jwt_keyring_release(&ring);
}

int main(void)
{
	EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");

	arena_init(&arena, 1 << 20);
	buf_init(&token, 65536);
	test_published_hs256();
	test_foreign_secret();
	test_claims();
	test_leeway();
	test_policy();
	test_claim_paths();
	test_headers();
	test_shape();
	test_sub_length();
	test_confusion(rsa, ec);
	test_rs256(rsa);
	test_es256(ec);
	test_published_keys();
	test_jwk_rules(rsa, ec);
	test_bad_sets();
	test_exponents(rsa);
	test_rings(rsa, ec);
	test_mint();
	test_small_arena();
	arena_release(&arena);
	buf_release(&token);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
	return tap_done();
}
