/*
 * POST /api/import/upload-url: a signed URL for one PUT of one file. The same file asked for again while its URL has
 * enough life gets the same URL: that row is the cache, coherent across processes and hosts because it is the database.
 * Must never sign a key that a client chose.
 */
#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/store/store.h"
#include "fcgi/fields.h"
#include "handlers/import/handlers.h"
#include "handlers/import/upload.h"

#include <ctype.h>
#include <string.h>

#define ONE_PUT_MAX (5LL << 30) /* what object stores take in one request */

enum { NAME_MAX_CHARACTERS = 255, EXTENSION_MAX = 10, ATTEMPTS = 3 };

static bool read_body(struct request *request, struct response *response, struct upload_wanted *ret)
{
	const char *user = NULL;
	int64_t max = request->gate->config->upload_max_bytes;
	if (!field_text(response, request->json, "fileName", 1, NAME_MAX_CHARACTERS, &ret->name) ||
	    !field_i64(response, request->json, "fileSize", 0, INT64_MAX, &ret->size) ||
	    !field_sha256(response, request->json, "checksum", &ret->checksum) ||
	    !field_text(response, request->json, "userId", 0, NAME_MAX_CHARACTERS, &user))
		return false;
	const json_t *parts = json_object_get(request->json, "parts");
	if (parts && !json_is_boolean(parts)) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "parts", "true or false");
		return false;
	}
	if (user && !text_equal(user, request->claims.sub)) {
		refuse(response, PROBLEM_USER_MISMATCH);
		return false;
	}
	if (ret->size == 0) {
		refuse_field(response, PROBLEM_EMPTY_FILE, "fileSize", "at least 1 byte");
		return false;
	}
	if (ret->size > max) {
		refuse_field(response, PROBLEM_FILE_TOO_LARGE, "fileSize", arena_printf(request->arena, "at most %lld bytes", (long long)max));
		return false;
	}
	ret->size_text = pg_number(request->arena, ret->size);
	ret->parts = json_is_true(parts) && ret->size > request->gate->config->storage_multipart_bytes;
	if (!ret->parts && ret->size > ONE_PUT_MAX) {
		refuse_field(response, PROBLEM_PARTS_REQUIRED, "parts", "true");
		return false;
	}
	return true;
}

/* The extension only helps people who look at keys; anything unusual becomes "bin". */
static const char *extension_of(struct arena *arena, const char *name)
{
	const char *dot = strrchr(name, '.');
	size_t n = dot ? strlen(dot + 1) : 0;
	if (n == 0 || n > EXTENSION_MAX)
		return "bin";
	char *extension = arena_strdup(arena, dot + 1);
	for (char *c = extension; c && *c; c++) {
		if (!isalnum((unsigned char)*c))
			return "bin";
		*c = (char)tolower((unsigned char)*c);
	}
	return extension ? extension : "bin";
}

const char *upload_key(struct request *request, const struct upload_wanted *wanted, char id[UUID_SIZE])
{
	const char *segment = store_key_segment(request->arena, request->claims.sub);
	uuid_v4(id);
	return segment ? arena_printf(request->arena, "imports/%s/%s.%s", segment, id, extension_of(request->arena, wanted->name)) : NULL;
}

static enum err answer(struct response *response, const struct pg_rows *rows, bool reused)
{
	struct json_writer *w = respond_json(response, 200);
	json_put_text(w, "objectKey", pg_text(rows, 0, 0));
	json_put_text(w, "r2Key", pg_text(rows, 0, 0));
	json_put_text(w, "uploadUrl", pg_text(rows, 0, 1));
	json_put_text(w, "method", "PUT");
	json_put_raw(w, "headers", pg_text(rows, 0, 2));
	json_put_text(w, "expiresAt", pg_text(rows, 0, 4));
	json_put_bool(w, "reused", reused);
	metrics_add(reused ? METRIC_UPLOAD_URLS_REUSED : METRIC_UPLOAD_URLS, 1);
	return respond_end(response);
}

static enum err find_live(struct request *request, const struct upload_wanted *wanted, struct pg_rows *ret)
{
	const char *reuse = pg_number(request->arena, request->gate->config->upload_url_reuse_s);
	return pg_query(&request->gate->pg, request->arena, STMT_UPLOAD_FIND_LIVE, PG_VALUES(wanted->name, wanted->size_text, wanted->checksum, reuse),
	                ret);
}

/* No row: a double tap was faster, its URL is to be found now. */
static enum err issue(struct request *request, const struct upload_wanted *wanted, struct pg_rows *ret)
{
	const struct config *config = request->gate->config;
	struct pg *pg = &request->gate->pg;
	struct arena *arena = request->arena;
	const char *url = NULL, *headers = NULL;
	char id[UUID_SIZE];
	const char *key = upload_key(request, wanted, id);
	if (!key)
		return ERR_TOO_LARGE;
	int64_t expires = clock_unix() + config->upload_url_life_s;
	enum err err = store_presign_put(arena, config, key, wanted->size, wanted->checksum, config->upload_url_life_s, &url, &headers);
	if (!err)
		err = pg_query(pg, arena, STMT_UPLOAD_ISSUE,
		               PG_VALUES(id, key, wanted->name, wanted->size_text, wanted->checksum, url, headers, pg_number(arena, expires),
		                         pg_number(arena, config->upload_url_reuse_s)),
		               ret);
	return err;
}

enum err import_upload_url(struct request *request, struct response *response)
{
	struct upload_wanted wanted = {0};
	struct pg_rows rows;
	if (!read_body(request, response, &wanted))
		return OK;
	if (wanted.parts)
		return upload_parts_url(request, response, &wanted);
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		enum err err = find_live(request, &wanted, &rows);
		if (!err && rows.count == 1)
			return answer(response, &rows, true);
		if (!err)
			err = issue(request, &wanted, &rows);
		if (err || rows.count == 1)
			return err ? err : answer(response, &rows, false);
	}
	return ERR_CONFLICT;
}
