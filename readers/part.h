/*
 * One part of a workbook as a stream of unpacked bytes: stored or deflated (ISA-L), counted as they are produced, never by
 * what headers say, and checked against the CRC of the central directory at the end.
 *
 * Life cycle: part_init once, then any number of (part_open, part_read until it gives 0, part_close).
 */
#ifndef TIDEGATE_READERS_PART_H
#define TIDEGATE_READERS_PART_H

#include "core/base/arena.h"
#include "readers/archive.h"

#include <stdbool.h>
#include <stddef.h>

struct inflate_state;
struct zip_file;

struct part {
	struct archive *archive;
	struct inflate_state *inflate;
	char *packed; /* PART_BLOCK bytes as they stand in the file */
	struct zip_file *file;
	bool deflated, finished;
	int64_t cap;      /* bytes it may produce */
	int64_t said;     /* what the directory says it produces; for estimates only */
	int64_t consumed; /* packed bytes read */
	int64_t produced;
	uint32_t crc, wanted_crc;
};

/* About 160 KiB of the arena. ERR_TOO_LARGE when it is exhausted. */
enum err part_init(struct part *part, struct archive *archive, struct arena *arena) MUST_USE;

/* cap: bytes, besides the limits of the archive. Refuses with zip_encrypted_entry, zip_method_unsupported, zip_damaged. */
enum err part_open(struct part *part, int64_t entry, int64_t cap) MUST_USE;

/* Up to n bytes; *ret 0 at the end. Refuses with zip_damaged, zip_bad_checksum, unpacks_too_large, unpacks_too_dense, read_error. */
enum err part_read(struct part *part, char *to, size_t n, size_t *ret) MUST_USE;

void part_close(struct part *part);

#endif
