/*
 * The part of Signature Version 4 that signer and verifier share: the canonical request, the signing key and the
 * signature. Private to sigv4*.c; everybody else includes sigv4.h.
 */
#ifndef TIDEGATE_CORE_CRYPTO_SIGV4_CANONICAL_H
#define TIDEGATE_CORE_CRYPTO_SIGV4_CANONICAL_H

#include "core/base/clock.h"
#include "core/crypto/digest.h"
#include "core/crypto/sigv4.h"

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"
#define SIGV4_CREDENTIAL_MAX 128 /* bytes of a secret, region or service */
#define SIGV4_DATE_SIZE 8        /* 20130524 */

/* A request as it is signed. */
struct sigv4_canonical {
	struct str method;
	struct str path;  /* as sigv4_encode_path made it */
	struct str query; /* as sigv4_encode_query made it */
	const struct sigv4_pair *headers; /* sorted, lower-case names, each once */
	size_t header_count;
	const char *payload;
};

/* By name, then value. */
void sigv4_sort(struct sigv4_pair *pairs, size_t count);

/* A buffer of at most room bytes over memory of the arena, which is not to be released. */
enum err sigv4_buf(struct arena *arena, size_t room, struct buf *ret) MUST_USE;

/* Path, percent-encoded once, slashes kept, in the arena. */
enum err sigv4_encode_path(struct arena *arena, struct str path, struct str *ret) MUST_USE;

/* "name=value&name=value", encoded, then sorted by name and value, in the arena. Takes at most 2 * SIGV4_PAIRS_MAX pairs. */
enum err sigv4_encode_query(struct arena *arena, const struct sigv4_pair *query, size_t count, struct str *ret) MUST_USE;

/* Appends 20130524/us-east-1/s3/aws4_request. */
void sigv4_append_scope(struct buf *out, const struct sigv4_credentials *credentials, const char *basic_date);

/* Appends host;x-amz-date of sorted headers. */
void sigv4_append_names(struct buf *out, const struct sigv4_pair *headers, size_t count);

/* Byte order; a prefix comes first. */
int sigv4_compare(struct str a, struct str b);

/* False when a header value has a control character, which could pass for another line of the canonical request. */
bool sigv4_value_is_plain(struct str value);

/* False when a credential is missing, empty or too long. */
bool sigv4_credentials_are_usable(const struct sigv4_credentials *credentials);

/*
 * Signature in lower-case hex of a canonical request, at a date in basic form.
 * ERR_TOO_LARGE when it passes the cap or memory is out.
 */
enum err sigv4_signature(struct arena *arena, const struct sigv4_credentials *credentials, const struct sigv4_canonical *canonical, const char *basic_date,
                         char out[SHA256_HEX_SIZE]) MUST_USE;

#endif
