/*
 * Objects in local mode, as nginx calls us: first the check of the signed URL, before a byte of the body is read; then,
 * once the whole body is on disk, one call with the file's path, which makes it durable and says 201; or, for a GET, the
 * order to nginx to send the file. The same SigV4 rules as an object store's, so clients see no difference.
 * Must never read a body through FastCGI, nor say 201 before file, directory and row are durable.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/crypto/base64.h"
#include "core/store/store.h"
#include "handlers/system/handlers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Signed headers reach us as HTTP_NAME, the length as nginx knows it. */
static struct str received_header(void *context, struct str name)
{
	const struct request *request = context;
	char param[128] = "HTTP_";
	if (str_equal_text(name, "content-length"))
		return str_of(request_param(request, "X_CONTENT_LENGTH"));
	if (name.n >= sizeof(param) - 6)
		return (struct str){NULL, 0};
	for (size_t i = 0; i < name.n; i++)
		param[5 + i] = (char)(name.p[i] == '-' ? '_' : name.p[i] >= 'a' && name.p[i] <= 'z' ? name.p[i] - 32 : name.p[i]);
	param[5 + name.n] = '\0';
	return str_of(request_param(request, param));
}

static enum sigv4_reason verify(struct request *request, struct sigv4_verified *ret)
{
	const char *method = request_param(request, "ORIGINAL_METHOD"), *target = request_param(request, "ORIGINAL_URI");
	if (!method || !target)
		return SIGV4_MALFORMED;
	/* A HEAD is allowed wherever the GET is. */
	if (text_equal(method, "HEAD"))
		method = "GET";
	size_t path = strcspn(target, "?");
	struct sigv4_received received = {
	    .method = str_of(method),
	    .path = {target, path},
	    .query = str_of(target[path] ? target + path + 1 : ""),
	    .header = received_header,
	    .context = request,
	};
	return sigv4_verify_presigned(request->arena, &request->gate->storage_credentials, &received, clock_unix(), ret);
}

/* The key that a verified path names; NULL when it is none of ours. */
static const char *key_of(struct arena *arena, struct str path)
{
	size_t prefix = strlen(STORE_URL_PREFIX);
	if (path.n <= prefix || memcmp(path.p, STORE_URL_PREFIX, prefix) != 0)
		return NULL;
	const char *key = arena_copy(arena, path.p + prefix, path.n - prefix);
	return key && strlen(key) == path.n - prefix && store_key_valid(key) ? key : NULL;
}

/* auth_request only knows 2xx, 401 and 403: the reason goes into a header, from which nginx makes the problem document. */
static enum err deny(struct response *response, enum problem problem, const char *why)
{
	log_write(LOG_LEVEL_INFO, "object_refused", LOG_TEXT("code", problem_code(problem)), LOG_TEXT("reason", why));
	response->status = 403;
	respond_header(response, "X-Problem", problem_code(problem));
	return OK;
}

/* Where a part belongs, or *ret_fits false: there is no such unfinished upload, no such part of it, or it has another size. */
static enum err find_part(struct request *request, const char *key, const char *id, struct str number, int64_t size, int *ret_number, int64_t *ret_offset,
                          bool *ret_fits)
{
	struct pg_rows rows;
	int64_t n = 0;
	*ret_fits = false;
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_UPLOAD_PART, PG_VALUES(key, id), &rows);
	if (err || rows.count == 0 || parse_i64_n(number.p, number.n, 1, STORE_PARTS_MAX, &n))
		return err;
	int64_t whole = pg_i64(&rows, 0, 0), each = pg_i64(&rows, 0, 1), offset = (n - 1) * each;
	*ret_fits = offset < whole && size == (whole - offset < each ? whole - offset : each);
	*ret_number = (int)n;
	*ret_offset = offset;
	return OK;
}

static enum err allow_part(struct request *request, struct response *response, const struct sigv4_verified *verified, const char *key, struct str id,
                           int64_t length)
{
	int number;
	int64_t offset;
	bool fits = false;
	const char *upload = arena_copy(request->arena, id.p, id.n);
	enum err err = upload ? find_part(request, key, upload, sigv4_signed_parameter(verified, "partNumber"), length, &number, &offset, &fits) : ERR_TOO_LARGE;
	if (!err && !fits)
		return deny(response, PROBLEM_UPLOAD_USED, "no such part of an open upload");
	response->status = 204;
	return err;
}

static enum err allow_put(struct request *request, struct response *response, const struct sigv4_verified *verified, const char *key)
{
	struct pg_rows rows;
	int64_t length;
	struct str declared = sigv4_signed_header(verified, "content-length");
	if (!declared.p || parse_i64_n(declared.p, declared.n, 0, INT64_MAX, &length))
		return deny(response, PROBLEM_SIGNATURE_INVALID, "the length is not signed");
	struct str parts = sigv4_signed_parameter(verified, "uploadId");
	if (parts.p)
		return allow_part(request, response, verified, key, parts, length);
	enum err err = pg_query(&request->gate->pg, request->arena, STMT_UPLOAD_RECEIVE, PG_VALUES(key), &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return deny(response, PROBLEM_UPLOAD_USED, "no such open upload");
	if (pg_i64(&rows, 0, 1) != length)
		return deny(response, PROBLEM_UPLOAD_SIZE, "another size");
	response->status = 204;
	return OK;
}

enum err object_auth(struct request *request, struct response *response)
{
	const char *method = request_param(request, "ORIGINAL_METHOD");
	struct sigv4_verified verified;
	response->status = 204;
	/* Preflights and unknown methods carry no signature; the call that follows answers them. */
	bool put = text_equal(method, "PUT"), get = text_equal(method, "GET") || text_equal(method, "HEAD");
	if (!put && !get)
		return OK;
	if (store_is_remote(request->gate->config))
		return deny(response, PROBLEM_SIGNATURE_INVALID, "objects are kept elsewhere");
	enum sigv4_reason reason = verify(request, &verified);
	if (reason == SIGV4_EXPIRED)
		return deny(response, PROBLEM_SIGNATURE_EXPIRED, sigv4_reason_name(reason));
	/* A signed content-length that differs from the real one is the client's other size, seen as a wrong signature. */
	if (reason != SIGV4_OK)
		return deny(response, PROBLEM_SIGNATURE_INVALID, sigv4_reason_name(reason));
	const char *key = key_of(request->arena, verified.path);
	if (!key)
		return deny(response, PROBLEM_SIGNATURE_INVALID, "not a key");
	return put ? allow_put(request, response, &verified, key) : OK;
}

struct arrived {
	int fd;
	int64_t size;
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];
};

static void close_fd(void *what)
{
	close(*(int *)what);
}

/* Opens the body that nginx wrote and hashes it while the kernel already writes it out; then makes it durable. */
static enum err take_body(struct request *request, const char *path, struct arrived *ret)
{
	struct stat st;
	int *fd = arena_alloc(request->arena, sizeof(*fd));
	if (!fd)
		return ERR_TOO_LARGE;
	*fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return ERR_IO;
	enum err err = arena_defer(request->arena, close_fd, fd);
	if (err)
		return err;
	if (fstat(*fd, &st) || !S_ISREG(st.st_mode))
		return ERR_IO;
	sync_file_range(*fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* only a head start: fsync below is what counts */
	err = sha256_fd(*fd, ret->digest, &ret->size);
	if (err)
		return err;
	hex_encode(ret->digest, SHA256_SIZE, ret->hex);
	ret->fd = *fd;
	return fsync(*fd) == 0 ? OK : ERR_IO;
}

static bool checksum_matches(const struct request *request, const struct arrived *arrived, const char *declared)
{
	const char *header = request_param(request, "HTTP_X_AMZ_CHECKSUM_SHA256");
	uint8_t digest[SHA256_SIZE];
	size_t length = 0;
	if (declared && !text_equal(declared, arrived->hex))
		return false;
	if (!header)
		return true;
	return base64_decode(header, strlen(header), digest, sizeof(digest), &length) == OK &&
	       constant_time_equal(digest, length, arrived->digest, SHA256_SIZE);
}

/* The row's lock keeps two bodies for one key apart; the commit is the moment the upload exists. */
static enum err store_upload(struct request *request, struct response *response, const char *body, const char *key, const struct arrived *arrived)
{
	struct pg *pg = &request->gate->pg;
	struct pg_rows rows;
	enum err err = pg_begin(pg, NULL);
	if (!err)
		err = pg_query(pg, request->arena, STMT_UPLOAD_STORE, PG_VALUES(key, arrived->hex), &rows);
	if (!err && rows.count == 0) {
		pg_rollback(pg);
		return refuse(response, PROBLEM_UPLOAD_USED);
	}
	if (!err)
		err = store_place(request->gate->config, body, key);
	if (!err)
		err = pg_commit(pg);
	pg_rollback(pg);
	return err;
}

/* A parameter of the query as nginx got it, decoded; p NULL: it is not there. */
static struct str target_parameter(struct request *request, const char *target, const char *name)
{
	size_t n = strlen(name);
	struct str value = {NULL, 0};
	for (const char *p = strchr(target, '?'); p; p = strchr(p, '&')) {
		p++;
		if (strncmp(p, name, n) == 0 && p[n] == '=' && !percent_decode(request->arena, p + n + 1, strcspn(p + n + 1, "&"), false, &value))
			return value;
	}
	return (struct str){NULL, 0};
}

/* nginx has asked object_auth about this very request; size and upload are looked at again, now that the body is there. */
static enum err put_part(struct request *request, struct response *response, const char *body, const char *key, struct str id, struct str part)
{
	struct stat st;
	int number = 0;
	int64_t offset = 0;
	bool fits = false;
	const char *upload = arena_copy(request->arena, id.p, id.n);
	int fd = open(body, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	enum err err = fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) ? ERR_IO : upload ? OK : ERR_TOO_LARGE;
	if (!err)
		err = find_part(request, key, upload, part, st.st_size, &number, &offset, &fits);
	if (!err && fits)
		err = store_part_place(request->gate->config, upload, number, fd, offset, st.st_size);
	if (fd >= 0)
		close(fd);
	if (!err && !fits)
		return refuse(response, PROBLEM_UPLOAD_USED);
	if (err)
		return err == ERR_NOT_FOUND ? refuse(response, PROBLEM_UPLOAD_USED) : err;
	metrics_add(METRIC_UPLOAD_BYTES, st.st_size);
	response->status = 200;
	respond_header(response, "ETag", arena_printf(request->arena, "\"%d-%lld\"", number, (long long)st.st_size));
	return OK;
}

enum err object_put(struct request *request, struct response *response)
{
	const char *body = request_param(request, "BODY_FILE"), *target = request_param(request, "ORIGINAL_URI");
	struct arrived arrived = {0};
	struct pg_rows rows;
	struct str path;
	if (!target || percent_decode(request->arena, target, strcspn(target, "?"), false, &path))
		return refuse(response, PROBLEM_INVALID_REQUEST);
	const char *key = key_of(request->arena, path);
	if (!key)
		return refuse(response, PROBLEM_NOT_FOUND);
	/* nginx writes no file for an empty body */
	if (!body)
		return refuse(response, PROBLEM_UPLOAD_SIZE);
	struct str parts = target_parameter(request, target, "uploadId");
	if (parts.p)
		return put_part(request, response, body, key, parts, target_parameter(request, target, "partNumber"));
	enum err err = take_body(request, body, &arrived);
	if (!err)
		err = pg_query(&request->gate->pg, request->arena, STMT_UPLOAD_EXPECTED, PG_VALUES(key), &rows);
	if (err)
		return err;
	if (rows.count == 0)
		return refuse(response, PROBLEM_UPLOAD_USED);
	if (pg_i64(&rows, 0, 0) != arrived.size)
		return refuse(response, PROBLEM_UPLOAD_SIZE);
	if (!checksum_matches(request, &arrived, pg_text(&rows, 0, 1)))
		return refuse(response, PROBLEM_UPLOAD_CHECKSUM);
	err = store_upload(request, response, body, key, &arrived);
	if (err || response->is_problem)
		return err;
	metrics_add(METRIC_UPLOADS, 1);
	metrics_add(METRIC_UPLOAD_BYTES, arrived.size);
	log_write(LOG_LEVEL_INFO, "upload_stored", LOG_INT("bytes", arrived.size));
	response->status = 201;
	respond_header(response, "ETag", arena_printf(request->arena, "\"%s\"", arrived.hex));
	return OK;
}

enum err object_get(struct request *request, struct response *response)
{
	struct sigv4_verified verified;
	if (verify(request, &verified) != SIGV4_OK)
		return refuse(response, PROBLEM_SIGNATURE_INVALID);
	const char *key = key_of(request->arena, verified.path);
	int64_t size;
	if (!key || store_look(request->gate->config, key, &size))
		return refuse(response, PROBLEM_NOT_FOUND);
	struct str disposition = sigv4_signed_parameter(&verified, "response-content-disposition");
	struct str type = sigv4_signed_parameter(&verified, "response-content-type");
	struct buf location;
	buf_init(&location, 4096);
	buf_append_text(&location, "/_files/");
	percent_encode(&location, key, strlen(key), true);
	respond_header(response, "X-Accel-Redirect", arena_strdup(request->arena, buf_text(&location)));
	buf_release(&location);
	if (disposition.p)
		respond_header(response, "Content-Disposition", arena_copy(request->arena, disposition.p, disposition.n));
	response->content_type = type.p ? arena_copy(request->arena, type.p, type.n) : "application/octet-stream";
	response->status = 200;
	return OK;
}
