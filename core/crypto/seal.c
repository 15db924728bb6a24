/*
 * Signed texts that clients keep for us: cursors of pages, tickets. Called by handlers.
 * Must never give out a payload whose signature it has not compared, in constant time.
 */
#include "core/crypto/seal.h"

#include "core/base/buf.h"
#include "core/base/text.h"
#include "core/crypto/base64.h"

#include <string.h>

void seal_init(struct seal *seal, const char *secret, const char *other_secret, const char *purpose)
{
	uint8_t other[SHA256_SIZE];
	hmac_sha256(secret, strlen(secret), purpose, strlen(purpose) + 1, seal->key);
	hmac_sha256(other_secret, strlen(other_secret), purpose, strlen(purpose) + 1, other);
	for (size_t i = 0; i < sizeof(other); i++)
		seal->key[i] ^= other[i];
}

void seal_sign(const struct seal *seal, const void *bytes, size_t n, uint8_t out[SHA256_SIZE])
{
	hmac_sha256(seal->key, sizeof(seal->key), bytes, n, out);
}

const char *seal_make(const struct seal *seal, struct arena *arena, const char *payload, size_t n)
{
	uint8_t mac[SHA256_SIZE];
	struct buf text;
	buf_init(&text, n * 2 + 128);
	seal_sign(seal, payload, n, mac);
	base64url_encode(&text, payload, n);
	buf_append_char(&text, '.');
	base64url_encode(&text, mac, sizeof(mac));
	const char *made = text.overflowed ? NULL : arena_strdup(arena, buf_text(&text));
	buf_release(&text);
	return made;
}

bool seal_open(const struct seal *seal, struct arena *arena, const char *text, size_t max, const char **ret, size_t *ret_length)
{
	const char *dot = strchr(text, '.');
	size_t length = 0, mac_length = 0, n = strlen(text);
	uint8_t given[SHA256_SIZE + 3], mac[SHA256_SIZE];
	if (!dot || n > max)
		return false;
	size_t encoded = (size_t)(dot - text), room = BASE64_DECODED_MAX(encoded);
	char *bytes = arena_alloc(arena, room + 1);
	if (!bytes || base64url_decode(text, encoded, bytes, room, &length) || base64url_decode(dot + 1, n - encoded - 1, given, sizeof(given), &mac_length))
		return false;
	seal_sign(seal, bytes, length, mac);
	if (!constant_time_equal(given, mac_length, mac, sizeof(mac)))
		return false;
	bytes[length] = '\0';
	*ret = bytes;
	*ret_length = length;
	return true;
}
