/*
 * Cursors of pages: where to go on and up to where, as a text that is signed for one user, one scope and one app.
 * Called by request.c and sync.c.
 * Must never take a place from a text that was not made here.
 */
#include "handlers/sync/sync.h"

#include "core/base/log.h"
#include "core/crypto/base64.h"
#include "core/crypto/digest.h"

#include <string.h>

enum { CURSOR_MAX = 8 << 10 };

/* One key for all processes and hosts of an installation: they share these secrets. */
static void sign(const struct sync_call *call, const char *bytes, size_t n, uint8_t out[SHA256_SIZE])
{
	const struct config *config = call->request->gate->config;
	static const char purpose[] = "tidegate sync cursor";
	uint8_t key[SHA256_SIZE], other[SHA256_SIZE];
	hmac_sha256(config->jwt_secret, strlen(config->jwt_secret), purpose, sizeof(purpose), key);
	hmac_sha256(config->storage_secret_key, strlen(config->storage_secret_key), purpose, sizeof(purpose), other);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] ^= other[i];
	hmac_sha256(key, sizeof(key), bytes, n, out);
}

static void put_payload(const struct sync_call *call, struct buf *out)
{
	const struct sync_app *app = call->app;
	bool revocations = call->place.table == app->count;
	size_t keys = revocations ? 2 : app->tables[call->place.table].table->sync->key_count;
	struct json_writer w;
	json_start(&w, out);
	json_object_open(&w, NULL);
	json_put_text(&w, "app", app->app->name);
	json_put_text(&w, "scope", call->scope);
	json_put_text(&w, "sub", call->request->claims.sub);
	json_put_i64(&w, "version", app->app->version);
	json_put_i64(&w, "since", call->since);
	json_put_i64(&w, "bound", call->bound);
	json_put_i64(&w, "timestamp", call->timestamp);
	json_put_i64(&w, "from", call->migrated_from);
	json_put_text(&w, "table", revocations ? "" : app->tables[call->place.table].table->name);
	json_put_i64(&w, "seq", call->place.seq);
	json_array_open(&w, "key");
	for (size_t i = 0; i < keys; i++)
		json_put_text(&w, NULL, call->place.key[i]);
	json_array_close(&w);
	json_object_close(&w);
}

const char *sync_cursor_make(const struct sync_call *call)
{
	uint8_t mac[SHA256_SIZE];
	struct buf payload, text;
	buf_init(&payload, CURSOR_MAX);
	buf_init(&text, (size_t)CURSOR_MAX * 2);
	put_payload(call, &payload);
	sign(call, buf_text(&payload), payload.len, mac);
	base64url_encode(&text, buf_text(&payload), payload.len);
	buf_append_char(&text, '.');
	base64url_encode(&text, mac, sizeof(mac));
	const char *made = payload.overflowed || text.overflowed ? NULL : arena_strdup(call->arena, buf_text(&text));
	buf_release(&payload);
	buf_release(&text);
	return made;
}

static int64_t number(const json_t *payload, const char *name)
{
	return json_integer_value(json_object_get(payload, name));
}

/* The table may be gone since, with a new version of the app. */
static bool read_place(struct sync_call *call, const json_t *payload)
{
	const char *table = json_text(payload, "table");
	const json_t *key = json_object_get(payload, "key");
	size_t t = 0;
	while (t < call->app->count && !text_equal(call->app->tables[t].table->name, table))
		t++;
	if (t == call->app->count && !text_equal(table, ""))
		return false;
	size_t keys = t == call->app->count ? 2 : call->app->tables[t].table->sync->key_count;
	if (json_array_size(key) != keys)
		return false;
	call->place.table = t;
	call->place.seq = number(payload, "seq");
	for (size_t i = 0; i < keys; i++)
		call->place.key[i] = json_string_value(json_array_get(key, i));
	return true;
}

bool sync_cursor_read(struct sync_call *call, const char *text)
{
	const char *dot = strchr(text, '.');
	size_t length = 0, mac_length = 0, n = strlen(text);
	uint8_t given[SHA256_SIZE + 3], mac[SHA256_SIZE];
	char *bytes = dot && n < (size_t)CURSOR_MAX * 2 ? arena_alloc(call->arena, BASE64_DECODED_MAX((size_t)(dot - text)) + 1) : NULL;
	json_t *payload = NULL;
	if (!bytes || base64url_decode(text, (size_t)(dot - text), bytes, BASE64_DECODED_MAX((size_t)(dot - text)), &length) ||
	    base64url_decode(dot + 1, n - (size_t)(dot - text) - 1, given, sizeof(given), &mac_length))
		return false;
	sign(call, bytes, length, mac);
	if (!constant_time_equal(given, mac_length, mac, sizeof(mac)) || json_parse(call->arena, bytes, length, &payload, NULL))
		return false;
	if (!text_equal(json_text(payload, "app"), call->app->app->name) || !text_equal(json_text(payload, "scope"), call->scope) ||
	    !text_equal(json_text(payload, "sub"), call->request->claims.sub) || number(payload, "version") != call->app->app->version)
		return false;
	call->since = number(payload, "since");
	call->bound = number(payload, "bound");
	call->timestamp = number(payload, "timestamp");
	call->migrated_from = number(payload, "from");
	call->paging = true;
	return read_place(call, payload);
}
