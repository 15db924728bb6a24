/*
 * What a client asks of POST /api/sync, apart from its rows. What clients of other makers send besides is not looked at.
 * Called by sync.c, schema.c and check.c.
 * Must never take the scope from anything but the token.
 */
#include "handlers/sync/sync.h"

#include "core/base/clock.h"
#include "fcgi/fields.h"

#include <string.h>

enum { PAGE_MAX_ROWS = 2000, NAME_MAX_LENGTH = 255, REQUEST_ID_MAX = 100 };

const char *sync_time(struct arena *arena, int64_t us)
{
	char text[CLOCK_ISO_SIZE];
	clock_iso8601(us, text);
	return arena_strdup(arena, text);
}

bool sync_find_app(struct response *response, const char *asked, const struct sync_app **ret_app, const char **ret_scope)
{
	const struct request *request = response->request;
	const char *held = json_text(request->claims.all, "app");
	const char *name = held ? held : asked;
	/* A token that is for one app opens no other. */
	*ret_app = held && asked && !text_equal(held, asked) ? NULL : catalog_synced(&request->gate->catalog, name);
	if (!*ret_app) {
		if (name)
			refuse(response, PROBLEM_UNKNOWN_APP);
		else
			refuse_field(response, PROBLEM_UNKNOWN_APP, "app", "name of an app with synced tables: ?app=tunes");
		return false;
	}
	*ret_scope = (*ret_app)->app->sync_scope == SCHEMA_SYNC_SPACE ? request->claims.space : request->claims.sub;
	return true;
}

static bool given(const json_t *body, const char *name)
{
	const json_t *value = json_object_get(body, name);
	return value && !json_is_null(value);
}

static bool read_since(struct sync_call *call, struct response *response, const json_t *body)
{
	const char *text = json_text(body, "lastSyncAt");
	if (!given(body, "lastSyncAt") || (text && !*text))
		return true;
	if (!text || clock_parse_iso8601(text, &call->since) || call->since < 0) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "lastSyncAt", "timestamp of an earlier answer");
		return false;
	}
	return true;
}

static bool read_versions(struct sync_call *call, struct response *response, const json_t *body)
{
	const struct schema_app *app = call->app->app;
	const json_t *migration = json_object_get(body, "migration");
	call->schema_version = app->version;
	if (given(body, "schemaVersion") && !field_i64(response, body, "schemaVersion", INT64_MIN, INT64_MAX, &call->schema_version))
		return false;
	if (call->schema_version < app->oldest || call->schema_version > app->version) {
		refuse(response, call->schema_version < app->oldest ? PROBLEM_SCHEMA_TOO_OLD : PROBLEM_SCHEMA_TOO_NEW);
		return false;
	}
	if (!given(body, "migration"))
		return true;
	if (!json_is_object(migration)) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "migration", "an object: {\"from\": 1}");
		return false;
	}
	return field_i64(response, migration, "from", 1, app->version, &call->migrated_from);
}

static bool read_changes(struct sync_call *call, struct response *response, const json_t *body)
{
	const struct json_node *tree = call->request->tree, *changes = json_member(tree, "changes");
	call->changes = json_is(changes, JSON_KIND_NULL) ? NULL : changes;
	if (call->changes && call->changes->kind != JSON_KIND_LIST) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "changes", "a list");
		return false;
	}
	size_t count = call->changes ? call->changes->n : 0;
	if (count > (size_t)call->request->gate->config->sync_max_changes) {
		refuse(response, PROBLEM_TOO_MANY_CHANGES);
		return false;
	}
	return field_text(response, body, "deviceId", count ? 1 : 0, NAME_MAX_LENGTH, &call->device) &&
	       field_text(response, body, "requestId", 0, REQUEST_ID_MAX, &call->request_id);
}

bool sync_read_request(struct sync_call *call, struct response *response)
{
	const json_t *body = call->request->json;
	const char *cursor = json_text(body, "pullCursor");
	call->page_size = call->request->gate->config->sync_page_rows;
	if (!sync_find_app(response, query_text(call->request, "app"), &call->app, &call->scope) || !read_versions(call, response, body) ||
	    !read_since(call, response, body) || !read_changes(call, response, body))
		return false;
	if (given(body, "pageSize") && !field_i64(response, body, "pageSize", 1, INT64_MAX, &call->page_size))
		return false;
	call->page_size = call->page_size > PAGE_MAX_ROWS ? PAGE_MAX_ROWS : call->page_size;
	if (given(body, "pullCursor") && (!cursor || !sync_cursor_read(call, cursor))) {
		refuse_field(response, PROBLEM_INVALID_CURSOR, "pullCursor", "from nextCursor of the page before");
		return false;
	}
	return true;
}
