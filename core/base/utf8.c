/*
 * UTF-8 after RFC 3629. Used by the readers, the JSON writer and the checks of what clients send.
 * Must never accept an overlong form, a surrogate or a code point above U+10FFFF.
 */
#include "core/base/text.h"

#include <string.h>

size_t utf8_decode(const char *bytes, size_t n, uint32_t *ret)
{
	const unsigned char *p = (const unsigned char *)bytes;
	if (n == 0)
		return 0;
	if (p[0] < 0x80) {
		*ret = p[0];
		return 1;
	}
	static const struct {
		unsigned char lead, mask;
		uint32_t min;
	} forms[] = {{0xc0, 0xe0, 0x80}, {0xe0, 0xf0, 0x800}, {0xf0, 0xf8, 0x10000}};
	for (size_t extra = 1; extra <= 3; extra++) {
		if ((p[0] & forms[extra - 1].mask) != forms[extra - 1].lead)
			continue;
		if (n <= extra)
			return 0;
		uint32_t code_point = p[0] & (unsigned char)~forms[extra - 1].mask;
		for (size_t i = 1; i <= extra; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			code_point = code_point << 6 | (p[i] & 0x3f);
		}
		if (code_point < forms[extra - 1].min || code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff))
			return 0;
		*ret = code_point;
		return extra + 1;
	}
	return 0;
}

size_t utf8_valid_prefix(const char *bytes, size_t n)
{
	size_t i = 0;
	while (i < n) {
		uint64_t word;
		while (n - i >= sizeof(word) && (memcpy(&word, bytes + i, sizeof(word)), (word & 0x8080808080808080u) == 0))
			i += sizeof(word);
		if (i == n)
			break;
		uint32_t code_point;
		size_t length = utf8_decode(bytes + i, n - i, &code_point);
		if (length == 0)
			break;
		i += length;
	}
	return i;
}

bool utf8_valid(const char *bytes, size_t n)
{
	return utf8_valid_prefix(bytes, n) == n;
}

size_t utf8_encode(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

size_t utf8_length(const char *bytes, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++)
		count += ((unsigned char)bytes[i] & 0xc0) != 0x80;
	return count;
}
