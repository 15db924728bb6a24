/*
 * Text helpers shared by every part: strict numbers, trimming, percent-encoding, hex, comparison.
 * UTF-8 is next door in utf8.c. Must never read past a length, nor accept a number with anything around it.
 */
#include "core/base/text.h"

#include <sodium.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct str str_of(const char *text)
{
	return (struct str){text, text ? strlen(text) : 0};
}

bool str_equal(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_equal_text(struct str a, const char *b)
{
	return str_equal(a, str_of(b));
}

bool str_equal_ignore_case(struct str a, const char *b)
{
	return a.n == strlen(b) && (a.n == 0 || strncasecmp(a.p, b, a.n) == 0);
}

bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool text_starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
	while (s.n && is_blank(s.p[0]))
		s.p++, s.n--;
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

enum err parse_i64_n(const char *text, size_t n, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = n > 0 && text[0] == '-';
	size_t i = negative ? 1 : 0;
	int64_t value = 0;
	if (i == n)
		return ERR_INVALID;
	for (; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return ERR_INVALID;
		/* Built up negative, because -INT64_MIN does not exist. */
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, text[i] - '0', &value))
			return ERR_INVALID;
	}
	if (!negative && __builtin_sub_overflow(0, value, &value))
		return ERR_INVALID;
	if (value < min || value > max)
		return ERR_INVALID;
	*ret = value;
	return OK;
}

enum err parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	return text ? parse_i64_n(text, strlen(text), min, max, ret) : ERR_INVALID;
}

/* RFC 3986: what is never encoded. */
static const bool unreserved[256] = {
    ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['0' ... '9'] = true, ['-'] = true, ['.'] = true, ['_'] = true, ['~'] = true,
};

enum err percent_encode(struct buf *out, const char *bytes, size_t n, bool keep_slash)
{
	static const char digits[] = "0123456789ABCDEF";
	enum err err = OK;
	/* Long runs that need no encoding are appended as they are: this is most of the cost of a signed URL. */
	for (size_t i = 0; !err && i < n;) {
		size_t start = i;
		while (i < n && (unreserved[(unsigned char)bytes[i]] || (keep_slash && bytes[i] == '/')))
			i++;
		err = buf_append(out, bytes + start, i - start);
		if (!err && i < n) {
			unsigned char c = (unsigned char)bytes[i++];
			char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
			err = buf_append(out, escape, 3);
		}
	}
	return err;
}

/* Value + 1 of a hex digit; 0: it is none. */
static const signed char hex_digits[256] = {
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
    ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static int hex_digit(char c)
{
	return hex_digits[(unsigned char)c] - 1;
}

enum err percent_decode(struct arena *arena, const char *bytes, size_t n, bool plus_is_blank, struct str *ret)
{
	char *out = arena_alloc(arena, n + 1);
	size_t length = 0;
	if (!out)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < n; i++) {
		int c = (unsigned char)bytes[i];
		if (c == '%') {
			if (n - i < 3 || hex_digit(bytes[i + 1]) < 0 || hex_digit(bytes[i + 2]) < 0)
				return ERR_INVALID;
			c = hex_digit(bytes[i + 1]) * 16 + hex_digit(bytes[i + 2]);
			i += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		if (c == 0)
			return ERR_INVALID;
		out[length++] = (char)c;
	}
	*ret = (struct str){out, length};
	return OK;
}

void hex_encode(const void *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

enum err hex_decode(const char *text, size_t text_length, void *out, size_t n)
{
	unsigned char *p = out;
	if (text_length != 2 * n)
		return ERR_INVALID;
	int wrong = 0;
	for (size_t i = 0; i < text_length; i++)
		wrong |= hex_digit(text[i]);
	if (wrong < 0)
		return ERR_INVALID;
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(hex_digit(text[2 * i]) * 16 + hex_digit(text[2 * i + 1]));
	return OK;
}

size_t real_text(double value, char out[REAL_TEXT_SIZE])
{
	int n;
	if (isinf(value))
		return (size_t)snprintf(out, REAL_TEXT_SIZE, value > 0 ? "Infinity" : "-Infinity");
	if (fabs(value) < 1e15 && value == trunc(value))
		return (size_t)snprintf(out, REAL_TEXT_SIZE, "%.1f", value);
	for (int digits = 15;; digits++) {
		n = snprintf(out, REAL_TEXT_SIZE, "%.*g", digits, value);
		if (digits == 17 || strtod(out, NULL) == value)
			break;
	}
	if (!strpbrk(out, ".e"))
		n += snprintf(out + n, REAL_TEXT_SIZE - (size_t)n, ".0");
	return (size_t)n;
}

bool constant_time_equal(const void *a, size_t a_length, const void *b, size_t b_length)
{
	return a_length == b_length && sodium_memcmp(a, b, a_length) == 0;
}

bool is_uuid(const char *text)
{
	if (!text || strlen(text) != 36)
		return false;
	for (size_t i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text[i] != '-' : hex_digit(text[i]) < 0)
			return false;
	}
	return true;
}
