/*
 * SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104) on OpenSSL's EVP.
 *
 * The algorithms are fetched once per process and the one-shot functions reuse one context each, which is what makes
 * them cheap. They cannot fail for a reason a caller could handle: when libcrypto has no SHA-256, or no memory for its
 * context, the process ends (a digest that is silently wrong is worse). Not for use from several threads.
 */
#ifndef TIDEGATE_CORE_CRYPTO_DIGEST_H
#define TIDEGATE_CORE_CRYPTO_DIGEST_H

#include "core/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define SHA256_HEX_SIZE 65 /* with its NUL */

struct evp_md_ctx_st;
struct evp_mac_ctx_st;

/* One SHA-256 over bytes that arrive in pieces. */
struct sha256 {
	struct evp_md_ctx_st *context;
};

/* ERR_UNAVAILABLE when memory is out; the struct may then be released but not used. */
enum err sha256_init(struct sha256 *hash) MUST_USE;
void sha256_update(struct sha256 *hash, const void *bytes, size_t n);
/* Writes the digest. Afterwards only sha256_release is allowed. */
void sha256_final(struct sha256 *hash, uint8_t out[SHA256_SIZE]);
void sha256_release(struct sha256 *hash);

/* One shot. / The same as lower-case hex with a NUL. */
void sha256_once(const void *bytes, size_t n, uint8_t out[SHA256_SIZE]);
void sha256_hex(const void *bytes, size_t n, char out[SHA256_HEX_SIZE]);

/*
 * Digest of a whole file, from offset 0 to its end, read in pieces of 1 MiB; the file position is neither used nor moved.
 * *ret_size, which may be NULL, is the number of bytes hashed. ERR_IO when a read fails.
 */
enum err sha256_fd(int fd, uint8_t out[SHA256_SIZE], int64_t *ret_size) MUST_USE;

/* MD5 only where a protocol wants it (Content-MD5, ETags of object stores): it protects against damage, not against people. */
#define MD5_SIZE 16

struct file_digests {
	uint8_t sha256[SHA256_SIZE];
	uint8_t md5[MD5_SIZE];
};

/* Both in one pass over size bytes of the file from offset on. ERR_IO, also when the file ends before. */
enum err digests_fd(int fd, int64_t offset, int64_t size, struct file_digests *ret) MUST_USE;
/* SHA-256 alone, which takes two thirds of the time. */
enum err sha256_range(int fd, int64_t offset, int64_t size, uint8_t out[SHA256_SIZE]) MUST_USE;
void digests_once(const void *bytes, size_t n, struct file_digests *ret);

/* One shot with a key of any length, the empty one included: whoever loads a key decides whether it is long enough. */
void hmac_sha256(const void *key, size_t key_length, const void *bytes, size_t n, uint8_t out[SHA256_SIZE]);

/* A key that is used again and again: its first block is hashed only once. */
struct hmac_key {
	struct evp_mac_ctx_st *context;
};

/* Takes a copy of the key into memory that is wiped by hmac_key_release. ERR_UNAVAILABLE when memory is out. */
enum err hmac_key_init(struct hmac_key *key, const void *bytes, size_t n) MUST_USE;
void hmac_key_sign(struct hmac_key *key, const void *bytes, size_t n, uint8_t out[SHA256_SIZE]);
void hmac_key_release(struct hmac_key *key);

#endif
