/*
 * A differential dump: SQL that makes of one database, the base, another one, row by row. It follows the dump of its base: the two, one after the other, are a whole dump of
 * the second database, with its content hash at the end.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_DIFFER_H
#define TIDEGATE_HANDLERS_BACKUPS_DIFFER_H

#include "handlers/backups/dump.h"

struct difference {
	sqlite3 *base;
	const char *base_key;   /* of the base in its store */
	const uint8_t *base_hash; /* its content */
	int64_t bytes_max;      /* of SQL: more than that is no gain; 0: no matter */
	int inserted;           /* an empty file of the caller's for what is to be inserted, until all that goes has gone */
	int64_t changes;        /* out: rows */
};

/*
 * db: the private copy of what is to be backed up; request->boundary is not called. Texts of ret are in the arena. ERR_CONFLICT: nothing for a differential (another schema, encoding or
 * page size, a table without a key of its own, or more than bytes_max): make a whole dump.
 */
enum err differ_write(sqlite3 *db, struct arena *arena, struct difference *difference, const struct dump_request *request, struct dump_result *ret, struct backup_failure *failure) MUST_USE;

#endif
