/*
 * AWS Signature Version 4 as S3 and its kin have it: signing requests, presigning URLs, and verifying presigned requests
 * (so that our own object endpoint takes the very URLs an object store would).
 *
 * Rules that differ from the general scheme: the path is percent-encoded once and never normalised ("//", "." and ".."
 * stay; clients other than ours may rewrite the latter two, so keys should not have them), and a presigned payload is
 * UNSIGNED-PAYLOAD. Query names and values are encoded, then sorted; a parameter without a value gets "=". A '+' in a
 * received query is a plus. Signing keys are kept for the day. One thread.
 *
 * Source: "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
 */
#ifndef TIDEGATE_CORE_CRYPTO_SIGV4_H
#define TIDEGATE_CORE_CRYPTO_SIGV4_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGV4_EXPIRES_MAX 604800  /* seconds */
#define SIGV4_FUTURE_MAX 300      /* seconds a signature may be ahead of our clock */
#define SIGV4_PAIRS_MAX 64        /* query parameters, and headers, each */
#define SIGV4_TARGET_MAX 16384    /* bytes of a received path or query */
#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

struct sigv4_credentials {
	const char *access_key;
	const char *secret_key;
	const char *session_token; /* or NULL */
	const char *region;
	const char *service; /* "s3" */
};

struct sigv4_pair {
	struct str name;
	struct str value;
};

/* A request to be signed, nothing in it encoded. */
struct sigv4_request {
	const char *method;
	const char *host; /* as the client will send it: with the port unless it is the scheme's own */
	struct str path;  /* begins with '/' */
	const struct sigv4_pair *query;
	size_t query_count;
	const struct sigv4_pair *headers; /* to be signed besides host and those added here; any case, each once */
	size_t header_count;
};

/* Headers to send with a signed request: the caller's own, Host, and these. NULL members are not sent. */
struct sigv4_headers {
	const char *target; /* path?query, encoded exactly as it was signed: what stands after the host in the URL */
	const char *authorization;
	const char *date;           /* x-amz-date */
	const char *content_sha256; /* x-amz-content-sha256; only for the service s3 */
	const char *security_token; /* x-amz-security-token */
};

/*
 * Signs a request whose payload has the given SHA-256 in lower-case hex, or is SIGV4_UNSIGNED_PAYLOAD. now is Unix seconds.
 * ERR_INVALID: the path does not begin with '/', a header stands twice, is one of those added here or has control
 * characters, or a credential is missing or longer than 128 bytes. ERR_TOO_LARGE: more than SIGV4_PAIRS_MAX, or the arena is exhausted.
 */
enum err sigv4_sign(struct arena *arena, const struct sigv4_credentials *credentials, const struct sigv4_request *request,
                    const char *payload_sha256, int64_t now, struct sigv4_headers *ret) MUST_USE;

/*
 * A URL ("scheme://host/path?query") that allows this one request for expires seconds (1..SIGV4_EXPIRES_MAX). Whoever
 * uses it must send the given headers as they were signed. The URL is a bearer secret: never log it. Errors as above.
 */
enum err sigv4_presign(struct arena *arena, const struct sigv4_credentials *credentials, const struct sigv4_request *request,
                       const char *scheme, int64_t now, int64_t expires, const char **ret_url) MUST_USE;

/* A request as it came in. */
struct sigv4_received {
	struct str method;
	struct str path;  /* percent-encoded as received */
	struct str query; /* after the '?', percent-encoded as received */
	/* Value of the header of that lower-case name (several joined with ","), p NULL when it was not sent. */
	struct str (*header)(void *context, struct str name);
	void *context;
};

/* For the log and the answer: malformed is a 400, the rest are 403. */
enum sigv4_reason {
	SIGV4_OK = 0,
	SIGV4_MALFORMED,      /* a parameter is missing, stands twice, or is not what it must be; bad encoding; no host signed */
	SIGV4_UNKNOWN_KEY,    /* another access key, or another session token */
	SIGV4_WRONG_SCOPE,    /* another date than the signature's, another region or service */
	SIGV4_NOT_YET_VALID,  /* signed more than SIGV4_FUTURE_MAX ahead */
	SIGV4_EXPIRED,
	SIGV4_MISSING_HEADER, /* a signed header was not sent */
	SIGV4_BAD_SIGNATURE,
	SIGV4_NO_MEMORY,
	SIGV4_REASON_COUNT
};

/* Stable lower-case name, e.g. "bad_signature". Never NULL. */
const char *sigv4_reason_name(enum sigv4_reason reason);

/* What a good signature vouches for. Belongs to the arena of the call. */
struct sigv4_verified {
	struct str path;                /* decoded; the only form of the path that may be used from here on */
	const struct sigv4_pair *query; /* decoded, with the X-Amz-* parameters, unsorted */
	size_t query_count;
	const struct sigv4_pair *headers; /* the signed ones, host among them, sorted by name */
	size_t header_count;
	int64_t signed_at;
	int64_t expires_at; /* Unix seconds; valid before this */
};

/* Verifies a presigned request under the one key it may be signed with, at the time now. *ret is untouched unless SIGV4_OK. */
enum sigv4_reason sigv4_verify_presigned(struct arena *arena, const struct sigv4_credentials *credentials,
                                         const struct sigv4_received *received, int64_t now, struct sigv4_verified *ret) MUST_USE;

/* Value of a signed header by its lower-case name / of a signed parameter; p is NULL when it was not signed. */
struct str sigv4_signed_header(const struct sigv4_verified *verified, const char *name);
struct str sigv4_signed_parameter(const struct sigv4_verified *verified, const char *name);

/* Wipes the signing keys kept for the day: before a process ends, and in tests. */
void sigv4_forget_keys(void);

#endif
