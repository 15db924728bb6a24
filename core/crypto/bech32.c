/*
 * Bech32 of age keys. Called by age_keys.c. Must never take a text with a wrong checksum, of mixed case or with bits left over.
 */
#include "core/crypto/bech32.h"

#include <stdbool.h>
#include <string.h>

enum { CHECKSUM = 6 };

static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

static uint32_t fold(uint32_t checksum, uint8_t value)
{
	static const uint32_t generator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
	uint32_t top = checksum >> 25;
	checksum = (checksum & 0x1ffffff) << 5 ^ value;
	for (unsigned i = 0; i < 5; i++)
		checksum ^= top >> i & 1 ? generator[i] : 0;
	return checksum;
}

static uint32_t fold_prefix(const char *prefix)
{
	uint32_t checksum = 1;
	for (const char *c = prefix; *c; c++)
		checksum = fold(checksum, (uint8_t)*c >> 5);
	checksum = fold(checksum, 0);
	for (const char *c = prefix; *c; c++)
		checksum = fold(checksum, *c & 31);
	return checksum;
}

void bech32_encode(const char *prefix, const uint8_t *bytes, size_t n, char out[BECH32_TEXT_SIZE])
{
	uint32_t checksum = fold_prefix(prefix);
	size_t at = strlen(prefix);
	memcpy(out, prefix, at);
	out[at++] = '1';
	for (size_t bit = 0; bit < n * 8; bit += 5) {
		unsigned pair = (unsigned)bytes[bit / 8] << 8 | (bit / 8 + 1 < n ? bytes[bit / 8 + 1] : 0);
		uint8_t value = pair >> (11 - bit % 8) & 31;
		checksum = fold(checksum, value);
		out[at++] = alphabet[value];
	}
	for (unsigned i = 0; i < CHECKSUM; i++)
		checksum = fold(checksum, 0);
	checksum ^= 1;
	for (unsigned i = 0; i < CHECKSUM; i++)
		out[at++] = alphabet[checksum >> 5 * (5 - i) & 31];
	out[at] = '\0';
}

/* Lower case into out. False for mixed case and for what does not fit. */
static bool fold_case(const char *text, char out[BECH32_TEXT_SIZE])
{
	bool lower = false, upper = false;
	size_t n = 0;
	for (; text[n]; n++) {
		if (n + 1 >= BECH32_TEXT_SIZE)
			return false;
		bool is_upper = text[n] >= 'A' && text[n] <= 'Z';
		lower |= text[n] >= 'a' && text[n] <= 'z';
		upper |= is_upper;
		out[n] = text[n];
		if (is_upper)
			out[n] = (char)(text[n] + ('a' - 'A'));
	}
	out[n] = '\0';
	return !(lower && upper);
}

enum err bech32_decode(const char *text, const char *prefix, uint8_t *out, size_t n)
{
	char lower[BECH32_TEXT_SIZE] = "";
	uint8_t bytes[BECH32_BYTES_MAX + 1] = {0};
	size_t prefix_length = strlen(prefix), characters = (n * 8 + 4) / 5;
	if (n > BECH32_BYTES_MAX || !fold_case(text, lower) || strlen(lower) != prefix_length + 1 + characters + CHECKSUM)
		return ERR_INVALID;
	if (memcmp(lower, prefix, prefix_length) != 0 || lower[prefix_length] != '1')
		return ERR_INVALID;
	uint32_t checksum = fold_prefix(prefix);
	const char *data = lower + prefix_length + 1;
	for (size_t i = 0; i < characters + CHECKSUM; i++) {
		const char *found = memchr(alphabet, data[i], sizeof(alphabet) - 1);
		if (!found)
			return ERR_INVALID;
		uint8_t value = (uint8_t)(found - alphabet);
		checksum = fold(checksum, value);
		if (i >= characters)
			continue;
		unsigned pair = (unsigned)value << (11 - i * 5 % 8);
		bytes[i * 5 / 8] |= (uint8_t)(pair >> 8);
		if (i * 5 / 8 + 1 < sizeof(bytes))
			bytes[i * 5 / 8 + 1] |= (uint8_t)pair;
	}
	if (checksum != 1 || bytes[n])
		return ERR_INVALID;
	memcpy(out, bytes, n);
	return OK;
}
