/*
 * The answer being made: status, headers, body. Nothing is sent before the handler has returned and, for routes with a
 * transaction, its commit has succeeded; so an answer can still become a problem at any moment before.
 */
#ifndef TIDEGATE_FCGI_RESPONSE_H
#define TIDEGATE_FCGI_RESPONSE_H

#include "core/base/buf.h"
#include "core/base/json.h"
#include "fcgi/request.h"

enum { RESPONSE_HEADERS_MAX = 16, RESPONSE_ERRORS_MAX = 16, RESPONSE_BODY_MAX = 8 << 20 };

struct response_error {
	const char *field, *code, *message;
};

struct response {
	struct request *request;
	int status;
	const char *content_type;
	struct request_pair headers[RESPONSE_HEADERS_MAX];
	size_t header_count;
	struct buf body;
	struct json_writer json;
	bool is_problem;
	enum problem problem;
	struct response_error errors[RESPONSE_ERRORS_MAX];
	size_t error_count;
	const char *extra_name, *extra_value; /* one more member of a problem, e.g. existingJobId */
};

/* Starts a JSON answer with that status; write its members through response->json, then call respond_end. */
struct json_writer *respond_json(struct response *response, int status);
enum err respond_end(struct response *response);

/* A header; texts must live as long as the request. A value with control characters is left out. */
void respond_header(struct response *response, const char *name, const char *value);

/* Makes the answer a problem and returns OK, so that handlers can `return refuse(…)`. */
enum err refuse(struct response *response, enum problem problem);

/* The same naming the field that is wrong. */
enum err refuse_field(struct response *response, enum problem problem, const char *field, const char *message);

/* The same with one more member in the problem document. */
enum err refuse_with(struct response *response, enum problem problem, const char *name, const char *value);

/* Writes it to nginx. */
void response_send(struct response *response);

#endif
