/*
 * Compresses archives. Called by the weekly archive. Members are compressed already where backups.zstd_level is not 0: gzip takes its quickest level, zstd looks back far, for where
 * they are not, a day resembles the day before. Must never write a time or a name into the file, nor use more than one thread: archives are the same whoever makes them.
 */
#include "handlers/backups/squeeze.h"

#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum { GZIP_LEVEL = 1, ZSTD_LEVEL = 3, WINDOW_LOG = 25 /* 32 MiB, which `zstd -d` takes without an option */ };

static enum err write_out(struct squeeze *squeeze, size_t n)
{
	sha256_update(&squeeze->hash, squeeze->out, n);
	squeeze->size += (int64_t)n;
	return n == 0 || write(squeeze->fd, squeeze->out, n) == (ssize_t)n ? OK : ERR_IO;
}

static enum err put_gzip(struct squeeze *squeeze, const void *bytes, size_t n, bool last)
{
	int done = Z_OK;
	squeeze->gzip.next_in = (Bytef *)bytes; /* zlib does not write there */
	squeeze->gzip.avail_in = (uInt)n;
	do {
		squeeze->gzip.next_out = (Bytef *)squeeze->out;
		squeeze->gzip.avail_out = SQUEEZE_PIECE;
		done = deflate(&squeeze->gzip, last ? Z_FINISH : Z_NO_FLUSH);
		if (write_out(squeeze, SQUEEZE_PIECE - squeeze->gzip.avail_out))
			return ERR_IO;
	} while (squeeze->gzip.avail_out == 0 || (last && done == Z_OK));
	return done == Z_STREAM_ERROR ? ERR_BUG : OK;
}

static enum err put_zstd(struct squeeze *squeeze, const void *bytes, size_t n, bool last)
{
	ZSTD_inBuffer in = {bytes, n, 0};
	size_t left = 0;
	do {
		ZSTD_outBuffer out = {squeeze->out, SQUEEZE_PIECE, 0};
		left = ZSTD_compressStream2(squeeze->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return ERR_BUG;
		if (write_out(squeeze, out.pos))
			return ERR_IO;
	} while (in.pos < in.size || (last && left));
	return OK;
}

static enum err put(void *context, const void *bytes, size_t n)
{
	struct squeeze *squeeze = context;
	return squeeze->zstd ? put_zstd(squeeze, bytes, n, false) : put_gzip(squeeze, bytes, n, false);
}

struct sink squeeze_sink(struct squeeze *squeeze)
{
	return (struct sink){put, squeeze};
}

enum err squeeze_start(struct squeeze *squeeze, int fd, bool zstd)
{
	squeeze->fd = fd;
	if (sha256_init(&squeeze->hash))
		return ERR_TOO_LARGE;
	if (!zstd) {
		/* 16 + 15: a gzip header, whose time deflate leaves at 0. */
		squeeze->gzip_begun = deflateInit2(&squeeze->gzip, GZIP_LEVEL, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY) == Z_OK;
		return squeeze->gzip_begun ? OK : ERR_TOO_LARGE;
	}
	squeeze->zstd = ZSTD_createCCtx();
	if (!squeeze->zstd || ZSTD_isError(ZSTD_CCtx_setParameter(squeeze->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(squeeze->zstd, ZSTD_c_windowLog, WINDOW_LOG)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(squeeze->zstd, ZSTD_c_enableLongDistanceMatching, 1)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(squeeze->zstd, ZSTD_c_checksumFlag, 1)))
		return ERR_TOO_LARGE;
	return OK;
}

enum err squeeze_finish(struct squeeze *squeeze, uint8_t ret_sha256[SHA256_SIZE])
{
	enum err err = squeeze->zstd ? put_zstd(squeeze, NULL, 0, true) : put_gzip(squeeze, NULL, 0, true);
	if (!err && fsync(squeeze->fd))
		err = ERR_IO;
	if (!err)
		sha256_final(&squeeze->hash, ret_sha256);
	return err;
}

void squeeze_release(struct squeeze *squeeze)
{
	if (squeeze->gzip_begun)
		deflateEnd(&squeeze->gzip);
	ZSTD_freeCCtx(squeeze->zstd);
	sha256_release(&squeeze->hash);
	squeeze->zstd = NULL;
	squeeze->gzip_begun = false;
}
