/*
 * Cursors of pages: where to go on and up to where, as a text that is signed for one user, one scope and one app.
 * Called by request.c and sync.c.
 * Must never take a place from a text that was not made here.
 */
#include "handlers/sync/sync.h"

#include "core/crypto/seal.h"

#include <string.h>

enum { CURSOR_MAX = 8 << 10 };

static struct seal seal_of(const struct sync_call *call)
{
	const struct config *config = call->request->gate->config;
	struct seal seal;
	seal_init(&seal, config->jwt_secret, config->storage_secret_key, "tidegate sync cursor");
	return seal;
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
	struct seal seal = seal_of(call);
	struct buf payload;
	buf_init(&payload, CURSOR_MAX);
	put_payload(call, &payload);
	const char *made = payload.overflowed ? NULL : seal_make(&seal, call->arena, buf_text(&payload), payload.len);
	buf_release(&payload);
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
	struct seal seal = seal_of(call);
	const char *bytes = NULL;
	size_t length = 0;
	json_t *payload = NULL;
	if (!seal_open(&seal, call->arena, text, (size_t)CURSOR_MAX * 2, &bytes, &length) || json_parse(call->arena, bytes, length, &payload, NULL))
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
