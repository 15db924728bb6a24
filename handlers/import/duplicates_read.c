/*
 * GET …/duplicates?kind=file|database: rows that repeat an earlier row of the file, by that row; rows that are stored
 * already, with the record and what an update would change in it. Never changes anything.
 */
#include "core/schema/statements.h"
#include "fcgi/fields.h"
#include "handlers/import/handlers.h"

#include <string.h>

enum { PAGE_DEFAULT = 20, PAGE_MAX = 100 };

static enum err read_list(struct arena *arena, const char *text, json_t **ret)
{
	return text && json_parse(arena, text, strlen(text), ret, NULL) == OK ? OK : ERR_BUG;
}

static void put_values(struct json_writer *w, const char *name, const struct schema_table *table, const json_t *values)
{
	json_object_open(w, name);
	for (size_t i = 0; i < table->field_count && i < json_array_size(values); i++)
		if (json_is_string(json_array_get(values, i)))
			json_put_text(w, table->fields[i].name, json_string_value(json_array_get(values, i)));
	json_object_close(w);
}

/* Every row of one group: the first, then those that repeat it. */
static enum err put_group(struct json_writer *w, struct request *request, const struct schema_table *table, const char *no, const struct pg_rows *groups, int group)
{
	struct pg_rows rows;
	const char *others = pg_text(groups, group, 2);
	const char *wanted = arena_printf(request->arena, "{%s,%s", pg_text(groups, group, 0), others + 1);
	if (!wanted)
		return ERR_TOO_LARGE;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_DUPLICATE_ROWS, PG_VALUES(no, wanted), &rows);
	if (err)
		return err;
	json_object_open(w, NULL);
	json_put_i64(w, "rowNumber", pg_i64(groups, group, 0));
	json_put_i64(w, "duplicates", pg_i64(groups, group, 1));
	json_array_open(w, "rows");
	for (int i = 0; !err && i < rows.count; i++) {
		json_t *values = NULL;
		err = read_list(request->arena, pg_text(&rows, i, 1), &values);
		json_object_open(w, NULL);
		json_put_i64(w, "rowNumber", pg_i64(&rows, i, 0));
		put_values(w, "values", table, values);
		json_object_close(w);
	}
	json_array_close(w);
	json_object_close(w);
	return err;
}

/* What an update would write: values that are there, differ, and are not kept. */
static enum err put_record(struct json_writer *w, struct request *request, const struct schema_table *table, const struct pg_rows *rows, int row)
{
	json_t *values = NULL, *stored = NULL, *staged = NULL;
	enum err err = read_list(request->arena, pg_text(rows, row, 1), &values);
	if (!err)
		err = read_list(request->arena, pg_text(rows, row, 3), &stored);
	if (!err)
		err = read_list(request->arena, pg_text(rows, row, 4), &staged);
	if (err)
		return err;
	json_object_open(w, NULL);
	json_put_i64(w, "rowNumber", pg_i64(rows, row, 0));
	put_values(w, "values", table, values);
	json_object_open(w, "record");
	json_put_text(w, "id", pg_text(rows, row, 2));
	put_values(w, "values", table, stored);
	json_object_close(w);
	json_array_open(w, "changes");
	for (size_t i = 0; i < table->field_count; i++) {
		const struct schema_field *field = &table->fields[i];
		const char *from = json_string_value(json_array_get(stored, i)), *to = json_string_value(json_array_get(staged, i));
		if (!to || field->keep || field->column == table->import->touched || text_equal(from, to))
			continue;
		json_object_open(w, NULL);
		json_put_text(w, "field", field->name);
		json_put_text(w, "from", from);
		json_put_text(w, "to", to);
		json_object_close(w);
	}
	json_array_close(w);
	json_object_close(w);
	return OK;
}

/* The transaction is the request's. */
static enum err answer(struct request *request, struct response *response, const struct schema_target *target, const char *no, bool in_file, int64_t cursor,
                       int64_t limit)
{
	struct arena *arena = request->arena;
	struct pg_rows rows;
	const char *after = pg_number(arena, cursor), *page = pg_number(arena, limit + 1);
	enum err err = in_file ? pg_query(&request->gate->pg, arena, STMT_IMPORT_DUPLICATE_GROUPS, PG_VALUES(no, after, page), &rows)
	                       : pg_query_generated(&request->gate->pg, arena, schema_slot(target, SLOT_RECORDS), target->records_sql, SCHEMA_RECORDS_PARAMETERS,
	                                            PG_VALUES(no, after, page, request->scope.space), &rows);
	if (err)
		return err;
	int count = rows.count > limit ? (int)limit : rows.count;
	struct json_writer *w = respond_json(response, 200);
	json_array_open(w, "items");
	for (int i = 0; !err && i < count; i++)
		err = in_file ? put_group(w, request, target->table, no, &rows, i) : put_record(w, request, target->table, &rows, i);
	json_array_close(w);
	json_put_text(w, "nextCursor", rows.count > limit ? pg_text(&rows, count - 1, 0) : NULL);
	return err ? err : respond_end(response);
}

enum err import_duplicates(struct request *request, struct response *response)
{
	const char *id = path_uuid(response, 0), *kind = query_text(request, "kind");
	int64_t limit, cursor;
	struct pg_rows job;
	if (!id || !query_i64(response, "limit", PAGE_DEFAULT, 1, PAGE_MAX, &limit) || !query_i64(response, "cursor", 0, 0, INT32_MAX, &cursor))
		return OK;
	bool in_file = !kind || text_equal(kind, "file");
	if (!in_file && !text_equal(kind, "database"))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "kind", "file or database");
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_FIND, PG_VALUES(id), &job);
	if (err || job.count == 0)
		return err ? err : refuse(response, PROBLEM_NOT_FOUND);
	const struct schema_target *target = catalog_target(&request->gate->catalog, pg_text(&job, 0, 1));
	return target ? answer(request, response, target, pg_text(&job, 0, 0), in_file, cursor, limit) : ERR_BUG;
}
