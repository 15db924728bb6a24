/*
 * Calls signed by a hosted queue (Upstash QStash): the header Upstash-Signature holds a token of HS256 whose claims bind it
 * to one address and one body. https://upstash.com/docs/qstash/features/security
 *
 * Two keys count at a time, so that they can be rolled without a call being lost: the current one and the one to come. A key
 * is the text of the console (`sig_…`) byte by byte, however short; it is not for us to choose.
 *
 * Life cycle: queue_keys_init, any number of queue_signature_verify, queue_keys_release. One thread.
 */
#ifndef TIDEGATE_CORE_CRYPTO_QUEUE_SIGNATURE_H
#define TIDEGATE_CORE_CRYPTO_QUEUE_SIGNATURE_H

#include "core/base/text.h"
#include "core/crypto/jwt.h"

struct queue_keys {
	struct jwt_keyring rings[2]; /* current, next; a ring without a key verifies nothing */
};

/* What a genuine call says of itself. The text belongs to the arena. */
struct queue_call {
	const char *jti; /* of the token; never NULL */
	int64_t exp;     /* Unix seconds */
};

/* Takes copies of the keys; "" is none. ERR_UNAVAILABLE when memory is out. */
enum err queue_keys_init(struct queue_keys *keys, const char *current, const char *next) MUST_USE;
void queue_keys_release(struct queue_keys *keys);

/* Is there a key at all? */
bool queue_keys_present(const struct queue_keys *keys);

/*
 * Was this body sent to this url (as the queue was told it, byte by byte) by the holder of one of the keys, and is now
 * (Unix seconds) within the token's time, give or take leeway seconds? *ret is untouched unless JWT_OK. JWT_BAD_CLAIM also
 * when jti or body are missing.
 */
enum jwt_reason queue_signature_verify(struct arena *arena, struct queue_keys *keys, struct str token, const char *url, struct str body,
                                       int64_t now, int64_t leeway, struct queue_call *ret) MUST_USE;

#endif
