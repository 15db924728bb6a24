/* Little-endian numbers of the frame protocol. Both halves of it use them; nobody else needs to. */
#ifndef TIDEGATE_READERS_LITTLE_H
#define TIDEGATE_READERS_LITTLE_H

#include <stdint.h>

static inline uint32_t get_u32(const char *from)
{
	const unsigned char *p = (const unsigned char *)from;
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t get_u64(const char *from)
{
	return get_u32(from) | (uint64_t)get_u32(from + 4) << 32;
}

static inline void put_u32(char *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (char)(value >> 8 * i);
}

static inline void put_u64(char *to, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		to[i] = (char)(value >> 8 * i);
}

#endif
