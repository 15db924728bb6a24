/*
 * POST /api/sync: push and pull in one transaction. docs/sync.md has the rules, sync.h how a call runs.
 * Must never answer before the commit, apply a row of a client that has to start anew, or move the client's time before its last page.
 */
#include "handlers/sync/sync.h"

#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "handlers/sync/handlers.h"

enum { RUNS_MAX = 6, PAUSE_MS = 20 };

enum { ENTER_PRIOR, ENTER_VERSION, ENTER_FLOOR, ENTER_CATALOGUE, ENTER_DIGEST, ENTER_RESULT };
enum { LOOK_VERSION, LOOK_FLOOR, LOOK_CATALOGUE };

struct clocks {
	int64_t latest; /* the highest time that a client can have been given */
	int64_t floor;
};

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/*
 * A pull reads what is committed up to the clock; a page goes on with the bounds of the first one. Outside of a transaction this alone tells whether
 * there is anything to read at all.
 */
static enum err look(struct sync_call *call, struct clocks *ret)
{
	struct pg_rows rows;
	enum err err = pg_ask(call->pg, call->arena, &call->request->scope, STMT_SYNC_LOOK, PG_VALUES(call->app->app->name, call->scope, call->app->app->has_catalogue ? "t" : "f"), &rows);
	if (err)
		return err;
	*ret = (struct clocks){later(pg_i64(&rows, 0, LOOK_VERSION), pg_i64(&rows, 0, LOOK_CATALOGUE)), pg_i64(&rows, 0, LOOK_FLOOR)};
	if (!call->paging)
		call->bound = call->timestamp = ret->latest;
	return OK;
}

/*
 * A push takes the next version of its scope and holds the scope until the commit. Rows with that version are its own: the pull stops
 * at those that were there before. A push that was answered before is not applied again; its rows are sent as they are stored now.
 */
static enum err enter(struct sync_call *call, struct response *response, struct clocks *ret)
{
	struct pg_rows rows;
	enum err err = pg_query(call->pg, call->arena, STMT_SYNC_ENTER,
	                        PG_VALUES(call->app->app->name, call->scope, call->app->app->has_catalogue ? "t" : "f", call->device, call->request_id), &rows);
	if (err)
		return err;
	const char *digest = pg_text(&rows, 0, ENTER_DIGEST), *text = pg_text(&rows, 0, ENTER_RESULT);
	*ret = (struct clocks){later(pg_i64(&rows, 0, ENTER_PRIOR), pg_i64(&rows, 0, ENTER_CATALOGUE)), pg_i64(&rows, 0, ENTER_FLOOR)};
	call->version = pg_i64(&rows, 0, ENTER_VERSION);
	if (!call->paging) {
		call->bound = ret->latest;
		call->timestamp = digest ? ret->latest : call->version;
	}
	if (!digest)
		return OK;
	if (!text_equal(digest, call->digest))
		return refuse(response, PROBLEM_IDEMPOTENCY_MISMATCH);
	char *result = arena_strdup(call->arena, text);
	err = result ? json_tree_parse(call->arena, result, strlen(result), &call->replayed) : ERR_TOO_LARGE;
	for (size_t i = 0; i < call->row_count; i++)
		call->rows[i].returned = call->rows[i].code == REJECT_NONE;
	return err ? ERR_BUG : OK;
}

static enum err answer_resync(struct sync_call *call, struct response *response)
{
	struct json_writer *w = respond_json(response, 200);
	const char *time = sync_time(call->arena, call->since);
	metrics_add(METRIC_SYNC_RESYNCS, 1);
	json_array_open(w, "changes");
	json_array_close(w);
	json_put_text(w, "timestamp", time);
	json_put_text(w, "syncedAt", time);
	json_put_bool(w, "hasMore", false);
	json_put_null(w, "nextCursor");
	json_array_open(w, "rejected");
	json_array_close(w);
	json_array_open(w, "merged");
	json_array_close(w);
	json_put_bool(w, "resync", true);
	return respond_end(response);
}

static enum err answer(struct sync_call *call, struct response *response)
{
	struct json_writer *w = respond_json(response, 200);
	bool more = false;
	json_array_open(w, "changes");
	enum err err = sync_put_returned(call, w);
	if (!err)
		err = sync_pull(call, w, &more);
	if (err)
		return err;
	json_array_close(w);
	const char *time = sync_time(call->arena, more ? call->since : call->timestamp);
	json_put_text(w, "timestamp", time);
	json_put_text(w, "syncedAt", time);
	json_put_bool(w, "hasMore", more);
	json_put_text(w, "nextCursor", more ? sync_cursor_make(call) : NULL);
	sync_put_outcome(call, w);
	json_put_bool(w, "resync", false);
	if (call->schema_version < call->app->app->version)
		json_put_i64(w, "schemaVersion", call->app->app->version);
	return respond_end(response);
}

static bool may_be_up_to_date(const struct sync_call *call)
{
	return !call->row_count && call->since > 0 && !call->paging && !call->migrated_from;
}

/* One run of the call. *ret_rows_failed: it may be done again with care. */
static enum err run(struct sync_call *call, struct response *response, bool *ret_rows_failed)
{
	struct clocks clocks = {0};
	*ret_rows_failed = false;
	if (may_be_up_to_date(call)) {
		enum err err = look(call, &clocks);
		if (err || call->since == clocks.latest)
			return err ? err : answer(call, response);
	}
	enum err err = pg_begin(call->pg, &call->request->scope);
	if (!err)
		err = call->row_count ? enter(call, response, &clocks) : look(call, &clocks);
	if (err || response->is_problem)
		return err;
	if (call->since > 0 && (call->since < clocks.floor || call->since > clocks.latest)) {
		pg_rollback(call->pg);
		return answer_resync(call, response);
	}
	if (call->row_count && !call->replayed)
		err = sync_push(call, ret_rows_failed);
	if (!err)
		err = answer(call, response);
	if (err)
		return err;
	err = call->row_count && call->request_id && !call->replayed ? sync_commit_answered(call) : pg_commit(call->pg);
	call->pushed = !err && call->row_count && !call->replayed;
	*ret_rows_failed = err && sync_is_row_failure(call->pg);
	return err;
}

/* The last resort, when parents went missing run after run: nothing that refers to anything is taken. */
static void reject_children(struct sync_call *call)
{
	for (size_t i = 0; i < call->row_count; i++)
		if (call->rows[i].code == REJECT_NONE && call->app->tables[call->rows[i].table].table->reference_count)
			call->rows[i].code = REJECT_PARENT_MISSING;
}

static bool may_retry(const struct pg *pg)
{
	return text_equal(pg->sqlstate, "40001") || text_equal(pg->sqlstate, "40P01");
}

static enum err run_until_done(struct sync_call *call, struct response *response)
{
	enum err err = OK;
	for (int i = 0; i < RUNS_MAX; i++) {
		bool rows_failed = false;
		if (i == RUNS_MAX - 1 && call->careful)
			reject_children(call);
		call->pg->sqlstate[0] = '\0';
		err = run(call, response, &rows_failed);
		if (!err)
			break;
		bool again = rows_failed || may_retry(call->pg);
		pg_rollback(call->pg);
		if (!again)
			break;
		if (rows_failed && !call->careful)
			metrics_add(METRIC_SYNC_CAREFUL, 1);
		if (!rows_failed)
			clock_sleep_ms(1 + (int64_t)(random_unit() * PAUSE_MS));
		call->careful = call->careful || rows_failed;
	}
	pg_rollback(call->pg);
	return err;
}

static void count(const struct sync_call *call)
{
	int64_t rejected = 0;
	if (call->replayed)
		return;
	for (size_t i = 0; i < call->row_count; i++)
		rejected += call->rows[i].code != REJECT_NONE;
	metrics_add(METRIC_SYNC_PUSHED, (int64_t)call->row_count - rejected);
	metrics_add(METRIC_SYNC_REJECTED, rejected);
	if (rejected)
		log_write(LOG_LEVEL_INFO, "sync_rejected", LOG_TEXT("app", call->app->app->name), LOG_INT("rows", rejected), LOG_INT("of", call->row_count));
}

enum err sync_post(struct request *request, struct response *response)
{
	struct sync_call call = {.request = request, .pg = &request->gate->pg, .arena = request->arena};
	if (!sync_read_request(&call, response))
		return OK;
	enum err err = sync_read_changes(&call);
	if (!err)
		err = run_until_done(&call, response);
	if (!err && !response->is_problem) {
		count(&call);
		sync_hint(&call);
	}
	return err;
}
