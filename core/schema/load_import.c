/*
 * Loader: what makes a table an import target: groups of fields that must be filled, dedupe keys, and the columns that
 * a commit fills by itself.
 * Called by load.c after columns and constraints.
 * Never knows normalisers, validators or row codes: those names belong to the import and are checked there.
 */
#include "core/schema/load.h"

static enum err find_field(struct schema_loader *l, const struct schema_table *table, const char *name, const char *path,
                           const struct schema_field **ret)
{
	*ret = schema_field_of(table, name);
	return *ret ? OK : load_fail(l, path, "no field \"%s\" can be imported", name);
}

static enum err load_group(struct schema_loader *l, const struct schema_table *table, const json_t *o, const char *path, struct schema_group *ret)
{
	static const char *const members[] = {"code", "anyOf", NULL};
	const char *where = load_path(l, path, "anyOf");
	struct schema_texts names = {NULL, 0};
	enum err err = load_members(l, o, path, members);

	if (!err)
		err = take_text(l, o, path, "code", true, &ret->code);
	if (!err)
		err = take_texts(l, o, path, "anyOf", &names);
	if (!err && (names.count == 0 || names.count > SCHEMA_KEYS_MAX))
		err = load_fail(l, where, "must be a list of 1 to %d", SCHEMA_KEYS_MAX);
	for (size_t i = 0; i < names.count && !err; i++)
		err = find_field(l, table, names.items[i], load_path_at(l, where, i), &ret->fields[i]);
	ret->count = names.count;
	return err;
}

static enum err load_groups(struct schema_loader *l, struct schema_table *table, const json_t *o, const char *path)
{
	const json_t *list = NULL;
	const char *where = load_path(l, path, "groups");
	enum err err = take_array(l, o, path, "groups", SCHEMA_KEYS_MAX, &list);

	for (size_t i = 0; i < json_array_size(list) && !err; i++)
		err = load_group(l, table, json_array_get(list, i), load_path_at(l, where, i), &table->import->groups[i]);
	table->import->group_count = json_array_size(list);
	return err;
}

/* Every key must be served by an index, (scope, key, …) or a hash of the key: a duplicate search without one reads the whole table. */
static bool is_indexed(const struct schema_table *table, const struct schema_column *column)
{
	for (size_t i = 0; i < table->index_count; i++) {
		const struct schema_index *index = &table->indexes[i];
		if (index->kind == SCHEMA_INDEX_HASH && index->columns[0] == column)
			return true;
		if (index->kind == SCHEMA_INDEX_BTREE && index->count >= 2 && index->columns[0] == table->scope && index->columns[1] == column)
			return true;
	}
	return false;
}

static enum err load_key(struct schema_loader *l, const struct schema_table *table, const json_t *o, const char *path, struct schema_key *ret)
{
	static const char *const members[] = {"field", "column", NULL};
	const char *field = NULL, *column = NULL;
	enum err err = load_members(l, o, path, members);

	if (!err)
		err = take_text(l, o, path, "field", true, &field);
	if (!err)
		err = find_field(l, table, field, load_path(l, path, "field"), &ret->field);
	if (!err)
		err = take_text(l, o, path, "column", false, &column);
	if (err)
		return err;
	ret->column = column ? schema_column_of(table, column) : ret->field->column;
	if (!ret->column || (ret->column != ret->field->column &&
	                     (ret->column->generate != SCHEMA_GENERATE_LOWER || ret->column->source != ret->field->column)))
		return load_fail(l, load_path(l, path, "column"), "must be the field's column or the lower form of it");
	if (!is_indexed(table, ret->column))
		return load_fail(l, path, "no index starts with %s and %s", table->scope->name, ret->column->name);
	return OK;
}

static enum err load_keys(struct schema_loader *l, struct schema_table *table, const json_t *o, const char *path)
{
	const json_t *list = NULL;
	const char *where = load_path(l, path, "keys");
	enum err err = take_array(l, o, path, "keys", SCHEMA_KEYS_MAX, &list);

	for (size_t i = 0; i < json_array_size(list) && !err; i++)
		err = load_key(l, table, json_array_get(list, i), load_path_at(l, where, i), &table->import->keys[i]);
	table->import->key_count = json_array_size(list);
	return err;
}

static enum err load_filled_column(struct schema_loader *l, const struct schema_table *table, const json_t *o, const char *path, const char *name,
                                   enum schema_type type, bool fields_too, const struct schema_column **ret)
{
	const char *text = NULL;
	enum err err = take_text(l, o, path, name, false, &text);

	if (err || !text)
		return err;
	*ret = schema_column_of(table, text);
	if (!*ret || (*ret)->type != type || (*ret)->source || ((*ret)->field && !fields_too))
		return load_fail(l, load_path(l, path, name), "\"%s\" is no %s column that a commit may fill", text, schema_type_name(type));
	return OK;
}

static enum err load_filled_field(struct schema_loader *l, const struct schema_table *table, const json_t *o, const char *path, const char *name,
                                  const struct schema_field **ret)
{
	const char *text = NULL;
	const struct schema_field *field = NULL;
	enum err err = take_text(l, o, path, name, false, &text);

	if (err || !text)
		return err;
	field = schema_field_of(table, text);
	if (!field || field->column->type != SCHEMA_TEXT)
		return load_fail(l, load_path(l, path, name), "\"%s\" is no text field that can be imported", text);
	*ret = field;
	return OK;
}

/* Rows come with an id made by us; without a single uuid key there is nothing to find them again by. */
static enum err check_target(struct schema_loader *l, const struct schema_table *table, const char *path)
{
	if (table->primary_count != 1 || table->primary[0]->type != SCHEMA_UUID)
		return load_fail(l, path, "the primary key of an import target must be one uuid");
	if (table->field_count == 0)
		return load_fail(l, path, "no column can be imported");
	return OK;
}

enum err load_import(struct schema_loader *l, struct schema_table *table, const json_t *object, const char *path)
{
	static const char *const members[] = {"groups", "keys", "job", "deleted", "touched", "history", "assigned", "status", "source", NULL};
	const json_t *o = json_object_get(object, "import");
	const char *where = load_path(l, path, "import");
	struct schema_import *import = NULL;
	enum err err = OK;

	if (!o)
		return table->field_count ? load_fail(l, where, "is missing, but columns can be imported") : OK;
	import = arena_alloc(l->arena, sizeof(*import));
	if (!import)
		return ERR_TOO_LARGE;
	table->import = import;
	err = load_members(l, o, where, members);
	if (!err)
		err = check_target(l, table, where);
	if (!err)
		err = load_groups(l, table, o, where);
	if (!err)
		err = load_keys(l, table, o, where);
	if (!err)
		err = load_filled_column(l, table, o, where, "job", SCHEMA_UUID, false, &import->job);
	if (!err)
		err = load_filled_column(l, table, o, where, "deleted", SCHEMA_TIMESTAMPTZ, false, &import->deleted);
	if (!err)
		err = load_filled_column(l, table, o, where, "touched", SCHEMA_TIMESTAMPTZ, true, &import->touched);
	if (!err)
		err = take_text(l, o, where, "history", false, &import->history);
	if (!err)
		err = load_filled_field(l, table, o, where, "assigned", &import->assigned);
	if (!err)
		err = load_filled_field(l, table, o, where, "status", &import->status);
	if (!err)
		err = load_filled_field(l, table, o, where, "source", &import->source);
	return err;
}
