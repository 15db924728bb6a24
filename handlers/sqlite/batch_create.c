/*
 * POST /api/import/sqlite: an uploaded SQLite database becomes a batch, and its import a job, in one transaction.
 * Must never make two batches of one file or of one idempotency key, whoever taps twice.
 */
#include "core/base/ids.h"
#include "fcgi/fields.h"
#include "fcgi/upload.h"
#include "handlers/sqlite/handlers.h"

#include <string.h>

enum { OFFSET_MAX = 840, KEY_MIN = 8, KEY_MAX = 128, HEADER_KEY_MAX = 255 };

bool sqlite_read_options(struct request *request, struct response *response, struct sqlite_creation *ret)
{
	static const char *const profiles[] = {"bowling", "venue", "mirror"};
	const json_t *offset = json_object_get(request->json, "timezoneOffsetMinutes");
	int64_t minutes = 0;
	if (offset && !json_is_null(offset)) {
		if (!field_i64(response, request->json, "timezoneOffsetMinutes", -OFFSET_MAX, OFFSET_MAX, &minutes))
			return false;
		ret->timezone_offset = pg_number(request->arena, minutes);
	}
	if (!field_text(response, request->json, "profile", 0, 63, &ret->profile))
		return false;
	if (!ret->profile)
		ret->profile = profiles[0];
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++)
		if (text_equal(profiles[i], ret->profile))
			return true;
	refuse_field(response, PROBLEM_INVALID_FIELD, "profile", "bowling, venue or mirror");
	return false;
}

static bool read_body(struct request *request, struct response *response, struct sqlite_creation *ret)
{
	const json_t *body = request->json;
	const char *key_name = json_object_get(body, "objectKey") || !json_object_get(body, "r2Key") ? "objectKey" : "r2Key";
	const char *header = request_param(request, "HTTP_IDEMPOTENCY_KEY");
	if (!field_text(response, body, key_name, 1, 512, &ret->object_key) || !field_text(response, body, "fileName", 1, 255, &ret->file_name) ||
	    !field_i64(response, body, "fileSize", 0, INT64_MAX, &ret->file_size) || !field_sha256(response, body, "checksum", &ret->checksum) ||
	    !sqlite_read_options(request, response, ret))
		return false;
	if (json_object_get(body, "idempotencyKey") && !field_text(response, body, "idempotencyKey", KEY_MIN, KEY_MAX, &ret->idempotency_key))
		return false;
	if (header && (strlen(header) > HEADER_KEY_MAX || !utf8_valid(header, strlen(header)))) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "Idempotency-Key", "1 to 255 bytes of UTF-8");
		return false;
	}
	if (header)
		ret->idempotency_key = header;
	ret->parser = "internal";
	return true;
}

/* Columns of the statement sqlite_same. */
enum { SAME_ID, SAME_STATUS, SAME_OBJECT, SAME_PROFILE, SAME_OFFSET, SAME_PARSER, SAME_NO, SAME_KEYED, SAME_NAME, SAME_SIZE };

/* Under the same key all of the request has to be the same; for the same file what decides on its import. */
static bool is_same(const struct pg_rows *rows, const struct sqlite_creation *creation)
{
	if (pg_bool(rows, 0, SAME_KEYED) && (!text_equal(pg_text(rows, 0, SAME_NAME), creation->file_name) || pg_i64(rows, 0, SAME_SIZE) != creation->file_size))
		return false;
	return text_equal(pg_text(rows, 0, SAME_OBJECT), creation->object_key) && text_equal(pg_text(rows, 0, SAME_PROFILE), creation->profile) &&
	       text_equal(pg_text(rows, 0, SAME_OFFSET), creation->timezone_offset) && text_equal(pg_text(rows, 0, SAME_PARSER), creation->parser) &&
	       (!creation->id || text_equal(pg_text(rows, 0, SAME_ID), creation->id));
}

/* The batch that stands in the way, if it is what is asked for. */
static enum err find_same(struct request *request, struct response *response, const struct sqlite_creation *creation, struct sqlite_created *ret)
{
	struct pg_rows rows;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_SQLITE_SAME, PG_VALUES(creation->idempotency_key, creation->object_key), &rows);
	if (err || rows.count == 0)
		return err;
	if (!is_same(&rows, creation))
		return refuse(response, pg_bool(&rows, 0, SAME_KEYED) ? PROBLEM_IDEMPOTENCY_MISMATCH : PROBLEM_BATCH_CONFLICT);
	*ret = (struct sqlite_created){pg_text(&rows, 0, SAME_ID), pg_text(&rows, 0, SAME_STATUS), true};
	return OK;
}

static enum err insert(struct request *request, const struct sqlite_creation *creation, const char *size, const char *hash, struct sqlite_created *ret)
{
	struct pg *pg = &request->gate->pg;
	struct pg_rows rows;
	char *id = arena_alloc(request->arena, UUID_SIZE);
	uint8_t bytes[16];
	if (!id)
		return ERR_TOO_LARGE;
	uuid_v7(bytes);
	uuid_format(bytes, id);
	const char *used = creation->id ? creation->id : id;
	enum err err = pg_query(pg, request->arena, STMT_SQLITE_CREATE,
	                        PG_VALUES(used, creation->object_key, creation->file_name, size, hash, creation->profile, creation->timezone_offset,
	                                  creation->parser, creation->idempotency_key),
	                        &rows);
	if (err || rows.count == 0)
		return err;
	*ret = (struct sqlite_created){used, "queued", false};
	request->wake = true;
	return text_equal(creation->parser, "internal") ? pg_query(pg, request->arena, STMT_SQLITE_QUEUE, PG_VALUES(pg_text(&rows, 0, 0)), NULL) : OK;
}

enum err sqlite_make(struct request *request, struct response *response, const struct sqlite_creation *creation, struct sqlite_created *ret)
{
	struct pg *pg = &request->gate->pg;
	const struct upload_claim claim = {creation->object_key, creation->checksum, creation->file_size};
	const char *hash = NULL;
	struct pg_rows upload, taken;
	*ret = (struct sqlite_created){0};
	enum err err = find_same(request, response, creation, ret);
	if (err || response->is_problem || ret->id)
		return err;
	err = upload_check(request, response, &claim, &hash);
	if (!err && !response->is_problem)
		err = pg_query(pg, request->arena, STMT_UPLOAD_FIND, PG_VALUES(creation->object_key), &upload);
	if (!err && !response->is_problem)
		err = pg_query(pg, request->arena, STMT_UPLOAD_TAKEN, PG_VALUES(creation->object_key), &taken);
	if (err || response->is_problem)
		return err;
	if (pg_bool(&taken, 0, 0))
		return refuse(response, PROBLEM_UPLOAD_ALREADY_IMPORTED);
	err = insert(request, creation, pg_text(&upload, 0, 1), hash, ret);
	if (!err && !ret->id) /* a double tap was faster */
		err = find_same(request, response, creation, ret);
	if (!err && !ret->id && !response->is_problem)
		return refuse(response, PROBLEM_BATCH_CONFLICT);
	return err;
}

enum err sqlite_accepted(struct response *response, const struct sqlite_created *created, const char *url, int64_t life_s)
{
	struct json_writer *w = respond_json(response, 202);
	json_put_text(w, "batchId", created->id);
	json_put_text(w, "status", created->status);
	json_put_bool(w, "deduplicated", created->deduplicated);
	if (url) {
		json_put_text(w, "downloadUrl", url);
		json_put_i64(w, "expiresIn", life_s);
	}
	return respond_end(response);
}

enum err sqlite_create(struct request *request, struct response *response)
{
	struct sqlite_creation creation = {0};
	struct sqlite_created created;
	if (!read_body(request, response, &creation))
		return OK;
	enum err err = sqlite_make(request, response, &creation, &created);
	if (err || response->is_problem)
		return err;
	respond_header(response, "Location", arena_printf(request->arena, "/api/import/sqlite/%s", created.id));
	return sqlite_accepted(response, &created, NULL, 0);
}
