/*
 * Writes the dump of a database that nobody else has open. Called by the job that backs a database up, and by `tidegate backup dump`. Must never pass
 * on the last comment of a dump when anything before it failed.
 */
#include "handlers/backups/dump.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/base/version.h"
#include "handlers/backups/dump_value.h"

#include <string.h>

enum { OUT_MAX = 1 << 30 };

static const char rule[] = "-- ============================================================\n";

/* A name in a comment: what would end the line, or begin another one in an editor, is a question mark. */
static void put_comment_name(struct buf *out, const char *name)
{
	for (; *name; name++)
		buf_append(out, (unsigned char)*name < ' ' || *name == 127 ? "?" : name, 1);
}

static enum err count_rows(struct dump *dump, int64_t *total)
{
	*total = 0;
	for (int i = 0; i < dump->source->table_count; i++) {
		struct source_table *table = &dump->source->tables[i];
		struct buf sql;
		sqlite3_stmt *statement = NULL;
		if (table->kind == SOURCE_VIRTUAL)
			continue;
		buf_init(&sql, 1 << 20);
		buf_append_text(&sql, "SELECT count(*) FROM ");
		literal_put_name(&sql, table->name);
		int result = sqlite3_prepare_v2(dump->db, buf_text(&sql), -1, &statement, NULL);
		buf_release(&sql);
		if (result == SQLITE_OK)
			result = sqlite3_step(statement);
		table->rows = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
		*total += table->rows;
		enum err err = result == SQLITE_ROW ? OK : source_failed(dump->db, result, dump->failure);
		sqlite3_finalize(statement);
		if (err)
			return err;
	}
	return OK;
}

void dump_put_title(struct dump *dump, const char *title)
{
	struct buf *out = &dump->out;
	char now[CLOCK_ISO_SIZE];
	clock_iso8601(clock_unix_us(), now);
	buf_printf(out, "%s%s", rule, title);
	put_comment_name(out, dump->request->name);
	buf_printf(out, "\n-- Generated: %s\n-- Job: %s\n-- Tidegate " TIDEGATE_VERSION ", SQLite %s\n", now, *dump->request->run ? dump->request->run : "-", sqlite3_libversion());
}

static void put_head(struct dump *dump, int64_t tables, int64_t rows)
{
	struct buf *out = &dump->out;
	const struct source *source = dump->source;
	dump_put_title(dump, DUMP_TITLE);
	buf_printf(out, "-- Tables: %lld\n-- Total rows: %lld\n-- Journal mode of the source: %s\n%s", (long long)tables, (long long)rows, dump->request->journal_mode, rule);
	buf_printf(out, "PRAGMA encoding='%s';\n", source->utf16 ? source->big_endian ? "UTF-16be" : "UTF-16le" : "UTF-8");
	buf_printf(out, "PRAGMA page_size=%lld;\nPRAGMA auto_vacuum=%lld;\nPRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n", (long long)source->page_size,
	           (long long)source->auto_vacuum);
}

static int64_t here(const struct dump *dump)
{
	return dump->base + (int64_t)dump->out.len;
}

/* A stored statement, ended. */
void dump_put_statement(struct dump *dump, const char *sql, struct source_place *ret)
{
	ret->offset = here(dump);
	buf_append_text(&dump->out, sql);
	buf_append_text(&dump->out, source_ending(dump->arena, sql)); /* it has one: the hash of the schema needed it */
	buf_append_char(&dump->out, '\n');
	ret->length = here(dump) - ret->offset;
}

/* What the manifest tells of a virtual table. One that cannot be asked has no columns there. */
static enum err read_virtual_columns(struct dump *dump, struct source_table *table)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(dump->db, "SELECT name, count(*) OVER () FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid", -1, &statement, NULL);
	enum err err = OK;
	if (result == SQLITE_OK)
		sqlite3_bind_text(statement, 1, table->name, -1, SQLITE_STATIC);
	while (!err && result == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
		if (!table->columns)
			table->columns = arena_array(dump->arena, (size_t)sqlite3_column_int(statement, 1), sizeof(*table->columns));
		const char *name = table->columns ? arena_strdup(dump->arena, (const char *)sqlite3_column_text(statement, 0)) : NULL;
		err = name ? OK : ERR_TOO_LARGE;
		if (!err)
			table->columns[table->column_count++] = (struct source_column){.name = name};
	}
	sqlite3_finalize(statement);
	return err;
}

static enum err put_tables(struct dump *dump)
{
	struct source *source = dump->source;
	enum err err = OK;
	for (int i = source->table_count - 1; i >= 0; i--) {
		if (source->tables[i].kind == SOURCE_SHADOW)
			continue;
		buf_append_text(&dump->out, "DROP TABLE IF EXISTS ");
		literal_put_name(&dump->out, source->tables[i].name);
		buf_append(&dump->out, ";\n", 2);
	}
	for (int i = 0; !err && i < source->table_count; i++) {
		if (source->tables[i].kind != SOURCE_SHADOW)
			dump_put_statement(dump, source->tables[i].sql, &source->tables[i].created);
		err = source->tables[i].kind == SOURCE_VIRTUAL ? read_virtual_columns(dump, &source->tables[i]) : OK;
		if (!err)
			err = dump_drain(dump);
	}
	return err;
}

static enum err make_head(struct dump *dump, struct source_table *table)
{
	struct buf head;
	buf_init(&head, 1 << 20);
	buf_append_text(&head, "INSERT INTO ");
	literal_put_name(&head, table->name);
	const char *before = "(";
	if (table->rowid) {
		buf_printf(&head, "(%s", table->rowid);
		before = ",";
	}
	for (int i = 0; i < table->column_count; i++) {
		if (table->columns[i].generated)
			continue;
		buf_append_text(&head, before);
		literal_put_name(&head, table->columns[i].name);
		before = ",";
	}
	enum err err = buf_append_text(&head, ") VALUES\n");
	dump->head = err ? NULL : arena_copy(dump->arena, head.data, head.len);
	dump->head_length = head.len;
	buf_release(&head);
	return dump->head ? OK : ERR_TOO_LARGE;
}

enum err dump_begin_rows(struct dump *dump, struct source_table *table)
{
	dump->table = table;
	dump->rows = 0;
	return make_head(dump, table);
}

static enum err note_boundary(struct dump *dump)
{
	enum err err = dump_drain(dump);
	return err || !dump->request->boundary ? err : dump->request->boundary(dump->request->boundary_context);
}

static enum err put_rows(struct dump *dump, struct source_table *table)
{
	const struct content_reader reader = {dump_row, dump};
	int64_t counted = table->rows;
	enum err err = make_head(dump, table);
	if (!err)
		err = note_boundary(dump);
	table->filled.offset = dump->base;
	buf_append_text(&dump->out, DUMP_TABLE_MARK);
	put_comment_name(&dump->out, table->name);
	buf_printf(&dump->out, "\n-- Rows: %lld\n", (long long)table->rows);
	if (table->kind == SOURCE_SHADOW) {
		buf_append_text(&dump->out, "DELETE FROM ");
		literal_put_name(&dump->out, table->name);
		buf_append(&dump->out, ";\n", 2);
	}
	dump->table = table;
	if (!err)
		err = content_table(dump->db, dump->arena, dump->source, table, &reader, dump->failure);
	if (!err)
		err = dump_end_statement(dump);
	dump->table = NULL;
	if (!err)
		err = dump_drain(dump);
	table->filled.length = dump->base - table->filled.offset;
	if (!err && table->rows != counted)
		err = backup_refuse(dump->failure, "source_corrupt", "an index and its table do not have the same rows");
	return err;
}

/* Whose counter of AUTOINCREMENT was just written. */
static void note_counter(struct dump *dump, sqlite3_stmt *statement, int64_t offset)
{
	const char *name = (const char *)sqlite3_column_text(statement, 0);
	for (int i = 0; name && i < dump->source->table_count; i++)
		if (text_equal(dump->source->tables[i].name, name))
			dump->source->tables[i].counted = (struct source_place){offset, here(dump) - offset};
}

static enum err put_internal_cell(struct dump *dump, sqlite3_stmt *statement, int i)
{
	struct content_cell cell = {.type = sqlite3_column_type(statement, i), .integer = sqlite3_column_int64(statement, i)};
	if (cell.type == SQLITE_TEXT || cell.type == SQLITE_BLOB) {
		cell.bytes = (const char *)sqlite3_column_blob(statement, i);
		cell.length = (size_t)sqlite3_column_bytes(statement, i);
	}
	if (cell.type == SQLITE_TEXT && dump->source->utf16) {
		cell.bytes = sqlite3_column_text16(statement, i);
		cell.length = (size_t)sqlite3_column_bytes16(statement, i);
	}
	cell.real = cell.type == SQLITE_FLOAT ? sqlite3_column_double(statement, i) : 0;
	cell.bytes = cell.bytes ? cell.bytes : "";
	buf_append_text(&dump->out, i ? "," : "");
	return dump_put_cell(dump, &cell);
}

/* Rows of an internal table, each as a statement. */
static enum err put_internal(struct dump *dump, const char *select, const char *clear, const char *insert, bool counters)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(dump->db, select, -1, &statement, NULL);
	enum err err = result == SQLITE_OK ? buf_append_text(&dump->out, clear) : source_failed(dump->db, result, dump->failure);
	while (!err && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		int64_t offset = here(dump);
		buf_append_text(&dump->out, insert);
		for (int i = 0; !err && i < sqlite3_column_count(statement); i++)
			err = put_internal_cell(dump, statement, i);
		buf_append_text(&dump->out, ");\n");
		if (counters)
			note_counter(dump, statement, offset);
	}
	if (!err && result != SQLITE_DONE)
		err = source_failed(dump->db, result, dump->failure);
	sqlite3_finalize(statement);
	return err;
}

enum err dump_put_internal(struct dump *dump, bool sequence, bool statistics)
{
	enum err err = OK;
	if (sequence)
		err = put_internal(dump, "SELECT name, seq FROM sqlite_sequence", "DELETE FROM sqlite_sequence;\n", "INSERT INTO sqlite_sequence(name,seq) VALUES(", true);
	if (!err && statistics)
		err = put_internal(dump, "SELECT tbl, idx, stat FROM sqlite_stat1", "ANALYZE sqlite_schema;\nDELETE FROM sqlite_stat1;\n",
		                   "INSERT INTO sqlite_stat1(tbl,idx,stat) VALUES(", false);
	return err;
}

static enum err put_rest(struct dump *dump)
{
	struct source *source = dump->source;
	enum err err = note_boundary(dump);
	buf_append_text(&dump->out, DUMP_END_MARK "\n");
	if (!err)
		err = dump_put_internal(dump, source->has_sequence, source->has_statistics);
	for (int i = 0; !err && i < source->object_count; i++) {
		dump_put_statement(dump, source->objects[i].sql, &source->objects[i].created);
		err = dump_drain(dump);
	}
	buf_printf(&dump->out, "PRAGMA user_version=%lld;\nPRAGMA application_id=%lld;\nCOMMIT;\nPRAGMA foreign_keys=ON;\n", (long long)source->user_version,
	           (long long)source->application_id);
	return err ? err : dump_drain(dump);
}

enum err dump_put_foot(struct dump *dump, struct dump_result *result, int64_t began_us)
{
	char hex[65];
	hex_encode(result->hash, sizeof(result->hash), hex);
	buf_printf(&dump->out, "%s-- Backup complete\n-- Tables: %lld\n-- Total rows: %lld\n-- Size: %lld\n-- Duration: %lld ms\n" DUMP_HASH_MARK "%s\n%s", rule,
	           (long long)result->tables, (long long)result->rows, (long long)dump->base, (long long)(clock_monotonic_us() - began_us) / 1000, hex, rule);
	return dump_drain(dump);
}

static enum err write_all(struct dump *dump, struct dump_result *result)
{
	struct source *source = dump->source;
	int64_t began_us = clock_monotonic_us();
	enum err err = count_rows(dump, &result->rows);
	for (int i = 0; i < source->table_count; i++) {
		const struct source_table *table = &source->tables[i];
		result->tables += table->kind != SOURCE_SHADOW;
		if (table->kind == SOURCE_TABLE && !table->without_rowid && !table->has_rowid_column && !table->rowid)
			result->warning = "rowid_lost";
	}
	if (source->lost_sequence)
		result->warning = "sequence_lost";
	if (!err) {
		put_head(dump, result->tables, result->rows);
		err = put_tables(dump);
	}
	for (int i = 0; !err && i < source->table_count; i++)
		if (source->tables[i].kind != SOURCE_VIRTUAL)
			err = put_rows(dump, &source->tables[i]);
	if (!err)
		err = put_rest(dump);
	if (!err)
		err = content_total(dump->db, dump->arena, source, result->hash, dump->failure);
	if (!err)
		err = dump_put_foot(dump, result, began_us);
	result->bytes = dump->base;
	return err;
}

enum err dump_write(sqlite3 *db, struct arena *arena, const struct dump_request *request, struct dump_result *ret, struct backup_failure *failure)
{
	struct dump *dump = arena_alloc(arena, sizeof(*dump));
	struct dump_result *result = arena_alloc(arena, sizeof(*result));
	if (!dump || !result)
		return ERR_TOO_LARGE;
	*dump = (struct dump){.db = db, .arena = arena, .request = request, .source = &result->source, .failure = failure};
	buf_init(&dump->out, OUT_MAX);
	buf_init(&dump->utf8, OUT_MAX);
	enum err err = literal_parser_open(&dump->parser);
	if (!err)
		err = source_read(db, arena, &result->source, failure);
	if (!err)
		err = write_all(dump, result);
	if (!err)
		*ret = *result;
	literal_parser_close(&dump->parser);
	buf_release(&dump->out);
	buf_release(&dump->utf8);
	return err;
}
