/*
 * Signing and verifying webhooks. Called by the sender of webhooks; the other half is what a receiver does.
 * Must never log a secret, nor compare a signature in a time that depends on where it differs.
 */
#include "core/crypto/webhook_signature.h"

#include "core/base/ids.h"
#include "core/crypto/base64.h"
#include "core/crypto/digest.h"

#include <string.h>

#define PREFIX "whsec_"
#define VERSION "v1,"

enum { RANDOM_BYTES = 32, CONTENT_MAX = (1 << 20) + 512, MAC_TEXT = 44 };

void webhook_secret_make(char out[WEBHOOK_SECRET_SIZE])
{
	uint8_t bytes[RANDOM_BYTES];
	struct buf text;
	random_bytes(bytes, sizeof(bytes));
	buf_init(&text, WEBHOOK_SECRET_SIZE);
	buf_append_text(&text, PREFIX);
	base64_encode(&text, bytes, sizeof(bytes));
	memset(out, 0, WEBHOOK_SECRET_SIZE);
	memcpy(out, buf_text(&text), text.len < WEBHOOK_SECRET_SIZE ? text.len : WEBHOOK_SECRET_SIZE - 1);
	explicit_bzero(bytes, sizeof(bytes));
	if (text.data)
		explicit_bzero(text.data, text.len);
	buf_release(&text);
}

enum err webhook_key_parse(const char *secret, struct webhook_key *ret)
{
	struct webhook_key key = {.n = 0};
	if (!secret || !text_starts_with(secret, PREFIX))
		return ERR_INVALID;
	const char *text = secret + strlen(PREFIX);
	enum err err = base64_decode(text, strlen(text), key.bytes, sizeof(key.bytes), &key.n) ? ERR_INVALID : OK;
	if (!err && key.n < WEBHOOK_KEY_MIN)
		err = ERR_INVALID;
	if (!err)
		*ret = key;
	webhook_key_wipe(&key);
	return err;
}

void webhook_key_wipe(struct webhook_key *key)
{
	explicit_bzero(key, sizeof(*key));
}

static enum err mac_of(const struct webhook_key *key, const char *id, const char *timestamp, struct str body, uint8_t out[SHA256_SIZE])
{
	struct buf content;
	buf_init(&content, CONTENT_MAX);
	buf_printf(&content, "%s.%s.", id, timestamp);
	if (body.n)
		buf_append(&content, body.p, body.n);
	enum err err = content.overflowed ? ERR_TOO_LARGE : OK;
	if (!err)
		hmac_sha256(key->bytes, key->n, content.data, content.len, out);
	buf_release(&content);
	return err;
}

enum err webhook_sign(const struct webhook_key *key, const char *id, int64_t timestamp, struct str body, struct buf *out)
{
	uint8_t mac[SHA256_SIZE];
	char digits[24];
	if (!*id || strchr(id, '.'))
		return ERR_INVALID;
	snprintf(digits, sizeof(digits), "%lld", (long long)timestamp);
	enum err err = mac_of(key, id, digits, body, mac);
	if (err)
		return err;
	if (out->len)
		buf_append_char(out, ' ');
	buf_append_text(out, VERSION);
	return base64_encode(out, mac, sizeof(mac));
}

/* Is one of the signatures, with blanks between them, the one of version 1? All are looked at. */
static bool any_fits(struct str signatures, const char *expected)
{
	bool found = false;
	while (signatures.n) {
		const char *blank = memchr(signatures.p, ' ', signatures.n);
		struct str one = {signatures.p, blank ? (size_t)(blank - signatures.p) : signatures.n};
		found |= constant_time_equal(one.p, one.n, expected, strlen(expected));
		size_t taken = one.n + (blank != NULL);
		signatures = (struct str){signatures.p + taken, signatures.n - taken};
	}
	return found;
}

enum webhook_reason webhook_verify(const struct webhook_key *key, const struct webhook_received *received, int64_t now)
{
	uint8_t mac[SHA256_SIZE];
	struct buf expected;
	int64_t at;
	if (!received->id || !*received->id || !received->timestamp || !received->signatures)
		return WEBHOOK_HEADER_MISSING;
	if (parse_i64(received->timestamp, 0, INT64_MAX / 2, &at))
		return WEBHOOK_BAD_TIMESTAMP;
	if (at < now - WEBHOOK_TOLERANCE_S)
		return WEBHOOK_TOO_OLD;
	if (at > now + WEBHOOK_TOLERANCE_S)
		return WEBHOOK_TOO_NEW;
	/* what was signed is the text that came, not the number it stands for */
	if (mac_of(key, received->id, received->timestamp, received->body, mac))
		return WEBHOOK_BAD_SIGNATURE;
	buf_init(&expected, sizeof(VERSION) + MAC_TEXT);
	buf_append_text(&expected, VERSION);
	bool fits = base64_encode(&expected, mac, sizeof(mac)) == OK && any_fits(str_of(received->signatures), buf_text(&expected));
	buf_release(&expected);
	return fits ? WEBHOOK_OK : WEBHOOK_BAD_SIGNATURE;
}
