/*
 * Generates the set-based statements of an import commit. statements.h shows what they look like.
 * Called once per target at start; the texts are then prepared like any named statement.
 * Never puts a value of a request into SQL: values are $1 to $12, names are quoted, literals come from the declaration.
 */
#include "core/schema/statements.h"

#include "core/schema/quote.h"

static void qualified(struct buf *out, const char *alias, const struct schema_column *column)
{
	buf_append_text(out, alias);
	buf_append_char(out, '.');
	quote_identifier(out, column->name);
}

/* The reference that a field's column ends, when its other columns are the scope; NULL when the field stands for itself. */
static const struct schema_reference *reference_of(const struct schema_table *table, const struct schema_field *field)
{
	for (size_t i = 0; i < table->reference_count; i++) {
		const struct schema_reference *reference = &table->references[i];
		bool found = false, plain = true;
		for (size_t c = 0; c < reference->count; c++) {
			found |= reference->from[c] == field->column;
			plain &= reference->from[c] == field->column || reference->from[c] == table->scope;
		}
		if (found && plain)
			return reference;
	}
	return NULL;
}

static void staged_value(struct buf *out, const struct schema_field *field)
{
	buf_printf(out, "r.vals[%zu]", field->index + 1);
	if (field->column->type != SCHEMA_TEXT)
		buf_printf(out, "::%s", schema_type_postgres(field->column->type));
}

/* What a cell says: the staged value, or the key it was found under in the referenced table. */
static void cell_value(struct buf *out, const struct schema_table *table, const struct schema_field *field)
{
	const struct schema_reference *reference = reference_of(table, field);

	if (!reference) {
		staged_value(out, field);
		return;
	}
	for (size_t c = 0; c < reference->count; c++) {
		if (reference->from[c] != field->column)
			continue;
		buf_printf(out, "ref%zu.", field->index + 1);
		quote_identifier(out, reference->to[c]->name);
	}
}

static void reference_joins(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	for (size_t i = 0; i < table->field_count; i++) {
		const struct schema_field *field = &table->fields[i];
		const struct schema_reference *reference = reference_of(table, field);
		if (!reference)
			continue;
		buf_append_text(out, "\nLEFT JOIN ");
		quote_table(out, app->name, reference->table->name);
		buf_printf(out, " AS ref%zu ON ", i + 1);
		for (size_t c = 0; c < reference->count; c++) {
			buf_printf(out, "%sref%zu.", c ? " AND " : "", i + 1);
			quote_identifier(out, reference->to[c]->name);
			buf_append_text(out, " = ");
			if (reference->from[c] == field->column)
				staged_value(out, field);
			else
				buf_append_text(out, "$4::text");
		}
	}
}

static void column_default(struct buf *out, const struct schema_column *column)
{
	if (column->generate == SCHEMA_GENERATE_NOW) {
		buf_append_text(out, ", now()");
	} else if (column->generate == SCHEMA_GENERATE_UUID) {
		buf_append_text(out, ", gen_random_uuid()");
	} else if (column->default_value) {
		buf_append_text(out, ", ");
		quote_literal(out, column->default_value);
		if (column->type != SCHEMA_TEXT)
			buf_printf(out, "::%s", schema_type_postgres(column->type));
	}
}

static void insert_value(struct buf *out, const struct schema_table *table, const struct schema_field *field)
{
	const struct schema_import *import = table->import;

	buf_append_text(out, "coalesce(");
	if (field == import->assigned)
		buf_append_text(out, "$6::text, CASE WHEN $10::text[] IS NOT NULL THEN ($10::text[])[1 + (($11::bigint + row_number() OVER (ORDER BY r.row_no) - 1) "
				     "% cardinality($10::text[]))::integer] END, who.user_id, ");
	cell_value(out, table, field);
	if (field == import->status)
		buf_append_text(out, ", $7::text");
	if (field == import->source)
		buf_append_text(out, ", $8::text");
	column_default(out, field->column);
	buf_append_char(out, ')');
}

static void slice(struct buf *out)
{
	buf_append_text(out, "\nWHERE r.job_no = $1::bigint AND r.row_no BETWEEN $2::integer AND $3::integer");
	buf_printf(out, " AND r.state = %d", SCHEMA_ROW_VALID);
}

/* Rows whose outcome was planned: updates. */
static void planned_rows(struct buf *out)
{
	buf_append_text(out, "tidegate.import_row AS r\nJOIN tidegate.import_outcome AS o ON o.job_no = r.job_no AND o.row_no = r.row_no");
}

/*
 * Wraps a statement that returns id, before and after in one that also writes the history; closed by history_close. The
 * part that nobody reads names the parameters that not every statement uses: PostgreSQL must know their types.
 */
static void history_open(struct buf *out, const struct schema_import *import)
{
	buf_append_text(out, "WITH given AS (SELECT $5::uuid, $6::text, $7::text, $8::text, $9::text, $10::text[], $11::bigint, $12::integer)");
	buf_append_text(out, import->history ? ", changed AS (\n" : "\n");
}

static void history_close(struct buf *out, const struct schema_app *app, const struct schema_table *table, const char *event, bool images)
{
	const struct schema_import *import = table->import;
	if (!import->history)
		return;
	buf_append_text(out, "\n)\nINSERT INTO ");
	quote_table(out, app->name, import->history);
	buf_printf(out, " (\"space\", \"%s_id\", \"actor_id\", \"event_type\", \"job_id\", \"before_data\", \"after_data\")\nSELECT $4::text, target_id, $9::text, ",
	           table->name);
	quote_literal(out, event);
	buf_printf(out, ", $5::uuid, %s FROM changed", images ? "before_data, after_data" : "NULL, NULL");
}

enum err schema_sql_insert(const struct schema_app *app, const struct schema_table *table, struct buf *out)
{
	const struct schema_import *import = table->import;

	if (!import)
		return ERR_INVALID;
	history_open(out, import);
	buf_append_text(out, "INSERT INTO ");
	quote_table(out, app->name, table->name);
	buf_append_text(out, " (");
	quote_identifier(out, table->primary[0]->name);
	buf_append_text(out, ", ");
	quote_identifier(out, table->scope->name);
	for (size_t i = 0; i < table->field_count; i++) {
		buf_append_text(out, ", ");
		quote_identifier(out, table->fields[i].column->name);
	}
	if (import->job) {
		buf_append_text(out, ", ");
		quote_identifier(out, import->job->name);
	}
	buf_append_text(out, ")\nSELECT r.row_id, $4::text");
	for (size_t i = 0; i < table->field_count; i++) {
		buf_append_text(out, ",\n    ");
		insert_value(out, table, &table->fields[i]);
	}
	if (import->job)
		buf_append_text(out, ",\n    $5::uuid");
	buf_append_text(out, "\nFROM ");
	buf_append_text(out, "tidegate.import_row AS r");
	/* Without a column to assign by ($12) the condition is false before anything is read. */
	if (import->assigned)
		buf_append_text(out, "\nLEFT JOIN tidegate.import_assignee AS who ON $12::integer IS NOT NULL AND who.job_no = $1::bigint "
				     "AND who.value = r.cells[$12::integer]");
	reference_joins(out, app, table);
	slice(out);
	buf_append_text(out, "\n    AND r.row_no NOT IN (SELECT o.row_no FROM tidegate.import_outcome AS o WHERE o.job_no = $1::bigint "
			     "AND o.row_no BETWEEN $2::integer AND $3::integer)\nORDER BY r.row_no");
	if (import->history) {
		buf_append_text(out, "\nRETURNING ");
		quote_identifier(out, table->primary[0]->name);
		buf_append_text(out, " AS target_id");
	}
	history_close(out, app, table, "imported", false);
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

static void update_assignments(struct buf *out, const struct schema_table *table)
{
	const struct schema_column *touched = table->import->touched;
	const char *joint = "\nSET ";

	for (size_t i = 0; i < table->field_count; i++) {
		const struct schema_field *field = &table->fields[i];
		if (field->keep || field->column == touched)
			continue;
		buf_append_text(out, joint);
		quote_identifier(out, field->column->name);
		buf_append_text(out, " = coalesce(");
		cell_value(out, table, field);
		buf_append_text(out, ", ");
		qualified(out, "t", field->column);
		buf_append_char(out, ')');
		joint = ",\n    ";
	}
	if (touched) {
		buf_append_text(out, joint);
		quote_identifier(out, touched->name);
		buf_append_text(out, " = now()");
	}
}

/*
 * Whatever the planner believes, a scan of the target reads the records of the slice and no others: a list of keys is an
 * index condition. The caller switches nested loops off, under which the list would be gone through for every row.
 */
static void planned_only(struct buf *out, const char *alias, const struct schema_column *id)
{
	buf_append_text(out, "\n    AND ");
	qualified(out, alias, id);
	buf_printf(out, " = ANY (ARRAY(SELECT p.target_id FROM tidegate.import_outcome AS p WHERE p.job_no = $1::bigint AND p.row_no "
			"BETWEEN $2::integer AND $3::integer AND p.action = %d))", SCHEMA_ACTION_UPDATE);
}

enum err schema_sql_update(const struct schema_app *app, const struct schema_table *table, struct buf *out)
{
	const struct schema_column *id = table->primary[0];

	if (!table->import)
		return ERR_INVALID;
	history_open(out, table->import);
	buf_append_text(out, "UPDATE ");
	quote_table(out, app->name, table->name);
	buf_append_text(out, " AS t");
	update_assignments(out, table);
	buf_append_text(out, "\nFROM ");
	planned_rows(out);
	buf_append_text(out, "\nJOIN ");
	quote_table(out, app->name, table->name);
	buf_append_text(out, " AS b ON ");
	qualified(out, "b", id);
	buf_append_text(out, " = o.target_id AND ");
	qualified(out, "b", table->scope);
	buf_append_text(out, " = $4::text");
	reference_joins(out, app, table);
	slice(out);
	buf_printf(out, " AND o.action = %d\n    AND ", SCHEMA_ACTION_UPDATE);
	qualified(out, "t", id);
	buf_append_text(out, " = ");
	qualified(out, "b", id);
	planned_only(out, "t", id);
	planned_only(out, "b", id);
	if (table->import->history) {
		buf_append_text(out, "\nRETURNING ");
		qualified(out, "t", id);
		buf_append_text(out, " AS target_id, to_jsonb(b) AS before_data, to_jsonb(t) AS after_data");
	}
	history_close(out, app, table, "updated", true);
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

/* What makes a stored record the duplicate of a staged row: the same scope and key, and not deleted. */
static void match_condition(struct buf *out, const struct schema_table *table, size_t key)
{
	const struct schema_import *import = table->import;

	qualified(out, "t", table->scope);
	buf_append_text(out, " = $4::text AND ");
	qualified(out, "t", import->keys[key].column);
	buf_printf(out, " = r.keys[%zu]", key + 1);
	if (import->deleted) {
		buf_append_text(out, " AND ");
		qualified(out, "t", import->deleted);
		buf_append_text(out, " IS NULL");
	}
}

/*
 * Whatever the planner believes, no row is compared with all rows of another table. The outer join inside a subquery that
 * cannot be flattened (OFFSET 0) leaves only two ways: a hash, or the target's index for every staged row. The caller switches
 * materialisation off, so that a nested loop cannot go through a list that was believed to be short.
 */
enum err schema_sql_match(const struct schema_app *app, const struct schema_table *table, size_t key, struct buf *out)
{
	const struct schema_column *id = table->primary[0];

	if (!table->import || key >= table->import->key_count)
		return ERR_INVALID;
	buf_printf(out, "INSERT INTO tidegate.import_outcome (job_no, row_no, action, target_id, reason)\nSELECT DISTINCT ON (m.row_no) "
			"$1::bigint, m.row_no, CASE WHEN m.decision = %d THEN %d ELSE $5::smallint END, m.id, 'duplicate_in_database'\n"
			"FROM (SELECT r.row_no, r.decision, ", SCHEMA_DECISION_UPDATE, SCHEMA_ACTION_UPDATE);
	qualified(out, "t", id);
	buf_append_text(out, " AS id\nFROM tidegate.import_row AS r\nLEFT JOIN ");
	quote_table(out, app->name, table->name);
	buf_append_text(out, " AS t ON ");
	match_condition(out, table, key);
	slice(out);
	buf_printf(out, " AND r.keys[%zu] IS NOT NULL AND r.decision IS DISTINCT FROM %d AND ($5::smallint IS NOT NULL OR r.decision = %d)", key + 1,
	           SCHEMA_DECISION_IMPORT, SCHEMA_DECISION_UPDATE);
	buf_append_text(out, "\n    AND NOT EXISTS (SELECT FROM tidegate.import_outcome AS o WHERE o.job_no = $1::bigint AND o.row_no = r.row_no)"
			     "\nOFFSET 0) AS m\nWHERE m.id IS NOT NULL\nORDER BY m.row_no, m.id");
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

enum err schema_sql_gone(const struct schema_app *app, const struct schema_table *table, struct buf *out)
{
	if (!table->import)
		return ERR_INVALID;
	buf_printf(out, "UPDATE tidegate.import_outcome AS o SET action = %d, reason = 'record_gone'\nWHERE o.job_no = $1::bigint AND o.row_no "
			"BETWEEN $2::integer AND $3::integer AND o.action = %d\n    AND EXISTS (SELECT FROM ",
	           SCHEMA_ACTION_FAILED, SCHEMA_ACTION_UPDATE);
	quote_table(out, app->name, table->name);
	buf_append_text(out, " AS t WHERE ");
	qualified(out, "t", table->primary[0]);
	buf_append_text(out, " = o.target_id AND ");
	qualified(out, "t", table->scope);
	buf_append_text(out, " = $4::text");
	if (table->import->deleted) {
		buf_append_text(out, " AND ");
		qualified(out, "t", table->import->deleted);
		buf_append_text(out, " IS NULL");
	}
	buf_append_text(out, ") IS NOT TRUE");
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

enum err schema_sql_analyze(const struct schema_app *app, const struct schema_table *table, struct buf *out)
{
	if (!table->import)
		return ERR_INVALID;
	buf_append_text(out, "SELECT tidegate.records_analyze(");
	quote_literal(out, app->name);
	buf_append_text(out, ", ");
	quote_literal(out, table->name);
	buf_append_text(out, ", ARRAY[");
	quote_literal(out, table->scope->name);
	for (size_t k = 0; k < table->import->key_count; k++) {
		buf_append_text(out, ", ");
		quote_literal(out, table->import->keys[k].column->name);
	}
	buf_append_text(out, "])");
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

enum err schema_sql_records(const struct schema_app *app, const struct schema_table *table, struct buf *out)
{
	if (!table->import)
		return ERR_INVALID;
	buf_append_text(out, "SELECT r.row_no, to_json(r.vals), ");
	qualified(out, "t", table->primary[0]);
	buf_append_text(out, ", json_build_array(");
	for (size_t i = 0; i < table->field_count; i++) {
		buf_append_text(out, i ? ", " : "");
		qualified(out, "t", table->fields[i].column);
		buf_append_text(out, "::text");
	}
	buf_append_text(out, "), json_build_array(");
	for (size_t i = 0; i < table->field_count; i++) {
		buf_append_text(out, i ? ", " : "");
		staged_value(out, &table->fields[i]);
		buf_append_text(out, "::text");
	}
	buf_append_text(out, ")\nFROM tidegate.import_outcome_of_space AS o\nJOIN tidegate.import_row_of_space AS r ON r.job_no = $1::bigint AND r.row_no = o.row_no\nJOIN ");
	quote_table(out, app->name, table->name);
	buf_append_text(out, " AS t ON ");
	qualified(out, "t", table->primary[0]);
	buf_append_text(out, " = o.target_id AND ");
	qualified(out, "t", table->scope);
	buf_append_text(out, " = $4::text\nWHERE o.job_no = $1::bigint AND o.row_no > $2::integer AND o.reason = 'duplicate_in_database'\n"
			     "ORDER BY r.row_no LIMIT $3::integer");
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

/* The reference to those whom records are assigned to, or NULL. */
static const struct schema_reference *people_of(const struct schema_table *table)
{
	const struct schema_field *field = table->import ? table->import->assigned : NULL;
	return field ? reference_of(table, field) : NULL;
}

static void person_id(struct buf *out, const struct schema_table *table, const struct schema_reference *people)
{
	for (size_t c = 0; c < people->count; c++)
		if (people->from[c] == table->import->assigned->column)
			qualified(out, "t", people->to[c]);
}

static void person_scope(struct buf *out, const struct schema_table *table, const struct schema_reference *people)
{
	buf_append_text(out, " AS t WHERE true");
	for (size_t c = 0; c < people->count; c++) {
		if (people->from[c] == table->import->assigned->column)
			continue;
		buf_append_text(out, " AND ");
		qualified(out, "t", people->to[c]);
		buf_append_text(out, " = $1::text");
	}
}

enum err schema_sql_assignee(const struct schema_app *app, const struct schema_table *table, struct buf *out)
{
	const struct schema_reference *people = people_of(table);

	if (!people)
		return ERR_INVALID;
	buf_append_text(out, "SELECT wanted FROM unnest($2::text[]) AS wanted WHERE wanted NOT IN (SELECT ");
	person_id(out, table, people);
	buf_append_text(out, " FROM ");
	quote_table(out, app->name, people->table->name);
	person_scope(out, table, people);
	buf_append_text(out, " AND ");
	person_id(out, table, people);
	buf_append_text(out, " = ANY ($2::text[])) LIMIT 1");
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

enum err schema_sql_people(const struct schema_app *app, const struct schema_table *table, struct buf *out)
{
	const struct schema_reference *people = people_of(table);

	if (!people)
		return ERR_INVALID;
	buf_append_text(out, "SELECT ");
	person_id(out, table, people);
	buf_append_text(out, ", ");
	if (people->table->display)
		qualified(out, "t", people->table->display);
	else
		buf_append_text(out, "NULL");
	buf_append_text(out, " FROM ");
	quote_table(out, app->name, people->table->name);
	person_scope(out, table, people);
	buf_append_text(out, " ORDER BY 1 LIMIT $2::integer");
	return out->overflowed ? ERR_TOO_LARGE : OK;
}
