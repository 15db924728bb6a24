/*
 * Loader, second half of a table: primary key, row-level scope, indexes, references.
 * Called by load.c after the columns of the table are known.
 * Never lets a name through that leads nowhere: everything is resolved to a column or table of the same app here.
 */
#include "core/schema/load.h"

#include <string.h>

static enum err load_primary(struct schema_loader *l, struct schema_table *table, const json_t *o, const char *path)
{
	const char *where = load_path(l, path, "primaryKey");
	enum err err = take_columns(l, table, o, path, "primaryKey", table->primary, &table->primary_count);

	if (err)
		return err;
	if (table->primary_count == 0)
		return load_fail(l, where, "is missing");
	for (size_t i = 0; i < table->primary_count; i++)
		if (table->primary[i]->nullable)
			return load_fail(l, load_path_at(l, where, i), "column \"%s\" is nullable", table->primary[i]->name);
	return OK;
}

static enum err load_scope(struct schema_loader *l, struct schema_table *table, const json_t *o, const char *path)
{
	const char *name = NULL;
	bool synced = json_object_get(o, "sync") != NULL;
	enum err err = take_text(l, o, path, "scope", !synced, &name);

	if (!err && synced && name)
		err = load_fail(l, load_path(l, path, "scope"), "stands in \"sync\" for a synced table");
	if (err || synced)
		return err;
	table->scope = schema_column_of(table, name);
	if (!table->scope || table->scope->type != SCHEMA_TEXT || table->scope->nullable)
		return load_fail(l, load_path(l, path, "scope"), "\"%s\" is no text column that is always filled", name);
	return OK;
}

static enum err load_display(struct schema_loader *l, struct schema_table *table, const json_t *o, const char *path)
{
	const char *name = NULL;
	enum err err = take_text(l, o, path, "display", false, &name);

	if (err || !name)
		return err;
	table->display = schema_column_of(table, name);
	if (!table->display || table->display->type != SCHEMA_TEXT)
		return load_fail(l, load_path(l, path, "display"), "\"%s\" is no text column", name);
	return OK;
}

/* "updated_at desc": a column, then optionally the direction. */
static enum err load_index_column(struct schema_loader *l, const struct schema_table *table, struct schema_index *index, size_t i,
                                  const char *text, const char *path)
{
	static const char suffix[] = " desc";
	size_t n = strlen(text), cut = sizeof(suffix) - 1;
	char *name = NULL;

	index->descending[i] = n > cut && text_equal(text + n - cut, suffix);
	name = arena_copy(l->arena, text, index->descending[i] ? n - cut : n);
	if (!name)
		return ERR_TOO_LARGE;
	index->columns[i] = schema_column_of(table, name);
	if (!index->columns[i])
		return load_fail(l, path, "table %s has no column \"%s\"", table->name, name);
	return OK;
}

static enum err load_index_columns(struct schema_loader *l, const struct schema_table *table, struct schema_index *index, const json_t *o,
                                   const char *path)
{
	const char *where = load_path(l, path, "columns");
	struct schema_texts texts = {NULL, 0};
	enum err err = take_texts(l, o, path, "columns", &texts);

	if (!err && (texts.count == 0 || texts.count > SCHEMA_KEYS_MAX))
		err = load_fail(l, where, "must be a list of 1 to %d", SCHEMA_KEYS_MAX);
	for (size_t i = 0; i < texts.count && !err; i++)
		err = load_index_column(l, table, index, i, texts.items[i], load_path_at(l, where, i));
	index->count = texts.count;
	return err;
}

static enum err load_index(struct schema_loader *l, const struct schema_table *table, struct schema_index *index, const json_t *o,
                           const char *path)
{
	static const char *const members[] = {"name", "kind", "unique", "columns", "where", NULL};
	static const char *const where_members[] = {"null", "notNull", NULL};
	static const struct schema_names kinds[] = {{"btree", SCHEMA_INDEX_BTREE}, {"hash", SCHEMA_INDEX_HASH}, {"trigram", SCHEMA_INDEX_TRIGRAM}, {NULL, 0}};
	const json_t *where = json_object_get(o, "where");
	const char *where_path = load_path(l, path, "where");
	int kind = SCHEMA_INDEX_BTREE;
	enum err err = load_members(l, o, path, members);

	if (!err)
		err = take_text(l, o, path, "name", true, &index->name);
	if (!err && !load_is_identifier(index->name))
		err = load_fail(l, load_path(l, path, "name"), "\"%s\" is not a snake_case name", index->name);
	if (!err)
		err = take_choice(l, o, path, "kind", kinds, &kind);
	index->kind = (enum schema_index_kind)kind;
	if (!err)
		err = take_bool(l, o, path, "unique", &index->unique);
	if (!err && index->unique && index->kind != SCHEMA_INDEX_BTREE)
		err = load_fail(l, load_path(l, path, "unique"), "only a btree index can be unique");
	if (!err)
		err = load_index_columns(l, table, index, o, path);
	if (!err && index->kind == SCHEMA_INDEX_HASH && (index->count != 1 || index->descending[0]))
		err = load_fail(l, load_path(l, path, "columns"), "a hash index has one column and no order");
	if (err || !where)
		return err;
	err = load_members(l, where, where_path, where_members);
	if (!err)
		err = take_columns(l, table, where, where_path, "null", index->null, &index->null_count);
	if (!err)
		err = take_columns(l, table, where, where_path, "notNull", index->not_null, &index->not_null_count);
	return err;
}

/* Index names share one namespace in a PostgreSQL schema. */
static bool index_is_taken(const struct schema_loader *l, const struct schema_table *table, size_t before, const char *name)
{
	for (size_t t = 0; t < l->app->table_count; t++)
		for (size_t i = 0; i < l->app->tables[t].index_count; i++)
			if (text_equal(l->app->tables[t].indexes[i].name, name))
				return true;
	for (size_t i = 0; i < before; i++)
		if (text_equal(table->indexes[i].name, name))
			return true;
	return schema_table_of(l->app, name) != NULL || text_equal(table->name, name);
}

static enum err load_indexes(struct schema_loader *l, struct schema_table *table, const json_t *o, const char *path)
{
	const json_t *list = NULL;
	const char *where = load_path(l, path, "indexes");
	enum err err = take_array(l, o, path, "indexes", SCHEMA_LIST_MAX, &list);
	size_t n = json_array_size(list);

	if (err || n == 0)
		return err;
	table->indexes = arena_array(l->arena, n, sizeof(*table->indexes));
	if (!table->indexes)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < n && !err; i++) {
		err = load_index(l, table, &table->indexes[i], json_array_get(list, i), load_path_at(l, where, i));
		if (!err && index_is_taken(l, table, i, table->indexes[i].name))
			err = load_fail(l, load_path(l, load_path_at(l, where, i), "name"), "\"%s\" is taken", table->indexes[i].name);
	}
	table->index_count = n;
	return err;
}

/* The target must be a primary key, and types must agree, or PostgreSQL would refuse the constraint later. */
static enum err check_reference(struct schema_loader *l, const struct schema_reference *reference, const char *path)
{
	const struct schema_table *to = reference->table;
	const struct schema_column *const *key = to->sync ? to->sync->key : to->primary;
	bool clears = reference->clear == NULL;

	if (reference->count == 0 || reference->count != (to->sync ? to->sync->key_count : to->primary_count))
		return load_fail(l, load_path(l, path, "columns"), "must have as many columns as the primary key of %s", to->name);
	for (size_t i = 0; i < reference->count; i++) {
		if (reference->to[i] != key[i])
			return load_fail(l, load_path(l, path, "to"), "must be the primary key of %s, in its order", to->name);
		if (reference->from[i]->type != reference->to[i]->type || reference->from[i]->collate_c != reference->to[i]->collate_c)
			return load_fail(l, load_path(l, path, "columns"), "\"%s\" differs in type from \"%s\"", reference->from[i]->name,
			                 reference->to[i]->name);
		clears |= reference->clear == reference->from[i];
	}
	if (!clears || (reference->clear && reference->on_delete != SCHEMA_DELETE_SET_NULL))
		return load_fail(l, load_path(l, path, "clear"), "is one of the columns, and goes with onDelete \"setNull\"");
	return OK;
}

static enum err load_reference(struct schema_loader *l, struct schema_table *table, struct schema_reference *reference, const json_t *o,
                               const char *path)
{
	static const char *const members[] = {"columns", "table", "to", "onDelete", "clear", NULL};
	static const struct schema_names actions[] = {
		{"restrict", SCHEMA_DELETE_RESTRICT}, {"cascade", SCHEMA_DELETE_CASCADE}, {"setNull", SCHEMA_DELETE_SET_NULL}, {NULL, 0}};
	const char *name = NULL, *clear = NULL;
	size_t to_count = 0;
	int action = SCHEMA_DELETE_RESTRICT;
	enum err err = load_members(l, o, path, members);

	if (!err)
		err = take_text(l, o, path, "table", true, &name);
	if (err)
		return err;
	reference->table = text_equal(name, table->name) ? table : schema_table_of(l->app, name);
	if (!reference->table)
		return load_fail(l, load_path(l, path, "table"), "no table \"%s\" stands before %s", name, table->name);
	if (reference->table->sync && !table->sync)
		return load_fail(l, load_path(l, path, "table"), "only synced tables refer to a synced table");
	err = take_columns(l, table, o, path, "columns", reference->from, &reference->count);
	if (!err)
		err = take_columns(l, reference->table, o, path, "to", reference->to, &to_count);
	if (!err && to_count != reference->count)
		err = load_fail(l, load_path(l, path, "to"), "must be as long as columns");
	if (!err)
		err = take_choice(l, o, path, "onDelete", actions, &action);
	reference->on_delete = (enum schema_on_delete)action;
	if (!err)
		err = take_text(l, o, path, "clear", false, &clear);
	if (err)
		return err;
	reference->clear = clear ? schema_column_of(table, clear) : NULL;
	if (clear && (!reference->clear || !reference->clear->nullable))
		return load_fail(l, load_path(l, path, "clear"), "\"%s\" is no nullable column", clear);
	return check_reference(l, reference, path);
}

enum err load_references(struct schema_loader *l, struct schema_table *table, const json_t *o, const char *path)
{
	const json_t *list = NULL;
	const char *where = load_path(l, path, "references");
	enum err err = take_array(l, o, path, "references", SCHEMA_LIST_MAX, &list);
	size_t n = json_array_size(list);

	if (err || n == 0)
		return err;
	table->references = arena_array(l->arena, n, sizeof(*table->references));
	if (!table->references)
		return ERR_TOO_LARGE;
	table->reference_count = n;
	for (size_t i = 0; i < n && !err; i++)
		err = load_reference(l, table, &table->references[i], json_array_get(list, i), load_path_at(l, where, i));
	return err;
}

enum err load_constraints(struct schema_loader *l, struct schema_table *table, const json_t *object, const char *path)
{
	enum err err = load_primary(l, table, object, path);

	if (!err)
		err = load_scope(l, table, object, path);
	if (!err)
		err = load_display(l, table, object, path);
	if (!err)
		err = load_indexes(l, table, object, path);
	if (!err && !json_object_get(object, "sync")) /* those of a synced table may lead to tables that come later */
		err = load_references(l, table, object, path);
	return err;
}
