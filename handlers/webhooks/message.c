/*
 * Makes the request of a delivery. Called by courier.c.
 * Must never log any of it, nor let a custom header replace one of ours.
 */
#include "handlers/webhooks/message.h"

#include "core/base/json.h"
#include "core/base/version.h"
#include "core/crypto/webhook_signature.h"
#include "handlers/webhooks/endpoint_body.h"

#include <string.h>

enum { SIGNATURES_MAX = 256, HEADERS_MAX = 32, CHAT_MAX = 64 << 10 };

static enum err sign(const char *secret, const struct webhook_message *message, int64_t now, struct buf *out)
{
	struct webhook_key key;
	enum err err = webhook_key_parse(secret, &key);
	if (!err)
		err = webhook_sign(&key, message->id, now, str_of(message->body), out);
	webhook_key_wipe(&key);
	return err;
}

/* After a change of the secret both sign for a day, the new one first. */
static enum err signatures(struct arena *arena, const struct webhook_message *message, int64_t now, const char **ret)
{
	struct buf out;
	buf_init(&out, SIGNATURES_MAX);
	enum err err = sign(message->secret, message, now, &out);
	if (!err && message->previous_secret)
		err = sign(message->previous_secret, message, now, &out);
	if (!err) {
		*ret = arena_printf(arena, "webhook-signature: %s", buf_text(&out));
		err = *ret ? OK : ERR_TOO_LARGE;
	}
	buf_release(&out);
	return err;
}

static enum err custom_headers(struct arena *arena, const char *json, const char **list, size_t *count)
{
	json_t *headers = NULL, *value;
	const char *name;
	enum err err = json_parse(arena, json, strlen(json), &headers, NULL);
	if (err)
		return err;
	json_object_foreach(headers, name, value) {
		if (!endpoint_header_allowed(str_of(name)) || !json_is_string(value) || *count >= HEADERS_MAX - 1)
			continue;
		list[*count] = arena_printf(arena, "%s: %s", name, json_string_value(value));
		if (!list[(*count)++])
			return ERR_TOO_LARGE;
	}
	return OK;
}

/* The headers that say which event it is, and who says so. */
static enum err standard_headers(struct arena *arena, const struct webhook_message *message, int64_t now, const char **list, size_t *count)
{
	list[*count] = arena_printf(arena, "webhook-id: %s", message->id);
	list[*count + 1] = arena_printf(arena, "webhook-timestamp: %lld", (long long)now);
	if (!list[*count] || !list[*count + 1])
		return ERR_TOO_LARGE;
	*count += 2;
	return signatures(arena, message, now, &list[(*count)++]);
}

static enum err chat_message(struct arena *arena, const struct webhook_message *message, const char **ret)
{
	const struct chat_event event = {message->id, message->body, message->language, message->explain};
	struct buf out;
	buf_init(&out, CHAT_MAX);
	enum err err = chat_body(arena, message->format, &event, &out);
	const char *body = err ? NULL : arena_strdup(arena, buf_text(&out));
	buf_release(&out);
	if (body)
		*ret = body;
	return err || body ? err : ERR_TOO_LARGE;
}

enum err webhook_request(struct arena *arena, const struct webhook_message *message, const struct outgoing *outgoing, int64_t timeout_s, int64_t now,
                         struct http_request *ret)
{
	const char **list = arena_array(arena, HEADERS_MAX, sizeof(*list));
	const char *body = arena_strdup(arena, message->body), *url = arena_strdup(arena, message->url);
	size_t count = 2;
	if (!list || !body || !url)
		return ERR_TOO_LARGE;
	list[0] = "Content-Type: application/json";
	list[1] = "User-Agent: Tidegate/" TIDEGATE_VERSION;
	enum err err = message->format == WEBHOOK_STANDARD ? standard_headers(arena, message, now, list, &count) : chat_message(arena, message, &body);
	if (!err)
		err = custom_headers(arena, message->headers, list, &count);
	if (err)
		return err;
	*ret = (struct http_request){
	    .method = "POST",
	    .url = url,
	    .headers = list,
	    .body = str_of(body),
	    .response_max = WEBHOOK_RESPONSE_MAX,
	    .cut_response = true,
	    .timeout_ms = timeout_s * 1000,
	};
	outgoing_guard(outgoing, ret);
	return OK;
}

const char *webhook_response_text(struct arena *arena, struct str bytes)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char *text = bytes.n ? arena_alloc(arena, bytes.n * 3 + 1) : NULL;
	size_t n = 0, i = 0;
	while (text && i < bytes.n) {
		uint32_t code_point = 0;
		size_t length = utf8_decode(bytes.p + i, bytes.n - i, &code_point);
		bool plain = length && (code_point >= 0x20 || code_point == '\n' || code_point == '\t' || code_point == '\r') && code_point != 0x7f;
		const char *from = plain ? bytes.p + i : replacement;
		size_t taken = plain ? length : 3;
		/* a character that the limit has cut in two is left out */
		if (!length && bytes.n == WEBHOOK_RESPONSE_MAX && bytes.n - i < 4 && utf8_valid_prefix(bytes.p + i, bytes.n - i) == 0 && (unsigned char)bytes.p[i] >= 0xc2)
			break;
		memcpy(text + n, from, taken);
		n += taken;
		i += length ? length : 1;
	}
	return text;
}
