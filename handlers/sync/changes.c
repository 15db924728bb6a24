/*
 * The changes of a push: each is checked against the declaration, by itself, before PostgreSQL sees any of them.
 * Called by sync.c once per call.
 * Must never refuse a push for what is wrong with one row, nor take a column, a table or an owner from it that the declaration
 * and the token do not give.
 */
#include "handlers/sync/sync.h"

#include "core/base/clock.h"
#include "core/crypto/digest.h"

#include <string.h>

enum { DIGEST_MAX = 8 << 20 };

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
static const struct json_node *key_object(const struct sync_call *call, const struct json_node *row_id)
{
	const struct json_node *parsed = row_id;
	if (json_is(row_id, JSON_KIND_TEXT)) {
		char *copy = arena_copy(call->arena, row_id->text, row_id->n);
		if (!copy || json_tree_parse(call->arena, copy, row_id->n, &parsed))
			return NULL;
	}
	return json_is(parsed, JSON_KIND_OBJECT) ? parsed : NULL;
}

static enum rejection read_key(const struct sync_call *call, struct sync_row *row, const struct schema_sync *sync)
{
	const struct json_node *row_id = json_member(row->change, "rowId");
	const struct json_node *object = sync->key_count > 1 ? key_object(call, row_id) : NULL;
	if (sync->key_count > 1 && (!object || object->n != sync->key_count))
		return REJECT_INVALID_ROW_ID;
	for (size_t i = 0; i < sync->key_count; i++) {
		const struct json_node *value = object ? json_member(object, sync->key[i]->name) : row_id;
		if (sync_value(call->arena, sync->key[i], value, &row->values[i]) != REJECT_NONE || !row->values[i] || strlen(row->values[i]) > SYNC_KEY_MAX)
			return REJECT_INVALID_ROW_ID;
	}
	return REJECT_NONE;
}

static enum rejection read_member(const struct sync_call *call, struct sync_row *row, const struct schema_table *table, const char *name,
                                  const struct json_node *value, char *mask)
{
	const struct schema_sync *sync = table->sync;
	const char *text = NULL;
	int place = place_of(sync, name);
	if (place < 0 && table->scope && text_equal(name, table->scope->name))
		return text_equal(json_node_text(value), call->scope) ? REJECT_NONE : REJECT_FORGED_SCOPE;
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
	char *said = &mask[(size_t)place - sync->key_count];
	if (*said == '1') /* it stands twice */
		return REJECT_INVALID_CHANGE;
	row->values[place] = text;
	*said = '1';
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
	const struct json_node *data = json_member(row->change, "data");
	size_t values = table->sync->value_count;
	char *mask = arena_alloc(call->arena, values + 1);
	if (!mask)
		return REJECT_NONE; /* the arena remembers */
	memset(mask, '0', values);
	bool object = json_is(data, JSON_KIND_OBJECT);
	if (!object && !(row->deleted && (!data || data->kind == JSON_KIND_NULL)))
		return REJECT_INVALID_CHANGE;
	for (const struct json_node *name = object ? json_first(data) : NULL; object && name < json_end(data); name += 1 + name[1].size) {
		enum rejection why = json_is_whole_text(name) ? read_member(call, row, table, name->text, name + 1, mask) : REJECT_UNKNOWN_COLUMN;
		if (why)
			return why;
	}
	if (!row->deleted && memchr(mask, '0', values))
		row->mask = mask;
	enum rejection why = check_size(table->sync, row);
	return why ? why : check_natural_keys(synced, row);
}

/* true, false, 1, 0, null, or not said; an operation DELETE says it, too. */
static bool read_deleted(const struct json_node *change, bool *ret)
{
	const struct json_node *deleted = json_member(change, "deleted");
	bool digit = json_is(deleted, JSON_KIND_NUMBER) && deleted->n == 1 && (*deleted->text == '0' || *deleted->text == '1');
	*ret = json_is(deleted, JSON_KIND_TRUE) || (digit && *deleted->text == '1') || text_equal(json_node_text(json_member(change, "operation")), "DELETE");
	return !deleted || deleted->kind <= JSON_KIND_TRUE || digit;
}

/* No member that we look at may stand twice: which of the two would be meant? */
static bool is_change(const struct json_node *change)
{
	static const char *const names[] = {"table", "rowId", "data", "deleted", "operation", "lastModifiedAt"};
	for (size_t i = 0; json_is(change, JSON_KIND_OBJECT) && i < sizeof(names) / sizeof(names[0]); i++) {
		size_t count = 0;
		for (const struct json_node *name = json_first(change); name < json_end(change); name += 1 + name[1].size)
			count += text_equal(name->text, names[i]);
		if (count > 1)
			return false;
	}
	return json_is(change, JSON_KIND_OBJECT);
}

static enum rejection read_change(const struct sync_call *call, struct sync_row *row)
{
	const char *time = json_node_text(json_member(row->change, "lastModifiedAt"));
	if (!is_change(row->change) || !read_deleted(row->change, &row->deleted))
		return REJECT_INVALID_CHANGE;
	if (!find_table(call, json_node_text(json_member(row->change, "table")), &row->table))
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

static void digest_text(struct sha256 *hash, const char *text)
{
	size_t n = text ? strlen(text) : 0;
	uint64_t length = text ? n : UINT64_MAX;
	sha256_update(hash, &length, sizeof(length));
	sha256_update(hash, text, n);
}

/* What a row says, however it was written down; of one that is rejected, as it was written. */
static void digest_row(struct sha256 *hash, const struct sync_call *call, const struct sync_row *row)
{
	uint64_t head[] = {row->table, row->code, row->deleted, (uint64_t)row->modified};
	struct buf written;
	sha256_update(hash, head, sizeof(head));
	if (row->code == REJECT_NONE) {
		const struct schema_table *table = call->app->tables[row->table].table;
		digest_text(hash, row->mask);
		for (size_t i = 0; i < sync_columns(table); i++)
			digest_text(hash, row->values[i]);
		return;
	}
	buf_init(&written, DIGEST_MAX);
	json_tree_write(&written, row->change);
	digest_text(hash, buf_text(&written));
	buf_release(&written);
}

/* By this a request that is asked again is told from another one with the same requestId. */
static enum err make_digest(struct sync_call *call)
{
	uint8_t digest[SHA256_SIZE];
	struct sha256 hash;
	enum err err = sha256_init(&hash);
	for (size_t i = 0; !err && i < call->row_count; i++)
		digest_row(&hash, call, &call->rows[i]);
	if (!err) {
		sha256_final(&hash, digest);
		hex_encode(digest, sizeof(digest), call->digest);
	}
	sha256_release(&hash);
	return err;
}

enum err sync_read_changes(struct sync_call *call)
{
	call->row_count = call->changes ? call->changes->n : 0;
	call->rows = arena_array(call->arena, call->row_count, sizeof(*call->rows));
	if (!call->rows)
		return ERR_TOO_LARGE;
	const struct json_node *change = call->row_count ? json_first(call->changes) : NULL;
	for (size_t i = 0; i < call->row_count; i++, change += change->size) {
		struct sync_row *row = &call->rows[i];
		row->change = change;
		row->table = SYNC_NO_TABLE;
		row->code = read_change(call, row);
	}
	if (call->arena->exhausted)
		return ERR_TOO_LARGE;
	return call->request_id && call->row_count ? make_digest(call) : OK;
}
