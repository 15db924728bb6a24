/*
 * Makes PostgreSQL DDL from a declaration: schema, tables, indexes, row-level security, grants.
 * Called by `tidegate migrate` and `tidegate schema`; the fingerprint and the expected columns by `serve` and `doctor`.
 * Never drops or alters a table, and never puts a name or text into SQL unquoted.
 */
#include "core/schema/ddl.h"

#include "core/schema/ddl_sync.h"
#include "core/schema/quote.h"

#define DDL_MAX (4 << 20)

static const char *const roles[] = {"tidegate_api", "tidegate_worker"};

void ddl_columns(struct buf *out, const struct schema_column *const *columns, size_t count)
{
	buf_append_char(out, '(');
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_append_text(out, ", ");
		quote_identifier(out, columns[i]->name);
	}
	buf_append_char(out, ')');
}

/* A value that stands alone so that a label added later does not change the meaning of stored rows: unknown values give themselves. */
static void label_case(struct buf *out, const struct schema_column *source)
{
	buf_append_text(out, "CASE ");
	quote_identifier(out, source->name);
	for (size_t i = 0; i < source->value_count; i++) {
		buf_append_text(out, "\n            WHEN ");
		quote_literal(out, source->values[i].value);
		buf_append_text(out, " THEN ");
		quote_literal(out, source->values[i].labels.fr);
	}
	buf_append_text(out, "\n            ELSE ");
	quote_identifier(out, source->name);
	buf_append_text(out, " END");
}

static void column_value(struct buf *out, const struct schema_column *column)
{
	switch (column->generate) {
	case SCHEMA_GENERATE_UUID:
		buf_append_text(out, " DEFAULT gen_random_uuid()");
		break;
	case SCHEMA_GENERATE_NOW:
		buf_append_text(out, " DEFAULT now()");
		break;
	case SCHEMA_GENERATE_IDENTITY:
		buf_append_text(out, " GENERATED ALWAYS AS IDENTITY (CACHE 100)");
		break;
	case SCHEMA_GENERATE_LOWER:
		buf_append_text(out, " GENERATED ALWAYS AS (lower(");
		quote_identifier(out, column->source->name);
		buf_append_text(out, " COLLATE \"C\")) STORED");
		break;
	case SCHEMA_GENERATE_LABEL:
		buf_append_text(out, " GENERATED ALWAYS AS (");
		label_case(out, column->source);
		buf_append_text(out, ") STORED");
		break;
	case SCHEMA_GENERATE_NONE:
		if (column->default_value) {
			buf_append_text(out, " DEFAULT ");
			quote_literal(out, column->default_value);
		}
		break;
	}
}

static void column_checks(struct buf *out, const struct schema_column *column)
{
	/* A text of few bytes has few characters: most rows need no count of them, which would take longer than storing it. */
	if (column->max_length) {
		buf_append_text(out, " CHECK (octet_length(");
		quote_identifier(out, column->name);
		buf_printf(out, ") <= %lld OR length(", (long long)column->max_length);
		quote_identifier(out, column->name);
		buf_printf(out, ") <= %lld)", (long long)column->max_length);
	}
	if (column->has_minimum) {
		buf_append_text(out, " CHECK (");
		quote_identifier(out, column->name);
		buf_printf(out, " >= %lld)", (long long)column->minimum);
	}
	if (column->has_maximum) {
		buf_append_text(out, " CHECK (");
		quote_identifier(out, column->name);
		buf_printf(out, " <= %lld)", (long long)column->maximum);
	}
	if (!column->value_count)
		return;
	buf_append_text(out, " CHECK (");
	quote_identifier(out, column->name);
	buf_append_text(out, " IN (");
	for (size_t i = 0; i < column->value_count; i++) {
		if (i)
			buf_append_text(out, ", ");
		quote_literal(out, column->values[i].value);
	}
	buf_append_text(out, "))");
}

void ddl_column(struct buf *out, const struct schema_column *column)
{
	quote_identifier(out, column->name);
	buf_append_char(out, ' ');
	buf_append_text(out, schema_type_postgres(column->type));
	if (column->collate_c)
		buf_append_text(out, " COLLATE \"C\"");
	if (!column->nullable)
		buf_append_text(out, " NOT NULL");
	column_value(out, column);
	column_checks(out, column);
}

static void reference_definition(struct buf *out, const struct schema_app *app, const struct schema_reference *reference)
{
	static const char *const actions[] = {
		[SCHEMA_DELETE_RESTRICT] = "RESTRICT", [SCHEMA_DELETE_CASCADE] = "CASCADE", [SCHEMA_DELETE_SET_NULL] = "SET NULL"};

	buf_append_text(out, ",\n    FOREIGN KEY ");
	ddl_columns(out, reference->from, reference->count);
	buf_append_text(out, " REFERENCES ");
	quote_table(out, app->name, reference->table->name);
	buf_append_char(out, ' ');
	ddl_columns(out, reference->to, reference->count);
	buf_append_text(out, " ON DELETE ");
	buf_append_text(out, actions[reference->on_delete]);
	if (reference->clear) {
		buf_append_char(out, ' ');
		ddl_columns(out, &reference->clear, 1);
	}
}

static void table_definition(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	buf_append_text(out, "\nCREATE TABLE IF NOT EXISTS ");
	quote_table(out, app->name, table->name);
	buf_append_text(out, " (\n");
	for (size_t i = 0; i < table->column_count; i++) {
		buf_append_text(out, "    ");
		ddl_column(out, &table->columns[i]);
		buf_append_text(out, ",\n");
	}
	buf_append_text(out, "    PRIMARY KEY ");
	ddl_columns(out, table->primary, table->primary_count);
	for (size_t i = 0; !table->sync && i < table->reference_count; i++)
		reference_definition(out, app, &table->references[i]);
	if (table->sync)
		ddl_sync_check(out, table);
	buf_append_text(out, table->sync ? "\n) WITH (fillfactor = 90);\n" : "\n);\n");
	if (table->sync)
		ddl_sync_later_columns(out, app, table);
}

static void index_condition(struct buf *out, const struct schema_index *index)
{
	const char *joint = " WHERE ";

	for (size_t i = 0; i < index->not_null_count; i++, joint = " AND ") {
		buf_append_text(out, joint);
		quote_identifier(out, index->not_null[i]->name);
		buf_append_text(out, " IS NOT NULL");
	}
	for (size_t i = 0; i < index->null_count; i++, joint = " AND ") {
		buf_append_text(out, joint);
		quote_identifier(out, index->null[i]->name);
		buf_append_text(out, " IS NULL");
	}
}

static void index_definition(struct buf *out, const struct schema_app *app, const struct schema_table *table, const struct schema_index *index)
{
	static const char *const methods[] = {
		[SCHEMA_INDEX_BTREE] = " USING btree (",
		[SCHEMA_INDEX_HASH] = " USING hash (",
		[SCHEMA_INDEX_TRIGRAM] = " USING gin (",
	};
	bool trigram = index->kind == SCHEMA_INDEX_TRIGRAM;

	buf_append_text(out, index->unique ? "CREATE UNIQUE INDEX IF NOT EXISTS " : "CREATE INDEX IF NOT EXISTS ");
	quote_identifier(out, index->name);
	buf_append_text(out, " ON ");
	quote_table(out, app->name, table->name);
	buf_append_text(out, methods[index->kind]);
	for (size_t i = 0; i < index->count; i++) {
		if (i)
			buf_append_text(out, ", ");
		quote_identifier(out, index->columns[i]->name);
		if (trigram)
			buf_append_text(out, " gin_trgm_ops");
		else if (index->descending[i])
			buf_append_text(out, " DESC");
	}
	buf_append_char(out, ')');
	index_condition(out, index);
	buf_append_text(out, ";\n");
}

static void security_definition(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	buf_append_text(out, "ALTER TABLE ");
	quote_table(out, app->name, table->name);
	buf_append_text(out, " ENABLE ROW LEVEL SECURITY;\n");
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		buf_printf(out, "DROP POLICY IF EXISTS \"%s\" ON ", roles[i]);
		quote_table(out, app->name, table->name);
		buf_printf(out, ";\nCREATE POLICY \"%s\" ON ", roles[i]);
		quote_table(out, app->name, table->name);
		buf_printf(out, " TO \"%s\"\n    USING (", roles[i]);
		quote_identifier(out, table->scope->name);
		buf_append_text(out, " = current_setting('tidegate.space', true))\n    WITH CHECK (");
		quote_identifier(out, table->scope->name);
		buf_append_text(out, " = current_setting('tidegate.space', true));\nGRANT ");
		buf_append_text(out, table->access == SCHEMA_ACCESS_APPEND ? "SELECT, INSERT" : "SELECT, INSERT, UPDATE, DELETE");
		buf_append_text(out, " ON ");
		quote_table(out, app->name, table->name);
		buf_printf(out, " TO \"%s\";\n", roles[i]);
	}
}

static bool needs_trigram(const struct schema_app *app)
{
	for (size_t t = 0; t < app->table_count; t++)
		for (size_t i = 0; i < app->tables[t].index_count; i++)
			if (app->tables[t].indexes[i].kind == SCHEMA_INDEX_TRIGRAM)
				return true;
	return false;
}

static void schema_definition(struct buf *out, const struct schema_app *app)
{
	if (needs_trigram(app))
		buf_append_text(out, "CREATE EXTENSION IF NOT EXISTS pg_trgm;\n");
	buf_append_text(out, "CREATE SCHEMA IF NOT EXISTS ");
	quote_identifier(out, app->name);
	buf_append_text(out, ";\n");
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		buf_append_text(out, "GRANT USAGE ON SCHEMA ");
		quote_identifier(out, app->name);
		buf_printf(out, " TO \"%s\";\n", roles[i]);
	}
}

enum err schema_ddl_postgres(const struct schema_app *app, struct buf *out)
{
	schema_definition(out, app);
	for (size_t t = 0; t < app->table_count; t++) {
		const struct schema_table *table = &app->tables[t];
		table_definition(out, app, table);
		if (table->sync) {
			ddl_sync_table(out, app, table);
			continue;
		}
		for (size_t i = 0; i < table->index_count; i++)
			index_definition(out, app, table, &table->indexes[i]);
		security_definition(out, app, table);
	}
	for (size_t t = 0; t < app->synced_count; t++)
		ddl_sync_references(out, app, app->synced[t]);
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

enum err schema_fingerprint(const struct schema_app *app, char out[SHA256_HEX_SIZE])
{
	struct buf text;
	enum err err = OK;

	buf_init(&text, DDL_MAX);
	err = schema_ddl_postgres(app, &text);
	if (!err)
		sha256_hex(buf_text(&text), text.len, out);
	buf_release(&text);
	return err;
}

enum err schema_expect(const struct schema_app *app, struct arena *arena, const struct schema_expectation **ret, size_t *ret_count)
{
	struct schema_expectation *list = NULL;
	size_t count = 0, at = 0;

	for (size_t t = 0; t < app->table_count; t++)
		count += app->tables[t].column_count;
	list = arena_array(arena, count, sizeof(*list));
	if (!list)
		return ERR_TOO_LARGE;
	for (size_t t = 0; t < app->table_count; t++) {
		for (size_t i = 0; i < app->tables[t].column_count; i++) {
			const struct schema_column *column = &app->tables[t].columns[i];
			list[at++] = (struct schema_expectation){app->tables[t].name, column->name, schema_type_postgres(column->type), column->nullable};
		}
	}
	*ret = list;
	*ret_count = count;
	return OK;
}
