/*
 * Reading imports: the history, one import, the targets. Never changes anything.
 * What a client sees is shaped by the column aliases of the statements (sql/queries/import.sql).
 */
#include "fcgi/fields.h"
#include "fcgi/page.h"
#include "handlers/import/check_codes.h"
#include "handlers/import/failures.h"
#include "handlers/import/handlers.h"

#include <string.h>

/* {code, message} of a failure in the reader's language, or null. The code is the column of that name. */
static void put_failure(struct json_writer *w, const char *name, const struct request *request, const struct pg_rows *rows, int row, const char *column)
{
	const char *code = pg_text(rows, row, PQfnumber(rows->result, column));
	if (!code) {
		json_put_null(w, name);
		return;
	}
	json_object_open(w, name);
	json_put_text(w, "code", code);
	json_put_text(w, "message", import_failure_sentence(code, request->language));
	json_object_close(w);
}

enum err import_answer(struct request *request, struct response *response, const char *id, int status)
{
	struct pg_rows rows;
	enum err err = pg_ask(&request->gate->pg, request->arena, &request->scope, STMT_IMPORT_GET, PG_VALUES(id), &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	struct json_writer *w = respond_json(response, status);
	pg_row_members(w, &rows, 0);
	put_failure(w, "error", request, &rows, 0, "_error");
	put_failure(w, "previewError", request, &rows, 0, "_preview_error");
	return respond_end(response);
}

enum err import_get(struct request *request, struct response *response)
{
	const char *id = path_uuid(response, 0);
	return id ? import_answer(request, response, id, 200) : OK;
}

static void put_listed(struct json_writer *w, const struct request *request, const struct pg_rows *rows, int row)
{
	pg_row_members(w, rows, row);
	put_failure(w, "error", request, rows, row, "_error");
}

enum err import_list(struct request *request, struct response *response)
{
	struct page page;
	struct pg_rows rows;
	if (!page_read(response, &page))
		return OK;
	enum err err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_IMPORT_LIST,
	                       PG_VALUES(query_text(request, "status"), query_text(request, "q"), page.at, page.id, pg_number(request->arena, page.limit + 1)), &rows);
	if (err)
		return err;
	return page_answer(response, &page, &rows, put_listed);
}

static void put_labels(struct json_writer *w, const struct schema_labels *labels)
{
	json_object_open(w, "labels");
	json_put_text(w, "fr", labels->fr);
	json_put_text(w, "en", labels->en);
	json_object_close(w);
}

/* Does a row stay out without this very field? */
static bool is_required(const struct schema_table *table, const struct schema_field *field)
{
	for (size_t g = 0; g < table->import->group_count; g++) {
		const struct schema_group *group = &table->import->groups[g];
		if (group->count == 1 && group->fields[0] == field && row_code_severity(row_code_of(group->code)) == ROW_SEVERITY_ERROR)
			return true;
	}
	return false;
}

static void put_field(struct json_writer *w, const struct schema_table *table, const struct schema_field *field)
{
	json_object_open(w, NULL);
	json_put_text(w, "name", field->name);
	put_labels(w, &field->column->labels);
	json_put_text(w, "type", schema_type_name(field->column->type));
	json_put_bool(w, "required", is_required(table, field));
	json_put_i64(w, "maxLength", field->max);
	if (field->column->value_count) {
		json_array_open(w, "values");
		for (size_t i = 0; i < field->column->value_count; i++) {
			json_object_open(w, NULL);
			json_put_text(w, "value", field->column->values[i].value);
			put_labels(w, &field->column->values[i].labels);
			json_object_close(w);
		}
		json_array_close(w);
	}
	json_object_close(w);
}

enum err import_targets(struct request *request, struct response *response)
{
	const struct schema_catalog *catalog = &request->gate->catalog;
	struct json_writer *w = respond_json(response, 200);
	json_array_open(w, "items");
	for (size_t t = 0; t < catalog->target_count; t++) {
		const struct schema_table *table = catalog->targets[t].table;
		json_object_open(w, NULL);
		json_put_text(w, "name", table->name);
		put_labels(w, &table->labels);
		json_array_open(w, "fields");
		for (size_t i = 0; i < table->field_count; i++)
			put_field(w, table, &table->fields[i]);
		json_array_close(w);
		json_array_open(w, "duplicateKeys");
		for (size_t i = 0; i < table->import->key_count; i++)
			json_put_text(w, NULL, table->import->keys[i].field->name);
		json_array_close(w);
		json_object_close(w);
	}
	json_array_close(w);
	json_put_null(w, "nextCursor");
	return respond_end(response);
}
