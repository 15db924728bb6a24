/*
 * PATCH …/rows/{n}: a row of an import that is ready is put right or decided. The row is checked at once by the same code as
 * in the parse; duplicates are marked anew in the background (job_review.c).
 * Must never accept a value for a field that no column of the file feeds: the row could not be written into the error report.
 */
#include "fcgi/fields.h"
#include "handlers/import/check.h"
#include "handlers/import/copy_rows.h"
#include "handlers/import/handlers.h"
#include "handlers/import/mapping_change.h"
#include "handlers/import/rows.h"

#include <string.h>

enum { VALUE_MAX = 32767 }; /* what a cell of a workbook may hold */

/* Columns of the statement import_row_lock. */
enum { LOCK_NO, LOCK_STATUS, LOCK_TARGET, LOCK_MAPPING, LOCK_COLUMNS, LOCK_WORKBOOK, LOCK_VALUES };

/* What becomes of the row, as parameters of the statement import_row_change. */
struct change {
	const char *cells, *vals, *keys, *issues; /* text[], NULL: no value was sent */
	bool valid;
};

static bool refuse_value(struct response *response, const char *field, const char *message)
{
	const char *name = arena_printf(response->request->arena, "values.%.40s", field);
	refuse_field(response, PROBLEM_INVALID_FIELD, name ? name : "values", message);
	return false;
}

/* *ret: a decision, "" for taking it back, NULL when none was sent. */
static bool read_action(struct response *response, const json_t *body, const char **ret)
{
	static const struct {
		const char *name, *decision;
	} actions[] = {{"import", "1"}, {"update", "2"}, {"skip", "3"}};
	const json_t *action = json_object_get(body, "action");
	*ret = json_is_null(action) ? "" : NULL;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (text_equal(json_string_value(action), actions[i].name))
			*ret = actions[i].decision;
	if (!action || *ret)
		return true;
	refuse_field(response, PROBLEM_INVALID_FIELD, "action", "import, update, skip or null");
	return false;
}

/* Puts the values into the cells of their columns; cells that a short row does not have are made. False after a refusal. */
static bool put_values(struct response *response, const struct schema_table *table, const char *mapping, const json_t *values, struct str *cells, size_t *count)
{
	int by_field[SCHEMA_FIELDS_MAX];
	const char *name;
	const json_t *value;
	if (!mapping_parse(mapping, by_field, table->field_count))
		return refuse_value(response, "", "the import has no mapping");
	json_object_foreach((json_t *)(uintptr_t)values, name, value)
	{
		const struct schema_field *field = schema_field_of(table, name);
		if (!field || by_field[field->index] < 0)
			return refuse_value(response, name, field ? "no column of the file is mapped to it" : "no such field");
		if (!json_is_null(value) && (!json_is_string(value) || json_string_length(value) > VALUE_MAX))
			return refuse_value(response, name, "a text of at most 32767 bytes, or null");
		size_t column = (size_t)by_field[field->index];
		for (; *count <= column; ++*count)
			cells[*count] = STR("");
		cells[column] = str_of(json_is_null(value) ? "" : json_string_value(value));
	}
	return true;
}

/* Items that point into other texts, as the literal of a text[]. */
static const char *array_of(struct arena *arena, const struct str *items, size_t count)
{
	const char **texts = arena_array(arena, count + 1, sizeof(*texts));
	for (size_t i = 0; texts && i < count; i++) {
		texts[i] = items[i].p ? arena_copy(arena, items[i].p, items[i].n) : NULL;
		if (items[i].p && !texts[i])
			return NULL;
	}
	return texts ? pg_text_array(arena, texts, count) : NULL;
}

static enum err check(struct arena *arena, const struct schema_target *target, const struct pg_rows *lock, const struct str *cells, size_t count,
                      struct change *ret)
{
	struct import_check *check = arena_alloc(arena, sizeof(*check));
	struct import_checked *checked = arena_alloc(arena, sizeof(*checked));
	char(*issue_texts)[ROW_ISSUE_MAX] = arena_array(arena, IMPORT_ISSUES_MAX, sizeof(*issue_texts));
	struct str *issues = arena_array(arena, IMPORT_ISSUES_MAX, sizeof(*issues)), keys[SCHEMA_KEYS_MAX];
	char key_texts[SCHEMA_KEYS_MAX][ROW_KEY_MAX];
	const int *fields = NULL;
	size_t columns = (size_t)pg_i64(lock, 0, LOCK_COLUMNS);
	if (!check || !checked || !issue_texts || !issues)
		return ERR_TOO_LARGE;
	enum err err = mapping_by_column(arena, pg_text(lock, 0, LOCK_MAPPING), target->table, columns, &fields);
	if (!err)
		err = import_check_init(check, arena, target->table, fields, columns, pg_bool(lock, 0, LOCK_WORKBOOK));
	if (!err)
		err = import_check_map(check, arena, pg_text(lock, 0, LOCK_VALUES));
	if (err)
		return err;
	import_check_start(check, arena);
	err = import_check_row(check, cells, count, checked);
	if (err)
		return err;
	size_t issue_count = row_issues(target->table, checked, issue_texts, issues), key_count = row_keys(target->table, checked, key_texts, keys);
	*ret = (struct change){
	    .cells = array_of(arena, cells, count),
	    .vals = array_of(arena, checked->vals, target->table->field_count),
	    .keys = array_of(arena, keys, key_count),
	    .issues = issue_count ? array_of(arena, issues, issue_count) : NULL,
	    .valid = checked->valid,
	};
	return ret->cells && ret->vals && ret->keys && (ret->issues || !issue_count) ? OK : ERR_TOO_LARGE;
}

/* The row as it will be with the values sent. */
static enum err change_values(struct request *request, struct response *response, const struct schema_target *target, const struct pg_rows *lock,
                              const char *stored, const json_t *values, struct change *ret)
{
	json_t *list = NULL;
	size_t i, count = 0, room = IMPORT_COLUMNS_MAX;
	const json_t *cell;
	enum err err = json_parse(request->arena, stored, strlen(stored), &list, NULL);
	if (err)
		return ERR_BUG;
	if (json_array_size(list) > room)
		room = json_array_size(list);
	struct str *cells = arena_array(request->arena, room, sizeof(*cells));
	if (!cells)
		return ERR_TOO_LARGE;
	json_array_foreach(list, i, cell)
	{
		cells[count++] = str_of(json_string_value(cell));
	}
	if (!put_values(response, target->table, pg_text(lock, 0, LOCK_MAPPING), values, cells, &count))
		return OK;
	return check(request->arena, target, lock, cells, count, ret);
}

static enum err change_row(struct request *request, struct response *response, const char *id, int64_t number, const json_t *values,
                           const char *decision)
{
	struct pg *pg = &request->gate->pg;
	struct arena *arena = request->arena;
	const char *row = pg_number(arena, number);
	struct change change = {0};
	struct pg_rows lock, stored;
	enum err err = pg_query(pg, arena, STMT_IMPORT_REVIEW, PG_VALUES(id), NULL);
	if (!err)
		err = pg_query(pg, arena, STMT_IMPORT_ROW_LOCK, PG_VALUES(id), &lock);
	if (err || lock.count == 0)
		return err ? err : refuse(response, PROBLEM_NOT_FOUND);
	const struct schema_target *target = catalog_target(&request->gate->catalog, pg_text(&lock, 0, LOCK_TARGET));
	const char *no = pg_text(&lock, 0, LOCK_NO);
	if (!text_equal(pg_text(&lock, 0, LOCK_STATUS), "ready"))
		return refuse_with(response, PROBLEM_WRONG_STATE, "state", pg_text(&lock, 0, LOCK_STATUS));
	if (!target)
		return ERR_BUG;
	err = pg_query(pg, arena, STMT_IMPORT_ROW_CELLS, PG_VALUES(no, row), &stored);
	if (err || stored.count == 0)
		return err ? err : refuse(response, PROBLEM_NOT_FOUND);
	if (values)
		err = change_values(request, response, target, &lock, pg_text(&stored, 0, 0), values, &change);
	if (err || response->is_problem)
		return err;
	err = pg_query(pg, arena, STMT_IMPORT_ROW_CHANGE,
	               PG_VALUES(no, row, change.cells, change.vals, change.keys, change.issues, change.valid ? "true" : "false", decision ? "true" : "false",
	                         decision && *decision ? decision : NULL),
	               NULL);
	request->wake = true;
	return err ? err : import_row_answer(request, response, target, no, number);
}

enum err import_row_patch(struct request *request, struct response *response)
{
	const char *id = path_uuid(response, 0), *decision;
	const json_t *values = json_object_get(request->json, "values");
	int64_t row;
	if (!id)
		return OK;
	if (parse_i64_n(request->path_values[1].p, request->path_values[1].n, 1, INT32_MAX, &row))
		return refuse(response, PROBLEM_NOT_FOUND);
	if (values && !json_is_object(values))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "values", "an object of fields and their texts");
	if (!read_action(response, request->json, &decision))
		return OK;
	return change_row(request, response, id, row, values, decision);
}
