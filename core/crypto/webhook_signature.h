/*
 * Signatures of webhooks after Standard Webhooks (https://www.standardwebhooks.com), version 1: HMAC-SHA-256 over
 * `{id}.{timestamp}.{body}` with a secret that sender and receiver share.
 *
 * A secret is text: `whsec_` and the base64 of 24 to 64 bytes. The header webhook-signature holds one or more `v1,<base64>`
 * with blanks between them: several while a secret is being changed. An id never holds a dot.
 */
#ifndef TIDEGATE_CORE_CRYPTO_WEBHOOK_SIGNATURE_H
#define TIDEGATE_CORE_CRYPTO_WEBHOOK_SIGNATURE_H

#include "core/base/buf.h"
#include "core/base/text.h"

#include <stdint.h>

enum { WEBHOOK_KEY_MIN = 24, WEBHOOK_KEY_MAX = 64, WEBHOOK_TOLERANCE_S = 300, WEBHOOK_SECRET_SIZE = 52 };

struct webhook_key {
	uint8_t bytes[WEBHOOK_KEY_MAX];
	size_t n;
};

/* A new secret of 32 random bytes, as text with its NUL. */
void webhook_secret_make(char out[WEBHOOK_SECRET_SIZE]);

/* ERR_INVALID for everything but the form above: an empty secret and a bare `whsec_` too. */
enum err webhook_key_parse(const char *secret, struct webhook_key *ret) MUST_USE;

/* Overwrites the key. */
void webhook_key_wipe(struct webhook_key *key);

/*
 * Appends `v1,<base64>` of one key, after a blank when something stands in out already. timestamp is in Unix seconds.
 * ERR_INVALID for an id that is empty or holds a dot, ERR_TOO_LARGE when out is full or the body is over 1 MiB.
 */
enum err webhook_sign(const struct webhook_key *key, const char *id, int64_t timestamp, struct str body, struct buf *out) MUST_USE;

/* What a receiver has in hand; a header that did not come is NULL. */
struct webhook_received {
	const char *id, *timestamp, *signatures;
	struct str body; /* may be empty */
};

enum webhook_reason {
	WEBHOOK_OK,
	WEBHOOK_HEADER_MISSING,
	WEBHOOK_BAD_TIMESTAMP, /* not a whole number of seconds */
	WEBHOOK_TOO_OLD,
	WEBHOOK_TOO_NEW,
	WEBHOOK_BAD_SIGNATURE, /* none of version 1 that fits; other versions are passed over */
};

/* Was this signed with that key, at most WEBHOOK_TOLERANCE_S before or after now (Unix seconds)? Compares in constant time. */
enum webhook_reason webhook_verify(const struct webhook_key *key, const struct webhook_received *received, int64_t now) MUST_USE;

#endif
