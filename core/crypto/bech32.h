/*
 * Bech32 (BIP 173) without its limit of 90 characters, as age writes its keys: a prefix, "1", five bits a character, six characters
 * of checksum. Text is all lower or all upper case.
 */
#ifndef TIDEGATE_CORE_CRYPTO_BECH32_H
#define TIDEGATE_CORE_CRYPTO_BECH32_H

#include "core/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { BECH32_PREFIX_MAX = 32, BECH32_BYTES_MAX = 64, BECH32_TEXT_SIZE = BECH32_PREFIX_MAX + 1 + (BECH32_BYTES_MAX * 8 + 4) / 5 + 6 + 1 };

/* Lower-case text of n bytes (at most BECH32_BYTES_MAX) behind a lower-case prefix (at most BECH32_PREFIX_MAX). */
void bech32_encode(const char *prefix, const uint8_t *bytes, size_t n, char out[BECH32_TEXT_SIZE]);

/* Exactly n bytes behind that lower-case prefix, in either case. ERR_INVALID for anything else, a wrong checksum included. */
enum err bech32_decode(const char *text, const char *prefix, uint8_t *out, size_t n) MUST_USE;

#endif
