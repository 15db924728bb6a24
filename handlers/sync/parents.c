/*
 * Rows that refer to rows: what they refer to is there already, or comes with them and is itself taken. Rows for which neither holds are
 * rejected, and then those that refer to them, until nothing changes.
 * Called by push.c in the careful run, under the lock of the scope, so that what is found stays so until the commit.
 * Must never reject a row whose parent comes later in the same push: a circle is fine.
 */
#include "handlers/sync/sync.h"

#include <string.h>

enum { FAMILY_MAX = 64 << 20 };

/* One reference of one row. */
struct link {
	struct sync_row *row;
	unsigned to;
	const char *key[SCHEMA_SYNC_KEYS_MAX];
	bool stored;
};

struct family {
	struct sync_call *call;
	struct arena arena; /* for as long as this takes: a push may come here several times */
	struct link *links;
	size_t count;
	struct sync_row **slots; /* rows by table and key, open addressing */
	size_t slot_count;       /* a power of two */
};

static size_t hash_of(unsigned table, const char *const *key, size_t count)
{
	uint64_t hash = 14695981039346656037ULL ^ table;
	for (size_t i = 0; i < count; i++)
		for (const char *p = key[i];; p++) {
			hash = (hash ^ (unsigned char)*p) * 1099511628211ULL;
			if (!*p)
				break;
		}
	return (size_t)(hash ^ hash >> 29);
}

static bool same_key(const char *const *a, const char *const *b, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!text_equal(a[i], b[i]))
			return false;
	return true;
}

static bool is_live(const struct sync_row *row)
{
	return row->code == REJECT_NONE && !row->dropped;
}

static size_t key_count(const struct family *family, unsigned table)
{
	return family->call->app->tables[table].table->sync->key_count;
}

/* The same row may stand there more than once: one that is taken is enough. */
static bool comes_with(const struct family *family, unsigned table, const char *const *key)
{
	size_t n = key_count(family, table);
	for (size_t at = hash_of(table, key, n) & (family->slot_count - 1); family->slots[at]; at = (at + 1) & (family->slot_count - 1)) {
		const struct sync_row *row = family->slots[at];
		if (row->table == table && is_live(row) && same_key(row->values, key, n))
			return true;
	}
	return false;
}

static enum err index_rows(struct family *family)
{
	struct sync_call *call = family->call;
	family->slot_count = 16;
	while (family->slot_count < call->row_count * 2)
		family->slot_count *= 2;
	family->slots = arena_array(&family->arena, family->slot_count, sizeof(struct sync_row *));
	if (!family->slots)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < call->row_count; i++) {
		struct sync_row *row = &call->rows[i];
		if (!is_live(row))
			continue;
		size_t at = hash_of(row->table, row->values, key_count(family, row->table)) & (family->slot_count - 1);
		while (family->slots[at])
			at = (at + 1) & (family->slot_count - 1);
		family->slots[at] = row;
	}
	return OK;
}

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

static unsigned number_of(const struct sync_app *app, const struct schema_table *table)
{
	for (unsigned t = 0; t < app->count; t++)
		if (app->tables[t].table == table)
			return t;
	return 0;
}

/* A reference of which one column is empty refers to nothing. */
static void add_link(struct family *family, struct sync_row *row, const struct schema_reference *reference)
{
	const struct schema_table *table = family->call->app->tables[row->table].table;
	struct link *link = &family->links[family->count];
	size_t n = 0;
	for (size_t i = 0; i < reference->count; i++) {
		if (reference->from[i] == table->scope)
			continue;
		link->key[n] = row->values[place_of(table->sync, reference->from[i])];
		if (!link->key[n++])
			return;
	}
	link->row = row;
	link->to = number_of(family->call->app, reference->table);
	family->count++;
}

static enum err collect(struct family *family)
{
	struct sync_call *call = family->call;
	size_t max = 0;
	for (size_t i = 0; i < call->row_count; i++)
		max += is_live(&call->rows[i]) ? call->app->tables[call->rows[i].table].table->reference_count : 0;
	family->links = arena_array(&family->arena, max + 1, sizeof(*family->links));
	if (!family->links)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < call->row_count; i++) {
		struct sync_row *row = &call->rows[i];
		const struct schema_table *table = is_live(row) ? call->app->tables[row->table].table : NULL;
		for (size_t r = 0; table && r < table->reference_count; r++)
			add_link(family, row, &table->references[r]);
	}
	return OK;
}

/* Asks which of the rows that are referred to in one table are stored. */
static enum err ask(struct family *family, unsigned to)
{
	struct sync_call *call = family->call;
	const struct sync_table *synced = &call->app->tables[to];
	const char *values[1 + SCHEMA_SYNC_KEYS_MAX] = {call->scope};
	const char **column = arena_array(&family->arena, family->count, sizeof(*column));
	struct link **asked = arena_array(&family->arena, family->count, sizeof(struct link *));
	struct pg_rows rows;
	size_t count = 0, keys = key_count(family, to);
	if (!column || !asked)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < family->count; i++)
		if (family->links[i].to == to)
			asked[count++] = &family->links[i];
	if (count == 0)
		return OK;
	for (size_t k = 0; k < keys; k++) {
		for (size_t i = 0; i < count; i++)
			column[i] = asked[i]->key[k];
		values[1 + k] = pg_text_array(&family->arena, column, count);
		if (!values[1 + k])
			return ERR_TOO_LARGE;
	}
	enum err err = pg_query_generated(call->pg, &family->arena, synced->first_slot + SYNC_MISSING, synced->sql[SYNC_MISSING], (int)(1 + keys), values, &rows);
	for (size_t i = 0; !err && i < count; i++)
		asked[i]->stored = true;
	for (int i = 0; !err && i < rows.count; i++)
		asked[pg_i64(&rows, i, 0) - 1]->stored = false;
	return err;
}

/* A delete of a row that cannot exist, because what its key refers to does not, is done already. */
static void settle(struct family *family)
{
	bool changed = true;
	while (changed) {
		changed = false;
		for (size_t i = 0; i < family->count; i++) {
			struct link *link = &family->links[i];
			if (link->stored || !is_live(link->row) || comes_with(family, link->to, link->key))
				continue;
			if (link->row->deleted)
				link->row->dropped = true;
			else
				link->row->code = REJECT_PARENT_MISSING;
			changed = true;
		}
	}
}

enum err sync_check_parents(struct sync_call *call)
{
	struct family family = {.call = call};
	arena_init(&family.arena, FAMILY_MAX);
	enum err err = index_rows(&family);
	if (!err)
		err = collect(&family);
	for (unsigned t = 0; !err && t < call->app->count; t++)
		err = ask(&family, t);
	if (!err)
		settle(&family);
	arena_release(&family.arena);
	return err;
}
