/*
 * A connection to a stranger's database that can do as little as reading tables needs: settings, limits, authorizer,
 * budget of steps, integrity check. What each of them is for stands in docs/decisions/0013-sqlite-reader.md.
 *
 * Life cycle: sqlite_open after sqlite_file_use; sqlite_close, also after a failed sqlite_open.
 */
#ifndef TIDEGATE_READERS_SQLITE_OPEN_H
#define TIDEGATE_READERS_SQLITE_OPEN_H

#include "core/base/text.h"
#include "readers/refusal.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define SQLITE_CELL_MAX 1100000 /* bytes of a cell as stored; a row must also fit in a frame */
#define SQLITE_COLUMNS_MAX 100
#define SQLITE_HEAP (24ll << 20) /* bytes the library may allocate in all */

struct sqlite_database {
	sqlite3 *db;
	const char *allowed; /* the one table that statements may read; NULL: none */
	int64_t size;        /* bytes of the database */
	int64_t steps_left;  /* of the virtual machine, until it is interrupted */
	struct refusal *refusal;
};

enum err sqlite_open(struct sqlite_database *database, int64_t size, struct refusal *refusal) MUST_USE;
void sqlite_close(struct sqlite_database *database);

/* The statement may read the table `table` and nothing else (NULL: for pragmas). It gets a new budget of steps. Refuses as sqlite_refuse does. */
enum err sqlite_prepare(struct sqlite_database *database, const char *table, struct str sql, sqlite3_stmt **ret) MUST_USE;

/* A new budget of steps, more than an honest file of this size needs to be checked; for each row when there are many. */
void sqlite_grant_steps(struct sqlite_database *database);

/* What a result of the library that is not OK, ROW or DONE says about the file: sqlite_damaged, sqlite_too_complex, sqlite_too_many_columns or read_error. */
enum err sqlite_refuse(struct sqlite_database *database, int result) MUST_USE;

/* PRAGMA quick_check of the whole file, or of one table. Refuses with sqlite_damaged on any complaint. */
enum err sqlite_check(struct sqlite_database *database, const struct str *table) MUST_USE;

/* From here on statements are no larger than ours are. */
void sqlite_tighten(struct sqlite_database *database);

/* Appends "name" with its quotes doubled. */
void sqlite_put_name(struct buf *sql, struct str name);

#endif
