/*
 * The header of an age file, written and read. Called by age.c only. Must never hand out a file key before the MAC over the header has
 * been verified, nor accept a second way to write the same header.
 */
#include "core/crypto/age_header.h"

#include "core/base/text.h"
#include "core/crypto/base64.h"
#include "core/crypto/digest.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

enum { LINE = 64, WRAPPED = AGE_FILE_KEY + AGE_TAG };

static const char version[] = "age-encryption.org/v1\n", label[] = "age-encryption.org/v1/X25519", stanza[] = "-> X25519 ", foot[] = "---";

void age_derive(const uint8_t *key, size_t key_length, const uint8_t *salt, size_t salt_length, const char *info, uint8_t out[32])
{
	uint8_t block[64], extracted[32];
	size_t n = strlen(info);
	hmac_sha256(salt, salt_length, key, key_length, extracted);
	memcpy(block, info, n);
	block[n] = 1;
	hmac_sha256(extracted, sizeof(extracted), block, n + 1, out);
	sodium_memzero(extracted, sizeof(extracted));
}

enum err age_aead_seal(struct evp_cipher_ctx_st *cipher, const uint8_t key[32], const uint8_t nonce[12], const uint8_t *in, size_t n, uint8_t *out)
{
	int done = 0, rest = 0;
	bool good = EVP_EncryptInit_ex(cipher, EVP_chacha20_poly1305(), NULL, key, nonce) == 1 && EVP_EncryptUpdate(cipher, out, &done, in, (int)n) == 1 &&
	            EVP_EncryptFinal_ex(cipher, out + done, &rest) == 1 && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, AGE_TAG, out + n) == 1;
	return good ? OK : ERR_BUG;
}

enum err age_aead_open(struct evp_cipher_ctx_st *cipher, const uint8_t key[32], const uint8_t nonce[12], const uint8_t *in, size_t n, uint8_t *out)
{
	int done = 0, rest = 0;
	uint8_t tag[AGE_TAG];
	if (n < AGE_TAG)
		return ERR_INVALID;
	n -= AGE_TAG;
	memcpy(tag, in + n, AGE_TAG);
	bool good = EVP_DecryptInit_ex(cipher, EVP_chacha20_poly1305(), NULL, key, nonce) == 1 && EVP_DecryptUpdate(cipher, out, &done, in, (int)n) == 1 &&
	            EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, AGE_TAG, tag) == 1 && EVP_DecryptFinal_ex(cipher, out + done, &rest) == 1;
	return good ? OK : ERR_INVALID;
}

/* ------------------------------------------------------------------------------------------------------------- base64 without padding */

static void put_base64(struct buf *out, const uint8_t *bytes, size_t n)
{
	size_t before = out->len;
	if (base64_encode(out, bytes, n))
		return;
	while (out->len > before && out->data[out->len - 1] == '=')
		out->len--;
}

static enum err get_base64(const char *text, size_t n, uint8_t *out, size_t size)
{
	char padded[LINE + 4];
	size_t got = 0;
	if (n > LINE || n % 4 == 1 || memchr(text, '=', n))
		return ERR_INVALID;
	memcpy(padded, text, n);
	while (n % 4)
		padded[n++] = '=';
	enum err err = base64_decode(padded, n, out, size, &got);
	return err || got != size ? ERR_INVALID : OK;
}

/* ------------------------------------------------------------------------------------------------------------- writing */

static void wrapping_key(const uint8_t shared[AGE_KEY], const uint8_t ephemeral[AGE_KEY], const uint8_t recipient[AGE_KEY], uint8_t out[32])
{
	uint8_t salt[2 * AGE_KEY];
	memcpy(salt, ephemeral, AGE_KEY);
	memcpy(salt + AGE_KEY, recipient, AGE_KEY);
	age_derive(shared, AGE_KEY, salt, sizeof(salt), label, out);
}

static enum err put_stanza(EVP_CIPHER_CTX *cipher, const struct age_recipient *recipient, const uint8_t *file_key, struct buf *out)
{
	static const uint8_t nonce[12];
	struct age_identity ephemeral;
	uint8_t shared[AGE_KEY], key[32], wrapped[WRAPPED];
	enum err err = age_identity_new(&ephemeral);
	if (!err && crypto_scalarmult_curve25519(shared, ephemeral.scalar, recipient->point))
		err = ERR_INVALID;
	if (!err) {
		wrapping_key(shared, ephemeral.point, recipient->point, key);
		err = age_aead_seal(cipher, key, nonce, file_key, AGE_FILE_KEY, wrapped);
	}
	if (!err) {
		buf_append_text(out, stanza);
		put_base64(out, ephemeral.point, AGE_KEY);
		buf_append_char(out, '\n');
		put_base64(out, wrapped, sizeof(wrapped));
		err = buf_append_char(out, '\n');
	}
	age_identity_wipe(&ephemeral);
	sodium_memzero(shared, sizeof(shared));
	sodium_memzero(key, sizeof(key));
	return err;
}

static void header_mac(const uint8_t *file_key, const void *bytes, size_t n, uint8_t out[SHA256_SIZE])
{
	uint8_t key[32];
	age_derive(file_key, AGE_FILE_KEY, NULL, 0, "header", key);
	hmac_sha256(key, sizeof(key), bytes, n, out);
	sodium_memzero(key, sizeof(key));
}

enum err age_header_write(const struct age_recipient *recipients, size_t count, const uint8_t file_key[AGE_FILE_KEY], struct buf *out)
{
	uint8_t mac[SHA256_SIZE];
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	enum err err = cipher && count ? buf_append_text(out, version) : ERR_INVALID;
	for (size_t i = 0; !err && i < count; i++)
		err = put_stanza(cipher, &recipients[i], file_key, out);
	EVP_CIPHER_CTX_free(cipher);
	if (err)
		return err;
	err = buf_append_text(out, foot);
	if (err)
		return err;
	header_mac(file_key, out->data, out->len, mac);
	buf_append_char(out, ' ');
	put_base64(out, mac, sizeof(mac));
	return buf_append_char(out, '\n');
}

/* ------------------------------------------------------------------------------------------------------------- reading */

size_t age_header_length(const uint8_t *bytes, size_t n)
{
	for (size_t at = 0; at < n;) {
		const uint8_t *end = memchr(bytes + at, '\n', n - at);
		if (!end)
			return 0;
		if (end - (bytes + at) >= 3 && memcmp(bytes + at, foot, 3) == 0)
			return (size_t)(end - bytes) + 1;
		at = (size_t)(end - bytes) + 1;
	}
	return 0;
}

/* The line at *at, without its end; *at moves behind it. */
static struct str next_line(struct str header, size_t *at)
{
	const char *from = header.p + *at, *end = memchr(from, '\n', header.n - *at);
	struct str line = {from, end ? (size_t)(end - from) : header.n - *at};
	*at += line.n + (end ? 1 : 0);
	return line;
}

/* The argument line of any stanza: printable words, one blank between. */
static bool words_are_good(struct str line)
{
	bool blank = true;
	for (size_t i = 3; i < line.n; i++) {
		if (line.p[i] == ' ' && blank)
			return false;
		blank = line.p[i] == ' ';
		if (!blank && (line.p[i] < 33 || line.p[i] > 126))
			return false;
	}
	return line.n > 3 && !blank;
}

/* Lines of 64 characters and one shorter one. The shorter one, when it is the only one, is the body of ours. */
static enum err read_body(struct str header, size_t *at, struct str *ret_body)
{
	uint8_t bytes[LINE];
	*ret_body = (struct str){NULL, 0};
	for (bool first = true;; first = false) {
		struct str line = next_line(header, at);
		size_t rest = line.n % 4;
		if (line.n > LINE || rest == 1 || get_base64(line.p, line.n, bytes, line.n / 4 * 3 + (rest ? rest - 1 : 0)))
			return ERR_INVALID;
		if (line.n < LINE) {
			if (first)
				*ret_body = line;
			return OK;
		}
	}
}

/* OK with *ret_found when the stanza is for the identity. */
static enum err try_stanza(EVP_CIPHER_CTX *cipher, struct str line, struct str body, const struct age_identity *identity, uint8_t *ret_file_key, bool *ret_found)
{
	static const uint8_t nonce[12];
	uint8_t ephemeral[AGE_KEY], shared[AGE_KEY], key[32], wrapped[WRAPPED];
	if (get_base64(line.p + sizeof(stanza) - 1, line.n - (sizeof(stanza) - 1), ephemeral, AGE_KEY) || get_base64(body.p ? body.p : "", body.n, wrapped, sizeof(wrapped)))
		return ERR_INVALID;
	if (crypto_scalarmult_curve25519(shared, identity->scalar, ephemeral))
		return ERR_INVALID;
	wrapping_key(shared, ephemeral, identity->point, key);
	*ret_found = age_aead_open(cipher, key, nonce, wrapped, sizeof(wrapped), ret_file_key) == OK;
	sodium_memzero(shared, sizeof(shared));
	sodium_memzero(key, sizeof(key));
	return OK;
}

static enum err check_mac(struct str line, const uint8_t *bytes, const uint8_t *file_key)
{
	uint8_t said[SHA256_SIZE], mac[SHA256_SIZE];
	if (line.n < 4 || line.p[3] != ' ' || get_base64(line.p + 4, line.n - 4, said, sizeof(said)))
		return ERR_INVALID;
	header_mac(file_key, bytes, (size_t)(line.p - (const char *)bytes) + 3, mac);
	return constant_time_equal(said, sizeof(said), mac, sizeof(mac)) ? OK : ERR_INVALID;
}

static enum err read_stanzas(EVP_CIPHER_CTX *cipher, struct str header, const struct age_identity *identity, uint8_t *file_key)
{
	size_t at = sizeof(version) - 1;
	bool found = false;
	for (;;) {
		struct str line = next_line(header, &at), body;
		if (line.n >= 3 && memcmp(line.p, foot, 3) == 0)
			return found ? check_mac(line, (const uint8_t *)header.p, file_key) : ERR_DENIED;
		if (line.n < 3 || memcmp(line.p, "-> ", 3) != 0 || !words_are_good(line))
			return ERR_INVALID;
		enum err err = read_body(header, &at, &body);
		bool ours = line.n >= sizeof(stanza) - 1 && memcmp(line.p, stanza, sizeof(stanza) - 1) == 0;
		if (!err && ours && !found)
			err = try_stanza(cipher, line, body, identity, file_key, &found);
		if (err)
			return err;
	}
}

enum err age_header_open(const uint8_t *bytes, size_t n, const struct age_identity *identity, uint8_t ret_file_key[AGE_FILE_KEY])
{
	uint8_t file_key[AGE_FILE_KEY];
	if (n < sizeof(version) - 1 || memcmp(bytes, version, sizeof(version) - 1) != 0)
		return ERR_INVALID;
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	if (!cipher)
		return ERR_UNAVAILABLE;
	enum err err = read_stanzas(cipher, (struct str){(const char *)bytes, n}, identity, file_key);
	EVP_CIPHER_CTX_free(cipher);
	if (!err)
		memcpy(ret_file_key, file_key, sizeof(file_key));
	sodium_memzero(file_key, sizeof(file_key));
	return err;
}
