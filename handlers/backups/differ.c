/*
 * Writes differential dumps: a merge of two databases in the order of their keys, in bounded memory. Called by the job that backs up. Must never call two values equal that differ in
 * class or in one bit, nor let a row in before those that it could meet have gone.
 */
#include "handlers/backups/differ.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "handlers/backups/dump_value.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 17, OUT_MAX = 1 << 30, SQL_ROOM = 1 << 20 };

/* The two databases and the two streams: what goes and changes, and what comes. */
struct differ {
	struct difference *difference;
	struct dump gone, come;
	struct dump_request come_request;
	struct source base;
	/* The table at hand. */
	struct source_table *table;
	const struct source_table *base_table;
	sqlite3_stmt *old;            /* its rows in the base, in the order of their rowids; or the row of one key */
	struct content_cell *old_cells;
	int count, rowid_at;          /* values of a row; which of them is the rowid, -1: the table has none */
	bool has_old;                 /* old_cells hold a row that was not dealt with */
	int64_t old_rowid, matched;
	bool *fixed;                  /* by column: an update could meet another row, so the row is replaced */
	bool any_fixed;
};

/* ---- rows ---- */

static uint64_t bits_of(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static bool same_cell(const struct content_cell *a, const struct content_cell *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case SQLITE_INTEGER:
		return a->integer == b->integer;
	case SQLITE_FLOAT:
		return bits_of(a->real) == bits_of(b->real);
	case SQLITE_NULL:
		return true;
	default:
		return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
	}
}

static enum err put_gone(struct differ *differ, const struct content_cell *cells)
{
	struct dump *gone = &differ->gone;
	buf_append_text(&gone->out, "DELETE FROM ");
	literal_put_name(&gone->out, differ->table->name);
	enum err err = dump_put_where(gone, cells);
	buf_append(&gone->out, ";\n", 2);
	return err || gone->out.len < PIECE ? err : dump_drain(gone);
}

/* Changed columns alone, where none of them can meet another row. */
static enum err put_change(struct differ *differ, const struct content_cell *now)
{
	struct dump *gone = &differ->gone;
	const struct source_table *table = differ->table;
	int shift = table->rowid ? 1 : 0;
	bool replace = false, any = false;
	for (int i = 0; i < table->column_count; i++) {
		bool changed = !same_cell(&now[i + shift], &differ->old_cells[i + shift]);
		replace |= changed && (differ->any_fixed || differ->fixed[i] || table->columns[i].key || dump_is_long(gone, &now[i + shift]));
		any |= changed && !table->columns[i].generated;
	}
	differ->difference->changes++;
	if (replace || !any) {
		enum err err = put_gone(differ, differ->old_cells);
		return err ? err : dump_row(&differ->come, now, differ->count);
	}
	const char *before = " SET ";
	enum err err = OK;
	buf_append_text(&gone->out, "UPDATE ");
	literal_put_name(&gone->out, table->name);
	for (int i = 0; !err && i < table->column_count; i++) {
		if (table->columns[i].generated || same_cell(&now[i + shift], &differ->old_cells[i + shift]))
			continue;
		buf_append_text(&gone->out, before);
		literal_put_name(&gone->out, table->columns[i].name);
		buf_append_char(&gone->out, '=');
		err = dump_put_cell(gone, &now[i + shift]);
		before = ",";
	}
	if (!err)
		err = dump_put_where(gone, now);
	buf_append(&gone->out, ";\n", 2);
	return err || gone->out.len < PIECE ? err : dump_drain(gone);
}

static enum err compare_row(struct differ *differ, const struct content_cell *now)
{
	for (int i = 0; i < differ->count; i++)
		if (!same_cell(&now[i], &differ->old_cells[i]))
			return put_change(differ, now);
	return OK;
}

static enum err put_new(struct differ *differ, const struct content_cell *now)
{
	differ->difference->changes++;
	return dump_row(&differ->come, now, differ->count);
}

/* ---- tables with rowids: both in their order ---- */

static enum err next_old(struct differ *differ)
{
	int result = sqlite3_step(differ->old);
	differ->has_old = result == SQLITE_ROW;
	if (result == SQLITE_DONE)
		return OK;
	if (result != SQLITE_ROW)
		return source_failed(differ->difference->base, result, differ->gone.failure);
	if (!content_fetch(differ->old, differ->base.utf16, differ->count, differ->old_cells))
		return ERR_TOO_LARGE;
	differ->old_rowid = differ->old_cells[differ->rowid_at].integer;
	return OK;
}

static enum err skip_gone(struct differ *differ, int64_t before, bool all)
{
	enum err err = OK;
	while (!err && differ->has_old && (all || differ->old_rowid < before)) {
		differ->difference->changes++;
		err = put_gone(differ, differ->old_cells);
		if (!err)
			err = next_old(differ);
	}
	return err;
}

static enum err merge_row(void *context, const struct content_cell *now, int count)
{
	struct differ *differ = context;
	int64_t rowid = now[differ->rowid_at].integer;
	(void)count;
	enum err err = skip_gone(differ, rowid, false);
	if (err)
		return err;
	if (!differ->has_old || differ->old_rowid > rowid)
		return put_new(differ, now);
	err = compare_row(differ, now);
	return err ? err : next_old(differ);
}

/* ---- tables without: by key ---- */

static int bind_cell(sqlite3_stmt *statement, int at, const struct content_cell *cell, bool utf16)
{
	switch (cell->type) {
	case SQLITE_INTEGER:
		return sqlite3_bind_int64(statement, at, cell->integer);
	case SQLITE_FLOAT:
		return sqlite3_bind_double(statement, at, cell->real);
	case SQLITE_TEXT:
		return sqlite3_bind_text64(statement, at, cell->bytes, cell->length, SQLITE_STATIC, utf16 ? SQLITE_UTF16LE : SQLITE_UTF8);
	case SQLITE_BLOB:
		return sqlite3_bind_blob64(statement, at, cell->bytes, cell->length, SQLITE_STATIC);
	default:
		return sqlite3_bind_null(statement, at);
	}
}

/* The row of the other side that has this key: *ret_there, and its values in the statement. */
static enum err look_up(struct differ *differ, sqlite3 *db, sqlite3_stmt *statement, const struct content_cell *cells, bool *ret_there)
{
	int at = 0, result = SQLITE_OK;
	sqlite3_reset(statement);
	for (int i = 0; result == SQLITE_OK && i < differ->table->column_count; i++)
		if (differ->table->columns[i].key)
			result = bind_cell(statement, ++at, &cells[i], differ->base.utf16);
	if (result == SQLITE_OK)
		result = sqlite3_step(statement);
	*ret_there = result == SQLITE_ROW;
	return result == SQLITE_ROW || result == SQLITE_DONE ? OK : source_failed(db, result, differ->gone.failure);
}

static enum err keyed_row(void *context, const struct content_cell *now, int count)
{
	struct differ *differ = context;
	bool there = false;
	(void)count;
	enum err err = look_up(differ, differ->difference->base, differ->old, now, &there);
	if (err)
		return err;
	if (!there)
		return put_new(differ, now);
	differ->matched++;
	if (!content_fetch(differ->old, differ->base.utf16, differ->count, differ->old_cells))
		return ERR_TOO_LARGE;
	return compare_row(differ, now);
}

static const char *select_by_key(struct differ *differ)
{
	struct buf sql;
	const char *word = " WHERE ", *select = source_select(differ->gone.arena, differ->table);
	buf_init(&sql, SQL_ROOM);
	buf_append_text(&sql, select ? select : "");
	for (int i = 0; i < differ->table->column_count; i++) {
		if (!differ->table->columns[i].key)
			continue;
		buf_append_text(&sql, word);
		literal_put_name(&sql, differ->table->columns[i].name);
		buf_append_text(&sql, " = ?");
		word = " AND ";
	}
	const char *text = select && !sql.overflowed ? arena_strdup(differ->gone.arena, buf_text(&sql)) : NULL;
	buf_release(&sql);
	return text;
}

/* Rows of the base whose key is not there any more. Not looked for when every one was matched. */
static enum err find_gone(struct differ *differ)
{
	sqlite3_stmt *all = NULL, *one = NULL;
	const char *select = source_select(differ->gone.arena, differ->table), *by_key = select_by_key(differ);
	enum err err = select && by_key ? OK : ERR_TOO_LARGE;
	int result = err ? SQLITE_NOMEM : sqlite3_prepare_v2(differ->difference->base, select, -1, &all, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_prepare_v2(differ->gone.db, by_key, -1, &one, NULL);
	while (!err && result == SQLITE_OK) {
		bool there = false;
		int step = sqlite3_step(all);
		if (step == SQLITE_DONE)
			break;
		if (step != SQLITE_ROW)
			err = source_failed(differ->difference->base, step, differ->gone.failure);
		else if (!content_fetch(all, differ->base.utf16, differ->count, differ->old_cells))
			err = ERR_TOO_LARGE;
		if (!err)
			err = look_up(differ, differ->gone.db, one, differ->old_cells, &there);
		if (!err && !there) {
			differ->difference->changes++;
			err = put_gone(differ, differ->old_cells);
		}
	}
	if (!err && result != SQLITE_OK)
		err = source_failed(differ->gone.db, result, differ->gone.failure);
	sqlite3_finalize(all);
	sqlite3_finalize(one);
	return err;
}

/* ---- one table ---- */

/* Columns of unique indexes; all, where such an index is partial or over expressions or generated columns. */
static enum err find_fixed(struct differ *differ)
{
	static const char sql[] = "SELECT x.cid, i.partial FROM pragma_index_list(?1) i, pragma_index_xinfo(i.name) x WHERE i.\"unique\" AND x.key";
	sqlite3_stmt *statement = NULL;
	const struct source_table *table = differ->table;
	int result = sqlite3_prepare_v2(differ->gone.db, sql, -1, &statement, NULL);
	differ->fixed = arena_array(differ->gone.arena, (size_t)table->column_count + 1, sizeof(*differ->fixed));
	differ->any_fixed = false;
	for (int i = 0; i < table->column_count; i++)
		differ->any_fixed |= table->columns[i].generated;
	if (!differ->fixed) {
		sqlite3_finalize(statement);
		return ERR_TOO_LARGE;
	}
	if (result == SQLITE_OK)
		result = sqlite3_bind_text(statement, 1, table->name, -1, SQLITE_STATIC);
	while (result == SQLITE_OK || result == SQLITE_ROW) {
		result = sqlite3_step(statement);
		int column = result == SQLITE_ROW ? sqlite3_column_int(statement, 0) : -1;
		if (result == SQLITE_ROW && (column < 0 || column >= table->column_count || sqlite3_column_int(statement, 1)))
			differ->any_fixed = true;
		else if (result == SQLITE_ROW)
			differ->fixed[column] = true;
	}
	enum err err = result == SQLITE_DONE ? OK : source_failed(differ->gone.db, result, differ->gone.failure);
	sqlite3_finalize(statement);
	return err;
}

/* Which value is the rowid; -1: none. */
static int find_rowid(const struct source_table *table)
{
	if (table->rowid)
		return 0;
	for (int i = 0; table->has_rowid_column && i < table->column_count; i++)
		if (table->columns[i].key)
			return i;
	return -1;
}

/* What is to be inserted stands behind what goes. */
static enum err append_come(struct differ *differ)
{
	char piece[PIECE];
	int64_t at = 0;
	enum err err = dump_end_statement(&differ->come);
	if (!err)
		err = dump_drain(&differ->come);
	if (!err)
		err = dump_drain(&differ->gone);
	while (!err && at < differ->come.base) {
		ssize_t n = pread(differ->difference->inserted, piece, PIECE, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_IO;
		err = buf_append(&differ->gone.out, piece, (size_t)n) ? ERR_TOO_LARGE : dump_drain(&differ->gone);
		at += n;
	}
	if (!err && (ftruncate(differ->difference->inserted, 0) || lseek(differ->difference->inserted, 0, SEEK_SET)))
		err = ERR_IO;
	differ->come.base = 0;
	return err;
}

static enum err merge_table(struct differ *differ)
{
	bool by_rowid = differ->rowid_at >= 0;
	const struct content_reader reader = {by_rowid ? merge_row : keyed_row, differ};
	const char *sql = by_rowid ? source_select(differ->gone.arena, differ->table) : select_by_key(differ);
	int result = sql ? sqlite3_prepare_v2(differ->difference->base, sql, -1, &differ->old, NULL) : SQLITE_NOMEM;
	enum err err = result == SQLITE_OK ? OK : source_failed(differ->difference->base, result, differ->gone.failure);
	if (!err && by_rowid)
		err = next_old(differ);
	if (!err)
		err = content_table(differ->gone.db, differ->gone.arena, differ->gone.source, differ->table, &reader, differ->gone.failure);
	if (!err && by_rowid)
		err = skip_gone(differ, 0, true);
	if (!err && !by_rowid && differ->matched < differ->base_table->rows)
		err = find_gone(differ);
	sqlite3_finalize(differ->old);
	differ->old = NULL;
	return err ? err : append_come(differ);
}

static enum err put_table(struct differ *differ, struct source_table *table, const struct source_table *base_table)
{
	differ->table = table;
	differ->base_table = base_table;
	differ->count = table->column_count + (table->rowid ? 1 : 0);
	differ->rowid_at = find_rowid(table);
	differ->matched = 0;
	differ->has_old = false;
	differ->old_cells = arena_array(differ->gone.arena, (size_t)differ->count + 1, sizeof(*differ->old_cells));
	if (!differ->old_cells)
		return ERR_TOO_LARGE;
	if (differ->rowid_at < 0 && !table->without_rowid)
		return ERR_CONFLICT;
	enum err err = find_fixed(differ);
	if (!err)
		err = dump_begin_rows(&differ->gone, table);
	if (!err)
		err = dump_begin_rows(&differ->come, table);
	if (!err)
		err = merge_table(differ);
	differ->gone.table = differ->come.table = NULL;
	return err;
}

/* ---- the whole ---- */

static enum err put_file(void *context, const void *bytes, size_t n)
{
	const struct differ *differ = context;
	const char *from = bytes;
	while (n) {
		ssize_t done = write(differ->difference->inserted, from, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			backup_refuse(differ->gone.failure, "disk_full", strerror(errno));
			return ERR_IO;
		}
		from += done;
		n -= (size_t)done;
	}
	return OK;
}

/* In front of the caller's sink: ends what is no gain. */
struct limit {
	struct sink to;
	int64_t left;
	bool limited;
};

static enum err limit_put(void *context, const void *bytes, size_t n)
{
	struct limit *limit = context;
	limit->left -= (int64_t)n;
	return limit->limited && limit->left < 0 ? ERR_CONFLICT : sink_put(&limit->to, bytes, n);
}

static bool fits(const struct source *a, const struct source *b)
{
	bool same = memcmp(a->schema_hash, b->schema_hash, sizeof(a->schema_hash)) == 0 && a->utf16 == b->utf16 && a->big_endian == b->big_endian && a->page_size == b->page_size &&
	            a->auto_vacuum == b->auto_vacuum && a->table_count == b->table_count && !a->lost_sequence;
	for (int i = 0; same && i < a->table_count; i++)
		same = text_equal(a->tables[i].name, b->tables[i].name);
	return same;
}

static bool is_trigger(const struct source_object *object)
{
	return text_equal(object->type, "trigger");
}

static enum err put_triggers(struct dump *dump, bool drop)
{
	enum err err = OK;
	for (int i = 0; !err && i < dump->source->object_count; i++) {
		struct source_object *object = &dump->source->objects[i];
		if (!is_trigger(object))
			continue;
		if (drop) {
			buf_append_text(&dump->out, "DROP TRIGGER ");
			literal_put_name(&dump->out, object->name);
			buf_append(&dump->out, ";\n", 2);
		} else {
			dump_put_statement(dump, object->sql, &object->created);
		}
		err = dump_drain(dump);
	}
	return err;
}

static void put_head(struct differ *differ)
{
	struct dump *dump = &differ->gone;
	char hex[65];
	hex_encode(differ->difference->base_hash, 32, hex);
	dump_put_title(dump, DUMP_DIFFERENCE_TITLE);
	buf_printf(&dump->out, DUMP_BASE_MARK "%s %s\n-- It goes behind the dump of that one.\n", differ->difference->base_key, hex);
	buf_append_text(&dump->out, "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n");
}

static enum err write_all(struct differ *differ, struct dump_result *result)
{
	struct dump *dump = &differ->gone;
	struct source *source = dump->source;
	int64_t began_us = clock_monotonic_us();
	put_head(differ);
	enum err err = put_triggers(dump, true);
	for (int i = 0; !err && i < source->table_count; i++)
		if (source->tables[i].kind != SOURCE_VIRTUAL)
			err = put_table(differ, &source->tables[i], &differ->base.tables[i]);
	if (!err)
		err = dump_put_internal(dump, source->has_sequence || differ->base.has_sequence, source->has_statistics);
	if (!err)
		err = put_triggers(dump, false);
	buf_printf(&dump->out, "PRAGMA user_version=%lld;\nPRAGMA application_id=%lld;\nCOMMIT;\nPRAGMA foreign_keys=ON;\n", (long long)source->user_version, (long long)source->application_id);
	if (!err)
		err = content_total(dump->db, dump->arena, source, result->hash, dump->failure);
	for (int i = 0; i < source->table_count; i++) {
		result->rows += source->tables[i].rows;
		result->tables += source->tables[i].kind != SOURCE_SHADOW;
	}
	if (!err)
		err = dump_put_foot(dump, result, began_us);
	result->bytes = dump->base;
	return err;
}

/* Rows of the tables without rowids: whether any have gone is seen by their number. */
static enum err count_base(struct differ *differ)
{
	enum err err = OK;
	for (int i = 0; !err && i < differ->base.table_count; i++) {
		struct source_table *table = &differ->base.tables[i];
		sqlite3_stmt *statement = NULL;
		struct buf sql;
		if (!table->without_rowid || table->kind == SOURCE_VIRTUAL)
			continue;
		buf_init(&sql, SQL_ROOM);
		buf_append_text(&sql, "SELECT count(*) FROM ");
		literal_put_name(&sql, table->name);
		int result = sqlite3_prepare_v2(differ->difference->base, buf_text(&sql), -1, &statement, NULL);
		buf_release(&sql);
		if (result == SQLITE_OK)
			result = sqlite3_step(statement);
		table->rows = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
		err = result == SQLITE_ROW ? OK : source_failed(differ->difference->base, result, differ->gone.failure);
		sqlite3_finalize(statement);
	}
	return err;
}

enum err differ_write(sqlite3 *db, struct arena *arena, struct difference *difference, const struct dump_request *request, struct dump_result *ret, struct backup_failure *failure)
{
	struct differ *differ = arena_alloc(arena, sizeof(*differ));
	struct dump_result *result = arena_alloc(arena, sizeof(*result));
	struct dump_request limited = *request;
	struct limit limit = {request->to, difference->bytes_max, difference->bytes_max > 0};
	if (!differ || !result)
		return ERR_TOO_LARGE;
	limited.to = (struct sink){limit_put, &limit};
	differ->difference = difference;
	difference->changes = 0;
	differ->gone = (struct dump){.db = db, .arena = arena, .request = &limited, .source = &result->source, .failure = failure};
	differ->come_request = limited;
	differ->come_request.to = (struct sink){put_file, differ};
	differ->come = differ->gone;
	differ->come.request = &differ->come_request;
	buf_init(&differ->gone.out, OUT_MAX);
	buf_init(&differ->gone.utf8, OUT_MAX);
	buf_init(&differ->come.out, OUT_MAX);
	buf_init(&differ->come.utf8, OUT_MAX);
	/* One lock for all the looks at single rows. */
	sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
	sqlite3_exec(difference->base, "BEGIN", NULL, NULL, NULL);
	enum err err = literal_parser_open(&differ->gone.parser);
	differ->come.parser = differ->gone.parser;
	if (!err)
		err = source_read(db, arena, &result->source, failure);
	if (!err)
		err = source_read(difference->base, arena, &differ->base, failure);
	if (!err && !fits(&result->source, &differ->base))
		err = ERR_CONFLICT;
	if (!err)
		err = count_base(differ);
	if (!err)
		err = write_all(differ, result);
	if (!err)
		*ret = *result;
	sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	sqlite3_exec(difference->base, "COMMIT", NULL, NULL, NULL);
	literal_parser_close(&differ->gone.parser);
	buf_release(&differ->gone.out);
	buf_release(&differ->gone.utf8);
	buf_release(&differ->come.out);
	buf_release(&differ->come.utf8);
	return err;
}
