/*
 * The SQL dump of a database: one pass over a private copy, in bounded memory, with the content hash computed on the way.
 *
 * Layout: a comment with what it is; settings of the file; BEGIN; all tables; their rows, each table between the marks `-- Table: NAME` and the
 * next; sqlite_sequence; statistics; indexes, views, triggers; COMMIT; a comment with counts and the content hash. A dump without that last
 * comment is not whole. Any SQLite from 3.40 on, its shell included, makes of it a database with the same content hash.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_DUMP_H
#define TIDEGATE_HANDLERS_BACKUPS_DUMP_H

#include "core/base/sink.h"
#include "handlers/backups/source.h"

#include <stdint.h>

enum { DUMP_STATEMENT_ROWS = 1000, DUMP_STATEMENT_BYTES = 90000, DUMP_VALUE_BYTES = 64 << 20 };

#define DUMP_TITLE "-- Tidegate backup: "
#define DUMP_DIFFERENCE_TITLE "-- Tidegate differential backup: "
#define DUMP_BASE_MARK "-- Differential to: "
#define DUMP_HASH_MARK "-- Content hash: "
#define DUMP_TABLE_MARK "-- Table: "
#define DUMP_END_MARK "-- Rows end"

struct dump_request {
	const char *name;          /* of the database, for the comment */
	const char *run;           /* id of the run, or "" */
	const char *journal_mode;  /* of the source */
	int64_t value_bytes;       /* a longer value is put together piece by piece; 0: DUMP_VALUE_BYTES */
	struct sink to;
	/* The next byte begins a table, or what follows the tables; stored_at of tables can be noted. NULL: nobody needs to know. */
	enum err (*boundary)(void *context);
	void *boundary_context;
};

struct dump_result {
	struct source source; /* with rows, hashes, offsets and lengths of all tables */
	int64_t tables, rows, bytes;
	uint8_t hash[32];
	const char *warning; /* a code, or NULL: rowid_lost (a table whose columns hide all names of the rowid), sequence_lost */
};

/* db: the private copy, checked. Texts of the result are in the arena. */
enum err dump_write(sqlite3 *db, struct arena *arena, const struct dump_request *request, struct dump_result *ret, struct backup_failure *failure) MUST_USE;

#endif
