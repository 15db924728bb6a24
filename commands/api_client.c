/* HTTP calls of `tidegate import` and `tidegate jobs`. Must never print or log the token or a signed URL. */
#include "commands/api_client.h"

#include "core/net/http.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_MAX = 8 << 20, HEADERS_MAX = 16, TOKEN_MAX = 16 << 10, TRANSFER_TIMEOUT_MS = 3600000, STALL_S = 60, NO_CONTENT = 204, TOO_MANY_REQUESTS = 429 };

const char *api_token(struct arena *arena, const char *path)
{
	char *token = arena_alloc(arena, TOKEN_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = token && fd >= 0 ? read(fd, token, TOKEN_MAX - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return NULL;
	token[strcspn(token, "\r\n")] = '\0';
	return token;
}

static bool fail(struct api_client *client, const char *code, const char *sentence)
{
	snprintf(client->code, sizeof(client->code), "%s", code);
	snprintf(client->trouble, sizeof(client->trouble), "%s", sentence);
	return false;
}

/* A problem document's detail, with the fields it names. */
static bool tell_problem(struct api_client *client, struct arena *arena, const struct http_response *response)
{
	json_t *problem = NULL;
	const char *existing;
	if (json_parse(arena, response->body.p ? response->body.p : "", response->body.n, &problem, NULL) || !json_text(problem, "detail")) {
		fail(client, "", "");
		snprintf(client->trouble, sizeof(client->trouble), "The server answered with status %d.", response->status);
		return false;
	}
	fail(client, json_text(problem, "code") ? json_text(problem, "code") : "", json_text(problem, "detail"));
	const json_t *first = json_array_get(json_object_get(problem, "errors"), 0);
	size_t used = strlen(client->trouble);
	if (first)
		snprintf(client->trouble + used, sizeof(client->trouble) - used, " (%s: %s)", json_text(first, "field"), json_text(first, "message"));
	else if ((existing = json_text(problem, "existingJobId")))
		snprintf(client->trouble + used, sizeof(client->trouble) - used, " (import %s)", existing);
	return false;
}

static bool send(struct api_client *client, struct arena *arena, struct http_request *request, struct http_response *response)
{
	const char *why = NULL;
	request->ca_file = client->ca_file;
	if (request->response_max == 0)
		request->response_max = ANSWER_MAX;
	client->status = 0;
	if (http_request(arena, request, response, &why))
		return fail(client, "", why ? why : "The server cannot be reached.");
	client->status = response->status;
	return response->status >= 200 && response->status < 300 ? true : tell_problem(client, arena, response);
}

bool api_refused(const struct api_client *client)
{
	return client->status >= 400 && client->status < 500 && client->status != TOO_MANY_REQUESTS;
}

bool api_call(struct api_client *client, struct arena *arena, const char *method, const char *path, const char *body, json_t **ret)
{
	const char *headers[] = {arena_printf(arena, "Authorization: Bearer %s", client->token), "Content-Type: application/json", NULL};
	struct http_request request = {.method = method, .url = arena_printf(arena, "%s%s", client->url, path), .headers = headers};
	struct http_response response;
	if (!headers[0] || !request.url)
		return fail(client, "", "There is not enough memory.");
	if (body)
		request.body = str_of(body);
	if (!send(client, arena, &request, &response))
		return false;
	*ret = NULL;
	if (response.status == NO_CONTENT)
		return true;
	if (json_parse(arena, response.body.p ? response.body.p : "", response.body.n, ret, NULL) || !json_is_object(*ret))
		return fail(client, "", "The server's answer is not JSON.");
	return true;
}

bool api_put(struct api_client *client, struct arena *arena, const char *url, const json_t *wanted, int fd, int64_t size)
{
	const char *headers[HEADERS_MAX + 1] = {NULL}, *name;
	size_t count = 0;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)wanted, name, value) if (count < HEADERS_MAX && json_is_string(value))
		headers[count++] = arena_printf(arena, "%s: %s", name, json_string_value(value));
	struct http_request request = {
	    .method = "PUT", .url = url, .headers = headers, .send_file = true, .body_fd = fd, .body_size = size, .timeout_ms = TRANSFER_TIMEOUT_MS, .stall_timeout_s = STALL_S};
	struct http_response response;
	return send(client, arena, &request, &response);
}

const char *api_body(struct api_client *client, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	const char *copy = arena_strdup(client->arena, text);
	json_decref(body);
	free(text); /* from json_dumps */
	return copy;
}

bool api_upload(struct api_client *client, struct arena *step, const char *name, int fd, int64_t size, const char **ret_key)
{
	json_t *answer = NULL;
	const char *body = api_body(client, json_pack("{s:s, s:I}", "fileName", name, "fileSize", (json_int_t)size));
	if (!body || !api_call(client, client->arena, "POST", "/api/import/upload-url", body, &answer))
		return false;
	*ret_key = json_text(answer, "objectKey");
	return api_put(client, step, json_text(answer, "uploadUrl"), json_object_get(answer, "headers"), fd, size);
}

static enum err write_all(void *context, const char *bytes, size_t n)
{
	const int *fd = context;
	while (n > 0) {
		ssize_t written = write(*fd, bytes, n);
		if (written <= 0)
			return ERR_IO;
		bytes += written;
		n -= (size_t)written;
	}
	return OK;
}

bool api_save(struct api_client *client, struct arena *arena, const char *url, int fd)
{
	struct http_request request = {
	    .url = url, .sink = write_all, .sink_context = &fd, .response_max = SIZE_MAX, .timeout_ms = TRANSFER_TIMEOUT_MS, .stall_timeout_s = STALL_S};
	struct http_response response;
	return send(client, arena, &request, &response);
}
