/* The header of an age file: who may open it. Private to core/crypto. */
#ifndef TIDEGATE_CORE_CRYPTO_AGE_HEADER_H
#define TIDEGATE_CORE_CRYPTO_AGE_HEADER_H

#include "core/base/buf.h"
#include "core/crypto/age.h"

enum { AGE_FILE_KEY = 16 };

/* HKDF-SHA-256 (RFC 5869) of one block. */
void age_derive(const uint8_t *key, size_t key_length, const uint8_t *salt, size_t salt_length, const char *info, uint8_t out[32]);

enum err age_header_write(const struct age_recipient *recipients, size_t count, const uint8_t file_key[AGE_FILE_KEY], struct buf *out) MUST_USE;

/* Length of the header at the start of n bytes, its last line end included; 0: not all of it is there yet. */
size_t age_header_length(const uint8_t *bytes, size_t n);

/* A whole header. ERR_INVALID, or ERR_DENIED when no stanza is for this identity. */
enum err age_header_open(const uint8_t *bytes, size_t n, const struct age_identity *identity, uint8_t ret_file_key[AGE_FILE_KEY]) MUST_USE;

/* ChaCha20-Poly1305 with a 12-byte nonce. Opening: ERR_INVALID when the tag is wrong. out may be in. */
enum err age_aead_seal(struct evp_cipher_ctx_st *cipher, const uint8_t key[32], const uint8_t nonce[12], const uint8_t *in, size_t n, uint8_t *out) MUST_USE;
enum err age_aead_open(struct evp_cipher_ctx_st *cipher, const uint8_t key[32], const uint8_t nonce[12], const uint8_t *in, size_t n, uint8_t *out) MUST_USE;

#endif
