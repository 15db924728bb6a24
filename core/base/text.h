/*
 * Text: strict number parsing, UTF-8, trimming, percent-encoding, hexadecimal, constant-time comparison.
 * The only place where text becomes a number; strtol and friends are banned elsewhere.
 */
#ifndef TIDEGATE_CORE_BASE_TEXT_H
#define TIDEGATE_CORE_BASE_TEXT_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that belong to somebody else; not NUL-terminated. */
struct str {
	const char *p;
	size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

struct str str_of(const char *text); /* NULL gives an empty str */
bool str_equal(struct str a, struct str b);
bool str_equal_text(struct str a, const char *b);
bool str_equal_ignore_case(struct str a, const char *b); /* ASCII */
bool text_equal(const char *a, const char *b);           /* two NULLs are equal */
bool text_starts_with(const char *text, const char *prefix);
struct str str_trim(struct str s); /* ASCII blanks, tabs, CR, LF at both ends */

/* Decimal, optional '-', nothing before or after, min <= value <= max; else ERR_INVALID and *ret untouched. */
enum err parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret) MUST_USE;
enum err parse_i64_n(const char *text, size_t n, int64_t min, int64_t max, int64_t *ret) MUST_USE;

/* A double that is not NaN as a decimal of 15 or 17 digits that gives it back, always with a point or an exponent: 0.1, -0.0, 5.0, 1e+300,
   -Infinity. Returns its length, without the NUL. */
#define REAL_TEXT_SIZE 32
size_t real_text(double value, char out[REAL_TEXT_SIZE]);

/* A number of bytes for people: 512 B, 1.5 KB, 2.0 GB (1024 is the base). NULL: no memory. */
const char *size_text(struct arena *arena, int64_t bytes) MUST_USE;

/* Whole n bytes are UTF-8 as RFC 3629 has it (no surrogates, no overlong forms, at most U+10FFFF). NUL is allowed. */
bool utf8_valid(const char *bytes, size_t n);

/* Length in bytes of the longest valid prefix. */
size_t utf8_valid_prefix(const char *bytes, size_t n);

/* Decodes the code point at bytes (n >= 1) into *ret, returns its length 1..4, or 0 where it is not UTF-8. */
size_t utf8_decode(const char *bytes, size_t n, uint32_t *ret);

/* Writes the code point (must be valid) to out[4], returns its length. */
size_t utf8_encode(uint32_t code_point, char out[4]);

/* Number of code points of valid UTF-8. */
size_t utf8_length(const char *bytes, size_t n);

/* RFC 3986 percent-encoding: everything but A-Za-z0-9-._~ (and '/' when keep_slash), upper-case hex. */
enum err percent_encode(struct buf *out, const char *bytes, size_t n, bool keep_slash);

/* Decodes %XX (and '+' to blank when plus_is_blank) once. ERR_INVALID on a broken escape or a NUL. Result is NUL-terminated. */
enum err percent_decode(struct arena *arena, const char *bytes, size_t n, bool plus_is_blank, struct str *ret) MUST_USE;

/* Lower-case hex of n bytes into out[2n+1]. / Back: exactly 2n hex digits of either case. */
void hex_encode(const void *bytes, size_t n, char *out);
enum err hex_decode(const char *text, size_t text_length, void *out, size_t n) MUST_USE;

/* Same length and bytes, in time that does not depend on where they differ. */
bool constant_time_equal(const void *a, size_t a_length, const void *b, size_t b_length);

/* Canonical 8-4-4-4-12 hex form, either case. */
bool is_uuid(const char *text);

#endif
