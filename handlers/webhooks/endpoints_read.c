/*
 * Reading endpoints. Never changes anything, and never shows a secret or the value of a header: the database does not let this
 * role read them. What a client sees is shaped by the column aliases of the statements (sql/queries/webhooks.sql).
 */
#include "fcgi/fields.h"
#include "fcgi/page.h"
#include "handlers/webhooks/failures.h"
#include "handlers/webhooks/handlers.h"

static void put_endpoint(struct json_writer *w, const struct request *request, const struct pg_rows *rows, int row)
{
	const char *reason = pg_text(rows, row, PQfnumber(rows->result, "_reason"));
	pg_row_members(w, rows, row);
	json_put_text(w, "disabledMessage", reason ? webhook_failure_sentence(reason, request->language) : NULL);
}

enum err webhook_answer(struct request *request, struct response *response, const char *id, int status, const char *secret)
{
	struct pg_rows rows;
	enum err err = pg_ask(&request->gate->pg, request->arena, &request->scope, STMT_WEBHOOK_GET, PG_VALUES(id), &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	struct json_writer *w = respond_json(response, status);
	put_endpoint(w, request, &rows, 0);
	if (secret)
		json_put_text(w, "secret", secret);
	return respond_end(response);
}

enum err webhook_get(struct request *request, struct response *response)
{
	const char *id = path_uuid(response, 0);
	return id ? webhook_answer(request, response, id, 200, NULL) : OK;
}

enum err webhook_list(struct request *request, struct response *response)
{
	struct page page;
	struct pg_rows rows;
	if (!page_read(response, &page))
		return OK;
	enum err err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_WEBHOOK_LIST,
	                       PG_VALUES(page.at, page.id, pg_number(request->arena, page.limit + 1)), &rows);
	if (err)
		return err;
	return page_answer(response, &page, &rows, put_endpoint);
}
