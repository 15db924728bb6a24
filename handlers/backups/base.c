/*
 * Bases of differential backups, fetched and restored. Called by the jobs that back up and verify, and by downloads. Must never execute a base whose bytes are not those of the
 * inventory.
 */
#include "handlers/backups/base.h"

#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "handlers/backups/pack.h"
#include "handlers/backups/replay.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Columns of the statements backup_base and backup_base_of. */
enum { BASE_ID, BASE_KEY, BASE_SIZE, BASE_SHA256, BASE_CONTENT, BASE_REPLICA, BASE_BYTES, BASE_ENCRYPTED };

void base_read(const struct pg_rows *rows, struct backup_base *ret)
{
	*ret = (struct backup_base){0};
	if (rows->count == 0)
		return;
	ret->id = pg_text(rows, 0, BASE_ID);
	ret->object = (struct stored_object){pg_text(rows, 0, BASE_KEY), pg_text(rows, 0, BASE_SHA256), pg_i64(rows, 0, BASE_SIZE)};
	ret->content = pg_text(rows, 0, BASE_CONTENT);
	ret->bytes = pg_i64(rows, 0, BASE_BYTES);
	ret->has_replica = pg_bool(rows, 0, BASE_REPLICA);
	ret->encrypted = pg_bool(rows, 0, BASE_ENCRYPTED);
}

enum err base_open(struct arena *arena, const struct config *config, const struct backup_base *base, int *ret_fd)
{
	return backup_open_whole(arena, config, &base->object, base->has_replica, ret_fd);
}

enum err base_restore(struct arena *arena, const struct config *config, const struct backup_base *base, const struct age_identity *identity, const char *path, sqlite3 **ret_db,
                      struct backup_failure *failure)
{
	struct replay replay;
	struct source source;
	uint8_t hash[32];
	char hex[65];
	int fd = -1;
	enum err err = base_open(arena, config, base, &fd);
	if (err)
		return err;
	int result = sqlite3_open_v2(path, ret_db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	err = result == SQLITE_OK ? replay_prepare(*ret_db, failure) : source_failed(*ret_db, result, failure);
	replay_start(&replay, *ret_db, failure);
	if (!err)
		err = unpack_file(arena, fd, identity, replay_sink(&replay));
	if (!err)
		err = replay_finish(&replay, arena, &source, hash);
	hex_encode(hash, sizeof(hash), hex);
	if (!err && !text_equal(hex, base->content))
		err = ERR_INVALID;
	replay_release(&replay);
	close(fd);
	return err;
}

static enum err pour_part(struct arena *arena, const struct base_part *part, struct sink to)
{
	if (!part->identity)
		return sink_pour(part->fd, to);
	struct age_stream *age = arena_alloc(arena, sizeof(*age));
	if (!age)
		return ERR_TOO_LARGE;
	enum err err = age_open_start(age, part->identity, to);
	if (!err)
		err = sink_pour(part->fd, age_open_sink(age));
	if (!err)
		err = age_open_finish(age);
	age_release(age);
	return err;
}

enum err base_join(struct arena *arena, const struct config *config, const struct base_part parts[2], int *ret_fd)
{
	const char *spool = arena_join(arena, config->storage_root, "/spool", "");
	int fd = spool ? open(spool, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return ERR_IO;
	enum err err = OK;
	for (int i = 0; !err && i < 2; i++)
		err = pour_part(arena, &parts[i], sink_file(&fd));
	if (!err && lseek(fd, 0, SEEK_SET) < 0)
		err = ERR_IO;
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}
