/*
 * Encodings: names, detection, decoding. Called by the CSV reader for the sample and for rows that are not plain ASCII.
 * Must never refuse a text: what makes no sense becomes U+FFFD and is reported as a finding. What comes out is always UTF-8.
 */
#include "readers/encoding.h"

#include "readers/encoding_tables.h"

#include <string.h>

static const struct {
	const char *name;
	const char *bom;
	size_t bom_length;
} encodings[ENCODING_COUNT] = {
	[ENCODING_UTF8] = {"utf-8", "\xef\xbb\xbf", 3},
	[ENCODING_UTF16LE] = {"utf-16le", "\xff\xfe", 2},
	[ENCODING_UTF16BE] = {"utf-16be", "\xfe\xff", 2},
	[ENCODING_WINDOWS_1252] = {"windows-1252", "", 0},
	[ENCODING_MACINTOSH] = {"macintosh", "", 0},
};

/* As browsers do (WHATWG), Latin-1 is read as Windows-1252: it differs only in control characters nobody writes. */
static const struct {
	const char *alias;
	enum encoding encoding;
} aliases[] = {
	{"utf8", ENCODING_UTF8},          {"ascii", ENCODING_UTF8},         {"us-ascii", ENCODING_UTF8},
	{"utf-16", ENCODING_UTF16LE},     {"utf16le", ENCODING_UTF16LE},    {"utf16be", ENCODING_UTF16BE},
	{"cp1252", ENCODING_WINDOWS_1252}, {"latin1", ENCODING_WINDOWS_1252}, {"iso-8859-1", ENCODING_WINDOWS_1252},
	{"macroman", ENCODING_MACINTOSH}, {"mac-roman", ENCODING_MACINTOSH}, {"x-mac-roman", ENCODING_MACINTOSH},
};

const char *encoding_name(enum encoding encoding)
{
	return encodings[encoding].name;
}

enum err encoding_parse(const char *name, enum encoding *ret)
{
	struct str wanted = str_of(name);
	for (size_t i = 0; i < ENCODING_COUNT; i++) {
		if (str_equal_ignore_case(wanted, encodings[i].name)) {
			*ret = (enum encoding)i;
			return OK;
		}
	}
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (str_equal_ignore_case(wanted, aliases[i].alias)) {
			*ret = aliases[i].encoding;
			return OK;
		}
	}
	return ERR_INVALID;
}

size_t encoding_bom(enum encoding encoding, const char *bytes, size_t n)
{
	size_t length = encodings[encoding].bom_length;
	return n >= length && memcmp(bytes, encodings[encoding].bom, length) == 0 ? length : 0;
}

/* ---- detection ---- */

/* In UTF-16 the delimiters, digits and line ends of any script have a zero half, always the same one. */
static bool looks_like_utf16(const char *sample, size_t n, enum encoding *ret)
{
	size_t zeros[2] = {0, 0}, pairs = n / 2;
	for (size_t i = 0; i < 2 * pairs; i++)
		zeros[i & 1] += sample[i] == '\0';
	for (size_t side = 0; side < 2; side++) {
		if (pairs && zeros[side] * 5 >= pairs && zeros[1 - side] * 50 <= pairs) {
			*ret = side == 1 ? ENCODING_UTF16LE : ENCODING_UTF16BE;
			return true;
		}
	}
	return false;
}

static bool looks_like_utf8(const char *sample, size_t n)
{
	size_t characters = 0, strays = 0;
	for (size_t i = 0; i < n;) {
		if ((unsigned char)sample[i] < 0x80) {
			i++;
			continue;
		}
		uint32_t code_point = 0;
		size_t length = utf8_decode(sample + i, n - i, &code_point);
		if (length == 0 && n - i < 4)
			break;
		characters += length > 0;
		strays += length == 0;
		i += length ? length : 1;
	}
	return strays == 0 || characters > strays;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* How many of the given bytes stand next to an ASCII letter. */
static size_t count_accents(const char *sample, size_t n, const char *accents)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)sample[i] < 0x80 || !strchr(accents, sample[i]))
			continue;
		count += (i > 0 && is_letter(sample[i - 1])) || (i + 1 < n && is_letter(sample[i + 1]));
	}
	return count;
}

struct encoding_guess encoding_detect(const char *sample, size_t n)
{
	/* é è à ç ê ù û â ô in the two code pages */
	static const char windows[] = "\xe9\xe8\xe0\xe7\xea\xf9\xfb\xe2\xf4", macintosh[] = "\x8e\x8f\x88\x8d\x90\x9d\x9e\x89\x99";
	for (size_t i = 0; i < ENCODING_COUNT; i++) {
		size_t bom = encoding_bom((enum encoding)i, sample, n);
		if (bom)
			return (struct encoding_guess){(enum encoding)i, bom};
	}
	enum encoding utf16 = ENCODING_UTF16LE;
	if (looks_like_utf16(sample, n, &utf16))
		return (struct encoding_guess){utf16, 0};
	if (looks_like_utf8(sample, n))
		return (struct encoding_guess){ENCODING_UTF8, 0};
	bool mac = count_accents(sample, n, macintosh) > count_accents(sample, n, windows);
	return (struct encoding_guess){mac ? ENCODING_MACINTOSH : ENCODING_WINDOWS_1252, 0};
}

/* ---- decoding ---- */

static size_t decode_upper(enum encoding encoding, char c, char *out, unsigned *findings)
{
	uint32_t code_point = encoding_upper_half[encoding == ENCODING_MACINTOSH][(unsigned char)c - 0x80];
	if (code_point == 0xfffd)
		*findings |= ENCODING_REPLACED;
	return utf8_encode(code_point, out);
}

size_t encoding_decode(enum encoding encoding, const char *bytes, size_t n, char *out, unsigned *findings)
{
	size_t length = 0;
	for (size_t i = 0; i < n;) {
		uint32_t code_point = 0;
		size_t valid = encoding == ENCODING_UTF8 ? utf8_decode(bytes + i, n - i, &code_point) : (unsigned char)bytes[i] < 0x80;
		if (valid) {
			memcpy(out + length, bytes + i, valid);
			length += valid;
			i += valid;
			continue;
		}
		*findings |= encoding == ENCODING_UTF8 ? ENCODING_MIXED : 0;
		length += decode_upper(encoding, bytes[i++], out + length, findings);
	}
	return length;
}

static size_t put_unit(struct utf16 *utf16, uint16_t unit, char *out)
{
	size_t length = 0;
	bool low = unit >= 0xdc00 && unit <= 0xdfff;
	uint16_t high = utf16->high;
	utf16->high = 0;
	if (high && low)
		return utf8_encode(0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(unit - 0xdc00), out);
	if (high)
		length = utf8_encode(0xfffd, out);
	if (unit >= 0xd800 && unit <= 0xdbff)
		utf16->high = unit;
	else
		length += utf8_encode(low ? 0xfffd : unit, out + length);
	return length;
}

size_t utf16_decode(struct utf16 *utf16, const char *bytes, size_t n, bool last, char *out)
{
	size_t length = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		if (!utf16->has_half) {
			utf16->half = byte;
			utf16->has_half = true;
			continue;
		}
		utf16->has_half = false;
		length += put_unit(utf16, (uint16_t)(utf16->big_endian ? utf16->half << 8 | byte : byte << 8 | utf16->half), out + length);
	}
	if (last && (utf16->high || utf16->has_half))
		length += utf8_encode(0xfffd, out + length);
	return length;
}
