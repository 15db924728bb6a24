/*
 * The content hash: two databases with the same one hold the same values, of the same storage classes, bit for bit, under the same schema.
 *
 * Of a table it is BLAKE2b-256 over its name, the names of its columns and its rows in stored order; of a row, every value as a byte for its
 * class, its length where it has one, and its bytes: integers and REALs as eight bytes, little end first; texts as they are in UTF-8
 * databases, as UTF-16LE in others. The rowid counts where a dump can carry it. Of a database it is BLAKE2b-256 over encoding, user_version,
 * application_id, the hash of the schema, sqlite_sequence, and the hashes of the tables by name. Why not SHA-256: docs/decisions/0018-dumps.md.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_CONTENT_H
#define TIDEGATE_HANDLERS_BACKUPS_CONTENT_H

#include "handlers/backups/source.h"

#include <stddef.h>

/* One value of the row at hand. The bytes live until the next row. */
struct content_cell {
	int type; /* SQLITE_INTEGER … */
	int64_t integer;
	double real;
	const char *bytes; /* of a text: UTF-8, or UTF-16LE where the database is UTF-16 */
	size_t length;
};

/* Told of every row of a table: the rowid first where table->rowid is not NULL, then all columns, generated ones included. */
struct content_reader {
	enum err (*row)(void *context, const struct content_cell *cells, int count);
	void *context;
};

/* Values of the row at hand, count of them. False: no memory. */
bool content_fetch(sqlite3_stmt *statement, bool utf16, int count, struct content_cell *cells);

/* Reads a whole table; fills its rows and hash. reader NULL: nobody needs to know. With one, a thread hashes beside it; without (in a sandbox, say) none is made. */
enum err content_table(sqlite3 *db, struct arena *arena, const struct source *source, struct source_table *table, const struct content_reader *reader,
                       struct backup_failure *failure) MUST_USE;

/* The hash of the database, once all tables have theirs. */
enum err content_total(sqlite3 *db, struct arena *arena, const struct source *source, uint8_t ret[32], struct backup_failure *failure) MUST_USE;

/* Everything of a database that nobody is to hear of. */
enum err content_of(sqlite3 *db, struct arena *arena, struct source *ret_source, uint8_t ret[32], struct backup_failure *failure) MUST_USE;

#endif
