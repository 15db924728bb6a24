/*
 * Where the keys for users' tokens come from: a shared secret, a JSON Web Key Set (a file, or an https URL), or both.
 *
 * A key set is loaded at the first token, again when it is older than 10 minutes, and again when a token names an unknown
 * kid; but it is never asked for more often than every 30 s, whatever tokens say. When loading fails, the last good keys
 * stay in use (a venue without internet keeps working) and one warning is logged. Loading blocks the caller, at most 5 s.
 *
 * Life cycle: jwks_init, any number of jwks_verify, jwks_release. One thread, one load at a time.
 */
#ifndef TIDEGATE_CORE_CRYPTO_JWKS_H
#define TIDEGATE_CORE_CRYPTO_JWKS_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/crypto/jwt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JWKS_BYTES_MAX ((size_t)256 << 10)
#define JWKS_AGE_MAX_US INT64_C(600000000)
#define JWKS_ASK_EVERY_US INT64_C(30000000)
#define JWKS_TIMEOUT_MS 5000

/* The strings belong to the caller and outlive the source (configuration). */
struct jwks_options {
	const char *location;   /* absolute path or https URL; NULL for no key set */
	const char *ca_file;    /* PEM file instead of the system's certificates, or NULL */
	bool allow_loopback_http; /* development and tests */
	const void *secret;     /* HS256, or NULL */
	size_t secret_length;
	const char *secret_kid; /* kid of tokens under the secret; NULL when they have none */
	int64_t timeout_ms;     /* for one load; 0 is JWKS_TIMEOUT_MS */
};

struct jwks {
	struct jwks_options options;
	struct jwt_keyring ring;
	bool loaded;       /* the key set was loaded at least once, or there is none to load */
	bool asked;        /* asked_us means something */
	int64_t loaded_us; /* monotonic */
	int64_t asked_us;
};

/* ERR_INVALID: the secret is too short, the location is neither form, or there is neither. Loads nothing yet. */
enum err jwks_init(struct jwks *jwks, const struct jwks_options *options) MUST_USE;
void jwks_release(struct jwks *jwks);

/*
 * Loads the key set now. On failure the keys in use stay, and *ret_why says why. For start-up checks; jwks_verify loads
 * by itself.
 */
enum err jwks_load(struct jwks *jwks, const char **ret_why) MUST_USE;

/* jwt_verify under the keys of the source; JWT_KEYS_UNAVAILABLE instead of JWT_UNKNOWN_KEY while nothing was ever loaded. */
enum jwt_reason jwks_verify(struct jwks *jwks, struct arena *arena, const struct jwt_policy *policy, const char *token, size_t n,
                            int64_t now, struct jwt_claims *ret) MUST_USE;

#endif
