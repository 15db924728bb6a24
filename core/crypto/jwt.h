/*
 * Signed tokens (RFC 7519 in the compact form of RFC 7515): HS256, RS256, ES256, and nothing else.
 *
 * Invariants: the algorithm is a property of the key, set when the key is loaded; what the token says about it must
 * agree, and can choose nothing. Nothing of the payload is looked at before the signature was verified. Every token has
 * one text only: strict base64url, no duplicate members, at most JWT_TOKEN_MAX bytes.
 *
 * Life cycle: jwt_keyring_init, jwt_keyring_add_…, any number of jwt_verify, jwt_keyring_release. One thread.
 */
#ifndef TIDEGATE_CORE_CRYPTO_JWT_H
#define TIDEGATE_CORE_CRYPTO_JWT_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/crypto/digest.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define JWT_TOKEN_MAX 8192
#define JWT_TEXT_MAX 255   /* bytes of sub, role, space, jti, kid */
#define JWT_KEYS_MAX 32    /* keys in a ring */
#define JWT_SECRET_MIN 32  /* bytes of an HMAC key: as long as its digest (RFC 7518 section 3.2) */
#define JWT_RSA_BITS_MIN 2048
#define JWT_RSA_BITS_MAX 8192
#define JWT_LEEWAY_MAX 60 /* seconds; a larger leeway in a policy counts as this */

enum jwt_algorithm { JWT_HS256, JWT_RS256, JWT_ES256 };

/* For the log. To the client all of them are one 401, but `expired`, and `keys_unavailable` (503), may be told apart. */
enum jwt_reason {
	JWT_OK = 0,
	JWT_MALFORMED,        /* not three strict base64url parts of JSON objects, or a header of the wrong shape */
	JWT_REFUSED_HEADER,   /* alg none or unknown; crit, jku, jwk, x5u, x5c, b64, enc, zip; a typ that the policy forbids */
	JWT_UNKNOWN_KEY,      /* no key of that kid; or no kid, and not exactly one key that could be meant */
	JWT_WRONG_ALGORITHM,  /* the key of that kid has another algorithm */
	JWT_BAD_SIGNATURE,
	JWT_EXPIRED,
	JWT_NOT_YET_VALID,    /* nbf or iat in the future */
	JWT_WRONG_ISSUER,
	JWT_WRONG_AUDIENCE,
	JWT_WRONG_SUBJECT,    /* a signed call is for another address */
	JWT_WRONG_BODY,       /* a signed call is of another body (queue_signature.h, both) */
	JWT_BAD_CLAIM,        /* a claim is missing, of the wrong type, too long, or has control characters */
	JWT_KEYS_UNAVAILABLE, /* keys were never loaded (jwks.h) */
	JWT_NO_MEMORY,        /* the arena is exhausted */
	JWT_REASON_COUNT
};

/* Stable lower-case name, e.g. "bad_signature". Never NULL. */
const char *jwt_reason_name(enum jwt_reason reason);

struct evp_pkey_st;

struct jwt_key {
	enum jwt_algorithm algorithm;
	char kid[JWT_TEXT_MAX + 1];     /* "" when the key has none */
	struct hmac_key secret;         /* HS256 */
	struct evp_pkey_st *public_key; /* RS256, ES256 */
	size_t signature_size;          /* exact, in bytes */
};

struct jwt_keyring {
	struct jwt_key keys[JWT_KEYS_MAX];
	size_t count;
};

void jwt_keyring_init(struct jwt_keyring *ring);
void jwt_keyring_release(struct jwt_keyring *ring);

/*
 * Adds an HS256 key. kid NULL: a key without one, meant by tokens without one. ERR_INVALID when the secret is shorter than
 * JWT_SECRET_MIN or the kid is empty, too long or taken; ERR_TOO_LARGE when the ring is full.
 */
enum err jwt_keyring_add_secret(struct jwt_keyring *ring, const char *kid, const void *secret, size_t n) MUST_USE;

/* The same for a secret chosen by another service, which may be shorter, but not empty. */
enum err jwt_keyring_add_foreign_secret(struct jwt_keyring *ring, const char *kid, const void *secret, size_t n) MUST_USE;

/*
 * Adds the keys of a JSON Web Key Set (RFC 7517). Taken: RSA (2048..8192 bits, odd e > 1) as RS256 and EC P-256 as ES256,
 * for which `use`, `key_ops` and `alg`, where present, allow verifying, and which libcrypto's public-key check accepts.
 * Other keys are passed over, `oct` always: a published secret is none. ERR_INVALID, with *ret_why (a literal), when it
 * is no key set, when no key was usable, or when two usable keys share a kid; keys added before the error stay in the
 * ring. scratch holds the parsed set.
 */
enum err jwt_keyring_add_jwks(struct jwt_keyring *ring, struct arena *scratch, const char *json, size_t n, const char **ret_why) MUST_USE;

/* What is demanded of a token beyond its signature. NULL demands nothing, or takes the default named here. */
struct jwt_policy {
	const char *issuer;      /* iss, exactly */
	const char *audience;    /* aud, or one of its members, exactly */
	const char *type;        /* typ of the header, exactly */
	const char *role_claim;  /* where the role stands: a member name, or a path such as app_metadata.role; "role" */
	const char *space_claim; /* where the space stands; "space" */
	int64_t leeway;          /* seconds by which clocks may differ */
};

/* All text belongs to the arena of the call. */
struct jwt_claims {
	const char *sub;  /* 1..255 bytes without control characters */
	const char *role; /* the same, or NULL when the token has none */
	const char *space; /* the same; sub when the token has none */
	const char *jti;  /* the same, or NULL */
	int64_t exp;      /* Unix seconds, an integer */
	int64_t iat;      /* or 0 */
	const json_t *all;
};

/*
 * Verifies n bytes of token at the time now (Unix seconds). exp is required; now must be before exp + leeway, and not
 * before nbf - leeway or iat - leeway where they stand. *ret is untouched unless JWT_OK.
 */
enum jwt_reason jwt_verify(struct arena *arena, struct jwt_keyring *ring, const struct jwt_policy *policy, const char *token, size_t n,
                           int64_t now, struct jwt_claims *ret) MUST_USE;

/* A token to be made: development, tests, and tokens between our own processes. NULL members are left out. */
struct jwt_mint {
	const char *kid;
	const char *issuer;
	const char *audience;
	const char *sub; /* required */
	const char *role;
	const char *role_claim; /* as in the policy */
	const char *space;
	int64_t issued_at; /* Unix seconds */
	int64_t lifetime;  /* seconds, > 0 */
};

/* Appends a token with a fresh jti. ERR_INVALID when the secret is too short or sub or lifetime are missing; ERR_TOO_LARGE. */
enum err jwt_mint_hs256(struct buf *out, const void *secret, size_t n, const struct jwt_mint *mint) MUST_USE;

#endif
