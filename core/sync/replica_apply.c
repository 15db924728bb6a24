/*
 * What a client does with an answer, in one transaction with the triggers off: entries of the outbox that were sent go, what was rejected is undone,
 * changes are written but for rows that have changed here since.
 * Called by `tidegate sync`.
 * Must never overwrite a change that has not been pushed.
 */
#include "core/sync/replica.h"

#include "core/base/clock.h"
#include "core/schema/quote.h"

#include <string.h>

enum { SQL_MAX = 64 << 10 };

static enum err step_once(struct replica *replica, sqlite3_stmt *statement)
{
	int rc = sqlite3_step(statement);
	sqlite3_reset(statement);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? OK : replica_fail(replica);
}

static enum err prepare_upsert(struct replica *replica, struct replica_table *table)
{
	struct buf sql;
	size_t count = json_array_size(table->columns);
	if (table->upsert)
		return OK;
	buf_init(&sql, SQL_MAX);
	buf_append_text(&sql, "INSERT OR REPLACE INTO ");
	quote_identifier(&sql, table->name);
	buf_append_text(&sql, " (last_modified_at");
	for (size_t i = 0; i < count; i++) {
		buf_append_text(&sql, ", ");
		quote_identifier(&sql, json_text(json_array_get(table->columns, i), "name"));
	}
	buf_append_text(&sql, ") VALUES (?");
	for (size_t i = 0; i < count; i++)
		buf_append_text(&sql, ", ?");
	buf_append_text(&sql, ")");
	enum err err = sql.overflowed ? ERR_TOO_LARGE : replica_prepare(replica, buf_text(&sql), &table->upsert);
	buf_release(&sql);
	return err;
}

static enum err prepare_remove(struct replica *replica, struct replica_table *table)
{
	struct buf sql;
	if (table->remove)
		return OK;
	buf_init(&sql, SQL_MAX);
	buf_append_text(&sql, "DELETE FROM ");
	quote_identifier(&sql, table->name);
	for (size_t i = 0; i < json_array_size(table->key); i++) {
		buf_append_text(&sql, i ? " AND " : " WHERE ");
		quote_identifier(&sql, json_string_value(json_array_get(table->key, i)));
		buf_append_text(&sql, " = ?");
	}
	enum err err = sql.overflowed ? ERR_TOO_LARGE : replica_prepare(replica, buf_text(&sql), &table->remove);
	buf_release(&sql);
	return err;
}

static enum err is_pending(struct replica *replica, const char *table, const char *row_id, bool *ret)
{
	enum err err = replica->pending ? OK : replica_prepare(replica, "SELECT 1 FROM sync_outbox WHERE table_name = ? AND row_id = ?", &replica->pending);
	if (err)
		return err;
	sqlite3_bind_text(replica->pending, 1, table, -1, SQLITE_STATIC);
	sqlite3_bind_text(replica->pending, 2, row_id, -1, SQLITE_STATIC);
	int rc = sqlite3_step(replica->pending);
	*ret = rc == SQLITE_ROW;
	sqlite3_reset(replica->pending);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? OK : replica_fail(replica);
}

/* Later edits of this database count as later than everything it has seen. */
static enum err raise_clock(struct replica *replica, int64_t us)
{
	enum err err = replica->raise ? OK : replica_prepare(replica, "UPDATE sync_control SET clock = max(clock, ?)", &replica->raise);
	if (err)
		return err;
	sqlite3_bind_int64(replica->raise, 1, us);
	return step_once(replica, replica->raise);
}

static enum err remove_row(struct replica *replica, struct arena *arena, struct replica_table *table, const char *row_id)
{
	enum err err = prepare_remove(replica, table);
	if (!err)
		err = replica_bind_key(replica, arena, table, table->remove, 1, row_id);
	return err ? err : step_once(replica, table->remove);
}

static enum err write_row(struct replica *replica, struct replica_table *table, const json_t *data, int64_t modified)
{
	enum err err = prepare_upsert(replica, table);
	if (err)
		return err;
	sqlite3_bind_int64(table->upsert, 1, modified);
	for (size_t i = 0; !err && i < json_array_size(table->columns); i++)
		err = replica_bind(replica, table->upsert, (int)i + 2, json_object_get(data, json_text(json_array_get(table->columns, i), "name")));
	return err ? err : step_once(replica, table->upsert);
}

static enum err apply_change(struct replica *replica, struct arena *arena, const json_t *change)
{
	struct replica_table *table = (struct replica_table *)(uintptr_t)replica_table_of(replica, json_text(change, "table"));
	const char *row_id = json_text(change, "rowId"), *time = json_text(change, "lastModifiedAt");
	int64_t modified = 0;
	bool pending = false;
	if (!table)
		return OK; /* of a later version */
	if (!row_id || !time || clock_parse_iso8601(time, &modified))
		return ERR_INVALID;
	enum err err = raise_clock(replica, modified);
	if (!err)
		err = is_pending(replica, table->name, row_id, &pending);
	if (err || pending)
		return err;
	if (json_is_true(json_object_get(change, "deleted")))
		return remove_row(replica, arena, table, row_id);
	return write_row(replica, table, json_object_get(change, "data"), modified);
}

/* The stored row, if there is one, comes with the changes of the same answer. */
static enum err undo_rejected(struct replica *replica, struct arena *arena, const json_t *rejected)
{
	struct replica_table *table = (struct replica_table *)(uintptr_t)replica_table_of(replica, json_text(rejected, "table"));
	const char *row_id = json_text(rejected, "rowId");
	bool pending = false;
	if (!table || !row_id)
		return OK;
	enum err err = is_pending(replica, table->name, row_id, &pending);
	return err || pending ? err : remove_row(replica, arena, table, row_id);
}

static enum err forget_sent(struct replica *replica, const json_t *sent)
{
	sqlite3_stmt *statement = NULL;
	enum err err = replica_prepare(replica, "DELETE FROM sync_outbox WHERE seq = ?", &statement);
	for (size_t i = 0; !err && i < json_array_size(sent); i++) {
		sqlite3_bind_int64(statement, 1, json_integer_value(json_array_get(sent, i)));
		err = step_once(replica, statement);
	}
	sqlite3_finalize(statement);
	return err;
}

static enum err repoint(struct replica *replica, struct arena *arena, const struct replica_table *table, const json_t *columns, const struct replica_table *to,
                        const char *from_id, const char *to_id)
{
	sqlite3_stmt *statement = NULL;
	struct buf sql;
	int count = (int)json_array_size(columns);
	buf_init(&sql, SQL_MAX);
	buf_append_text(&sql, "UPDATE OR IGNORE ");
	quote_identifier(&sql, table->name);
	for (int half = 0; half < 2; half++)
		for (int i = 0; i < count; i++) {
			buf_append_text(&sql, i == 0 ? (half ? " WHERE " : " SET ") : half ? " AND " : ", ");
			quote_identifier(&sql, json_string_value(json_array_get(columns, (size_t)i)));
			buf_append_text(&sql, " = ?");
		}
	enum err err = sql.overflowed ? ERR_TOO_LARGE : replica_prepare(replica, buf_text(&sql), &statement);
	if (!err)
		err = replica_bind_key(replica, arena, to, statement, 1, to_id);
	if (!err)
		err = replica_bind_key(replica, arena, to, statement, 1 + count, from_id);
	if (!err)
		err = step_once(replica, statement);
	sqlite3_finalize(statement);
	buf_release(&sql);
	return err;
}

/* Rows that refer to the row that went into another one follow it; the triggers are on, so that this is pushed. */
static enum err follow_merged(struct replica *replica, struct arena *arena, const json_t *merged)
{
	const struct replica_table *to = replica_table_of(replica, json_text(merged, "table"));
	const char *from_id = json_text(merged, "rowId"), *to_id = json_text(merged, "mergedInto");
	enum err err = OK;
	if (!to || !from_id || !to_id)
		return OK;
	for (size_t t = 0; !err && t < replica->table_count; t++)
		for (size_t r = 0; !err && r < json_array_size(replica->tables[t].references); r++) {
			const json_t *reference = json_array_get(replica->tables[t].references, r);
			if (text_equal(json_text(reference, "table"), to->name))
				err = repoint(replica, arena, &replica->tables[t], json_object_get(reference, "columns"), to, from_id, to_id);
		}
	return err;
}

/* Applies do_one to every item of a list of the answer. */
static enum err each(struct replica *replica, struct arena *arena, const json_t *answer, const char *list,
                     enum err (*do_one)(struct replica *replica, struct arena *arena, const json_t *item), int64_t *count)
{
	const json_t *items = json_object_get(answer, list);
	enum err err = OK;
	for (size_t i = 0; !err && i < json_array_size(items); i++)
		err = do_one(replica, arena, json_array_get(items, i));
	*count += err ? 0 : (int64_t)json_array_size(items);
	return err;
}

enum err replica_apply(struct replica *replica, struct arena *arena, const json_t *answer, const json_t *sent, struct replica_counts *counts)
{
	struct replica_counts made = *counts;
	enum err err = replica_run(replica, "BEGIN IMMEDIATE");
	if (err)
		return err;
	err = replica_run(replica, "UPDATE sync_control SET disabled = 1");
	if (!err && sent)
		err = forget_sent(replica, sent);
	if (!err)
		err = each(replica, arena, answer, "rejected", undo_rejected, &made.rejected);
	if (!err)
		err = each(replica, arena, answer, "changes", apply_change, &made.pulled);
	if (!err)
		err = replica_run(replica, "UPDATE sync_control SET disabled = 0");
	if (!err)
		err = each(replica, arena, answer, "merged", follow_merged, &made.merged);
	if (!err)
		err = replica_run(replica, "COMMIT");
	if (err)
		(void)sqlite3_exec(replica->db, "ROLLBACK", NULL, NULL, NULL);
	else
		*counts = made;
	return err;
}
