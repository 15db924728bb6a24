/*
 * What was said of the rows of a push: rejected ones with their reasons, merged ones; and the same kept for a client that did not get the
 * answer and asks again with the same requestId.
 * Called by sync.c.
 * Must never say of a row more than its table, its id and a reason of ours.
 */
#include "handlers/sync/sync.h"

enum { RESULT_MAX = 16 << 20 };

/* The id as the client gave it, when it is one of the forms that ids have. */
static void put_row_id(struct json_writer *w, const json_t *change)
{
	const json_t *id = json_object_get(change, "rowId");
	if (json_is_string(id)) {
		json_put_str(w, "rowId", (struct str){json_string_value(id), json_string_length(id)});
	} else if (json_is_integer(id)) {
		json_put_i64(w, "rowId", json_integer_value(id));
	} else if (json_is_object(id)) {
		char *text = json_dumps(id, JSON_COMPACT);
		json_put_text(w, "rowId", text);
		free(text); /* from json_dumps */
	} else {
		json_put_null(w, "rowId");
	}
}

static void put_table_name(struct json_writer *w, const json_t *change)
{
	const json_t *table = json_object_get(change, "table");
	if (json_is_string(table))
		json_put_str(w, "table", (struct str){json_string_value(table), json_string_length(table)});
	else
		json_put_null(w, "table");
}

static void put_rejected(struct sync_call *call, struct json_writer *w, bool sentences)
{
	json_array_open(w, "rejected");
	for (size_t i = 0; i < call->row_count; i++) {
		const struct sync_row *row = &call->rows[i];
		if (row->code == REJECT_NONE)
			continue;
		json_object_open(w, NULL);
		put_table_name(w, row->change);
		put_row_id(w, row->change);
		json_put_text(w, "code", rejection_code(row->code));
		if (sentences)
			json_put_text(w, "message", rejection_sentence(rejection_code(row->code), call->request->language));
		json_object_close(w);
	}
	json_array_close(w);
}

static void put_merged(struct sync_call *call, struct json_writer *w)
{
	json_array_open(w, "merged");
	for (size_t i = 0; i < call->merge_count; i++) {
		json_object_open(w, NULL);
		put_table_name(w, call->merges[i].row->change);
		put_row_id(w, call->merges[i].row->change);
		json_put_text(w, "mergedInto", call->merges[i].into);
		json_object_close(w);
	}
	json_array_close(w);
}

static void replay_list(struct sync_call *call, struct json_writer *w, const char *name, bool sentences)
{
	const json_t *list = json_object_get(call->replayed, name);
	json_array_open(w, name);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		json_object_open(w, NULL);
		put_table_name(w, item);
		put_row_id(w, item);
		if (sentences) {
			json_put_text(w, "code", json_text(item, "code"));
			json_put_text(w, "message", rejection_sentence(json_text(item, "code"), call->request->language));
		} else {
			json_put_text(w, "mergedInto", json_text(item, "mergedInto"));
		}
		json_object_close(w);
	}
	json_array_close(w);
}

void sync_put_outcome(struct sync_call *call, struct json_writer *w)
{
	if (call->replayed) {
		replay_list(call, w, "rejected", true);
		replay_list(call, w, "merged", false);
		return;
	}
	put_rejected(call, w, true);
	put_merged(call, w);
}

/* U+0000 in an id that was rejected would be refused by jsonb: ids with it are told as they came, and kept without. */
static void strip_nul(char *text)
{
	for (char *p = strstr(text, "\\u0000"); p; p = strstr(p, "\\u0000")) {
		size_t slashes = 0;
		while (p - slashes > text && p[-(long)slashes - 1] == '\\')
			slashes++;
		if (slashes % 2 == 0)
			memcpy(p, "\\ufffd", 6);
		p += 6;
	}
}

enum err sync_remember(struct sync_call *call)
{
	struct json_writer w;
	struct buf out;
	buf_init(&out, RESULT_MAX);
	json_start(&w, &out);
	json_object_open(&w, NULL);
	put_rejected(call, &w, false);
	put_merged(call, &w);
	json_object_close(&w);
	enum err err = out.overflowed ? ERR_TOO_LARGE : OK;
	if (!err) {
		strip_nul(out.data);
		err = pg_query(call->pg, call->arena, STMT_SYNC_ANSWERED,
		               PG_VALUES(call->app->app->name, call->scope, call->device, call->request_id, call->digest, pg_number(call->arena, call->version), buf_text(&out)), NULL);
	}
	buf_release(&out);
	return err;
}
