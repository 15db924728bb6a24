/*
 * Two rows with one natural key, made on two devices that did not hear of each other, are one row: the one that was there first keeps its id
 * and takes the newer values; the other becomes a tombstone, and its client is told where it went.
 * Called by push.c for a row that PostgreSQL refused as a duplicate, behind its savepoint.
 * Must never merge rows of two scopes: every statement here names the scope, and row-level security stands behind it.
 */
#include "handlers/sync/sync.h"

#include <string.h>

enum { ROW_ID_MAX = SCHEMA_SYNC_KEYS_MAX * (SYNC_KEY_MAX * 6 + 128) }; /* every byte escaped */

static size_t place_of(const struct schema_sync *sync, const struct schema_column *column)
{
	for (size_t i = 0; i < sync->key_count; i++)
		if (sync->key[i] == column)
			return i;
	for (size_t i = 0; i < sync->value_count; i++)
		if (sync->values[i] == column)
			return sync->key_count + i;
	return 0;
}

static enum err look_for_twin(struct sync_call *call, const struct sync_row *row, size_t twin, struct pg_rows *ret)
{
	const struct sync_table *synced = &call->app->tables[row->table];
	const struct schema_sync *sync = synced->table->sync;
	const struct schema_index *index = synced->twins[twin];
	const char *values[1 + SCHEMA_KEYS_MAX + SCHEMA_SYNC_KEYS_MAX] = {call->scope};
	size_t n = 1;
	for (size_t i = 0; i < index->count; i++) {
		values[n] = row->values[place_of(sync, index->columns[i])];
		if (!values[n++]) { /* nothing equals nothing */
			ret->count = 0;
			return OK;
		}
	}
	for (size_t i = 0; i < sync->key_count; i++)
		values[n++] = row->values[i];
	return pg_query_generated(call->pg, call->arena, synced->first_slot + (unsigned)(SYNC_TWIN + twin), synced->sql[SYNC_TWIN + twin], (int)n, values, ret);
}

static bool is_newer(const struct sync_call *call, const struct sync_row *row, int64_t modified, const char *device)
{
	int64_t latest = call->version + call->request->gate->config->sync_future_s * 1000000;
	int64_t own = row->modified < latest ? row->modified : latest;
	return own > modified || (own == modified && strcmp(call->device, device) > 0);
}

/* A row id as it travels: the key itself, or an object of its columns. */
static const char *row_id(struct sync_call *call, const struct schema_sync *sync, const char *const *key)
{
	struct json_writer w;
	struct buf out;
	if (sync->key_count == 1)
		return key[0];
	buf_init(&out, ROW_ID_MAX);
	json_start(&w, &out);
	json_object_open(&w, NULL);
	for (size_t i = 0; i < sync->key_count; i++) {
		bool number = sync->key[i]->type == SCHEMA_INTEGER || sync->key[i]->type == SCHEMA_BIGINT;
		if (number)
			json_put_raw(&w, sync->key[i]->name, key[i]);
		else
			json_put_text(&w, sync->key[i]->name, key[i]);
	}
	json_object_close(&w);
	const char *text = arena_strdup(call->arena, buf_text(&out));
	buf_release(&out);
	return text;
}

/* Where the row goes, and as what. */
struct merging {
	struct sync_row tombstone, moved;
	bool moves; /* its values are the newer ones */
};

static enum err prepare(struct sync_call *call, const struct sync_row *row, const struct pg_rows *twin, struct merging *ret)
{
	const struct schema_table *table = call->app->tables[row->table].table;
	size_t keys = table->sync->key_count;
	const char **gone = arena_array(call->arena, sync_columns(table), sizeof(*gone));
	const char **moved = arena_array(call->arena, sync_columns(table), sizeof(*moved));
	if (!gone || !moved)
		return ERR_TOO_LARGE;
	memcpy(gone, row->values, keys * sizeof(*gone));
	memcpy(moved, row->values, sync_columns(table) * sizeof(*moved));
	for (size_t i = 0; i < keys; i++)
		moved[i] = pg_text(twin, 0, (int)i);
	*ret = (struct merging){.tombstone = *row, .moved = *row};
	ret->tombstone.values = gone;
	ret->tombstone.mask = NULL;
	ret->tombstone.deleted = true;
	ret->moved.values = moved;
	ret->moves = is_newer(call, row, pg_i64(twin, 0, (int)keys), pg_text(twin, 0, (int)keys + 1));
	return OK;
}

static enum err note(struct sync_call *call, const struct sync_row *row, const struct merging *merging)
{
	const struct schema_sync *sync = call->app->tables[row->table].table->sync;
	if (!call->merges)
		call->merges = arena_array(call->arena, call->row_count, sizeof(*call->merges));
	if (!call->merges)
		return ERR_TOO_LARGE;
	call->merges[call->merge_count++] = (struct sync_merge){row, merging->moved.values, row_id(call, sync, merging->moved.values)};
	return OK;
}

enum err sync_merge_row(struct sync_call *call, struct sync_row *row)
{
	const struct sync_table *synced = &call->app->tables[row->table];
	struct sync_row *one = NULL;
	struct merging merging;
	struct pg_rows twin = {0};
	enum err err = OK;
	for (size_t i = 0; !err && !twin.count && i < synced->twin_count; i++)
		err = look_for_twin(call, row, i, &twin);
	if (err)
		return err;
	if (!twin.count) { /* it is not the natural key of a row that can be seen */
		row->code = REJECT_UNIQUE_TAKEN;
		return OK;
	}
	err = prepare(call, row, &twin, &merging);
	if (err)
		return err;
	one = &merging.tombstone;
	err = sync_write(call, row->table, SYNC_PUSH, &one, 1);
	one = &merging.moved;
	if (!err && merging.moves)
		err = sync_write(call, row->table, row->mask ? SYNC_PATCH : SYNC_PUSH, &one, 1);
	if (err && sync_is_row_failure(call->pg)) {
		row->code = REJECT_UNIQUE_TAKEN;
		return pg_script(call->pg, "ROLLBACK TO SAVEPOINT sync_rows");
	}
	row->returned = true;
	return err ? err : note(call, row, &merging);
}
