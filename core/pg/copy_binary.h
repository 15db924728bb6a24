/* The format of COPY … (FORMAT binary), as its writers need it: numbers in network order into a place that has room. */
#ifndef TIDEGATE_CORE_PG_COPY_BINARY_H
#define TIDEGATE_CORE_PG_COPY_BINARY_H

#include <stdint.h>

#define COPY_BINARY_HEADER "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"
#define COPY_BINARY_TRAILER "\377\377"

enum { COPY_BINARY_HEADER_SIZE = 19, COPY_BINARY_TRAILER_SIZE = 2, COPY_BINARY_TEXT = 25 /* the type of array elements */ };

static inline void copy_put_16(char **p, uint16_t value)
{
	(*p)[0] = (char)(value >> 8);
	(*p)[1] = (char)value;
	*p += 2;
}

static inline void copy_put_32(char **p, uint32_t value)
{
	copy_put_16(p, (uint16_t)(value >> 16));
	copy_put_16(p, (uint16_t)value);
}

static inline void copy_put_64(char **p, uint64_t value)
{
	copy_put_32(p, (uint32_t)(value >> 32));
	copy_put_32(p, (uint32_t)value);
}

#endif
