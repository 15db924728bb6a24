/*
 * Stored backups for other recipients: a new header in front of the payload that was there. Called by `tidegate backup rewrap` with a key that never stays on the server. Must never
 * change or remove an object that is the only good one: the new one stands beside it, was read back and restored, before the inventory knows it.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/crypto/age.h"
#include "core/crypto/digest.h"
#include "handlers/backups/copy.h"
#include "handlers/backups/handlers.h"
#include "handlers/backups/manifest.h"
#include "handlers/backups/pack.h"
#include "handlers/backups/pg_dump.h"
#include "handlers/backups/prove.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { STEP_ARENA = 32 << 20 };

/* Columns of the statement backup_to_rewrap. */
enum { REWRAP_ID, REWRAP_KEY, REWRAP_SIZE, REWRAP_SHA256, REWRAP_CONTENT, REWRAP_DATABASE, REWRAP_DAY, REWRAP_REPLICA, REWRAP_DIFFERENTIAL };

struct rewrap {
	struct pg *pg;
	struct arena *arena; /* of one object */
	const struct config *config;
	const struct age_identity *identity;
	struct age_recipient recipients[AGE_RECIPIENTS_MAX + 1];
	size_t count;
	const char *texts; /* of the recipients, a text[] */
	struct age_identity proof_key;
	struct backup_failure failure;
	/* The new object. */
	const char *path, *key, *row, *manifest;
	int fd;
	struct sha256 hash;
	int64_t size;
	char sha256[SHA256_HEX_SIZE];
};

static enum err put(void *context, const void *bytes, size_t n)
{
	struct rewrap *rewrap = context;
	struct sink file = sink_file(&rewrap->fd);
	sha256_update(&rewrap->hash, bytes, n);
	rewrap->size += (int64_t)n;
	enum err err = sink_put(&file, bytes, n);
	if (err)
		backup_refuse(&rewrap->failure, "disk_full", strerror(errno));
	return err;
}

static enum err write_new(struct rewrap *rewrap, int old)
{
	char head[AGE_HEADER_MAX];
	struct buf header;
	uint8_t digest[SHA256_SIZE];
	size_t length = 0;
	ssize_t n = pread(old, head, sizeof(head), 0);
	if (n < 0 || sha256_init(&rewrap->hash))
		return ERR_IO;
	buf_init(&header, AGE_HEADER_MAX);
	enum err err = age_rewrap(head, (size_t)n, rewrap->identity, rewrap->recipients, rewrap->count + 1, &header, &length);
	if (err == ERR_DENIED)
		err = backup_refuse(&rewrap->failure, "key_missing", "it is not for this key");
	else if (err == ERR_INVALID)
		err = backup_refuse(&rewrap->failure, "object_damaged", "its header is not one of age");
	if (!err)
		err = put(rewrap, header.data, header.len);
	if (!err && lseek(old, (off_t)length, SEEK_SET) < 0)
		err = ERR_IO;
	if (!err)
		err = sink_pour(old, (struct sink){put, rewrap}); /* the payload as it is */
	if (!err && fsync(rewrap->fd))
		err = ERR_IO;
	buf_release(&header);
	sha256_final(&rewrap->hash, digest);
	sha256_release(&rewrap->hash);
	hex_encode(digest, sizeof(digest), rewrap->sha256);
	return err;
}

/* The old object, whole: of the second store when the first has it no more. */
static enum err open_old(struct rewrap *rewrap, const struct pg_rows *rows, int i, int *ret_fd)
{
	const struct stored_object object = {pg_text(rows, i, REWRAP_KEY), pg_text(rows, i, REWRAP_SHA256), pg_i64(rows, i, REWRAP_SIZE)};
	enum err err = backup_open_whole(rewrap->arena, rewrap->config, &object, pg_bool(rows, i, REWRAP_REPLICA), ret_fd);
	if (err == ERR_NOT_FOUND)
		return backup_refuse(&rewrap->failure, "object_missing", "");
	return err == ERR_INVALID ? backup_refuse(&rewrap->failure, "object_damaged", "its bytes are not those that were stored") : err;
}

/* daily/DAY/NAME~TIME.sql.zst.age: a "~" is in no name, and sorts behind the key that was there. */
static const char *new_key(struct arena *arena, const char *key)
{
	const char *slash = strrchr(key, '/'), *dot = slash ? strchr(slash, '.') : NULL, *mark = slash ? strchr(slash, '~') : NULL;
	char now[CLOCK_ISO_SIZE], digits[CLOCK_ISO_SIZE];
	size_t n = 0;
	if (!dot)
		return NULL;
	clock_iso8601(clock_unix_us(), now);
	for (const char *c = now; *c; c++)
		if (*c >= '0' && *c <= '9')
			digits[n++] = *c;
	digits[n] = '\0';
	return arena_printf(arena, "%.*s~%s%s", (int)((mark && mark < dot ? mark : dot) - key), key, digits, dot);
}

static enum err place_manifest(struct rewrap *rewrap)
{
	const char *path = NULL, *key = arena_join(rewrap->arena, rewrap->key, MANIFEST_SUFFIX, "");
	size_t n = strlen(rewrap->manifest);
	int fd = -1;
	enum err err = store_create(rewrap->arena, rewrap->config, &path, &fd);
	if (err)
		return err;
	err = write(fd, rewrap->manifest, n) != (ssize_t)n || fsync(fd) ? ERR_IO : OK;
	if (!err)
		err = key ? store_place(rewrap->config, path, key) : ERR_TOO_LARGE;
	close(fd);
	unlink(path);
	return err;
}

static enum err hash_put(void *context, const void *bytes, size_t n)
{
	sha256_update(context, bytes, n);
	return OK;
}

/* The hash of what it holds. */
static enum err hash_plain(struct rewrap *rewrap, int fd, const struct age_identity *identity, uint8_t ret[SHA256_SIZE])
{
	struct sha256 hash;
	if (sha256_init(&hash))
		return ERR_TOO_LARGE;
	enum err err = lseek(fd, 0, SEEK_SET) < 0 ? ERR_IO : unpack_file(rewrap->arena, fd, identity, (struct sink){hash_put, &hash});
	sha256_final(&hash, ret);
	sha256_release(&hash);
	return err == ERR_DENIED ? ERR_INVALID : err;
}

/* Of a differential one nothing can be restored by itself: what it holds is what the old one held, byte for byte. */
static enum err compare_plain(struct rewrap *rewrap, int old, int new)
{
	uint8_t was[SHA256_SIZE], is[SHA256_SIZE];
	enum err err = hash_plain(rewrap, old, rewrap->identity, was);
	if (!err)
		err = hash_plain(rewrap, new, &rewrap->proof_key, is);
	if (!err && memcmp(was, is, sizeof(was)) != 0)
		err = ERR_INVALID;
	return err == ERR_INVALID ? backup_refuse(&rewrap->failure, "object_damaged", "it does not open") : err;
}

/* What the store gives back, opened with the key of this rewrap alone, is what the inventory says. */
static enum err prove_new(struct rewrap *rewrap, const char *content, int old, bool differential)
{
	struct proof proof;
	char hex[SHA256_HEX_SIZE];
	int fd = -1;
	enum err err = store_open_known(rewrap->config, rewrap->key, rewrap->sha256, hex, NULL, &fd);
	if (err)
		return err == ERR_CONFLICT ? backup_refuse(&rewrap->failure, "object_damaged", "the store gave other bytes back") : err;
	if (lseek(fd, 0, SEEK_SET) < 0)
		err = ERR_IO;
	else if (differential)
		err = compare_plain(rewrap, old, fd);
	else if (!content)
		err = pg_dump_prove(rewrap->config, fd, &rewrap->proof_key, &rewrap->failure);
	else {
		err = prove_object(rewrap->config, fd, &rewrap->proof_key, &proof, &rewrap->failure);
		hex_encode(proof.hash, sizeof(proof.hash), hex);
		if (!err && !text_equal(hex, content))
			err = backup_refuse(&rewrap->failure, "content_differs", "");
	}
	close(fd);
	return err;
}

static enum err swap(struct rewrap *rewrap, const struct pg_rows *rows, int i)
{
	struct pg_rows done;
	enum err err = pg_begin(rewrap->pg, NULL);
	if (!err)
		err = pg_query(rewrap->pg, rewrap->arena, STMT_BACKUP_REWRAPPED, PG_VALUES(pg_text(rows, i, REWRAP_ID), pg_text(rows, i, REWRAP_KEY), rewrap->row, rewrap->texts), &done);
	if (!err && !pg_bool(&done, 0, 0))
		err = ERR_CONFLICT;
	if (!err)
		err = backup_replicate_ask(rewrap->pg, rewrap->arena, rewrap->config);
	if (!err)
		err = pg_commit(rewrap->pg);
	pg_rollback(rewrap->pg);
	return err;
}

/* The new object was not needed. Its row stays when its object does. */
static void undo(struct rewrap *rewrap)
{
	const char *manifest = arena_join(rewrap->arena, rewrap->key, MANIFEST_SUFFIX, "");
	if (store_delete(rewrap->config, rewrap->key) == OK && manifest && store_delete(rewrap->config, manifest) == OK &&
	    pg_query(rewrap->pg, rewrap->arena, STMT_BACKUP_UNMADE, PG_VALUES(rewrap->row), NULL) == OK)
		rewrap->row = NULL;
}

static enum err make_new(struct rewrap *rewrap, const struct pg_rows *rows, int i, int old)
{
	struct pg_rows made;
	enum err err = pg_query(rewrap->pg, rewrap->arena, STMT_BACKUP_MAKING,
	                        PG_VALUES(pg_text(rows, i, REWRAP_ID), rewrap->key, pg_number(rewrap->arena, rewrap->size), rewrap->sha256, rewrap->texts), &made);
	if (!err && made.count == 0)
		err = ERR_CONFLICT;
	if (err)
		return err;
	rewrap->row = pg_text(&made, 0, 0);
	rewrap->manifest = pg_text(&made, 0, 1);
	err = store_place(rewrap->config, rewrap->path, rewrap->key);
	if (!err)
		err = place_manifest(rewrap);
	if (!err)
		err = prove_new(rewrap, pg_text(rows, i, REWRAP_CONTENT), old, pg_bool(rows, i, REWRAP_DIFFERENTIAL));
	if (!err)
		err = swap(rewrap, rows, i);
	if (err)
		undo(rewrap);
	return err;
}

static enum err rewrap_one(struct rewrap *rewrap, const struct pg_rows *rows, int i)
{
	int old = -1;
	rewrap->failure = (struct backup_failure){0};
	rewrap->path = rewrap->row = NULL;
	rewrap->fd = -1;
	rewrap->size = 0;
	rewrap->key = new_key(rewrap->arena, pg_text(rows, i, REWRAP_KEY));
	enum err err = rewrap->key ? age_identity_new(&rewrap->proof_key) : ERR_TOO_LARGE;
	if (err)
		return err;
	memcpy(rewrap->recipients[rewrap->count].point, rewrap->proof_key.point, AGE_KEY);
	err = open_old(rewrap, rows, i, &old);
	if (!err)
		err = store_create(rewrap->arena, rewrap->config, &rewrap->path, &rewrap->fd);
	if (!err)
		err = write_new(rewrap, old);
	if (!err)
		err = make_new(rewrap, rows, i, old);
	if (old >= 0)
		close(old);
	if (rewrap->fd >= 0) {
		close(rewrap->fd);
		unlink(rewrap->path);
	}
	age_identity_wipe(&rewrap->proof_key);
	return err;
}

static enum err read_recipients(struct rewrap *rewrap, struct arena *arena)
{
	const char *texts[AGE_RECIPIENTS_MAX];
	enum err err = age_recipients_parse(rewrap->config->backups_recipients, rewrap->recipients, &rewrap->count);
	if (err || rewrap->count == 0)
		return ERR_INVALID;
	for (size_t i = 0; i < rewrap->count; i++) {
		char text[AGE_TEXT_SIZE];
		age_recipient_text(&rewrap->recipients[i], text);
		texts[i] = arena_strdup(arena, text);
	}
	rewrap->texts = pg_text_array(arena, texts, rewrap->count);
	return rewrap->texts ? OK : ERR_TOO_LARGE;
}

enum err backup_rewrap(struct pg *pg, struct arena *arena, const struct config *config, const struct age_identity *identity, const char *databases, bool dry_run,
                       void (*tell)(const struct backup_rewrap_told *told), int64_t *ret_total, int64_t *ret_failed)
{
	struct rewrap *rewrap = arena_alloc(arena, sizeof(*rewrap));
	struct arena step;
	struct pg_rows rows;
	if (!rewrap)
		return ERR_TOO_LARGE;
	*rewrap = (struct rewrap){.pg = pg, .arena = &step, .config = config, .identity = identity};
	enum err err = read_recipients(rewrap, arena);
	if (!err)
		err = pg_query(pg, arena, STMT_BACKUP_TO_REWRAP, PG_VALUES(config->backups_space, rewrap->texts, databases), &rows);
	if (err)
		return err;
	arena_init(&step, STEP_ARENA);
	*ret_total = rows.count;
	*ret_failed = 0;
	for (int i = 0; !err && i < rows.count; i++) {
		enum err one = dry_run ? OK : rewrap_one(rewrap, &rows, i);
		tell(&(struct backup_rewrap_told){pg_text(&rows, i, REWRAP_KEY), one || dry_run ? NULL : rewrap->key, i + 1, rows.count, pg_i64(&rows, i, REWRAP_SIZE), one, &rewrap->failure});
		*ret_failed += one != OK;
		arena_reset(&step);
	}
	arena_release(&step);
	return OK;
}
