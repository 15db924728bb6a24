/*
 * A dump becomes a database again, statement by statement as its bytes arrive. The connection is one that a hostile dump can do nothing
 * with but fill its database: no other files, no extensions, no attached databases.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_REPLAY_H
#define TIDEGATE_HANDLERS_BACKUPS_REPLAY_H

#include "core/base/buf.h"
#include "core/base/sink.h"
#include "handlers/backups/source.h"

enum { REPLAY_STATEMENT_MAX = 1000000000 };

/* Private members. */
struct replay {
	sqlite3 *db;
	struct buf statement;
	char state;          /* 0, or what began the quoted text or comment that is open */
	char before;         /* the byte before, where it matters */
	bool has_words;      /* the statement is more than blanks and comments */
	bool said;           /* the last comment of the dump has been read, and no statement after it */
	char hash[65];       /* what it said */
	size_t comment_at;   /* where the comment that is open begins in statement */
	int64_t statements;
	struct backup_failure *failure;
};

/* Prepares an empty database of one's own for a replay: nothing is synced or journaled before replay_check. */
enum err replay_prepare(sqlite3 *db, struct backup_failure *failure) MUST_USE;

void replay_start(struct replay *replay, sqlite3 *db, struct backup_failure *failure);
struct sink replay_sink(struct replay *replay);

/*
 * The dump has ended: is it whole, and does the database hold what it said? ERR_INVALID with dump_not_whole or content_differs; the pages are checked too.
 * ret_source: what was restored, with rows and hashes by table.
 */
enum err replay_finish(struct replay *replay, struct arena *arena, struct source *ret_source, uint8_t ret_hash[32]) MUST_USE;
void replay_release(struct replay *replay);

/* PRAGMA quick_check: ERR_INVALID with that code. */
enum err backup_quick_check(sqlite3 *db, const char *code, struct backup_failure *failure) MUST_USE;

#endif
