/*
 * Objects in a bucket of an S3-compatible store (AWS, R2, Ceph, Swift). Used by the store's driver `s3` (s3_store.c), by
 * `tidegate store`, and by tests.
 *
 * Every call signs anew for each attempt, is tried up to S3_ATTEMPTS times with full jitter (base 200 ms, cap 20 s; a
 * Retry-After of the store counts), and ends by its deadline whatever happens. A clock that differs from the store's is
 * noticed once (RequestTimeTooSkewed) and corrected for the life of the process. One thread.
 *
 * Results: ERR_NOT_FOUND (no such key, upload or bucket), ERR_DENIED (credentials, rights), ERR_CONFLICT (a condition did not
 * hold: the key exists, the object changed), ERR_INVALID (the store refused for another reason for good), ERR_UNAVAILABLE
 * and ERR_TIMEOUT (it may work later), ERR_IO (a local file), ERR_TOO_LARGE (a cap of ours). What the store said is in
 * s3.failure. URLs and credentials are never logged.
 *
 * Sources: "Amazon S3 API Reference"; Cloudflare R2 "S3 API compatibility".
 */
#ifndef TIDEGATE_CORE_STORE_S3_H
#define TIDEGATE_CORE_STORE_S3_H

#include "core/base/arena.h"
#include "core/base/config.h"
#include "core/crypto/sigv4.h"
#include "core/net/http.h"

#include <stdbool.h>
#include <stdint.h>

#define S3_ATTEMPTS 6
#define S3_KEY_MAX 1024                /* bytes */
#define S3_PARTS_MAX 10000
#define S3_PART_MIN (5LL << 20)        /* all parts but the last */
#define S3_PUT_MAX (5LL << 30)         /* of one PUT */
#define S3_PAGE_MAX 1000               /* keys of a list or of a delete */

struct s3_failure {
	int status;   /* of the last answer; 0 when there was none */
	int attempts; /* that were made */
	char code[64];
	char message[256]; /* for the log, in the store's words or the HTTP client's */
};

struct s3 {
	const struct config *config;
	struct sigv4_credentials credentials;
	const char *scheme, *host; /* host as it is signed */
	const char *base;          /* what stands before a key: "/" or "/bucket/" */
	const char *bucket_path;   /* "/" or "/bucket" */
	int64_t deadline_s;        /* of a transfer: storage.deadline_s, or what the caller sets after s3_open */
	struct s3_failure failure; /* of the last call */
	int64_t date;              /* what the last answer said the time was, Unix seconds; 0: it did not */
};

/* Reads endpoint, bucket and credentials of the configuration. ERR_INVALID with a sentence in *ret_why when they cannot be used. */
enum err s3_open(struct arena *arena, const struct config *config, struct s3 *ret, const char **ret_why) MUST_USE;

/* The clock of the store as far as we know it, Unix seconds; ours until it complained. */
int64_t s3_now(void);

struct s3_object {
	int64_t size;
	const char *etag;   /* without quotes */
	const char *sha256; /* lower-case hex, as our own uploads note it; NULL when it is not noted */
};

enum err s3_head(struct s3 *s3, struct arena *arena, const char *key, struct s3_object *ret) MUST_USE;

/*
 * Writes the object into fd from its start. A transfer that breaks goes on where it stopped, as long as the object is the same
 * one (ETag). ERR_TOO_LARGE: more than size_max bytes.
 */
enum err s3_get(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t size_max, struct s3_object *ret) MUST_USE;

/* The same of bytes from..to, written to the same places of fd. ret->size is where they end. */
enum err s3_get_range(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t from, int64_t to, struct s3_object *ret) MUST_USE;

/* How an object is to be made. */
struct s3_put {
	const char *content_type; /* or NULL */
	bool only_new;            /* ERR_CONFLICT when the key exists, where the store knows If-None-Match */
};

/*
 * Sends the first size bytes of fd: in one PUT with Content-MD5 and SHA-256; when there are more than storage.multipart_bytes, in
 * parts of storage.part_bytes, each with its SHA-256, two under way at a time (a second process takes every other one). After an unclear answer the object is looked at before it is sent again.
 */
enum err s3_put(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t size, const struct s3_put *how) MUST_USE;

/* Absent is fine. */
enum err s3_delete(struct s3 *s3, struct arena *arena, const char *key) MUST_USE;

/* Up to S3_PAGE_MAX keys in one call. *ret_refused: how many the store would not delete (a lock); the first of them in s3->failure. */
enum err s3_delete_many(struct s3 *s3, struct arena *arena, const char *const *keys, size_t count, size_t *ret_refused) MUST_USE;

struct s3_entry {
	const char *key;
	int64_t size;
	const char *etag;
	const char *modified; /* ISO 8601, as the store writes it */
};

struct s3_page {
	struct s3_entry *entries; /* in the order of keys */
	size_t count;
	const char *next; /* token of the next page; NULL: this was the last */
};

/* A page of the keys that begin with prefix; token NULL: the first one. */
enum err s3_list(struct s3 *s3, struct arena *arena, const char *prefix, const char *token, struct s3_page *ret) MUST_USE;

/* Multipart uploads. Parts are counted from 1; all but the last must have the same size. */
struct s3_part {
	int number;
	int64_t size;
	const char *etag;
};

enum err s3_multipart_create(struct s3 *s3, struct arena *arena, const char *key, const struct s3_put *how, const char **ret_id) MUST_USE;
/* The parts that have arrived, in order of their numbers; at most max of them. */
enum err s3_multipart_parts(struct s3 *s3, struct arena *arena, const char *key, const char *id, size_t max, struct s3_part **ret, size_t *ret_count) MUST_USE;
/* The commit point. Looks at the object afterwards: *ret. */
enum err s3_multipart_complete(struct s3 *s3, struct arena *arena, const char *key, const char *id, const struct s3_part *parts, size_t count,
                               bool only_new, struct s3_object *ret) MUST_USE;
/* Absent is fine. */
enum err s3_multipart_abort(struct s3 *s3, struct arena *arena, const char *key, const char *id) MUST_USE;
/* Unfinished uploads, the first S3_PAGE_MAX: key and id, with the time they began. */
struct s3_upload {
	const char *key, *id, *begun;
};
enum err s3_multipart_list(struct s3 *s3, struct arena *arena, const char *prefix, struct s3_upload **ret, size_t *ret_count) MUST_USE;

/*
 * A URL that allows one request on key for life_s seconds. query: what belongs to it (partNumber, response-content-type …);
 * headers: what whoever uses it must send.
 */
enum err s3_presign(struct s3 *s3, struct arena *arena, const char *method, const char *key, const struct sigv4_pair *query, size_t query_count,
                    const struct sigv4_pair *headers, size_t header_count, int64_t life_s, const char **ret_url) MUST_USE;

/* Makes the bucket. ERR_CONFLICT: somebody has one of that name. */
enum err s3_bucket_create(struct s3 *s3, struct arena *arena) MUST_USE;

/* The bucket's CORS rules: XML as the API has it. ERR_NOT_FOUND: there are none. */
enum err s3_cors_read(struct s3 *s3, struct arena *arena, struct str *ret_xml) MUST_USE;
enum err s3_cors_write(struct s3 *s3, struct arena *arena, struct str xml) MUST_USE;

#endif
