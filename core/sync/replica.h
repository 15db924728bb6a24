/*
 * A client's database: SQLite with the synced tables of one app, the outbox that triggers fill, and one row of control, as GET
 * /api/sync/schema hands them out. This is the part of a client that knows no network: what to send, and what to do with an answer. docs/sync.md
 * has the rules ("Writing a client").
 *
 * Life cycle: replica_open, replica_install with the server's schema, then per sync: replica_push_body, the call, replica_apply, further pages with
 * replica_page_body and replica_apply, replica_finish; at last replica_close. Errors: ERR_IO (SQLite refused, replica->why says what), ERR_INVALID (the
 * server's JSON is not what it should be), ERR_TOO_LARGE. After a failed apply the database is as before it.
 */
#ifndef TIDEGATE_CORE_SYNC_REPLICA_H
#define TIDEGATE_CORE_SYNC_REPLICA_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/json.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

enum { REPLICA_TABLES_MAX = 64, REPLICA_WHY_MAX = 256 };

struct replica_table {
	const char *name;
	const json_t *columns, *key, *references; /* of the schema */
	sqlite3_stmt *select, *upsert, *remove;   /* made when first needed */
};

struct replica {
	sqlite3 *db;
	struct arena *arena; /* of the whole life: the schema */
	const char *app;
	int64_t version;     /* of the app, as the database has it */
	struct replica_table tables[REPLICA_TABLES_MAX];
	size_t table_count;
	sqlite3_stmt *pending, *raise;
	char why[REPLICA_WHY_MAX];
};

/* What one answer brought. Adds up. */
struct replica_counts {
	int64_t pushed, pulled, rejected, merged;
};

/* Opens or makes the file. */
enum err replica_open(struct replica *replica, struct arena *arena, const char *path) MUST_USE;
void replica_close(struct replica *replica);

/* Version of the app that the database has; 0 for a new one. ERR_CONFLICT: it holds another app. */
enum err replica_version(struct replica *replica, const char *app, int64_t *ret) MUST_USE;

/*
 * Runs the statements of the schema, which was asked for with ?from= what replica_version said, and remembers its tables. A new database gets
 * the device id; one that was brought up is told everything again. `full` is the schema without ?from=, the same object for a new database.
 */
enum err replica_install(struct replica *replica, const json_t *schema, const json_t *full, const char *device) MUST_USE;

/*
 * The body of a push: up to max rows of the outbox, parents first. *ret_last: what to give to replica_apply; ret_more: the outbox has further rows.
 */
enum err replica_push_body(struct replica *replica, struct arena *arena, const char *request_id, int64_t max, struct buf *out, struct replica_counts *counts,
                           json_t **ret_sent) MUST_USE;

/* The body of the call for the next page. */
enum err replica_page_body(struct replica *replica, const char *cursor, struct buf *out) MUST_USE;

/* One answer in one transaction. sent: of the push that it answers, or NULL for a further page. */
enum err replica_apply(struct replica *replica, struct arena *arena, const json_t *answer, const json_t *sent, struct replica_counts *counts) MUST_USE;

/* The last page was applied: the time from which the next sync goes on. */
enum err replica_finish(struct replica *replica, const char *timestamp) MUST_USE;

/* The server said resync: empty tables but for rows that were made here and not pushed yet. */
enum err replica_start_anew(struct replica *replica) MUST_USE;

/* Rows in the outbox. */
enum err replica_pending(struct replica *replica, int64_t *ret) MUST_USE;

/* Compares rows and checksums with those of GET /api/sync/check. *ret_table: the first table that differs, or NULL. */
enum err replica_compare(struct replica *replica, struct arena *arena, const char *query, const json_t *tables, const char **ret_table) MUST_USE;

/* Shared by the files of this folder. */
enum err replica_run(struct replica *replica, const char *sql) MUST_USE;
enum err replica_prepare(struct replica *replica, const char *sql, sqlite3_stmt **ret) MUST_USE;
enum err replica_fail(struct replica *replica);
const struct replica_table *replica_table_of(struct replica *replica, const char *name);
/* Binds the key of a row, from its id as it travels, to the parameters from first on. ERR_INVALID: it is no id of that table. */
enum err replica_bind_key(struct replica *replica, struct arena *arena, const struct replica_table *table, sqlite3_stmt *statement, int first, const char *row_id) MUST_USE;
enum err replica_bind(struct replica *replica, sqlite3_stmt *statement, int at, const json_t *value) MUST_USE;

#endif
