/* Rows of a dump as statements. Private to the dump writer (dump.c, dump_value.c). */
#ifndef TIDEGATE_HANDLERS_BACKUPS_DUMP_VALUE_H
#define TIDEGATE_HANDLERS_BACKUPS_DUMP_VALUE_H

#include "handlers/backups/content.h"
#include "handlers/backups/dump.h"
#include "handlers/backups/literal.h"

/* The writer of one dump. */
struct dump {
	sqlite3 *db;
	struct arena *arena;
	const struct dump_request *request;
	struct source *source;
	struct backup_failure *failure;
	struct literal_parser parser;
	struct buf out, utf8;
	int64_t base; /* bytes that have left `out` */
	/* The statement at hand. */
	const struct source_table *table;
	const char *head; /* INSERT INTO … VALUES, with a line end */
	size_t head_length;
	int rows;
	size_t statement_at, row_at; /* places in out */
	bool alone;       /* the row has its statement to itself: parts of it may leave at once */
};

/* Passes on what is in out. */
enum err dump_drain(struct dump *dump) MUST_USE;

/* The literal of one value. */
enum err dump_put_cell(struct dump *dump, const struct content_cell *cell) MUST_USE;

/* " WHERE …" that finds this row of dump->table by its rowid or its key. / Is the value put together piece by piece? */
enum err dump_put_where(struct dump *dump, const struct content_cell *cells) MUST_USE;
bool dump_is_long(const struct dump *dump, const struct content_cell *cell);

/* Prepares for the rows of a table: dump->table, and its head. / Statements that the whole dump and the differential one have in common. */
enum err dump_begin_rows(struct dump *dump, struct source_table *table) MUST_USE;
enum err dump_put_internal(struct dump *dump, bool sequence, bool statistics) MUST_USE;
void dump_put_title(struct dump *dump, const char *title);
void dump_put_statement(struct dump *dump, const char *sql, struct source_place *ret);
enum err dump_put_foot(struct dump *dump, struct dump_result *result, int64_t began_us) MUST_USE;

/* A struct content_reader's row, context: the dump. / Ends the statement that is open. */
enum err dump_row(void *context, const struct content_cell *cells, int count) MUST_USE;
enum err dump_end_statement(struct dump *dump) MUST_USE;

#endif
