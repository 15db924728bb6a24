/*
 * Reading batches: one's own and nobody else's (row-level security). Never changes anything.
 * What a client sees is shaped by the column aliases of the statements (sql/queries/sqlite.sql).
 */
#include "fcgi/fields.h"
#include "fcgi/page.h"
#include "handlers/sqlite/failures.h"
#include "handlers/sqlite/handlers.h"

#include <string.h>

enum { TABLE_NAME_MAX = 4000 };

static const char *column(const struct pg_rows *rows, int row, const char *name)
{
	return pg_text(rows, row, PQfnumber(rows->result, name));
}

/* {code, reason, message} and what it is about, or null. A parser elsewhere may have said the class itself. */
static void put_failure(struct json_writer *w, const struct request *request, const struct pg_rows *rows, int row)
{
	const char *reason = column(rows, row, "_error"), *detail = column(rows, row, "_detail");
	json_t *about = NULL;
	if (!reason) {
		json_put_null(w, "error");
		return;
	}
	if (detail && json_parse(request->arena, detail, strlen(detail), &about, NULL))
		about = NULL;
	const char *class = json_text(about, "class");
	json_object_open(w, "error");
	json_put_text(w, "code", class ? class : sqlite_failure_class(reason));
	json_put_text(w, "reason", reason);
	json_put_text(w, "message", sqlite_failure_sentence(reason, request->language));
	if (detail && !class)
		json_put_raw(w, "detail", detail);
	json_object_close(w);
}

/* Warnings of one kind at one place are one, with how many there were. */
static enum err put_warnings(struct json_writer *w, const struct request *request, const struct pg_rows *rows)
{
	const char *text = column(rows, 0, "_warnings");
	json_t *warnings = NULL, *warning;
	size_t i;
	enum err err = json_parse(request->arena, text, strlen(text), &warnings, NULL);
	if (err)
		return err;
	json_array_open(w, "warnings");
	json_array_foreach(warnings, i, warning)
	{
		const char *sentence = sqlite_warning_sentence(json_text(warning, "code"), request->language);
		long long count = json_integer_value(json_object_get(warning, "count"));
		json_object_open(w, NULL);
		json_put_text(w, "code", json_text(warning, "code"));
		json_put_text(w, "place", json_text(warning, "place"));
		json_put_i64(w, "count", count);
		json_put_text(w, "message", count > 1 ? arena_printf(request->arena, "%s (x%lld)", sentence, count) : sentence);
		json_object_close(w);
	}
	json_array_close(w);
	return OK;
}

enum err sqlite_answer(struct request *request, struct response *response, const char *id, int status)
{
	struct pg_rows rows;
	enum err err = pg_ask(&request->gate->pg, request->arena, &request->scope, STMT_SQLITE_GET, PG_VALUES(id), &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	struct json_writer *w = respond_json(response, status);
	pg_row_members(w, &rows, 0);
	err = put_warnings(w, request, &rows);
	put_failure(w, request, &rows, 0);
	return err ? err : respond_end(response);
}

enum err sqlite_get(struct request *request, struct response *response)
{
	const char *id = path_uuid(response, 0);
	return id ? sqlite_answer(request, response, id, 200) : OK;
}

static void put_listed(struct json_writer *w, const struct request *request, const struct pg_rows *rows, int row)
{
	pg_row_members(w, rows, row);
	put_failure(w, request, rows, row);
}

enum err sqlite_list(struct request *request, struct response *response)
{
	struct page page;
	struct pg_rows rows;
	const char *status = NULL;
	if (!page_read(response, &page) || !query_choice(response, "status", "queued parsing importing completed failed", &status))
		return OK;
	enum err err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_SQLITE_LIST,
	                       PG_VALUES(status, page.at, page.id, pg_number(request->arena, page.limit + 1)), &rows);
	return err ? err : page_answer(response, &page, &rows, put_listed);
}

/* The {table} of the path: any name that a table can have. */
static const char *path_table(struct request *request, struct response *response)
{
	struct str name = request->path_values[1];
	if (name.n > TABLE_NAME_MAX || !utf8_valid(name.p, name.n)) {
		refuse(response, PROBLEM_NOT_FOUND);
		return NULL;
	}
	return arena_copy(request->arena, name.p, name.n);
}

static void put_raw_row(struct json_writer *w, const struct request *request, const struct pg_rows *rows, int row)
{
	(void)request;
	json_put_i64(w, "row", pg_i64(rows, row, 0));
	json_put_text(w, "key", pg_text(rows, row, 1));
	json_put_text(w, "classes", pg_text(rows, row, 2));
	json_put_raw(w, "cells", pg_text(rows, row, 3));
}

/* Columns of the statement sqlite_find_table. */
enum { FOUND_NO, FOUND_MIRRORED, FOUND_GONE, FOUND_TABLE, FOUND_KEY, FOUND_COLUMNS, FOUND_ROWS, FOUND_LEFT_OUT };

/* Rows as they stood in the file. The cursor is the last row number; a page of large rows ends before its limit. */
enum err sqlite_raw(struct request *request, struct response *response)
{
	struct pg *pg = &request->gate->pg;
	const char *id = path_uuid(response, 0), *name = id ? path_table(request, response) : NULL;
	int64_t limit, cursor;
	struct pg_rows found, rows;
	if (!name || !query_i64(response, "limit", PAGE_DEFAULT, 1, PAGE_MAX, &limit) || !query_i64(response, "cursor", 0, 0, INT64_MAX, &cursor))
		return OK;
	enum err err = pg_query(pg, request->arena, STMT_SQLITE_FIND_TABLE, PG_VALUES(id, name), &found);
	if (err)
		return err;
	if (found.count == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	if (!pg_bool(&found, 0, FOUND_MIRRORED) || pg_bool(&found, 0, FOUND_GONE))
		return refuse(response, PROBLEM_WRONG_STATE);
	if (!pg_text(&found, 0, FOUND_TABLE))
		return refuse(response, PROBLEM_NOT_FOUND);
	err = pg_query(pg, request->arena, STMT_SQLITE_RAW,
	               PG_VALUES(pg_text(&found, 0, FOUND_NO), pg_text(&found, 0, FOUND_TABLE), pg_number(request->arena, cursor),
	                         pg_number(request->arena, limit)),
	               &rows);
	if (err)
		return err;
	struct json_writer *w = page_items(response, &rows, rows.count, put_raw_row);
	json_put_text(w, "table", name);
	json_put_text(w, "tableKey", pg_text(&found, 0, FOUND_KEY));
	json_put_raw(w, "columns", pg_text(&found, 0, FOUND_COLUMNS));
	json_put_i64(w, "rows", pg_i64(&found, 0, FOUND_ROWS));
	json_put_i64(w, "leftOut", pg_i64(&found, 0, FOUND_LEFT_OUT));
	/* Numbers have gaps only where rows were left out: the last row is the one that stands last in the table. */
	bool more = rows.count && pg_i64(&rows, rows.count - 1, 0) < pg_i64(&found, 0, FOUND_ROWS) + pg_i64(&found, 0, FOUND_LEFT_OUT);
	json_put_text(w, "nextCursor", more ? pg_text(&rows, rows.count - 1, 0) : NULL);
	return respond_end(response);
}

/* Refined rows; the cursor is the id of the last one. */
enum err sqlite_data(struct request *request, struct response *response)
{
	struct pg *pg = &request->gate->pg;
	const char *id = path_uuid(response, 0), *name = id ? path_table(request, response) : NULL, *cursor = query_text(request, "cursor");
	int64_t limit;
	struct pg_rows known, rows;
	if (!name || !query_i64(response, "limit", PAGE_DEFAULT, 1, PAGE_MAX, &limit))
		return OK;
	if (cursor && !is_uuid(cursor))
		return refuse_field(response, PROBLEM_INVALID_CURSOR, "cursor", "from nextCursor of the page before");
	enum err err = pg_query(pg, request->arena, STMT_SQLITE_DATA_KNOWN, PG_VALUES(id, name), &known);
	if (err)
		return err;
	if (known.count == 0 || !pg_bool(&known, 0, 2))
		return refuse(response, PROBLEM_NOT_FOUND);
	if (!text_equal(pg_text(&known, 0, 0), "completed") || pg_bool(&known, 0, 1))
		return refuse(response, PROBLEM_WRONG_STATE);
	err = pg_query(pg, request->arena, STMT_SQLITE_DATA, PG_VALUES(id, name, cursor, pg_number(request->arena, limit + 1)), &rows);
	if (err)
		return err;
	int count = rows.count > limit ? (int)limit : rows.count;
	struct json_writer *w = respond_json(response, 200);
	json_array_open(w, "items");
	for (int i = 0; i < count; i++)
		json_put_raw(w, NULL, pg_text(&rows, i, 1));
	json_array_close(w);
	json_put_text(w, "nextCursor", rows.count > limit ? pg_text(&rows, count - 1, 0) : NULL);
	return respond_end(response);
}
