/*
 * Base64 (RFC 4648 section 4, padded) and base64url (section 5, never padded).
 * Decoding is strict, so that every value has exactly one text: no blanks or line breaks, padding exactly as the form
 * demands, and the unused bits of the last character are zero.
 */
#ifndef TIDEGATE_CORE_CRYPTO_BASE64_H
#define TIDEGATE_CORE_CRYPTO_BASE64_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <stddef.h>

/* Appends the text of n bytes. ERR_TOO_LARGE as buf_append. */
enum err base64_encode(struct buf *out, const void *bytes, size_t n);
enum err base64url_encode(struct buf *out, const void *bytes, size_t n);

/* Room that decoding n characters needs at most. */
#define BASE64_DECODED_MAX(n) ((n) / 4 * 3 + 3)

/* Decodes n characters into out. ERR_INVALID for anything but the strict form, ERR_TOO_LARGE when room bytes are too few. */
enum err base64_decode(const char *text, size_t n, void *out, size_t room, size_t *ret_length) MUST_USE;
enum err base64url_decode(const char *text, size_t n, void *out, size_t room, size_t *ret_length) MUST_USE;

#endif
