/* The rows of one table as frames. */
#ifndef TIDEGATE_READERS_SQLITE_ROWS_H
#define TIDEGATE_READERS_SQLITE_ROWS_H

#include "readers/sqlite_schema.h"
#include "readers/values.h"

struct sqlite_rows {
	struct sqlite_database *database;
	struct frame_writer *writer;
	enum sqlite_encoding encoding;
	struct buf converted; /* UTF-8 of a row of a UTF-16 database */
	uint64_t seen;        /* rows of all tables so far, sent or left out */
};

void sqlite_rows_init(struct sqlite_rows *rows, struct sqlite_database *database, struct frame_writer *writer, enum sqlite_encoding encoding);
void sqlite_rows_release(struct sqlite_rows *rows);

/*
 * TABLE, its rows after the first `skip` ones in the order of rowid or primary key, TABLE_END. A row that no frame holds is left
 * out and named by a NOTE row_too_large. Refuses as sqlite_refuse does.
 */
enum err sqlite_rows_send(struct sqlite_rows *rows, const struct sqlite_table *table, uint32_t index, uint64_t skip) MUST_USE;

#endif
