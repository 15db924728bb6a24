/*
 * UTF-16 to UTF-8 and back without loss, or not at all. Called by sqlite_rows.c. Must never replace what it cannot say: the
 * decoder of CSV files (encoding.h) does that, and a copy of a database must not.
 */
#include "readers/sqlite_text.h"

static uint32_t unit(const unsigned char *p, bool big_endian)
{
	return big_endian ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

bool sqlite_text_convert(struct str utf16, bool big_endian, char *out, size_t *ret_length)
{
	const unsigned char *p = (const unsigned char *)utf16.p;
	size_t length = 0;
	if (utf16.n % 2)
		return false;
	for (size_t i = 0; i < utf16.n; i += 2) {
		uint32_t c = unit(p + i, big_endian);
		if (c >= 0xd800 && c < 0xe000) {
			uint32_t low = i + 4 <= utf16.n ? unit(p + i + 2, big_endian) : 0;
			if (c >= 0xdc00 || low < 0xdc00 || low >= 0xe000)
				return false;
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			i += 2;
		}
		length += utf8_encode(c, out + length);
	}
	*ret_length = length;
	return true;
}
