/*
 * What happens to a dump on its way to a file and back: compressed with zstd, encrypted with age, hashed. Both are streams of bounded memory.
 *
 * Packing: every boundary that comes after enough bytes ends a zstd frame, so that a table can be unpacked alone. The frames
 * follow each other as zstd itself has it: `zstd -d` reads the whole.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_PACK_H
#define TIDEGATE_HANDLERS_BACKUPS_PACK_H

#include "core/base/arena.h"
#include "core/base/sink.h"
#include "core/crypto/age.h"
#include "core/crypto/digest.h"

#include <stdint.h>

enum { PACK_FRAMES_MAX = 4096 };

struct pack_frame {
	int64_t plain, stored; /* offsets before and after compression (and before encryption) */
};

struct pack {
	int fd;
	struct ZSTD_CCtx_s *zstd; /* NULL: not compressed */
	struct age_stream *age;   /* NULL: not encrypted */
	struct sha256 stored_hash;
	int64_t plain, squeezed, stored; /* bytes that came in, left zstd, left age */
	struct pack_frame *frames;
	int frame_count;
	bool failed_disk;
	char *out; /* of zstd */
	size_t out_size;
};

/*
 * fd: an empty file of the caller's. level 0: not compressed. count 0: not encrypted. Threads of zstd run beside the caller. ERR_TOO_LARGE: no memory;
 * release in any case.
 */
enum err pack_start(struct pack *pack, struct arena *arena, int fd, int level, const struct age_recipient *recipients, size_t count) MUST_USE;
struct sink pack_sink(struct pack *pack);
/* For struct dump_request. context: the pack. */
enum err pack_boundary(void *context) MUST_USE;
/* Everything is in the file, synced. */
enum err pack_finish(struct pack *pack, uint8_t ret_stored[SHA256_SIZE]) MUST_USE;
void pack_release(struct pack *pack);

/*
 * Reads a file from where it stands to its end, whatever of the two was done to it (told by its first bytes), and hands on the dump. identity NULL: none is there.
 * ERR_DENIED: encrypted, and not for this identity; ERR_INVALID: damaged, cut short; otherwise what the sink says.
 */
enum err unpack_file(struct arena *arena, int fd, const struct age_identity *identity, struct sink to) MUST_USE;

/* Unpacks length bytes at offset from that are whole frames of zstd, none of them encrypted. ERR_INVALID: they are not, or are damaged. */
enum err unpack_frames(struct arena *arena, int fd, int64_t from, int64_t length, struct sink to) MUST_USE;

#endif
