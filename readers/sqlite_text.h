/* Text of UTF-16 databases. */
#ifndef TIDEGATE_READERS_SQLITE_TEXT_H
#define TIDEGATE_READERS_SQLITE_TEXT_H

#include "core/base/text.h"

/*
 * UTF-16 to UTF-8 in out, which has room for 3 * (n / 2) bytes. False when there is no UTF-8 for it: a surrogate without its other
 * half, an odd byte at the end; then what is in out means nothing.
 */
bool sqlite_text_convert(struct str utf16, bool big_endian, char *out, size_t *ret_length) MUST_USE;

#endif
