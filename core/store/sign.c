/*
 * Keys and signed URLs of the store. Called by upload and download handlers.
 * Must never log or keep a URL: it is a bearer secret.
 */
#include "core/store/store.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/crypto/base64.h"
#include "core/crypto/digest.h"

#include <stdio.h>
#include <string.h>

enum { SEGMENT_MAX = 120 };

struct sigv4_credentials store_credentials(const struct config *config)
{
	return (struct sigv4_credentials){config->storage_access_key, config->storage_secret_key, NULL, config->storage_region, "s3"};
}

static bool segment_valid(struct str s)
{
	if (s.n == 0 || str_equal_text(s, ".") || str_equal_text(s, ".."))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~%-", s.p[i]))
			return false;
	return true;
}

bool store_key_valid(const char *key)
{
	size_t n = strlen(key);
	if (n == 0 || n > STORE_KEY_MAX)
		return false;
	for (const char *p = key;; p++) {
		size_t length = strcspn(p, "/");
		if (!segment_valid((struct str){p, length}))
			return false;
		p += length;
		if (!*p)
			return true;
	}
}

const char *store_key_segment(struct arena *arena, const char *text)
{
	struct buf encoded;
	char digest[SHA256_HEX_SIZE];
	const char *segment = NULL;
	buf_init(&encoded, SEGMENT_MAX);
	bool dots = text_equal(text, ".") || text_equal(text, "..");
	if (*text && !dots && !percent_encode(&encoded, text, strlen(text), false)) {
		segment = arena_strdup(arena, buf_text(&encoded));
	} else {
		sha256_hex(text, strlen(text), digest);
		segment = arena_printf(arena, "~%s", digest);
	}
	buf_release(&encoded);
	return segment;
}

/* "https://host:port" becomes its scheme and the value of the Host header. */
static enum err split_origin(struct arena *arena, const struct config *config, const char **ret_scheme, const char **ret_host)
{
	const char *mark = strstr(config->public_url, "://");
	if (!mark || !mark[3])
		return ERR_INVALID;
	*ret_scheme = arena_copy(arena, config->public_url, (size_t)(mark - config->public_url));
	*ret_host = mark + 3;
	return *ret_scheme ? OK : ERR_TOO_LARGE;
}

static enum err presign(struct arena *arena, const struct config *config, const char *method, const char *key, const struct sigv4_pair *query,
                        size_t query_count, const struct sigv4_pair *headers, size_t header_count, int64_t life_s, const char **ret_url)
{
	const char *scheme, *host;
	struct sigv4_credentials credentials = store_credentials(config);
	enum err err = store_key_valid(key) ? split_origin(arena, config, &scheme, &host) : ERR_INVALID;
	if (err)
		return err;
	const char *path = arena_printf(arena, STORE_URL_PREFIX "%s", key);
	if (!path)
		return ERR_TOO_LARGE;
	struct sigv4_request request = {method, host, str_of(path), query, query_count, headers, header_count};
	return sigv4_presign(arena, &credentials, &request, scheme, clock_unix(), life_s, ret_url);
}

enum err store_presign_put(struct arena *arena, const struct config *config, const char *key, int64_t size, const char *checksum,
                           int64_t life_s, const char **ret_url, const char **ret_checksum)
{
	char length[24];
	uint8_t digest[SHA256_SIZE];
	struct sigv4_pair headers[2] = {{STR("content-length"), {length, 0}}};
	const char *base64 = NULL;
	headers[0].value.n = (size_t)snprintf(length, sizeof(length), "%lld", (long long)size);
	if (checksum) {
		struct buf text;
		buf_init(&text, 64);
		enum err err = hex_decode(checksum, strlen(checksum), digest, sizeof(digest));
		if (!err)
			err = base64_encode(&text, digest, sizeof(digest));
		base64 = err ? NULL : arena_strdup(arena, buf_text(&text));
		buf_release(&text);
		if (err || !base64)
			return err ? err : ERR_TOO_LARGE;
		headers[1] = (struct sigv4_pair){STR("x-amz-checksum-sha256"), str_of(base64)};
	}
	enum err err = presign(arena, config, "PUT", key, NULL, 0, headers, checksum ? 2 : 1, life_s, ret_url);
	if (!err)
		*ret_checksum = base64;
	return err;
}

enum err store_presign_get(struct arena *arena, const struct config *config, const char *key, const char *file_name,
                           const char *content_type, int64_t life_s, const char **ret_url)
{
	struct buf encoded;
	buf_init(&encoded, 4096);
	percent_encode(&encoded, file_name, strlen(file_name), false);
	const char *disposition = arena_printf(arena, "attachment; filename*=UTF-8''%s", buf_text(&encoded));
	buf_release(&encoded);
	if (!disposition)
		return ERR_TOO_LARGE;
	struct sigv4_pair query[] = {
	    {STR("response-content-disposition"), str_of(disposition)},
	    {STR("response-content-type"), str_of(content_type)},
	};
	return presign(arena, config, "GET", key, query, 2, NULL, 0, life_s, ret_url);
}
