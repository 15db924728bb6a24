/*
 * The verifying side: is this presigned request, as received, one that the holder of our key allowed?
 *
 * Called for every upload and download on our own origin, before a byte of the body is read. It must never use the path or
 * a parameter in another form than the one it signed again, and never let a parameter that stands twice through: the one
 * that was checked and the one that is used later could differ.
 */
#include "core/crypto/sigv4_canonical.h"

#define SIGNATURE_LENGTH (SHA256_HEX_SIZE - 1)

/* The X-Amz-* parameters that are ours to read; p NULL when absent. */
struct parameters {
	struct str algorithm, credential, date, expires, signed_headers, signature, token;
};

/* Where each of them goes; the rest of the query is only signed. */
static const struct {
	const char *name;
	size_t offset;
} known[] = {
	{"X-Amz-Algorithm", offsetof(struct parameters, algorithm)},
	{"X-Amz-Credential", offsetof(struct parameters, credential)},
	{"X-Amz-Date", offsetof(struct parameters, date)},
	{"X-Amz-Expires", offsetof(struct parameters, expires)},
	{"X-Amz-SignedHeaders", offsetof(struct parameters, signed_headers)},
	{"X-Amz-Signature", offsetof(struct parameters, signature)},
	{"X-Amz-Security-Token", offsetof(struct parameters, token)},
};

struct query {
	struct sigv4_pair pairs[SIGV4_PAIRS_MAX];
	size_t count;
};

const char *sigv4_reason_name(enum sigv4_reason reason)
{
	static const char *const names[SIGV4_REASON_COUNT] = {
		[SIGV4_OK] = "ok",
		[SIGV4_MALFORMED] = "malformed",
		[SIGV4_UNKNOWN_KEY] = "unknown_key",
		[SIGV4_WRONG_SCOPE] = "wrong_scope",
		[SIGV4_NOT_YET_VALID] = "not_yet_valid",
		[SIGV4_EXPIRED] = "expired",
		[SIGV4_MISSING_HEADER] = "missing_header",
		[SIGV4_BAD_SIGNATURE] = "bad_signature",
		[SIGV4_NO_MEMORY] = "no_memory",
	};

	return (unsigned)reason < SIGV4_REASON_COUNT ? names[reason] : "unknown";
}

/* The text up to the separator, which is taken off *rest along with it; all of it when there is none. */
static struct str cut(struct str *rest, char separator)
{
	const char *end = rest->n > 0 ? memchr(rest->p, separator, rest->n) : NULL;
	struct str part = {rest->p, end != NULL ? (size_t)(end - rest->p) : rest->n};

	*rest = end != NULL ? (struct str){end + 1, rest->n - part.n - 1} : (struct str){rest->p + rest->n, 0};
	return part;
}

static enum sigv4_reason decode(struct arena *arena, struct str raw, struct str *ret)
{
	enum err err = percent_decode(arena, raw.n > 0 ? raw.p : "", raw.n, false, ret);

	if (err == OK)
		return SIGV4_OK;
	return err == ERR_INVALID ? SIGV4_MALFORMED : SIGV4_NO_MEMORY;
}

static enum sigv4_reason parse_query(struct arena *arena, struct str raw, struct query *query)
{
	enum sigv4_reason reason = SIGV4_OK;

	while (raw.n > 0 && reason == SIGV4_OK) {
		struct str value = cut(&raw, '&');
		if (value.n == 0)
			continue; /* "&&" carries nothing, and nothing is signed for it */
		if (query->count == SIGV4_PAIRS_MAX)
			return SIGV4_MALFORMED;
		struct str name = cut(&value, '=');
		struct sigv4_pair *pair = &query->pairs[query->count++];
		reason = decode(arena, name, &pair->name);
		if (reason == SIGV4_OK)
			reason = decode(arena, value, &pair->value);
	}
	return reason;
}

static bool is_amazon_name(struct str name)
{
	return name.n > 6 && str_equal_ignore_case((struct str){name.p, 6}, "x-amz-");
}

static bool stands_twice(const struct query *query, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		struct str name = query->pairs[i].name;
		if (name.n == query->pairs[at].name.n && str_equal_ignore_case(name, query->pairs[at].name.p))
			return true;
	}
	return false;
}

static enum sigv4_reason pick_parameters(const struct query *query, struct parameters *ret)
{
	for (size_t i = 0; i < query->count; i++) {
		const struct sigv4_pair *pair = &query->pairs[i];
		if (!is_amazon_name(pair->name))
			continue;
		if (stands_twice(query, i))
			return SIGV4_MALFORMED;
		for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
			if (str_equal_text(pair->name, known[k].name))
				*(struct str *)(void *)((char *)ret + known[k].offset) = pair->value;
		}
	}
	if (!str_equal(ret->algorithm, STR(SIGV4_ALGORITHM)) || ret->credential.p == NULL || ret->date.p == NULL || ret->expires.p == NULL ||
	    ret->signed_headers.p == NULL || ret->signature.n != SIGNATURE_LENGTH)
		return SIGV4_MALFORMED;
	return SIGV4_OK;
}

/* Takes "/field" off the end of *text. */
static struct str cut_last(struct str *text)
{
	const char *slash = text->n > 0 ? memrchr(text->p, '/', text->n) : NULL;

	if (slash == NULL)
		return (struct str){NULL, 0};
	struct str field = {slash + 1, text->n - (size_t)(slash + 1 - text->p)};
	text->n = (size_t)(slash - text->p);
	return field;
}

/* ACCESS/20130524/REGION/SERVICE/aws4_request, where the access key may itself have slashes. */
static enum sigv4_reason check_credential(const struct sigv4_credentials *credentials, const struct parameters *parameters)
{
	struct str access = parameters->credential;
	struct str last = cut_last(&access), service = cut_last(&access), region = cut_last(&access), date = cut_last(&access);

	if (date.p == NULL || !str_equal_text(last, "aws4_request"))
		return SIGV4_MALFORMED;
	if (!str_equal_text(access, credentials->access_key))
		return SIGV4_UNKNOWN_KEY;
	if (!str_equal_text(service, credentials->service) || !str_equal_text(region, credentials->region) ||
	    !str_equal(date, (struct str){parameters->date.p, SIGV4_DATE_SIZE}))
		return SIGV4_WRONG_SCOPE;
	struct str token = str_of(credentials->session_token);
	if ((parameters->token.p == NULL) != (token.p == NULL) ||
	    (token.p != NULL && !constant_time_equal(token.p, token.n, parameters->token.p, parameters->token.n)))
		return SIGV4_UNKNOWN_KEY;
	return SIGV4_OK;
}

static enum sigv4_reason check_times(const struct parameters *parameters, int64_t now, struct sigv4_verified *verified)
{
	int64_t expires = 0;

	if (clock_parse_basic(parameters->date.p, &verified->signed_at) != OK ||
	    parse_i64_n(parameters->expires.p, parameters->expires.n, 1, SIGV4_EXPIRES_MAX, &expires) != OK)
		return SIGV4_MALFORMED;
	verified->expires_at = verified->signed_at + expires;
	if (verified->signed_at > now + SIGV4_FUTURE_MAX)
		return SIGV4_NOT_YET_VALID;
	return now >= verified->expires_at ? SIGV4_EXPIRED : SIGV4_OK;
}

static bool is_header_name(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
			return false;
	}
	return name.n > 0;
}

/* Looks up every signed header: names in lower case, sorted, each once, host among them. */
static enum sigv4_reason gather_headers(const struct sigv4_received *received, struct str names, struct sigv4_pair *headers, size_t *ret_count)
{
	bool host = false;
	size_t count = 0;

	while (names.n > 0) {
		struct str name = cut(&names, ';');
		if (!is_header_name(name) || count == SIGV4_PAIRS_MAX || (count > 0 && sigv4_compare(headers[count - 1].name, name) >= 0))
			return SIGV4_MALFORMED;
		struct str value = received->header(received->context, name);
		if (value.p == NULL)
			return SIGV4_MISSING_HEADER;
		if (!sigv4_value_is_plain(value))
			return SIGV4_MALFORMED;
		host = host || str_equal_text(name, "host");
		headers[count++] = (struct sigv4_pair){name, value};
	}
	*ret_count = count;
	return host ? SIGV4_OK : SIGV4_MALFORMED;
}

/* Signs the request again, without its signature parameter, and compares. */
static enum sigv4_reason check_signature(struct arena *arena, const struct sigv4_credentials *credentials, struct str method,
                                         const struct parameters *parameters, const struct sigv4_verified *verified)
{
	struct sigv4_pair query[SIGV4_PAIRS_MAX] = {0};
	char expected[SHA256_HEX_SIZE] = {0};
	struct sigv4_canonical canonical = {
		.method = method,
		.headers = verified->headers,
		.header_count = verified->header_count,
		.payload = SIGV4_UNSIGNED_PAYLOAD,
	};

	size_t count = 0;
	for (size_t i = 0; i < verified->query_count; i++) {
		if (!str_equal_text(verified->query[i].name, "X-Amz-Signature"))
			query[count++] = verified->query[i];
	}
	if (sigv4_encode_path(arena, verified->path, &canonical.path) != OK || sigv4_encode_query(arena, query, count, &canonical.query) != OK ||
	    sigv4_signature(arena, credentials, &canonical, parameters->date.p, expected) != OK)
		return SIGV4_NO_MEMORY;
	if (!constant_time_equal(expected, SIGNATURE_LENGTH, parameters->signature.p, parameters->signature.n))
		return SIGV4_BAD_SIGNATURE;
	return SIGV4_OK;
}

enum sigv4_reason sigv4_verify_presigned(struct arena *arena, const struct sigv4_credentials *credentials,
                                         const struct sigv4_received *received, int64_t now, struct sigv4_verified *ret)
{
	struct query *query = arena_alloc(arena, sizeof *query);
	struct sigv4_pair *headers = arena_array(arena, SIGV4_PAIRS_MAX, sizeof *headers);
	struct parameters parameters = {0};
	struct sigv4_verified verified = {0};

	if (query == NULL || headers == NULL)
		return SIGV4_NO_MEMORY;
	if (!sigv4_credentials_are_usable(credentials) || received->path.n == 0 || received->path.p[0] != '/' ||
	    received->path.n > SIGV4_TARGET_MAX || received->query.n > SIGV4_TARGET_MAX)
		return SIGV4_MALFORMED;
	enum sigv4_reason reason = decode(arena, received->path, &verified.path);
	if (reason == SIGV4_OK)
		reason = parse_query(arena, received->query, query);
	if (reason == SIGV4_OK)
		reason = pick_parameters(query, &parameters);
	if (reason == SIGV4_OK)
		reason = check_times(&parameters, now, &verified);
	if (reason == SIGV4_OK)
		reason = check_credential(credentials, &parameters);
	if (reason == SIGV4_OK)
		reason = gather_headers(received, parameters.signed_headers, headers, &verified.header_count);
	verified.query = query->pairs;
	verified.query_count = query->count;
	verified.headers = headers;
	if (reason == SIGV4_OK)
		reason = check_signature(arena, credentials, received->method, &parameters, &verified);
	if (reason == SIGV4_OK)
		*ret = verified;
	return reason;
}

static struct str value_of(const struct sigv4_pair *pairs, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (str_equal_text(pairs[i].name, name))
			return pairs[i].value;
	}
	return (struct str){NULL, 0};
}

struct str sigv4_signed_header(const struct sigv4_verified *verified, const char *name)
{
	return value_of(verified->headers, verified->header_count, name);
}

struct str sigv4_signed_parameter(const struct sigv4_verified *verified, const char *name)
{
	return value_of(verified->query, verified->query_count, name);
}
