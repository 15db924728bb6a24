/*
 * Generates the statements that take an import back. undo_statements.h shows what they look like.
 * Called once per target at start; the texts are then prepared like any named statement.
 * Must never let a record go that somebody may have changed since: where nothing is known, it is kept.
 */
#include "core/schema/undo_statements.h"

#include "core/schema/quote.h"
#include "core/schema/statements.h"

static void member(struct buf *out, const char *alias, const char *name)
{
	buf_append_text(out, alias);
	buf_append_char(out, '.');
	quote_identifier(out, name);
}

/* "crm"."lead" AS t */
static void target(struct buf *out, const struct schema_app *app, const char *table, const char *alias)
{
	quote_table(out, app->name, table);
	buf_printf(out, " AS %s", alias);
}

static void slice_of(struct buf *out, const char *alias)
{
	buf_printf(out, "%s.job_no = $1::bigint AND %s.row_no BETWEEN $2::integer AND $3::integer", alias, alias);
}

static void in_scope(struct buf *out, const struct schema_table *table, const char *alias)
{
	buf_append_text(out, "\n    AND ");
	member(out, alias, table->scope->name);
	buf_append_text(out, " = $4::text");
}

static void not_deleted(struct buf *out, const struct schema_table *table)
{
	if (!table->import->deleted)
		return;
	buf_append_text(out, " AND ");
	member(out, "t", table->import->deleted->name);
	buf_append_text(out, " IS NULL");
}

/* The history of the record t, columns of alias h. */
static void history_of(struct buf *out, const struct schema_app *app, const struct schema_table *table, const char *alias)
{
	target(out, app, table->import->history, alias);
	buf_printf(out, " WHERE %s.\"space\" = $4::text AND %s.\"%s_id\" = ", alias, alias, table->name);
	member(out, "t", table->primary[0]->name);
}

static void history_insert(struct buf *out, const struct schema_app *app, const struct schema_table *table, const char *from, bool images)
{
	buf_append_text(out, "\n)\nINSERT INTO ");
	quote_table(out, app->name, table->import->history);
	buf_printf(out, " (\"space\", \"%s_id\", \"actor_id\", \"event_type\", \"job_id\", \"before_data\", \"after_data\")\n"
			"SELECT $4::text, target_id, $6::text, 'import_undone', $5::uuid, %s FROM %s",
	           table->name, images ? "before_data, after_data" : "NULL, NULL", from);
}

/* What a commit puts there depends on the other table, and a record that goes there may clear it: the cell says little. */
static bool is_reference(const struct schema_table *table, const struct schema_field *field)
{
	for (size_t i = 0; i < table->reference_count; i++)
		for (size_t c = 0; c < table->references[i].count; c++)
			if (table->references[i].from[c] == field->column)
				return true;
	return false;
}

/* The column of a field still holds what its cell said. An empty cell says nothing where the commit may have filled it. */
static void cell_stands(struct buf *out, const struct schema_table *table, const struct schema_field *field)
{
	const struct schema_import *import = table->import;
	const struct schema_column *column = field->column;
	bool filled = column->default_value || field == import->status || field == import->source;

	if (field == import->assigned || column == import->touched || column->generate == SCHEMA_GENERATE_NOW || is_reference(table, field))
		return;
	buf_append_text(out, "\n    AND ");
	if (filled)
		buf_printf(out, "(r.vals[%zu] IS NULL OR ", field->index + 1);
	member(out, "t", column->name);
	buf_printf(out, " %s r.vals[%zu]", filled ? "=" : "IS NOT DISTINCT FROM", field->index + 1);
	if (column->type != SCHEMA_TEXT)
		buf_printf(out, "::%s", schema_type_postgres(column->type));
	if (filled)
		buf_append_char(out, ')');
}

/* A write and its line of history carry the same time. */
static void not_touched_since(struct buf *out, const struct schema_import *import)
{
	const struct schema_field *field = import->touched->field;

	buf_append_text(out, "\n        AND ");
	member(out, "t", import->touched->name);
	buf_append_text(out, " <= greatest(");
	if (field)
		buf_printf(out, "r.vals[%zu]::%s, ", field->index + 1, schema_type_postgres(import->touched->type));
	buf_append_text(out, "max(h.\"created_at\") FILTER (WHERE h.\"job_id\" IS NOT DISTINCT FROM $5::uuid OR h.\"event_type\" = 'import_undone'))");
}

/* Counting keeps the look-up of another import's undo from becoming one over all of the history. */
static void nobody_wrote_since(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	buf_append_text(out, "\n    AND (SELECT bool_and(h.\"job_id\" IS NOT DISTINCT FROM $5::uuid OR h.\"event_type\" = 'import_undone' OR (SELECT count(*) FROM ");
	history_of(out, app, table, "u");
	buf_append_text(out, " AND u.\"job_id\" = h.\"job_id\" AND u.\"event_type\" = 'import_undone') > 0)");
	if (table->import->touched)
		not_touched_since(out, table->import);
	buf_append_text(out, "\n        FROM ");
	history_of(out, app, table, "h");
	buf_append_char(out, ')');
}

enum err schema_sql_undo_remove(const struct schema_app *app, const struct schema_table *table, struct buf *out)
{
	const struct schema_import *import = table->import;

	if (!import)
		return ERR_INVALID;
	buf_append_text(out, "WITH given AS (SELECT $5::uuid, $6::text)");
	buf_append_text(out, import->history ? ", gone AS (\nDELETE FROM " : "\nDELETE FROM ");
	target(out, app, table->name, "t");
	buf_append_text(out, " USING tidegate.import_row AS r\nWHERE ");
	slice_of(out, "r");
	buf_printf(out, " AND r.state = %d\n    AND r.row_no NOT IN (SELECT o.row_no FROM tidegate.import_outcome AS o WHERE ", SCHEMA_ROW_VALID);
	slice_of(out, "o");
	buf_append_text(out, ")\n    AND ");
	member(out, "t", table->primary[0]->name);
	buf_append_text(out, " = r.row_id AND ");
	member(out, "t", table->primary[0]->name);
	buf_append_text(out, " = ANY (ARRAY(SELECT s.row_id FROM tidegate.import_row AS s WHERE ");
	slice_of(out, "s");
	buf_append_text(out, "))");
	in_scope(out, table, "t");
	not_deleted(out, table);
	for (size_t i = 0; i < table->field_count; i++)
		cell_stands(out, table, &table->fields[i]);
	if (import->history) {
		nobody_wrote_since(out, app, table);
		buf_append_text(out, "\nRETURNING ");
		member(out, "t", table->primary[0]->name);
		buf_append_text(out, " AS target_id");
		history_insert(out, app, table, "gone", false);
	}
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

static void image(struct buf *out, const struct schema_app *app, const struct schema_table *table, const char *data, const char *name)
{
	buf_append_text(out, ", jsonb_populate_record(NULL::");
	quote_table(out, app->name, table->name);
	buf_printf(out, ", h.\"%s\") AS %s", data, name);
}

/* Records of the slice that the import has updated, as they were before and as it has left them. */
static void planned_images(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	buf_printf(out, "WITH planned AS MATERIALIZED (\nSELECT h.\"%s_id\" AS target_id", table->name);
	image(out, app, table, "before_data", "was");
	image(out, app, table, "after_data", "made");
	buf_append_text(out, "\nFROM tidegate.import_outcome AS o JOIN ");
	target(out, app, table->import->history, "h");
	buf_printf(out, " ON h.\"%s_id\" = o.target_id\nWHERE ", table->name);
	slice_of(out, "o");
	buf_printf(out, " AND o.action = %d\n    AND h.\"%s_id\" = ANY (ARRAY(SELECT s.target_id FROM tidegate.import_outcome AS s WHERE ", SCHEMA_ACTION_UPDATE,
	           table->name);
	slice_of(out, "s");
	buf_printf(out, " AND s.action = %d))\n    AND h.\"space\" = $4::text AND h.\"job_id\" = $5::uuid AND h.\"event_type\" = 'updated'"
			" AND h.\"before_data\" IS NOT NULL AND h.\"after_data\" IS NOT NULL\n)",
	           SCHEMA_ACTION_UPDATE);
}

/* Whether the import may have changed this column of a record that was there. */
static bool is_written(const struct schema_table *table, const struct schema_field *field)
{
	return !field->keep && field->column != table->import->touched;
}

static void restored_values(struct buf *out, const struct schema_table *table)
{
	const char *joint = "\nSET ";

	for (size_t i = 0; i < table->field_count; i++) {
		const char *name = table->fields[i].column->name;
		if (!is_written(table, &table->fields[i]))
			continue;
		buf_append_text(out, joint);
		quote_identifier(out, name);
		buf_append_text(out, " = CASE WHEN ");
		member(out, "(p.was)", name);
		buf_append_text(out, " IS DISTINCT FROM ");
		member(out, "(p.made)", name);
		buf_append_text(out, " THEN ");
		member(out, "(p.was)", name);
		buf_append_text(out, " ELSE ");
		member(out, "t", name);
		buf_append_text(out, " END");
		joint = ",\n    ";
	}
	if (table->import->touched) {
		buf_append_text(out, joint);
		quote_identifier(out, table->import->touched->name);
		buf_append_text(out, " = now()");
	}
}

static void change_stands(struct buf *out, const struct schema_column *column)
{
	buf_append_text(out, "\n    AND (");
	member(out, "(p.was)", column->name);
	buf_append_text(out, " IS NOT DISTINCT FROM ");
	member(out, "(p.made)", column->name);
	buf_append_text(out, " OR ");
	member(out, "t", column->name);
	buf_append_text(out, " IS NOT DISTINCT FROM ");
	member(out, "(p.made)", column->name);
	buf_append_char(out, ')');
}

static void planned_only(struct buf *out, const struct schema_table *table, const char *alias)
{
	buf_append_text(out, "\n    AND ");
	member(out, alias, table->primary[0]->name);
	buf_append_text(out, " = p.target_id AND ");
	member(out, alias, table->primary[0]->name);
	buf_append_text(out, " = ANY (ARRAY(SELECT q.target_id FROM planned AS q))");
	in_scope(out, table, alias);
}

enum err schema_sql_undo_restore(const struct schema_app *app, const struct schema_table *table, struct buf *out)
{
	if (!table->import || !table->import->history)
		return ERR_INVALID;
	planned_images(out, app, table);
	buf_append_text(out, ", changed AS (\nUPDATE ");
	target(out, app, table->name, "t");
	restored_values(out, table);
	buf_append_text(out, "\nFROM planned AS p, ");
	target(out, app, table->name, "b");
	buf_append_text(out, "\nWHERE true");
	planned_only(out, table, "t");
	planned_only(out, table, "b");
	for (size_t i = 0; i < table->field_count; i++)
		if (is_written(table, &table->fields[i]))
			change_stands(out, table->fields[i].column);
	buf_append_text(out, "\nRETURNING p.target_id, to_jsonb(b) AS before_data, to_jsonb(t) AS after_data");
	history_insert(out, app, table, "changed", true);
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

/* How many lines this import has in the history of t under that event. */
static void lines_of_import(struct buf *out, const struct schema_app *app, const struct schema_table *table, const char *event)
{
	buf_append_text(out, "(SELECT count(*) FROM ");
	history_of(out, app, table, "h");
	buf_printf(out, " AND h.\"job_id\" = $5::uuid AND h.\"event_type\" = '%s' AND h.\"before_data\" IS NOT NULL)", event);
}

enum err schema_sql_undo_keep(const struct schema_app *app, const struct schema_table *table, struct buf *out)
{
	const char *history = table->import ? table->import->history : NULL;

	if (!table->import)
		return ERR_INVALID;
	buf_append_text(out, "WITH given AS (SELECT $5::uuid, $6::text), written AS MATERIALIZED (\nSELECT r.row_no, coalesce(o.target_id, r.row_id) AS target_id, "
			     "o.action IS NOT NULL AS updated\nFROM tidegate.import_row AS r LEFT JOIN tidegate.import_outcome AS o ON o.row_no = r.row_no AND ");
	slice_of(out, "o");
	buf_append_text(out, "\nWHERE ");
	slice_of(out, "r");
	buf_printf(out, " AND r.state = %d AND coalesce(o.action, %d) = %d\n), found AS (\nSELECT w.row_no, w.updated", SCHEMA_ROW_VALID, SCHEMA_ACTION_UPDATE,
	           SCHEMA_ACTION_UPDATE);
	if (history) {
		buf_append_text(out, " AND ");
		lines_of_import(out, app, table, "updated");
		buf_append_text(out, " = 0");
	}
	buf_append_text(out, " AS image_gone\nFROM written AS w JOIN ");
	target(out, app, table->name, "t");
	buf_append_text(out, " ON ");
	member(out, "t", table->primary[0]->name);
	buf_append_text(out, " = w.target_id\nWHERE ");
	member(out, "t", table->primary[0]->name);
	buf_append_text(out, " = ANY (ARRAY(SELECT q.target_id FROM written AS q))");
	in_scope(out, table, "t");
	not_deleted(out, table);
	if (history) {
		buf_append_text(out, "\n    AND ");
		lines_of_import(out, app, table, "import_undone");
		buf_append_text(out, " = 0");
	}
	buf_printf(out, "\n), marked AS (\nINSERT INTO tidegate.import_undo (job_no, row_no, result, reason)\nSELECT $1::bigint, f.row_no, CASE WHEN f.image_gone "
			"THEN %d ELSE %d END, CASE WHEN f.image_gone THEN 'image_gone' ELSE 'edited_since' END FROM found AS f RETURNING result\n)\n"
			"SELECT count(*) FILTER (WHERE result = %d), count(*) FILTER (WHERE result = %d) FROM marked",
	           SCHEMA_UNDO_ERRORED, SCHEMA_UNDO_KEPT, SCHEMA_UNDO_KEPT, SCHEMA_UNDO_ERRORED);
	return out->overflowed ? ERR_TOO_LARGE : OK;
}
