/* Code points of bytes 0x80..0xFF: [0] windows-1252, [1] macintosh. U+FFFD where the code page has nothing. */
#ifndef TIDEGATE_READERS_ENCODING_TABLES_H
#define TIDEGATE_READERS_ENCODING_TABLES_H

#include <stdint.h>

extern const uint16_t encoding_upper_half[2][128];

#endif
