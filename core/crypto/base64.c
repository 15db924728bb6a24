/*
 * Base64 and base64url, both ways.
 *
 * Called for tokens, key sets, webhook signatures and checksums. It must never be lenient: two texts that decode to the
 * same bytes would let a changed token keep its signature. OpenSSL's decoder is not used because it skips blanks and
 * ignores trailing bits. Decoding looks at secrets only as a table index; keys are loaded once, not per request.
 */
#include "core/crypto/base64.h"

#include <stdint.h>

static const char plain_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define NO_VALUE 0x80

/* Value of every character of an alphabet, NO_VALUE for the others. */
struct reverse {
	bool ready;
	uint8_t value[256];
};

static const uint8_t *reverse_of(struct reverse *reverse, const char *alphabet)
{
	if (!reverse->ready) {
		memset(reverse->value, NO_VALUE, sizeof reverse->value);
		for (unsigned i = 0; i < 64; i++)
			reverse->value[(uint8_t)alphabet[i]] = (uint8_t)i;
		reverse->ready = true;
	}
	return reverse->value;
}

static enum err encode(struct buf *out, const uint8_t *bytes, size_t n, const char *alphabet, bool padded)
{
	char group[4] = {0};
	enum err err = OK;

	for (size_t i = 0; i < n && err == OK; i += 3) {
		size_t left = n - i;
		uint32_t bits = (uint32_t)bytes[i] << 16;
		if (left > 1)
			bits |= (uint32_t)bytes[i + 1] << 8;
		if (left > 2)
			bits |= bytes[i + 2];
		group[0] = alphabet[bits >> 18];
		group[1] = alphabet[bits >> 12 & 63];
		group[2] = (char)(left > 1 ? alphabet[bits >> 6 & 63] : '=');
		group[3] = (char)(left > 2 ? alphabet[bits & 63] : '=');
		size_t meaningful = left > 2 ? 4 : left + 1;
		err = buf_append(out, group, padded ? 4 : meaningful);
	}
	return err;
}

enum err base64_encode(struct buf *out, const void *bytes, size_t n)
{
	return encode(out, bytes, n, plain_alphabet, true);
}

enum err base64url_encode(struct buf *out, const void *bytes, size_t n)
{
	return encode(out, bytes, n, url_alphabet, false);
}

/* Decodes characters without padding; a rest of 2 or 3 characters is a last group of 1 or 2 bytes. */
static enum err decode(const char *text, size_t n, const uint8_t *reverse, uint8_t *out, size_t room, size_t *ret_length)
{
	const uint8_t *in = (const uint8_t *)text;
	size_t rest = n % 4;
	size_t length = n / 4 * 3 + (rest == 0 ? 0 : rest - 1);
	unsigned wrong = 0;

	if (rest == 1)
		return ERR_INVALID;
	if (length > room)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < n / 4; i++, in += 4, out += 3) {
		unsigned a = reverse[in[0]], b = reverse[in[1]], c = reverse[in[2]], d = reverse[in[3]];
		wrong |= a | b | c | d;
		out[0] = (uint8_t)(a << 2 | b >> 4);
		out[1] = (uint8_t)(b << 4 | c >> 2);
		out[2] = (uint8_t)(c << 6 | d);
	}
	if (rest != 0) {
		unsigned a = reverse[in[0]], b = reverse[in[1]], c = rest == 3 ? reverse[in[2]] : 0;
		unsigned unused = rest == 3 ? c & 3 : b & 15;
		wrong |= a | b | c | (unused != 0 ? NO_VALUE : 0);
		out[0] = (uint8_t)(a << 2 | b >> 4);
		if (rest == 3)
			out[1] = (uint8_t)(b << 4 | c >> 2);
	}
	if ((wrong & NO_VALUE) != 0)
		return ERR_INVALID;
	*ret_length = length;
	return OK;
}

enum err base64_decode(const char *text, size_t n, void *out, size_t room, size_t *ret_length)
{
	static struct reverse reverse;

	if (n % 4 != 0)
		return ERR_INVALID;
	for (int i = 0; i < 2 && n > 0 && text[n - 1] == '='; i++)
		n--;
	return decode(text, n, reverse_of(&reverse, plain_alphabet), out, room, ret_length);
}

enum err base64url_decode(const char *text, size_t n, void *out, size_t room, size_t *ret_length)
{
	static struct reverse reverse;

	return decode(text, n, reverse_of(&reverse, url_alphabet), out, room, ret_length);
}
