/*
 * Loader, first half of a table: its columns with types, defaults, generated values, value lists, and the part of a
 * column that an import sees.
 * Called by load.c.
 * Never resolves anything outside the table at hand; that is load_constraints.c.
 */
#include "core/schema/load.h"

#include <string.h>

static const struct schema_names type_names[] = {
	{"text", SCHEMA_TEXT}, {"uuid", SCHEMA_UUID}, {"integer", SCHEMA_INTEGER}, {"bigint", SCHEMA_BIGINT},
	{"double", SCHEMA_DOUBLE}, {"numeric", SCHEMA_NUMERIC}, {"boolean", SCHEMA_BOOLEAN}, {"date", SCHEMA_DATE},
	{"timestamptz", SCHEMA_TIMESTAMPTZ}, {"jsonb", SCHEMA_JSONB}, {NULL, 0},
};

static const struct schema_names generate_names[] = {
	{"uuid", SCHEMA_GENERATE_UUID}, {"now", SCHEMA_GENERATE_NOW}, {"identity", SCHEMA_GENERATE_IDENTITY},
	{"lower", SCHEMA_GENERATE_LOWER}, {"label", SCHEMA_GENERATE_LABEL}, {NULL, 0},
};

static bool is_number(enum schema_type type)
{
	return type == SCHEMA_INTEGER || type == SCHEMA_BIGINT || type == SCHEMA_DOUBLE || type == SCHEMA_NUMERIC;
}

/* A default is written as JSON of the column's own kind and kept as a literal's text. */
static enum err load_default(struct schema_loader *l, struct schema_column *column, const json_t *o, const char *path)
{
	const json_t *value = json_object_get(o, "default");

	if (!value)
		return OK;
	if (json_is_boolean(value) && column->type == SCHEMA_BOOLEAN)
		column->default_value = json_is_true(value) ? "true" : "false";
	else if (json_is_integer(value) && is_number(column->type))
		column->default_value = arena_printf(l->arena, "%lld", (long long)json_integer_value(value));
	else if (json_is_string(value) && column->type == SCHEMA_TEXT)
		column->default_value = json_string_value(value);
	else
		return load_fail(l, load_path(l, path, "default"), "does not fit the type %s", schema_type_name(column->type));
	return column->default_value ? OK : ERR_TOO_LARGE;
}

static enum err load_value(struct schema_loader *l, const json_t *o, const char *path, struct schema_value *ret)
{
	static const char *const members[] = {"value", "labels", "aliases", NULL};
	enum err err = load_members(l, o, path, members);

	if (!err)
		err = take_text(l, o, path, "value", true, &ret->value);
	if (!err)
		err = take_labels(l, o, path, true, &ret->labels);
	if (!err)
		err = take_texts(l, o, path, "aliases", &ret->aliases);
	return err;
}

static bool has_value(const struct schema_column *column, size_t count, const char *value)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal(column->values[i].value, value))
			return true;
	return false;
}

static enum err load_values(struct schema_loader *l, struct schema_column *column, const json_t *o, const char *path)
{
	const json_t *list = NULL;
	const char *where = load_path(l, path, "values");
	enum err err = take_array(l, o, path, "values", SCHEMA_LIST_MAX, &list);
	size_t n = json_array_size(list);

	if (err || !list)
		return err;
	if (column->type != SCHEMA_TEXT || n == 0)
		return load_fail(l, where, "must not be empty, and only a text has values");
	column->values = arena_array(l->arena, n, sizeof(*column->values));
	if (!column->values)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < n && !err; i++) {
		err = load_value(l, json_array_get(list, i), load_path_at(l, where, i), &column->values[i]);
		if (!err && has_value(column, i, column->values[i].value))
			err = load_fail(l, load_path_at(l, where, i), "value \"%s\" stands twice", column->values[i].value);
	}
	column->value_count = n;
	if (!err && column->default_value && !has_value(column, n, column->default_value))
		err = load_fail(l, load_path(l, path, "default"), "is none of the values");
	return err;
}

static enum err load_check(struct schema_loader *l, struct schema_column *column, const json_t *o, const char *path)
{
	static const char *const members[] = {"maxLength", "minimum", "maximum", NULL};
	const json_t *check = json_object_get(o, "check");
	const char *where = load_path(l, path, "check");
	bool has_length = false;
	enum err err = OK;

	if (!check)
		return OK;
	err = load_members(l, check, where, members);
	if (!err)
		err = take_integer(l, check, where, "maxLength", &has_length, &column->max_length);
	if (!err)
		err = take_integer(l, check, where, "minimum", &column->has_minimum, &column->minimum);
	if (!err)
		err = take_integer(l, check, where, "maximum", &column->has_maximum, &column->maximum);
	if (!err && has_length && (column->type != SCHEMA_TEXT || column->max_length < 1))
		err = load_fail(l, load_path(l, where, "maxLength"), "is for texts and at least 1");
	if (!err && (column->has_minimum || column->has_maximum) && !is_number(column->type))
		err = load_fail(l, where, "minimum and maximum are for numbers");
	return err;
}

/* Which generated values fit which types; a source is looked for among the columns already loaded. */
static enum err load_generate(struct schema_loader *l, struct schema_table *table, struct schema_column *column, const json_t *o,
                              const char *path)
{
	const char *where = load_path(l, path, "generate");
	const char *source = NULL;
	int generate = SCHEMA_GENERATE_NONE;
	bool derived = false, fits = true;
	enum err err = take_choice(l, o, path, "generate", generate_names, &generate);

	if (!err)
		err = take_text(l, o, path, "from", false, &source);
	if (err)
		return err;
	column->generate = (enum schema_generate)generate;
	derived = column->generate == SCHEMA_GENERATE_LOWER || column->generate == SCHEMA_GENERATE_LABEL;
	if (derived != (source != NULL))
		return load_fail(l, load_path(l, path, "from"), "goes with generate \"lower\" or \"label\"");
	if (column->generate != SCHEMA_GENERATE_NONE && column->default_value)
		return load_fail(l, where, "and default exclude each other");
	if (column->generate == SCHEMA_GENERATE_UUID)
		fits = column->type == SCHEMA_UUID;
	else if (column->generate == SCHEMA_GENERATE_NOW)
		fits = column->type == SCHEMA_TIMESTAMPTZ;
	else if (column->generate == SCHEMA_GENERATE_IDENTITY)
		fits = column->type == SCHEMA_BIGINT && !column->nullable;
	else if (derived)
		fits = column->type == SCHEMA_TEXT;
	if (!fits)
		return load_fail(l, where, "does not fit the type");
	if (!derived)
		return OK;
	column->source = schema_column_of(table, source);
	if (!column->source || column->source->type != SCHEMA_TEXT || column->source == column)
		return load_fail(l, load_path(l, path, "from"), "no text column \"%s\" stands before this one", source);
	if (column->generate == SCHEMA_GENERATE_LABEL && column->source->value_count == 0)
		return load_fail(l, load_path(l, path, "from"), "column \"%s\" has no values", source);
	return OK;
}

static bool is_field_name(const char *name)
{
	return name[0] >= 'a' && name[0] <= 'z' && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == strlen(name);
}

static enum err load_field(struct schema_loader *l, struct schema_table *table, struct schema_column *column, const json_t *o, const char *path)
{
	static const char *const members[] = {"field", "aliases", "normalise", "validate", "max", "warn", "keep", NULL};
	struct schema_field *field = &table->fields[table->field_count];
	bool has_max = false;
	enum err err = load_members(l, o, path, members);

	field->normalise = "trim";
	field->max = column->max_length;
	if (!err)
		err = take_text(l, o, path, "field", true, &field->name);
	if (!err && !is_field_name(field->name))
		err = load_fail(l, load_path(l, path, "field"), "\"%s\" is not camelCase", field->name);
	if (!err && schema_field_of(table, field->name))
		err = load_fail(l, load_path(l, path, "field"), "\"%s\" stands twice", field->name);
	if (!err)
		err = take_texts(l, o, path, "aliases", &field->aliases);
	if (!err)
		err = take_text(l, o, path, "normalise", false, &field->normalise);
	if (!err)
		err = take_text(l, o, path, "validate", false, &field->validate);
	if (!err)
		err = take_integer(l, o, path, "max", &has_max, &field->max);
	if (!err && has_max && (field->max < 1 || (column->max_length && field->max > column->max_length)))
		err = load_fail(l, load_path(l, path, "max"), "must be at least 1 and at most the column's maxLength");
	if (!err)
		err = take_bool(l, o, path, "warn", &field->warn);
	if (!err)
		err = take_bool(l, o, path, "keep", &field->keep);
	if (!err && (column->source || column->generate == SCHEMA_GENERATE_IDENTITY))
		err = load_fail(l, path, "a generated column cannot be imported");
	if (!err && !column->labels.fr)
		err = load_fail(l, path, "the column needs labels");
	if (err)
		return err;
	field->index = table->field_count++;
	field->column = column;
	column->field = field;
	return OK;
}

static enum err load_column(struct schema_loader *l, struct schema_table *table, const json_t *o, const char *path)
{
	static const char *const members[] = {"name", "type", "nullable", "collate", "default", "generate", "from", "check",
	                                      "values", "labels", "import", "since", NULL};
	static const struct schema_names collations[] = {{"C", 1}, {NULL, 0}};
	struct schema_column *column = &table->columns[table->column_count];
	const json_t *import = json_object_get(o, "import");
	int type = -1, collate = 0;
	bool has_since = false;
	enum err err = load_members(l, o, path, members);

	if (!err)
		err = take_text(l, o, path, "name", true, &column->name);
	if (!err && (!load_is_identifier(column->name) || schema_column_of(table, column->name)))
		err = load_fail(l, load_path(l, path, "name"), "\"%s\" is taken or not a snake_case name", column->name);
	if (!err)
		err = take_choice(l, o, path, "type", type_names, &type);
	if (!err && type < 0)
		err = load_fail(l, load_path(l, path, "type"), "is missing");
	if (err)
		return err;
	column->type = (enum schema_type)type;
	err = take_bool(l, o, path, "nullable", &column->nullable);
	if (!err)
		err = take_choice(l, o, path, "collate", collations, &collate);
	if (!err && collate && column->type != SCHEMA_TEXT)
		err = load_fail(l, load_path(l, path, "collate"), "is for texts");
	column->collate_c = collate != 0;
	if (!err)
		err = take_integer(l, o, path, "since", &has_since, &column->since);
	if (!err && has_since && column->since < 1)
		err = load_fail(l, load_path(l, path, "since"), "must be at least 1");
	if (!err)
		err = take_labels(l, o, path, false, &column->labels);
	if (!err)
		err = load_default(l, column, o, path);
	if (!err)
		err = load_generate(l, table, column, o, path);
	if (!err)
		err = load_check(l, column, o, path);
	if (!err)
		err = load_values(l, column, o, path);
	if (err)
		return err;
	table->column_count++;
	return import ? load_field(l, table, column, import, load_path(l, path, "import")) : OK;
}

enum err load_columns(struct schema_loader *l, struct schema_table *table, const json_t *object, const char *path)
{
	const json_t *list = NULL;
	const char *where = load_path(l, path, "columns");
	enum err err = take_array(l, object, path, "columns", SCHEMA_COLUMNS_MAX, &list);
	size_t n = json_array_size(list);

	if (!err && n == 0)
		err = load_fail(l, where, "must not be empty");
	if (err)
		return err;
	table->columns = arena_array(l->arena, n + LOAD_SYNC_COLUMNS, sizeof(*table->columns));
	table->fields = arena_array(l->arena, n, sizeof(*table->fields));
	if (!table->columns || !table->fields)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < n && !err; i++)
		err = load_column(l, table, json_array_get(list, i), load_path_at(l, where, i));
	if (!err && table->field_count > SCHEMA_FIELDS_MAX)
		err = load_fail(l, where, "at most %d may be imported", SCHEMA_FIELDS_MAX);
	return err;
}
