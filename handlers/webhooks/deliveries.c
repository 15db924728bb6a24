/*
 * Deliveries: the log of an endpoint, tests, replays. Called over HTTP.
 * Must never send anything itself: it queues, the workers send (courier.c).
 */
#include "core/base/clock.h"
#include "fcgi/fields.h"
#include "fcgi/page.h"
#include "handlers/webhooks/failures.h"
#include "handlers/webhooks/handlers.h"

enum { REPLAY_MAX = 10000 };

static void put_delivery(struct json_writer *w, const struct request *request, const struct pg_rows *rows, int row)
{
	const char *code = pg_text(rows, row, PQfnumber(rows->result, "_error"));
	pg_row_members(w, rows, row);
	if (!code) {
		json_put_null(w, "error");
		return;
	}
	json_object_open(w, "error");
	json_put_text(w, "code", code);
	json_put_text(w, "message", webhook_failure_sentence(code, request->language));
	json_object_close(w);
}

static enum err answer(struct request *request, struct response *response, const char *endpoint, const char *id)
{
	struct pg_rows rows;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_WEBHOOK_DELIVERY_GET, PG_VALUES(id, endpoint), &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	struct json_writer *w = respond_json(response, 202);
	put_delivery(w, request, &rows, 0);
	request->wake = true;
	return respond_end(response);
}

/* The endpoint of the path, which must be enabled. *ret_id NULL: the request was refused. */
static enum err lock_enabled(struct request *request, struct response *response, const char **ret_id)
{
	bool enabled = false;
	enum err err = webhook_lock(request, response, ret_id, &enabled);
	if (err || !*ret_id || enabled)
		return err;
	*ret_id = NULL;
	return refuse(response, PROBLEM_WEBHOOK_DISABLED);
}

enum err webhook_test(struct request *request, struct response *response)
{
	const char *id;
	struct pg_rows rows;
	enum err err = lock_enabled(request, response, &id);
	if (err || !id)
		return err;
	err = pg_query(&request->gate->pg, request->arena, STMT_WEBHOOK_TEST, PG_VALUES(id), &rows);
	return err ? err : answer(request, response, id, pg_text(&rows, 0, 0));
}

enum err webhook_replay_one(struct request *request, struct response *response)
{
	const char *id, *delivery = path_uuid(response, 1);
	struct pg_rows rows;
	if (!delivery)
		return OK;
	enum err err = lock_enabled(request, response, &id);
	if (err || !id)
		return err;
	/* it must be one of this endpoint's */
	err = pg_query(&request->gate->pg, request->arena, STMT_WEBHOOK_DELIVERY_GET, PG_VALUES(delivery, id), &rows);
	if (!err && rows.count == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	if (!err)
		err = pg_query(&request->gate->pg, request->arena, STMT_WEBHOOK_REPLAY, PG_VALUES(delivery), &rows);
	return err ? err : answer(request, response, id, pg_text(&rows, 0, 0));
}

enum err webhook_replay_since(struct request *request, struct response *response)
{
	const char *id, *since = NULL;
	struct pg_rows rows;
	int64_t at = 0;
	if (!field_text(response, request->json, "since", 1, 40, &since))
		return OK;
	if (clock_parse_iso8601(since, &at))
		return refuse_field(response, PROBLEM_INVALID_FIELD, "since", "a time such as 2026-11-21T08:00:00Z");
	enum err err = lock_enabled(request, response, &id);
	if (err || !id)
		return err;
	err = pg_query(&request->gate->pg, request->arena, STMT_WEBHOOK_REPLAY_SINCE,
	               PG_VALUES(id, pg_number(request->arena, at), pg_number(request->arena, REPLAY_MAX)), &rows);
	if (err)
		return err;
	request->wake = true;
	pg_row_members(respond_json(response, 202), &rows, 0);
	return respond_end(response);
}

static bool read_status(struct request *request, struct response *response, const char **ret)
{
	static const char *const states[] = {"pending", "succeeded", "failed"};
	*ret = query_text(request, "status");
	for (size_t i = 0; *ret && i < sizeof(states) / sizeof(states[0]); i++)
		if (text_equal(*ret, states[i]))
			return true;
	if (!*ret)
		return true;
	refuse_field(response, PROBLEM_INVALID_FIELD, "status", "pending, succeeded or failed");
	return false;
}

enum err webhook_deliveries(struct request *request, struct response *response)
{
	struct pg *pg = &request->gate->pg;
	const char *id = path_uuid(response, 0), *status;
	struct page page;
	struct pg_rows rows;
	if (!id || !read_status(request, response, &status) || !page_read(response, &page))
		return OK;
	enum err err = pg_call(pg, request->arena, &request->scope, STMT_WEBHOOK_GET, PG_VALUES(id), &rows);
	if (!err && rows.count == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	if (!err)
		err = pg_call(pg, request->arena, &request->scope, STMT_WEBHOOK_DELIVERY_LIST,
		              PG_VALUES(id, status, page.at, page.id, pg_number(request->arena, page.limit + 1)), &rows);
	if (err)
		return err;
	struct json_writer *w = respond_json(response, 200);
	json_array_open(w, "items");
	for (int i = 0; i < page_count(&page, &rows); i++) {
		json_object_open(w, NULL);
		put_delivery(w, request, &rows, i);
		json_object_close(w);
	}
	json_array_close(w);
	page_put_cursor(w, request->arena, &page, &rows);
	return respond_end(response);
}
