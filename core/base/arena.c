/*
 * Arena allocator. Every request, job batch and command allocates from one of these; only core/base calls malloc.
 * Must never hand out memory past its cap, nor keep a block it cannot account for in `used`.
 */
#include "core/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Under AddressSanitizer bytes that nobody was given are poisoned, so that a use past the end or after a reset is seen. */
#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(bytes, size) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(bytes, size) ((void)0)
#endif

enum { FIRST_BLOCK = 8 << 10, BIG_BLOCK = 256 << 10, FORMAT_USUAL = 512 };

struct arena_block {
	struct arena_block *older;
	size_t size; /* usable bytes */
	size_t used;
	alignas(max_align_t) unsigned char bytes[];
};

struct arena_cleanup {
	struct arena_cleanup *older;
	void (*run)(void *what);
	void *what;
};

void arena_init(struct arena *arena, size_t cap)
{
	*arena = (struct arena){.cap = cap};
}

void arena_init_wiping(struct arena *arena, size_t cap)
{
	arena_init(arena, cap);
	arena->wipe = true;
}

static void run_cleanups(struct arena *arena)
{
	while (arena->cleanups) {
		struct arena_cleanup *cleanup = arena->cleanups;
		arena->cleanups = cleanup->older;
		cleanup->run(cleanup->what);
	}
}

static void wipe_block(const struct arena *arena, struct arena_block *block)
{
	if (arena->wipe) {
		ASAN_UNPOISON_MEMORY_REGION(block->bytes, block->used);
		explicit_bzero(block->bytes, block->used);
	}
}

void arena_reset(struct arena *arena)
{
	run_cleanups(arena);
	while (arena->blocks && arena->blocks->older) {
		struct arena_block *block = arena->blocks;
		arena->blocks = block->older;
		wipe_block(arena, block);
		arena->used -= sizeof(*block) + block->size;
		free(block);
	}
	if (arena->blocks) {
		wipe_block(arena, arena->blocks);
		arena->blocks->used = 0;
		ASAN_POISON_MEMORY_REGION(arena->blocks->bytes, arena->blocks->size);
	}
	arena->exhausted = false;
}

void arena_release(struct arena *arena)
{
	arena_reset(arena);
	free(arena->blocks);
	arena->blocks = NULL;
	arena->used = 0;
}

/* Blocks double up to BIG_BLOCK, so that a small request stays small and a big one needs few calls. */
static struct arena_block *new_block(struct arena *arena, size_t need)
{
	size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK;
	if (size > BIG_BLOCK)
		size = BIG_BLOCK;
	if (size < need)
		size = need;
	if (arena->used + sizeof(struct arena_block) + size > arena->cap)
		size = need;
	if (size > SIZE_MAX / 2 || arena->used + sizeof(struct arena_block) + size > arena->cap)
		return NULL;
	struct arena_block *block = malloc(sizeof(*block) + size);
	if (!block)
		return NULL;
	block->older = arena->blocks;
	block->size = size;
	block->used = 0;
	ASAN_POISON_MEMORY_REGION(block->bytes, size);
	arena->blocks = block;
	arena->used += sizeof(*block) + size;
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	if (size > SIZE_MAX / 4) {
		arena->exhausted = true;
		return NULL;
	}
	size_t rounded = (size + align - 1) & ~(align - 1);
	if (rounded == 0)
		rounded = align;
	struct arena_block *block = arena->blocks;
	if (!block || block->size - block->used < rounded)
		block = new_block(arena, rounded);
	if (!block) {
		arena->exhausted = true;
		return NULL;
	}
	void *bytes = block->bytes + block->used;
	block->used += rounded;
	ASAN_UNPOISON_MEMORY_REGION(bytes, size);
	return memset(bytes, 0, size);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(count, size, &total)) {
		arena->exhausted = true;
		return NULL;
	}
	return arena_alloc(arena, total);
}

char *arena_copy(struct arena *arena, const char *bytes, size_t n)
{
	char *copy = arena_alloc(arena, n + 1);
	if (copy && n)
		memcpy(copy, bytes, n);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return text ? arena_copy(arena, text, strlen(text)) : NULL;
}

char *arena_join(struct arena *arena, const char *a, const char *b, const char *c)
{
	size_t a_length = strlen(a), b_length = strlen(b), c_length = strlen(c);
	char *text = arena_alloc(arena, a_length + b_length + c_length + 1);
	if (!text)
		return NULL;
	memcpy(text, a, a_length);
	memcpy(text + a_length, b, b_length);
	memcpy(text + a_length + b_length, c, c_length);
	return text;
}

/* Texts of usual length are formatted once. */
char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
	char usual[FORMAT_USUAL];
	va_list again;
	va_copy(again, args);
	int length = vsnprintf(usual, sizeof(usual), format, again);
	va_end(again);
	if (length < 0)
		return NULL;
	if ((size_t)length < sizeof(usual))
		return arena_copy(arena, usual, (size_t)length);
	char *text = arena_alloc(arena, (size_t)length + 1);
	if (text)
		vsnprintf(text, (size_t)length + 1, format, args);
	return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = arena_vprintf(arena, format, args);
	va_end(args);
	return text;
}

enum err arena_defer(struct arena *arena, void (*run)(void *what), void *what)
{
	struct arena_cleanup *cleanup = arena_alloc(arena, sizeof(*cleanup));
	if (!cleanup) {
		run(what);
		return ERR_TOO_LARGE;
	}
	*cleanup = (struct arena_cleanup){arena->cleanups, run, what};
	arena->cleanups = cleanup;
	return OK;
}
