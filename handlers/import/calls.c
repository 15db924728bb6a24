/*
 * Calls of an external queue: POST /api/import/parse, commit and error-report with {"jobId": …}. The guard has verified the
 * signature over address and body; here the call gets the scope of the import it names, then the handler of the session
 * address runs as it is. docs/decisions/0007 says what becomes of repeated calls.
 * Must never do the work itself, nor take a scope from anything but the import.
 */
#include "core/base/log.h"
#include "fcgi/fields.h"
#include "fcgi/idempotency.h"
#include "handlers/import/handlers.h"

/* Takes the token and goes over to the scope of the import; the path of the session address would have named it. */
static enum err enter(struct request *request, struct response *response, bool *ret_fresh)
{
	struct pg *pg = &request->gate->pg;
	const char *id = NULL;
	struct pg_rows rows;
	if (!field_text(response, request->json, "jobId", 1, 64, &id))
		return OK;
	if (!is_uuid(id))
		return refuse(response, PROBLEM_NOT_FOUND);
	enum err err = pg_query(pg, request->arena, STMT_IMPORT_ENTER_CALL, PG_VALUES(request->call.jti, pg_number(request->arena, request->call.exp), id), &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return refuse(response, PROBLEM_NOT_FOUND);
	*ret_fresh = pg_bool(&rows, 0, 0);
	request->scope = (struct pg_scope){pg_text(&rows, 0, 2), pg_text(&rows, 0, 1), "queue"};
	request->path_values[0] = str_of(id);
	request->path_value_count = 1;
	log_write(LOG_LEVEL_INFO, "signed_call", LOG_TEXT("import", id), LOG_TEXT("jti", request->call.jti));
	return pg_rescope(pg, &request->scope);
}

/* Work that is to happen once: a repeated call gets the first answer. */
static enum err once(struct request *request, struct response *response, handler *run)
{
	static const struct route route = {.method = METHOD_POST};
	struct idempotency idempotency = {0};
	bool fresh = false;
	enum err err = enter(request, response, &fresh);
	if (err || response->is_problem)
		return err;
	err = idempotency_begin(request, response, &route, &idempotency);
	if (err || idempotency.replayed)
		return err;
	if (!fresh)
		return refuse(response, PROBLEM_CALL_REPLAYED);
	err = run(request, response);
	return err || response->is_problem ? err : idempotency_finish(request, response, &idempotency);
}

enum err import_call_parse(struct request *request, struct response *response)
{
	return once(request, response, import_parse);
}

enum err import_call_commit(struct request *request, struct response *response)
{
	return once(request, response, import_commit);
}

/* Changes nothing, but hands out a link: every call needs a token of its own. */
enum err import_call_error_report(struct request *request, struct response *response)
{
	bool fresh = false;
	enum err err = enter(request, response, &fresh);
	if (err || response->is_problem)
		return err;
	return fresh ? import_error_report(request, response) : refuse(response, PROBLEM_CALL_REPLAYED);
}
