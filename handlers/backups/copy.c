/*
 * Copies between the two stores. Called by the jobs that replicate, reconcile and verify, and by downloads. Must never put bytes into either store whose
 * hash is not that of the inventory.
 */
#include "handlers/backups/copy.h"

#include "core/base/log.h"
#include "core/base/text.h"
#include "handlers/backups/manifest.h"

#include <errno.h>
#include <unistd.h>

enum { PIECE = 1 << 16 };

static enum err write_all(int fd, const char *from, size_t n)
{
	while (n) {
		ssize_t done = write(fd, from, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return errno == ENOSPC || errno == EDQUOT ? ERR_UNAVAILABLE : ERR_IO;
		from += done;
		n -= (size_t)done;
	}
	return OK;
}

/* From fd to fd, with the hash of what passed. */
static enum err pour(int from, int to, char hex[SHA256_HEX_SIZE], int64_t *size, enum copy_side *side)
{
	struct sha256 hash;
	uint8_t digest[SHA256_SIZE];
	char piece[PIECE];
	*side = COPY_OF;
	*size = 0;
	if (sha256_init(&hash))
		return ERR_TOO_LARGE;
	enum err err = OK;
	for (;;) {
		ssize_t n = read(from, piece, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = ERR_IO;
		if (n <= 0 || err)
			break;
		sha256_update(&hash, piece, (size_t)n);
		*size += n;
		err = write_all(to, piece, (size_t)n);
		if (err)
			*side = COPY_TO;
	}
	sha256_final(&hash, digest);
	sha256_release(&hash);
	hex_encode(digest, sizeof(digest), hex);
	return err;
}

/* known NULL: an object that the inventory has no hash of (a manifest). */
static enum err transfer(struct arena *arena, const struct config *from, const struct config *to, const char *key, const struct stored_object *known, enum copy_side *side)
{
	const char *path = NULL;
	char hex[SHA256_HEX_SIZE] = "";
	int64_t size = 0;
	int in = -1, out = -1;
	*side = COPY_OF;
	enum err err = store_open(from, key, 0, &in);
	if (err)
		return err;
	err = store_create(arena, to, &path, &out);
	if (err)
		*side = COPY_TO;
	if (!err)
		err = pour(in, out, hex, &size, side);
	if (!err && known && (size != known->size || !text_equal(hex, known->sha256)))
		err = ERR_INVALID;
	else if (!err) {
		*side = COPY_TO;
		err = fsync(out) ? ERR_IO : store_place(to, path, key);
	}
	close(in);
	if (out >= 0) {
		close(out);
		unlink(path);
	}
	return err == ERR_NOT_FOUND ? ERR_UNAVAILABLE : err; /* a folder of the other side that is gone: nothing is known of the object */
}

static enum err compare(const struct config *to, const struct stored_object *object)
{
	char hex[SHA256_HEX_SIZE];
	int64_t size = 0;
	int fd = -1;
	enum err err = store_open_known(to, object->key, NULL, hex, &size, &fd);
	if (err)
		return err;
	close(fd);
	return size == object->size && text_equal(hex, object->sha256) ? OK : ERR_INVALID;
}

enum err backup_second_store(struct arena *arena, const struct config *config, struct config *ret)
{
	const char *name = NULL;
	if (!store_replica(arena, config, ret, &name))
		return ERR_NOT_FOUND;
	return store_spool(ret) == STORE_SPOOL_GONE ? ERR_UNAVAILABLE : OK;
}

enum err backup_copy(struct arena *arena, const struct config *from, const struct config *to, const struct stored_object *object, enum copy_side *ret_side)
{
	const char *manifest = arena_join(arena, object->key, MANIFEST_SUFFIX, "");
	enum err err = transfer(arena, from, to, object->key, object, ret_side);
	if (err)
		return err;
	*ret_side = COPY_TO;
	err = compare(to, object);
	if (err)
		return err;
	enum err also = manifest ? transfer(arena, from, to, manifest, NULL, ret_side) : ERR_TOO_LARGE;
	return also == ERR_NOT_FOUND ? OK : also; /* weekly archives have theirs inside */
}

enum err backup_bring_back(struct arena *arena, const struct config *config, const struct stored_object *object, bool has_replica)
{
	struct config replica;
	enum copy_side side = COPY_OF;
	int64_t size = -1;
	enum err err = store_look(config, object->key, &size);
	if (!err && size != object->size)
		err = ERR_INVALID;
	if ((err != ERR_NOT_FOUND && err != ERR_INVALID) || !has_replica)
		return err;
	enum err back = backup_second_store(arena, config, &replica);
	if (back)
		return back == ERR_NOT_FOUND ? err : back;
	back = backup_copy(arena, &replica, config, object, &side);
	log_write(back ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "backup_brought_back", LOG_TEXT("key", object->key), LOG_TEXT("reason", err_name(err)), LOG_TEXT("result", err_name(back)));
	/* Lost for good only when the copy is no better; a store that does not answer says nothing. */
	return side == COPY_OF && (back == ERR_NOT_FOUND || back == ERR_INVALID) ? err : back;
}

enum err backup_open(struct arena *arena, const struct config *config, const struct stored_object *object, bool has_replica, int *ret_fd)
{
	struct config replica;
	enum err err = store_open(config, object->key, 0, ret_fd);
	if (err && has_replica && !backup_second_store(arena, config, &replica) && store_open(&replica, object->key, 0, ret_fd) == OK)
		return OK;
	return err;
}

enum err backup_open_whole(struct arena *arena, const struct config *config, const struct stored_object *object, bool has_replica, int *ret_fd)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];
	int fd = -1;
	enum err err = backup_open(arena, config, object, has_replica, &fd);
	if (err)
		return err;
	err = sha256_fd(fd, digest, NULL);
	hex_encode(digest, sizeof(digest), hex);
	if (!err && !text_equal(hex, object->sha256))
		err = ERR_INVALID;
	if (!err && lseek(fd, 0, SEEK_SET) < 0)
		err = ERR_IO;
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}
