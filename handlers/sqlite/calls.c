/*
 * Calls of parsers that run elsewhere: POST /api/import/queue makes a batch of an uploaded file and hands out the file; POST
 * /api/import/callback tells how far the parser is, and brings what it read. The guard has verified the signature over address, time,
 * nonce and body; here the nonce is spent, and the call gets the scope of the batch or file that it names.
 * Must never take a scope from anything else, nor acknowledge a chunk that is not stored.
 */
#include "core/crypto/parser_signature.h"
#include "core/store/store.h"
#include "fcgi/fields.h"
#include "handlers/sqlite/failures.h"
#include "handlers/sqlite/handlers.h"
#include "handlers/sqlite/snapshot.h"

#include <string.h>

enum { DOWNLOAD_S = 900, CHUNKS_MAX = 100000, VERSION_MAX = 100 };

/* Columns of the statement sqlite_call_enter. */
enum { ENTER_FRESH, ENTER_SPACE, ENTER_OWNER, ENTER_NO };

/* *ret without a row: the request was refused. */
static enum err enter(struct request *request, struct response *response, const char *id, const char *object_key, struct pg_rows *ret)
{
	struct pg *pg = &request->gate->pg;
	struct pg_rows rows;
	*ret = (struct pg_rows){0};
	enum err err = pg_query(pg, request->arena, STMT_SQLITE_CALL_ENTER, PG_VALUES(request->call.jti, pg_number(request->arena, PARSER_NONCE_KEEP_S), id, object_key), &rows);
	if (err)
		return err;
	if (!pg_bool(&rows, 0, ENTER_FRESH))
		return refuse(response, PROBLEM_CALL_REPLAYED);
	if (!pg_text(&rows, 0, ENTER_OWNER))
		return refuse(response, PROBLEM_NOT_FOUND);
	request->scope = (struct pg_scope){pg_text(&rows, 0, ENTER_OWNER), pg_text(&rows, 0, ENTER_SPACE), "parser"};
	*ret = rows;
	return pg_rescope(pg, &request->scope);
}

static bool read_id(struct response *response, const json_t *body, const char **ret)
{
	if (!field_text(response, body, "batchId", 1, 64, ret))
		return false;
	if (is_uuid(*ret))
		return true;
	refuse_field(response, PROBLEM_INVALID_FIELD, "batchId", "a UUID");
	return false;
}

/* ---------------------------------------------------------------------------------------------------------------- queue */

static bool read_queue(struct request *request, struct response *response, struct sqlite_creation *ret, const char **ret_user)
{
	const json_t *body = request->json;
	const char *key_name = json_object_get(body, "r2Key") || !json_object_get(body, "objectKey") ? "r2Key" : "objectKey";
	if (!read_id(response, body, &ret->id) || !field_text(response, body, "userId", 1, 255, ret_user) ||
	    !field_text(response, body, key_name, 1, 512, &ret->object_key) || !field_text(response, body, "fileName", 0, 255, &ret->file_name) ||
	    !field_text(response, body, "parser", 0, 16, &ret->parser) || !sqlite_read_options(request, response, ret))
		return false;
	if (!ret->parser)
		ret->parser = "external";
	if (!text_equal(ret->parser, "external") && !text_equal(ret->parser, "internal")) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "parser", "external or internal");
		return false;
	}
	size_t n = strlen(ret->object_key);
	const char *segment = store_key_segment(request->arena, *ret_user);
	const char *prefix = segment ? arena_printf(request->arena, "imports/%s/", segment) : NULL;
	if (!prefix || !text_starts_with(ret->object_key, prefix) || n < 4 || !text_equal(ret->object_key + n - 3, ".db")) {
		refuse_field(response, PROBLEM_INVALID_FIELD, key_name, "a file of this user that ends in .db");
		return false;
	}
	if (!ret->file_name)
		ret->file_name = strrchr(ret->object_key, '/') + 1;
	ret->file_size = -1;
	return true;
}

/* Our own workers take the file themselves. */
static enum err link_to(struct request *request, const struct sqlite_creation *creation, const char **ret)
{
	*ret = NULL;
	if (text_equal(creation->parser, "internal"))
		return OK;
	return store_presign_get(request->arena, request->gate->config, creation->object_key, creation->file_name, "application/vnd.sqlite3", DOWNLOAD_S, ret);
}

enum err sqlite_call_queue(struct request *request, struct response *response)
{
	struct sqlite_creation creation = {0};
	struct sqlite_created created;
	const char *user = NULL, *url = NULL;
	struct pg_rows owner;
	if (!read_queue(request, response, &creation, &user))
		return OK;
	enum err err = enter(request, response, creation.id, creation.object_key, &owner);
	if (err || response->is_problem)
		return err;
	if (!text_equal(pg_text(&owner, 0, ENTER_OWNER), user))
		return refuse(response, PROBLEM_USER_MISMATCH);
	err = sqlite_make(request, response, &creation, &created);
	if (!err && !response->is_problem)
		err = link_to(request, &creation, &url);
	return err || response->is_problem ? err : sqlite_accepted(response, &created, url, DOWNLOAD_S);
}

/* ------------------------------------------------------------------------------------------------------------- callback */

struct callback {
	const char *id, *stage, *version, *class;
	const json_t *snapshot;
	int64_t chunk;
	bool last;
};

static bool read_chunk(struct response *response, const json_t *body, struct callback *ret)
{
	const json_t *chunk = json_object_get(body, "chunk"), *last = json_object_get(chunk, "last");
	ret->chunk = 0;
	ret->last = true;
	if (!chunk || json_is_null(chunk))
		return true;
	if (!json_is_object(chunk) || (last && !json_is_boolean(last))) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "chunk", "{index, last}");
		return false;
	}
	ret->last = json_is_true(last);
	return field_i64(response, chunk, "index", 0, CHUNKS_MAX, &ret->chunk);
}

static bool read_stage(struct response *response, const json_t *body, struct callback *ret)
{
	if (!field_text(response, body, "stage", 0, 16, &ret->stage))
		return false;
	bool failed = text_equal(ret->stage, "failed");
	if (ret->stage && !failed && !text_equal(ret->stage, "parsing") && !text_equal(ret->stage, "importing")) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "stage", "parsing, importing or failed");
		return false;
	}
	ret->class = json_text(json_object_get(body, "error"), "code");
	if (failed && !sqlite_class_known(ret->class)) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "error.code", "INVALID_INPUT, INVALID_SQLITE, INVALID_SCHEMA, INVALID_ROW, PARSE_FAILED or PARSER_INIT_FAILED");
		return false;
	}
	return true;
}

static bool read_callback(struct request *request, struct response *response, struct callback *ret)
{
	const json_t *body = request->json;
	*ret = (struct callback){.snapshot = json_object_get(body, "snapshot")};
	if (!read_id(response, body, &ret->id) || !read_stage(response, body, ret) || !field_text(response, body, "parserVersion", 0, VERSION_MAX, &ret->version))
		return false;
	if (!ret->stage == !ret->snapshot) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "stage", "either a stage or a snapshot");
		return false;
	}
	if (ret->snapshot && (!ret->version || !*ret->version)) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "parserVersion", "1 to 100 characters");
		return false;
	}
	return !ret->snapshot || (read_chunk(response, body, ret) && snapshot_check(request, response, ret->snapshot));
}

static void free_text(void *what)
{
	free(what); /* from json_dumps */
}

static enum err store_chunk(struct request *request, struct response *response, const struct callback *callback, const char *no)
{
	struct pg *pg = &request->gate->pg;
	char hash[SHA256_HEX_SIZE];
	struct pg_rows rows;
	char *text = json_dumps(callback->snapshot, JSON_COMPACT);
	if (!text || arena_defer(request->arena, free_text, text))
		return ERR_TOO_LARGE;
	sha256_hex(text, strlen(text), hash);
	enum err err = pg_query(pg, request->arena, STMT_SQLITE_CHUNK_PUT, PG_VALUES(no, pg_number(request->arena, callback->chunk), hash, callback->last ? "true" : "false", text), &rows);
	if (err)
		return err;
	const char *result = pg_text(&rows, 0, 0);
	if (text_equal(result, "wrong_state"))
		return refuse(response, PROBLEM_WRONG_STATE);
	if (!text_equal(result, "stored") && !text_equal(result, "repeated"))
		return refuse(response, PROBLEM_CHUNK_CONFLICT);
	if (!callback->last || text_equal(result, "repeated"))
		return OK;
	request->wake = true;
	return pg_query(pg, request->arena, STMT_SQLITE_QUEUE, PG_VALUES(no), NULL);
}

/* A stage that the batch has passed is told again when an answer was lost: no change. Back there is no way. */
static enum err take_stage(struct request *request, struct response *response, const struct callback *callback, const char *no, const char *status)
{
	struct pg *pg = &request->gate->pg;
	bool failed = text_equal(callback->stage, "failed");
	if (text_equal(status, callback->stage))
		return OK;
	if (text_equal(status, "completed") || text_equal(status, "failed") || (text_equal(status, "importing") && !failed))
		return refuse(response, PROBLEM_WRONG_STATE);
	if (failed)
		return pg_query(pg, request->arena, STMT_SQLITE_FAIL, PG_VALUES(no, "parser_refused", arena_printf(request->arena, "{\"class\":\"%s\"}", callback->class)), NULL);
	return pg_query(pg, request->arena, STMT_SQLITE_MOVE, PG_VALUES(no, callback->stage), NULL);
}

enum err sqlite_call_callback(struct request *request, struct response *response)
{
	struct callback callback;
	struct pg_rows batch, locked;
	struct pg *pg = &request->gate->pg;
	if (!read_callback(request, response, &callback))
		return OK;
	enum err err = enter(request, response, callback.id, NULL, &batch);
	if (err || response->is_problem)
		return err;
	const char *no = pg_text(&batch, 0, ENTER_NO);
	err = pg_query(pg, request->arena, STMT_SQLITE_LOCK, PG_VALUES(callback.id), &locked);
	if (err)
		return err;
	/* What our own workers parse nobody else has a say in; and once everything has come, nor has the parser. */
	if (!text_equal(pg_text(&locked, 0, 5), "external") || (callback.stage && pg_text(&locked, 0, 3)))
		return refuse(response, PROBLEM_WRONG_STATE);
	err = callback.snapshot ? store_chunk(request, response, &callback, no) : take_stage(request, response, &callback, no, pg_text(&locked, 0, 1));
	if (!err && !response->is_problem)
		err = pg_query(pg, request->arena, STMT_SQLITE_HEARD, PG_VALUES(no, callback.version), NULL);
	return err || response->is_problem ? err : sqlite_answer(request, response, callback.id, 200);
}
