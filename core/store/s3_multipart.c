/*
 * Objects in parts. Called for large files of ours (s3_put) and for uploads of clients, whose parts we only list and complete.
 * Must never call an upload complete before the object was looked at, nor leave parts of a failed one behind.
 */
#include "core/store/s3_multipart.h"

#include "core/base/log.h"
#include "core/crypto/digest.h"
#include "core/store/s3_call.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define UPLOAD_MAX ((size_t)4 << 20)

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

/* The hash of the next part, while this one is on its way. */
struct hashing {
	int fd;
	int64_t offset, size;
	char hex[SHA256_HEX_SIZE];
	enum err err;
	pthread_t thread;
	bool running;
};

static void *hash_part(void *context)
{
	struct hashing *hashing = context;
	uint8_t digest[SHA256_SIZE];
	hashing->err = sha256_range(hashing->fd, hashing->offset, hashing->size, digest);
	if (!hashing->err)
		hex_encode(digest, sizeof(digest), hashing->hex);
	return NULL;
}

/* Signals are the business of the thread that sends. Where there can be no other one, the hash is made at once. */
static void hashing_start(struct hashing *hashing, int fd, int64_t offset, int64_t size)
{
	sigset_t all, before;
	*hashing = (struct hashing){.fd = fd, .offset = offset, .size = size};
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	hashing->running = pthread_create(&hashing->thread, NULL, hash_part, hashing) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!hashing->running)
		hash_part(hashing);
}

static enum err hashing_wait(struct hashing *hashing)
{
	if (hashing->running)
		pthread_join(hashing->thread, NULL);
	hashing->running = false;
	return hashing->err;
}

static enum err send_parts(struct s3 *s3, struct arena *arena, const char *key, const char *id, int fd, int64_t size, struct s3_part *parts, size_t count)
{
	int64_t each = part_size(s3, size);
	struct hashing hashing[2];
	enum err err = OK;
	hashing_start(&hashing[0], fd, 0, size < each ? size : each);
	for (size_t i = 0; !err && i < count; i++) {
		struct arena scratch;
		const char *etag = NULL;
		int64_t offset = (int64_t)i * each, next = offset + each;
		parts[i] = (struct s3_part){.number = (int)i + 1, .size = size - offset < each ? size - offset : each};
		err = hashing_wait(&hashing[i % 2]);
		if (err)
			break;
		if (i + 1 < count)
			hashing_start(&hashing[(i + 1) % 2], fd, next, size - next < each ? size - next : each);
		arena_init(&scratch, 4 << 20);
		err = send_part(s3, &scratch, key, id, parts[i].number, fd, offset, parts[i].size, hashing[i % 2].hex, &etag);
		parts[i].etag = err ? NULL : arena_strdup(arena, etag);
		arena_release(&scratch);
		if (!err && !parts[i].etag)
			err = ERR_TOO_LARGE;
		if (err && i + 1 < count && hashing_wait(&hashing[(i + 1) % 2]))
			break; /* nobody waits for that hash any more */
	}
	return err;
}

enum err s3_put_parts(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t size, const struct s3_put *how)
{
	int64_t each = part_size(s3, size);
	size_t count = (size_t)((size + each - 1) / each);
	struct s3_part *parts = arena_array(arena, count, sizeof(*parts));
	struct s3_object object;
	const char *id;
	if (!parts)
		return ERR_TOO_LARGE;
	enum err err = s3_multipart_create(s3, arena, key, how, &id);
	if (err)
		return err;
	err = send_parts(s3, arena, key, id, fd, size, parts, count);
	if (!err)
		err = s3_multipart_complete(s3, arena, key, id, parts, count, how->only_new, &object);
	if (err) {
		struct s3_failure failure = s3->failure;
		if (s3_multipart_abort(s3, arena, key, id))
			log_write(LOG_LEVEL_WARN, "multipart_left", LOG_TEXT("reason", s3->failure.message));
		s3->failure = failure;
	}
	return err;
}
