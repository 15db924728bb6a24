/*
 * Text helpers shared by every part: strict numbers, trimming, percent-encoding, hex, comparison.
 * UTF-8 is next door in utf8.c. Must never read past a length, nor accept a number with anything around it.
 */
#include "core/base/text.h"

#include <float.h>
#include <math.h>
#include <sodium.h>
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

/* value * 10^scale as a whole number and back into digits with a point. */
static size_t put_decimal(uint64_t number, int scale, char *out)
{
	char reversed[REAL_TEXT_SIZE];
	int n = 0, at = 0;
	for (; number || n <= scale; number /= 10)
		reversed[n++] = (char)('0' + number % 10);
	while (n > 0) {
		if (n == scale)
			out[at++] = '.';
		out[at++] = reversed[--n];
	}
	if (scale == 0) {
		out[at++] = '.';
		out[at++] = '0';
	}
	out[at] = '\0';
	return (size_t)at;
}

/*
 * Numbers of everyday size without the C library. With 15 digits (one more where the estimate is low) number and power are exact doubles, so that their
 * quotient is what any correct reader finds; if that is another double, 17 digits, rounded with 64 bits, are always nearer to it than its
 * neighbours. Powers of ten are exact in a long double up to 10^27.
 */
static size_t everyday_text(double value, char out[REAL_TEXT_SIZE])
{
	static const long double powers[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L,
	                                     1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L, 1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};
	int exponent = 0;
	(void)frexp(value, &exponent);
	int decimal = ((exponent - 1) * 1233) >> 12; /* of ten, or one less */
	int scale = 14 - decimal;
	if (scale >= 0 && scale <= 22) {
		uint64_t number = (uint64_t)llrintl((long double)value * powers[scale]);
		if (number < UINT64_C(1) << 53 && (double)number / (double)powers[scale] == value) {
			for (; scale > 0 && number % 10 == 0; scale--)
				number /= 10;
			return put_decimal(number, scale, out);
		}
	}
	scale = 16 - decimal;
	return scale < 0 || scale > 27 ? 0 : put_decimal((uint64_t)llrintl((long double)value * powers[scale]), scale, out);
}

size_t real_text(double value, char out[REAL_TEXT_SIZE])
{
	size_t sign = signbit(value) ? 1 : 0, n = 0;
	out[0] = '-';
	value = fabs(value);
	if (isinf(value))
		return sign + (size_t)snprintf(out + sign, REAL_TEXT_SIZE - 1, "Infinity");
	if (LDBL_MANT_DIG >= 64 && value >= 1e-9 && value < 1e16)
		n = everyday_text(value, out + sign);
	for (int digits = 15; n == 0; digits += 2) {
		int length = snprintf(out + sign, REAL_TEXT_SIZE - 1, "%.*g", digits, value);
		if (digits < 17 && strtod(out + sign, NULL) != value)
			continue;
		n = (size_t)length;
		if (!strpbrk(out, ".e"))
			n += (size_t)snprintf(out + sign + n, REAL_TEXT_SIZE - 1 - n, ".0");
	}
	return sign + n;
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

const char *size_text(struct arena *arena, int64_t bytes)
{
	static const char *const units[] = {"KB", "MB", "GB", "TB"};
	double value = (double)bytes / 1024;
	size_t unit = 0;
	if (bytes < 1024)
		return arena_printf(arena, "%lld B", (long long)bytes);
	for (; value >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1; unit++)
		value /= 1024;
	return arena_printf(arena, "%.1f %s", value, units[unit]);
}
