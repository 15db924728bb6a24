/*
 * Private to sync: one call of POST /api/sync, from the body to the answer.
 *
 * A call runs in one transaction, possibly more than once: first as if all rows were good; when PostgreSQL refuses one, everything is
 * rolled back and done again with care, rows apart. What was found wrong with a row (code) stays from one run to the next; what was
 * done about it (returned, merged) is forgotten.
 */
#ifndef TIDEGATE_HANDLERS_SYNC_SYNC_H
#define TIDEGATE_HANDLERS_SYNC_SYNC_H

#include "core/base/json_tree.h"
#include "core/schema/catalog.h"
#include "fcgi/response.h"
#include "handlers/sync/rejections.h"

enum {
	SYNC_ROW_MAX = 128 << 10,        /* bytes of the values of one row */
	SYNC_KEY_MAX = 512,              /* bytes of one column of a key, or of a natural key */
	SYNC_ANSWER_SOFT_MAX = 3 << 20,  /* a page ends once it has so many bytes */
	SYNC_NO_TABLE = UINT16_MAX,
};

/* One change as the client sent it, checked. */
struct sync_row {
	unsigned table;      /* place among the tables of the app, or SYNC_NO_TABLE */
	const struct json_node *change;
	const char **values; /* key, then value columns, as texts that PostgreSQL reads; NULL: nothing */
	const char *mask;    /* '0' for value columns that the client said nothing of; NULL when it named them all */
	int64_t modified;    /* microseconds since 1970 */
	bool known;          /* its key is one: the row can be looked up, whatever else is wrong */
	bool deleted;
	bool dropped;        /* there is nothing to do: a delete of what cannot exist */
	bool returned;       /* the client gets this row as it is stored */
	enum rejection code; /* why it is not taken */
};

/* The row went into another one that has the same natural key. */
struct sync_merge {
	const struct sync_row *row;
	const char **key; /* of the row that stays */
	const char *into; /* its id as it travels */
};

/* Where a page ended. */
struct sync_place {
	size_t table; /* the number of tables: in the revocations */
	int64_t seq;
	const char *key[SCHEMA_SYNC_KEYS_MAX]; /* of revocations: table and row id */
};

struct sync_call {
	struct request *request;
	struct pg *pg;
	struct arena *arena;
	const struct sync_app *app;
	const char *scope;
	/* as asked */
	const struct json_node *changes; /* a list, or NULL */
	const char *device;     /* NULL only without changes */
	const char *request_id; /* or NULL */
	int64_t since;          /* 0: from the beginning */
	int64_t schema_version;
	int64_t migrated_from;  /* the client has just been brought up from this version; 0: it has not */
	int64_t page_size;
	bool paging;            /* goes on behind `place` */
	struct sync_place place;
	/* as found */
	struct sync_row *rows;
	size_t row_count;
	char digest[65];
	/* of the run at hand */
	bool careful;
	bool pushed;       /* committed, with rows that had not been pushed before */
	int64_t version;   /* of this push */
	int64_t bound;     /* the page goes up to here */
	int64_t timestamp; /* what the client may ask with next, once it has the last page */
	struct sync_merge *merges;
	size_t merge_count;
	const struct json_node *replayed; /* what was said of the rows the first time, or NULL */
};

static inline size_t sync_columns(const struct schema_table *table)
{
	return table->sync->key_count + table->sync->value_count;
}

/* request.c: fills what is asked. False after a refusal. */
bool sync_read_request(struct sync_call *call, struct response *response);

/* The app and the scope of a call: the app by the claim `app` of the token or by its name as asked for, if any. False after a refusal. */
bool sync_find_app(struct response *response, const char *asked, const struct sync_app **ret_app, const char **ret_scope);

/* 2026-11-20T10:09:01.123456Z / back. */
const char *sync_time(struct arena *arena, int64_t us);

/* changes.c: checks every change; a row per change, in their order. */
enum err sync_read_changes(struct sync_call *call) MUST_USE;

/* values.c: a JSON value as the text that PostgreSQL reads for that column. REJECT_NONE, or what is wrong with it. */
enum rejection sync_value(struct arena *arena, const struct schema_column *column, const struct json_node *value, const char **ret);

/* parents.c: rejects rows that refer to what neither exists nor comes with them. */
enum err sync_check_parents(struct sync_call *call) MUST_USE;

/* push.c: writes the rows. *ret_rows_failed: PostgreSQL refused some row, and the transaction is lost. */
enum err sync_push(struct sync_call *call, bool *ret_rows_failed) MUST_USE;
/* Rows (of one table, of one kind) in one statement. */
enum err sync_write(struct sync_call *call, unsigned table, enum sync_statement kind, struct sync_row *const *rows, size_t count) MUST_USE;
/* Does the failure that PostgreSQL has just reported lie in a row? */
bool sync_is_row_failure(const struct pg *pg);
/* Arrays of so many columns from `first` on, of `count` rows, as literals. ERR_TOO_LARGE without memory. */
enum err sync_arrays(struct arena *arena, struct sync_row *const *rows, size_t count, size_t first, size_t columns, const char **ret) MUST_USE;

/* merge.c: a row that has the natural key of another one goes into it. The transaction is at the savepoint before the row. */
enum err sync_merge_row(struct sync_call *call, struct sync_row *row) MUST_USE;

/* pull.c: writes the changes of the page. *ret_more: there is a next one, from call->place on. */
enum err sync_pull(struct sync_call *call, struct json_writer *w, bool *ret_more) MUST_USE;
/* The rows that the client must be sent as they are stored, whenever they changed. */
enum err sync_put_returned(struct sync_call *call, struct json_writer *w) MUST_USE;

/* cursor.c: call->place and its bounds as a text that only we can make, for this user and app. */
const char *sync_cursor_make(const struct sync_call *call);
bool sync_cursor_read(struct sync_call *call, const char *text);

/* answer.c: what was said of the rows, for the answer and for a client that asks again. */
void sync_put_outcome(struct sync_call *call, struct json_writer *w);
/* Keeps it and commits. */
enum err sync_commit_answered(struct sync_call *call) MUST_USE;

/* events.c: tells the others of the scope, after the commit of a push that changed something. Never fails. */
void sync_hint(const struct sync_call *call);

#endif
