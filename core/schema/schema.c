/*
 * Lookups in a loaded declaration, and the one table of types.
 * Called by everything that reads a declaration.
 * Never changes an app, never allocates.
 */
#include "core/schema/schema.h"

#include <string.h>

static const struct {
	const char *name;
	const char *postgres;
} types[SCHEMA_TYPE_COUNT] = {
	[SCHEMA_TEXT] = {"text", "text"},
	[SCHEMA_UUID] = {"uuid", "uuid"},
	[SCHEMA_INTEGER] = {"integer", "integer"},
	[SCHEMA_BIGINT] = {"bigint", "bigint"},
	[SCHEMA_DOUBLE] = {"double", "double precision"},
	[SCHEMA_NUMERIC] = {"numeric", "numeric"},
	[SCHEMA_BOOLEAN] = {"boolean", "boolean"},
	[SCHEMA_DATE] = {"date", "date"},
	[SCHEMA_TIMESTAMPTZ] = {"timestamptz", "timestamp with time zone"},
	[SCHEMA_JSONB] = {"jsonb", "jsonb"},
};

const char *schema_type_name(enum schema_type type)
{
	return (size_t)type < SCHEMA_TYPE_COUNT ? types[type].name : "unknown";
}

const char *schema_type_postgres(enum schema_type type)
{
	return (size_t)type < SCHEMA_TYPE_COUNT ? types[type].postgres : "unknown";
}

const char *schema_label(const struct schema_labels *labels, enum schema_language language)
{
	return language == SCHEMA_ENGLISH ? labels->en : labels->fr;
}

const struct schema_table *schema_table_of(const struct schema_app *app, const char *name)
{
	for (size_t i = 0; i < app->table_count; i++)
		if (text_equal(app->tables[i].name, name))
			return &app->tables[i];
	return NULL;
}

const struct schema_column *schema_column_of(const struct schema_table *table, const char *name)
{
	for (size_t i = 0; i < table->column_count; i++)
		if (text_equal(table->columns[i].name, name))
			return &table->columns[i];
	return NULL;
}

const struct schema_field *schema_field_of(const struct schema_table *table, const char *name)
{
	for (size_t i = 0; i < table->field_count; i++)
		if (text_equal(table->fields[i].name, name))
			return &table->fields[i];
	return NULL;
}
