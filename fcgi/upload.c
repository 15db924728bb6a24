/*
 * Is an uploaded file what its owner says it is? Called where an upload becomes an import, of whatever kind.
 * Must never touch an upload of somebody else (row-level security hides it: 404).
 */
#include "fcgi/upload.h"

#include "core/crypto/digest.h"
#include "core/store/store.h"

#include <unistd.h>

enum { HASH_WITHIN_S = 20 }; /* a request has server.request_timeout_s */

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
static enum err take_stock(struct request *request, struct response *response, const struct upload_claim *claim, const struct pg_rows *upload,
                           const char **ret_hash)
{
	const char *key = claim->object_key, *declared = pg_text(upload, 0, 3), *hash = declared ? declared : claim->checksum;
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

enum err upload_check(struct request *request, struct response *response, const struct upload_claim *claim, const char **ret_hash)
{
	struct pg_rows rows;
	*ret_hash = NULL;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_UPLOAD_FIND, PG_VALUES(claim->object_key), &rows);
	if (err)
		return err;
	if (rows.count == 0 || text_equal(pg_text(&rows, 0, 0), "expired"))
		return refuse_field(response, PROBLEM_NOT_FOUND, "objectKey", "no such upload");
	bool stored = text_equal(pg_text(&rows, 0, 0), "stored");
	if (!stored && (pg_text(&rows, 0, 4) || !store_is_remote(request->gate->config)))
		return refuse(response, PROBLEM_UPLOAD_NOT_FINISHED);
	if (claim->file_size >= 0 && pg_i64(&rows, 0, 1) != claim->file_size)
		return refuse_field(response, PROBLEM_SIZE_MISMATCH, "fileSize", "differs from the upload");
	const char *hash = pg_text(&rows, 0, 2);
	if (!stored || !hash)
		err = take_stock(request, response, claim, &rows, &hash);
	if (err || response->is_problem)
		return err;
	if (claim->checksum && hash && !text_equal(claim->checksum, hash))
		return refuse_field(response, PROBLEM_CHECKSUM_MISMATCH, "checksum", "differs from the upload");
	*ret_hash = hash;
	return OK;
}
