/*
 * Answers and problem documents. Called by handlers (making) and by the loop (sending).
 * Must never send a header that a client's text could split, nor a body before the handler's work is durable.
 */
#include "fcgi/response.h"

#include <string.h>

struct json_writer *respond_json(struct response *response, int status)
{
	response->status = status;
	response->content_type = "application/json";
	buf_clear(&response->body);
	json_start(&response->json, &response->body);
	json_object_open(&response->json, NULL);
	return &response->json;
}

enum err respond_end(struct response *response)
{
	json_object_close(&response->json);
	return response->body.overflowed ? ERR_TOO_LARGE : OK;
}

void respond_header(struct response *response, const char *name, const char *value)
{
	bool clean = value != NULL;
	for (const char *c = value; c && *c; c++)
		clean = clean && (unsigned char)*c >= 0x20 && *c != 0x7f;
	if (clean && response->header_count < RESPONSE_HEADERS_MAX)
		response->headers[response->header_count++] = (struct request_pair){str_of(name), str_of(value)};
}

enum err refuse(struct response *response, enum problem problem)
{
	response->is_problem = true;
	response->problem = problem;
	response->status = problem_status(problem);
	return OK;
}

enum err refuse_field(struct response *response, enum problem problem, const char *field, const char *message)
{
	if (response->error_count < RESPONSE_ERRORS_MAX)
		response->errors[response->error_count++] = (struct response_error){field, problem_code(problem), message};
	return refuse(response, problem);
}

enum err refuse_with(struct response *response, enum problem problem, const char *name, const char *value)
{
	response->extra_name = name;
	response->extra_value = value;
	return refuse(response, problem);
}

static void write_problem(struct response *response)
{
	const struct request *request = response->request;
	struct json_writer *w = respond_json(response, problem_status(response->problem));
	response->content_type = "application/problem+json";
	char *type = arena_printf(request->arena, "urn:tidegate:problem:%s", problem_code(response->problem));
	json_put_text(w, "type", type ? type : "about:blank");
	json_put_text(w, "title", status_title(response->status));
	json_put_i64(w, "status", response->status);
	json_put_text(w, "code", problem_code(response->problem));
	json_put_text(w, "detail", problem_sentence(response->problem, request->language));
	json_put_text(w, "requestId", request->id);
	if (response->extra_name)
		json_put_text(w, response->extra_name, response->extra_value);
	if (response->error_count) {
		json_array_open(w, "errors");
		for (size_t i = 0; i < response->error_count; i++) {
			json_object_open(w, NULL);
			json_put_text(w, "field", response->errors[i].field);
			json_put_text(w, "code", response->errors[i].code);
			json_put_text(w, "message", response->errors[i].message);
			json_object_close(w);
		}
		json_array_close(w);
	}
	respond_end(response);
	respond_header(response, "Content-Language", request->language == LANGUAGE_FR ? "fr" : "en");
	if (response->problem == PROBLEM_CALL_UNSIGNED || response->problem == PROBLEM_CALL_EXPIRED)
		respond_header(response, "WWW-Authenticate", "Upstash-Signature");
	else if (response->status == 401 && request->browser && accept_names(request_param(request, "HTTP_ACCEPT"), "text/html"))
		respond_header(response, "WWW-Authenticate", "Basic realm=\"Tidegate: any name, the token as the password\", charset=\"UTF-8\"");
	else if (response->status == 401)
		respond_header(response, "WWW-Authenticate", response->problem == PROBLEM_TOKEN_EXPIRED ? "Bearer error=\"invalid_token\"" : "Bearer");
	if (response->status == 503 || response->status == 429 || response->status == 504)
		respond_header(response, "Retry-After", "2");
}

void response_send(struct response *response)
{
	FCGX_Stream *out = response->request->fcgi->out;
	struct buf head;
	if (response->is_problem)
		write_problem(response);
	buf_init(&head, 16 << 10);
	buf_printf(&head, "Status: %d %s\r\n", response->status, status_title(response->status));
	if (response->content_type)
		buf_printf(&head, "Content-Type: %s%s\r\n", response->content_type, text_equal(response->content_type, "application/json") ? "; charset=utf-8" : "");
	bool empty = response->status == 204 || response->status == 304;
	bool accelerated = false;
	for (size_t i = 0; i < response->header_count; i++) {
		buf_printf(&head, "%.*s: %.*s\r\n", (int)response->headers[i].name.n, response->headers[i].name.p, (int)response->headers[i].value.n,
		           response->headers[i].value.p);
		accelerated = accelerated || str_equal_text(response->headers[i].name, "X-Accel-Redirect");
	}
	if (!empty && !accelerated)
		buf_printf(&head, "Content-Length: %zu\r\n", response->body.len);
	buf_printf(&head, "X-Request-Id: %s\r\nCache-Control: no-store\r\n\r\n", response->request->id ? response->request->id : "");
	FCGX_PutStr(buf_text(&head), (int)head.len, out);
	if (!empty && response->request->method != METHOD_HEAD)
		FCGX_PutStr(buf_text(&response->body), (int)response->body.len, out);
	buf_release(&head);
}
