/*
 * What was said of the rows of a push: rejected ones with their reasons, merged ones; and the same kept for a client that did not get the
 * answer and asks again with the same requestId.
 * Called by sync.c.
 * Must never say of a row more than its table, its id and a reason of ours.
 */
#include "handlers/sync/sync.h"

enum { RESULT_MAX = 16 << 20 };

/* The id as the client gave it, when it is one of the forms that ids have. */
static void put_row_id(struct json_writer *w, const struct json_node *change)
{
	const struct json_node *id = json_member(change, "rowId");
	int64_t number = 0;
	struct buf text;
	if (json_is(id, JSON_KIND_TEXT)) {
		json_put_str(w, "rowId", (struct str){id->text, id->n});
	} else if (json_is(id, JSON_KIND_NUMBER) && !parse_i64_n(id->text, id->n, INT64_MIN, INT64_MAX, &number)) {
		json_put_i64(w, "rowId", number);
	} else if (json_is(id, JSON_KIND_OBJECT)) {
		buf_init(&text, RESULT_MAX);
		json_tree_write(&text, id);
		json_put_str(w, "rowId", (struct str){buf_text(&text), text.len});
		buf_release(&text);
	} else {
		json_put_null(w, "rowId");
	}
}

static void put_table_name(struct json_writer *w, const struct json_node *change)
{
	const struct json_node *table = json_member(change, "table");
	if (json_is(table, JSON_KIND_TEXT))
		json_put_str(w, "table", (struct str){table->text, table->n});
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
	const struct json_node *list = json_member(call->replayed, name);
	json_array_open(w, name);
	for (const struct json_node *item = json_first(list); item < json_end(list); item += item->size) {
		const char *code = json_node_text(json_member(item, "code"));
		json_object_open(w, NULL);
		put_table_name(w, item);
		put_row_id(w, item);
		if (sentences) {
			json_put_text(w, "code", code);
			json_put_text(w, "message", rejection_sentence(code, call->request->language));
		} else {
			json_put_text(w, "mergedInto", json_node_text(json_member(item, "mergedInto")));
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

enum err sync_commit_answered(struct sync_call *call)
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
		err = pg_commit_with(call->pg, STMT_SYNC_ANSWERED,
		                     PG_VALUES(call->app->app->name, call->scope, call->device, call->request_id, call->digest, pg_number(call->arena, call->version), buf_text(&out)));
	}
	buf_release(&out);
	return err;
}
