/*
 * Many texts, numbered from 0, that are all written before the first is read. They stay in memory up to a cap; past it all
 * of them move to the scratch file (sandbox.h), and reading goes through a small cache of its pages.
 *
 * Layout, the same in memory and in the file: groups of STRING_GROUP texts; a group is STRING_GROUP little u32 (where each
 * text ends, from the first one's beginning) and the texts. In memory stays one u32 per group: where it begins, in units of
 * STRING_ALIGN bytes.
 */
#ifndef TIDEGATE_READERS_STRING_STORE_H
#define TIDEGATE_READERS_STRING_STORE_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/text.h"
#include "readers/refusal.h"

#include <stdbool.h>
#include <stdint.h>

#define STRING_GROUP 64u
#define STRING_ALIGN 16u
#define STRING_MAX (1u << 20) /* bytes of one text */

struct string_store {
	struct refusal *refusal;
	int scratch; /* descriptor, -1: there is none */
	uint64_t count;
	struct buf starts; /* u32 of each group */
	struct buf text;   /* all groups; once spilled those not yet written */
	uint64_t flushed;  /* bytes in the file */
	bool spilled;
	char *pages; /* the cache, once spilled */
	uint64_t *page_numbers; /* plus one; 0: nothing cached */
};

/* memory: bytes of text that stay in memory. */
void string_store_init(struct string_store *store, size_t memory, int scratch, struct refusal *refusal);
void string_store_release(struct string_store *store);

/* text.n <= STRING_MAX. Refuses with shared_strings_too_large when neither memory nor file has room. */
enum err string_store_add(struct string_store *store, struct str text) MUST_USE;

/* No text will follow. arena: for the cache of a store that spilled (4 MiB). */
enum err string_store_finish(struct string_store *store, struct arena *arena) MUST_USE;

/* Text number i < count, cut at the most bytes; to: as many, for a store that spilled. ERR_IO when the file cannot be read. */
enum err string_store_get(struct string_store *store, uint64_t i, char *to, size_t most, struct str *ret) MUST_USE;

#endif
