/*
 * What a database holds: the tables that are read, with their columns, and what is left out. Only what `sqlite_schema` calls a
 * table and gives a root page is read; nothing else of it is believed.
 */
#ifndef TIDEGATE_READERS_SQLITE_SCHEMA_H
#define TIDEGATE_READERS_SQLITE_SCHEMA_H

#include "core/base/arena.h"
#include "readers/sqlite_header.h"
#include "readers/sqlite_open.h"

#define SQLITE_TABLES_MAX 1000

struct sqlite_column {
	struct str name, type, fallback; /* fallback: the text of DEFAULT; p NULL: none */
	int64_t key;                     /* 1-based position in the primary key, 0: not in it */
	int64_t hidden;                  /* 0; 2 or 3: generated, virtual or stored: it has no cell */
	bool not_null;
};

struct sqlite_table {
	struct str name; /* NUL-terminated too */
	const struct sqlite_column *columns;
	size_t column_count;
	uint32_t cells;         /* columns with hidden 0 */
	bool without_rowid;
	const char *rowid;      /* a name of the rowid that no column has; NULL: there is none to be had */
	bool checked;           /* covered by quick_check */
	int64_t estimated_rows; /* exact when the table is one page */
	bool exact;
};

struct sqlite_left_out {
	struct str name;
	const char *type, *reason; /* "table" or "view"; "virtual_table" or "view" */
};

struct sqlite_schema {
	struct sqlite_table *tables; /* in the order of sqlite_schema; their index in META and TABLE */
	size_t table_count;
	struct sqlite_left_out *left_out;
	size_t left_out_count;
	bool has_generated; /* a column of some table is */
	bool has_virtual_columns; /* some table is not checked */
};

/* Everything in ret is of the arena. Refuses with sqlite_damaged, sqlite_too_many_tables, sqlite_bad_name and as sqlite_refuse does. */
enum err sqlite_schema_read(struct sqlite_database *database, const struct sqlite_header *header, struct arena *arena, struct sqlite_schema *ret) MUST_USE;

/*
 * quick_check: of the whole file, or, as soon as one table has a virtual generated column (whose expression the check of that
 * table would run), of each other table. Refuses with sqlite_damaged.
 */
enum err sqlite_schema_check(struct sqlite_database *database, const struct sqlite_schema *schema) MUST_USE;

#endif
