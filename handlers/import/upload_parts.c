/*
 * Uploads in parts: POST /api/import/upload-url with `parts`, then POST /api/import/uploads/{id}/complete or /abort. Asking again
 * for the same file finds the unfinished upload and says what has arrived, so that a client goes on where it stopped, with fresh
 * URLs. Must never call an upload complete while a part is missing or has another size.
 */
#include "handlers/import/upload.h"

#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/store/store.h"
#include "fcgi/fields.h"
#include "handlers/import/handlers.h"

enum { URLS_MAX = 500, MISSING_NAMED = 100, ATTEMPTS = 3 };

enum { P_ID, P_KEY, P_PARTS_ID, P_PART_BYTES, P_EXPIRES };

static int64_t bytes_of(int64_t size, int64_t each, int64_t index)
{
	return size - index * each < each ? size - index * each : each;
}

static size_t count_of(int64_t size, int64_t each)
{
	return (size_t)((size + each - 1) / each);
}

/* What a store of its own says is nothing that the client has done. */
static enum err of_store(enum err err)
{
	return err == ERR_DENIED || err == ERR_INVALID || err == ERR_TIMEOUT ? ERR_UNAVAILABLE : err;
}

static enum err put_parts(struct request *request, struct response *response, const struct pg_rows *rows, int64_t size, const int64_t *arrived)
{
	struct json_writer *w = &response->json;
	const struct config *config = request->gate->config;
	int64_t each = pg_i64(rows, 0, P_PART_BYTES);
	size_t count = count_of(size, each), urls = 0;
	enum err err = OK;
	json_array_open(w, "parts");
	for (size_t i = 0; !err && i < count && urls < URLS_MAX; i++) {
		const char *url;
		int64_t bytes = bytes_of(size, each, (int64_t)i);
		if (arrived[i] == bytes)
			continue;
		err = store_presign_part(request->arena, config, pg_text(rows, 0, P_KEY), pg_text(rows, 0, P_PARTS_ID), (int)i + 1, bytes, config->upload_url_life_s, &url);
		if (err)
			break;
		json_object_open(w, NULL);
		json_put_i64(w, "number", (int64_t)i + 1);
		json_put_i64(w, "size", bytes);
		json_put_text(w, "uploadUrl", url);
		json_object_close(w);
		urls++;
	}
	json_array_close(w);
	return err;
}

static enum err answer(struct request *request, struct response *response, const struct pg_rows *rows, const struct upload_wanted *wanted, bool reused)
{
	char expires[CLOCK_ISO_SIZE];
	int64_t each = pg_i64(rows, 0, P_PART_BYTES), received = 0, *arrived = NULL;
	size_t count = count_of(wanted->size, each);
	enum err err = store_parts_arrived(request->arena, request->gate->config, pg_text(rows, 0, P_KEY), pg_text(rows, 0, P_PARTS_ID), count, &arrived);
	if (err)
		return of_store(err);
	for (size_t i = 0; i < count; i++)
		received += arrived[i] == bytes_of(wanted->size, each, (int64_t)i);
	clock_iso8601((clock_unix() + request->gate->config->upload_url_life_s) * 1000000, expires);
	struct json_writer *w = respond_json(response, 200);
	json_put_text(w, "objectKey", pg_text(rows, 0, P_KEY));
	json_put_text(w, "r2Key", pg_text(rows, 0, P_KEY));
	json_put_text(w, "uploadId", pg_text(rows, 0, P_ID));
	json_put_text(w, "method", "PUT");
	json_object_open(w, "headers");
	json_object_close(w);
	json_put_i64(w, "partSize", each);
	json_put_i64(w, "partCount", (int64_t)count);
	json_put_i64(w, "partsReceived", received);
	err = put_parts(request, response, rows, wanted->size, arrived);
	json_put_text(w, "expiresAt", expires);
	json_put_text(w, "uploadExpiresAt", pg_text(rows, 0, P_EXPIRES));
	json_put_bool(w, "reused", reused);
	metrics_add(reused ? METRIC_UPLOAD_URLS_REUSED : METRIC_UPLOAD_URLS, 1);
	return err ? err : respond_end(response);
}

static enum err find(struct request *request, const struct upload_wanted *wanted, struct pg_rows *ret)
{
	return pg_query(&request->gate->pg, request->arena, STMT_UPLOAD_FIND_PARTS, PG_VALUES(wanted->name, wanted->size_text, wanted->checksum), ret);
}

/* *ret_begun false: a double tap was faster, its upload is to be found now. */
static enum err begin(struct request *request, const struct upload_wanted *wanted, bool *ret_begun)
{
	const struct config *config = request->gate->config;
	struct arena *arena = request->arena;
	const char *parts_id = NULL;
	struct pg_rows rows;
	char id[UUID_SIZE];
	const char *key = upload_key(request, wanted, id);
	if (!key)
		return ERR_TOO_LARGE;
	enum err err = store_parts_begin(arena, config, key, &parts_id);
	if (err)
		return of_store(err);
	err = pg_query(&request->gate->pg, arena, STMT_UPLOAD_ISSUE_PARTS,
	               PG_VALUES(id, key, wanted->name, wanted->size_text, wanted->checksum, pg_number(arena, config->storage_multipart_life_s), parts_id,
	                         pg_number(arena, store_part_size(config, wanted->size))),
	               &rows);
	*ret_begun = !err && rows.count == 1;
	if (!*ret_begun && store_parts_abort(config, key, parts_id))
		return err ? err : ERR_UNAVAILABLE; /* what is left is swept after storage.multipart_life_s */
	return err;
}

enum err upload_parts_url(struct request *request, struct response *response, const struct upload_wanted *wanted)
{
	struct pg_rows rows;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		bool begun = false;
		enum err err = find(request, wanted, &rows);
		if (!err && rows.count == 1)
			return answer(request, response, &rows, wanted, true);
		if (!err)
			err = begin(request, wanted, &begun);
		if (!err && begun)
			err = find(request, wanted, &rows);
		if (err || (begun && rows.count == 1))
			return err ? err : answer(request, response, &rows, wanted, false);
	}
	return ERR_CONFLICT;
}

/* ------------------------------------------------------------------------------------------------------------- the end */

enum { U_KEY, U_STATE, U_SIZE, U_PARTS_ID, U_PART_BYTES };

/* The caller's own upload, locked. False: it was refused. */
static enum err find_upload(struct request *request, struct response *response, struct pg_rows *ret, const char **ret_id)
{
	const char *id = path_uuid(response, 0);
	*ret_id = NULL;
	if (!id)
		return OK;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_UPLOAD_OF_PARTS, PG_VALUES(id), ret);
	if (err)
		return err;
	if (ret->count == 0 || text_equal(pg_text(ret, 0, U_STATE), "expired"))
		return refuse(response, PROBLEM_NOT_FOUND);
	*ret_id = id;
	return OK;
}

/* Numbers of the parts that are not there as they should be, the first of them: "2,3,9". NULL: all are. */
static const char *missing_parts(struct arena *arena, int64_t size, int64_t each, const int64_t *arrived)
{
	const char *list = NULL;
	int named = 0;
	for (size_t i = 0; i < count_of(size, each) && named < MISSING_NAMED; i++)
		if (arrived[i] != bytes_of(size, each, (int64_t)i)) {
			list = arena_printf(arena, "%s%s%zu", list ? list : "", list ? "," : "", i + 1);
			named++;
		}
	return list;
}

static enum err complete(struct request *request, struct response *response, const struct pg_rows *rows)
{
	const struct config *config = request->gate->config;
	const char *key = pg_text(rows, 0, U_KEY), *id = pg_text(rows, 0, U_PARTS_ID);
	int64_t size = pg_i64(rows, 0, U_SIZE), each = pg_i64(rows, 0, U_PART_BYTES), *arrived = NULL;
	enum err err = store_parts_arrived(request->arena, config, key, id, count_of(size, each), &arrived);
	const char *missing = err ? NULL : missing_parts(request->arena, size, each, arrived);
	if (missing)
		return refuse_with(response, PROBLEM_UPLOAD_NOT_FINISHED, "missingParts", missing);
	/* Not there any more: perhaps because it is complete already, and only our row does not say so. */
	if (!err || err == ERR_NOT_FOUND)
		err = store_parts_complete(config, key, id, size, each);
	if (err == ERR_NOT_FOUND || err == ERR_CONFLICT)
		return refuse(response, PROBLEM_UPLOAD_NOT_FINISHED);
	if (err)
		return of_store(err);
	metrics_add(METRIC_UPLOADS, 1);
	return pg_query(&request->gate->pg, request->arena, STMT_UPLOAD_ARRIVED, PG_VALUES(key, NULL), NULL);
}

enum err import_upload_complete(struct request *request, struct response *response)
{
	struct pg_rows rows;
	const char *id;
	enum err err = find_upload(request, response, &rows, &id);
	if (!err && id && text_equal(pg_text(&rows, 0, U_STATE), "issued"))
		err = complete(request, response, &rows);
	if (err || response->is_problem || !id)
		return err;
	struct json_writer *w = respond_json(response, 200);
	json_put_text(w, "objectKey", pg_text(&rows, 0, U_KEY));
	json_put_text(w, "r2Key", pg_text(&rows, 0, U_KEY));
	json_put_i64(w, "fileSize", pg_i64(&rows, 0, U_SIZE));
	return respond_end(response);
}

/* Gives up an upload that is not complete. One that is belongs to whoever imports it. */
enum err import_upload_abort(struct request *request, struct response *response)
{
	struct pg_rows rows;
	const char *id;
	enum err err = find_upload(request, response, &rows, &id);
	if (err || response->is_problem || !id)
		return err;
	if (text_equal(pg_text(&rows, 0, U_STATE), "stored"))
		return refuse(response, PROBLEM_UPLOAD_USED);
	err = of_store(store_parts_abort(request->gate->config, pg_text(&rows, 0, U_KEY), pg_text(&rows, 0, U_PARTS_ID)));
	if (!err)
		err = pg_query(&request->gate->pg, request->arena, STMT_UPLOAD_GIVE_UP, PG_VALUES(id), NULL);
	response->status = 204;
	return err;
}
