/*
 * JSON in (jansson behind limits) and out (a streaming writer). Used by the request side, the workers, the log and
 * the declaration loader. Must never recurse on input that was not measured first.
 */
#include "core/base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_OF_RANGE "a number is out of range"
enum { WHOLE_MAX = 19, MENDED_ROOM = 64 }; /* digits that may be too many for a whole number */

/* Deepest nesting outside strings. Broken JSON gives a meaningless number, which the parser then refuses anyway. */
static unsigned nesting(const char *bytes, size_t n)
{
	unsigned depth = 0, deepest = 0;
	bool in_string = false;
	for (size_t i = 0; i < n; i++) {
		char c = bytes[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > deepest)
				deepest = depth;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return deepest;
}

static void decref(void *what)
{
	json_decref(what);
}

static enum err parse(struct arena *arena, const char *bytes, size_t n, size_t flags, json_t **ret, const char **ret_why)
{
	static const struct {
		enum json_error_code code;
		const char *why;
	} reasons[] = {
	    {json_error_duplicate_key, "a member stands twice in one object"},
	    {json_error_null_character, "a string holds a NUL character"},
	    {json_error_null_byte_in_key, "a member name holds a NUL character"},
	    {json_error_invalid_utf8, "the text is not UTF-8"},
	    {json_error_premature_end_of_input, "the text ends too early"},
	    {json_error_numeric_overflow, OUT_OF_RANGE},
	};
	const char *why = "the text is not JSON";
	json_error_t error;
	if (nesting(bytes, n) > JSON_DEPTH_MAX) {
		if (ret_why)
			*ret_why = "the value is nested too deep";
		return ERR_TOO_LARGE;
	}
	json_t *value = json_loadb(bytes, n, flags | JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!value) {
		for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
			if (json_error_code(&error) == reasons[i].code)
				why = reasons[i].why;
		if (ret_why)
			*ret_why = why;
		return ERR_INVALID;
	}
	enum err err = arena_defer(arena, decref, value);
	if (err)
		return err;
	*ret = value;
	return OK;
}

enum err json_parse(struct arena *arena, const char *bytes, size_t n, json_t **ret, const char **ret_why)
{
	return parse(arena, bytes, n, 0, ret, ret_why);
}

/* Of \uXXXX at p (6 bytes are there): the first two hex digits as a number, or 0 when it is none. */
static unsigned escape_lead(const char *p)
{
	unsigned char lead;
	if (p[0] != '\\' || p[1] != 'u' || hex_decode(p + 2, 2, &lead, 1))
		return 0;
	return lead;
}

static void mend_surrogates(char *bytes, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++) {
		if (bytes[i] != '\\')
			continue;
		unsigned lead = i + 6 <= n ? escape_lead(bytes + i) : 0;
		bool high = lead >= 0xd8 && lead <= 0xdb, low = lead >= 0xdc && lead <= 0xdf;
		unsigned next = high && i + 12 <= n ? escape_lead(bytes + i + 6) : 0;
		if (high && next >= 0xdc && next <= 0xdf)
			i += 11;
		else if (high || low)
			memcpy(bytes + i + 2, "fffd", 4);
		else
			i++;
	}
}

static size_t number_length(const char *bytes, size_t n)
{
	size_t length = 0;
	while (length < n && bytes[length] && strchr("+-.0123456789eE", bytes[length]))
		length++;
	return length;
}

/* More than 64 bits, or more than a double: what the parser refuses a whole text for. A byte that is no part of it follows the number. */
static bool is_out_of_range(const char *number, size_t n)
{
	char *end = NULL;
	int64_t whole = 0;
	double real = strtod(number, &end);
	if (end != number + n)
		return false;
	bool fraction = memchr(number, '.', n) || memchr(number, 'e', n) || memchr(number, 'E', n);
	return isinf(real) || (!fraction && n >= WHOLE_MAX && parse_i64_n(number, n, INT64_MIN, INT64_MAX, &whole));
}

/* A copy in which numbers that are out of range are texts that nothing takes, because of the NUL in them. */
static void mend_numbers(struct buf *out, const char *bytes, size_t n)
{
	bool in_string = false;
	for (size_t i = 0; i < n;) {
		size_t length = in_string ? 0 : number_length(bytes + i, n - i);
		if (length && i + length < n && is_out_of_range(bytes + i, length))
			buf_append_text(out, "\"?\\u0000\"");
		else
			buf_append(out, bytes + i, length ? length : 1);
		if (!length && in_string && bytes[i] == '\\' && i + 1 < n)
			buf_append_char(out, bytes[++i]);
		else if (!length && bytes[i] == '"')
			in_string = !in_string;
		i += length ? length : 1;
	}
}

enum err json_parse_tolerant(struct arena *arena, char *bytes, size_t n, json_t **ret)
{
	const char *why = NULL;
	struct buf mended;
	mend_surrogates(bytes, n);
	enum err err = parse(arena, bytes, n, JSON_ALLOW_NUL, ret, &why);
	if (err != ERR_INVALID || !text_equal(why, OUT_OF_RANGE))
		return err;
	buf_init(&mended, 2 * n + MENDED_ROOM);
	mend_numbers(&mended, bytes, n);
	err = mended.overflowed ? ERR_TOO_LARGE : parse(arena, buf_text(&mended), mended.len, JSON_ALLOW_NUL, ret, NULL);
	buf_release(&mended);
	return err;
}

const char *json_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

void json_quote(struct buf *out, const char *bytes, size_t n)
{
	buf_append_char(out, '"');
	size_t i = 0, plain = 0;
	while (i < n) {
		unsigned char c = (unsigned char)bytes[i];
		if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != 0x7f) {
			i++;
			continue;
		}
		buf_append(out, bytes + plain, i - plain);
		uint32_t code_point;
		size_t length = utf8_decode(bytes + i, n - i, &code_point);
		if (length == 0) {
			buf_append_text(out, "\xef\xbf\xbd");
			length = 1;
		} else if (length > 1) {
			buf_append(out, bytes + i, length);
		} else if (c == '"' || c == '\\') {
			buf_printf(out, "\\%c", c);
		} else if (c == '\n') {
			buf_append_text(out, "\\n");
		} else {
			buf_printf(out, "\\u%04x", c);
		}
		i += length;
		plain = i;
	}
	buf_append(out, bytes + plain, n - plain);
	buf_append_char(out, '"');
}

void json_start(struct json_writer *w, struct buf *out)
{
	*w = (struct json_writer){.out = out};
}

static void begin(struct json_writer *w, const char *name)
{
	if (w->comma[w->depth])
		buf_append_char(w->out, ',');
	w->comma[w->depth] = true;
	if (name) {
		json_quote(w->out, name, strlen(name));
		buf_append_char(w->out, ':');
	}
}

static void open(struct json_writer *w, const char *name, char bracket)
{
	begin(w, name);
	buf_append_char(w->out, bracket);
	if (w->depth < JSON_DEPTH_MAX)
		w->depth++;
	w->comma[w->depth] = false;
}

static void close(struct json_writer *w, char bracket)
{
	if (w->depth > 0)
		w->depth--;
	buf_append_char(w->out, bracket);
}

void json_object_open(struct json_writer *w, const char *name)
{
	open(w, name, '{');
}

void json_object_close(struct json_writer *w)
{
	close(w, '}');
}

void json_array_open(struct json_writer *w, const char *name)
{
	open(w, name, '[');
}

void json_array_close(struct json_writer *w)
{
	close(w, ']');
}

void json_put_str(struct json_writer *w, const char *name, struct str s)
{
	begin(w, name);
	json_quote(w->out, s.p, s.n);
}

void json_put_text(struct json_writer *w, const char *name, const char *text)
{
	if (text)
		json_put_str(w, name, str_of(text));
	else
		json_put_null(w, name);
}

void json_put_i64(struct json_writer *w, const char *name, int64_t value)
{
	begin(w, name);
	buf_printf(w->out, "%lld", (long long)value);
}

void json_put_real(struct json_writer *w, const char *name, double value)
{
	begin(w, name);
	if (isfinite(value))
		buf_printf(w->out, "%.6g", value);
	else
		buf_append_text(w->out, "null");
}

void json_put_bool(struct json_writer *w, const char *name, bool value)
{
	begin(w, name);
	buf_append_text(w->out, value ? "true" : "false");
}

void json_put_null(struct json_writer *w, const char *name)
{
	begin(w, name);
	buf_append_text(w->out, "null");
}

void json_put_raw(struct json_writer *w, const char *name, const char *json)
{
	begin(w, name);
	buf_append_text(w->out, json);
}
