/*
 * backup.weekly: one archive of the good backups of the last seven days, as they are stored (compressed, encrypted), with a MANIFEST.json that names every
 * member with its hash and every day that is missing. Must never put a member into it whose bytes are not those of the inventory.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "core/store/store.h"
#include "handlers/backups/copy.h"
#include "handlers/backups/handlers.h"
#include "handlers/backups/squeeze.h"
#include "handlers/backups/tar.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 17, MANIFEST_MAX = 8 << 20 };

/* Columns of the statement backup_week_members. */
enum { MEMBER_DATABASE, MEMBER_DAY, MEMBER_ID, MEMBER_KEY, MEMBER_SIZE, MEMBER_SHA256, MEMBER_AT, MEMBER_REPLICA };

struct archive {
	const struct config *config;
	struct arena *arena;
	int fd;
	bool zstd;
	struct squeeze squeeze;
	uint8_t digest[SHA256_SIZE];
	char in[PIECE];
};

/* DATE/NAME…: what is behind "daily/" in the key, which is where `tidegate restore --from` looks. */
static const char *member_name(const char *key)
{
	const char *slash = strchr(key, '/');
	return slash ? slash + 1 : key;
}

static enum err put_member(struct archive *archive, const struct pg_rows *rows, int i, const struct sink *to)
{
	int64_t size = pg_i64(rows, i, MEMBER_SIZE), left = size;
	struct sha256 hash;
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];
	int fd = -1;
	if (sha256_init(&hash))
		return ERR_TOO_LARGE;
	const struct stored_object object = {pg_text(rows, i, MEMBER_KEY), pg_text(rows, i, MEMBER_SHA256), size};
	enum err err = backup_open(archive->arena, archive->config, &object, pg_bool(rows, i, MEMBER_REPLICA), &fd);
	if (!err)
		err = tar_begin(to, member_name(pg_text(rows, i, MEMBER_KEY)), size, pg_i64(rows, i, MEMBER_AT));
	while (!err && left) {
		ssize_t n = read(fd, archive->in, left < PIECE ? (size_t)left : PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			err = ERR_INVALID;
		if (n > 0) {
			sha256_update(&hash, archive->in, (size_t)n);
			err = sink_put(to, archive->in, (size_t)n);
			left -= n;
		}
	}
	if (fd >= 0)
		close(fd);
	sha256_final(&hash, digest);
	sha256_release(&hash);
	hex_encode(digest, sizeof(digest), hex);
	if (!err && !text_equal(hex, pg_text(rows, i, MEMBER_SHA256)))
		err = ERR_INVALID;
	return err ? err : tar_end_member(to, size);
}

static enum err write_manifest(const char *week, const struct pg_rows *rows, struct buf *out)
{
	struct json_writer w;
	json_start(&w, out);
	json_object_open(&w, NULL);
	json_put_i64(&w, "version", 1);
	json_put_text(&w, "week", week);
	json_array_open(&w, "members");
	for (int i = 0; i < rows->count; i++) {
		if (!pg_text(rows, i, MEMBER_KEY))
			continue;
		json_object_open(&w, NULL);
		json_put_text(&w, "name", member_name(pg_text(rows, i, MEMBER_KEY)));
		json_put_text(&w, "database", pg_text(rows, i, MEMBER_DATABASE));
		json_put_text(&w, "date", pg_text(rows, i, MEMBER_DAY));
		json_put_i64(&w, "size", pg_i64(rows, i, MEMBER_SIZE));
		json_put_text(&w, "sha256", pg_text(rows, i, MEMBER_SHA256));
		json_object_close(&w);
	}
	json_array_close(&w);
	json_array_open(&w, "missing");
	for (int i = 0; i < rows->count; i++) {
		if (pg_text(rows, i, MEMBER_KEY))
			continue;
		json_object_open(&w, NULL);
		json_put_text(&w, "database", pg_text(rows, i, MEMBER_DATABASE));
		json_put_text(&w, "date", pg_text(rows, i, MEMBER_DAY));
		json_object_close(&w);
	}
	json_array_close(&w);
	json_object_close(&w);
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

static enum err write_archive(struct archive *archive, const struct pg_rows *rows, const struct buf *manifest)
{
	const struct sink to = squeeze_sink(&archive->squeeze);
	int64_t newest = 0;
	for (int i = 0; i < rows->count; i++)
		newest = pg_i64(rows, i, MEMBER_AT) > newest ? pg_i64(rows, i, MEMBER_AT) : newest;
	enum err err = squeeze_start(&archive->squeeze, archive->fd, archive->zstd);
	if (!err)
		err = tar_begin(&to, "MANIFEST.json", (int64_t)manifest->len, newest);
	if (!err)
		err = sink_put(&to, manifest->data, manifest->len);
	if (!err)
		err = tar_end_member(&to, (int64_t)manifest->len);
	for (int i = 0; !err && i < rows->count; i++)
		if (pg_text(rows, i, MEMBER_KEY))
			err = put_member(archive, rows, i, &to);
	if (!err)
		err = tar_finish(&to);
	return err ? err : squeeze_finish(&archive->squeeze, archive->digest);
}

/* Stored, fetched back and compared; then the inventory knows the archive, and its members know that it holds them. */
static enum err publish(struct worker *worker, struct arena *arena, struct job *job, struct archive *archive, const char *path, const char *week, const char *day,
                        const struct pg_rows *members, const struct buf *manifest)
{
	const char *key = arena_printf(arena, "weekly/%s.tar.%s", week, archive->zstd ? "zst" : "gz"), **ids = arena_array(arena, (size_t)members->count + 1, sizeof(*ids));
	uint8_t back[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];
	struct pg_rows rows;
	size_t count = 0;
	int fd = -1;
	if (!key || !ids)
		return ERR_TOO_LARGE;
	enum err err = store_place(archive->config, path, key);
	if (!err)
		err = store_open(archive->config, key, 0, &fd);
	if (!err)
		err = sha256_fd(fd, back, NULL);
	if (fd >= 0)
		close(fd);
	if (!err && memcmp(archive->digest, back, sizeof(back)) != 0)
		err = ERR_UNAVAILABLE;
	for (int i = 0; i < members->count; i++)
		if (pg_text(members, i, MEMBER_ID))
			ids[count++] = pg_text(members, i, MEMBER_ID);
	hex_encode(archive->digest, sizeof(archive->digest), hex);
	if (!err)
		err = pg_begin(&worker->pg, NULL);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_BACKUP_WEEK_STORED,
		               PG_VALUES(worker->config->backups_space, week, day, key, pg_number(arena, archive->squeeze.size), hex, buf_text(manifest)), &rows);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_BACKUP_WEEK_HOLDS, PG_VALUES(pg_text(&rows, 0, 0), pg_text_array(arena, ids, count)), NULL);
	if (!err)
		err = backup_replicate_ask(&worker->pg, arena, worker->config);
	if (!err)
		err = job_end(worker, arena, job, "done");
	return err ? err : pg_commit(&worker->pg);
}

static enum err make_archive(struct worker *worker, struct arena *arena, struct job *job, const char *week, const char *day, const struct pg_rows *members)
{
	struct archive *archive = arena_alloc(arena, sizeof(*archive));
	struct buf manifest;
	const char *path = NULL;
	buf_init(&manifest, MANIFEST_MAX);
	if (!archive)
		return ERR_TOO_LARGE;
	archive->config = worker->config;
	archive->arena = arena;
	archive->zstd = text_equal(worker->config->backups_weekly_format, "zst");
	archive->fd = -1;
	enum err err = write_manifest(week, members, &manifest);
	if (!err)
		err = store_create(arena, worker->config, &path, &archive->fd);
	if (!err)
		err = write_archive(archive, members, &manifest);
	if (!err)
		err = publish(worker, arena, job, archive, path, week, day, members, &manifest);
	pg_rollback(&worker->pg);
	if (archive->fd >= 0) {
		close(archive->fd);
		unlink(path);
	}
	squeeze_release(&archive->squeeze);
	buf_release(&manifest);
	return err;
}

enum err backup_weekly_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct backup_sources sources;
	struct pg_rows week, members;
	const char *why = "", *names = NULL;
	bool any = false;
	enum err err = backup_sources_load(arena, worker->config, &sources, &why);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_BACKUP_WEEK, PG_VALUES(worker->config->backups_space), &week);
	names = err ? NULL : backup_names(arena, &sources, true);
	if (!err)
		err = pg_query(&worker->pg, arena, STMT_BACKUP_WEEK_MEMBERS, PG_VALUES(worker->config->backups_space, names), &members);
	for (int i = 0; !err && i < members.count; i++)
		any |= pg_text(&members, i, MEMBER_KEY) != NULL;
	if (err)
		return err;
	/* A week is archived once; without a member there is nothing to archive, and backup.stale tells. */
	if (pg_text(&week, 0, 1) || !any)
		return job_end(worker, arena, job, "done");
	err = make_archive(worker, arena, job, pg_text(&week, 0, 0), pg_text(&week, 0, 2), &members);
	return err == ERR_INVALID ? job_refuse(job, "object_damaged") : err;
}
