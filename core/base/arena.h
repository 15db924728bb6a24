/*
 * Arena: the memory of one request or one batch. Allocation is a pointer bump; nothing is freed singly; reset gives
 * everything back at once, after running the deferred clean-ups (results, handles, descriptors) newest first.
 *
 * Invariants: an arena never holds more than its cap (in bytes, block overhead included); allocation past the cap
 * returns NULL and sets `exhausted`, which the request loop answers with 413. Memory is zeroed. A wiping arena
 * overwrites its memory before giving it back (secrets).
 *
 * Life cycle: arena_init, any number of (allocations, arena_reset), arena_release.
 */
#ifndef TIDEGATE_CORE_BASE_ARENA_H
#define TIDEGATE_CORE_BASE_ARENA_H

#include "core/base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct arena_block;
struct arena_cleanup;

struct arena {
	struct arena_block *blocks;     /* newest first */
	struct arena_cleanup *cleanups; /* newest first */
	size_t used;                    /* bytes held in all blocks */
	size_t cap;
	bool exhausted; /* an allocation was refused since the last reset */
	bool wipe;
};

/* Prepares an empty arena that may grow to cap bytes. Allocates nothing. */
void arena_init(struct arena *arena, size_t cap);

/* Like arena_init; memory is overwritten before it is given back. */
void arena_init_wiping(struct arena *arena, size_t cap);

/* Runs the clean-ups, gives back all but one small block. The arena stays usable. */
void arena_reset(struct arena *arena);

/* Runs the clean-ups and gives back everything. */
void arena_release(struct arena *arena);

/* size zeroed bytes aligned for any type, or NULL when the cap or memory is exhausted. size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size) MUST_USE;

/* count * size bytes, NULL also when the product overflows. */
void *arena_array(struct arena *arena, size_t count, size_t size) MUST_USE;

/* NUL-terminated copy of n bytes / of a string. NULL when exhausted or text is NULL. */
char *arena_copy(struct arena *arena, const char *bytes, size_t n) MUST_USE;
char *arena_strdup(struct arena *arena, const char *text) MUST_USE;

/* Three texts in a row; NULL when exhausted. For what is made often: several times as fast as a format. */
char *arena_join(struct arena *arena, const char *a, const char *b, const char *c) MUST_USE;

/* Formatted text. NULL when exhausted. */
char *arena_printf(struct arena *arena, const char *format, ...) MUST_USE PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *arena, const char *format, va_list args) MUST_USE PRINTF_LIKE(2, 0);

/* Runs run(what) at the next reset. When there is no memory to remember it, runs it at once and returns ERR_TOO_LARGE. */
enum err arena_defer(struct arena *arena, void (*run)(void *what), void *what) MUST_USE;

#endif
