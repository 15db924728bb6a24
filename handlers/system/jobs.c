/*
 * /api/jobs: the queue in sight. An administrator sees the jobs of the token's space and no other; those of the system itself
 * belong to no space and are in nobody's sight here (metrics and `tidegate doctor` count them). Every statement names the
 * space, and row-level security is the second wall.
 * Must never change a job behind the back of what it works on: kinds that stand in a table of gate->job_care are asked.
 */
#include "fcgi/fields.h"
#include "fcgi/job_care.h"
#include "fcgi/page.h"
#include "handlers/system/handlers.h"

#include <string.h>

enum { EVENTS_MAX = 200, KIND_MAX = 64 };

/* Columns of the statements job_get and job_list. */
enum { JOB_ID, JOB_KIND, JOB_STATE, JOB_SUBJECT, JOB_ATTEMPT, JOB_MAX_ATTEMPTS, JOB_CANCEL_REQUESTED };

static const struct job_care *care_of(const struct gate *gate, const char *kind)
{
	for (size_t t = 0; t < gate->job_care_count; t++)
		for (size_t i = 0; i < gate->job_care[t].count; i++)
			if (text_equal(gate->job_care[t].kinds[i].kind, kind))
				return &gate->job_care[t].kinds[i];
	return NULL;
}

/* {code, message} of the column _error, or null; nobody may have a sentence for a code. */
static void put_error(struct json_writer *w, const char *name, const struct request *request, const char *kind, const struct pg_rows *rows, int row)
{
	const char *code = pg_text(rows, row, PQfnumber(rows->result, "_error"));
	const struct job_care *care = care_of(request->gate, kind);
	if (!code) {
		json_put_null(w, name);
		return;
	}
	json_object_open(w, name);
	json_put_text(w, "code", code);
	json_put_text(w, "message", care && care->sentence ? care->sentence(code, request->language) : NULL);
	json_object_close(w);
}

static void put_job(struct json_writer *w, const struct request *request, const struct pg_rows *rows, int row)
{
	pg_row_members(w, rows, row);
	put_error(w, "lastError", request, pg_text(rows, row, JOB_KIND), rows, row);
}

/* A cursor is the id of the last job of the page before. */
static bool read_cursor(struct request *request, struct response *response, const char **ret)
{
	struct str cursor = request_query(request, "cursor");
	int64_t id;
	*ret = NULL;
	if (!cursor.p)
		return true;
	if (parse_i64_n(cursor.p, cursor.n, 1, INT64_MAX, &id)) {
		refuse_field(response, PROBLEM_INVALID_CURSOR, "cursor", "from nextCursor of the page before");
		return false;
	}
	*ret = pg_number(request->arena, id);
	return true;
}

enum err jobs_list(struct request *request, struct response *response)
{
	const char *state, *cursor, *kind = query_text(request, "kind");
	int64_t limit;
	struct pg_rows rows;
	if (!query_i64(response, "limit", PAGE_DEFAULT, 1, PAGE_MAX, &limit) || !query_choice(response, "state", "ready scheduled running dead done cancelled", &state) ||
	    !read_cursor(request, response, &cursor))
		return OK;
	if (kind && strlen(kind) > KIND_MAX)
		return refuse_field(response, PROBLEM_INVALID_FIELD, "kind", "at most 64 bytes");
	enum err err = pg_call(&request->gate->pg, request->arena, &request->scope, STMT_JOB_LIST,
	                       PG_VALUES(state, kind, cursor, pg_number(request->arena, limit + 1)), &rows);
	if (err)
		return err;
	bool more = rows.count > limit;
	int count = more ? (int)limit : rows.count;
	struct json_writer *w = page_items(response, &rows, count, put_job);
	json_put_text(w, "nextCursor", more ? pg_text(&rows, count - 1, JOB_ID) : NULL);
	return respond_end(response);
}

/* The job of the path, in the open transaction. False after a refusal or failure (*ret_err). What is no number is nobody's job. */
static bool find(struct request *request, struct response *response, struct pg_rows *ret, enum err *ret_err)
{
	struct str text = request->path_values[0];
	int64_t id;
	*ret_err = OK;
	ret->count = 0;
	if (parse_i64_n(text.p, text.n, 1, INT64_MAX, &id) == OK)
		*ret_err = pg_query(&request->gate->pg, request->arena, STMT_JOB_GET, PG_VALUES(pg_number(request->arena, id)), ret);
	if (!*ret_err && ret->count == 0)
		refuse(response, PROBLEM_NOT_FOUND);
	return !*ret_err && ret->count;
}

static void put_events(struct json_writer *w, const struct request *request, const char *kind, const struct pg_rows *events)
{
	json_array_open(w, "events");
	for (int i = 0; i < events->count; i++) {
		json_object_open(w, NULL);
		pg_row_members(w, events, i);
		put_error(w, "error", request, kind, events, i);
		json_object_close(w);
	}
	json_array_close(w);
}

static enum err answer(struct request *request, struct response *response, const struct pg_rows *job, int status)
{
	struct pg_rows events;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_JOB_EVENTS,
	                        PG_VALUES(pg_text(job, 0, JOB_ID), pg_number(request->arena, EVENTS_MAX)), &events);
	if (err)
		return err;
	struct json_writer *w = respond_json(response, status);
	put_job(w, request, job, 0);
	put_events(w, request, pg_text(job, 0, JOB_KIND), &events);
	return respond_end(response);
}

enum err jobs_get(struct request *request, struct response *response)
{
	struct pg_rows job;
	enum err err;
	return find(request, response, &job, &err) ? answer(request, response, &job, 200) : err;
}

/* The capability decides, by the thing that the job works on; the path of its own address would have named it. */
static enum err ask(struct request *request, struct response *response, handler *run, const struct pg_rows *job)
{
	const struct str own = request->path_values[0];
	request->path_values[0] = str_of(pg_text(job, 0, JOB_SUBJECT));
	enum err err = run(request, response);
	request->path_values[0] = own;
	return err;
}

/* What became of it. A capability may have found that the job is not what its thing waits for: then nothing is changed. */
static enum err answer_changed(struct request *request, struct response *response, bool wanted_cancel)
{
	struct pg_rows job;
	enum err err;
	if (!find(request, response, &job, &err))
		return err;
	const char *state = pg_text(&job, 0, JOB_STATE);
	bool asked = pg_bool(&job, 0, JOB_CANCEL_REQUESTED);
	bool changed = wanted_cancel ? asked || text_equal(state, "cancelled") : text_equal(state, "ready");
	return changed ? answer(request, response, &job, 202) : refuse_with(response, PROBLEM_JOB_WRONG_STATE, "state", state);
}

enum err jobs_retry(struct request *request, struct response *response)
{
	struct pg_rows job, done = {0};
	enum err err;
	if (!find(request, response, &job, &err))
		return err;
	const char *id = pg_text(&job, 0, JOB_ID), *state = pg_text(&job, 0, JOB_STATE);
	const struct job_care *care = care_of(request->gate, pg_text(&job, 0, JOB_KIND));
	if (!text_equal(state, "dead"))
		return refuse_with(response, PROBLEM_JOB_WRONG_STATE, "state", state);
	if (care && care->retry && pg_text(&job, 0, JOB_SUBJECT))
		err = ask(request, response, care->retry, &job);
	else
		err = pg_query(&request->gate->pg, request->arena, STMT_JOB_RETRY_OWN, PG_VALUES(id), &done);
	/* Somebody else was faster, between the look and the lock. */
	if (!err && done.result && !pg_bool(&done, 0, 0))
		return refuse_with(response, PROBLEM_JOB_WRONG_STATE, "state", "ready");
	request->wake = true;
	return err || response->is_problem ? err : answer_changed(request, response, false);
}

enum err jobs_cancel(struct request *request, struct response *response)
{
	struct pg_rows job, done;
	enum err err;
	if (!find(request, response, &job, &err))
		return err;
	const char *id = pg_text(&job, 0, JOB_ID), *state = pg_text(&job, 0, JOB_STATE);
	const struct job_care *care = care_of(request->gate, pg_text(&job, 0, JOB_KIND));
	bool dead = text_equal(state, "dead");
	if (text_equal(state, "done") || text_equal(state, "cancelled"))
		return refuse_with(response, PROBLEM_JOB_WRONG_STATE, "state", state);
	if (care && care->needed)
		return refuse(response, PROBLEM_JOB_NEEDED);
	/* A dead letter is only dismissed: what it worked on has learnt of its death already. */
	if (!dead && care && care->cancel && pg_text(&job, 0, JOB_SUBJECT))
		err = ask(request, response, care->cancel, &job);
	else
		err = pg_query(&request->gate->pg, request->arena, STMT_JOB_CANCEL_OWN, PG_VALUES(id, dead ? "true" : "false"), &done);
	return err || response->is_problem ? err : answer_changed(request, response, true);
}
