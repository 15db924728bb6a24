/*
 * The rows of one table. Called by sqlite_read.c. Every cell leaves with the storage class it has in the file, and with its bytes
 * as they stand there. Must never cut a cell, nor let one row keep the rest of its table from being read.
 */
#include "readers/sqlite_rows.h"

#include "readers/sqlite_text.h"

#include <sqlite3.h>

_Static_assert((int)VALUE_INTEGER == SQLITE_INTEGER && (int)VALUE_REAL == SQLITE_FLOAT && (int)VALUE_TEXT == SQLITE_TEXT && (int)VALUE_BLOB == SQLITE_BLOB &&
		       (int)VALUE_NULL == SQLITE_NULL,
	       "classes are numbered as SQLite numbers its types");

void sqlite_rows_init(struct sqlite_rows *rows, struct sqlite_database *database, struct frame_writer *writer, enum sqlite_encoding encoding)
{
	*rows = (struct sqlite_rows){.database = database, .writer = writer, .encoding = encoding};
	buf_init(&rows->converted, 3 * VALUES_ROW_MAX + 4);
}

void sqlite_rows_release(struct sqlite_rows *rows)
{
	buf_release(&rows->converted);
}

/* In b-tree order, with no help from indexes: their order is another, and quick_check does not compare them with the table. */
static enum err prepare(struct sqlite_rows *rows, const struct sqlite_table *table, sqlite3_stmt **ret)
{
	struct buf sql;
	buf_init(&sql, 1 << 20);
	buf_printf(&sql, "SELECT %s", table->rowid ? table->rowid : "0");
	for (size_t i = 0; i < table->column_count; i++) {
		if (table->columns[i].hidden)
			continue;
		buf_append_char(&sql, ',');
		sqlite_put_name(&sql, table->columns[i].name);
	}
	buf_append_text(&sql, " FROM ");
	sqlite_put_name(&sql, table->name);
	enum err err = buf_append_text(&sql, " NOT INDEXED LIMIT -1 OFFSET ?1");
	err = err ? refuse(rows->database->refusal, "sqlite_too_complex") : sqlite_prepare(rows->database, table->name.p, (struct str){sql.data, sql.len}, ret);
	buf_release(&sql);
	return err;
}

/* sqlite3_column_blob gives text as it is stored, without a conversion; the type must have been asked before. */
static struct value value_of(sqlite3_stmt *statement, int column)
{
	struct value value = {.class = (enum value_class)sqlite3_column_type(statement, column)};
	if (value.class == VALUE_INTEGER)
		value.integer = sqlite3_column_int64(statement, column);
	else if (value.class == VALUE_REAL)
		value.real = sqlite3_column_double(statement, column);
	else if (value.class == VALUE_TEXT || value.class == VALUE_BLOB) {
		const char *bytes = sqlite3_column_blob(statement, column);
		int n = sqlite3_column_bytes(statement, column);
		value.bytes = bytes && n > 0 ? (struct str){bytes, (size_t)n} : STR("");
	}
	return value;
}

/* Texts of a UTF-16 database become UTF-8 where there is any for them. False: they are too large to be sent anyway. */
static bool convert(struct sqlite_rows *rows, struct value *values, uint32_t cells)
{
	size_t total = 0;
	for (uint32_t i = 0; i < cells; i++)
		total += values[i].class == VALUE_TEXT ? values[i].bytes.n : 0;
	if (total > 2 * VALUES_ROW_MAX)
		return false;
	buf_clear(&rows->converted);
	char *to = buf_reserve(&rows->converted, 3 * (total / 2) + 4);
	if (!to)
		return false;
	for (uint32_t i = 0; i < cells; i++) {
		size_t n = 0;
		if (values[i].class != VALUE_TEXT)
			continue;
		if (!sqlite_text_convert(values[i].bytes, rows->encoding == SQLITE_TEXT_UTF16BE, to, &n)) {
			values[i].class = VALUE_TEXT_UTF16;
			continue;
		}
		values[i].bytes = (struct str){to, n};
		to += n;
	}
	return true;
}

/* ERR_TOO_LARGE: no frame holds it. */
static enum err send_row(struct sqlite_rows *rows, const struct sqlite_table *table, sqlite3_stmt *statement, uint64_t number)
{
	struct value values[SQLITE_COLUMNS_MAX];
	struct value_row row = {number, table->rowid ? sqlite3_column_int64(statement, 0) : 0, values};
	for (uint32_t i = 0; i < table->cells; i++)
		values[i] = value_of(statement, (int)i + 1);
	if (rows->encoding != SQLITE_TEXT_UTF8 && !convert(rows, values, table->cells))
		return ERR_TOO_LARGE;
	if (values_row_size(&row, table->cells) > VALUES_ROW_MAX)
		return ERR_TOO_LARGE;
	enum err err = values_put_row(rows->writer, &row, table->cells);
	return err == ERR_TOO_LARGE ? ERR_UNAVAILABLE : err; /* it fits, so memory is out */
}

struct walk {
	uint64_t number;    /* of the row that was looked at last */
	uint64_t too_large; /* rows that the library itself could not hold */
	struct table_end end;
};

static enum err leave_out(struct sqlite_rows *rows, struct walk *walk)
{
	walk->end.left_out++;
	return frame_put_note(rows->writer, walk->number, "row_too_large");
}

/* From the row after walk->number to the end, or to a row that the library cannot hold; *ret says which. */
static enum err walk_on(struct sqlite_rows *rows, const struct sqlite_table *table, sqlite3_stmt *statement, struct walk *walk, int *ret)
{
	enum err err = OK;
	int result = SQLITE_DONE;
	while (!err && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		walk->number++;
		sqlite_grant_steps(rows->database);
		err = send_row(rows, table, statement, walk->number);
		if (err == ERR_TOO_LARGE)
			err = leave_out(rows, walk);
		else
			walk->end.rows += err == OK;
	}
	*ret = result;
	return err == ERR_UNAVAILABLE ? ERR_TOO_LARGE : err;
}

/* A row that the library cannot hold ends the statement; it begins again behind that row. Each of them takes so many bytes of the file. */
static enum err walk_table(struct sqlite_rows *rows, const struct sqlite_table *table, sqlite3_stmt *statement, struct walk *walk)
{
	uint64_t most = (uint64_t)rows->database->size / SQLITE_CELL_MAX + 1;
	int result = SQLITE_ROW;
	enum err err = OK;
	while (!err && result != SQLITE_DONE) {
		sqlite3_reset(statement);
		sqlite3_bind_int64(statement, 1, (sqlite3_int64)walk->number);
		err = walk_on(rows, table, statement, walk, &result);
		if (err || result == SQLITE_DONE)
			break;
		bool too_large = (result & 0xff) == SQLITE_TOOBIG || (result & 0xff) == SQLITE_NOMEM;
		if (!too_large || walk->too_large++ == most)
			return sqlite_refuse(rows->database, result);
		walk->number++;
		err = leave_out(rows, walk);
	}
	return err;
}

enum err sqlite_rows_send(struct sqlite_rows *rows, const struct sqlite_table *table, uint32_t index, uint64_t skip)
{
	struct walk walk = {.number = skip, .end = {.index = index}};
	sqlite3_stmt *statement = NULL;
	enum err err = prepare(rows, table, &statement);
	if (!err)
		err = values_put_table(rows->writer, &(struct table_begin){index, table->cells});
	if (!err)
		err = walk_table(rows, table, statement, &walk);
	sqlite3_finalize(statement);
	if (!err)
		err = values_put_table_end(rows->writer, &walk.end);
	rows->seen += walk.end.rows + walk.end.left_out;
	return err;
}
