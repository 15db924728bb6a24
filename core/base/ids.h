/* Identifiers and randomness. Random bytes come from libsodium (the kernel's generator). */
#ifndef TIDEGATE_CORE_BASE_IDS_H
#define TIDEGATE_CORE_BASE_IDS_H

#include <stddef.h>
#include <stdint.h>

#define UUID_SIZE 37

void random_bytes(void *out, size_t n);
double random_unit(void); /* [0, 1), for jitter */

/* RFC 9562 version 4 as text / version 7 as 16 bytes: milliseconds, then a 12-bit and 62-bit random part. Ids of one process
   made one after the other sort in the order they were made (a counter fills rand_a), which keeps b-tree inserts on the right edge. */
void uuid_v4(char out[UUID_SIZE]);
void uuid_v7(uint8_t out[16]);
void uuid_format(const uint8_t bytes[16], char out[UUID_SIZE]);

#endif
