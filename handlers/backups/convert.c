/*
 * Makes other forms of a stored backup. Called by downloads. Must never hand on what its store, its frames or its encryption say is damaged, nor leave plain bytes of an encrypted
 * backup in a file that has a name, but for the result that was asked for.
 */
#include "handlers/backups/convert.h"

#include "core/base/text.h"
#include "handlers/backups/pack.h"
#include "handlers/backups/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 65536, LEVEL = 3 };

enum err backup_load_key(const struct config *config, struct age_identity *ret, struct backup_failure *failure)
{
	char text[KEY_FILE_MAX];
	int fd = open(config->backups_identity_file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	enum err err = ERR_INVALID;
	if (n >= 0) {
		text[n] = '\0';
		err = age_identity_parse(text, ret);
	}
	explicit_bzero(text, sizeof(text));
	return err ? backup_refuse(failure, "key_missing", "backups.identity_file") : OK;
}

/* ---- the plain dump, as much of it as is needed ---- */

/* A file without a name that becomes the plain dump, or the places of it that are needed. */
struct plain {
	int fd;
	int64_t at, max;
};

static enum err plain_put(void *context, const void *bytes, size_t n)
{
	struct plain *plain = context;
	const char *from = bytes;
	if ((int64_t)n > plain->max - plain->at)
		return ERR_INVALID; /* longer than the manifest says */
	while (n) {
		ssize_t done = pwrite(plain->fd, from, n, plain->at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return ERR_IO;
		from += done;
		plain->at += done;
		n -= (size_t)done;
	}
	return OK;
}

static bool is_compressed(const struct conversion *conversion)
{
	return strstr(conversion->object.key, ".zst") != NULL;
}

/* The whole, checked against the hash that is known. */
static enum err unpack_whole(struct arena *arena, const struct conversion *conversion, struct sink to)
{
	char hex[SHA256_HEX_SIZE];
	int fd = -1;
	enum err err = store_open_known(conversion->from, conversion->object.key, conversion->object.sha256, hex, NULL, &fd);
	if (err)
		return err == ERR_CONFLICT ? ERR_INVALID : err;
	err = lseek(fd, 0, SEEK_SET) < 0 ? ERR_IO : unpack_file(arena, fd, conversion->identity, to);
	close(fd);
	return err;
}

static int64_t frame(const json_t *frames, size_t i, size_t member)
{
	return json_integer_value(json_array_get(json_array_get(frames, i), member));
}

/* Does any piece reach into the bytes from..to of the plain dump? */
static bool is_needed(const struct pieces *pieces, int64_t from, int64_t to)
{
	for (size_t i = 0; i < pieces->count; i++) {
		const struct source_place *place = &pieces->list[i].place;
		if (place->length && place->offset < to && place->offset + place->length > from)
			return true;
	}
	return false;
}

/* Frames first..last of the object, at their places. */
static enum err unpack_some(struct arena *arena, const struct conversion *conversion, const json_t *frames, size_t first, size_t last, struct plain *plain)
{
	int64_t from = frame(frames, first, 1), to = last + 1 < json_array_size(frames) ? frame(frames, last + 1, 1) : conversion->object.size;
	int fd = -1;
	enum err err = store_open_range(conversion->from, conversion->object.key, from, to, &fd);
	if (err)
		return err;
	plain->at = frame(frames, first, 0);
	err = unpack_frames(arena, fd, from, to - from, (struct sink){plain_put, plain});
	close(fd);
	return err;
}

static enum err unpack_needed(struct arena *arena, const struct conversion *conversion, struct plain *plain)
{
	const json_t *frames = json_object_get(conversion->content, "frames");
	size_t count = json_array_size(frames);
	enum err err = count ? OK : ERR_INVALID;
	for (size_t i = 0; !err && i < count;) {
		size_t last = i;
		while (last < count && is_needed(conversion->pieces, frame(frames, last, 0), last + 1 < count ? frame(frames, last + 1, 0) : plain->max))
			last++;
		if (last > i)
			err = unpack_some(arena, conversion, frames, i, last - 1, plain);
		i = last + 1;
	}
	return err;
}

static enum err open_plain(struct arena *arena, const struct conversion *conversion, int *ret_fd)
{
	struct plain plain = {.max = json_integer_value(json_object_get(conversion->content, "bytes"))};
	if (!conversion->identity && !is_compressed(conversion))
		return store_open(conversion->from, conversion->object.key, 0, ret_fd);
	const char *spool = arena_join(arena, conversion->config->storage_root, "/spool", "");
	plain.fd = spool ? open(spool, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
	if (plain.fd < 0)
		return ERR_IO;
	enum err err = conversion->identity ? unpack_whole(arena, conversion, (struct sink){plain_put, &plain}) : unpack_needed(arena, conversion, &plain);
	if (err)
		close(plain.fd);
	else
		*ret_fd = plain.fd;
	return err;
}

/* ---- the result ---- */

static enum err write_pieces(struct arena *arena, const struct conversion *conversion, struct sink to)
{
	int plain = -1;
	if (!conversion->pieces)
		return unpack_whole(arena, conversion, to);
	enum err err = open_plain(arena, conversion, &plain);
	if (err)
		return err;
	err = pieces_write(conversion->pieces, plain, to);
	close(plain);
	return err;
}

/* The base and what stands on it as one object, decrypted. */
static enum err join(struct arena *arena, const struct conversion *conversion, int *ret_fd)
{
	char hex[SHA256_HEX_SIZE];
	int base = -1, own = -1;
	enum err err = base_open(arena, conversion->config, conversion->base, &base);
	if (err)
		return err;
	err = store_open_known(conversion->from, conversion->object.key, conversion->object.sha256, hex, NULL, &own);
	if (!err && lseek(own, 0, SEEK_SET) < 0)
		err = ERR_IO;
	const struct base_part parts[] = {{base, conversion->identity}, {own, conversion->identity}};
	if (!err)
		err = base_join(arena, conversion->config, parts, ret_fd);
	close(base);
	if (own >= 0)
		close(own);
	return err == ERR_CONFLICT ? ERR_INVALID : err;
}

/* Is the joined object in the wanted form already, but for the encryption? */
static bool is_packed(const struct conversion *conversion)
{
	return is_compressed(conversion) ? conversion->form != CONVERT_SQL : conversion->form == CONVERT_SQL;
}

static enum err write_joined(struct arena *arena, const struct conversion *conversion, struct sink to)
{
	int joined = -1;
	enum err err = join(arena, conversion, &joined);
	if (err)
		return err;
	err = is_packed(conversion) ? sink_pour(joined, to) : unpack_file(arena, joined, NULL, to);
	close(joined);
	return err;
}

static enum err write_result(struct arena *arena, struct conversion *conversion, int fd)
{
	struct age_recipient recipients[AGE_RECIPIENTS_MAX];
	struct pack pack = {0};
	uint8_t stored[SHA256_SIZE];
	size_t count = 0;
	int level = conversion->config->backups_zstd_level ? (int)conversion->config->backups_zstd_level : LEVEL;
	enum err err = conversion->form == CONVERT_AGE ? age_recipients_parse(conversion->config->backups_recipients, recipients, &count) : OK;
	if (err || (conversion->form == CONVERT_AGE && !count))
		return ERR_BUG; /* the caller has looked */
	bool plain = conversion->form == CONVERT_SQL || (conversion->base && is_packed(conversion));
	err = pack_start(&pack, arena, fd, plain ? 0 : level, recipients, count);
	if (!err)
		err = conversion->base ? write_joined(arena, conversion, pack_sink(&pack)) : write_pieces(arena, conversion, pack_sink(&pack));
	if (!err)
		err = pack_finish(&pack, stored);
	if (!err) {
		hex_encode(stored, sizeof(stored), conversion->sha256);
		conversion->size = pack.stored;
	}
	pack_release(&pack);
	return err;
}

enum err convert_backup(struct arena *arena, struct conversion *conversion)
{
	const char *path = NULL;
	int fd = -1;
	enum err err = store_create(arena, conversion->config, &path, &fd);
	if (err)
		return err;
	err = write_result(arena, conversion, fd);
	if (!err)
		err = store_place(conversion->config, path, conversion->key);
	close(fd);
	unlink(path);
	return err;
}
