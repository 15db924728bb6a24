/*
 * Checks the body of POST and PATCH. Called by endpoints_change.c; the sender asks about names of headers once more.
 * Must never let anything through that could split a request, replace a header of ours, or send anywhere the operator has not
 * opened.
 */
#include "handlers/webhooks/endpoint_body.h"

#include "fcgi/fields.h"

#include <string.h>

enum { DESCRIPTION_MAX = 200, EVENTS_MAX = 32, EVENT_MAX = 64, HEADERS_MAX = 10, HEADER_NAME_MAX = 64, HEADER_VALUE_MAX = 1024, HEADERS_JSON_MAX = 32 << 10 };

static bool read_url(struct request *request, struct response *response, struct endpoint_body *ret)
{
	static const struct {
		enum problem problem;
		const char *message;
	} refusals[] = {
	    [OUTGOING_MALFORMED] = {PROBLEM_WEBHOOK_URL, "a URL of at most 2048 characters, percent-encoded, without a fragment"},
	    [OUTGOING_SCHEME] = {PROBLEM_WEBHOOK_URL, "https"},
	    [OUTGOING_CREDENTIALS] = {PROBLEM_WEBHOOK_URL, "no user and no password; use a header"},
	    [OUTGOING_PORT] = {PROBLEM_WEBHOOK_PORT, "443 or a port of webhooks.allow_ports"},
	    [OUTGOING_ADDRESS] = {PROBLEM_WEBHOOK_ADDRESS, "a public address or a network of webhooks.allow_networks"},
	};
	if (!field_text(response, request->json, "url", 1, OUTGOING_URL_MAX, &ret->url))
		return false;
	enum outgoing_reason reason = outgoing_check(&request->gate->webhooks, ret->url, NULL);
	if (reason == OUTGOING_OK)
		return true;
	refuse_field(response, refusals[reason].problem, "url", refusals[reason].message);
	return false;
}

static bool refuse_events(struct response *response)
{
	refuse_field(response, PROBLEM_INVALID_FIELD, "events", "1 to 32 types of events, such as import.completed, import.* or *");
	return false;
}

/* What it says is checked later; here only that it is a list of plain words. */
static bool read_events(struct request *request, struct response *response, struct endpoint_body *ret)
{
	const json_t *list = json_object_get(request->json, "events");
	const char *items[EVENTS_MAX];
	size_t count = json_array_size(list);
	if (!json_is_array(list) || count == 0 || count > EVENTS_MAX)
		return refuse_events(response);
	for (size_t i = 0; i < count; i++) {
		items[i] = json_string_value(json_array_get(list, i));
		if (!items[i] || !*items[i] || strlen(items[i]) > EVENT_MAX || strspn(items[i], "abcdefghijklmnopqrstuvwxyz_.*") != strlen(items[i]))
			return refuse_events(response);
	}
	ret->events = pg_text_array(request->arena, items, count);
	return ret->events != NULL;
}

bool endpoint_header_allowed(struct str name)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char *const ours[] = {
	    "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect",
	    "user-agent", "accept-encoding", "date", "http2-settings", "proxy-connection", "proxy-authorization", "proxy-authenticate", "via", "forwarded",
	};
	if (name.n == 0 || name.n > HEADER_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!name.p[i] || !strchr(token, name.p[i]))
			return false;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (str_equal_ignore_case(name, ours[i]))
			return false;
	return name.n < 8 || strncasecmp(name.p, "webhook-", 8) != 0;
}

static bool value_allowed(const char *value)
{
	size_t n = value ? strlen(value) : 0;
	if (n == 0 || n > HEADER_VALUE_MAX || value[0] == ' ' || value[n - 1] == ' ')
		return false;
	for (size_t i = 0; i < n; i++)
		if (value[i] < 0x20 || value[i] > 0x7e)
			return false;
	return true;
}

/* Names are the same whatever their case. */
static bool stands_twice(json_t *headers, const char *name)
{
	const char *other;
	json_t *value;
	int count = 0;
	json_object_foreach(headers, other, value)
		count += strcasecmp(other, name) == 0;
	return count > 1;
}

static bool read_headers(struct request *request, struct response *response, struct endpoint_body *ret)
{
	json_t *given = json_object_get(request->json, "headers"), *value;
	const char *name;
	struct json_writer w, names;
	struct buf out, out_names;
	bool good = json_is_object(given) || json_is_null(given);
	good = good && json_object_size(given) <= HEADERS_MAX;
	buf_init(&out, HEADERS_JSON_MAX);
	buf_init(&out_names, HEADERS_JSON_MAX);
	json_start(&w, &out);
	json_start(&names, &out_names);
	json_object_open(&w, NULL);
	json_array_open(&names, NULL);
	json_object_foreach(given, name, value) {
		const char *text = json_string_value(value);
		good = good && endpoint_header_allowed(str_of(name)) && value_allowed(text) && !stands_twice(given, name);
		if (!good)
			break;
		json_put_text(&w, name, text);
		json_put_text(&names, NULL, name);
	}
	json_object_close(&w);
	json_array_close(&names);
	if (good) {
		ret->headers = arena_strdup(request->arena, buf_text(&out));
		ret->header_names = arena_strdup(request->arena, buf_text(&out_names));
	} else {
		refuse_field(response, PROBLEM_WEBHOOK_HEADER, "headers",
		             "at most 10; names that are not ours (webhook-…, Host, Content-…, User-Agent, …), values of 1 to 1024 printable ASCII characters");
	}
	if (out.data)
		explicit_bzero(out.data, out.len);
	buf_release(&out);
	buf_release(&out_names);
	return good && ret->headers && ret->header_names;
}

/* One of these words, or with `none` also null, which takes it away. */
static bool read_word(struct response *response, const json_t *body, const char *name, const char *const *words, bool none, const char **ret)
{
	const json_t *value = json_object_get(body, name);
	const char *text = json_string_value(value);
	if (!value)
		return true;
	if (none && json_is_null(value)) {
		*ret = "";
		return true;
	}
	for (const char *const *word = words; text && *word; word++)
		if (text_equal(text, *word)) {
			*ret = *word;
			return true;
		}
	refuse_field(response, PROBLEM_INVALID_FIELD, name, none ? "en, fr or null" : "standard, discord or slack");
	return false;
}

bool endpoint_body_read(struct request *request, struct response *response, bool needed, struct endpoint_body *ret)
{
	static const char *const formats[] = {"standard", "discord", "slack", NULL}, *const languages[] = {"en", "fr", NULL};
	const json_t *body = request->json, *enabled = json_object_get(body, "enabled");
	*ret = (struct endpoint_body){.enabled = true};
	if ((needed || json_object_get(body, "url")) && !read_url(request, response, ret))
		return false;
	if ((needed || json_object_get(body, "events")) && !read_events(request, response, ret))
		return false;
	if (json_object_get(body, "headers") && !read_headers(request, response, ret))
		return false;
	if (json_object_get(body, "description")) {
		if (!field_text(response, body, "description", 0, DESCRIPTION_MAX, &ret->description))
			return false;
		if (!ret->description)
			ret->description = "";
	}
	if (!read_word(response, body, "format", formats, false, &ret->format) || !read_word(response, body, "language", languages, true, &ret->language))
		return false;
	if (enabled && !json_is_boolean(enabled)) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "enabled", "true or false");
		return false;
	}
	ret->has_enabled = enabled != NULL;
	ret->enabled = !enabled || json_is_true(enabled);
	return true;
}
