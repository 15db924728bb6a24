/*
 * Tables and columns of a database. Called by sqlite_read.c. Must never query a view, a virtual table or a generated column,
 * nor `PRAGMA table_list`, which does that by itself.
 */
#include "readers/sqlite_schema.h"

#include "readers/sqlite_file.h"

#include <string.h>
#include <strings.h>

enum { DEPTH_MAX = 20 };

struct loading {
	struct sqlite_database *database;
	const struct sqlite_header *header;
	struct arena *arena;
	struct sqlite_schema *schema;
	struct sqlite_column columns[SQLITE_COLUMNS_MAX]; /* of one table */
	size_t column_count;
};

/* A copy of a cell's text. False when it is no text that can be a name, or memory is out. */
static bool take_text(struct arena *arena, sqlite3_stmt *statement, int column, struct str *ret)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);
	size_t n = text ? (size_t)sqlite3_column_bytes(statement, column) : 0;
	if (!text || memchr(text, 0, n) || !utf8_valid(text, n))
		return false;
	*ret = (struct str){arena_copy(arena, text, n), n};
	return ret->p != NULL;
}

/* Runs a statement; row is called for each row of its answer. */
static enum err each_row(struct loading *l, const char *table, struct str sql, enum err (*row)(struct loading *l, sqlite3_stmt *statement))
{
	sqlite3_stmt *statement = NULL;
	enum err err = sqlite_prepare(l->database, table, sql, &statement);
	int result = SQLITE_DONE;
	while (!err && (result = sqlite3_step(statement)) == SQLITE_ROW)
		err = row(l, statement);
	if (!err && result != SQLITE_DONE)
		err = sqlite_refuse(l->database, result);
	sqlite3_finalize(statement);
	return err;
}

/* ---- entries of sqlite_schema: type, name, rootpage, sql ---- */

static bool cell_is(sqlite3_stmt *statement, int column, const char *text)
{
	const char *cell = (const char *)sqlite3_column_text(statement, column);
	return text_equal(cell, text);
}

static enum err leave_out(struct loading *l, struct str name, const char *type, const char *reason)
{
	struct sqlite_schema *schema = l->schema;
	if (schema->left_out_count == SQLITE_TABLES_MAX)
		return refuse(l->database->refusal, "sqlite_too_many_tables");
	schema->left_out[schema->left_out_count++] = (struct sqlite_left_out){name, type, reason};
	return OK;
}

/*
 * First byte of a table's root page: its rows are kept by rowid or by primary key. The page's middle, again and again, leads to
 * a leaf that tells how many rows there are about.
 */
static bool look_at_pages(struct sqlite_table *table, int64_t page, const struct sqlite_header *header)
{
	double rows = 1;
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		unsigned char head[12], pointer[2], child[4];
		int64_t start = (page - 1) * header->page_size;
		if (page < 1 || page > header->pages || !sqlite_file_read(head, sizeof(head), page == 1 ? SQLITE_HEADER : start))
			return false;
		bool by_key = head[0] == 2 || head[0] == 10, leaf = head[0] == 10 || head[0] == 13;
		uint32_t cells = (uint32_t)head[3] << 8 | head[4];
		if (!leaf && head[0] != 2 && head[0] != 5)
			return false;
		if (depth == 0)
			table->without_rowid = by_key;
		if (leaf) {
			table->exact = depth == 0;
			table->estimated_rows = (int64_t)(rows * cells);
			return true;
		}
		rows *= cells + 1;
		if (rows > 1e15 || !sqlite_file_read(pointer, sizeof(pointer), start + 12 + 2 * (int64_t)(cells / 2)) ||
		    !sqlite_file_read(child, sizeof(child), start + ((int64_t)pointer[0] << 8 | pointer[1])))
			return false;
		page = (int64_t)child[0] << 24 | (int64_t)child[1] << 16 | (int64_t)child[2] << 8 | child[3];
	}
	return false;
}

static enum err take_table(struct loading *l, sqlite3_stmt *statement, struct str name)
{
	static const char create[] = "CREATE TABLE";
	const char *sql = (const char *)sqlite3_column_text(statement, 3);
	struct sqlite_table table = {.name = name, .checked = true};
	if (l->schema->table_count == SQLITE_TABLES_MAX)
		return refuse(l->database->refusal, "sqlite_too_many_tables");
	if (!sql || strncasecmp(sql, create, sizeof(create) - 1) != 0 || !look_at_pages(&table, sqlite3_column_int64(statement, 2), l->header))
		return refuse(l->database->refusal, "sqlite_damaged");
	l->schema->tables[l->schema->table_count++] = table;
	return OK;
}

static enum err take_entry(struct loading *l, sqlite3_stmt *statement)
{
	struct str name = {NULL, 0};
	bool table = cell_is(statement, 0, "table"), view = cell_is(statement, 0, "view");
	if (!table && !view)
		return OK;
	if (!take_text(l->arena, statement, 1, &name))
		return refuse(l->database->refusal, l->arena->exhausted ? "sqlite_too_complex" : "sqlite_bad_name");
	if (view)
		return leave_out(l, name, "view", "view");
	return sqlite3_column_int64(statement, 2) > 0 ? take_table(l, statement, name) : leave_out(l, name, "table", "virtual_table");
}

/* ---- columns: cid, name, type, notnull, dflt_value, pk, hidden ---- */

static enum err take_column(struct loading *l, sqlite3_stmt *statement)
{
	struct sqlite_column column = {0};
	bool fallback = sqlite3_column_type(statement, 4) != SQLITE_NULL;
	if (l->column_count == SQLITE_COLUMNS_MAX)
		return refuse(l->database->refusal, "sqlite_too_many_columns");
	if (!take_text(l->arena, statement, 1, &column.name) || !take_text(l->arena, statement, 2, &column.type) ||
	    (fallback && !take_text(l->arena, statement, 4, &column.fallback)))
		return refuse(l->database->refusal, l->arena->exhausted ? "sqlite_too_complex" : "sqlite_bad_name");
	column.not_null = sqlite3_column_int(statement, 3) != 0;
	column.key = sqlite3_column_int(statement, 5);
	column.hidden = sqlite3_column_int(statement, 6);
	l->columns[l->column_count++] = column;
	return OK;
}

/* Any column may have one of the rowid's names, and then the name is that column. */
static const char *rowid_name(const struct sqlite_table *table)
{
	static const char *const names[] = {"rowid", "_rowid_", "oid"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !table->without_rowid; i++) {
		bool taken = false;
		for (size_t j = 0; j < table->column_count; j++)
			taken = taken || str_equal_ignore_case(table->columns[j].name, names[i]);
		if (!taken)
			return names[i];
	}
	return NULL;
}

/* The columns that were collected become the table's. */
static bool keep_columns(struct loading *l, struct sqlite_table *table)
{
	struct sqlite_column *columns = arena_array(l->arena, l->column_count, sizeof(columns[0]));
	if (!columns)
		return false;
	memcpy(columns, l->columns, l->column_count * sizeof(columns[0]));
	table->columns = columns;
	table->column_count = l->column_count;
	for (size_t i = 0; i < l->column_count; i++) {
		table->cells += columns[i].hidden == 0;
		table->checked = table->checked && columns[i].hidden != 2;
		l->schema->has_generated |= columns[i].hidden != 0;
	}
	l->schema->has_virtual_columns |= !table->checked;
	table->rowid = rowid_name(table);
	return true;
}

static enum err load_columns(struct loading *l, struct sqlite_table *table)
{
	struct buf sql;
	l->column_count = 0;
	buf_init(&sql, 1 << 20);
	buf_append_text(&sql, "PRAGMA table_xinfo(");
	sqlite_put_name(&sql, table->name);
	enum err err = buf_append_char(&sql, ')');
	if (!err)
		err = each_row(l, NULL, (struct str){sql.data, sql.len}, take_column);
	buf_release(&sql);
	if (!err && l->column_count == 0)
		return refuse(l->database->refusal, "sqlite_damaged"); /* what the entry calls itself is not what it declares */
	return err || keep_columns(l, table) ? err : refuse(l->database->refusal, "sqlite_too_complex");
}

enum err sqlite_schema_read(struct sqlite_database *database, const struct sqlite_header *header, struct arena *arena, struct sqlite_schema *ret)
{
	struct sqlite_schema schema = {0};
	struct loading l = {.database = database, .header = header, .arena = arena, .schema = &schema};
	schema.tables = arena_array(arena, SQLITE_TABLES_MAX, sizeof(schema.tables[0]));
	schema.left_out = arena_array(arena, SQLITE_TABLES_MAX, sizeof(schema.left_out[0]));
	if (!schema.tables || !schema.left_out)
		return ERR_TOO_LARGE;
	enum err err = each_row(&l, "sqlite_master", STR("SELECT type, name, rootpage, sql FROM sqlite_master NOT INDEXED"), take_entry);
	for (size_t i = 0; i < schema.table_count && !err; i++)
		err = load_columns(&l, &schema.tables[i]);
	if (err)
		return err;
	*ret = schema;
	return OK;
}

enum err sqlite_schema_check(struct sqlite_database *database, const struct sqlite_schema *schema)
{
	enum err err = schema->has_virtual_columns ? OK : sqlite_check(database, NULL);
	for (size_t i = 0; i < schema->table_count && schema->has_virtual_columns && !err; i++) {
		if (schema->tables[i].checked)
			err = sqlite_check(database, &schema->tables[i].name);
	}
	return err;
}
