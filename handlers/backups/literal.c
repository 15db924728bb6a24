/*
 * Numbers, texts and bytes as SQL. Called for every value of a dump, so the common cases are short. Must never write a number that this
 * SQLite reads as another one.
 */
#include "handlers/backups/literal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define POWERS 28 /* powers of ten that a long double of 64 bits holds exactly */
#define EXACT_INTEGER 9007199254740992.0
#define STEP 4503599627370496.0 /* 2^52 */

static const long double powers[POWERS] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L,
                                           1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L, 1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};

static uint64_t bits_of(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* ---- how SQLite reads digits ---- */

/* sqlite3AtoF up to 3.42, for digits * 10^-scale with digits below 10^18 that do not end in 0. */
static double read_known(uint64_t digits, unsigned scale)
{
	return (double)((long double)digits / powers[scale]);
}

static bool read_back(struct literal_parser *parser, const char *text, size_t n, double *ret)
{
	sqlite3_reset(parser->parse);
	if (sqlite3_bind_text(parser->parse, 1, text, (int)n, SQLITE_STATIC) != SQLITE_OK || sqlite3_step(parser->parse) != SQLITE_ROW)
		return false;
	*ret = sqlite3_column_double(parser->parse, 0);
	return true;
}

static size_t put_digits(uint64_t value, char *out)
{
	char reversed[20];
	size_t n = 0;
	do {
		reversed[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	for (size_t i = 0; i < n; i++)
		out[i] = reversed[n - 1 - i];
	return n;
}

/* digits * 10^-scale with a point. */
static size_t put_decimal(uint64_t digits, unsigned scale, char *out)
{
	char text[24];
	size_t n = put_digits(digits, text), at = 0;
	if (n > scale) {
		memcpy(out, text, n - scale);
		at = n - scale;
	} else {
		out[at++] = '0';
	}
	out[at++] = '.';
	for (size_t zeros = n < scale ? scale - n : 0; zeros; zeros--)
		out[at++] = '0';
	if (scale == 0)
		out[at++] = '0';
	size_t fraction = n < scale ? n : scale;
	memcpy(out + at, text + n - fraction, fraction);
	return at + fraction;
}

enum err literal_parser_open(struct literal_parser *parser)
{
	*parser = (struct literal_parser){NULL, NULL, false};
	if (sqlite3_open_v2(":memory:", &parser->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(parser->db, "SELECT CAST(?1 AS REAL)", -1, &parser->parse, NULL) != SQLITE_OK)
		return ERR_UNAVAILABLE;
	uint64_t state = 88172645463325252u;
	parser->known = LDBL_MANT_DIG == 64;
	for (int i = 0; i < 2000 && parser->known; i++) {
		char text[64];
		double got = 0;
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		uint64_t digits = state % 1000000000000000000u / (i % 3 ? 1 : 1000) | 1;
		digits += digits % 10 == 0;
		unsigned scale = (unsigned)i % POWERS;
		parser->known = read_back(parser, text, put_decimal(digits, scale, text), &got) && bits_of(got) == bits_of(read_known(digits, scale));
	}
	return OK;
}

void literal_parser_close(struct literal_parser *parser)
{
	sqlite3_finalize(parser->parse);
	sqlite3_close(parser->db);
}

/* ---- numbers ---- */

size_t literal_integer(int64_t value, char out[LITERAL_INTEGER_MAX])
{
	if (value >= 0)
		return put_digits((uint64_t)value, out);
	out[0] = '-';
	return 1 + put_digits(0 - (uint64_t)value, out + 1);
}

/* Digits of a number between 1e-9 and 1e17, as few of 15 or 17 as it takes. 0: neither does. */
static size_t put_common(double value, char *out)
{
	int exponent = (int)(((int)(bits_of(value) >> 52 & 2047) - 1023) * 1233 >> 12); /* of ten, or one less */
	for (int precision = 15; precision <= 17; precision += 2) {
		int scale = precision - 1 - exponent;
		if (scale < 0 || scale >= POWERS)
			continue;
		uint64_t digits = (uint64_t)llrintl((long double)value * powers[scale]);
		for (; scale > 0 && digits % 10 == 0; scale--)
			digits /= 10;
		if (scale > 0 && digits < 1000000000000000000u && read_known(digits, (unsigned)scale) == value)
			return put_decimal(digits, (unsigned)scale, out);
	}
	return 0;
}

static size_t put_verified(struct literal_parser *parser, double value, char *out)
{
	for (int precision = 15; precision <= 17; precision++) {
		double got = 0;
		size_t n = (size_t)snprintf(out, 40, "%.*g", precision, value);
		if (!memchr(out, '.', n) && !memchr(out, 'e', n)) {
			memcpy(out + n, ".0", 3);
			n += 2;
		}
		if (read_back(parser, out, n, &got) && got == value)
			return n;
	}
	return 0;
}

/* The mantissa as a whole number, times or divided by powers of two: every step is exact, the last one included. */
static size_t put_exact(double value, char *out)
{
	int exponent = 0;
	double mantissa = ldexp(frexp(value, &exponent), 53);
	char sign = exponent >= 53 ? '*' : '/';
	int left = exponent >= 53 ? exponent - 53 : 53 - exponent;
	for (; left > 0 && sign == '/' && fmod(mantissa, 2) == 0; left--)
		mantissa /= 2;
	size_t n = put_decimal((uint64_t)mantissa, 0, out);
	if (left % 52) {
		out[n++] = sign;
		n += put_decimal((uint64_t)1 << left % 52, 0, out + n);
	}
	for (left /= 52; left > 0; left--)
		n += (size_t)snprintf(out + n, 24, "%c%.1f", sign, STEP);
	return n;
}

size_t literal_real(struct literal_parser *parser, double value, char out[LITERAL_REAL_MAX])
{
	size_t sign = signbit(value) ? 1 : 0, n = 0;
	value = fabs(value);
	out[0] = '-';
	if (isinf(value)) {
		memcpy(out + sign, "9e999", 5);
		return sign + 5;
	}
	if (value <= EXACT_INTEGER && value == (double)(uint64_t)value)
		return sign + put_decimal((uint64_t)value, 0, out + sign);
	if (parser->known && value >= 1e-9 && value < 1e17)
		n = put_common(value, out + sign);
	if (!n)
		n = put_verified(parser, value, out + sign);
	return sign + (n ? n : put_exact(value, out + sign));
}

/* ---- texts and bytes ---- */

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* The high bit of every byte that is 0; exact, since all bytes are below 0x80. */
static uint64_t zeros_of(uint64_t x)
{
	return ~(x + (HIGHS - ONES)) & HIGHS;
}

static unsigned scan_byte(unsigned char c)
{
	return (c == '\'' ? LITERAL_QUOTE : 0) | (c & 0x80 ? LITERAL_HIGH : 0) | (c == 0 || c == '\r' ? LITERAL_HIDDEN : 0);
}

unsigned literal_scan(const char *text, size_t n)
{
	unsigned flags = 0;
	size_t i = 0;
	for (; i + 8 <= n; i += 8) {
		uint64_t x;
		memcpy(&x, text + i, sizeof(x));
		if (x & HIGHS) {
			for (size_t j = i; j < i + 8; j++)
				flags |= scan_byte((unsigned char)text[j]);
			continue;
		}
		flags |= zeros_of(x ^ ONES * '\'') ? LITERAL_QUOTE : 0;
		flags |= zeros_of(x) | zeros_of(x ^ ONES * '\r') ? LITERAL_HIDDEN : 0;
	}
	for (; i < n; i++)
		flags |= scan_byte((unsigned char)text[i]);
	return flags;
}

enum err literal_put_text(struct buf *out, const char *text, size_t n, unsigned flags)
{
	buf_append_char(out, '\'');
	while (flags & LITERAL_QUOTE) {
		const char *quote = memchr(text, '\'', n);
		if (!quote)
			break;
		size_t part = (size_t)(quote - text) + 1;
		buf_append(out, text, part);
		buf_append_char(out, '\'');
		text += part;
		n -= part;
	}
	buf_append(out, text, n);
	return buf_append_char(out, '\'');
}

enum err literal_put_hex(struct buf *out, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	static char pairs[256][2];
	if (!pairs[0][0])
		for (unsigned i = 256; i-- > 0;) {
			pairs[i][1] = digits[i & 15];
			pairs[i][0] = digits[i >> 4];
		}
	char *to = buf_reserve(out, 2 * n);
	if (!to)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < n; i++)
		memcpy(to + 2 * i, pairs[bytes[i]], 2);
	out->len += 2 * n;
	out->data[out->len] = '\0';
	return OK;
}

enum err literal_put_name(struct buf *out, const char *name)
{
	buf_append_char(out, '"');
	for (const char *quote; (quote = strchr(name, '"')); name = quote + 1) {
		buf_append(out, name, (size_t)(quote - name) + 1);
		buf_append_char(out, '"');
	}
	buf_append_text(out, name);
	return buf_append_char(out, '"');
}
