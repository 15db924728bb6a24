/*
 * Reading imports: the history, one import, its rows, the targets. Never changes anything.
 * What a client sees is shaped by the column aliases of the statements (sql/queries/import.sql).
 */
#include "core/crypto/base64.h"
#include "handlers/import/check_codes.h"
#include "handlers/import/failures.h"
#include "handlers/import/fields.h"
#include "handlers/import/handlers.h"

#include <stdio.h>
#include <string.h>

enum { PAGE_DEFAULT = 20, PAGE_MAX = 500, CURSOR_MAX = 128 };

/* {code, message} of a failed import in the reader's language, or null. The code is the column `_error`. */
static void put_error(struct json_writer *w, const struct request *request, const struct pg_rows *rows, int row)
{
	const char *code = pg_text(rows, row, PQfnumber(rows->result, "_error"));
	if (!code) {
		json_put_null(w, "error");
		return;
	}
	json_object_open(w, "error");
	json_put_text(w, "code", code);
	json_put_text(w, "message", import_failure_sentence(code, request->language));
	json_object_close(w);
}

enum err import_answer(struct request *request, struct response *response, const char *id, int status)
{
	struct pg_rows rows;
	struct pg *pg = &request->gate->pg;
	enum err err = pg->in_transaction ? pg_query(pg, request->arena, STMT_IMPORT_GET, PG_VALUES(id), &rows)
	                                  : pg_call(pg, request->arena, &request->scope, STMT_IMPORT_GET, PG_VALUES(id), &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	struct json_writer *w = respond_json(response, status);
	pg_row_members(w, &rows, 0);
	put_error(w, request, &rows, 0);
	return respond_end(response);
}

enum err import_get(struct request *request, struct response *response)
{
	const char *id = path_uuid(response, 0);
	return id ? import_answer(request, response, id, 200) : OK;
}

/* A cursor is opaque: base64url of "microseconds,uuid" of the last item. False after a refusal. */
static bool read_cursor(struct request *request, struct response *response, const char **ret_at, const char **ret_id)
{
	struct str cursor = request_query(request, "cursor");
	char text[CURSOR_MAX];
	size_t length = 0;
	int64_t at;
	*ret_at = *ret_id = NULL;
	if (!cursor.p)
		return true;
	if (cursor.n < CURSOR_MAX && base64url_decode(cursor.p, cursor.n, text, sizeof(text) - 1, &length) == OK) {
		text[length] = '\0';
		char *comma = memchr(text, ',', length);
		if (comma && strlen(text) == length && is_uuid(comma + 1) && parse_i64_n(text, (size_t)(comma - text), 0, INT64_MAX / 2, &at) == OK) {
			*ret_at = arena_copy(request->arena, text, (size_t)(comma - text));
			*ret_id = arena_strdup(request->arena, comma + 1);
			return true;
		}
	}
	refuse_field(response, PROBLEM_INVALID_CURSOR, "cursor", "from nextCursor of the page before");
	return false;
}

static void put_cursor(struct json_writer *w, struct arena *arena, const struct pg_rows *rows, int last)
{
	struct buf encoded;
	const char *text = arena_printf(arena, "%s,%s", pg_text(rows, last, PQnfields(rows->result) - 1), pg_text(rows, last, 0));
	buf_init(&encoded, (size_t)CURSOR_MAX * 2);
	if (text)
		base64url_encode(&encoded, text, strlen(text));
	json_put_text(w, "nextCursor", buf_text(&encoded));
	buf_release(&encoded);
}

static const char *query_text(const struct request *request, const char *name)
{
	struct str value = request_query(request, name);
	return value.n ? arena_copy(request->arena, value.p, value.n) : NULL;
}

enum err import_list(struct request *request, struct response *response)
{
	const char *at, *id;
	int64_t limit;
	struct pg_rows rows;
	if (!query_i64(response, "limit", PAGE_DEFAULT, 1, PAGE_MAX, &limit) || !read_cursor(request, response, &at, &id))
		return OK;
	enum err err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_IMPORT_LIST,
	                       PG_VALUES(query_text(request, "status"), query_text(request, "q"), at, id, pg_number(request->arena, limit + 1)), &rows);
	if (err)
		return err;
	bool more = rows.count > limit;
	int count = more ? (int)limit : rows.count;
	struct json_writer *w = respond_json(response, 200);
	json_array_open(w, "items");
	for (int i = 0; i < count; i++) {
		json_object_open(w, NULL);
		pg_row_members(w, &rows, i);
		put_error(w, request, &rows, i);
		json_object_close(w);
	}
	json_array_close(w);
	if (more)
		put_cursor(w, request->arena, &rows, count - 1);
	else
		json_put_null(w, "nextCursor");
	return respond_end(response);
}

/* "email:email_invalid" becomes {field, code, severity, message}; ":row_too_long" has no field. */
static void put_issue(struct json_writer *w, const struct request *request, const char *issue)
{
	const char *colon = strchr(issue, ':');
	enum row_code code = row_code_of(colon ? colon + 1 : issue);
	json_object_open(w, NULL);
	if (colon && colon > issue)
		json_put_str(w, "field", (struct str){issue, (size_t)(colon - issue)});
	else
		json_put_null(w, "field");
	json_put_text(w, "code", colon ? colon + 1 : issue);
	json_put_text(w, "severity", row_code_severity(code) == ROW_SEVERITY_ERROR ? "error" : "warning");
	json_put_text(w, "message", row_code_sentence(code, request->language == LANGUAGE_FR ? SCHEMA_FRENCH : SCHEMA_ENGLISH));
	json_object_close(w);
}

static const char *action_name(const struct pg_rows *rows, int row)
{
	static const char *const names[] = {"import", "import", "update", "skip", "invalid", "failed", "cancelled", "skip"};
	int64_t action = pg_i64(rows, row, 5);
	if (pg_i64(rows, row, 4) == 2)
		return "invalid";
	if (pg_bool(rows, row, 7))
		return "cancelled";
	return action >= 0 && action < 8 ? names[action] : "import";
}

/* What an undo made of the row, or null: {result, reason, message}. */
static void put_undo(struct json_writer *w, const struct request *request, const struct pg_rows *rows, int row)
{
	const char *result = pg_text(rows, row, 9), *reason = pg_text(rows, row, 10);
	if (!result) {
		json_put_null(w, "undo");
		return;
	}
	json_object_open(w, "undo");
	json_put_text(w, "result", result);
	json_put_text(w, "reason", reason);
	json_put_text(w, "message", reason ? import_failure_sentence(reason, request->language) : NULL);
	json_object_close(w);
}

static enum err put_row(struct json_writer *w, struct request *request, const struct schema_table *table, const struct pg_rows *rows, int row)
{
	json_t *values = NULL, *issues = NULL;
	const char *text = pg_text(rows, row, 2);
	enum err err = json_parse(request->arena, text, strlen(text), &values, NULL);
	text = pg_text(rows, row, 3);
	if (!err && text)
		err = json_parse(request->arena, text, strlen(text), &issues, NULL);
	if (err)
		return ERR_BUG;
	json_object_open(w, NULL);
	json_put_i64(w, "rowNumber", pg_i64(rows, row, 0));
	json_put_raw(w, "raw", pg_text(rows, row, 1));
	json_object_open(w, "values");
	for (size_t i = 0; i < table->field_count && i < json_array_size(values); i++)
		if (json_is_string(json_array_get(values, i)))
			json_put_text(w, table->fields[i].name, json_string_value(json_array_get(values, i)));
	json_object_close(w);
	json_array_open(w, "errors");
	for (size_t i = 0; i < json_array_size(issues); i++)
		put_issue(w, request, json_string_value(json_array_get(issues, i)));
	json_array_close(w);
	json_put_text(w, "action", action_name(rows, row));
	json_put_text(w, "reason", pg_text(rows, row, 6));
	put_undo(w, request, rows, row);
	json_object_close(w);
	return OK;
}

static bool known_state(const char *state)
{
	static const char *const states[] = {"valid", "invalid", "duplicate", "skipped", "updated", "failed", "cancelled", "reversed", "kept", "errored"};
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (text_equal(states[i], state))
			return true;
	return false;
}

/* The rows exist once a parse has begun; before, the list is empty. The cursor is the last row number. A page of very
   large rows ends before its limit. */
enum err import_rows(struct request *request, struct response *response)
{
	struct pg *pg = &request->gate->pg;
	const char *id = path_uuid(response, 0), *state = query_text(request, "state");
	int64_t limit, cursor;
	struct pg_rows job, rows;
	if (!id || !query_i64(response, "limit", PAGE_DEFAULT, 1, PAGE_MAX, &limit) || !query_i64(response, "cursor", 0, 0, INT32_MAX, &cursor))
		return OK;
	if (state && !known_state(state))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "state", "valid, invalid, duplicate, skipped, updated, failed, cancelled, reversed, kept or errored");
	enum err err = pg_call(pg, request->arena, &request->scope, STMT_IMPORT_FIND, PG_VALUES(id), &job);
	if (err || job.count == 0)
		return err ? err : refuse(response, PROBLEM_NOT_FOUND);
	const struct schema_target *target = catalog_target(&request->gate->catalog, pg_text(&job, 0, 1));
	if (!target)
		return ERR_BUG;
	err = pg_call(pg, request->arena, &request->scope, STMT_IMPORT_ROWS,
	              PG_VALUES(pg_text(&job, 0, 0), state, pg_number(request->arena, cursor), pg_number(request->arena, limit + 1),
	                        pg_text(&job, 0, 2), pg_text(&job, 0, 3)),
	              &rows);
	if (err)
		return err;
	int count = rows.count > limit ? (int)limit : rows.count;
	bool more = count && pg_i64(&rows, 0, 8) > count;
	struct json_writer *w = respond_json(response, 200);
	json_array_open(w, "items");
	for (int i = 0; !err && i < count; i++)
		err = put_row(w, request, target->table, &rows, i);
	json_array_close(w);
	json_put_text(w, "nextCursor", more ? pg_text(&rows, count - 1, 0) : NULL);
	return err ? err : respond_end(response);
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
