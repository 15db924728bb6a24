/*
 * Validation of body fields, query parameters and path ids. Called by handlers before anything else.
 * Must never let a text with control characters or of unbounded length through.
 */
#include "fcgi/fields.h"

#include <ctype.h>
#include <string.h>

static bool refuse_text(struct response *response, const char *name, size_t min, size_t max)
{
	const char *message = arena_printf(response->request->arena, "text of %zu to %zu characters", min, max);
	refuse_field(response, PROBLEM_INVALID_FIELD, name, message);
	return false;
}

bool field_text(struct response *response, const json_t *object, const char *name, size_t min, size_t max, const char **ret)
{
	const json_t *value = json_object_get(object, name);
	if ((!value || json_is_null(value)) && min == 0) {
		*ret = NULL;
		return true;
	}
	const char *text = json_string_value(value);
	if (!text || strlen(text) != json_string_length(value)) /* a NUL in it */
		return refuse_text(response, name, min, max);
	size_t length = utf8_length(text, strlen(text));
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return refuse_text(response, name, min, max);
	if (length < min || length > max)
		return refuse_text(response, name, min, max);
	*ret = text;
	return true;
}

bool field_i64(struct response *response, const json_t *object, const char *name, int64_t min, int64_t max, int64_t *ret)
{
	const json_t *value = json_object_get(object, name);
	if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max) {
		const char *message =
		    arena_printf(response->request->arena, "whole number from %lld to %lld", (long long)min, (long long)max);
		refuse_field(response, PROBLEM_INVALID_FIELD, name, message);
		return false;
	}
	*ret = json_integer_value(value);
	return true;
}

bool field_sha256(struct response *response, const json_t *object, const char *name, const char **ret)
{
	const char *text = NULL;
	if (!field_text(response, object, name, 0, 64, &text))
		return false;
	*ret = NULL;
	if (!text)
		return true;
	char *lower = arena_strdup(response->request->arena, text);
	bool good = lower && strlen(lower) == 64;
	for (char *c = lower; good && *c; c++) {
		*c = (char)tolower((unsigned char)*c);
		good = strchr("0123456789abcdef", *c) != NULL;
	}
	if (!good) {
		refuse_field(response, PROBLEM_INVALID_FIELD, name, "SHA-256 as 64 hex digits");
		return false;
	}
	*ret = lower;
	return true;
}

bool query_i64(struct response *response, const char *name, int64_t fallback, int64_t min, int64_t max, int64_t *ret)
{
	struct str text = request_query(response->request, name);
	if (!text.p) {
		*ret = fallback;
		return true;
	}
	if (parse_i64_n(text.p, text.n, min, max, ret)) {
		const char *message =
		    arena_printf(response->request->arena, "whole number from %lld to %lld", (long long)min, (long long)max);
		refuse_field(response, PROBLEM_INVALID_FIELD, name, message);
		return false;
	}
	return true;
}

const char *path_uuid(struct response *response, size_t index)
{
	const struct request *request = response->request;
	struct str value = request->path_values[index];
	const char *text = arena_copy(request->arena, value.p, value.n);
	if (text && strlen(text) == value.n && is_uuid(text))
		return text;
	refuse(response, PROBLEM_NOT_FOUND);
	return NULL;
}

const char *query_text(const struct request *request, const char *name)
{
	struct str value = request_query(request, name);
	return value.n ? arena_copy(request->arena, value.p, value.n) : NULL;
}

bool query_choice(struct response *response, const char *name, const char *choices, const char **ret)
{
	const char *given = query_text(response->request, name);
	*ret = given;
	for (const char *p = choices; given && *p;) {
		size_t n = strcspn(p, " ");
		if (strlen(given) == n && memcmp(given, p, n) == 0)
			return true;
		p += n + strspn(p + n, " ");
	}
	if (!given)
		return true;
	refuse_field(response, PROBLEM_INVALID_FIELD, name, arena_printf(response->request->arena, "one of: %s", choices));
	return false;
}
