/*
 * Files of age, version 1 (https://age-encryption.org/v1), with X25519 keys: encrypted to one or more public keys, opened with the
 * secret key of any of them. age, rage and this read each other's files.
 *
 * X25519, randomness and comparison are libsodium's, ChaCha20-Poly1305 is OpenSSL's.
 *
 * Both directions are streams: bytes go in by put, what becomes of them goes to a sink. A file that is opened was tampered with, or is
 * cut short, only when put or finish says so, which may be after thousands of good bytes have gone to the sink: whoever takes
 * them must be able to throw them away. Never more than one chunk (64 KiB) is held.
 */
#ifndef TIDEGATE_CORE_CRYPTO_AGE_H
#define TIDEGATE_CORE_CRYPTO_AGE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/sink.h"
#include "core/crypto/bech32.h"

#include <stdbool.h>
#include <stdint.h>

enum { AGE_KEY = 32, AGE_CHUNK = 65536, AGE_TAG = 16, AGE_RECIPIENTS_MAX = 16, AGE_HEADER_MAX = 16384, AGE_TEXT_SIZE = BECH32_TEXT_SIZE };

struct age_recipient {
	uint8_t point[AGE_KEY];
};

/* Secret: wipe it (age_identity_wipe) when it is no longer needed. */
struct age_identity {
	uint8_t scalar[AGE_KEY];
	uint8_t point[AGE_KEY];
};

/* age1… / its text. ERR_INVALID: not one, or a point of low order. */
enum err age_recipient_parse(const char *text, struct age_recipient *ret) MUST_USE;
void age_recipient_text(const struct age_recipient *recipient, char out[AGE_TEXT_SIZE]);

/*
 * Recipients divided by blanks, commas or line ends; *ret_count of them, at most AGE_RECIPIENTS_MAX. One that does not parse, and one that stands
 * there twice, is ERR_INVALID: nothing is ever encrypted to fewer keys than were named.
 */
enum err age_recipients_parse(const char *text, struct age_recipient ret[AGE_RECIPIENTS_MAX], size_t *ret_count) MUST_USE;

/* AGE-SECRET-KEY-1… as a line of text, or the first such line among comments (#) and blank ones, as age-keygen writes them. ERR_INVALID. */
enum err age_identity_parse(const char *text, struct age_identity *ret) MUST_USE;
/* A new one. / Its text, upper case, and secret. */
enum err age_identity_new(struct age_identity *ret) MUST_USE;
void age_identity_text(const struct age_identity *identity, char out[AGE_TEXT_SIZE]);
void age_identity_wipe(struct age_identity *identity);

/* One direction of one file. Private members. */
struct age_stream {
	struct sink to;
	struct evp_cipher_ctx_st *cipher;
	const struct age_identity *identity; /* opening: NULL once the header has been read */
	uint8_t key[AGE_KEY];
	uint64_t counter;
	size_t held; /* bytes in chunk */
	uint8_t chunk[AGE_CHUNK + AGE_TAG];
	uint8_t header[AGE_HEADER_MAX];
	size_t header_length;
	uint8_t file_key[16];
	unsigned nonce_length;
	uint8_t nonce[16];
};

/* Writes the header to the sink. ERR_INVALID for no recipient. Release whatever it returns. */
enum err age_seal_start(struct age_stream *stream, const struct age_recipient *recipients, size_t count, struct sink to) MUST_USE;
enum err age_seal_put(struct age_stream *stream, const void *bytes, size_t n) MUST_USE;
enum err age_seal_finish(struct age_stream *stream) MUST_USE;

/*
 * Opening. The identity must live until the header has been read (that is, until finish). ERR_DENIED: encrypted to others; ERR_INVALID: not an
 * age file of version 1, damaged, tampered with, cut short or followed by something.
 */
enum err age_open_start(struct age_stream *stream, const struct age_identity *identity, struct sink to) MUST_USE;
enum err age_open_put(struct age_stream *stream, const void *bytes, size_t n) MUST_USE;
enum err age_open_finish(struct age_stream *stream) MUST_USE;

/*
 * The header that makes a file one for other recipients, in front of the payload that it has: bytes are the first n of the file, AGE_HEADER_MAX of them or all there are; the
 * header in out takes the place of the first *ret_length bytes. ERR_DENIED: the file is not for identity; ERR_INVALID: no age file, or a header that was tampered with.
 */
enum err age_rewrap(const void *bytes, size_t n, const struct age_identity *identity, const struct age_recipient *recipients, size_t count, struct buf *out, size_t *ret_length) MUST_USE;

/* Wipes keys and what is held. */
void age_release(struct age_stream *stream);

/* Sinks in front of a stream. */
struct sink age_seal_sink(struct age_stream *stream);
struct sink age_open_sink(struct age_stream *stream);

#endif
