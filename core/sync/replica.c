/*
 * The database of a client: opening, installing, control, checksums.
 * Called by `tidegate sync`.
 * Must never touch a table that is not of the app, nor leave the triggers off.
 */
#include "core/sync/replica.h"

#include "core/schema/quote.h"

#include <string.h>

enum { BUSY_MS = 10000, SQL_MAX = 64 << 10 };

enum err replica_fail(struct replica *replica)
{
	snprintf(replica->why, sizeof(replica->why), "%s", sqlite3_errmsg(replica->db));
	return ERR_IO;
}

enum err replica_run(struct replica *replica, const char *sql)
{
	return sqlite3_exec(replica->db, sql, NULL, NULL, NULL) == SQLITE_OK ? OK : replica_fail(replica);
}

enum err replica_prepare(struct replica *replica, const char *sql, sqlite3_stmt **ret)
{
	return sqlite3_prepare_v3(replica->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK ? OK : replica_fail(replica);
}

enum err replica_open(struct replica *replica, struct arena *arena, const char *path)
{
	*replica = (struct replica){.arena = arena};
	if (sqlite3_open_v2(path, &replica->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
		return replica_fail(replica);
	sqlite3_busy_timeout(replica->db, BUSY_MS);
	/* Between two pages a child may be there before its parent. */
	return replica_run(replica, "PRAGMA foreign_keys = OFF; PRAGMA journal_mode = WAL");
}

void replica_close(struct replica *replica)
{
	for (size_t t = 0; t < replica->table_count; t++) {
		sqlite3_finalize(replica->tables[t].select);
		sqlite3_finalize(replica->tables[t].upsert);
		sqlite3_finalize(replica->tables[t].remove);
	}
	sqlite3_finalize(replica->pending);
	sqlite3_finalize(replica->raise);
	sqlite3_close(replica->db);
	*replica = (struct replica){0};
}

static enum err one_number(struct replica *replica, const char *sql, int64_t *ret)
{
	sqlite3_stmt *statement = NULL;
	enum err err = replica_prepare(replica, sql, &statement);
	if (!err && sqlite3_step(statement) == SQLITE_ROW)
		*ret = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return err;
}

enum err replica_version(struct replica *replica, const char *app, int64_t *ret)
{
	sqlite3_stmt *statement = NULL;
	int64_t tables = 0;
	*ret = 0;
	enum err err = one_number(replica, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'sync_control'", &tables);
	if (err || !tables)
		return err;
	err = replica_prepare(replica, "SELECT app, schema_version FROM sync_control", &statement);
	if (!err && sqlite3_step(statement) == SQLITE_ROW) {
		*ret = sqlite3_column_int64(statement, 1);
		if (!text_equal((const char *)sqlite3_column_text(statement, 0), app))
			err = ERR_CONFLICT;
	}
	sqlite3_finalize(statement);
	return err;
}

static enum err run_statements(struct replica *replica, const json_t *schema)
{
	const json_t *list = json_object_get(json_object_get(schema, "sqlite"), "statements");
	enum err err = OK;
	for (size_t i = 0; !err && i < json_array_size(list); i++)
		err = json_is_string(json_array_get(list, i)) ? replica_run(replica, json_string_value(json_array_get(list, i))) : ERR_INVALID;
	return err;
}

static enum err make_control(struct replica *replica, const char *device)
{
	sqlite3_stmt *statement = NULL;
	enum err err = replica_prepare(replica, "INSERT INTO sync_control (id, app, schema_version, device_id) VALUES (1, ?, ?, ?)", &statement);
	if (err)
		return err;
	sqlite3_bind_text(statement, 1, replica->app, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, replica->version);
	sqlite3_bind_text(statement, 3, device, -1, SQLITE_STATIC);
	if (sqlite3_step(statement) != SQLITE_DONE)
		err = replica_fail(replica);
	sqlite3_finalize(statement);
	return err;
}

/* The schema comes from the server and lives as long as the replica: its texts are used as they are. */
static enum err remember_tables(struct replica *replica, const json_t *schema)
{
	const json_t *tables = json_object_get(schema, "tables");
	replica->app = json_text(schema, "app");
	replica->version = json_integer_value(json_object_get(schema, "version"));
	if (!replica->app || json_array_size(tables) > REPLICA_TABLES_MAX)
		return ERR_INVALID;
	for (size_t t = 0; t < json_array_size(tables); t++) {
		const json_t *table = json_array_get(tables, t);
		struct replica_table *ours = &replica->tables[t];
		*ours = (struct replica_table){.name = json_text(table, "name"), .columns = json_object_get(table, "columns"), .key = json_object_get(table, "key"),
		                               .references = json_object_get(table, "references")};
		if (!ours->name || json_array_size(ours->columns) == 0 || json_array_size(ours->key) == 0)
			return ERR_INVALID;
		replica->table_count = t + 1;
	}
	return OK;
}

enum err replica_install(struct replica *replica, const json_t *schema, const json_t *full, const char *device)
{
	bool fresh = schema == full;
	int64_t rows = 0;
	enum err err = remember_tables(replica, full);
	if (!err)
		err = replica_run(replica, "BEGIN IMMEDIATE");
	if (err)
		return err;
	err = run_statements(replica, schema);
	if (!err)
		err = one_number(replica, "SELECT count(*) FROM sync_control", &rows);
	if (!err && rows == 0)
		err = make_control(replica, device);
	if (!err && !fresh)
		err = replica_run(replica, "UPDATE sync_control SET last_sync_at = NULL");
	if (!err)
		return replica_run(replica, "COMMIT");
	(void)sqlite3_exec(replica->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

const struct replica_table *replica_table_of(struct replica *replica, const char *name)
{
	for (size_t t = 0; name && t < replica->table_count; t++)
		if (text_equal(replica->tables[t].name, name))
			return &replica->tables[t];
	return NULL;
}

enum err replica_pending(struct replica *replica, int64_t *ret)
{
	return one_number(replica, "SELECT count(*) FROM sync_outbox", ret);
}

enum err replica_finish(struct replica *replica, const char *timestamp)
{
	sqlite3_stmt *statement = NULL;
	enum err err = replica_prepare(replica, "UPDATE sync_control SET last_sync_at = ?", &statement);
	if (err)
		return err;
	sqlite3_bind_text(statement, 1, timestamp, -1, SQLITE_STATIC);
	if (sqlite3_step(statement) != SQLITE_DONE)
		err = replica_fail(replica);
	sqlite3_finalize(statement);
	return err;
}

/* Rows that were made here and not pushed stay, and are pushed again; other entries lead to what may be gone. */
static void keep_own_rows(const struct replica_table *table, struct buf *sql)
{
	buf_append_text(sql, "DELETE FROM ");
	quote_identifier(sql, table->name);
	buf_append_text(sql, " AS t WHERE NOT EXISTS (SELECT 1 FROM sync_outbox AS o WHERE o.table_name = '");
	buf_append_text(sql, table->name);
	buf_append_text(sql, "' AND o.row_id = ");
	buf_append_text(sql, json_array_size(table->key) == 1 ? "CAST(" : "json_object(");
	for (size_t i = 0; i < json_array_size(table->key); i++) {
		const char *name = json_string_value(json_array_get(table->key, i));
		if (json_array_size(table->key) > 1)
			buf_printf(sql, "%s'%s', ", i ? ", " : "", name);
		buf_append_text(sql, "t.");
		quote_identifier(sql, name);
	}
	buf_append_text(sql, json_array_size(table->key) == 1 ? " AS TEXT));" : "));");
}

enum err replica_start_anew(struct replica *replica)
{
	struct buf sql;
	buf_init(&sql, SQL_MAX);
	buf_append_text(&sql, "BEGIN IMMEDIATE; UPDATE sync_control SET disabled = 1, last_sync_at = NULL; DELETE FROM sync_outbox WHERE operation <> 'INSERT';");
	for (size_t t = 0; t < replica->table_count; t++)
		keep_own_rows(&replica->tables[t], &sql);
	buf_append_text(&sql, "UPDATE sync_control SET disabled = 0; COMMIT");
	enum err err = sql.overflowed ? ERR_TOO_LARGE : replica_run(replica, buf_text(&sql));
	if (err)
		(void)sqlite3_exec(replica->db, "ROLLBACK", NULL, NULL, NULL);
	buf_release(&sql);
	return err;
}

enum err replica_compare(struct replica *replica, struct arena *arena, const char *query, const json_t *tables, const char **ret_table)
{
	sqlite3_stmt *statement = NULL;
	enum err err = replica_prepare(replica, query, &statement);
	*ret_table = NULL;
	while (!err && !*ret_table && sqlite3_step(statement) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(statement, 0);
		const json_t *theirs = json_object_get(tables, name ? name : "");
		bool same = theirs && json_integer_value(json_object_get(theirs, "rows")) == sqlite3_column_int64(statement, 1) &&
		            text_equal(json_text(theirs, "checksum"), (const char *)sqlite3_column_text(statement, 2));
		if (!same)
			*ret_table = arena_strdup(arena, name ? name : "?");
	}
	sqlite3_finalize(statement);
	return err;
}
