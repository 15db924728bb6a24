/*
 * Random bytes and UUIDs. Called for request ids, object keys, job tokens and the ids of imported rows.
 * Must never fall back to a weaker source of randomness.
 */
#include "core/base/ids.h"

#include "core/base/clock.h"

#include <sodium.h>
#include <stdio.h>

void random_bytes(void *out, size_t n)
{
	randombytes_buf(out, n);
}

double random_unit(void)
{
	return randombytes_random() / 4294967296.0;
}

void uuid_format(const uint8_t b[16], char out[UUID_SIZE])
{
	snprintf(out, UUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5],
	         b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

void uuid_v4(char out[UUID_SIZE])
{
	uint8_t bytes[16];
	random_bytes(bytes, sizeof(bytes));
	bytes[6] = (uint8_t)(0x40 | (bytes[6] & 0x0f));
	bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
	uuid_format(bytes, out);
}

/* RFC 9562 section 6.2 method 1: the 12 bits of rand_a count within a millisecond; a full count borrows from the next one. */
void uuid_v7(uint8_t out[16])
{
	static uint64_t last_tick; /* milliseconds << 12 | counter */
	static uint8_t pool[256];
	static size_t left;
	uint64_t tick = (uint64_t)(clock_unix_us() / 1000) << 12;
	if (tick <= last_tick)
		tick = last_tick + 1;
	last_tick = tick;
	if (left < 8) {
		random_bytes(pool, sizeof(pool));
		left = sizeof(pool);
	}
	for (int i = 0; i < 6; i++)
		out[i] = (uint8_t)(tick >> (52 - 8 * i));
	out[6] = (uint8_t)(0x70 | (tick >> 8 & 0x0f));
	out[7] = (uint8_t)tick;
	for (int i = 8; i < 16; i++)
		out[i] = pool[--left];
	out[8] = (uint8_t)(0x80 | (out[8] & 0x3f));
}
