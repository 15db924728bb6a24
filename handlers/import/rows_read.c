/*
 * Reading the rows of an import, as they stood in the file and as they were understood. Never changes anything.
 * The columns of a row are those of the statement import_rows.
 */
#include "fcgi/fields.h"
#include "handlers/import/check_codes.h"
#include "handlers/import/failures.h"
#include "handlers/import/handlers.h"
#include "handlers/import/rows.h"

#include <string.h>

enum { PAGE_DEFAULT = 20, PAGE_MAX = 500 };

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

const char *import_decision_name(int64_t decision)
{
	static const char *const names[] = {NULL, "import", "update", "skip"};
	return decision >= 0 && decision < 4 ? names[decision] : NULL;
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
	const char *result = pg_text(rows, row, 11), *reason = pg_text(rows, row, 12);
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

enum err import_put_row_members(struct json_writer *w, struct request *request, const struct schema_table *table, const struct pg_rows *rows, int row)
{
	json_t *values = NULL, *issues = NULL;
	const char *text = pg_text(rows, row, 2);
	enum err err = json_parse(request->arena, text, strlen(text), &values, NULL);
	text = pg_text(rows, row, 3);
	if (!err && text)
		err = json_parse(request->arena, text, strlen(text), &issues, NULL);
	if (err)
		return ERR_BUG;
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
	if (pg_text(rows, row, 9))
		json_put_i64(w, "duplicateOf", pg_i64(rows, row, 9));
	put_undo(w, request, rows, row);
	json_put_text(w, "decision", import_decision_name(pg_i64(rows, row, 10)));
	return OK;
}

static enum err put_row(struct json_writer *w, struct request *request, const struct schema_table *table, const struct pg_rows *rows, int row)
{
	json_object_open(w, NULL);
	enum err err = import_put_row_members(w, request, table, rows, row);
	json_object_close(w);
	return err;
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

enum err import_row_answer(struct request *request, struct response *response, const struct schema_target *target, const char *no, int64_t row)
{
	struct pg_rows rows;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_ROWS,
	                        PG_VALUES(no, NULL, pg_number(request->arena, row - 1), "1", "false", "false"), &rows);
	if (err)
		return err;
	if (rows.count == 0 || pg_i64(&rows, 0, 0) != row)
		return refuse(response, PROBLEM_NOT_FOUND);
	struct json_writer *w = respond_json(response, 200);
	err = import_put_row_members(w, request, target->table, &rows, 0);
	return err ? err : respond_end(response);
}
