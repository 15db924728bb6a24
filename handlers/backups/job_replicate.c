/*
 * backup.replicate: copies what is good and not yet in the second store, newest first, one object after the other. Queued when a backup was proven and, while anything is due,
 * by backup.tick. A copy that fails is tried again later, for as long as its backup is kept. Must never change what is said of the backup in the first store,
 * but that its object is gone or damaged.
 */
#include "core/base/log.h"
#include "core/base/text.h"
#include "handlers/backups/copy.h"
#include "handlers/backups/handlers.h"
#include "handlers/backups/manifest.h"

enum { STEP_ARENA = 16 << 20 };

/* Columns of the statement backup_to_replicate. */
enum { COPY_ID, COPY_KEY, COPY_SIZE, COPY_SHA256 };

static enum err note_failure(struct worker *worker, struct arena *arena, const char *id, enum err why, enum copy_side side)
{
	bool lost = side == COPY_OF && (why == ERR_NOT_FOUND || why == ERR_INVALID);
	const char *code = side == COPY_OF ? "store_unavailable" : why == ERR_INVALID ? "replica_damaged" : "replica_unavailable";
	if (lost)
		return pg_query(&worker->pg, arena, STMT_BACKUP_LOST, PG_VALUES(id, why == ERR_INVALID ? "object_damaged" : "object_missing"), NULL);
	return pg_query(&worker->pg, arena, STMT_BACKUP_REPLICA_FAILED, PG_VALUES(id, code), NULL);
}

/* An object whose time was over meanwhile: its copy goes, as the object did. */
static void take_back(struct arena *arena, const struct config *replica, const char *key)
{
	const char *manifest = arena_join(arena, key, MANIFEST_SUFFIX, "");
	if (store_delete(replica, key) || !manifest || store_delete(replica, manifest))
		log_write(LOG_LEVEL_WARN, "backup_copy_left", LOG_TEXT("key", key));
}

/* *ret_more false: nothing was due, or the second store does not answer. */
static enum err copy_next(struct worker *worker, struct arena *arena, const struct config *replica, const char *place, bool *ret_more)
{
	struct pg_rows rows, done;
	enum copy_side side = COPY_OF;
	*ret_more = false;
	enum err err = pg_query(&worker->pg, arena, STMT_BACKUP_TO_REPLICATE, PG_VALUES(worker->config->backups_space, place), &rows);
	if (err || rows.count == 0)
		return err;
	const char *id = pg_text(&rows, 0, COPY_ID);
	const struct stored_object object = {pg_text(&rows, 0, COPY_KEY), pg_text(&rows, 0, COPY_SHA256), pg_i64(&rows, 0, COPY_SIZE)};
	enum err copied = backup_copy(arena, worker->config, replica, &object, &side);
	log_write(copied ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, copied ? "backup_not_replicated" : "backup_replicated", LOG_TEXT("key", object.key), LOG_TEXT("result", err_name(copied)),
	          LOG_INT("bytes", object.size));
	*ret_more = !copied || (side == COPY_OF && (copied == ERR_NOT_FOUND || copied == ERR_INVALID));
	if (copied)
		return note_failure(worker, arena, id, copied, side);
	err = pg_query(&worker->pg, arena, STMT_BACKUP_REPLICATED, PG_VALUES(id, place, object.key), &done);
	if (!err && !done.affected)
		take_back(arena, replica, object.key);
	return err;
}

enum err backup_replicate_run(struct worker *worker, struct arena *arena, struct job *job)
{
	struct config replica;
	const char *place = NULL;
	struct arena step;
	bool more = store_replica(arena, worker->config, &replica, &place);
	enum err err = more && !place ? ERR_TOO_LARGE : OK;
	arena_init(&step, STEP_ARENA);
	while (!err && more) {
		arena_reset(&step);
		err = jobs_stopping() ? ERR_UNAVAILABLE : copy_next(worker, &step, &replica, place, &more);
	}
	arena_release(&step);
	return err ? err : job_end(worker, arena, job, "done");
}

enum err backup_replicate_ask(struct pg *pg, struct arena *arena, const struct config *config)
{
	struct config replica;
	const char *place = NULL;
	if (!store_replica(arena, config, &replica, &place))
		return OK;
	return place ? pg_query(pg, arena, STMT_BACKUP_REPLICATE_DUE, PG_VALUES(config->backups_space, place), NULL) : ERR_TOO_LARGE;
}
