/* Uploads, when something is to be made of them. */
#ifndef TIDEGATE_FCGI_UPLOAD_H
#define TIDEGATE_FCGI_UPLOAD_H

#include "fcgi/response.h"

/* What a client says of a file it has uploaded. */
struct upload_claim {
	const char *object_key;
	const char *checksum; /* SHA-256 in hex, or NULL */
	int64_t file_size;    /* -1: it does not say */
};

/*
 * In the request's transaction and under the owner's scope: the upload is locked, has arrived and is what the claim says, or the
 * request is refused. *ret_hash: SHA-256 of what arrived; NULL when nobody knows it yet, and after a refusal.
 */
enum err upload_check(struct request *request, struct response *response, const struct upload_claim *claim, const char **ret_hash) MUST_USE;

#endif
