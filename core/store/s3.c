/*
 * Single objects of a bucket: look, get, put, delete, list, presign. Called by the store's driver and `tidegate store`.
 * Must never take an answer for what was asked without looking: a range that was ignored, an object that changed under a
 * transfer, a PUT whose answer was lost.
 */
#include "core/store/s3_call.h"
#include "core/store/s3_multipart.h"

#include "core/crypto/base64.h"
#include "core/crypto/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOOKS = 2 };

#define SHA256_HEADER "x-amz-meta-sha256"

struct digests {
	const char *md5, *md5_base64, *sha256; /* hex, base64, hex; in the arena */
};

static int64_t header_i64(const struct http_header *headers, size_t count, const char *name, int64_t otherwise)
{
	const char *value = http_header_of(headers, count, name);
	int64_t number = otherwise;
	return value && !parse_i64(value, 0, INT64_MAX, &number) ? number : otherwise;
}

static enum err read_object(struct arena *arena, const struct http_response *response, struct s3_object *ret)
{
	const char *sha256 = http_header(response, SHA256_HEADER);
	*ret = (struct s3_object){
	    .size = header_i64(response->headers, response->header_count, "content-length", -1),
	    .etag = s3_etag(arena, http_header(response, "etag")),
	    .sha256 = sha256 && strlen(sha256) == SHA256_HEX_SIZE - 1 ? sha256 : NULL,
	};
	return ret->size < 0 ? ERR_UNAVAILABLE : OK;
}

static enum err head(struct s3 *s3, struct arena *arena, const char *key, int attempts, struct s3_object *ret)
{
	struct s3_call call = {.method = "HEAD", .key = key, .attempts = attempts};
	struct http_response response;
	enum err err = s3_perform(s3, arena, &call, &response);
	return err ? err : read_object(arena, &response, ret);
}

enum err s3_head(struct s3 *s3, struct arena *arena, const char *key, struct s3_object *ret)
{
	return head(s3, arena, key, S3_ATTEMPTS, ret);
}

bool s3_look_between(struct s3 *s3, struct arena *arena, const char *key, struct s3_object *ret)
{
	struct s3_failure failure = s3->failure;
	enum err err = head(s3, arena, key, LOOKS, ret);
	s3->failure = failure;
	return !err;
}

bool s3_was_unclear(const struct s3_failure *failure)
{
	return failure->status == 0 || failure->status == 500 || failure->status == 502 || failure->status == 504;
}

/* ------------------------------------------------------------------------------------------------------------- get */

struct download {
	int fd;
	int64_t done, total, max;
	int64_t from, to; /* of a range; to 0: all of it */
	const char *etag, *sha256;
	struct arena *arena;
	struct s3_call *call;
	char range[48];
};

/* From the second attempt on: what is missing, of the same object. */
static enum err before_get(struct s3 *s3, struct arena *arena, struct s3_call *call, int attempt, bool *ret_settled)
{
	struct download *download = call->context;
	(void)s3, (void)attempt;
	call->header_count = 0;
	*ret_settled = download->total >= 0 && download->done == download->total;
	bool again = download->done > download->from && download->etag;
	if (!again)
		download->done = download->from;
	if (!again && !download->to)
		return OK;
	char last[24] = "";
	if (download->to)
		snprintf(last, sizeof(last), "%lld", (long long)download->to - 1);
	snprintf(download->range, sizeof(download->range), "bytes=%lld-%s", (long long)download->done, last);
	s3_call_header(call, "range", download->range);
	if (!again)
		return OK;
	const char *quoted = arena_printf(arena, "\"%s\"", download->etag);
	s3_call_header(call, "if-match", quoted);
	return quoted ? OK : ERR_TOO_LARGE;
}

/* Where does what comes now belong? A store that ignores the range begins anew, and so do we. */
static enum err get_begins(void *context, int status, const struct http_header *headers, size_t count)
{
	struct download *download = context;
	int64_t length = header_i64(headers, count, "content-length", -1), first = 0;
	const char *range = http_header_of(headers, count, "content-range"), *sha256 = http_header_of(headers, count, SHA256_HEADER);
	if (status == 206) {
		size_t digits = range && text_starts_with(range, "bytes ") ? strspn(range + 6, "0123456789") : 0;
		if (!digits || parse_i64_n(range + 6, digits, 0, INT64_MAX, &first) || first != download->done)
			return ERR_UNAVAILABLE;
	}
	download->done = first;
	download->total = length < 0 ? -1 : first + length;
	if (download->total > download->max)
		return ERR_TOO_LARGE;
	download->etag = s3_etag(download->arena, http_header_of(headers, count, "etag"));
	download->sha256 = sha256 && strlen(sha256) == SHA256_HEX_SIZE - 1 ? arena_strdup(download->arena, sha256) : NULL;
	return OK;
}

static enum err write_all(int fd, const char *bytes, size_t n, int64_t at)
{
	while (n) {
		ssize_t written = pwrite(fd, bytes, n, at);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return ERR_IO;
		bytes += written;
		at += written;
		n -= (size_t)written;
	}
	return OK;
}

static enum err get_takes(void *context, const char *bytes, size_t n)
{
	struct download *download = context;
	if ((int64_t)n > download->max - download->done)
		return ERR_TOO_LARGE;
	enum err err = write_all(download->fd, bytes, n, download->done);
	if (!err) {
		download->done += (int64_t)n;
		download->call->progressed = true;
	}
	return err;
}

static enum err get(struct s3 *s3, struct arena *arena, const char *key, const struct download *wanted, struct s3_object *ret)
{
	struct s3_call call = {.method = "GET", .key = key, .begin = get_begins, .sink = get_takes, .before = before_get, .transfer = true};
	struct download download = *wanted;
	struct http_response response = {0};
	download.call = &call;
	call.context = &download;
	enum err err = s3_perform(s3, arena, &call, &response);
	if (err == ERR_CONFLICT) { /* another object has taken the key: from the start, once */
		download = *wanted;
		download.call = &call;
		err = s3_perform(s3, arena, &call, &response);
	}
	if (!err && ftruncate(wanted->fd, download.done))
		err = ERR_IO;
	if (err)
		return err;
	*ret = (struct s3_object){
	    .size = download.done,
	    .etag = download.etag ? download.etag : s3_etag(arena, http_header(&response, "etag")),
	    .sha256 = download.sha256,
	};
	return OK;
}

enum err s3_get(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t size_max, struct s3_object *ret)
{
	const struct download wanted = {.fd = fd, .total = -1, .max = size_max, .arena = arena};
	return get(s3, arena, key, &wanted, ret);
}

enum err s3_get_range(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t from, int64_t to, struct s3_object *ret)
{
	const struct download wanted = {.fd = fd, .done = from, .total = -1, .max = INT64_MAX, .from = from, .to = to, .arena = arena};
	return get(s3, arena, key, &wanted, ret);
}

/* ------------------------------------------------------------------------------------------------------------- put */

struct upload {
	const char *key;
	int64_t size;
	const char *md5; /* hex: the ETag of a whole object */
	const char *sha256;
};

/* Is the object that we meant to make there already? */
static bool is_there(struct s3 *s3, struct arena *arena, const struct upload *upload)
{
	struct s3_object object;
	return s3_look_between(s3, arena, upload->key, &object) && object.size == upload->size &&
	       (text_equal(object.etag, upload->md5) || (object.sha256 && text_equal(object.sha256, upload->sha256)));
}

static enum err before_put(struct s3 *s3, struct arena *arena, struct s3_call *call, int attempt, bool *ret_settled)
{
	*ret_settled = attempt > 0 && s3_was_unclear(&s3->failure) && is_there(s3, arena, call->context);
	return OK;
}

/* Did the store find other bytes than those that were signed? */
static bool body_was_damaged(const struct s3_failure *failure)
{
	return text_equal(failure->code, "BadDigest") || text_equal(failure->code, "InvalidDigest") || text_equal(failure->code, "XAmzContentSHA256Mismatch");
}

static enum err write_digest(struct arena *arena, const struct file_digests *digests, struct digests *ret)
{
	struct buf base64;
	char hex[SHA256_HEX_SIZE];
	hex_encode(digests->sha256, SHA256_SIZE, hex);
	ret->sha256 = arena_strdup(arena, hex);
	hex_encode(digests->md5, MD5_SIZE, hex);
	ret->md5 = arena_strdup(arena, hex);
	buf_init(&base64, 64);
	enum err err = base64_encode(&base64, digests->md5, MD5_SIZE);
	ret->md5_base64 = err ? NULL : arena_strdup(arena, buf_text(&base64));
	buf_release(&base64);
	return ret->sha256 && ret->md5 && ret->md5_base64 ? OK : ERR_TOO_LARGE;
}

static enum err digest_file(struct arena *arena, int fd, int64_t size, struct digests *ret)
{
	struct file_digests digests;
	enum err err = digests_fd(fd, 0, size, &digests);
	return err ? err : write_digest(arena, &digests, ret);
}

static enum err digest_bytes(struct arena *arena, struct str bytes, struct digests *ret)
{
	struct file_digests digests;
	digests_once(bytes.p, bytes.n, &digests);
	return write_digest(arena, &digests, ret);
}

static enum err put_whole(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t size, const struct s3_put *how)
{
	struct digests digest;
	struct http_response response;
	enum err err = digest_file(arena, fd, size, &digest);
	if (err)
		return err;
	struct upload upload = {key, size, digest.md5, digest.sha256};
	struct s3_call call = {.method = "PUT", .key = key, .send_file = true, .fd = fd, .size = size, .payload_sha256 = digest.sha256, .context = &upload,
	                       .before = before_put, .transfer = true};
	s3_call_header(&call, "content-md5", digest.md5_base64);
	s3_call_header(&call, SHA256_HEADER, digest.sha256);
	if (how->content_type)
		s3_call_header(&call, "content-type", how->content_type);
	if (how->only_new)
		s3_call_header(&call, "if-none-match", "*");
	err = s3_perform(s3, arena, &call, &response);
	/* The condition may have failed because an attempt of ours, whose answer was lost, had made the object. */
	if (err == ERR_CONFLICT && s3->failure.attempts > 1 && is_there(s3, arena, &upload))
		err = OK;
	return err;
}

enum err s3_put(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t size, const struct s3_put *how)
{
	if (size > s3->config->storage_multipart_bytes)
		return s3_put_parts(s3, arena, key, fd, size, how);
	enum err err = put_whole(s3, arena, key, fd, size, how);
	/* Read once more: a body that was damaged on its way, or under our hands. */
	return err == ERR_INVALID && body_was_damaged(&s3->failure) ? put_whole(s3, arena, key, fd, size, how) : err;
}

/* ------------------------------------------------------------------------------------------------------------- delete, list */

enum err s3_delete(struct s3 *s3, struct arena *arena, const char *key)
{
	struct s3_call call = {.method = "DELETE", .key = key};
	struct http_response response;
	enum err err = s3_perform(s3, arena, &call, &response);
	return err == ERR_NOT_FOUND ? OK : err;
}

void s3_append_xml(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'' || c < 0x20)
			buf_printf(out, "&#%u;", c);
		else
			buf_append_char(out, (char)c);
	}
}

struct refusals {
	size_t count;
	struct s3_failure *failure;
};

static enum err read_refusal(void *context, const char *path, struct str text)
{
	struct refusals *refusals = context;
	bool first = refusals->count == 0;
	if (first && text_equal(path, "DeleteResult/Error/Code"))
		snprintf(refusals->failure->code, sizeof(refusals->failure->code), "%.*s", (int)text.n, text.p);
	else if (first && text_equal(path, "DeleteResult/Error/Message"))
		snprintf(refusals->failure->message, sizeof(refusals->failure->message), "%.*s", (int)text.n, text.p);
	else if (text_equal(path, "DeleteResult/Error"))
		refusals->count++;
	return OK;
}

enum err s3_delete_many(struct s3 *s3, struct arena *arena, const char *const *keys, size_t count, size_t *ret_refused)
{
	struct s3_call call = {.method = "POST", .error_in_200 = true, .transfer = true};
	struct refusals refusals = {0, &s3->failure};
	struct http_response response;
	struct digests digest;
	struct buf body;
	if (count == 0 || count > S3_PAGE_MAX)
		return ERR_INVALID;
	buf_init(&body, 4 << 20);
	buf_append_text(&body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
	for (size_t i = 0; i < count; i++) {
		buf_append_text(&body, "<Object><Key>");
		s3_append_xml(&body, keys[i]);
		buf_append_text(&body, "</Key></Object>");
	}
	buf_append_text(&body, "</Delete>");
	enum err err = body.overflowed ? ERR_TOO_LARGE : digest_bytes(arena, (struct str){buf_text(&body), body.len}, &digest);
	if (!err) {
		s3_call_query(&call, "delete", "");
		s3_call_header(&call, "content-md5", digest.md5_base64);
		s3_call_header(&call, "content-type", "application/xml");
		call.body = (struct str){buf_text(&body), body.len};
		err = s3_perform(s3, arena, &call, &response);
	}
	if (!err)
		err = s3_xml_each(response.body, read_refusal, &refusals);
	buf_release(&body);
	if (!err)
		*ret_refused = refusals.count;
	return err;
}

struct listing {
	struct arena *arena;
	struct s3_page *page;
	struct s3_entry entry;
	const char *next;
	bool truncated;
};

static enum err read_entry(void *context, const char *path, struct str text)
{
	struct listing *listing = context;
	struct s3_entry *entry = &listing->entry;
	const char *copy = text.n ? arena_copy(listing->arena, text.p, text.n) : "";
	if (!copy)
		return ERR_TOO_LARGE;
	if (text_equal(path, "ListBucketResult/Contents/Key"))
		entry->key = copy;
	else if (text_equal(path, "ListBucketResult/Contents/ETag"))
		entry->etag = s3_etag(listing->arena, copy);
	else if (text_equal(path, "ListBucketResult/Contents/LastModified"))
		entry->modified = copy;
	else if (text_equal(path, "ListBucketResult/Contents/Size"))
		return parse_i64(copy, 0, INT64_MAX, &entry->size);
	else if (text_equal(path, "ListBucketResult/IsTruncated"))
		listing->truncated = text_equal(copy, "true");
	else if (text_equal(path, "ListBucketResult/NextContinuationToken"))
		listing->next = copy;
	else if (text_equal(path, "ListBucketResult/Contents")) {
		if (listing->page->count == S3_PAGE_MAX || !entry->key)
			return ERR_INVALID;
		listing->page->entries[listing->page->count++] = *entry;
		*entry = (struct s3_entry){0};
	}
	return OK;
}

enum err s3_list(struct s3 *s3, struct arena *arena, const char *prefix, const char *token, struct s3_page *ret)
{
	struct s3_call call = {.method = "GET", .response_max = 8 << 20};
	struct s3_page page = {.entries = arena_array(arena, S3_PAGE_MAX, sizeof(*page.entries))};
	struct listing listing = {.arena = arena, .page = &page};
	struct http_response response;
	if (!page.entries)
		return ERR_TOO_LARGE;
	s3_call_query(&call, "list-type", "2");
	s3_call_query(&call, "prefix", prefix);
	if (token)
		s3_call_query(&call, "continuation-token", token);
	enum err err = s3_perform(s3, arena, &call, &response);
	if (!err)
		err = s3_xml_each(response.body, read_entry, &listing);
	if (!err && listing.truncated && !listing.next)
		err = ERR_INVALID;
	if (err)
		return err;
	page.next = listing.truncated ? listing.next : NULL;
	*ret = page;
	return OK;
}

/* ------------------------------------------------------------------------------------------------------------- presign, CORS */

enum err s3_presign(struct s3 *s3, struct arena *arena, const char *method, const char *key, const struct sigv4_pair *query, size_t query_count,
                    const struct sigv4_pair *headers, size_t header_count, int64_t life_s, const char **ret_url)
{
	const char *path = arena_join(arena, s3->base, key, "");
	if (!path)
		return ERR_TOO_LARGE;
	struct sigv4_request request = {method, s3->host, str_of(path), query, query_count, headers, header_count};
	return sigv4_presign(arena, &s3->credentials, &request, s3->scheme, s3_now(), life_s, ret_url);
}

enum err s3_bucket_create(struct s3 *s3, struct arena *arena)
{
	struct s3_call call = {.method = "PUT"};
	struct http_response response;
	return s3_perform(s3, arena, &call, &response);
}

enum err s3_cors_read(struct s3 *s3, struct arena *arena, struct str *ret_xml)
{
	struct s3_call call = {.method = "GET"};
	struct http_response response;
	s3_call_query(&call, "cors", "");
	enum err err = s3_perform(s3, arena, &call, &response);
	if (!err)
		*ret_xml = response.body;
	return err;
}

enum err s3_cors_write(struct s3 *s3, struct arena *arena, struct str xml)
{
	struct s3_call call = {.method = "PUT", .body = xml};
	struct http_response response;
	struct digests digest;
	enum err err = digest_bytes(arena, xml, &digest);
	if (err)
		return err;
	s3_call_query(&call, "cors", "");
	s3_call_header(&call, "content-md5", digest.md5_base64);
	s3_call_header(&call, "content-type", "application/xml");
	return s3_perform(s3, arena, &call, &response);
}
