/*
 * The signing side of Signature Version 4: Authorization headers and presigned URLs.
 *
 * Called by the object store driver and by whoever hands out upload and download URLs. It must never send anything, log
 * a URL, or sign a header it was not given.
 */
#include "core/crypto/sigv4_canonical.h"

#define TARGET_MAX ((size_t)128 << 10)
#define ADDED_HEADERS 4
#define ADDED_PARAMETERS 7

static struct str lower_case(struct arena *arena, struct str name)
{
	char *copy = arena_copy(arena, name.p, name.n);

	for (size_t i = 0; copy != NULL && i < name.n; i++) {
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] + ('a' - 'A'));
	}
	return (struct str){copy, copy != NULL ? name.n : 0};
}

static void add_pair(struct sigv4_pair *pairs, size_t *count, const char *name, const char *value)
{
	if (value != NULL)
		pairs[(*count)++] = (struct sigv4_pair){str_of(name), str_of(value)};
}

/* Completes all (which holds count headers already, and room for the request's) and sorts it. */
static enum err gather_headers(struct arena *arena, const struct sigv4_request *request, struct sigv4_pair *all, size_t *count)
{
	for (size_t i = 0; i < request->header_count; i++) {
		all[*count] = (struct sigv4_pair){lower_case(arena, request->headers[i].name), request->headers[i].value};
		if (all[*count].name.p == NULL)
			return ERR_TOO_LARGE;
		(*count)++;
	}
	sigv4_sort(all, *count);
	for (size_t i = 0; i < *count; i++) {
		if (all[i].name.n == 0 || !sigv4_value_is_plain(all[i].value) || (i > 0 && str_equal(all[i].name, all[i - 1].name)))
			return ERR_INVALID;
	}
	return OK;
}

static enum err check(const struct sigv4_credentials *credentials, const struct sigv4_request *request)
{
	if (!sigv4_credentials_are_usable(credentials) || request->host == NULL || request->method == NULL || request->path.n == 0 ||
	    request->path.p[0] != '/')
		return ERR_INVALID;
	return request->query_count > SIGV4_PAIRS_MAX || request->header_count > SIGV4_PAIRS_MAX ? ERR_TOO_LARGE : OK;
}

/* Appends the encoded path and query. */
static void append_target(struct buf *out, const struct sigv4_canonical *canonical)
{
	buf_append(out, canonical->path.p, canonical->path.n);
	if (canonical->query.n > 0)
		buf_append_char(out, '?');
	buf_append(out, canonical->query.p, canonical->query.n);
}

/* What was built, as text of the arena; NULL when it passed a cap. Empties the buffer. */
static const char *take_text(struct arena *arena, struct buf *text)
{
	const char *copy = text->overflowed ? NULL : arena_copy(arena, buf_text(text), text->len);

	buf_clear(text);
	return copy;
}

static void append_credential(struct buf *out, const struct sigv4_credentials *credentials, const char *date)
{
	buf_append_text(out, credentials->access_key);
	buf_append_char(out, '/');
	sigv4_append_scope(out, credentials, date);
}

static enum err write_headers(struct arena *arena, const struct sigv4_credentials *credentials, const struct sigv4_canonical *canonical,
                              const char *date, const char *signature, struct sigv4_headers *headers)
{
	struct buf text;

	buf_init(&text, TARGET_MAX);
	append_target(&text, canonical);
	headers->target = take_text(arena, &text);
	buf_append_text(&text, SIGV4_ALGORITHM " Credential=");
	append_credential(&text, credentials, date);
	buf_append_text(&text, ", SignedHeaders=");
	sigv4_append_names(&text, canonical->headers, canonical->header_count);
	buf_append_text(&text, ", Signature=");
	buf_append_text(&text, signature);
	headers->authorization = take_text(arena, &text);
	buf_release(&text);
	return headers->target != NULL && headers->authorization != NULL ? OK : ERR_TOO_LARGE;
}

enum err sigv4_sign(struct arena *arena, const struct sigv4_credentials *credentials, const struct sigv4_request *request,
                    const char *payload_sha256, int64_t now, struct sigv4_headers *ret)
{
	struct sigv4_pair all[SIGV4_PAIRS_MAX + ADDED_HEADERS];
	struct sigv4_canonical canonical = {0};
	char basic_date[CLOCK_ISO_SIZE] = {0}, signature[SHA256_HEX_SIZE] = {0};
	size_t count = 0;

	enum err err = check(credentials, request);
	if (err != OK)
		return err;
	clock_basic(now, basic_date);
	struct sigv4_headers headers = {
		.date = arena_strdup(arena, basic_date),
		.content_sha256 = text_equal(credentials->service, "s3") ? payload_sha256 : NULL,
		.security_token = credentials->session_token,
	};
	if (headers.date == NULL)
		return ERR_TOO_LARGE;
	add_pair(all, &count, "host", request->host);
	add_pair(all, &count, "x-amz-date", headers.date);
	add_pair(all, &count, "x-amz-content-sha256", headers.content_sha256);
	add_pair(all, &count, "x-amz-security-token", headers.security_token);
	err = gather_headers(arena, request, all, &count);
	canonical = (struct sigv4_canonical){.method = str_of(request->method), .headers = all, .header_count = count, .payload = payload_sha256};
	if (err == OK)
		err = sigv4_encode_path(arena, request->path, &canonical.path);
	if (err == OK)
		err = sigv4_encode_query(arena, request->query, request->query_count, &canonical.query);
	if (err == OK)
		err = sigv4_signature(arena, credentials, &canonical, basic_date, signature);
	if (err == OK)
		err = write_headers(arena, credentials, &canonical, basic_date, signature, &headers);
	if (err == OK)
		*ret = headers;
	return err;
}

/* The request's own parameters and the X-Amz-* ones, but for the signature. */
static enum err gather_query(struct arena *arena, const struct sigv4_credentials *credentials, const struct sigv4_request *request,
                             const struct sigv4_canonical *canonical, const char *date, int64_t expires, struct sigv4_pair *all,
                             size_t *count)
{
	struct buf text;

	buf_init(&text, TARGET_MAX);
	sigv4_append_names(&text, canonical->headers, canonical->header_count);
	const char *signed_headers = take_text(arena, &text);
	append_credential(&text, credentials, date);
	const char *credential = take_text(arena, &text);
	buf_release(&text);
	const char *lifetime = arena_printf(arena, "%lld", (long long)expires);
	if (signed_headers == NULL || credential == NULL || lifetime == NULL)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < request->query_count; i++)
		all[(*count)++] = request->query[i];
	add_pair(all, count, "X-Amz-Algorithm", SIGV4_ALGORITHM);
	add_pair(all, count, "X-Amz-Credential", credential);
	add_pair(all, count, "X-Amz-Date", date);
	add_pair(all, count, "X-Amz-Expires", lifetime);
	add_pair(all, count, "X-Amz-Security-Token", credentials->session_token);
	add_pair(all, count, "X-Amz-SignedHeaders", signed_headers);
	return OK;
}

static enum err write_url(struct arena *arena, const struct sigv4_canonical *canonical, const char *scheme, const char *host,
                          const char *signature, const char **ret_url)
{
	struct buf text;
	size_t size = strlen(scheme) + strlen(host) + canonical->path.n + canonical->query.n + SHA256_HEX_SIZE + 32;
	enum err err = size <= TARGET_MAX ? sigv4_buf(arena, size, &text) : ERR_TOO_LARGE;

	if (err != OK)
		return err;
	buf_append_text(&text, scheme);
	buf_append_text(&text, "://");
	buf_append_text(&text, host);
	append_target(&text, canonical);
	buf_append_text(&text, "&X-Amz-Signature=");
	buf_append_text(&text, signature);
	if (text.overflowed)
		return ERR_TOO_LARGE;
	*ret_url = text.data;
	return OK;
}

enum err sigv4_presign(struct arena *arena, const struct sigv4_credentials *credentials, const struct sigv4_request *request,
                       const char *scheme, int64_t now, int64_t expires, const char **ret_url)
{
	struct sigv4_pair headers[SIGV4_PAIRS_MAX + ADDED_HEADERS];
	struct sigv4_pair query[SIGV4_PAIRS_MAX + ADDED_PARAMETERS];
	char date[CLOCK_ISO_SIZE] = {0}, signature[SHA256_HEX_SIZE] = {0};
	size_t header_count = 0, query_count = 0;

	enum err err = check(credentials, request);
	if (err == OK && (expires < 1 || expires > SIGV4_EXPIRES_MAX))
		err = ERR_INVALID;
	if (err != OK)
		return err;
	clock_basic(now, date);
	add_pair(headers, &header_count, "host", request->host);
	err = gather_headers(arena, request, headers, &header_count);
	struct sigv4_canonical canonical = {
		.method = str_of(request->method),
		.headers = headers,
		.header_count = header_count,
		.payload = SIGV4_UNSIGNED_PAYLOAD,
	};
	if (err == OK)
		err = gather_query(arena, credentials, request, &canonical, date, expires, query, &query_count);
	if (err == OK)
		err = sigv4_encode_path(arena, request->path, &canonical.path);
	if (err == OK)
		err = sigv4_encode_query(arena, query, query_count, &canonical.query);
	if (err == OK)
		err = sigv4_signature(arena, credentials, &canonical, date, signature);
	if (err == OK)
		err = write_url(arena, &canonical, scheme, request->host, signature, ret_url);
	return err;
}
