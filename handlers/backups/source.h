/*
 * What is in a SQLite database, as a dump needs it: tables with their columns and kinds, then indexes, views and triggers, and the
 * settings of the file. Read through pragmas, never out of the text of statements.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_SOURCE_H
#define TIDEGATE_HANDLERS_BACKUPS_SOURCE_H

#include "core/base/arena.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* What a backup says when it cannot be made: a stable code of failures.def, and what SQLite said, for the log and administrators. */
struct backup_failure {
	const char *code;
	char detail[256];
};

enum source_kind {
	SOURCE_TABLE,
	SOURCE_SHADOW,  /* made with its virtual table, but its rows are data */
	SOURCE_VIRTUAL, /* has no rows of its own */
};

struct source_place {
	int64_t offset, length;
};

struct source_column {
	const char *name;
	bool generated; /* cannot be inserted; its values are in the content hash */
	bool key;
};

struct source_table {
	const char *name, *sql;
	enum source_kind kind;
	bool without_rowid;
	bool has_rowid_column;     /* a column is the rowid */
	const char *rowid;         /* name under which a rowid that is no column can be read and written; NULL: it need not or cannot */
	struct source_column *columns; /* of a virtual table those that can be seen, filled by a dump; NULL when its module does not say */
	int column_count;
	int64_t rows;              /* filled while the content is read, as is hash */
	uint8_t hash[32];
	/* Places in a dump: CREATE TABLE, the rows with their marks, the row in sqlite_sequence (length 0: none). */
	struct source_place created, filled, counted;
};

struct source_object {
	const char *type, *name, *table, *sql;
	struct source_place created; /* in a dump */
};

struct source {
	struct source_table *tables; /* parents of foreign keys first, otherwise by name */
	int table_count;
	struct source_object *objects; /* indexes, then views, then triggers, by name */
	int object_count;
	bool utf16, big_endian;
	int64_t page_size, page_count, auto_vacuum, user_version, application_id;
	const char *journal_mode;
	bool has_sequence; /* sqlite_sequence has rows, and a restored database will have that table */
	bool lost_sequence; /* it has rows, but no table with AUTOINCREMENT is left to make it */
	bool has_statistics;
	uint8_t schema_hash[32];
};

/* ERR_INVALID with a failure (missing_module, source_corrupt, source_unreadable …), ERR_TOO_LARGE: no memory. Texts are in the arena. */
enum err source_read(sqlite3 *db, struct arena *arena, struct source *ret, struct backup_failure *failure) MUST_USE;

/* The failure that a result of SQLite is; always ERR_INVALID, but ERR_TOO_LARGE for no memory and ERR_IO for a disk that is full. */
enum err source_failed(sqlite3 *db, int result, struct backup_failure *failure) MUST_USE;
enum err backup_refuse(struct backup_failure *failure, const char *code, const char *detail);

/*
 * What has to follow a stored statement so that it ends: ";", or a line end or the end of a comment before it. NULL: nothing
 * makes it a whole statement.
 */
const char *source_ending(struct arena *arena, const char *sql);

/* Statement text of `SELECT` over all columns of a table in the order they are stored in; NULL: no memory. */
const char *source_select(struct arena *arena, const struct source_table *table);

#endif
