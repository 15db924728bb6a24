/*
 * Canonical request, signing key, signature: the arithmetic of Signature Version 4.
 *
 * Called by the signer (sigv4.c) and the verifier (sigv4_verify.c) only, so that both agree by construction. It must
 * never decide whether a request is allowed, and never leave a secret in memory that is given back.
 */
#include "core/crypto/sigv4_canonical.h"

#include <openssl/crypto.h>

#define CANONICAL_MAX ((size_t)256 << 10)
#define KEYS_KEPT 8

/* A signing key and what it was derived from; key.context NULL is an empty place. */
struct signing_key {
	char date[SIGV4_DATE_SIZE];
	char secret[SIGV4_CREDENTIAL_MAX + 1];
	char region[SIGV4_CREDENTIAL_MAX + 1];
	char service[SIGV4_CREDENTIAL_MAX + 1];
	struct hmac_key key;
};

static struct signing_key kept_keys[KEYS_KEPT];
static size_t next_place;

int sigv4_compare(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static bool comes_after(const struct sigv4_pair *a, const struct sigv4_pair *b)
{
	int order = sigv4_compare(a->name, b->name);

	return order > 0 || (order == 0 && sigv4_compare(a->value, b->value) > 0);
}

/* By insertion: few pairs, and nearly in order as a rule. */
void sigv4_sort(struct sigv4_pair *pairs, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct sigv4_pair pair = pairs[i];
		size_t at = i;
		for (; at > 0 && comes_after(&pairs[at - 1], &pair); at--)
			pairs[at] = pairs[at - 1];
		pairs[at] = pair;
	}
}

/* It never grows: room is all it may take. */
enum err sigv4_buf(struct arena *arena, size_t room, struct buf *ret)
{
	char *bytes = arena_alloc(arena, room + 1);

	*ret = (struct buf){.data = bytes, .room = room + 1, .max = room};
	return bytes != NULL ? OK : ERR_TOO_LARGE;
}

enum err sigv4_encode_path(struct arena *arena, struct str path, struct str *ret)
{
	struct buf text;
	enum err err = sigv4_buf(arena, 3 * path.n + 1, &text);

	if (err == OK)
		err = percent_encode(&text, path.p, path.n, true);
	if (err == OK)
		*ret = (struct str){text.data, text.len};
	return err;
}

void sigv4_append_scope(struct buf *out, const struct sigv4_credentials *credentials, const char *basic_date)
{
	buf_append(out, basic_date, SIGV4_DATE_SIZE);
	buf_append_char(out, '/');
	buf_append_text(out, credentials->region);
	buf_append_char(out, '/');
	buf_append_text(out, credentials->service);
	buf_append_text(out, "/aws4_request");
}

/* Percent-encodes into memory that was reserved before, so that earlier results stay where they are. */
static struct str encode(struct buf *out, struct str raw)
{
	size_t start = out->len;

	percent_encode(out, raw.p, raw.n, false);
	return (struct str){out->data + start, out->len - start};
}

enum err sigv4_encode_query(struct arena *arena, const struct sigv4_pair *query, size_t count, struct str *ret)
{
	struct sigv4_pair encoded[2 * SIGV4_PAIRS_MAX];
	struct buf text, joined;
	size_t room = 1;

	if (count > sizeof encoded / sizeof *encoded)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < count; i++)
		room += 3 * (query[i].name.n + query[i].value.n);
	enum err err = sigv4_buf(arena, room, &text);
	if (err == OK)
		err = sigv4_buf(arena, room + 2 * count, &joined);
	if (err != OK)
		return err;
	for (size_t i = 0; i < count; i++)
		encoded[i] = (struct sigv4_pair){encode(&text, query[i].name), encode(&text, query[i].value)};
	sigv4_sort(encoded, count);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_append_char(&joined, '&');
		buf_append(&joined, encoded[i].name.p, encoded[i].name.n);
		buf_append_char(&joined, '=');
		buf_append(&joined, encoded[i].value.p, encoded[i].value.n);
	}
	*ret = (struct str){joined.data, joined.len};
	return OK;
}

void sigv4_append_names(struct buf *out, const struct sigv4_pair *headers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_append_char(out, ';');
		buf_append(out, headers[i].name.p, headers[i].name.n);
	}
}

bool sigv4_value_is_plain(struct str value)
{
	for (size_t i = 0; i < value.n; i++) {
		if ((unsigned char)value.p[i] < 0x20 && value.p[i] != '\t')
			return false;
	}
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Trimmed, and every run of blanks inside is one space. */
static void append_header_value(struct buf *out, struct str value)
{
	value = str_trim(value);
	for (size_t i = 0; i < value.n;) {
		size_t start = i;
		while (i < value.n && !is_blank(value.p[i]))
			i++;
		buf_append(out, value.p + start, i - start);
		if (i < value.n)
			buf_append_char(out, ' ');
		while (i < value.n && is_blank(value.p[i]))
			i++;
	}
}

static void append_canonical(struct buf *out, const struct sigv4_canonical *request)
{
	buf_append(out, request->method.p, request->method.n);
	buf_append_char(out, '\n');
	buf_append(out, request->path.p, request->path.n);
	buf_append_char(out, '\n');
	buf_append(out, request->query.p, request->query.n);
	buf_append_char(out, '\n');
	for (size_t i = 0; i < request->header_count; i++) {
		buf_append(out, request->headers[i].name.p, request->headers[i].name.n);
		buf_append_char(out, ':');
		append_header_value(out, request->headers[i].value);
		buf_append_char(out, '\n');
	}
	buf_append_char(out, '\n');
	sigv4_append_names(out, request->headers, request->header_count);
	buf_append_char(out, '\n');
	buf_append_text(out, request->payload);
}

static bool fits(const char *text)
{
	size_t n = text != NULL ? strnlen(text, SIGV4_CREDENTIAL_MAX + 1) : 0;

	return n > 0 && n <= SIGV4_CREDENTIAL_MAX;
}

bool sigv4_credentials_are_usable(const struct sigv4_credentials *credentials)
{
	return fits(credentials->access_key) && fits(credentials->secret_key) && fits(credentials->region) && fits(credentials->service);
}

static bool derived_from(const struct signing_key *kept, const struct sigv4_credentials *credentials, const char *date)
{
	return kept->key.context != NULL && memcmp(kept->date, date, SIGV4_DATE_SIZE) == 0 &&
	       constant_time_equal(kept->secret, strlen(kept->secret), credentials->secret_key, strlen(credentials->secret_key)) &&
	       text_equal(kept->region, credentials->region) && text_equal(kept->service, credentials->service);
}

static void forget(struct signing_key *kept)
{
	hmac_key_release(&kept->key);
	OPENSSL_cleanse(kept, sizeof *kept);
}

static void chain(uint8_t key[SHA256_SIZE], const char *text, size_t n)
{
	uint8_t next[SHA256_SIZE] = {0};

	hmac_sha256(key, SHA256_SIZE, text, n, next);
	memcpy(key, next, SHA256_SIZE);
	OPENSSL_cleanse(next, sizeof next);
}

static enum err derive(struct signing_key *place, const struct sigv4_credentials *credentials, const char *date)
{
	char first[4 + SIGV4_CREDENTIAL_MAX] = "AWS4";
	uint8_t key[SHA256_SIZE] = {0};
	size_t n = strlen(credentials->secret_key);

	memcpy(first + 4, credentials->secret_key, n);
	hmac_sha256(first, 4 + n, date, SIGV4_DATE_SIZE, key);
	chain(key, credentials->region, strlen(credentials->region));
	chain(key, credentials->service, strlen(credentials->service));
	chain(key, "aws4_request", 12);
	enum err err = hmac_key_init(&place->key, key, sizeof key);
	OPENSSL_cleanse(first, sizeof first);
	OPENSSL_cleanse(key, sizeof key);
	if (err != OK)
		return err;
	memcpy(place->date, date, SIGV4_DATE_SIZE);
	memcpy(place->secret, credentials->secret_key, n + 1);
	memcpy(place->region, credentials->region, strlen(credentials->region) + 1);
	memcpy(place->service, credentials->service, strlen(credentials->service) + 1);
	return OK;
}

/* The kept key, or a new one in the place of the oldest. */
static enum err signing_key_for(const struct sigv4_credentials *credentials, const char *date, struct hmac_key **ret)
{
	for (size_t i = 0; i < KEYS_KEPT; i++) {
		if (derived_from(&kept_keys[i], credentials, date)) {
			*ret = &kept_keys[i].key;
			return OK;
		}
	}
	struct signing_key *place = &kept_keys[next_place];
	next_place = (next_place + 1) % KEYS_KEPT;
	forget(place);
	enum err err = derive(place, credentials, date);
	if (err == OK)
		*ret = &place->key;
	return err;
}

void sigv4_forget_keys(void)
{
	for (size_t i = 0; i < KEYS_KEPT; i++)
		forget(&kept_keys[i]);
}

static void append_string_to_sign(struct buf *out, const struct sigv4_credentials *credentials, const char *basic_date, const char *digest)
{
	buf_append_text(out, SIGV4_ALGORITHM "\n");
	buf_append_text(out, basic_date);
	buf_append_char(out, '\n');
	sigv4_append_scope(out, credentials, basic_date);
	buf_append_char(out, '\n');
	buf_append(out, digest, SHA256_HEX_SIZE - 1);
}

/* Bytes of the canonical request, which is longer than the string to sign. */
static size_t canonical_size(const struct sigv4_canonical *request)
{
	size_t size = 512 + request->method.n + request->path.n + request->query.n;

	for (size_t i = 0; i < request->header_count; i++)
		size += 2 * request->headers[i].name.n + request->headers[i].value.n + 4;
	return size;
}

enum err sigv4_signature(struct arena *arena, const struct sigv4_credentials *credentials, const struct sigv4_canonical *canonical, const char *basic_date,
                         char out[SHA256_HEX_SIZE])
{
	struct buf text;
	struct hmac_key *key = NULL;
	char digest[SHA256_HEX_SIZE] = {0};
	uint8_t signature[SHA256_SIZE] = {0};
	size_t size = canonical_size(canonical);
	enum err err = size <= CANONICAL_MAX ? sigv4_buf(arena, size, &text) : ERR_TOO_LARGE;

	if (err != OK)
		return err;
	append_canonical(&text, canonical);
	err = ERR_TOO_LARGE;
	if (!text.overflowed) {
		sha256_hex(text.data, text.len, digest);
		buf_clear(&text);
		append_string_to_sign(&text, credentials, basic_date, digest);
		err = text.overflowed ? ERR_TOO_LARGE : signing_key_for(credentials, basic_date, &key);
	}
	if (err == OK) {
		hmac_key_sign(key, text.data, text.len, signature);
		hex_encode(signature, sizeof signature, out);
	}
	return err;
}
