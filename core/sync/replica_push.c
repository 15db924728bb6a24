/*
 * What a client sends: the rows that its outbox names, as they are now.
 * Called by `tidegate sync`.
 * Must never send a row twice in one push, nor take an entry out of the outbox: that is done when the answer is applied.
 */
#include "core/sync/replica.h"

#include "core/base/clock.h"
#include "core/schema/quote.h"

#include <string.h>

enum { SQL_MAX = 32 << 10, BODY_SOFT_MAX = 2 << 20 };

enum err replica_bind(struct replica *replica, sqlite3_stmt *statement, int at, const json_t *value)
{
	int rc = SQLITE_OK;
	if (json_is_string(value))
		rc = sqlite3_bind_text(statement, at, json_string_value(value), (int)json_string_length(value), SQLITE_TRANSIENT);
	else if (json_is_integer(value))
		rc = sqlite3_bind_int64(statement, at, json_integer_value(value));
	else if (json_is_real(value))
		rc = sqlite3_bind_double(statement, at, json_real_value(value));
	else if (json_is_boolean(value))
		rc = sqlite3_bind_int(statement, at, json_is_true(value));
	else
		rc = sqlite3_bind_null(statement, at);
	return rc == SQLITE_OK ? OK : replica_fail(replica);
}

static bool is_number(const struct replica_table *table, const char *column)
{
	for (size_t i = 0; i < json_array_size(table->columns); i++) {
		const json_t *c = json_array_get(table->columns, i);
		if (text_equal(json_text(c, "name"), column))
			return text_equal(json_text(c, "type"), "integer") || text_equal(json_text(c, "type"), "bigint");
	}
	return false;
}

enum err replica_bind_key(struct replica *replica, struct arena *arena, const struct replica_table *table, sqlite3_stmt *statement, int first, const char *row_id)
{
	size_t count = json_array_size(table->key);
	json_t *object = NULL;
	int64_t number = 0;
	enum err err = OK;
	if (count == 1 && is_number(table, json_string_value(json_array_get(table->key, 0)))) {
		if (parse_i64(row_id, INT64_MIN, INT64_MAX, &number))
			return ERR_INVALID;
		return sqlite3_bind_int64(statement, first, number) == SQLITE_OK ? OK : replica_fail(replica);
	}
	if (count == 1)
		return sqlite3_bind_text(statement, first, row_id, -1, SQLITE_TRANSIENT) == SQLITE_OK ? OK : replica_fail(replica);
	err = json_parse(arena, row_id, strlen(row_id), &object, NULL);
	for (size_t i = 0; !err && i < count; i++)
		err = replica_bind(replica, statement, first + (int)i, json_object_get(object, json_string_value(json_array_get(table->key, i))));
	return err;
}

static enum err prepare_select(struct replica *replica, struct replica_table *table)
{
	struct buf sql;
	if (table->select)
		return OK;
	buf_init(&sql, SQL_MAX);
	buf_append_text(&sql, "SELECT last_modified_at");
	for (size_t i = 0; i < json_array_size(table->columns); i++) {
		buf_append_text(&sql, ", ");
		quote_identifier(&sql, json_text(json_array_get(table->columns, i), "name"));
	}
	buf_append_text(&sql, " FROM ");
	quote_identifier(&sql, table->name);
	for (size_t i = 0; i < json_array_size(table->key); i++) {
		buf_append_text(&sql, i ? " AND " : " WHERE ");
		quote_identifier(&sql, json_string_value(json_array_get(table->key, i)));
		buf_append_text(&sql, " = ?");
	}
	enum err err = sql.overflowed ? ERR_TOO_LARGE : replica_prepare(replica, buf_text(&sql), &table->select);
	buf_release(&sql);
	return err;
}

static void put_column(struct json_writer *w, const char *name, sqlite3_stmt *row, int at)
{
	char number[40];
	switch (sqlite3_column_type(row, at)) {
	case SQLITE_INTEGER:
		json_put_i64(w, name, sqlite3_column_int64(row, at));
		break;
	case SQLITE_FLOAT:
		snprintf(number, sizeof(number), "%.17g", sqlite3_column_double(row, at));
		json_put_raw(w, name, strpbrk(number, "in") ? "null" : number); /* JSON has no infinity */
		break;
	case SQLITE_TEXT:
		json_put_str(w, name, (struct str){(const char *)sqlite3_column_text(row, at), (size_t)sqlite3_column_bytes(row, at)});
		break;
	default:
		json_put_null(w, name);
	}
}

static void put_time(struct json_writer *w, int64_t us)
{
	char text[CLOCK_ISO_SIZE];
	clock_iso8601(us, text);
	json_put_text(w, "lastModifiedAt", text);
}

/* One entry of the outbox as a change. What is not there any more was deleted. */
static enum err put_entry(struct replica *replica, struct arena *arena, struct replica_table *table, struct json_writer *w, const char *row_id, int64_t changed_at)
{
	enum err err = prepare_select(replica, table);
	if (!err)
		err = replica_bind_key(replica, arena, table, table->select, 1, row_id);
	if (err)
		return err;
	int rc = sqlite3_step(table->select);
	json_object_open(w, NULL);
	json_put_text(w, "table", table->name);
	json_put_text(w, "rowId", row_id);
	if (rc == SQLITE_ROW) {
		json_object_open(w, "data");
		for (size_t i = 0; i < json_array_size(table->columns); i++)
			put_column(w, json_text(json_array_get(table->columns, i), "name"), table->select, (int)i + 1);
		json_object_close(w);
		put_time(w, sqlite3_column_int64(table->select, 0));
	} else {
		json_put_bool(w, "deleted", true);
		put_time(w, changed_at);
	}
	json_object_close(w);
	sqlite3_reset(table->select);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? OK : replica_fail(replica);
}

struct pushing {
	struct replica *replica;
	struct arena *arena;
	struct json_writer *w;
	struct buf *out;
	int64_t rest;
	json_t *sent;
};

static enum err put_table(struct pushing *p, struct replica_table *table, bool deletes)
{
	static const char sql[] = "SELECT seq, row_id, changed_at FROM sync_outbox WHERE table_name = ? AND (operation = 'DELETE') = ? ORDER BY seq LIMIT ?";
	sqlite3_stmt *entries = NULL;
	enum err err = replica_prepare(p->replica, sql, &entries);
	if (err)
		return err;
	sqlite3_bind_text(entries, 1, table->name, -1, SQLITE_STATIC);
	sqlite3_bind_int(entries, 2, deletes);
	sqlite3_bind_int64(entries, 3, p->rest);
	while (!err && p->rest > 0 && sqlite3_step(entries) == SQLITE_ROW) {
		const char *row_id = arena_strdup(p->arena, (const char *)sqlite3_column_text(entries, 1));
		if (!row_id || json_array_append_new(p->sent, json_integer(sqlite3_column_int64(entries, 0))))
			err = ERR_TOO_LARGE;
		else
			err = put_entry(p->replica, p->arena, table, p->w, row_id, sqlite3_column_int64(entries, 2));
		p->rest = p->out->len > BODY_SOFT_MAX ? 0 : p->rest - 1;
	}
	sqlite3_finalize(entries);
	return err;
}

/* What every call has. */
static enum err put_head(struct replica *replica, struct json_writer *w)
{
	sqlite3_stmt *control = NULL;
	enum err err = replica_prepare(replica, "SELECT last_sync_at, device_id FROM sync_control", &control);
	if (!err && sqlite3_step(control) == SQLITE_ROW) {
		json_put_text(w, "lastSyncAt", (const char *)sqlite3_column_text(control, 0));
		json_put_text(w, "deviceId", (const char *)sqlite3_column_text(control, 1));
		json_put_i64(w, "schemaVersion", replica->version);
	}
	sqlite3_finalize(control);
	return err;
}

static void drop(void *what)
{
	json_decref(what);
}

enum err replica_push_body(struct replica *replica, struct arena *arena, const char *request_id, int64_t max, struct buf *out, struct replica_counts *counts,
                           json_t **ret_sent)
{
	struct json_writer w;
	struct pushing p = {replica, arena, &w, out, max, json_array()};
	enum err err = p.sent ? arena_defer(arena, drop, p.sent) : ERR_TOO_LARGE;
	if (err)
		return err;
	json_start(&w, out);
	json_object_open(&w, NULL);
	err = put_head(replica, &w);
	json_put_text(&w, "requestId", request_id);
	json_array_open(&w, "changes");
	for (size_t t = 0; !err && t < replica->table_count; t++)
		err = put_table(&p, &replica->tables[t], false);
	for (size_t t = replica->table_count; !err && t > 0; t--)
		err = put_table(&p, &replica->tables[t - 1], true);
	json_array_close(&w);
	json_object_close(&w);
	counts->pushed += (int64_t)json_array_size(p.sent);
	*ret_sent = p.sent;
	return !err && out->overflowed ? ERR_TOO_LARGE : err;
}

enum err replica_page_body(struct replica *replica, const char *cursor, struct buf *out)
{
	struct json_writer w;
	json_start(&w, out);
	json_object_open(&w, NULL);
	enum err err = put_head(replica, &w);
	json_put_text(&w, "pullCursor", cursor);
	json_object_close(&w);
	return !err && out->overflowed ? ERR_TOO_LARGE : err;
}
