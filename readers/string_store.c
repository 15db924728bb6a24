/*
 * The store of shared strings. Called by xlsx_strings.c and xlsx_sheet.c. Must never hold more than its cap, its index (one
 * byte per 16 texts) and its cache.
 */
#include "readers/string_store.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HEADER (STRING_GROUP * sizeof(uint32_t))
#define FLUSH_AT (1u << 20)
#define STARTS_MAX (8u << 20) /* two million groups */
#define PAGE (16u << 10)
#define PAGES 256u

void string_store_init(struct string_store *store, size_t memory, int scratch, struct refusal *refusal)
{
	*store = (struct string_store){.refusal = refusal, .scratch = scratch};
	buf_init(&store->starts, STARTS_MAX);
	buf_init(&store->text, memory);
}

void string_store_release(struct string_store *store)
{
	buf_release(&store->starts);
	buf_release(&store->text);
}

/* ---- writing ---- */

static enum err flush(struct string_store *store)
{
	for (size_t done = 0; done < store->text.len;) {
		ssize_t n = pwrite(store->scratch, store->text.data + done, store->text.len - done, (off_t)store->flushed);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return refuse(store->refusal, "shared_strings_too_large");
		done += (size_t)n;
		store->flushed += (uint64_t)n;
	}
	buf_clear(&store->text);
	return OK;
}

static enum err spill(struct string_store *store)
{
	if (store->scratch < 0)
		return refuse(store->refusal, "shared_strings_too_large");
	enum err err = flush(store);
	buf_release(&store->text);
	buf_init(&store->text, FLUSH_AT + HEADER + STRING_GROUP * (size_t)(STRING_MAX + STRING_ALIGN));
	store->spilled = true;
	return err;
}

static uint64_t group_start(const struct string_store *store, uint64_t group)
{
	uint32_t start;
	memcpy(&start, store->starts.data + group * sizeof(start), sizeof(start));
	return (uint64_t)start * STRING_ALIGN;
}

/* Begins a group behind what is there. */
static enum err open_group(struct string_store *store)
{
	static const char zeros[STRING_ALIGN];
	if (store->spilled && store->text.len > FLUSH_AT) {
		enum err err = flush(store);
		if (err)
			return err;
	}
	uint64_t at = store->flushed + store->text.len, aligned = (at + STRING_ALIGN - 1) / STRING_ALIGN * STRING_ALIGN;
	uint32_t start = (uint32_t)(aligned / STRING_ALIGN);
	char *header = NULL;
	if (aligned / STRING_ALIGN < UINT32_MAX && buf_append(&store->text, zeros, aligned - at) == OK)
		header = buf_reserve(&store->text, HEADER);
	if (!header || buf_append(&store->starts, &start, sizeof(start)))
		return refuse(store->refusal, "shared_strings_too_large");
	memset(header, 0, HEADER);
	store->text.len += HEADER;
	return OK;
}

static bool has_room(const struct string_store *store, size_t n)
{
	return store->text.len + HEADER + STRING_ALIGN + n <= store->text.max;
}

/* A store that must spill inside a group takes the group along: groups are only ever read whole from the file. */
static enum err make_room(struct string_store *store, size_t n)
{
	if (has_room(store, n) || store->spilled)
		return OK;
	uint64_t group = store->count / STRING_GROUP;
	bool inside = store->count % STRING_GROUP != 0;
	char *tail = NULL;
	size_t from = inside ? (size_t)group_start(store, group) : store->text.len, kept = store->text.len - from;
	struct buf rest;
	buf_init(&rest, kept);
	enum err err = kept ? buf_append(&rest, store->text.data + from, kept) : OK;
	store->text.len = from;
	if (!err)
		err = spill(store);
	if (!err && kept) {
		tail = buf_reserve(&store->text, kept);
		if (tail)
			memcpy(tail, rest.data, kept);
		store->text.len = tail ? kept : 0;
		err = tail ? OK : ERR_TOO_LARGE;
	}
	buf_release(&rest);
	return err;
}

enum err string_store_add(struct string_store *store, struct str text)
{
	uint32_t slot = (uint32_t)(store->count % STRING_GROUP);
	enum err err = make_room(store, text.n);
	if (!err && slot == 0)
		err = open_group(store);
	if (!err)
		err = buf_append(&store->text, text.p, text.n) ? refuse(store->refusal, "shared_strings_too_large") : OK;
	if (err)
		return err;
	uint64_t start = group_start(store, store->count / STRING_GROUP) - store->flushed;
	uint32_t end = (uint32_t)(store->text.len - start - HEADER);
	memcpy(store->text.data + start + slot * sizeof(end), &end, sizeof(end));
	store->count++;
	return OK;
}

enum err string_store_finish(struct string_store *store, struct arena *arena)
{
	if (!store->spilled)
		return OK;
	enum err err = flush(store);
	buf_release(&store->text);
	store->pages = arena_alloc(arena, (size_t)PAGE * PAGES);
	store->page_numbers = arena_array(arena, PAGES, sizeof(store->page_numbers[0]));
	return err ? err : store->pages && store->page_numbers ? OK : ERR_TOO_LARGE;
}

/* ---- reading ---- */

/* The page that holds this byte of the file, as far as the file goes. NULL when it cannot be read. */
static const char *page_of(struct string_store *store, uint64_t offset)
{
	uint64_t number = offset / PAGE, slot = number % PAGES;
	char *page = store->pages + slot * PAGE;
	if (store->page_numbers[slot] == number + 1)
		return page;
	store->page_numbers[slot] = 0;
	uint64_t left = store->flushed - number * PAGE;
	for (size_t wanted = left < PAGE ? (size_t)left : PAGE, done = 0; done < wanted;) {
		ssize_t n = pread(store->scratch, page + done, wanted - done, (off_t)(number * PAGE + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NULL;
		done += (size_t)n;
	}
	store->page_numbers[slot] = number + 1;
	return page;
}

static enum err read_file(struct string_store *store, uint64_t offset, char *to, size_t n)
{
	while (n) {
		size_t within = (size_t)(offset % PAGE), step = PAGE - within < n ? PAGE - within : n;
		const char *page = page_of(store, offset);
		if (!page)
			return ERR_IO;
		memcpy(to, page + within, step);
		to += step;
		offset += step;
		n -= step;
	}
	return OK;
}

enum err string_store_get(struct string_store *store, uint64_t i, char *to, size_t most, struct str *ret)
{
	uint32_t ends[2] = {0, 0}, slot = (uint32_t)(i % STRING_GROUP);
	uint64_t start = group_start(store, i / STRING_GROUP);
	if (!store->spilled) {
		const char *group = store->text.data + start;
		memcpy(&ends[1], group + slot * sizeof(ends[0]), sizeof(ends[0]));
		if (slot)
			memcpy(&ends[0], group + (slot - 1) * sizeof(ends[0]), sizeof(ends[0]));
		size_t n = ends[1] - ends[0];
		*ret = (struct str){group + HEADER + ends[0], n < most ? n : most};
		return OK;
	}
	enum err err = slot ? read_file(store, start + (slot - 1) * sizeof(ends[0]), (char *)ends, sizeof(ends))
			    : read_file(store, start, (char *)&ends[1], sizeof(ends[1]));
	size_t n = ends[1] - ends[0] < most ? ends[1] - ends[0] : most;
	if (!err)
		err = read_file(store, start + HEADER + ends[0], to, n);
	if (!err)
		*ret = (struct str){to, n};
	return err;
}
