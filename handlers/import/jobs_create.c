/*
 * POST /api/import/jobs: an uploaded file becomes an import. Checks that what arrived is what was declared, and that the
 * same file is not imported twice by accident. The inspection is queued in the same transaction.
 * Must never touch an upload of somebody else (row-level security hides it: 404).
 */
#include "core/base/ids.h"
#include "core/crypto/digest.h"
#include "core/store/store.h"
#include "fcgi/fields.h"
#include "handlers/import/handlers.h"

#include <string.h>
#include <unistd.h>

enum { HASH_WITHIN_S = 20 }; /* a request has server.request_timeout_s */

struct creation {
	const char *object_key, *file_name, *checksum, *target;
	int64_t file_size;
	bool allow_duplicate;
};

static bool read_body(struct request *request, struct response *response, struct creation *ret)
{
	const json_t *allow = json_object_get(request->json, "allowDuplicate");
	if (!field_text(response, request->json, "objectKey", 1, 512, &ret->object_key) ||
	    !field_text(response, request->json, "fileName", 1, 255, &ret->file_name) ||
	    !field_i64(response, request->json, "fileSize", 0, INT64_MAX, &ret->file_size) ||
	    !field_sha256(response, request->json, "checksum", &ret->checksum) || !field_text(response, request->json, "target", 0, 63, &ret->target))
		return false;
	if (allow && !json_is_boolean(allow)) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "allowDuplicate", "true or false");
		return false;
	}
	ret->allow_duplicate = json_is_true(allow);
	if (!ret->target)
		ret->target = "lead";
	return true;
}

/* What a store of its own does not tell about us, nor we about it, is nothing that the client has done. */
static enum err of_store(enum err err)
{
	return err == ERR_DENIED || err == ERR_INVALID || err == ERR_CONFLICT || err == ERR_TIMEOUT ? ERR_UNAVAILABLE : err;
}

/* SHA-256 of an object, in the arena. */
static enum err hash_object(struct request *request, const char *key, const char **ret)
{
	uint8_t digest[SHA256_SIZE];
	char *hex = arena_alloc(request->arena, SHA256_HEX_SIZE);
	int fd;
	if (!hex)
		return ERR_TOO_LARGE;
	enum err err = store_open(request->gate->config, key, HASH_WITHIN_S, &fd);
	if (err)
		return err;
	err = sha256_fd(fd, digest, NULL);
	close(fd);
	hex_encode(digest, sizeof(digest), hex);
	*ret = hex;
	return err;
}

/*
 * Objects that nobody has read yet: they came in parts, or to a store of its own, which tells nobody. Small ones are read now;
 * for large ones the declared checksum stands until the import is inspected, where every file is read.
 */
static enum err take_stock(struct request *request, struct response *response, const struct creation *creation, const struct pg_rows *upload,
                           const char **ret_hash)
{
	const char *key = creation->object_key, *declared = pg_text(upload, 0, 3), *hash = declared ? declared : creation->checksum;
	int64_t size = 0;
	enum err err = store_look(request->gate->config, key, &size);
	if (err == ERR_NOT_FOUND)
		return refuse(response, PROBLEM_UPLOAD_NOT_FINISHED);
	if (!err && size != pg_i64(upload, 0, 1))
		return refuse_field(response, PROBLEM_SIZE_MISMATCH, "fileSize", "differs from the upload");
	if (!err && size <= STORE_READ_AT_ONCE)
		err = hash_object(request, key, &hash);
	if (err)
		return of_store(err);
	if (declared && !text_equal(declared, hash))
		return refuse_field(response, PROBLEM_CHECKSUM_MISMATCH, "checksum", "differs from the upload");
	*ret_hash = hash;
	return pg_query(&request->gate->pg, request->arena, STMT_UPLOAD_ARRIVED, PG_VALUES(key, hash), NULL);
}

/* *ret_hash: SHA-256 of what arrived; NULL when nobody knows it yet, and after a refusal. */
static enum err check_upload(struct request *request, struct response *response, const struct creation *creation, const char **ret_hash)
{
	struct pg_rows rows;
	*ret_hash = NULL;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_UPLOAD_FIND, PG_VALUES(creation->object_key), &rows);
	if (err)
		return err;
	if (rows.count == 0 || text_equal(pg_text(&rows, 0, 0), "expired"))
		return refuse_field(response, PROBLEM_NOT_FOUND, "objectKey", "no such upload");
	bool stored = text_equal(pg_text(&rows, 0, 0), "stored");
	if (!stored && (pg_text(&rows, 0, 4) || !store_is_remote(request->gate->config)))
		return refuse(response, PROBLEM_UPLOAD_NOT_FINISHED);
	if (pg_i64(&rows, 0, 1) != creation->file_size)
		return refuse_field(response, PROBLEM_SIZE_MISMATCH, "fileSize", "differs from the upload");
	const char *hash = pg_text(&rows, 0, 2);
	if (!stored || !hash)
		err = take_stock(request, response, creation, &rows, &hash);
	if (err || response->is_problem)
		return err;
	if (creation->checksum && hash && !text_equal(creation->checksum, hash))
		return refuse_field(response, PROBLEM_CHECKSUM_MISMATCH, "checksum", "differs from the upload");
	*ret_hash = hash;
	return OK;
}

static enum err check_duplicate(struct request *request, struct response *response, const char *hash)
{
	struct pg_rows rows;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_LOCK_HASH, PG_VALUES(hash), NULL);
	if (!err)
		err = pg_query(&request->gate->pg, request->arena, STMT_IMPORT_SAME_FILE, PG_VALUES(hash), &rows);
	if (!err && rows.count)
		return refuse_with(response, PROBLEM_DUPLICATE_FILE, "existingJobId", pg_text(&rows, 0, 0));
	return err;
}

enum err import_create(struct request *request, struct response *response)
{
	struct creation creation = {0};
	struct pg *pg = &request->gate->pg;
	const char *hash = NULL;
	struct pg_rows rows;
	uint8_t id_bytes[16];
	char *id = arena_alloc(request->arena, UUID_SIZE);
	if (!id)
		return ERR_TOO_LARGE;
	if (!read_body(request, response, &creation))
		return OK;
	if (!catalog_target(&request->gate->catalog, creation.target))
		return refuse_field(response, PROBLEM_UNKNOWN_TARGET, "target", "not an import target");
	enum err err = check_upload(request, response, &creation, &hash);
	if (!err && !response->is_problem && hash && !creation.allow_duplicate)
		err = check_duplicate(request, response, hash);
	if (err || response->is_problem)
		return err;
	uuid_v7(id_bytes);
	uuid_format(id_bytes, id);
	err = pg_query(pg, request->arena, STMT_IMPORT_CREATE,
	               PG_VALUES(id, creation.object_key, creation.target, creation.file_name, pg_number(request->arena, creation.file_size), hash,
	                         creation.allow_duplicate ? "true" : "false"), &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return refuse(response, PROBLEM_UPLOAD_ALREADY_IMPORTED);
	err = pg_query(pg, request->arena, STMT_IMPORT_QUEUE, PG_VALUES(pg_text(&rows, 0, 0), NULL, "import.inspect"), NULL);
	if (err)
		return err;
	request->wake = true;
	respond_header(response, "Location", arena_printf(request->arena, "/api/import/jobs/%s", id));
	return import_answer(request, response, id, 201);
}
