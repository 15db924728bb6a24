/*
 * The way back: age, zstd, the dump. Called by `tidegate restore`, by test restores in their sandbox, and by downloads. Must never pass on a byte
 * that an authenticated file does not vouch for, nor take the end of input for the end of a frame.
 */
#include "handlers/backups/pack.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum { READ_SIZE = 1 << 17, MAGIC = 4 };

static const char age_magic[] = "age-encryption.org/v1\n";

/* Decompresses what is compressed and passes on what is not. */
struct inflate {
	struct sink to;
	ZSTD_DCtx *zstd;
	uint8_t first[MAGIC]; /* until it is known which */
	size_t first_count;
	bool plain;
	size_t pending; /* what zstd still expects of the frame: 0 between frames */
	char *out;
	size_t out_size;
};

static enum err inflate_frames(struct inflate *inflate, const void *bytes, size_t n)
{
	ZSTD_inBuffer in = {bytes, n, 0};
	bool more = true;
	enum err err = OK;
	while (!err && (in.pos < in.size || more)) {
		ZSTD_outBuffer out = {inflate->out, inflate->out_size, 0};
		inflate->pending = ZSTD_decompressStream(inflate->zstd, &out, &in);
		if (ZSTD_isError(inflate->pending))
			return ERR_INVALID;
		more = out.pos == out.size;
		err = out.pos ? sink_put(&inflate->to, inflate->out, out.pos) : OK;
	}
	return err;
}

static enum err inflate_put(void *context, const void *bytes, size_t n)
{
	static const uint8_t magic[MAGIC] = {0x28, 0xb5, 0x2f, 0xfd};
	struct inflate *inflate = context;
	const uint8_t *from = bytes;
	if (inflate->first_count < MAGIC) {
		while (n && inflate->first_count < MAGIC) {
			inflate->first[inflate->first_count++] = *from++;
			n--;
		}
		if (inflate->first_count < MAGIC)
			return OK;
		inflate->plain = memcmp(inflate->first, magic, MAGIC) != 0;
		enum err err = inflate->plain ? sink_put(&inflate->to, inflate->first, MAGIC) : inflate_frames(inflate, inflate->first, MAGIC);
		if (err)
			return err;
	}
	if (n == 0)
		return OK;
	return inflate->plain ? sink_put(&inflate->to, from, n) : inflate_frames(inflate, from, n);
}

/* A file shorter than the magic, or one that ends within a frame, is no dump. */
static enum err inflate_end(const struct inflate *inflate)
{
	return inflate->first_count < MAGIC || (!inflate->plain && inflate->pending) ? ERR_INVALID : OK;
}

static enum err read_all(int fd, char *buffer, struct sink to)
{
	for (;;) {
		ssize_t n = read(fd, buffer, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			return OK;
		enum err err = sink_put(&to, buffer, (size_t)n);
		if (err)
			return err;
	}
}

static enum err unpack_through(int fd, char *buffer, bool encrypted, struct age_stream *age, const struct age_identity *identity, struct inflate *inflate)
{
	struct sink to = {inflate_put, inflate};
	if (!encrypted) {
		enum err err = read_all(fd, buffer, to);
		return err ? err : inflate_end(inflate);
	}
	if (!identity)
		return ERR_DENIED;
	enum err err = age_open_start(age, identity, to);
	if (!err)
		err = read_all(fd, buffer, age_open_sink(age));
	if (!err)
		err = age_open_finish(age);
	age_release(age);
	return err ? err : inflate_end(inflate);
}

enum err unpack_file(struct arena *arena, int fd, const struct age_identity *identity, struct sink to)
{
	char magic[sizeof(age_magic) - 1];
	off_t at = lseek(fd, 0, SEEK_CUR);
	bool encrypted = pread(fd, magic, sizeof(magic), at) == (ssize_t)sizeof(magic) && memcmp(magic, age_magic, sizeof(magic)) == 0;
	struct inflate inflate = {.to = to, .zstd = ZSTD_createDCtx(), .out_size = ZSTD_DStreamOutSize()};
	struct age_stream *age = arena_alloc(arena, sizeof(*age));
	char *buffer = arena_alloc(arena, READ_SIZE);
	inflate.out = arena_alloc(arena, inflate.out_size);
	enum err err = age && buffer && inflate.out && inflate.zstd ? OK : ERR_TOO_LARGE;
	if (!err && at < 0)
		err = ERR_IO;
	if (!err)
		err = unpack_through(fd, buffer, encrypted, age, identity, &inflate);
	ZSTD_freeDCtx(inflate.zstd);
	return err;
}

enum err unpack_frames(struct arena *arena, int fd, int64_t from, int64_t length, struct sink to)
{
	struct inflate inflate = {.to = to, .zstd = ZSTD_createDCtx(), .out_size = ZSTD_DStreamOutSize(), .first_count = MAGIC};
	char *buffer = arena_alloc(arena, READ_SIZE);
	inflate.out = arena_alloc(arena, inflate.out_size);
	enum err err = buffer && inflate.out && inflate.zstd ? OK : ERR_TOO_LARGE;
	while (!err && length) {
		ssize_t n = pread(fd, buffer, length < READ_SIZE ? (size_t)length : READ_SIZE, from);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n < 0 ? ERR_IO : ERR_INVALID;
			break;
		}
		err = inflate_frames(&inflate, buffer, (size_t)n);
		from += n;
		length -= n;
	}
	ZSTD_freeDCtx(inflate.zstd);
	return err ? err : inflate_end(&inflate);
}
