/*
 * The token verifier: header, key, signature, then claims, in that order.
 *
 * Called by the request side for every authenticated request, through jwks.c, and for calls signed by queue services.
 * It must never take the algorithm from the token, never fetch or open anything a token names, and never look at the
 * payload before the signature was verified. It writes no log: the caller does, with the reason and without the token.
 */
#include "core/crypto/jwt.h"

#include "core/base/json.h"
#include "core/base/text.h"
#include "core/crypto/base64.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#define SIGNATURE_MAX (JWT_RSA_BITS_MAX / 8)
#define ES256_HALF 32
#define ES256_DER_MAX 80
#define TIME_MAX INT64_C(253402300799) /* the end of the year 9999 */

static const char *const algorithm_names[] = {[JWT_HS256] = "HS256", [JWT_RS256] = "RS256", [JWT_ES256] = "ES256"};

/* Header members that would change what is verified, or with which key. */
static const char *const refused_members[] = {"crit", "jku", "jwk", "x5u", "x5c", "b64", "enc", "zip"};

struct parts {
	struct str header, payload, signature;
	struct str signed_bytes; /* header.payload */
};

struct header {
	enum jwt_algorithm algorithm;
	const char *kid; /* or NULL */
};

const char *jwt_reason_name(enum jwt_reason reason)
{
	static const char *const names[JWT_REASON_COUNT] = {
		[JWT_OK] = "ok",
		[JWT_MALFORMED] = "malformed",
		[JWT_REFUSED_HEADER] = "refused_header",
		[JWT_UNKNOWN_KEY] = "unknown_key",
		[JWT_WRONG_ALGORITHM] = "wrong_algorithm",
		[JWT_BAD_SIGNATURE] = "bad_signature",
		[JWT_EXPIRED] = "expired",
		[JWT_NOT_YET_VALID] = "not_yet_valid",
		[JWT_WRONG_ISSUER] = "wrong_issuer",
		[JWT_WRONG_AUDIENCE] = "wrong_audience",
		[JWT_WRONG_SUBJECT] = "wrong_subject",
		[JWT_WRONG_BODY] = "wrong_body",
		[JWT_BAD_CLAIM] = "bad_claim",
		[JWT_KEYS_UNAVAILABLE] = "keys_unavailable",
		[JWT_NO_MEMORY] = "no_memory",
	};

	return (unsigned)reason < JWT_REASON_COUNT ? names[reason] : "unknown";
}

static bool split(const char *token, size_t n, struct parts *ret)
{
	const char *first = n ? memchr(token, '.', n) : NULL;
	if (first == NULL)
		return false;
	const char *end = token + n;
	const char *second = memchr(first + 1, '.', (size_t)(end - first - 1));
	if (second == NULL || memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL)
		return false;
	ret->header = (struct str){token, (size_t)(first - token)};
	ret->payload = (struct str){first + 1, (size_t)(second - first - 1)};
	ret->signature = (struct str){second + 1, (size_t)(end - second - 1)};
	ret->signed_bytes = (struct str){token, (size_t)(second - token)};
	return true;
}

/* A part of the token as a JSON object that belongs to the arena. */
static enum jwt_reason parse_part(struct arena *arena, struct str part, const json_t **ret)
{
	size_t room = BASE64_DECODED_MAX(part.n);
	char *bytes = arena_alloc(arena, room);
	size_t length = 0;
	json_t *value = NULL;

	if (bytes == NULL)
		return JWT_NO_MEMORY;
	if (base64url_decode(part.p, part.n, bytes, room, &length) != OK || json_parse(arena, bytes, length, &value, NULL) != OK)
		return arena->exhausted ? JWT_NO_MEMORY : JWT_MALFORMED;
	if (!json_is_object(value))
		return JWT_MALFORMED;
	*ret = value;
	return JWT_OK;
}

static bool algorithm_of(const char *name, enum jwt_algorithm *ret)
{
	for (enum jwt_algorithm i = JWT_HS256; i <= JWT_ES256; i++) {
		if (text_equal(name, algorithm_names[i])) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static enum jwt_reason read_header(const json_t *object, const struct jwt_policy *policy, struct header *ret)
{
	const json_t *kid = json_object_get(object, "kid");

	for (size_t i = 0; i < sizeof refused_members / sizeof *refused_members; i++) {
		if (json_object_get(object, refused_members[i]) != NULL)
			return JWT_REFUSED_HEADER;
	}
	if (!json_is_string(json_object_get(object, "alg")))
		return JWT_MALFORMED;
	if (!algorithm_of(json_text(object, "alg"), &ret->algorithm))
		return JWT_REFUSED_HEADER;
	if (policy->type != NULL && !text_equal(json_text(object, "typ"), policy->type))
		return JWT_REFUSED_HEADER;
	if (kid != NULL && (!json_is_string(kid) || json_string_length(kid) == 0 || json_string_length(kid) > JWT_TEXT_MAX))
		return JWT_MALFORMED;
	ret->kid = json_string_value(kid);
	return JWT_OK;
}

/* A token without a kid means the only key of its algorithm without a kid, else the only key of its algorithm. */
static struct jwt_key *find_without_kid(struct jwt_keyring *ring, enum jwt_algorithm algorithm)
{
	struct jwt_key *nameless = NULL, *any = NULL;
	unsigned nameless_count = 0, any_count = 0;

	for (size_t i = 0; i < ring->count; i++) {
		struct jwt_key *key = &ring->keys[i];
		if (key->algorithm != algorithm)
			continue;
		any = key;
		any_count++;
		if (key->kid[0] == '\0') {
			nameless = key;
			nameless_count++;
		}
	}
	if (nameless_count == 1)
		return nameless;
	return any_count == 1 ? any : NULL;
}

static enum jwt_reason find_key(struct jwt_keyring *ring, const struct header *header, struct jwt_key **ret)
{
	struct jwt_key *key = NULL;

	if (header->kid == NULL) {
		key = find_without_kid(ring, header->algorithm);
	} else {
		for (size_t i = 0; i < ring->count && key == NULL; i++) {
			if (text_equal(ring->keys[i].kid, header->kid))
				key = &ring->keys[i];
		}
	}
	if (key == NULL)
		return JWT_UNKNOWN_KEY;
	if (key->algorithm != header->algorithm)
		return JWT_WRONG_ALGORITHM;
	*ret = key;
	return JWT_OK;
}

/* r and s side by side (RFC 7518 section 3.4) as the DER that libcrypto wants. Returns its length, 0 on failure. */
static size_t es256_to_der(const uint8_t *signature, uint8_t der[ES256_DER_MAX])
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(signature, ES256_HALF, NULL);
	BIGNUM *s = BN_bin2bn(signature + ES256_HALF, ES256_HALF, NULL);
	int length = 0;

	if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
		r = NULL;
		s = NULL;
		if (i2d_ECDSA_SIG(pair, NULL) <= ES256_DER_MAX)
			length = i2d_ECDSA_SIG(pair, &der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(pair);
	return length > 0 ? (size_t)length : 0;
}

static bool public_key_verifies(EVP_PKEY *key, const uint8_t *signature, size_t n, struct str bytes)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context != NULL && EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
	            EVP_DigestVerify(context, signature, n, (const uint8_t *)bytes.p, bytes.n) == 1;

	EVP_MD_CTX_free(context);
	return good;
}

static bool signature_is_good(struct jwt_key *key, struct str text, struct str bytes)
{
	uint8_t signature[SIGNATURE_MAX + 3] = {0};
	uint8_t expected[SHA256_SIZE] = {0};
	uint8_t der[ES256_DER_MAX] = {0};
	size_t n = 0;

	if (base64url_decode(text.p, text.n, signature, sizeof signature, &n) != OK || n != key->signature_size)
		return false;
	if (key->algorithm == JWT_HS256) {
		hmac_key_sign(&key->secret, bytes.p, bytes.n, expected);
		return constant_time_equal(signature, n, expected, sizeof expected);
	}
	if (key->algorithm == JWT_RS256)
		return public_key_verifies(key->public_key, signature, n, bytes);
	n = es256_to_der(signature, der);
	return n > 0 && public_key_verifies(key->public_key, der, n, bytes);
}

/* Text of 1..JWT_TEXT_MAX bytes without control characters (C0, DEL, C1). */
static bool plain_text(const json_t *value)
{
	const char *text = json_string_value(value);
	size_t n = json_string_length(value);

	if (text == NULL || n == 0 || n > JWT_TEXT_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)text[i];
		if (c < 0x20 || c == 0x7f || (c == 0xc2 && (uint8_t)text[i + 1] < 0xa0))
			return false;
	}
	return true;
}

/* A member by its whole name, else by following the dots of path. NULL when absent or null. */
static const json_t *claim_at(struct arena *arena, const json_t *object, const char *path)
{
	const json_t *value = json_object_get(object, path);

	if (value == NULL && strchr(path, '.') != NULL) {
		value = object;
		for (const char *part = path; part != NULL && value != NULL;) {
			const char *dot = strchr(part, '.');
			const char *name = arena_copy(arena, part, dot != NULL ? (size_t)(dot - part) : strlen(part));
			value = name != NULL ? json_object_get(value, name) : NULL;
			part = dot != NULL ? dot + 1 : NULL;
		}
	}
	return json_is_null(value) ? NULL : value;
}

/* Text that may be absent (then fallback); false when it is there and is not plain text. */
static bool optional_text(const json_t *value, const char *fallback, const char **ret)
{
	if (value != NULL && !plain_text(value))
		return false;
	*ret = value != NULL ? json_string_value(value) : fallback;
	return true;
}

/* An integer time. Fractions are refused: no issuer needs them and rounding invites disagreement. */
static bool optional_time(const json_t *value, int64_t fallback, int64_t *ret)
{
	json_int_t seconds = json_integer_value(value);

	if (value != NULL && (!json_is_integer(value) || seconds < 0 || seconds > TIME_MAX))
		return false;
	*ret = value != NULL ? seconds : fallback;
	return true;
}

static bool audience_matches(const json_t *value, const char *audience)
{
	if (json_is_string(value))
		return text_equal(json_string_value(value), audience);
	for (size_t i = 0; i < json_array_size(value); i++) {
		if (text_equal(json_string_value(json_array_get(value, i)), audience))
			return true;
	}
	return false;
}

static enum jwt_reason check_times(const json_t *object, int64_t leeway, int64_t now, struct jwt_claims *claims)
{
	int64_t not_before = 0;

	if (leeway < 0 || leeway > JWT_LEEWAY_MAX)
		leeway = leeway < 0 ? 0 : JWT_LEEWAY_MAX;
	if (!optional_time(json_object_get(object, "exp"), -1, &claims->exp) || claims->exp < 0)
		return JWT_BAD_CLAIM;
	if (!optional_time(json_object_get(object, "nbf"), 0, &not_before) || !optional_time(json_object_get(object, "iat"), 0, &claims->iat))
		return JWT_BAD_CLAIM;
	if (now >= claims->exp + leeway)
		return JWT_EXPIRED;
	if (now < not_before - leeway || now < claims->iat - leeway)
		return JWT_NOT_YET_VALID;
	return claims->iat > claims->exp ? JWT_BAD_CLAIM : JWT_OK;
}

static enum jwt_reason read_claims(struct arena *arena, const json_t *object, const struct jwt_policy *policy, int64_t now,
                                   struct jwt_claims *ret)
{
	struct jwt_claims claims = {.all = object};

	enum jwt_reason reason = check_times(object, policy->leeway, now, &claims);
	if (reason != JWT_OK)
		return reason;
	if (policy->issuer != NULL && !text_equal(json_text(object, "iss"), policy->issuer))
		return JWT_WRONG_ISSUER;
	if (policy->audience != NULL && !audience_matches(json_object_get(object, "aud"), policy->audience))
		return JWT_WRONG_AUDIENCE;
	if (!plain_text(json_object_get(object, "sub")))
		return JWT_BAD_CLAIM;
	claims.sub = json_text(object, "sub");
	const json_t *role = claim_at(arena, object, policy->role_claim != NULL ? policy->role_claim : "role");
	const json_t *space = claim_at(arena, object, policy->space_claim != NULL ? policy->space_claim : "space");
	if (arena->exhausted)
		return JWT_NO_MEMORY;
	if (!optional_text(role, NULL, &claims.role) || !optional_text(space, claims.sub, &claims.space) ||
	    !optional_text(json_object_get(object, "jti"), NULL, &claims.jti))
		return JWT_BAD_CLAIM;
	*ret = claims;
	return JWT_OK;
}

enum jwt_reason jwt_verify(struct arena *arena, struct jwt_keyring *ring, const struct jwt_policy *policy, const char *token, size_t n,
                           int64_t now, struct jwt_claims *ret)
{
	struct parts parts = {0};
	struct header header = {0};
	const json_t *object = NULL;
	struct jwt_key *key = NULL;

	if (n > JWT_TOKEN_MAX || !split(token, n, &parts))
		return JWT_MALFORMED;
	enum jwt_reason reason = parse_part(arena, parts.header, &object);
	if (reason == JWT_OK)
		reason = read_header(object, policy, &header);
	if (reason == JWT_OK)
		reason = find_key(ring, &header, &key);
	if (reason == JWT_OK && !signature_is_good(key, parts.signature, parts.signed_bytes))
		reason = JWT_BAD_SIGNATURE;
	if (reason == JWT_OK)
		reason = parse_part(arena, parts.payload, &object);
	if (reason == JWT_OK)
		reason = read_claims(arena, object, policy, now, ret);
	return reason;
}
