/* One signed call to the store with its retries. Private to core/store/s3*.c; everybody else includes s3.h. */
#ifndef TIDEGATE_CORE_STORE_S3_CALL_H
#define TIDEGATE_CORE_STORE_S3_CALL_H

#include "core/store/s3.h"

enum { S3_CALL_HEADERS = 12, S3_CALL_QUERY = 10 };

struct s3_call;

/*
 * Called before every attempt. It may change the call (a range to go on from), say that nothing is left to do (*ret_settled: an
 * earlier attempt had succeeded after all), or end the call by a result other than OK.
 */
typedef enum err s3_before(struct s3 *s3, struct arena *arena, struct s3_call *call, int attempt, bool *ret_settled);

struct s3_call {
	const char *method;
	const char *key; /* NULL: the bucket */
	struct sigv4_pair query[S3_CALL_QUERY];
	size_t query_count;
	struct sigv4_pair headers[S3_CALL_HEADERS]; /* all are signed */
	size_t header_count;
	struct str body; /* sent when p is not NULL */
	bool send_file;
	int fd;
	int64_t offset, size;
	const char *payload_sha256; /* of a file, hex; bodies are hashed here */
	http_begin *begin;
	http_sink *sink;
	void *context; /* of begin, sink and before */
	s3_before *before;
	size_t response_max; /* 0: 1 MiB, or no limit with a sink */
	int attempts;        /* 0: S3_ATTEMPTS */
	bool transfer;       /* may take storage.deadline_s */
	bool error_in_200;   /* an <Error> may stand in a 200 */
	bool progressed;     /* set by a sink: the attempts that failed before do not count any more */
};

void s3_call_query(struct s3_call *call, const char *name, const char *value);
void s3_call_header(struct s3_call *call, const char *name, const char *value);

/* Errors as in s3.h. The response is that of the last attempt; untouched when an earlier one is found to have settled it. */
enum err s3_perform(struct s3 *s3, struct arena *arena, struct s3_call *call, struct http_response *ret) MUST_USE;

/* ETag of a response without its quotes, in the arena. NULL: there is none. */
const char *s3_etag(struct arena *arena, const char *value);

/*
 * Goes through the elements of an XML answer in the order of their ends: path is "ListBucketResult/Contents/Key", without
 * namespaces; text is what stands directly in it, "" for one that only holds others. ERR_INVALID: not well formed, deeper than 8,
 * or with a document type.
 */
typedef enum err s3_element(void *context, const char *path, struct str text);
enum err s3_xml_each(struct str xml, s3_element *element, void *context) MUST_USE;

#endif
