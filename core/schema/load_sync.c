/*
 * Loader, synced tables: the columns that a synced table gets besides its own, its key, its references (which may lead to tables
 * further down, to itself, or in a circle), and the order in which the rows of tables go over the wire.
 * Called by load.c.
 * Never lets a table through whose rows two clients could disagree about: every key has an order and a text of its own.
 */
#include "core/schema/load.h"

#include <string.h>

static const char *const added[] = {"sync_scope", "last_modified_at", "device_id", "deleted", "server_seq"};

static struct schema_column *add_column(struct schema_table *table, const char *name, enum schema_type type)
{
	struct schema_column *column = &table->columns[table->column_count++];

	*column = (struct schema_column){.name = name, .type = type, .collate_c = type == SCHEMA_TEXT, .since = 1};
	return column;
}

static void add_columns(struct schema_table *table)
{
	const struct schema_sync *sync = table->sync;

	if (sync->scope != SCHEMA_SYNC_CATALOGUE)
		table->scope = add_column(table, "sync_scope", SCHEMA_TEXT);
	add_column(table, "last_modified_at", SCHEMA_BIGINT)->default_value = "0";
	add_column(table, "device_id", SCHEMA_TEXT)->default_value = "";
	add_column(table, "deleted", SCHEMA_BOOLEAN)->default_value = "false";
	add_column(table, "server_seq", SCHEMA_BIGINT)->default_value = "0";
	table->primary_count = 0;
	if (table->scope)
		table->primary[table->primary_count++] = table->scope;
	for (size_t i = 0; i < sync->key_count; i++)
		table->primary[table->primary_count++] = sync->key[i];
}

static bool is_in(const struct schema_column *column, const struct schema_column *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == column)
			return true;
	return false;
}

static bool is_key_type(enum schema_type type)
{
	return type == SCHEMA_TEXT || type == SCHEMA_UUID || type == SCHEMA_INTEGER || type == SCHEMA_BIGINT;
}

static enum err take_key(struct schema_loader *l, struct schema_table *table, const char *path)
{
	struct schema_sync *sync = table->sync;
	const char *where = load_path(l, path, "primaryKey");

	if (table->primary_count > SCHEMA_SYNC_KEYS_MAX)
		return load_fail(l, where, "the key of a synced table has at most %d columns", SCHEMA_SYNC_KEYS_MAX);
	for (size_t i = 0; i < table->primary_count; i++) {
		if (!is_key_type(table->primary[i]->type))
			return load_fail(l, load_path_at(l, where, i), "the key of a synced table is of texts, uuids and whole numbers");
		if (is_in(table->primary[i], sync->key, i))
			return load_fail(l, load_path_at(l, where, i), "stands twice");
		sync->key[i] = table->primary[i];
	}
	sync->key_count = table->primary_count;
	return OK;
}

/* Texts compare byte by byte, as SQLite does. What is required may be missing in a tombstone: PostgreSQL checks it with `deleted`. */
static enum err take_values(struct schema_loader *l, struct schema_table *table, const char *path)
{
	struct schema_sync *sync = table->sync;

	sync->values = arena_array(l->arena, table->column_count, sizeof(struct schema_column *));
	if (!sync->values)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < table->column_count; i++) {
		struct schema_column *column = &table->columns[i];
		const char *where = load_path_at(l, load_path(l, path, "columns"), i);
		for (size_t a = 0; a < sizeof(added) / sizeof(added[0]); a++)
			if (text_equal(column->name, added[a]))
				return load_fail(l, where, "\"%s\" is added to every synced table by itself", column->name);
		if (column->generate != SCHEMA_GENERATE_NONE)
			return load_fail(l, where, "the values of a synced table are made by its clients, not generated");
		column->since = column->since ? column->since : sync->since;
		column->collate_c = column->type == SCHEMA_TEXT;
		if (is_in(column, sync->key, sync->key_count)) {
			if (column->since != sync->since)
				return load_fail(l, where, "a column of the key came with its table");
			continue;
		}
		if (column->since > sync->since && !column->nullable && !column->default_value)
			return load_fail(l, where, "a column that came later is nullable or has a default");
		column->required = !column->nullable;
		column->nullable = true;
		sync->values[sync->value_count++] = column;
	}
	sync->own_count = table->column_count;
	return OK;
}

static enum err check_indexes(struct schema_loader *l, const struct schema_table *table, const char *path)
{
	for (size_t i = 0; i < table->index_count; i++) {
		const struct schema_index *index = &table->indexes[i];
		const char *where = load_path_at(l, load_path(l, path, "indexes"), i);
		if (index->unique && (index->null_count || index->not_null_count))
			return load_fail(l, load_path(l, where, "where"), "a natural key of a synced table holds for all its rows");
		if (index->unique && index->count > SCHEMA_KEYS_MAX - 1)
			return load_fail(l, load_path(l, where, "columns"), "at most %d for a synced table", SCHEMA_KEYS_MAX - 1);
	}
	return OK;
}

enum err load_sync_table(struct schema_loader *l, struct schema_table *table, const json_t *object, const char *path)
{
	static const char *const members[] = {"scope", "since", NULL};
	static const struct schema_names scopes[] = {
		{"sub", SCHEMA_SYNC_SUB}, {"space", SCHEMA_SYNC_SPACE}, {"catalogue", SCHEMA_SYNC_CATALOGUE}, {NULL, 0}};
	const json_t *o = json_object_get(object, "sync");
	const char *where = load_path(l, path, "sync");
	int64_t since = 1;
	bool given = false;
	int scope = -1;
	enum err err = load_members(l, o, where, members);

	if (!err)
		err = take_choice(l, o, where, "scope", scopes, &scope);
	if (!err && scope < 0)
		err = load_fail(l, load_path(l, where, "scope"), "is missing");
	if (!err)
		err = take_integer(l, o, where, "since", &given, &since);
	if (!err && given && since < 1)
		err = load_fail(l, load_path(l, where, "since"), "must be at least 1");
	if (!err && (table->import || table->field_count))
		err = load_fail(l, where, "a synced table is no import target");
	if (!err && table->access != SCHEMA_ACCESS_FULL)
		err = load_fail(l, load_path(l, path, "access"), "clients of a synced table may change its rows");
	if (!err && strlen(table->name) > SCHEMA_SYNC_NAME_MAX)
		err = load_fail(l, path, "the name of a synced table has at most %d letters", SCHEMA_SYNC_NAME_MAX);
	if (err)
		return err;
	table->sync = arena_alloc(l->arena, sizeof(*table->sync));
	if (!table->sync)
		return ERR_TOO_LARGE;
	table->sync->scope = (enum schema_sync_scope)scope;
	table->sync->since = since;
	err = take_key(l, table, path);
	if (!err)
		err = take_values(l, table, path);
	if (!err)
		err = check_indexes(l, table, path);
	if (!err)
		add_columns(table);
	return err;
}

/* Rows of one scope refer to rows of the same scope, or to a catalogue: the scope becomes a part of the constraint. */
static enum err check_reference(struct schema_loader *l, const struct schema_table *table, struct schema_reference *reference, const char *path)
{
	const struct schema_table *to = reference->table;

	if (!to->sync)
		return load_fail(l, load_path(l, path, "table"), "\"%s\" is not synced", to->name);
	if (!table->scope && to->scope)
		return load_fail(l, load_path(l, path, "table"), "a catalogue refers to catalogues only");
	if (!to->scope)
		return OK;
	if (reference->count > SCHEMA_KEYS_MAX - 1)
		return ERR_TOO_LARGE;
	memmove(reference->from + 1, reference->from, reference->count * sizeof(struct schema_column *));
	memmove(reference->to + 1, reference->to, reference->count * sizeof(struct schema_column *));
	reference->from[0] = table->scope;
	reference->to[0] = to->scope;
	reference->count++;
	return OK;
}

static enum err link_tables(struct schema_loader *l, const json_t *root)
{
	const json_t *tables = json_object_get(root, "tables");
	enum err err = OK;

	for (size_t t = 0; !err && t < l->app->table_count; t++) {
		struct schema_table *table = &l->app->tables[t];
		const char *path = load_path(l, "tables", table->name);
		if (!table->sync)
			continue;
		err = load_references(l, table, json_object_get(tables, table->name), path);
		for (size_t i = 0; !err && i < table->reference_count; i++)
			err = check_reference(l, table, &table->references[i], load_path_at(l, load_path(l, path, "references"), i));
	}
	return err;
}

static bool waits(const struct schema_app *app, const struct schema_table *table)
{
	for (size_t i = 0; i < table->reference_count; i++) {
		const struct schema_table *to = table->references[i].table;
		bool placed = to == table;
		for (size_t p = 0; !placed && p < app->synced_count; p++)
			placed = app->synced[p] == to;
		if (!placed)
			return true;
	}
	return false;
}

static bool is_placed(const struct schema_app *app, const struct schema_table *table)
{
	for (size_t p = 0; p < app->synced_count; p++)
		if (app->synced[p] == table)
			return true;
	return false;
}

/* Parents first. Where tables refer to each other in a circle, the one that is declared first goes first. */
static enum err order_tables(struct schema_loader *l, size_t count)
{
	struct schema_app *app = l->app;

	app->synced = arena_array(l->arena, count, sizeof(struct schema_table *));
	if (!app->synced)
		return ERR_TOO_LARGE;
	while (app->synced_count < count) {
		const struct schema_table *next = NULL, *first = NULL;
		for (size_t t = 0; !next && t < app->table_count; t++) {
			const struct schema_table *table = &app->tables[t];
			if (!table->sync || is_placed(app, table))
				continue;
			first = first ? first : table;
			next = waits(app, table) ? NULL : table;
		}
		app->synced[app->synced_count++] = next ? next : first;
	}
	return OK;
}

static enum err check_versions(struct schema_loader *l, const struct schema_table *table)
{
	const char *path = load_path(l, "tables", table->name);

	if (table->sync->since > l->app->version)
		return load_fail(l, load_path(l, path, "sync.since"), "is past the version of the app");
	for (size_t i = 0; i < table->sync->own_count; i++)
		if (table->columns[i].since > l->app->version || table->columns[i].since < table->sync->since)
			return load_fail(l, load_path_at(l, load_path(l, path, "columns"), i), "since is not between the table's and the version of the app");
	return OK;
}

enum err load_sync_app(struct schema_loader *l, const json_t *root)
{
	static const char *const members[] = {"version", "oldest", NULL};
	const json_t *o = json_object_get(root, "sync");
	struct schema_app *app = l->app;
	size_t count = 0, scoped = 0;
	bool given = false;
	enum err err = o ? load_members(l, o, "sync", members) : OK;

	app->version = app->oldest = 1;
	if (!err && o)
		err = take_integer(l, o, "sync", "version", &given, &app->version);
	if (!err && o)
		err = take_integer(l, o, "sync", "oldest", &given, &app->oldest);
	if (!err && (app->oldest < 1 || app->oldest > app->version || app->version > 1000000))
		err = load_fail(l, "sync", "oldest is at least 1, and version no less");
	for (size_t t = 0; !err && t < app->table_count; t++) {
		const struct schema_table *table = &app->tables[t];
		if (!table->sync)
			continue;
		count++;
		err = check_versions(l, table);
		if (table->sync->scope == SCHEMA_SYNC_CATALOGUE)
			app->has_catalogue = true;
		else if (scoped++ == 0)
			app->sync_scope = table->sync->scope;
		else if (!err && app->sync_scope != table->sync->scope)
			err = load_fail(l, load_path(l, load_path(l, "tables", table->name), "sync.scope"), "the synced tables of an app are all of users or all of spaces");
	}
	if (!err && o && count == 0)
		err = load_fail(l, "sync", "no table is synced");
	if (!err && count && scoped == 0)
		err = load_fail(l, "sync", "an app of catalogues alone has nothing to sync");
	if (!err && count)
		err = link_tables(l, root);
	if (!err && count)
		err = order_tables(l, count);
	return err;
}
