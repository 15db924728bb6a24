/*
 * The changes of a push: each is checked against the declaration, by itself, before PostgreSQL sees any of them.
 * Called by sync.c once per call.
 * Must never refuse a push for what is wrong with one row, nor take a column, a table or an owner from it that the declaration
 * and the token do not give.
 */
#include "handlers/sync/sync.h"

#include "core/base/clock.h"

#include <string.h>

/* What clients keep beside the columns of a table, and may send with them. */
static const char *const ignored[] = {"last_modified_at", "device_id", "deleted", "server_seq", NULL};

static bool is_ignored(const char *name)
{
	for (size_t i = 0; ignored[i]; i++)
		if (text_equal(ignored[i], name))
			return true;
	return false;
}

static bool find_table(const struct sync_call *call, const char *name, unsigned *ret)
{
	for (size_t t = 0; name && t < call->app->count; t++)
		if (text_equal(call->app->tables[t].table->name, name)) {
			*ret = (unsigned)t;
			return true;
		}
	return false;
}

/* The place of a column among key and values; -1 for none. */
static int place_of(const struct schema_sync *sync, const char *name)
{
	for (size_t i = 0; i < sync->key_count; i++)
		if (text_equal(sync->key[i]->name, name))
			return (int)i;
	for (size_t i = 0; i < sync->value_count; i++)
		if (text_equal(sync->values[i]->name, name))
			return (int)(sync->key_count + i);
	return -1;
}

/* The columns of a key of several: an object, or a text that holds one. */
static const json_t *key_object(const struct sync_call *call, const json_t *row_id)
{
	json_t *parsed = NULL;
	if (json_is_object(row_id))
		return row_id;
	if (!json_is_string(row_id) || json_parse(call->arena, json_string_value(row_id), json_string_length(row_id), &parsed, NULL))
		return NULL;
	return json_is_object(parsed) ? parsed : NULL;
}

static enum rejection read_key(const struct sync_call *call, struct sync_row *row, const struct schema_sync *sync)
{
	const json_t *row_id = json_object_get(row->change, "rowId");
	const json_t *object = sync->key_count > 1 ? key_object(call, row_id) : NULL;
	if (sync->key_count > 1 && (!object || json_object_size(object) != sync->key_count))
		return REJECT_INVALID_ROW_ID;
	for (size_t i = 0; i < sync->key_count; i++) {
		const json_t *value = object ? json_object_get(object, sync->key[i]->name) : row_id;
		if (sync_value(call->arena, sync->key[i], value, &row->values[i]) != REJECT_NONE || !row->values[i] || strlen(row->values[i]) > SYNC_KEY_MAX)
			return REJECT_INVALID_ROW_ID;
	}
	return REJECT_NONE;
}

static enum rejection read_member(const struct sync_call *call, struct sync_row *row, const struct schema_table *table, const char *name,
                                  const json_t *value, char *mask)
{
	const struct schema_sync *sync = table->sync;
	const char *text = NULL;
	int place = place_of(sync, name);
	if (place < 0 && table->scope && text_equal(name, table->scope->name))
		return text_equal(json_string_value(value), call->scope) ? REJECT_NONE : REJECT_FORGED_SCOPE;
	if (place < 0)
		return is_ignored(name) ? REJECT_NONE : REJECT_UNKNOWN_COLUMN;
	bool key = (size_t)place < sync->key_count;
	if (!key && row->deleted)
		return REJECT_NONE;
	const struct schema_column *column = key ? sync->key[place] : sync->values[(size_t)place - sync->key_count];
	enum rejection why = sync_value(call->arena, column, value, &text);
	if (why)
		return why;
	if (key)
		return text_equal(text, row->values[place]) ? REJECT_NONE : REJECT_ROW_MISMATCH;
	if (column->required && !text)
		return REJECT_REQUIRED;
	row->values[place] = text;
	mask[(size_t)place - sync->key_count] = '1';
	return REJECT_NONE;
}

static enum rejection check_size(const struct schema_sync *sync, const struct sync_row *row)
{
	size_t bytes = 0;
	for (size_t i = 0; i < sync->key_count + sync->value_count; i++)
		bytes += row->values[i] ? strlen(row->values[i]) : 0;
	return bytes > SYNC_ROW_MAX ? REJECT_ROW_TOO_LARGE : REJECT_NONE;
}

/* A natural key stands in an index, which has no room for long texts. */
static enum rejection check_natural_keys(const struct sync_table *synced, const struct sync_row *row)
{
	for (size_t t = 0; t < synced->twin_count; t++)
		for (size_t i = 0; i < synced->twins[t]->count; i++) {
			const char *text = row->values[place_of(synced->table->sync, synced->twins[t]->columns[i]->name)];
			if (text && strlen(text) > SYNC_KEY_MAX)
				return REJECT_TOO_LONG;
		}
	return REJECT_NONE;
}

static enum rejection read_data(const struct sync_call *call, struct sync_row *row, const struct sync_table *synced)
{
	const struct schema_table *table = synced->table;
	json_t *data = json_object_get(row->change, "data"), *value = NULL;
	size_t values = table->sync->value_count;
	char *mask = arena_alloc(call->arena, values + 1);
	const char *name = NULL;
	if (!mask)
		return REJECT_NONE; /* the arena remembers */
	memset(mask, '0', values);
	if (!json_is_object(data) && !(row->deleted && (!data || json_is_null(data))))
		return REJECT_INVALID_CHANGE;
	json_object_foreach (data, name, value) {
		enum rejection why = read_member(call, row, table, name, value, mask);
		if (why)
			return why;
	}
	if (!row->deleted && memchr(mask, '0', values))
		row->mask = mask;
	enum rejection why = check_size(table->sync, row);
	return why ? why : check_natural_keys(synced, row);
}

static bool read_deleted(const json_t *change, bool *ret)
{
	const json_t *deleted = json_object_get(change, "deleted");
	const char *operation = json_text(change, "operation");
	*ret = json_is_true(deleted) || (json_is_integer(deleted) && json_integer_value(deleted) == 1) || text_equal(operation, "DELETE");
	return !deleted || json_is_null(deleted) || json_is_boolean(deleted) || (json_is_integer(deleted) && json_integer_value(deleted) / 2 == 0);
}

static enum rejection read_change(const struct sync_call *call, struct sync_row *row)
{
	const char *time = json_text(row->change, "lastModifiedAt");
	if (!json_is_object(row->change) || !read_deleted(row->change, &row->deleted))
		return REJECT_INVALID_CHANGE;
	if (!find_table(call, json_text(row->change, "table"), &row->table))
		return REJECT_UNKNOWN_TABLE;
	const struct sync_table *synced = &call->app->tables[row->table];
	if (!synced->table->scope)
		return REJECT_READ_ONLY;
	row->values = arena_array(call->arena, sync_columns(synced->table), sizeof(*row->values));
	if (!row->values)
		return REJECT_NONE; /* the arena remembers */
	enum rejection why = read_key(call, row, synced->table->sync);
	row->known = !why;
	if (!why && (!time || clock_parse_iso8601(time, &row->modified)))
		why = REJECT_INVALID_TIMESTAMP;
	return why ? why : read_data(call, row, synced);
}

enum err sync_read_changes(struct sync_call *call)
{
	call->row_count = json_array_size(call->changes);
	call->rows = arena_array(call->arena, call->row_count, sizeof(*call->rows));
	if (!call->rows)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < call->row_count; i++) {
		struct sync_row *row = &call->rows[i];
		row->change = json_array_get(call->changes, i);
		row->table = SYNC_NO_TABLE;
		row->code = read_change(call, row);
	}
	return call->arena->exhausted ? ERR_TOO_LARGE : OK;
}
