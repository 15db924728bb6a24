/*
 * Calls signed by a parser, or whoever drives one: three headers bind a time, a nonce and the body to one address.
 *   x-import-ts         Unix seconds
 *   x-import-nonce      16 to 128 visible ASCII characters, never used twice
 *   x-import-signature  lower-case hex of HMAC-SHA-256(secret, "METHOD\n{path}\n{ts}\n{nonce}\n{lower-case hex of SHA-256(body)}")
 * Two secrets count at a time, so that they can be rolled without a call being lost.
 */
#ifndef TIDEGATE_CORE_CRYPTO_PARSER_SIGNATURE_H
#define TIDEGATE_CORE_CRYPTO_PARSER_SIGNATURE_H

#include "core/base/text.h"
#include "core/crypto/digest.h"

#include <stdbool.h>
#include <stdint.h>

enum { PARSER_NONCE_MIN = 16, PARSER_NONCE_MAX = 128, PARSER_NONCE_KEEP_S = 900, PARSER_SKEW_S = 300 };

/* A call as it came; a header that did not come is NULL. */
struct parser_call {
	const char *method;
	struct str path; /* of the address, without its query */
	const char *timestamp, *nonce, *signature;
	struct str body;
};

/* Writes the signature of a call whose timestamp and nonce are set. */
void parser_sign(const char *secret, const struct parser_call *call, char out[SHA256_HEX_SIZE]);

/*
 * Checks the shape of the headers, then the time (now: Unix seconds), then the signature under current or next ("" is none), in constant
 * time. The nonce is the caller's to spend. ERR_INVALID: the shape; ERR_TIMEOUT: too early or too late; ERR_DENIED: not signed by either.
 */
enum err parser_verify(const char *current, const char *next, const struct parser_call *call, int64_t now) MUST_USE;

#endif
