/*
 * Parsing what nginx hands over. Called by the dispatcher before any handler.
 * Must never decode twice, nor trust a length it did not read.
 */
#include "fcgi/request.h"

#include "core/base/ids.h"
#include "core/base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	enum method method;
} methods[] = {
    {"GET", METHOD_GET}, {"HEAD", METHOD_HEAD}, {"POST", METHOD_POST}, {"PUT", METHOD_PUT},
    {"PATCH", METHOD_PATCH}, {"DELETE", METHOD_DELETE}, {"OPTIONS", METHOD_OPTIONS},
};

const char *request_param(const struct request *request, const char *name)
{
	const char *value = FCGX_GetParam(name, request->fcgi->envp);
	return value && *value ? value : NULL;
}

static enum method parse_method(const char *name)
{
	for (size_t i = 0; name && i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(methods[i].name, name) == 0)
			return methods[i].method;
	return METHOD_OTHER;
}

static bool is_request_id(const char *id)
{
	size_t n = id ? strlen(id) : 0;
	return n >= 8 && n <= 64 && strspn(id, "0123456789abcdefABCDEF-") == n;
}

static enum err make_id(struct request *request)
{
	const char *given = request_param(request, "REQUEST_ID");
	uint8_t bytes[16];
	if (is_request_id(given)) {
		request->id = given;
		return OK;
	}
	char *id = arena_alloc(request->arena, 2 * sizeof(bytes) + 1);
	if (!id)
		return ERR_TOO_LARGE;
	random_bytes(bytes, sizeof(bytes));
	hex_encode(bytes, sizeof(bytes), id);
	request->id = id;
	return OK;
}

/* The path is split first and decoded after, so that an encoded slash never makes a segment. */
static enum err parse_path(struct request *request, const char *path, size_t n)
{
	if (n == 0 || path[0] != '/')
		return ERR_INVALID;
	for (size_t at = 1; at < n;) {
		const char *slash = memchr(path + at, '/', n - at);
		size_t length = slash ? (size_t)(slash - path) - at : n - at;
		if (request->segment_count == REQUEST_SEGMENTS_MAX)
			return ERR_NOT_FOUND;
		struct str *segment = &request->segments[request->segment_count];
		enum err err = percent_decode(request->arena, path + at, length, false, segment);
		if (err)
			return err;
		if (!utf8_valid(segment->p, segment->n))
			return ERR_INVALID;
		request->segment_count++;
		at += length + 1;
		if (slash && at == n) { /* a trailing slash is an empty last segment */
			if (request->segment_count == REQUEST_SEGMENTS_MAX)
				return ERR_NOT_FOUND;
			request->segments[request->segment_count++] = STR("");
		}
	}
	return OK;
}

static enum err parse_query(struct request *request, const char *query)
{
	for (const char *p = query; *p;) {
		size_t n = strcspn(p, "&");
		const char *equals = memchr(p, '=', n);
		size_t name_length = equals ? (size_t)(equals - p) : n;
		if (n > 0) {
			if (request->query_count == REQUEST_QUERY_MAX)
				return ERR_INVALID;
			struct request_pair *pair = &request->query[request->query_count];
			enum err err = percent_decode(request->arena, p, name_length, true, &pair->name);
			if (!err && equals)
				err = percent_decode(request->arena, equals + 1, n - name_length - 1, true, &pair->value);
			if (!err && (!utf8_valid(pair->name.p, pair->name.n) || (pair->value.n && !utf8_valid(pair->value.p, pair->value.n))))
				err = ERR_INVALID;
			if (err)
				return err;
			if (!equals)
				pair->value = STR("");
			request->query_count++;
		}
		p += n + (p[n] == '&');
	}
	return OK;
}

enum err request_parse(struct request *request)
{
	const char *target = request_param(request, "REQUEST_URI");
	request->method = parse_method(request_param(request, "REQUEST_METHOD"));
	request->language = language_of(request_param(request, "HTTP_ACCEPT_LANGUAGE"));
	enum err err = make_id(request);
	if (err || !target)
		return err ? err : ERR_INVALID;
	size_t path_length = strcspn(target, "?");
	err = parse_path(request, target, path_length);
	if (!err && target[path_length] == '?')
		err = parse_query(request, target + path_length + 1);
	return err;
}

struct str request_query(const struct request *request, const char *name)
{
	for (size_t i = 0; i < request->query_count; i++)
		if (str_equal_text(request->query[i].name, name))
			return request->query[i].value;
	return (struct str){NULL, 0};
}

enum problem request_read_body(struct request *request, size_t max)
{
	const char *declared = request_param(request, "CONTENT_LENGTH");
	int64_t length = 0;
	if (!declared)
		return PROBLEM_COUNT;
	if (parse_i64(declared, 0, INT64_MAX, &length))
		return PROBLEM_INVALID_REQUEST;
	if ((uint64_t)length > max)
		return PROBLEM_TOO_LARGE;
	char *bytes = arena_alloc(request->arena, (size_t)length + 1);
	if (!bytes)
		return PROBLEM_TOO_LARGE;
	int64_t got = 0;
	while (got < length) {
		int n = FCGX_GetStr(bytes + got, (int)(length - got), request->fcgi->in);
		if (n <= 0)
			break;
		got += n;
	}
	/* A signal or a lost peer ends the stream early without an error of its own: only both conditions make a whole body. */
	if (got != length || FCGX_GetError(request->fcgi->in) != 0)
		return PROBLEM_BODY_TRUNCATED;
	request->body = (struct str){bytes, (size_t)length};
	return PROBLEM_COUNT;
}

/* A number of more than 64 bits, or beyond a double, would cost the whole body. */
static bool is_held(const struct json_node *value)
{
	int64_t whole = 0;
	char number[REAL_TEXT_SIZE];
	if (value->kind != JSON_KIND_NUMBER || !parse_i64_n(value->text, value->n, INT64_MIN, INT64_MAX, &whole))
		return true;
	if (value->n >= sizeof(number))
		return false;
	memcpy(number, value->text, value->n);
	number[value->n] = '\0';
	return strpbrk(number, ".eE") && isfinite(strtod(number, NULL));
}

/* An empty list stands for a number that nobody holds: no field takes it, and its refusal names the field. */
static void write_rest(struct buf *out, const struct json_node *tree)
{
	bool comma = false;
	buf_append_char(out, '{');
	for (const struct json_node *name = json_first(tree); name < json_end(tree); name += 1 + name[1].size) {
		if (text_equal(name->text, "changes"))
			continue;
		buf_append_text(out, comma ? "," : "");
		comma = true;
		json_quote(out, name->text, name->n);
		buf_append_char(out, ':');
		if (is_held(name + 1))
			json_tree_write(out, name + 1);
		else
			buf_append_text(out, "[]");
	}
	buf_append_char(out, '}');
}

/* What stands beside the changes is read like any other body. The body is memory of our own (request_read_body); `p` is const for its readers. */
static enum err parse_changes(struct request *request)
{
	struct buf rest;
	enum err err = json_tree_parse(request->arena, (char *)(uintptr_t)request->body.p, request->body.n, &request->tree);
	if (err || !json_is(request->tree, JSON_KIND_OBJECT))
		return err ? err : ERR_INVALID;
	buf_init(&rest, request->body.n * 2 + 64);
	write_rest(&rest, request->tree);
	err = rest.overflowed ? ERR_TOO_LARGE : json_parse(request->arena, buf_text(&rest), rest.len, &request->json, NULL);
	buf_release(&rest);
	/* Changes that stand twice are nobody's. */
	bool one = json_member(request->tree, "changes") != NULL;
	return !err && json_object_size(request->json) + one != request->tree->n ? ERR_INVALID : err;
}

enum problem request_parse_json(struct request *request, bool optional, bool changes)
{
	const char *type = request_param(request, "CONTENT_TYPE");
	if (request->body.n == 0 && optional) {
		request->body = STR("{}");
	} else {
		struct str media = str_trim((struct str){type, type ? strcspn(type, ";") : 0});
		if (!str_equal_ignore_case(media, "application/json"))
			return PROBLEM_UNSUPPORTED_MEDIA_TYPE;
	}
	enum err err = changes && request->body.n ? parse_changes(request)
	                                          : json_parse(request->arena, request->body.p ? request->body.p : "", request->body.n, &request->json, NULL);
	if (err == ERR_TOO_LARGE)
		return PROBLEM_JSON_TOO_DEEP;
	if (err || !json_is_object(request->json))
		return PROBLEM_INVALID_JSON;
	return PROBLEM_COUNT;
}
