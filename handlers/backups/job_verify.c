/*
 * backup.verify: a stored backup is tested again, long after it was made: its bytes against their hash, then a restore in the sandbox against the content
 * hash of the inventory. Must never call good what could not be looked at.
 */
#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "core/store/store.h"
#include "handlers/backups/base.h"
#include "handlers/backups/convert.h"
#include "handlers/backups/copy.h"
#include "handlers/backups/handlers.h"
#include "handlers/backups/pg_dump.h"
#include "handlers/backups/prove.h"

#include <string.h>
#include <unistd.h>

/* Columns of the statement backup_to_verify. */
enum { VERIFY_KEY, VERIFY_SIZE, VERIFY_SHA256, VERIFY_CONTENT, VERIFY_ENCRYPTED, VERIFY_DATABASE, VERIFY_REPLICA, VERIFY_BASE };

/* A differential one is tested with its base, as one object. */
static enum err prove_with_base(struct arena *arena, const struct config *config, int fd, const struct age_identity *identity, const struct backup_base *base, struct proof *proof,
                                struct backup_failure *failure)
{
	int base_fd = -1, joined = -1;
	enum err err = base_open(arena, config, base, &base_fd);
	if (err == ERR_NOT_FOUND || err == ERR_INVALID)
		return backup_refuse(failure, "base_lost", "");
	if (err)
		return err;
	const struct base_part parts[] = {{base_fd, base->encrypted ? identity : NULL}, {fd, identity}};
	err = lseek(fd, 0, SEEK_SET) < 0 ? ERR_IO : base_join(arena, config, parts, &joined);
	close(base_fd);
	if (err == ERR_INVALID || err == ERR_DENIED)
		return backup_refuse(failure, err == ERR_DENIED ? "key_missing" : "object_damaged", "it does not open");
	if (err)
		return err;
	err = prove_object(config, joined, NULL, proof, failure);
	close(joined);
	return err;
}

static enum err test(struct arena *arena, const struct config *config, int fd, const struct pg_rows *rows, const struct backup_base *base, struct backup_failure *failure)
{
	struct age_identity identity;
	struct proof proof;
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];
	int64_t size = 0;
	bool encrypted = pg_bool(rows, 0, VERIFY_ENCRYPTED);
	const char *content = pg_text(rows, 0, VERIFY_CONTENT);
	enum err err = sha256_fd(fd, digest, &size);
	hex_encode(digest, sizeof(digest), hex);
	if (!err && (size != pg_i64(rows, 0, VERIFY_SIZE) || !text_equal(hex, pg_text(rows, 0, VERIFY_SHA256))))
		return backup_refuse(failure, "object_damaged", "its bytes are not those that were stored");
	if (!err && encrypted)
		err = backup_load_key(config, &identity, failure);
	if (!err && !content)
		err = pg_dump_prove(config, fd, encrypted ? &identity : NULL, failure);
	else if (!err) {
		err = base->id ? prove_with_base(arena, config, fd, encrypted ? &identity : NULL, base, &proof, failure)
		               : prove_object(config, fd, encrypted ? &identity : NULL, &proof, failure);
		hex_encode(proof.hash, sizeof(proof.hash), hex);
		if (!err && !text_equal(hex, content))
			err = backup_refuse(failure, "content_differs", "");
	}
	if (encrypted)
		age_identity_wipe(&identity);
	return err;
}

static enum err open_and_test(struct arena *arena, const struct config *config, const struct pg_rows *rows, const struct backup_base *base, struct backup_failure *failure)
{
	int fd = -1;
	enum err err = store_open(config, pg_text(rows, 0, VERIFY_KEY), 0, &fd);
	if (err)
		return err;
	err = test(arena, config, fd, rows, base, failure);
	close(fd);
	return err;
}

/* What the first store has lost or damaged comes back from the second, if it is good there. */
static enum err look(const struct config *config, struct arena *arena, const struct pg_rows *rows, const struct backup_base *base, struct backup_failure *failure)
{
	const struct stored_object object = {pg_text(rows, 0, VERIFY_KEY), pg_text(rows, 0, VERIFY_SHA256), pg_i64(rows, 0, VERIFY_SIZE)};
	struct config replica;
	enum copy_side side;
	enum err err = open_and_test(arena, config, rows, base, failure);
	bool damaged = err == ERR_NOT_FOUND || (err == ERR_INVALID && text_equal(failure->code, "object_damaged"));
	if (damaged && pg_bool(rows, 0, VERIFY_REPLICA) && !backup_second_store(arena, config, &replica) && !backup_copy(arena, &replica, config, &object, &side)) {
		*failure = (struct backup_failure){0};
		err = open_and_test(arena, config, rows, base, failure);
	}
	return err == ERR_NOT_FOUND ? backup_refuse(failure, "object_missing", "") : err;
}

static enum err read_base(struct worker *worker, struct arena *arena, const char *id, struct backup_base *ret)
{
	struct pg_rows rows;
	if (!id)
		return OK;
	enum err err = pg_query(&worker->pg, arena, STMT_BACKUP_BASE_OF, PG_VALUES(id), &rows);
	if (!err)
		base_read(&rows, ret);
	return err;
}

enum err backup_verify_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct backup_failure failure = {0};
	struct backup_base base = {0};
	struct pg_rows rows;
	const char *id = json_text(job->args, "id");
	enum err err = id ? pg_query(&worker->pg, arena, STMT_BACKUP_TO_VERIFY, PG_VALUES(id), &rows) : ERR_BUG;
	if (!err && rows.count == 0)
		return job_end(worker, arena, job, "done");
	if (!err)
		err = read_base(worker, arena, pg_text(&rows, 0, VERIFY_BASE), &base);
	if (!err)
		err = look(worker->config, arena, &rows, &base, &failure);
	/* A key that is not there says nothing of the backup; nor does a test that could not be made. */
	if (err && (err != ERR_INVALID || text_equal(failure.code, "key_missing")))
		return failure.code ? (job_refuse(job, failure.code), err) : err;
	bool judged = err || pg_text(&rows, 0, VERIFY_CONTENT);
	err = pg_begin(&worker->pg, NULL);
	if (!err && judged && failure.code)
		err = pg_query(&worker->pg, arena, STMT_BACKUP_LOST, PG_VALUES(id, failure.code), NULL);
	else if (!err && judged)
		err = pg_query(&worker->pg, arena, STMT_BACKUP_VERIFIED, PG_VALUES(id, NULL), NULL);
	if (!err)
		err = job_end(worker, arena, job, "done");
	if (!err)
		err = pg_commit(&worker->pg);
	pg_rollback(&worker->pg);
	return err;
}
