/*
 * The changes of an answer: rows that the client must be sent as they are stored, then a page of what changed since it last asked, table by
 * table, parents first, along the index of (scope, server_seq, key).
 * Called by sync.c inside its transaction.
 * Must never leave out a row between `since` and `bound`: a page ends at a place, and the next one goes on right behind it.
 */
#include "handlers/sync/sync.h"

#include "core/base/metrics.h"

#include <string.h>

enum { CHUNK_FIRST = 20, CHUNK_MAX = 500, CHUNK_BYTES = 1 << 20, RETURNED_CHUNK = 8 };

static void put_change(struct sync_call *call, struct json_writer *w, const struct schema_table *table, const struct pg_rows *rows, int row)
{
	json_object_open(w, NULL);
	json_put_text(w, "table", table->name);
	json_put_text(w, "rowId", pg_text(rows, row, SYNC_COLUMN_ROW_ID));
	json_put_raw(w, "data", pg_text(rows, row, SYNC_COLUMN_DATA));
	json_put_bool(w, "deleted", pg_bool(rows, row, SYNC_COLUMN_DELETED));
	json_put_text(w, "lastModifiedAt", sync_time(call->arena, pg_i64(rows, row, SYNC_COLUMN_MODIFIED)));
	json_put_i64(w, "serverSeq", pg_i64(rows, row, SYNC_COLUMN_SEQ));
	json_object_close(w);
}

static void remember_place(struct sync_call *call, size_t table, const struct pg_rows *rows, int row)
{
	const struct schema_sync *sync = call->app->tables[table].table->sync;
	call->place.table = table;
	call->place.seq = pg_i64(rows, row, SYNC_COLUMN_SEQ);
	for (size_t i = 0; i < sync->key_count; i++)
		call->place.key[i] = pg_text(rows, row, SYNC_COLUMN_KEY + (int)i);
}

/* Up to limit rows of one table; behind call->place when `after`. */
static enum err read_rows(struct sync_call *call, size_t t, bool after, int64_t limit, struct pg_rows *ret)
{
	const struct sync_table *synced = &call->app->tables[t];
	const struct schema_sync *sync = synced->table->sync;
	/* A table that got columns with the client's new version is told again from the beginning: the client has none of their values. */
	bool again = call->migrated_from && sync->since <= call->migrated_from;
	bool grew = false;
	for (size_t i = 0; again && i < sync->value_count; i++)
		grew = grew || sync->values[i]->since > call->migrated_from;
	int64_t since = grew || (call->migrated_from && sync->since > call->migrated_from) ? 0 : call->since;
	const char *values[4 + SCHEMA_SYNC_KEYS_MAX] = {call->scope, pg_number(call->arena, after ? call->place.seq : since), pg_number(call->arena, call->bound),
	                                                pg_number(call->arena, limit)};
	for (size_t i = 0; i < sync->key_count; i++)
		values[4 + i] = call->place.key[i];
	enum sync_statement kind = after ? SYNC_AFTER : SYNC_START;
	return pg_query_generated(call->pg, call->arena, synced->first_slot + kind, synced->sql[kind], (int)(4 + (after ? sync->key_count : 0)), values, ret);
}

/* Rows are asked for in pieces whose size follows from that of the rows before, so that no piece is large in memory. */
static int64_t next_chunk(const struct json_writer *w, size_t before, int count)
{
	size_t bytes = count > 0 ? (w->out->len - before) / (size_t)count + 1 : CHUNK_BYTES;
	size_t rows = CHUNK_BYTES / bytes;
	return (int64_t)(rows < CHUNK_FIRST ? CHUNK_FIRST : rows > CHUNK_MAX ? CHUNK_MAX : rows);
}

/* Writes rows until the answer is long enough. Returns how many it wrote. */
static int put_rows(struct sync_call *call, struct json_writer *w, size_t t, const struct pg_rows *rows)
{
	int i = 0;
	while (i < rows->count && w->out->len <= SYNC_ANSWER_SOFT_MAX)
		put_change(call, w, call->app->tables[t].table, rows, i++);
	metrics_add(METRIC_SYNC_PULLED, i);
	if (i > 0)
		remember_place(call, t, rows, i - 1);
	return i;
}

/* One table, as far as the page goes. *rest: rows that the page still takes; 0 ends it. */
static enum err pull_table(struct sync_call *call, struct json_writer *w, size_t t, bool after, int64_t *rest)
{
	int64_t chunk = CHUNK_FIRST;
	for (;;) {
		int64_t limit = *rest < chunk ? *rest : chunk;
		size_t before = w->out->len;
		struct pg_rows rows;
		enum err err = read_rows(call, t, after, limit, &rows);
		if (err)
			return err;
		int written = put_rows(call, w, t, &rows);
		*rest -= written;
		if (written < rows.count)
			*rest = 0;
		if (written < limit || *rest == 0)
			return OK;
		after = true;
		chunk = next_chunk(w, before, written);
	}
}

/* Which tables have anything to tell at all: one statement instead of one per table. */
static enum err find_changed(struct sync_call *call, bool *changed)
{
	struct pg_rows rows;
	memset(changed, call->migrated_from != 0, call->app->count * sizeof(*changed));
	enum err err = pg_query_generated(call->pg, call->arena, call->app->changed_slot, call->app->changed_sql, 3,
	                                  PG_VALUES(call->scope, pg_number(call->arena, call->since), pg_number(call->arena, call->bound)), &rows);
	for (int i = 0; !err && i < rows.count; i++)
		changed[pg_i64(&rows, i, 0)] = true;
	return err;
}

static void put_revocation(struct json_writer *w, const struct pg_rows *rows, int row, const char *time)
{
	json_object_open(w, NULL);
	json_put_text(w, "table", pg_text(rows, row, 0));
	json_put_text(w, "rowId", pg_text(rows, row, 1));
	json_put_raw(w, "data", pg_text(rows, row, 2));
	json_put_bool(w, "deleted", true);
	json_put_text(w, "lastModifiedAt", time);
	json_put_i64(w, "serverSeq", pg_i64(rows, row, 3));
	json_object_close(w);
}

/* Rows that went to another scope. A client that starts anew has none of them. */
static enum err pull_revocations(struct sync_call *call, struct json_writer *w, bool after, int64_t *rest)
{
	struct pg_rows rows;
	if (call->since == 0)
		return OK;
	enum err err = pg_query(call->pg, call->arena, STMT_SYNC_REVOCATIONS,
	                        PG_VALUES(call->app->app->name, call->scope, pg_number(call->arena, call->since), pg_number(call->arena, call->bound),
	                                  pg_number(call->arena, after ? call->place.seq : 0), after ? call->place.key[0] : "", after ? call->place.key[1] : "",
	                                  pg_number(call->arena, *rest)),
	                        &rows);
	for (int i = 0; !err && i < rows.count; i++)
		put_revocation(w, &rows, i, sync_time(call->arena, pg_i64(&rows, i, 3)));
	if (!err && rows.count == *rest) {
		int last = rows.count - 1;
		call->place = (struct sync_place){.table = call->app->count, .seq = pg_i64(&rows, last, 3), .key = {pg_text(&rows, last, 0), pg_text(&rows, last, 1)}};
	}
	if (!err)
		*rest -= rows.count;
	return err;
}

enum err sync_pull(struct sync_call *call, struct json_writer *w, bool *ret_more)
{
	int64_t rest = call->page_size;
	size_t first = call->paging ? call->place.table : 0;
	bool *changed = arena_array(call->arena, call->app->count, sizeof(*changed));
	*ret_more = false;
	if (!changed)
		return ERR_TOO_LARGE;
	if (call->since >= call->bound && !call->migrated_from)
		return OK;
	enum err err = find_changed(call, changed);
	for (size_t t = first; !err && rest && t < call->app->count; t++)
		if (changed[t])
			err = pull_table(call, w, t, call->paging && t == first, &rest);
	if (!err && rest)
		err = pull_revocations(call, w, call->paging && first == call->app->count, &rest);
	*ret_more = rest == 0;
	return err;
}

/* ------------------------------------------------------------------------------------------ rows as they are stored */

/* A row that was rejected is sent as it is stored, too, so that the client can undo its change. */
static bool is_wanted(const struct sync_row *row, unsigned table)
{
	return row->table == table && row->known && (row->returned || row->code != REJECT_NONE);
}

/* Gathers what is to be sent of one table: rows of the push, and those that others were merged into. */
static size_t gather(const struct sync_call *call, unsigned table, struct sync_row **room, struct sync_row *merged)
{
	size_t count = 0, used = 0;
	for (size_t i = 0; i < call->row_count; i++)
		if (is_wanted(&call->rows[i], table))
			room[count++] = &call->rows[i];
	for (size_t i = 0; i < call->merge_count; i++)
		if (call->merges[i].row->table == table) {
			merged[used] = (struct sync_row){.table = table, .values = call->merges[i].key};
			room[count++] = &merged[used++];
		}
	return count;
}

static enum err fetch(struct sync_call *call, unsigned table, struct sync_row *const *rows, size_t count, struct pg_rows *ret)
{
	const struct sync_table *synced = &call->app->tables[table];
	size_t keys = synced->table->sync->key_count;
	const char *values[1 + SCHEMA_SYNC_KEYS_MAX] = {call->scope};
	enum err err = sync_arrays(call->arena, rows, count, 0, keys, values + 1);
	return err ? err : pg_query_generated(call->pg, call->arena, synced->first_slot + SYNC_FETCH, synced->sql[SYNC_FETCH], (int)(1 + keys), values, ret);
}

/* Too many to send at once: they count as changed now, and come with the pages like everything else. */
static enum err touch(struct sync_call *call, unsigned table, struct sync_row *const *rows, size_t count)
{
	const struct sync_table *synced = &call->app->tables[table];
	size_t keys = synced->table->sync->key_count;
	const char *values[2 + SCHEMA_SYNC_KEYS_MAX] = {call->scope, pg_number(call->arena, call->version)};
	if (!call->paging)
		call->bound = call->version;
	enum err err = sync_arrays(call->arena, rows, count, 0, keys, values + 2);
	return err ? err : pg_query_generated(call->pg, call->arena, synced->first_slot + SYNC_TOUCH, synced->sql[SYNC_TOUCH], (int)(2 + keys), values, NULL);
}

/* In the pages of this very pull. */
static bool comes_anyway(const struct sync_call *call, int64_t seq)
{
	return !call->paging && seq > call->since && seq <= call->bound;
}

static enum err put_table(struct sync_call *call, struct json_writer *w, unsigned table, struct sync_row *const *rows, size_t count)
{
	for (size_t done = 0; done < count;) {
		size_t n = count - done < RETURNED_CHUNK ? count - done : RETURNED_CHUNK;
		struct pg_rows stored;
		if (w->out->len > SYNC_ANSWER_SOFT_MAX / 2)
			return touch(call, table, rows + done, count - done);
		enum err err = fetch(call, table, rows + done, n, &stored);
		for (int i = 0; !err && i < stored.count; i++)
			if (!comes_anyway(call, pg_i64(&stored, i, SYNC_COLUMN_SEQ)))
				put_change(call, w, call->app->tables[table].table, &stored, i);
		if (err)
			return err;
		metrics_add(METRIC_SYNC_PULLED, stored.count);
		done += n;
	}
	return OK;
}

enum err sync_put_returned(struct sync_call *call, struct json_writer *w)
{
	struct sync_row **room = arena_array(call->arena, call->row_count + call->merge_count + 1, sizeof(struct sync_row *));
	struct sync_row *merged = arena_array(call->arena, call->merge_count + 1, sizeof(*merged));
	enum err err = room && merged ? OK : ERR_TOO_LARGE;
	for (unsigned t = 0; !err && t < call->app->count; t++) {
		size_t count = gather(call, t, room, merged);
		if (count)
			err = put_table(call, w, t, room, count);
	}
	return err;
}
