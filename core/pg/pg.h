/*
 * PostgreSQL: one connection per process, named statements only, scopes and transactions.
 *
 * - A statement is named by enum stmt (made from sql/queries at build time) and prepared once per connection, the
 *   first time it runs. Parameters are text, NULL is SQL NULL; their number is known from the statement.
 * - A scope is who the verified token says is asking. It reaches row-level security as transaction-local settings
 *   tidegate.sub, tidegate.space, tidegate.role. pg_call sets it and runs one statement in one round trip and one
 *   implicit transaction; pg_begin opens a transaction under it, in the round trip of its first statement.
 * - A lost connection fails the call with ERR_UNAVAILABLE; the next call connects again, with back-off (100 ms
 *   doubling to 1 s) so that a restarting server is not stormed.
 * - Over TCP, a side that has been silent for a minute is given up by the other (keepalives, tcp_user_timeout), and a statement
 *   whose client has closed the connection ends within 10 s.
 * - Rows belong to the arena of the call.
 *
 * Life cycle: pg_init, calls, pg_close.
 */
#ifndef TIDEGATE_CORE_PG_PG_H
#define TIDEGATE_CORE_PG_PG_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/json.h"

#include "statements.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

enum { PG_PARAMETERS_MAX = 24, PG_GENERATED_MAX = 4096, PG_TOLD_MAX = 8, PG_TOLD_SIZE = 1024 };

struct pg_options {
	const char *conninfo;
	const char *password;         /* NULL or "": none */
	const char *application_name; /* shown in pg_stat_activity */
	int64_t statement_timeout_ms;
	int64_t lock_timeout_ms;
	int64_t idle_in_transaction_timeout_ms;
};

struct pg {
	struct pg_options options;
	PGconn *connection;
	bool prepared[STMT_COUNT];
	bool generated_prepared[PG_GENERATED_MAX];
	bool in_transaction;
	bool opening; /* BEGIN and the scope are on their way: their results come with those of the next statement */
	bool was_connected;
	int64_t retry_at_us; /* no connection attempt before this monotonic time */
	int64_t back_off_ms;
	char sqlstate[6];  /* of the last failure, "" when none */
	char message[256]; /* of the last failure: for the log, never for a client */
	void (*tell)(void *context, const char *text);
	void *tell_context;
	PQnoticeReceiver other_notices;
	int told; /* texts of the transaction so far */
	char texts[PG_TOLD_MAX][PG_TOLD_SIZE];
};

struct pg_scope {
	const char *sub;
	const char *space;
	const char *role;
};

struct pg_rows {
	PGresult *result;
	int count;
	int64_t affected; /* rows an INSERT, UPDATE or DELETE touched */
};

/* The values of one call: pg_call(..., PG_VALUES(id, name), ...). */
#define PG_VALUES(...) ((const char *const[]){__VA_ARGS__})
#define PG_NONE ((const char *const[]){NULL})

void pg_init(struct pg *pg, const struct pg_options *options);
void pg_close(struct pg *pg);

/* What transactions say by tidegate.hint is told after their commit, in order; what one says that is rolled back is not. Beyond PG_TOLD_MAX texts of a
   transaction, or PG_TOLD_SIZE bytes, it is lost. tell must not use pg. Before the first connection. */
void pg_listen(struct pg *pg, void (*tell)(void *context, const char *text), void *context);

/* Connects when there is no live connection. ERR_UNAVAILABLE when it cannot or must still back off. */
enum err pg_ensure(struct pg *pg) MUST_USE;

/* Inside a transaction, or alone when no scope matters. Results: OK, ERR_CONFLICT (unique), ERR_TIMEOUT, ERR_UNAVAILABLE,
   ERR_INVALID (data exception), ERR_LOST (raised as TGLST: the lease is gone), ERR_BUG (anything that means our SQL is wrong). */
enum err pg_query(struct pg *pg, struct arena *arena, enum stmt stmt, const char *const *values, struct pg_rows *ret) MUST_USE;

/* One statement under a scope, one round trip, its own transaction. */
enum err pg_call(struct pg *pg, struct arena *arena, const struct pg_scope *scope, enum stmt stmt, const char *const *values,
                 struct pg_rows *ret) MUST_USE;

/* The one that fits: in the transaction that is open, or under that scope in one of its own. */
enum err pg_ask(struct pg *pg, struct arena *arena, const struct pg_scope *scope, enum stmt stmt, const char *const *values, struct pg_rows *ret) MUST_USE;

/* A statement made from a schema declaration; slot (< PG_GENERATED_MAX) names it on this connection. */
enum err pg_query_generated(struct pg *pg, struct arena *arena, unsigned slot, const char *sql, int parameters, const char *const *values,
                            struct pg_rows *ret) MUST_USE;

/* scope NULL: none is set. Waits for nothing: what goes wrong is said by the first statement. */
enum err pg_begin(struct pg *pg, const struct pg_scope *scope) MUST_USE;
/* Another scope for the rest of the open transaction. */
enum err pg_rescope(struct pg *pg, const struct pg_scope *scope) MUST_USE;
enum err pg_commit(struct pg *pg) MUST_USE;
/* A last statement and the commit in one round trip. After a failure of the statement the transaction is there to be rolled back. */
enum err pg_commit_with(struct pg *pg, enum stmt stmt, const char *const *values) MUST_USE;
void pg_rollback(struct pg *pg); /* also when there is nothing to roll back */

/* Several statements in one string, no parameters: migrations and DDL made from declarations only. */
enum err pg_script(struct pg *pg, const char *sql) MUST_USE;

/* COPY … FROM STDIN in the transaction that is open. stmt holds the COPY text. */
enum err pg_copy_start(struct pg *pg, enum stmt stmt) MUST_USE;
enum err pg_copy_put(struct pg *pg, const char *bytes, size_t n) MUST_USE;
/* Ends the data without waiting / waits for what PostgreSQL says of it. In between, other connections can be used. */
enum err pg_copy_end(struct pg *pg) MUST_USE;
enum err pg_copy_wait(struct pg *pg) MUST_USE;

/* Cells. pg_text: NULL for SQL NULL. Columns by position, as the statement lists them. */
const char *pg_text(const struct pg_rows *rows, int row, int column);
int64_t pg_i64(const struct pg_rows *rows, int row, int column); /* 0 for NULL */
bool pg_bool(const struct pg_rows *rows, int row, int column);

/* Decimal text in the arena ("0" when the arena is exhausted; the arena remembers). */
const char *pg_number(struct arena *arena, int64_t value);

/* The literal of a text[]; an item that is NULL is a NULL element. NULL: no memory. */
const char *pg_text_array(struct arena *arena, const char *const *items, size_t count);

/* A row as a JSON object: the column aliases are the member names, `a.b` nests b in a, json stays JSON, numbers are
   numbers, booleans booleans, timestamps ISO 8601 UTC. Columns whose alias starts with `_` are left out. */
void pg_row_json(struct json_writer *w, const char *name, const struct pg_rows *rows, int row);

/* The same members into an object that is open already, so that more can follow. */
void pg_row_members(struct json_writer *w, const struct pg_rows *rows, int row);

#endif
