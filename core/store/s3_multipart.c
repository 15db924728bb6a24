/*
 * Objects in parts. Called for large files of ours (s3_put) and for uploads of clients, whose parts we only list and complete.
 * Must never call an upload complete before the object was looked at, nor leave parts of a failed one behind.
 */
#include "core/store/s3_multipart.h"

#include "core/base/log.h"
#include "core/crypto/digest.h"
#include "core/store/s3_call.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define UPLOAD_MAX ((size_t)4 << 20)
#define ETAG_MAX 128

struct answer {
	struct arena *arena;
	const char *id, *etag;
};

static enum err read_answer(void *context, const char *path, struct str text)
{
	struct answer *answer = context;
	if (text_equal(path, "InitiateMultipartUploadResult/UploadId"))
		return (answer->id = arena_copy(answer->arena, text.p, text.n)) ? OK : ERR_TOO_LARGE;
	if (text_equal(path, "CompleteMultipartUploadResult/ETag") && text.n) {
		const char *quoted = arena_copy(answer->arena, text.p, text.n);
		return (answer->etag = s3_etag(answer->arena, quoted)) ? OK : ERR_TOO_LARGE;
	}
	return OK;
}

enum err s3_multipart_create(struct s3 *s3, struct arena *arena, const char *key, const struct s3_put *how, const char **ret_id)
{
	struct s3_call call = {.method = "POST", .key = key};
	struct answer answer = {.arena = arena};
	struct http_response response;
	s3_call_query(&call, "uploads", "");
	if (how->content_type)
		s3_call_header(&call, "content-type", how->content_type);
	enum err err = s3_perform(s3, arena, &call, &response);
	if (!err)
		err = s3_xml_each(response.body, read_answer, &answer);
	if (!err && (!answer.id || !*answer.id))
		err = ERR_INVALID;
	if (!err)
		*ret_id = answer.id;
	return err;
}

/* Its SHA-256 is in the signature, so that no other bytes are taken for it. */
static enum err send_part(struct s3 *s3, struct arena *arena, const char *key, const char *id, int number, int fd, int64_t offset, int64_t size,
                          const char *sha256, const char **ret_etag)
{
	struct s3_call call = {.method = "PUT", .key = key, .send_file = true, .fd = fd, .offset = offset, .size = size, .payload_sha256 = sha256,
	                       .transfer = true};
	struct http_response response;
	char text[16];
	snprintf(text, sizeof(text), "%d", number);
	s3_call_query(&call, "partNumber", text);
	s3_call_query(&call, "uploadId", id);
	enum err err = s3_perform(s3, arena, &call, &response);
	if (err)
		return err;
	*ret_etag = s3_etag(arena, http_header(&response, "etag"));
	return *ret_etag ? OK : ERR_INVALID;
}

/* ------------------------------------------------------------------------------------------------------------- lists */

struct part_list {
	struct arena *arena;
	struct s3_part *parts, part;
	size_t count, max;
	bool truncated;
	const char *next;
};

static enum err read_part(void *context, const char *path, struct str text)
{
	struct part_list *list = context;
	int64_t number = 0;
	const char *copy = text.n ? arena_copy(list->arena, text.p, text.n) : "";
	enum err err = copy ? OK : ERR_TOO_LARGE;
	if (!err && text_equal(path, "ListPartsResult/Part/PartNumber")) {
		err = parse_i64(copy, 1, S3_PARTS_MAX, &number);
		list->part.number = (int)number;
	} else if (!err && text_equal(path, "ListPartsResult/Part/Size")) {
		err = parse_i64(copy, 0, INT64_MAX, &list->part.size);
	} else if (!err && text_equal(path, "ListPartsResult/Part/ETag")) {
		list->part.etag = s3_etag(list->arena, copy);
	} else if (!err && text_equal(path, "ListPartsResult/IsTruncated")) {
		list->truncated = text_equal(copy, "true");
	} else if (!err && text_equal(path, "ListPartsResult/NextPartNumberMarker")) {
		list->next = copy;
	} else if (!err && text_equal(path, "ListPartsResult/Part")) {
		if (list->count < list->max)
			list->parts[list->count++] = list->part;
		list->part = (struct s3_part){0};
	}
	return err;
}

enum err s3_multipart_parts(struct s3 *s3, struct arena *arena, const char *key, const char *id, size_t max, struct s3_part **ret, size_t *ret_count)
{
	struct part_list list = {.arena = arena, .parts = arena_array(arena, max ? max : 1, sizeof(*list.parts)), .max = max, .truncated = true};
	enum err err = list.parts ? OK : ERR_TOO_LARGE;
	while (!err && list.truncated && list.count < max) {
		struct s3_call call = {.method = "GET", .key = key, .response_max = UPLOAD_MAX};
		struct http_response response;
		size_t before = list.count;
		s3_call_query(&call, "uploadId", id);
		if (list.next)
			s3_call_query(&call, "part-number-marker", list.next);
		list.truncated = false;
		err = s3_perform(s3, arena, &call, &response);
		if (!err)
			err = s3_xml_each(response.body, read_part, &list);
		if (!err && list.truncated && (!list.next || list.count == before))
			err = ERR_INVALID; /* it would go round for ever */
	}
	if (err)
		return err;
	*ret = list.parts;
	*ret_count = list.count;
	return OK;
}

struct upload_list {
	struct arena *arena;
	struct s3_upload *uploads, upload;
	size_t count;
};

static enum err read_upload(void *context, const char *path, struct str text)
{
	struct upload_list *list = context;
	const char *copy = text.n ? arena_copy(list->arena, text.p, text.n) : "";
	if (!copy)
		return ERR_TOO_LARGE;
	if (text_equal(path, "ListMultipartUploadsResult/Upload/Key"))
		list->upload.key = copy;
	else if (text_equal(path, "ListMultipartUploadsResult/Upload/UploadId"))
		list->upload.id = copy;
	else if (text_equal(path, "ListMultipartUploadsResult/Upload/Initiated"))
		list->upload.begun = copy;
	else if (text_equal(path, "ListMultipartUploadsResult/Upload")) {
		if (list->count == S3_PAGE_MAX || !list->upload.key || !list->upload.id)
			return ERR_INVALID;
		list->uploads[list->count++] = list->upload;
		list->upload = (struct s3_upload){0};
	}
	return OK;
}

enum err s3_multipart_list(struct s3 *s3, struct arena *arena, const char *prefix, struct s3_upload **ret, size_t *ret_count)
{
	struct s3_call call = {.method = "GET", .response_max = UPLOAD_MAX};
	struct upload_list list = {.arena = arena, .uploads = arena_array(arena, S3_PAGE_MAX, sizeof(*list.uploads))};
	struct http_response response;
	if (!list.uploads)
		return ERR_TOO_LARGE;
	s3_call_query(&call, "uploads", "");
	s3_call_query(&call, "prefix", prefix);
	enum err err = s3_perform(s3, arena, &call, &response);
	if (!err)
		err = s3_xml_each(response.body, read_upload, &list);
	if (err)
		return err;
	*ret = list.uploads;
	*ret_count = list.count;
	return OK;
}

/* ------------------------------------------------------------------------------------------------------------- the end */

struct completion {
	const char *key;
	int64_t size;
};

/* Did an earlier attempt complete it, and only its answer was lost? */
static bool is_complete(struct s3 *s3, struct arena *arena, const struct completion *completion)
{
	struct s3_object object;
	return s3_look_between(s3, arena, completion->key, &object) && object.size == completion->size;
}

static enum err before_complete(struct s3 *s3, struct arena *arena, struct s3_call *call, int attempt, bool *ret_settled)
{
	*ret_settled = attempt > 0 && s3_was_unclear(&s3->failure) && is_complete(s3, arena, call->context);
	return OK;
}

enum err s3_multipart_complete(struct s3 *s3, struct arena *arena, const char *key, const char *id, const struct s3_part *parts, size_t count,
                               bool only_new, struct s3_object *ret)
{
	struct completion completion = {.key = key};
	struct s3_call call = {.method = "POST", .key = key, .error_in_200 = true, .context = &completion, .before = before_complete, .transfer = true};
	struct http_response response;
	struct s3_object object;
	struct buf body;
	buf_init(&body, UPLOAD_MAX);
	buf_append_text(&body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < count; i++) {
		completion.size += parts[i].size;
		buf_printf(&body, "<Part><PartNumber>%d</PartNumber><ETag>&quot;", parts[i].number);
		s3_append_xml(&body, parts[i].etag);
		buf_append_text(&body, "&quot;</ETag></Part>");
	}
	buf_append_text(&body, "</CompleteMultipartUpload>");
	s3_call_query(&call, "uploadId", id);
	s3_call_header(&call, "content-type", "application/xml");
	if (only_new)
		s3_call_header(&call, "if-none-match", "*");
	call.body = (struct str){buf_text(&body), body.len};
	enum err err = body.overflowed ? ERR_TOO_LARGE : s3_perform(s3, arena, &call, &response);
	buf_release(&body);
	if ((err == ERR_NOT_FOUND || err == ERR_CONFLICT) && is_complete(s3, arena, &completion))
		err = OK;
	if (!err)
		err = s3_head(s3, arena, key, &object);
	if (!err && object.size != completion.size)
		err = ERR_CONFLICT;
	if (!err)
		*ret = object;
	return err;
}

enum err s3_multipart_abort(struct s3 *s3, struct arena *arena, const char *key, const char *id)
{
	struct s3_call call = {.method = "DELETE", .key = key};
	struct http_response response;
	s3_call_query(&call, "uploadId", id);
	enum err err = s3_perform(s3, arena, &call, &response);
	return err == ERR_NOT_FOUND ? OK : err;
}

/* Parts are as large as storage.part_bytes says, larger where there would be too many of them. */
static int64_t part_size(const struct s3 *s3, int64_t size)
{
	int64_t part = s3->config->storage_part_bytes;
	while (size / part >= S3_PARTS_MAX)
		part *= 2;
	return part;
}

/* A file on its way in parts. */
struct sending {
	struct s3 *s3;
	const char *key, *id;
	int fd;
	int64_t size, each;
	size_t count;
};

/* What became of one part; also what a second process says of its own, as it stands in memory. */
struct sent {
	size_t index;
	enum err err;
	char etag[ETAG_MAX];
	struct s3_failure failure;
};

static int64_t size_of_part(const struct sending *sending, size_t index)
{
	int64_t offset = (int64_t)index * sending->each;
	return sending->size - offset < sending->each ? sending->size - offset : sending->each;
}

static void hash_and_send(const struct sending *sending, size_t index, struct sent *ret)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];
	const char *etag = NULL;
	struct arena scratch;
	int64_t offset = (int64_t)index * sending->each, size = size_of_part(sending, index);
	*ret = (struct sent){.index = index, .err = sha256_range(sending->fd, offset, size, digest)};
	if (ret->err)
		return;
	hex_encode(digest, sizeof(digest), hex);
	arena_init(&scratch, 4 << 20);
	ret->err = send_part(sending->s3, &scratch, sending->key, sending->id, (int)index + 1, sending->fd, offset, size, hex, &etag);
	ret->failure = sending->s3->failure;
	if (!ret->err && snprintf(ret->etag, sizeof(ret->etag), "%s", etag) >= (int)sizeof(ret->etag))
		ret->err = ERR_INVALID;
	arena_release(&scratch);
}

/* The second process: every other part, told of through the pipe. It ends with its parent, and touches nothing else of it. */
static _Noreturn void send_odd_parts(const struct sending *sending, int out, pid_t parent)
{
	signal(SIGTERM, SIG_DFL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(1);
	for (size_t i = 1; i < sending->count; i += 2) {
		struct sent sent;
		hash_and_send(sending, i, &sent);
		if (write(out, &sent, sizeof(sent)) != (ssize_t)sizeof(sent) || sent.err)
			_exit(1);
	}
	_exit(0);
}

static enum err keep_part(const struct sending *sending, struct arena *arena, const struct sent *sent, struct s3_part *parts)
{
	if (sent->err) {
		sending->s3->failure = sent->failure;
		return sent->err;
	}
	parts[sent->index] = (struct s3_part){(int)sent->index + 1, size_of_part(sending, sent->index), arena_strdup(arena, sent->etag)};
	return parts[sent->index].etag ? OK : ERR_TOO_LARGE;
}

/* What the second process has to say, until it ends. */
static enum err gather(const struct sending *sending, struct arena *arena, int from, struct s3_part *parts)
{
	struct sent sent;
	enum err err = OK;
	ssize_t n;
	while (!err && (n = read(from, &sent, sizeof(sent))) != 0)
		if (n == (ssize_t)sizeof(sent) && sent.index < sending->count)
			err = keep_part(sending, arena, &sent, parts);
		else if (n > 0 || errno != EINTR)
			err = ERR_IO;
	return err;
}

/*
 * Two parts are under way at a time: a second process takes every other one, so that one hashes while the other sends. Writes to
 * a pipe of so few bytes are whole. Where no process can be made, all parts go one after the other.
 */
static enum err send_parts(struct sending *sending, struct arena *arena, struct s3_part *parts)
{
	int ends[2] = {-1, -1};
	pid_t parent = getpid(), second = sending->count > 1 && pipe2(ends, O_CLOEXEC) == 0 ? fork() : -1;
	enum err err = OK;
	if (second == 0)
		send_odd_parts(sending, ends[1], parent);
	if (ends[1] >= 0)
		close(ends[1]);
	for (size_t i = 0; !err && i < sending->count; i += second > 0 ? 2 : 1) {
		struct sent sent;
		hash_and_send(sending, i, &sent);
		err = keep_part(sending, arena, &sent, parts);
	}
	if (second > 0) {
		if (err)
			kill(second, SIGKILL);
		enum err theirs = gather(sending, arena, ends[0], parts);
		err = err ? err : theirs;
		while (waitpid(second, NULL, 0) < 0 && errno == EINTR) {
		}
	}
	if (ends[0] >= 0)
		close(ends[0]);
	for (size_t i = 0; !err && i < sending->count; i++)
		if (!parts[i].etag)
			err = ERR_UNAVAILABLE; /* the second process was ended by somebody */
	return err;
}

enum err s3_put_parts(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t size, const struct s3_put *how)
{
	struct sending sending = {.s3 = s3, .key = key, .fd = fd, .size = size, .each = part_size(s3, size)};
	sending.count = (size_t)((size + sending.each - 1) / sending.each);
	struct s3_part *parts = arena_array(arena, sending.count, sizeof(*parts));
	struct s3_object object;
	if (!parts)
		return ERR_TOO_LARGE;
	enum err err = s3_multipart_create(s3, arena, key, how, &sending.id);
	if (err)
		return err;
	err = send_parts(&sending, arena, parts);
	if (!err)
		err = s3_multipart_complete(s3, arena, key, sending.id, parts, sending.count, how->only_new, &object);
	if (err) {
		struct s3_failure failure = s3->failure;
		if (s3_multipart_abort(s3, arena, key, sending.id))
			log_write(LOG_LEVEL_WARN, "multipart_left", LOG_TEXT("reason", s3->failure.message));
		s3->failure = failure;
	}
	return err;
}
