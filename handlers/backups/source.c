/*
 * Reads the schema of a database. Called for the snapshot that is dumped and for the copy that was restored. Must never guess by a
 * name or a text what a pragma can tell.
 */
#include "handlers/backups/source.h"

#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "handlers/backups/literal.h"

#include <string.h>

enum { COLUMNS_MAX = 2000, SELECT_MAX = 1 << 20 };

enum err backup_refuse(struct backup_failure *failure, const char *code, const char *detail)
{
	failure->code = code;
	snprintf(failure->detail, sizeof(failure->detail), "%s", detail);
	failure->detail[utf8_valid_prefix(failure->detail, strlen(failure->detail))] = '\0';
	return ERR_INVALID;
}

enum err source_failed(sqlite3 *db, int result, struct backup_failure *failure)
{
	const char *message = db ? sqlite3_errmsg(db) : sqlite3_errstr(result);
	switch (result & 0xff) {
	case SQLITE_NOMEM:
		backup_refuse(failure, "no_memory", message);
		return ERR_TOO_LARGE;
	case SQLITE_FULL:
		backup_refuse(failure, "disk_full", message);
		return ERR_IO;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return backup_refuse(failure, "source_locked", message);
	case SQLITE_NOTADB:
		return backup_refuse(failure, "source_not_sqlite", message);
	case SQLITE_CORRUPT:
		return backup_refuse(failure, "source_corrupt", message);
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return backup_refuse(failure, "source_unreadable", message);
	case SQLITE_TOOBIG:
		return backup_refuse(failure, "value_too_large", message);
	case SQLITE_ERROR:
		return backup_refuse(failure, "source_needs_extension", message);
	default:
		return backup_refuse(failure, "source_failed", message);
	}
}

/* ---- the settings ---- */

static enum err read_text(sqlite3 *db, struct arena *arena, const char *sql, const char **ret, struct backup_failure *failure)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_step(statement);
	enum err err = OK;
	if (result == SQLITE_ROW) {
		*ret = arena_strdup(arena, (const char *)sqlite3_column_text(statement, 0));
		err = *ret ? OK : ERR_TOO_LARGE;
	} else {
		err = source_failed(db, result, failure);
	}
	sqlite3_finalize(statement);
	return err;
}

static enum err read_number(sqlite3 *db, struct arena *arena, const char *sql, int64_t *ret, struct backup_failure *failure)
{
	const char *text = NULL;
	enum err err = read_text(db, arena, sql, &text, failure);
	return err ? err : parse_i64(text, INT64_MIN, INT64_MAX, ret);
}

static enum err read_settings(sqlite3 *db, struct arena *arena, struct source *source, struct backup_failure *failure)
{
	const struct {
		const char *sql;
		int64_t *to;
	} numbers[] = {
	    {"PRAGMA page_size", &source->page_size},       {"PRAGMA page_count", &source->page_count},         {"PRAGMA auto_vacuum", &source->auto_vacuum},
	    {"PRAGMA user_version", &source->user_version}, {"PRAGMA application_id", &source->application_id},
	};
	const char *encoding = "";
	enum err err = read_text(db, arena, "PRAGMA encoding", &encoding, failure);
	source->utf16 = text_starts_with(encoding, "UTF-16");
	source->big_endian = text_equal(encoding, "UTF-16be");
	if (!err)
		err = read_text(db, arena, "PRAGMA journal_mode", &source->journal_mode, failure);
	for (size_t i = 0; !err && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		err = read_number(db, arena, numbers[i].sql, numbers[i].to, failure);
	return err;
}

/* ---- tables ---- */

static const char *column_copy(struct arena *arena, sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);
	return arena_copy(arena, text ? text : "", (size_t)sqlite3_column_bytes(statement, column));
}

/* Ends a statement that was stepped to its end, or to an error. */
static enum err ended(sqlite3 *db, sqlite3_stmt *statement, int result, struct backup_failure *failure)
{
	enum err err = result == SQLITE_DONE ? OK : source_failed(db, result, failure);
	sqlite3_finalize(statement);
	return err;
}

static enum err about_table(sqlite3 *db, const char *sql, const char *table, sqlite3_stmt **ret, struct backup_failure *failure)
{
	int result = sqlite3_prepare_v2(db, sql, -1, ret, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_bind_text(*ret, 1, table, -1, SQLITE_STATIC);
	if (result == SQLITE_OK)
		return OK;
	enum err err = source_failed(db, result, failure);
	sqlite3_finalize(*ret);
	return err;
}

static void name_rowid(struct source_table *table)
{
	static const char *const names[] = {"rowid", "_rowid_", "oid"};
	for (size_t n = 0; n < 3 && !table->rowid && table->column_count < COLUMNS_MAX; n++) {
		bool taken = false;
		for (int i = 0; i < table->column_count; i++)
			taken |= sqlite3_stricmp(names[n], table->columns[i].name) == 0;
		table->rowid = taken ? NULL : names[n];
	}
}

/* A single key column without an index of its own is the rowid, whatever the text of the declaration says. */
static enum err look_for_rowid(sqlite3 *db, struct source_table *table, struct backup_failure *failure)
{
	sqlite3_stmt *statement = NULL;
	int keys = 0, result = SQLITE_OK;
	for (int i = 0; i < table->column_count; i++)
		keys += table->columns[i].key;
	enum err err = about_table(db, "SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk'", table->name, &statement, failure);
	if (err)
		return err;
	result = sqlite3_step(statement);
	table->has_rowid_column = keys == 1 && result == SQLITE_DONE;
	err = ended(db, statement, result == SQLITE_ROW ? SQLITE_DONE : result, failure);
	if (!err && !table->has_rowid_column)
		name_rowid(table);
	return err;
}

static enum err read_columns(sqlite3 *db, struct arena *arena, struct source_table *table, struct backup_failure *failure)
{
	sqlite3_stmt *statement = NULL;
	int result = SQLITE_DONE;
	enum err err = about_table(db, "SELECT name, hidden, pk, count(*) OVER () FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid", table->name, &statement, failure);
	if (err)
		return err;
	while (!err && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		if (!table->columns)
			table->columns = arena_array(arena, (size_t)sqlite3_column_int(statement, 3), sizeof(*table->columns));
		const char *name = column_copy(arena, statement, 0);
		if (!table->columns || !name)
			err = ERR_TOO_LARGE;
		else
			table->columns[table->column_count++] = (struct source_column){name, sqlite3_column_int(statement, 1) > 1, sqlite3_column_int(statement, 2) > 0};
	}
	if (err) {
		sqlite3_finalize(statement);
		return err;
	}
	err = ended(db, statement, result, failure);
	if (!err && table->column_count == 0)
		err = backup_refuse(failure, "source_corrupt", "a table without columns");
	return err || table->without_rowid ? err : look_for_rowid(db, table, failure);
}

/* A virtual table has no root page. What belongs to one is known to its module alone. */
static const char table_list[] =
    "SELECT s.name, s.sql, s.rootpage = 0, coalesce(l.type, ''), coalesce(l.wr, 0), count(*) OVER () FROM sqlite_schema s "
    "LEFT JOIN pragma_table_list l ON l.schema = 'main' AND l.name = s.name WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY s.name";

static enum err read_tables(sqlite3 *db, struct arena *arena, struct source *source, struct backup_failure *failure)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(db, table_list, -1, &statement, NULL);
	if (result != SQLITE_OK)
		return source_failed(db, result, failure);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		if (!source->tables)
			source->tables = arena_array(arena, (size_t)sqlite3_column_int(statement, 5), sizeof(*source->tables));
		struct source_table table = {.name = column_copy(arena, statement, 0), .sql = column_copy(arena, statement, 1)};
		bool shadow = text_equal((const char *)sqlite3_column_text(statement, 3), "shadow");
		table.kind = sqlite3_column_int(statement, 2) ? SOURCE_VIRTUAL : shadow ? SOURCE_SHADOW : SOURCE_TABLE;
		table.without_rowid = sqlite3_column_int(statement, 4) != 0;
		if (!source->tables || !table.name || !table.sql) {
			sqlite3_finalize(statement);
			return ERR_TOO_LARGE;
		}
		source->tables[source->table_count++] = table;
	}
	enum err err = ended(db, statement, result, failure);
	for (int i = 0; !err && i < source->table_count; i++)
		if (source->tables[i].kind != SOURCE_VIRTUAL)
			err = read_columns(db, arena, &source->tables[i], failure);
	return err;
}

/* ---- parents first ---- */

static bool stands_in(const struct source *source, int from, const char *name)
{
	for (int i = from; i < source->table_count; i++)
		if (sqlite3_stricmp(source->tables[i].name, name) == 0)
			return true;
	return false;
}

/* Does table number i refer to none of those from `from` on but itself? */
static enum err is_free(sqlite3 *db, const struct source *source, int from, int i, bool *ret, struct backup_failure *failure)
{
	sqlite3_stmt *statement = NULL;
	int result = SQLITE_DONE;
	*ret = true;
	enum err err = about_table(db, "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1)", source->tables[i].name, &statement, failure);
	if (err)
		return err;
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *parent = (const char *)sqlite3_column_text(statement, 0);
		if (parent && sqlite3_stricmp(parent, source->tables[i].name) != 0 && stands_in(source, from, parent))
			*ret = false;
	}
	return ended(db, statement, result, failure);
}

/* Moves the first table that refers to none behind it to the front, again and again; of a ring, the first. */
static enum err put_parents_first(sqlite3 *db, struct source *source, struct backup_failure *failure)
{
	enum err err = OK;
	for (int from = 0; !err && from < source->table_count; from++) {
		int pick = from;
		for (int i = from; !err && i < source->table_count; i++) {
			bool chosen = false;
			err = is_free(db, source, from, i, &chosen, failure);
			if (chosen) {
				pick = i;
				break;
			}
		}
		struct source_table table = source->tables[pick];
		memmove(&source->tables[from + 1], &source->tables[from], (size_t)(pick - from) * sizeof(table));
		source->tables[from] = table;
	}
	return err;
}

/* ---- the rest of the schema ---- */

static const char object_list[] =
    "SELECT type, name, tbl_name, sql, count(*) OVER () FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
    "ORDER BY CASE type WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, name";

static enum err read_objects(sqlite3 *db, struct arena *arena, struct source *source, struct backup_failure *failure)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(db, object_list, -1, &statement, NULL);
	if (result != SQLITE_OK)
		return source_failed(db, result, failure);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		if (!source->objects)
			source->objects = arena_array(arena, (size_t)sqlite3_column_int(statement, 4), sizeof(*source->objects));
		struct source_object object = {column_copy(arena, statement, 0), column_copy(arena, statement, 1), column_copy(arena, statement, 2), column_copy(arena, statement, 3), {0, 0}};
		if (!source->objects || !object.type || !object.name || !object.table || !object.sql) {
			sqlite3_finalize(statement);
			return ERR_TOO_LARGE;
		}
		source->objects[source->object_count++] = object;
	}
	return ended(db, statement, result, failure);
}

const char *source_ending(struct arena *arena, const char *sql)
{
	static const char *const endings[] = {";", "\n;", "*/;", "\n*/;"};
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		const char *whole = arena_join(arena, sql, endings[i], "");
		if (whole && sqlite3_complete(whole))
			return endings[i];
	}
	return NULL;
}

/* Is there a table with AUTOINCREMENT, which is what makes sqlite_sequence? Asked of SQLite: the candidates are made in an empty database. */
static bool makes_sequence(const struct source *source, struct arena *arena)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *statement = NULL;
	bool found = false;
	if (sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
		for (int i = 0; i < source->table_count && !found; i++) {
			const struct source_table *table = &source->tables[i];
			if (table->kind != SOURCE_TABLE || sqlite3_strlike("%autoincrement%", table->sql, 0) != 0)
				continue;
			const char *ending = source_ending(arena, table->sql), *whole = ending ? arena_join(arena, table->sql, ending, "") : NULL;
			found = whole && sqlite3_exec(db, whole, NULL, NULL, NULL) == SQLITE_OK &&
			        sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_sequence", -1, &statement, NULL) == SQLITE_OK;
			sqlite3_finalize(statement);
			statement = NULL;
		}
	sqlite3_close(db);
	return found;
}

static enum err read_internal(sqlite3 *db, struct arena *arena, struct source *source, struct backup_failure *failure)
{
	int64_t sequence = 0, statistics = 0;
	enum err err = read_number(db, arena, "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'", &sequence, failure);
	if (!err && sequence)
		err = read_number(db, arena, "SELECT count(*) FROM sqlite_sequence", &sequence, failure);
	if (!err)
		err = read_number(db, arena, "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'", &statistics, failure);
	source->has_statistics = statistics > 0;
	source->has_sequence = sequence > 0 && makes_sequence(source, arena);
	source->lost_sequence = sequence > 0 && !source->has_sequence;
	return err;
}

/* ---- the hash of the schema ---- */

/* Line ends of one kind (the shell turns CR LF into LF), and comments closed, which a restored statement has to be. */
static enum err hash_sql(struct sha256 *hash, struct arena *arena, const char *sql)
{
	const char *ending = source_ending(arena, sql);
	if (!ending)
		return ERR_INVALID;
	for (const char *end; *sql; sql = end) {
		end = strstr(sql, "\r\n");
		end = end ? end : sql + strlen(sql);
		sha256_update(hash, sql, (size_t)(end - sql));
		end += *end ? 1 : 0;
	}
	if (ending[0] == '*')
		sha256_update(hash, "*/", 2);
	sha256_update(hash, "", 1);
	return OK;
}

static void hash_word(struct sha256 *hash, const char *word)
{
	sha256_update(hash, word, strlen(word) + 1);
}

static enum err hash_schema(struct source *source, struct arena *arena, struct backup_failure *failure)
{
	struct sha256 hash;
	if (sha256_init(&hash))
		return ERR_TOO_LARGE;
	enum err err = OK;
	for (int i = 0; !err && i < source->table_count; i++) {
		hash_word(&hash, "table");
		hash_word(&hash, source->tables[i].name);
		err = hash_sql(&hash, arena, source->tables[i].sql);
	}
	for (int i = 0; !err && i < source->object_count; i++) {
		hash_word(&hash, source->objects[i].type);
		hash_word(&hash, source->objects[i].name);
		hash_word(&hash, source->objects[i].table);
		err = hash_sql(&hash, arena, source->objects[i].sql);
	}
	if (!err)
		sha256_final(&hash, source->schema_hash);
	sha256_release(&hash);
	return err ? backup_refuse(failure, "source_corrupt", "a stored statement that has no end") : OK;
}

const char *source_select(struct arena *arena, const struct source_table *table)
{
	struct buf sql;
	buf_init(&sql, SELECT_MAX);
	buf_append_text(&sql, "SELECT ");
	if (table->rowid)
		buf_printf(&sql, "%s, ", table->rowid);
	for (int i = 0; i < table->column_count; i++) {
		buf_append_text(&sql, i ? ", " : "");
		literal_put_name(&sql, table->columns[i].name);
	}
	buf_append_text(&sql, " FROM ");
	literal_put_name(&sql, table->name);
	enum err err = buf_append_text(&sql, " NOT INDEXED");
	const char *text = err ? NULL : arena_strdup(arena, sql.data);
	buf_release(&sql);
	return text;
}

enum err source_read(sqlite3 *db, struct arena *arena, struct source *ret, struct backup_failure *failure)
{
	struct source source = {0};
	enum err err = read_settings(db, arena, &source, failure);
	if (!err)
		err = read_tables(db, arena, &source, failure);
	if (!err)
		err = put_parents_first(db, &source, failure);
	if (!err)
		err = read_objects(db, arena, &source, failure);
	if (!err)
		err = read_internal(db, arena, &source, failure);
	if (!err)
		err = hash_schema(&source, arena, failure);
	if (!err)
		*ret = source;
	return err;
}
