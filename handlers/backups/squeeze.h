/* A compressed file as a stream, hashed on its way: gzip or zstd, for archives. The same bytes put in the same pieces make the same file. */
#ifndef TIDEGATE_HANDLERS_BACKUPS_SQUEEZE_H
#define TIDEGATE_HANDLERS_BACKUPS_SQUEEZE_H

#include "core/base/sink.h"
#include "core/crypto/digest.h"

#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>

enum { SQUEEZE_PIECE = 1 << 17 };

struct squeeze {
	int fd;
	struct ZSTD_CCtx_s *zstd; /* NULL: gzip */
	z_stream gzip;
	bool gzip_begun;
	struct sha256 hash;
	int64_t size; /* bytes written */
	char out[SQUEEZE_PIECE];
};

/* fd: an empty file of the caller's. ERR_TOO_LARGE: no memory; release in any case. */
enum err squeeze_start(struct squeeze *squeeze, int fd, bool zstd) MUST_USE;
struct sink squeeze_sink(struct squeeze *squeeze);
/* Everything is in the file, synced. ERR_IO. */
enum err squeeze_finish(struct squeeze *squeeze, uint8_t ret_sha256[SHA256_SIZE]) MUST_USE;
void squeeze_release(struct squeeze *squeeze);

#endif
