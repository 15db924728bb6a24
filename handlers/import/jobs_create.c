/*
 * POST /api/import/jobs: an uploaded file becomes an import. Checks that what arrived is what was declared, and that the
 * same file is not imported twice by accident. The inspection is queued in the same transaction.
 * Must never touch an upload of somebody else (row-level security hides it: 404).
 */
#include "core/base/ids.h"
#include "fcgi/fields.h"
#include "fcgi/upload.h"
#include "handlers/import/handlers.h"

enum { TAKEN_BY_SQLITE = 1 }; /* column of the statement upload_taken */

struct creation {
	struct upload_claim upload;
	const char *file_name, *target;
	bool allow_duplicate;
};

static bool read_body(struct request *request, struct response *response, struct creation *ret)
{
	const json_t *allow = json_object_get(request->json, "allowDuplicate");
	if (!field_text(response, request->json, "objectKey", 1, 512, &ret->upload.object_key) ||
	    !field_text(response, request->json, "fileName", 1, 255, &ret->file_name) ||
	    !field_i64(response, request->json, "fileSize", 0, INT64_MAX, &ret->upload.file_size) ||
	    !field_sha256(response, request->json, "checksum", &ret->upload.checksum) || !field_text(response, request->json, "target", 0, 63, &ret->target))
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
	enum err err = upload_check(request, response, &creation.upload, &hash);
	if (!err && !response->is_problem)
		err = pg_query(pg, request->arena, STMT_UPLOAD_TAKEN, PG_VALUES(creation.upload.object_key), &rows);
	if (!err && !response->is_problem && pg_bool(&rows, 0, TAKEN_BY_SQLITE))
		return refuse(response, PROBLEM_UPLOAD_ALREADY_IMPORTED);
	if (!err && !response->is_problem && hash && !creation.allow_duplicate)
		err = check_duplicate(request, response, hash);
	if (err || response->is_problem)
		return err;
	uuid_v7(id_bytes);
	uuid_format(id_bytes, id);
	err = pg_query(pg, request->arena, STMT_IMPORT_CREATE,
	               PG_VALUES(id, creation.upload.object_key, creation.target, creation.file_name, pg_number(request->arena, creation.upload.file_size), hash,
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
