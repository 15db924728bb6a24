/*
 * Declarations for clients: JSON and TypeScript.
 * Called by GET /api/sync/schema and `tidegate schema`.
 * Never shows what is the server's own: labels, columns and keys of synced tables are all there is.
 */
#include "core/schema/describe.h"

const char *schema_scope_name(enum schema_sync_scope scope)
{
	static const char *const scope_names[] = {[SCHEMA_SYNC_SUB] = "sub", [SCHEMA_SYNC_SPACE] = "space", [SCHEMA_SYNC_CATALOGUE] = "catalogue"};
	return scope_names[scope];
}

static void put_labels(struct json_writer *w, const struct schema_labels *labels)
{
	json_object_open(w, "labels");
	json_put_text(w, "fr", labels->fr);
	json_put_text(w, "en", labels->en);
	json_object_close(w);
}

static void put_default(struct json_writer *w, const struct schema_column *column)
{
	if (!column->default_value)
		json_put_null(w, "default");
	else if (column->type == SCHEMA_BOOLEAN)
		json_put_raw(w, "default", text_equal(column->default_value, "true") ? "1" : "0");
	else if (column->type == SCHEMA_TEXT)
		json_put_text(w, "default", column->default_value);
	else
		json_put_raw(w, "default", column->default_value);
}

static void put_column(struct json_writer *w, const struct schema_column *column)
{
	json_object_open(w, NULL);
	json_put_text(w, "name", column->name);
	json_put_text(w, "type", schema_type_name(column->type));
	json_put_bool(w, "nullable", column->nullable && !column->required);
	json_put_i64(w, "since", column->since);
	put_default(w, column);
	if (column->max_length)
		json_put_i64(w, "maxLength", column->max_length);
	if (column->has_minimum)
		json_put_i64(w, "minimum", column->minimum);
	if (column->has_maximum)
		json_put_i64(w, "maximum", column->maximum);
	if (column->value_count) {
		json_array_open(w, "values");
		for (size_t i = 0; i < column->value_count; i++)
			json_put_text(w, NULL, column->values[i].value);
		json_array_close(w);
	}
	json_object_close(w);
}

static void put_names(struct json_writer *w, const char *name, const struct schema_column *const *columns, size_t count, const struct schema_column *scope)
{
	json_array_open(w, name);
	for (size_t i = 0; i < count; i++)
		if (columns[i] != scope)
			json_put_text(w, NULL, columns[i]->name);
	json_array_close(w);
}

static void put_references(struct json_writer *w, const struct schema_table *table)
{
	static const char *const actions[] = {
		[SCHEMA_DELETE_RESTRICT] = "restrict", [SCHEMA_DELETE_CASCADE] = "cascade", [SCHEMA_DELETE_SET_NULL] = "setNull"};

	json_array_open(w, "references");
	for (size_t i = 0; i < table->reference_count; i++) {
		const struct schema_reference *reference = &table->references[i];
		json_object_open(w, NULL);
		put_names(w, "columns", reference->from, reference->count, table->scope);
		json_put_text(w, "table", reference->table->name);
		json_put_text(w, "onDelete", actions[reference->on_delete]);
		json_object_close(w);
	}
	json_array_close(w);
}

static void put_table(struct json_writer *w, const struct schema_table *table)
{
	json_object_open(w, NULL);
	json_put_text(w, "name", table->name);
	put_labels(w, &table->labels);
	json_put_text(w, "scope", schema_scope_name(table->sync->scope));
	json_put_bool(w, "readOnly", table->scope == NULL);
	json_put_i64(w, "since", table->sync->since);
	put_names(w, "key", table->sync->key, table->sync->key_count, NULL);
	json_array_open(w, "columns");
	for (size_t i = 0; i < table->sync->own_count; i++)
		put_column(w, &table->columns[i]);
	json_array_close(w);
	json_array_open(w, "unique");
	for (size_t i = 0; i < table->index_count; i++)
		if (table->indexes[i].unique)
			put_names(w, NULL, table->indexes[i].columns, table->indexes[i].count, NULL);
	json_array_close(w);
	put_references(w, table);
	json_object_close(w);
}

void schema_describe(struct json_writer *w, const struct schema_app *app)
{
	json_put_text(w, "app", app->name);
	json_put_i64(w, "version", app->version);
	json_put_i64(w, "oldest", app->oldest);
	json_put_text(w, "scope", schema_scope_name(app->sync_scope));
	json_array_open(w, "tables");
	for (size_t t = 0; t < app->synced_count; t++)
		put_table(w, app->synced[t]);
	json_array_close(w);
}

bool schema_table_grew(const struct schema_table *table, int64_t from)
{
	for (size_t i = 0; i < table->sync->own_count; i++)
		if (table->columns[i].since > from)
			return true;
	return false;
}

void schema_describe_migration(struct json_writer *w, const struct schema_app *app, int64_t from)
{
	json_object_open(w, "migration");
	json_put_i64(w, "from", from);
	json_put_i64(w, "to", app->version);
	json_array_open(w, "tables");
	for (size_t t = 0; t < app->synced_count; t++)
		if (app->synced[t]->sync->since > from)
			json_put_text(w, NULL, app->synced[t]->name);
	json_array_close(w);
	json_array_open(w, "columns");
	for (size_t t = 0; t < app->synced_count; t++)
		for (size_t i = 0; app->synced[t]->sync->since <= from && i < app->synced[t]->sync->own_count; i++) {
			if (app->synced[t]->columns[i].since <= from)
				continue;
			json_object_open(w, NULL);
			json_put_text(w, "table", app->synced[t]->name);
			json_put_text(w, "column", app->synced[t]->columns[i].name);
			json_object_close(w);
		}
	json_array_close(w);
	json_object_close(w);
}

/* practice_record → PracticeRecord */
static void type_name(struct buf *out, const char *name)
{
	bool upper = true;

	for (; *name; name++) {
		bool small = *name >= 'a' && *name <= 'z';
		if (*name != '_')
			buf_append_char(out, (char)(upper && small ? *name - 'a' + 'A' : *name));
		upper = *name == '_';
	}
}

static void type_of(struct buf *out, const struct schema_column *column)
{
	if (column->value_count) {
		for (size_t i = 0; i < column->value_count; i++) {
			buf_append_text(out, i ? " | " : "");
			json_quote(out, column->values[i].value, strlen(column->values[i].value));
		}
	} else if (column->type == SCHEMA_BOOLEAN) {
		buf_append_text(out, "0 | 1");
	} else if (column->type == SCHEMA_INTEGER || column->type == SCHEMA_BIGINT || column->type == SCHEMA_DOUBLE) {
		buf_append_text(out, "number");
	} else {
		buf_append_text(out, "string");
	}
}

static void row_type(struct buf *out, const struct schema_table *table)
{
	buf_printf(out, "\n/** %s */\nexport interface ", table->labels.en);
	type_name(out, table->name);
	buf_append_text(out, " {\n");
	for (size_t i = 0; i < table->sync->own_count; i++) {
		const struct schema_column *column = &table->columns[i];
		buf_printf(out, "  %s: ", column->name);
		type_of(out, column);
		buf_append_text(out, column->nullable && !column->required ? " | null;\n" : ";\n");
	}
	buf_append_text(out, "}\n");
}

enum err schema_typescript(const struct schema_app *app, struct buf *out)
{
	buf_printf(out, "// Rows of the synced tables of %s, as they travel and as SQLite stores them. Made by `tidegate schema --types %s`.\n\n"
			"export const app = \"%s\";\nexport const schemaVersion = %lld;\n",
	           app->name, app->name, app->name, (long long)app->version);
	for (size_t t = 0; t < app->synced_count; t++)
		row_type(out, app->synced[t]);
	buf_append_text(out, "\nexport interface Tables {\n");
	for (size_t t = 0; t < app->synced_count; t++) {
		buf_printf(out, "  %s: ", app->synced[t]->name);
		type_name(out, app->synced[t]->name);
		buf_append_text(out, ";\n");
	}
	buf_append_text(out, "}\n\n/** Columns of the key of each table; a key of several travels as a JSON object in this order. */\nexport const keys = {\n");
	for (size_t t = 0; t < app->synced_count; t++) {
		const struct schema_sync *sync = app->synced[t]->sync;
		buf_printf(out, "  %s: [", app->synced[t]->name);
		for (size_t i = 0; i < sync->key_count; i++)
			buf_printf(out, "%s\"%s\"", i ? ", " : "", sync->key[i]->name);
		buf_append_text(out, "],\n");
	}
	buf_append_text(out, "} as const;\n");
	return out->overflowed ? ERR_TOO_LARGE : OK;
}
