/*
 * Texts that only this installation can make: `base64url(payload).base64url(HMAC-SHA-256)`. The payload can be read by whoever has the text; it is
 * signed, not hidden. The key is made of the secrets that all processes and hosts share, and of a purpose: what was made for one opens for no other.
 */
#ifndef TIDEGATE_CORE_CRYPTO_SEAL_H
#define TIDEGATE_CORE_CRYPTO_SEAL_H

#include "core/base/arena.h"
#include "core/crypto/digest.h"

#include <stdbool.h>

struct seal {
	uint8_t key[SHA256_SIZE];
};

/* Either secret may be empty, not both. */
void seal_init(struct seal *seal, const char *secret, const char *other_secret, const char *purpose);

/* The signature alone, also good as a name that nobody else can work out. */
void seal_sign(const struct seal *seal, const void *bytes, size_t n, uint8_t out[SHA256_SIZE]);

/* The text, in the arena; NULL without memory. */
const char *seal_make(const struct seal *seal, struct arena *arena, const char *payload, size_t n);

/* The payload, in the arena. False when the text, of at most max characters, was not made by this seal. */
bool seal_open(const struct seal *seal, struct arena *arena, const char *text, size_t max, const char **ret, size_t *ret_length);

#endif
