/*
 * Encodings of text files: which one it is, and its way to UTF-8. Own tables, no iconv: two single-byte code pages and
 * UTF-16 are all that spreadsheets write, and a table needs no file of the system inside the sandbox.
 * Detection never gives up: at worst the text is Windows-1252.
 */
#ifndef TIDEGATE_READERS_ENCODING_H
#define TIDEGATE_READERS_ENCODING_H

#include "core/base/err.h"
#include "core/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum encoding { ENCODING_UTF8, ENCODING_UTF16LE, ENCODING_UTF16BE, ENCODING_WINDOWS_1252, ENCODING_MACINTOSH, ENCODING_COUNT };

/* IANA name in lower case: utf-8, utf-16le, utf-16be, windows-1252, macintosh. */
const char *encoding_name(enum encoding encoding);

/* Those names and usual aliases (latin1, iso-8859-1, cp1252, macroman, utf8 …), any case. ERR_INVALID for others. */
enum err encoding_parse(const char *name, enum encoding *ret) MUST_USE;

struct encoding_guess {
	enum encoding encoding;
	size_t bom; /* bytes of byte order mark at the start */
};

/*
 * Byte order mark; NUL pattern of UTF-16; UTF-8 when valid or, in a file of mixed encodings, when more characters are valid
 * UTF-8 than bytes are not; then Windows-1252 or Macintosh by where é è à ç ê stand next to letters.
 * A character cut at the end of the sample counts for nothing.
 */
struct encoding_guess encoding_detect(const char *sample, size_t n);

/* Length of the byte order mark of this encoding at the start of bytes, 0 when there is none. */
size_t encoding_bom(enum encoding encoding, const char *bytes, size_t n);

/* What decoding found, as flags of a row. */
enum encoding_finding { ENCODING_REPLACED = 1, ENCODING_MIXED = 2 };

/*
 * n bytes of a single-byte encoding, or of UTF-8 with stray bytes (each is read as Windows-1252: ENCODING_MIXED), to UTF-8
 * in out, which has room for 3 * n bytes. Bytes without meaning become U+FFFD (ENCODING_REPLACED). Returns the length.
 * Not for UTF-16.
 */
size_t encoding_decode(enum encoding encoding, const char *bytes, size_t n, char *out, unsigned *findings);

/* UTF-16 in pieces of any size. Lone surrogates, and an odd byte at the end, become U+FFFD. Zero it, set big_endian. */
struct utf16 {
	bool big_endian;
	bool has_half; /* one byte of a unit is waiting */
	unsigned char half;
	uint16_t high; /* a high surrogate is waiting, or 0 */
};

/* out has room for UTF16_ROOM(n) bytes. last: nothing follows. Returns the length. */
#define UTF16_ROOM(n) (3 * ((size_t)(n) / 2 + 2))
size_t utf16_decode(struct utf16 *utf16, const char *bytes, size_t n, bool last, char *out);

#endif
