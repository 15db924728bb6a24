/*
 * Compression and encryption of dumps. Called by the job that backs up and by dump and restore by hand. Must never write plain bytes when recipients
 * were given: without a working age stream nothing is written at all.
 */
#include "handlers/backups/pack.h"

#include <errno.h>
#include <unistd.h>
#include <zstd.h>

enum { FRAME_LEAST = 1 << 18 };

static enum err put_file(void *context, const void *bytes, size_t n)
{
	struct pack *pack = context;
	const char *from = bytes;
	sha256_update(&pack->stored_hash, bytes, n);
	pack->stored += (int64_t)n;
	while (n) {
		ssize_t done = write(pack->fd, from, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			pack->failed_disk = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
			return ERR_IO;
		}
		from += done;
		n -= (size_t)done;
	}
	return OK;
}

static enum err put_sealed(struct pack *pack, const void *bytes, size_t n)
{
	pack->squeezed += (int64_t)n;
	return pack->age ? age_seal_put(pack->age, bytes, n) : put_file(pack, bytes, n);
}

static enum err squeeze(struct pack *pack, const void *bytes, size_t n, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = {bytes, n, 0};
	size_t left = 0;
	enum err err = OK;
	do {
		ZSTD_outBuffer out = {pack->out, pack->out_size, 0};
		left = ZSTD_compressStream2(pack->zstd, &out, &in, how);
		if (ZSTD_isError(left))
			return ERR_TOO_LARGE;
		if (out.pos)
			err = put_sealed(pack, pack->out, out.pos);
	} while (!err && (in.pos < in.size || (how == ZSTD_e_end && left)));
	return err;
}

static enum err put_plain(void *context, const void *bytes, size_t n)
{
	struct pack *pack = context;
	pack->plain += (int64_t)n;
	return pack->zstd ? squeeze(pack, bytes, n, ZSTD_e_continue) : put_sealed(pack, bytes, n);
}

struct sink pack_sink(struct pack *pack)
{
	return (struct sink){put_plain, pack};
}

static void begin_frame(struct pack *pack)
{
	pack->frames[pack->frame_count++] = (struct pack_frame){pack->plain, pack->squeezed};
}

enum err pack_start(struct pack *pack, struct arena *arena, int fd, int level, const struct age_recipient *recipients, size_t count)
{
	*pack = (struct pack){.fd = fd};
	pack->frames = arena_array(arena, PACK_FRAMES_MAX, sizeof(*pack->frames));
	pack->age = count ? arena_alloc(arena, sizeof(*pack->age)) : NULL;
	if (!pack->frames || (count && !pack->age) || sha256_init(&pack->stored_hash))
		return ERR_TOO_LARGE;
	begin_frame(pack);
	if (level) {
		pack->zstd = ZSTD_createCCtx();
		pack->out_size = ZSTD_CStreamOutSize();
		pack->out = arena_alloc(arena, pack->out_size);
		if (!pack->zstd || !pack->out || ZSTD_isError(ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_compressionLevel, level)))
			return ERR_TOO_LARGE;
		ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_checksumFlag, 1);
		/* A library without threads compresses all the same. */
		ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_nbWorkers, sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1);
		ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_jobSize, 2 << 20);
	}
	return count ? age_seal_start(pack->age, recipients, count, (struct sink){put_file, pack}) : OK;
}

enum err pack_boundary(void *context)
{
	struct pack *pack = context;
	if (!pack->zstd || pack->frame_count == PACK_FRAMES_MAX || pack->plain - pack->frames[pack->frame_count - 1].plain < FRAME_LEAST)
		return OK;
	enum err err = squeeze(pack, NULL, 0, ZSTD_e_end);
	begin_frame(pack);
	return err;
}

enum err pack_finish(struct pack *pack, uint8_t ret_stored[SHA256_SIZE])
{
	enum err err = pack->zstd ? squeeze(pack, NULL, 0, ZSTD_e_end) : OK;
	if (!err && pack->age)
		err = age_seal_finish(pack->age);
	if (!err && fsync(pack->fd)) {
		pack->failed_disk = errno == ENOSPC;
		err = ERR_IO;
	}
	if (err)
		return err;
	sha256_final(&pack->stored_hash, ret_stored);
	return OK;
}

void pack_release(struct pack *pack)
{
	ZSTD_freeCCtx(pack->zstd);
	if (pack->age)
		age_release(pack->age);
	sha256_release(&pack->stored_hash);
	*pack = (struct pack){0};
}
