/*
 * backup.database: one database of a run. Snapshot, dump, upload, then the proof: the object is fetched back from the store and restored in a sandbox.
 * Started by backup_begin. An attempt that dies is made again from the start; its object has the same key. Must never call a backup verified for
 * anything but that proof, write over a backup of somebody else, or leave its run without an end.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/store/store.h"
#include "handlers/backups/base.h"
#include "handlers/backups/convert.h"
#include "handlers/backups/differ.h"
#include "handlers/backups/failures.h"
#include "handlers/backups/handlers.h"
#include "handlers/backups/manifest.h"
#include "handlers/backups/pg_dump.h"
#include "handlers/backups/prove.h"
#include "handlers/backups/snapshot.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MANIFEST_MAX = 64 << 20, STEPS_ARENA = 192 << 20 };

struct work {
	struct worker *worker;
	const struct config *config;
	struct arena *arena;
	struct job *job;
	const char *result, *database, *run, *space, *day, *at;
	const struct backup_source *source;
	struct backup_failure failure;
	struct age_recipient recipients[AGE_RECIPIENTS_MAX + 1]; /* the last one: of this attempt alone, for the proof */
	const char *recipient_texts[AGE_RECIPIENTS_MAX];
	size_t recipient_count;
	struct age_identity proof_key;
	const char *key, *object_id;
	const char *packed; /* path in the spool */
	char sha256[SHA256_HEX_SIZE];
	int64_t size;
	struct snapshot snapshot;
	struct dump_result dump;
	struct pack pack;
	struct manifest manifest;
	const char *warning;
	struct backup_base base; /* id NULL: the backup is a full one */
	struct age_identity base_key;
};

/* ---- bookkeeping ---- */

/* Where the attempt is, with the lease. */
static enum err enter(struct work *work, const char *phase)
{
	struct pg *pg = &work->worker->pg;
	enum err err = pg_begin(pg, NULL);
	if (!err)
		err = job_beat(work->worker, work->arena, work->job);
	if (!err)
		err = pg_query(pg, work->arena, STMT_BACKUP_PHASE, PG_VALUES(work->result, phase), NULL);
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	if (!err && work->job->cancelled)
		return backup_refuse(&work->failure, "cancelled", "");
	return err;
}

/* The end of the database and of the job, in one transaction. code NULL: it succeeded. */
static enum err finish(struct work *work, const char *code)
{
	struct pg *pg = &work->worker->pg;
	enum err err = pg_begin(pg, NULL);
	if (!err)
		err = pg_query(pg, work->arena, STMT_BACKUP_END, PG_VALUES(work->result, code, code ? work->failure.detail : NULL, work->warning), NULL);
	if (!err && !code)
		err = backup_replicate_ask(pg, work->arena, work->config);
	if (!err)
		err = job_end(work->worker, work->arena, work->job, work->job->cancelled ? "cancelled" : "done");
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	if (!err)
		log_write(code ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, code ? "backup_failed" : "backup_verified", LOG_TEXT("database", work->database), LOG_TEXT("code", code ? code : "ok"),
		          LOG_TEXT("detail", code ? work->failure.detail : ""), LOG_INT("bytes", work->size));
	return err;
}

/* ---- snapshot and dump ---- */

static enum err read_recipients(struct work *work)
{
	enum err err = age_recipients_parse(work->config->backups_recipients, work->recipients, &work->recipient_count);
	if (err)
		return backup_refuse(&work->failure, "bad_recipient", "");
	for (size_t i = 0; i < work->recipient_count; i++) {
		char text[AGE_TEXT_SIZE];
		age_recipient_text(&work->recipients[i], text);
		work->recipient_texts[i] = arena_strdup(work->arena, text);
	}
	if (!work->recipient_count)
		return OK;
	err = age_identity_new(&work->proof_key);
	if (!err)
		memcpy(work->recipients[work->recipient_count].point, work->proof_key.point, AGE_KEY);
	return err;
}

static enum err write_dump(struct work *work)
{
	struct dump_request request = {
	    .name = work->database,
	    .run = work->run,
	    .journal_mode = work->snapshot.journal_mode,
	    .to = pack_sink(&work->pack),
	    .boundary = pack_boundary,
	    .boundary_context = &work->pack,
	};
	enum err err = dump_write(work->snapshot.db, work->arena, &request, &work->dump, &work->failure);
	work->warning = work->dump.warning;
	return err;
}

static enum err pack_into(struct work *work, int fd)
{
	uint8_t stored[SHA256_SIZE];
	size_t count = work->recipient_count ? work->recipient_count + 1 : 0;
	int level = work->source->postgresql ? 0 : (int)work->config->backups_zstd_level;
	enum err err = pack_start(&work->pack, work->arena, fd, level, work->recipients, count);
	if (!err)
		err = work->source->postgresql ? pg_dump_run(work->config, pack_sink(&work->pack), &work->failure) : write_dump(work);
	if (!err)
		err = pack_finish(&work->pack, stored);
	if (err && work->pack.failed_disk)
		backup_refuse(&work->failure, "disk_full", strerror(ENOSPC));
	if (!err)
		hex_encode(stored, sizeof(stored), work->sha256);
	work->size = work->pack.stored;
	return err;
}

/* ---- differential ---- */

/* The full backup to stand on; base.id NULL: there is none that would do, or that this server could read. */
static enum err find_base(struct work *work)
{
	const char *recipients = pg_text_array(work->arena, work->recipient_texts, work->recipient_count);
	struct pg_rows rows;
	struct backup_failure ignored = {0};
	enum err err = recipients ? pg_query(&work->worker->pg, work->arena, STMT_BACKUP_BASE,
	                                     PG_VALUES(work->space, work->database, pg_number(work->arena, work->config->backups_full_days), recipients), &rows)
	                          : ERR_TOO_LARGE;
	if (err)
		return err;
	base_read(&rows, &work->base);
	bool packed_alike = work->base.id && (strstr(work->base.object.key, ".zst") != NULL) == (work->config->backups_zstd_level > 0);
	bool readable = work->base.id && (!work->base.encrypted || (*work->config->backups_identity_file && !backup_load_key(work->config, &work->base_key, &ignored)));
	if (!packed_alike || !readable)
		work->base.id = NULL;
	return OK;
}

static enum err write_difference(struct work *work, sqlite3 *base, int inserted, int fd)
{
	uint8_t stored[SHA256_SIZE], hash[32];
	const struct dump_request request = {.name = work->database, .run = work->run, .journal_mode = work->snapshot.journal_mode, .to = pack_sink(&work->pack)};
	struct difference difference = {.base = base, .base_key = work->base.object.key, .base_hash = hash, .bytes_max = work->base.bytes / 2, .inserted = inserted};
	size_t count = work->recipient_count ? work->recipient_count + 1 : 0;
	enum err err = hex_decode(work->base.content, 64, hash, sizeof(hash));
	if (!err)
		err = pack_start(&work->pack, work->arena, fd, (int)work->config->backups_zstd_level, work->recipients, count);
	if (!err)
		err = differ_write(work->snapshot.db, work->arena, &difference, &request, &work->dump, &work->failure);
	if (!err)
		err = pack_finish(&work->pack, stored);
	if (!err)
		hex_encode(stored, sizeof(stored), work->sha256);
	work->size = work->pack.stored;
	return err;
}

/* What is against it is no failure: the backup becomes a full one. */
static void make_difference(struct work *work)
{
	const char *path = NULL, *inserted_path = NULL;
	int base_fd = -1, inserted = -1, fd = -1;
	sqlite3 *base = NULL;
	enum err err = store_create(work->arena, work->config, &path, &base_fd);
	if (!err)
		err = base_restore(work->arena, work->config, &work->base, work->base.encrypted ? &work->base_key : NULL, path, &base, &work->failure);
	if (!err)
		err = store_create(work->arena, work->config, &inserted_path, &inserted);
	if (!err)
		err = store_create(work->arena, work->config, &work->packed, &fd);
	if (!err)
		err = write_difference(work, base, inserted, fd);
	sqlite3_close(base);
	const int fds[] = {base_fd, inserted, fd};
	const char *const paths[] = {path, inserted_path, err ? work->packed : NULL};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		if (fds[i] >= 0 && paths[i])
			unlink(paths[i]);
	}
	log_write(LOG_LEVEL_INFO, err ? "backup_in_full" : "backup_differential", LOG_TEXT("database", work->database), LOG_TEXT("base", work->base.object.key), LOG_TEXT("result", err_name(err)),
	          LOG_TEXT("detail", work->failure.detail));
	if (err) {
		pack_release(&work->pack);
		work->failure = (struct backup_failure){0};
		work->base.id = work->packed = NULL;
	}
}

/* The private copy, when there is one, lives no longer than this. */
static enum err make_dump(struct work *work)
{
	const char *copy = NULL;
	int copy_fd = -1, fd = -1;
	enum err err = enter(work, "snapshot");
	if (!err && !work->source->postgresql)
		err = store_create(work->arena, work->config, &copy, &copy_fd);
	if (!err && !work->source->postgresql)
		err = snapshot_take(work->source->path, copy, work->config->backups_lock_wait_s * 1000, &work->snapshot, &work->failure);
	if (!err)
		err = enter(work, "dump");
	if (!err && work->source->differential && !work->source->postgresql)
		err = find_base(work);
	if (!err && work->base.id)
		make_difference(work);
	if (!err && !work->base.id)
		err = store_create(work->arena, work->config, &work->packed, &fd);
	if (!err && !work->base.id)
		err = pack_into(work, fd);
	snapshot_release(&work->snapshot);
	if (copy_fd >= 0) {
		close(copy_fd);
		unlink(copy);
	}
	if (fd >= 0)
		close(fd);
	return err;
}

/* ---- upload ---- */

/* daily/DAY/NAME[.diff].sql[.zst][.age]; with the time of the run behind the name where a backup of that day has the key already, and a part of its id where one of that second has. */
static enum err choose_key(struct work *work)
{
	const char *form = work->source->postgresql ? ".pgdump" : work->config->backups_zstd_level ? ".sql.zst" : ".sql", *age = work->recipient_count ? ".age" : "";
	const char *difference = work->base.id ? ".diff" : "";
	for (int turn = 0; turn < 3; turn++) {
		struct pg_rows rows;
		work->key = arena_printf(work->arena, "daily/%s/%s%s%s%s%.*s%s%s%s", work->day, work->database, turn ? "-" : "", turn ? work->at : "", turn > 1 ? "-" : "", turn > 1 ? 8 : 0, work->result,
		                         difference, form, age);
		if (!work->key)
			return ERR_TOO_LARGE;
		enum err err = pg_query(&work->worker->pg, work->arena, STMT_BACKUP_KEY_TAKEN, PG_VALUES(work->key, work->result), &rows);
		if (err || !pg_bool(&rows, 0, 0))
			return err;
	}
	return ERR_CONFLICT;
}

static enum err place_manifest(struct work *work)
{
	struct buf text;
	const char *path = NULL, *key = arena_join(work->arena, work->key, MANIFEST_SUFFIX, "");
	int fd = -1;
	buf_init(&text, MANIFEST_MAX);
	enum err err = manifest_write(&work->manifest, work->recipient_count == 0, &text);
	if (!err)
		err = store_create(work->arena, work->config, &path, &fd);
	if (!err && (write(fd, text.data, text.len) != (ssize_t)text.len || fsync(fd)))
		err = ERR_IO;
	if (!err)
		err = key ? store_place(work->config, path, key) : ERR_TOO_LARGE;
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	buf_release(&text);
	return err;
}

/* What the store says is tried again by the queue: nothing of the database is at fault. */
static enum err of_store(struct work *work, enum err err)
{
	if (err == OK || err == ERR_LOST)
		return err;
	job_refuse(work->job, "store_unavailable");
	return ERR_UNAVAILABLE;
}

static enum err record_stored(struct work *work)
{
	struct pg_rows rows;
	struct buf text;
	char hash[SHA256_HEX_SIZE];
	bool sqlite = !work->source->postgresql;
	buf_init(&text, MANIFEST_MAX);
	hex_encode(work->dump.hash, sizeof(work->dump.hash), hash);
	struct pg *pg = &work->worker->pg;
	enum err err = manifest_write(&work->manifest, true, &text);
	if (!err)
		err = pg_begin(pg, NULL);
	if (!err)
		err = pg_query(pg, work->arena, STMT_BACKUP_STORED,
		               PG_VALUES(work->space, work->database, work->day, work->key, work->result, work->run, pg_number(work->arena, work->size), work->sha256, sqlite ? hash : NULL,
		                         sqlite ? pg_number(work->arena, work->dump.rows) : NULL, sqlite ? pg_number(work->arena, work->dump.tables) : NULL,
		                         pg_text_array(work->arena, work->recipient_texts, work->recipient_count), buf_text(&text)),
		               &rows);
	buf_release(&text);
	if (!err && rows.count == 0)
		err = ERR_CONFLICT;
	if (!err)
		work->object_id = pg_text(&rows, 0, 0);
	/* A base that has gone meanwhile: the next attempt finds another one, or none. */
	if (!err && work->base.id)
		err = pg_query(pg, work->arena, STMT_BACKUP_BASED, PG_VALUES(work->object_id, work->base.id), &rows);
	if (!err && work->base.id && !rows.affected)
		err = ERR_CONFLICT;
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	return err;
}

static enum err upload(struct work *work)
{
	enum err err = enter(work, "upload");
	if (!err)
		err = choose_key(work);
	work->manifest = (struct manifest){
	    .database = work->database,
	    .day = work->day,
	    .key = work->key,
	    .base_key = work->base.id ? work->base.object.key : NULL,
	    .run = work->run,
	    .sha256 = work->sha256,
	    .recipients = work->recipient_texts,
	    .recipient_count = work->recipient_count,
	    .size = work->size,
	    .wal_bytes = work->snapshot.wal_bytes,
	    .foreign_key_violations = work->snapshot.foreign_key_violations,
	    .dump = work->source->postgresql ? NULL : &work->dump,
	    .pack = &work->pack,
	    .journal_mode = work->snapshot.journal_mode,
	};
	if (!err)
		err = of_store(work, store_place(work->config, work->packed, work->key));
	if (!err)
		err = of_store(work, place_manifest(work));
	return err ? err : record_stored(work);
}

/* ---- proof ---- */

static enum err check_bytes(struct work *work, int fd)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];
	int64_t size = 0;
	enum err err = sha256_fd(fd, digest, &size);
	if (err)
		return err;
	hex_encode(digest, sizeof(digest), hex);
	return size == work->size && text_equal(hex, work->sha256) ? OK : backup_refuse(&work->failure, "object_damaged", "its bytes are not those that were sent");
}

/* With its base, which is fetched too, as one object. */
static enum err join(struct work *work, int fd, const struct age_identity *identity, int *ret_fd)
{
	int base = -1;
	enum err err = base_open(work->arena, work->config, &work->base, &base);
	if (err == ERR_NOT_FOUND || err == ERR_INVALID)
		return backup_refuse(&work->failure, "base_lost", "");
	if (err)
		return of_store(work, err);
	const struct base_part parts[] = {{base, work->base.encrypted ? &work->base_key : NULL}, {fd, identity}};
	err = base_join(work->arena, work->config, parts, ret_fd);
	close(base);
	return err == ERR_INVALID || err == ERR_DENIED ? backup_refuse(&work->failure, "object_damaged", "it does not open") : err;
}

static enum err prove_content(struct work *work, int fd)
{
	struct proof proof;
	const struct age_identity *identity = work->recipient_count ? &work->proof_key : NULL;
	int joined = -1;
	if (work->source->postgresql)
		return pg_dump_prove(work->config, fd, identity, &work->failure);
	enum err err = work->base.id ? join(work, fd, identity, &joined) : OK;
	if (!err)
		err = work->base.id ? prove_object(work->config, joined, NULL, &proof, &work->failure) : prove_object(work->config, fd, identity, &proof, &work->failure);
	if (joined >= 0)
		close(joined);
	if (!err && (memcmp(proof.hash, work->dump.hash, sizeof(proof.hash)) != 0 || proof.rows != work->dump.rows))
		err = backup_refuse(&work->failure, "content_differs", "");
	return err;
}

static enum err prove(struct work *work)
{
	int fd = -1;
	enum err err = enter(work, "prove");
	if (!err)
		err = of_store(work, store_open(work->config, work->key, 0, &fd));
	if (!err)
		err = check_bytes(work, fd);
	if (!err)
		err = prove_content(work, fd);
	if (fd >= 0)
		close(fd);
	bool judged = !err || err == ERR_INVALID;
	/* A dump of PostgreSQL was read to its end, not restored: it is not called verified. */
	if (judged && work->object_id && (err || !work->source->postgresql)) {
		enum err recorded = pg_query(&work->worker->pg, work->arena, STMT_BACKUP_VERIFIED, PG_VALUES(work->object_id, err ? work->failure.code : NULL), NULL);
		err = err ? err : recorded;
	}
	if (err)
		return err;
	err = pg_query(&work->worker->pg, work->arena, STMT_BACKUP_WEIGH, PG_VALUES(work->object_id), NULL);
	if (err || work->source->postgresql)
		return err;
	work->manifest.verified_at_us = clock_unix_us();
	return of_store(work, place_manifest(work));
}

/* ---- the job ---- */

static enum err take(struct work *work, bool *ret_late)
{
	struct pg_rows rows;
	const char *life = arena_printf(work->arena, "%lld seconds", (long long)work->config->backups_deadline_s);
	enum err err = pg_query(&work->worker->pg, work->arena, STMT_BACKUP_TAKE, PG_VALUES(work->result, life), &rows);
	if (err || rows.count == 0)
		return err;
	work->database = pg_text(&rows, 0, 0);
	work->run = pg_text(&rows, 0, 1);
	work->space = pg_text(&rows, 0, 2);
	work->day = pg_text(&rows, 0, 3);
	work->at = pg_text(&rows, 0, 4);
	*ret_late = pg_bool(&rows, 0, 5);
	return OK;
}

static enum err attempt(struct work *work, bool late)
{
	struct backup_sources sources;
	const char *why = "";
	enum err err = backup_sources_load(work->arena, work->config, &sources, &why);
	if (late)
		return backup_refuse(&work->failure, "deadline", "");
	work->source = err ? NULL : backup_source_find(&sources, work->database);
	if (!work->source)
		return backup_refuse(&work->failure, "source_unknown", why);
	err = read_recipients(work);
	if (!err)
		err = make_dump(work);
	if (!err)
		err = upload(work);
	return err ? err : prove(work);
}

/* What another attempt cannot mend is the end of it; a code is what people are told, and everything without one is tried again. */
static bool is_final(const struct work *work, enum err err)
{
	return work->failure.code && (err == ERR_INVALID || text_equal(work->failure.code, "disk_full") || text_equal(work->failure.code, "deadline"));
}

enum err backup_database_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct work *work = arena_alloc(arena, sizeof(*work));
	struct arena steps;
	bool late = false;
	if (!work)
		return ERR_TOO_LARGE;
	arena_init(&steps, STEPS_ARENA);
	*work = (struct work){.worker = worker, .config = worker->config, .arena = &steps, .job = job, .result = json_text(job->args, "id")};
	enum err err = work->result ? take(work, &late) : ERR_BUG;
	if (!err && !work->database)
		err = job_end(worker, arena, job, "done"); /* it has ended already */
	else if (!err) {
		err = attempt(work, late);
		if (!err)
			err = finish(work, NULL);
		else if (is_final(work, err))
			err = finish(work, work->failure.code);
		else if (work->failure.code)
			job_refuse(job, work->failure.code);
	}
	if (work->packed)
		unlink(work->packed);
	pack_release(&work->pack);
	age_identity_wipe(&work->proof_key);
	age_identity_wipe(&work->base_key);
	arena_release(&steps);
	return err;
}

enum err backup_database_dead(struct worker *worker, struct arena *arena, int64_t job_id, const char *code)
{
	return pg_query(&worker->pg, arena, STMT_BACKUP_DEAD, PG_VALUES(pg_number(arena, job_id), code), NULL);
}
