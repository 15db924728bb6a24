/*
 * One effect per key: inside the transaction of a creating request, the key is claimed first and the answer stored last.
 * A concurrent request with the same key waits on the claim until the first commits. The key belongs to the token's sub.
 */
#ifndef TIDEGATE_FCGI_IDEMPOTENCY_H
#define TIDEGATE_FCGI_IDEMPOTENCY_H

#include "fcgi/route.h"

struct idempotency {
	const char *key;   /* NULL: the client sent none */
	bool replayed;     /* the response was filled from the first answer (or is a refusal): do not run the handler */
	const char *route; /* method and path */
	char body_sha256[SHA256_HEX_SIZE];
};

/*
 * Takes the key from the Idempotency-Key header or the idempotencyKey member, claims it, or replays. In a transaction.
 * A signed call without either has its message's id for a key, which its retries share, or else that of its token.
 */
enum err idempotency_begin(struct request *request, struct response *response, const struct route *route, struct idempotency *ret) MUST_USE;

/* Stores a 2xx answer under the key. In the same transaction, before its commit. */
enum err idempotency_finish(struct request *request, const struct response *response, const struct idempotency *idempotency) MUST_USE;

#endif
