/*
 * Connection, statements, scopes, transactions. Called by handlers, jobs and commands.
 * Must never build SQL from data, nor send a second statement on a connection whose transaction failed.
 */
#include "core/pg/pg.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/base/text.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { BACK_OFF_MIN_MS = 100, BACK_OFF_MAX_MS = 1000 };

void pg_init(struct pg *pg, const struct pg_options *options)
{
	*pg = (struct pg){.options = *options, .back_off_ms = BACK_OFF_MIN_MS};
}

void pg_close(struct pg *pg)
{
	PQfinish(pg->connection);
	pg->connection = NULL;
	pg->in_transaction = pg->opening = false;
	pg->told = 0;
}

void pg_listen(struct pg *pg, void (*tell)(void *context, const char *text), void *context)
{
	pg->tell = tell;
	pg->tell_context = context;
}

static void take_notice(void *what, const PGresult *notice)
{
	struct pg *pg = what;
	const char *state = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
	if (!text_equal(state, "TGHNT"))
		pg->other_notices(NULL, notice);
	else if (pg->tell && text && pg->told < PG_TOLD_MAX && strlen(text) < PG_TOLD_SIZE)
		snprintf(pg->texts[pg->told++], PG_TOLD_SIZE, "%s", text);
}

/* The end of a transaction. */
static enum err settle(struct pg *pg, enum err err)
{
	for (int i = 0; !err && i < pg->told; i++)
		pg->tell(pg->tell_context, pg->texts[i]);
	pg->told = 0;
	return err;
}

/* A statement that stood alone was one. */
static enum err settle_alone(struct pg *pg, enum err err)
{
	return pg->in_transaction ? err : settle(pg, err);
}

static void remember(struct pg *pg, const char *sqlstate, const char *message)
{
	snprintf(pg->sqlstate, sizeof(pg->sqlstate), "%s", sqlstate ? sqlstate : "");
	snprintf(pg->message, sizeof(pg->message), "%s", message ? message : "");
	for (char *c = pg->message; *c; c++)
		if (*c == '\n')
			*c = ' ';
}

/* Prefixes of SQLSTATE, longest first where they overlap. */
static const struct {
	const char *prefix;
	enum err err;
} sqlstates[] = {
    {"TGLST", ERR_LOST},   {"TG404", ERR_NOT_FOUND}, {"TG409", ERR_CONFLICT}, {"23505", ERR_CONFLICT}, {"40001", ERR_CONFLICT},
    {"40P01", ERR_CONFLICT}, {"55P03", ERR_TIMEOUT},   {"57014", ERR_TIMEOUT},  {"25P03", ERR_UNAVAILABLE}, {"57P", ERR_UNAVAILABLE},
    {"08", ERR_UNAVAILABLE}, {"53", ERR_UNAVAILABLE},  {"58", ERR_UNAVAILABLE}, {"22", ERR_INVALID},    {"54", ERR_INVALID},    {"23", ERR_INVALID},
    {"P0001", ERR_INVALID}, /* RAISE in somebody's trigger; our own functions raise TG… */
};

static enum err fail(struct pg *pg, const PGresult *result)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *message = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	remember(pg, state, message ? message : PQerrorMessage(pg->connection));
	enum err err = state ? ERR_BUG : ERR_UNAVAILABLE;
	for (size_t i = 0; state && i < sizeof(sqlstates) / sizeof(sqlstates[0]); i++)
		if (text_starts_with(state, sqlstates[i].prefix)) {
			err = sqlstates[i].err;
			break;
		}
	if (err == ERR_BUG || err == ERR_UNAVAILABLE)
		log_write(err_log_level(err), "database_error", LOG_TEXT("sqlstate", pg->sqlstate), LOG_TEXT("message", pg->message));
	if (PQstatus(pg->connection) == CONNECTION_BAD)
		pg_close(pg);
	return err;
}

/*
 * A machine that is gone says nothing: after a minute of silence each side gives the other up, so that no lock is held for one that
 * will never come back. Only over TCP; a connection string may say otherwise for our side.
 */
#define SERVER_KEEPALIVES "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3 -c tcp_user_timeout=60s"

static const char *session_options(struct pg *pg, char *out, size_t size)
{
	snprintf(out, size,
	         "-c statement_timeout=%lld -c lock_timeout=%lld -c idle_in_transaction_session_timeout=%lld -c TimeZone=UTC -c DateStyle=ISO "
	         "-c client_min_messages=warning -c client_connection_check_interval=10s " SERVER_KEEPALIVES,
	         (long long)pg->options.statement_timeout_ms, (long long)pg->options.lock_timeout_ms,
	         (long long)pg->options.idle_in_transaction_timeout_ms);
	return out;
}

static PGconn *connect_now(struct pg *pg)
{
	char options[512];
	const char *password = pg->options.password && *pg->options.password ? pg->options.password : NULL;
	/* dbname is expanded as a connection string: it wins over what stands before it, and what stands after wins over it. */
	const char *keywords[] = {"keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "dbname", "application_name",
	                          "client_encoding", "connect_timeout", "options", password ? "password" : NULL, NULL};
	const char *values[] = {"30", "10", "3", "60000", pg->options.conninfo, pg->options.application_name, "UTF8", "5", session_options(pg, options, sizeof(options)),
	                        password, NULL};
	return PQconnectdbParams(keywords, values, 1);
}

/* A server that went away has closed the idle connection, perhaps with a last word: seen here, it costs no request. */
static bool still_there(struct pg *pg)
{
	struct pollfd fd = {.fd = PQsocket(pg->connection), .events = POLLIN};
	while (PQstatus(pg->connection) == CONNECTION_OK && poll(&fd, 1, 0) > 0 && PQconsumeInput(pg->connection))
		;
	return PQstatus(pg->connection) == CONNECTION_OK;
}

enum err pg_ensure(struct pg *pg)
{
	if (pg->connection && still_there(pg))
		return OK;
	pg_close(pg);
	int64_t now = clock_monotonic_us();
	if (now < pg->retry_at_us)
		return ERR_UNAVAILABLE;
	pg->connection = connect_now(pg);
	if (PQstatus(pg->connection) != CONNECTION_OK) {
		remember(pg, "08006", PQerrorMessage(pg->connection));
		log_write(LOG_LEVEL_WARN, "database_unreachable", LOG_TEXT("message", pg->message), LOG_INT("retryInMs", pg->back_off_ms));
		pg_close(pg);
		pg->retry_at_us = clock_monotonic_us() + pg->back_off_ms * 1000;
		pg->back_off_ms = pg->back_off_ms * 2 > BACK_OFF_MAX_MS ? BACK_OFF_MAX_MS : pg->back_off_ms * 2;
		return ERR_UNAVAILABLE;
	}
	pg->other_notices = PQsetNoticeReceiver(pg->connection, take_notice, pg);
	memset(pg->prepared, 0, sizeof(pg->prepared));
	memset(pg->generated_prepared, 0, sizeof(pg->generated_prepared));
	pg->back_off_ms = BACK_OFF_MIN_MS;
	pg->retry_at_us = 0;
	if (pg->was_connected)
		metrics_add(METRIC_DATABASE_RECONNECTS, 1);
	pg->was_connected = true;
	return OK;
}

static void clear_result(void *what)
{
	PQclear(what);
}

/* Takes ownership of the result. */
static enum err deliver(struct pg *pg, struct arena *arena, PGresult *result, struct pg_rows *ret)
{
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		enum err err = fail(pg, result);
		PQclear(result);
		return err;
	}
	int64_t affected = 0;
	if (parse_i64(PQcmdTuples(result), 0, INT64_MAX, &affected))
		affected = 0;
	if (!ret) {
		PQclear(result);
		return OK;
	}
	if (arena_defer(arena, clear_result, result))
		return ERR_TOO_LARGE;
	*ret = (struct pg_rows){result, PQntuples(result), affected};
	return OK;
}

static enum err finish_opening(struct pg *pg) MUST_USE;

static enum err prepare(struct pg *pg, const char *name, const char *sql)
{
	enum err settled = finish_opening(pg);
	if (settled)
		return settled;
	PGresult *result = PQprepare(pg->connection, name, sql, 0, NULL);
	enum err err = PQresultStatus(result) == PGRES_COMMAND_OK ? OK : fail(pg, result);
	PQclear(result);
	return err;
}

static enum err prepare_statement(struct pg *pg, enum stmt stmt)
{
	if (pg->prepared[stmt])
		return OK;
	enum err err = prepare(pg, statements[stmt].name, statements[stmt].sql);
	pg->prepared[stmt] = !err;
	return err;
}

/*
 * Reads what a pipeline has to say up to its sync, and leaves it. Gives the result at that place, or the first failure before it. A connection whose
 * pipeline did not come to its end is of no more use.
 */
static PGresult *collect(struct pg *pg, bool sent, int wanted)
{
	PGresult *result = NULL, *next;
	bool finished = false;
	sent = sent && PQpipelineSync(pg->connection);
	for (int position = 0; sent && !finished && position < 8;) {
		next = PQgetResult(pg->connection);
		if (!next) {
			position++;
			continue;
		}
		ExecStatusType status = PQresultStatus(next);
		finished = status == PGRES_PIPELINE_SYNC || PQstatus(pg->connection) == CONNECTION_BAD;
		bool keep = status != PGRES_PIPELINE_SYNC && status != PGRES_PIPELINE_ABORTED && (position == wanted || status == PGRES_FATAL_ERROR);
		if (keep && !result)
			result = next;
		else
			PQclear(next);
	}
	pg->opening = false;
	if (!PQexitPipelineMode(pg->connection) || !finished)
		pg_close(pg);
	return result;
}

static bool send_statement(struct pg *pg, enum stmt stmt, const char *const *values)
{
	return PQsendQueryPrepared(pg->connection, statements[stmt].name, statements[stmt].parameters, values, NULL, NULL, 0);
}

static bool send_command(struct pg *pg, const char *sql)
{
	return PQsendQueryParams(pg->connection, sql, 0, NULL, NULL, NULL, NULL, 0);
}

static bool send_scope(struct pg *pg, const struct pg_scope *scope)
{
	return send_statement(pg, STMT_SET_SCOPE, PG_VALUES(scope->sub, scope->space, scope->role));
}

/* Results that are owed are waited for before anything is done that is no statement of a pipeline. */
static enum err finish_opening(struct pg *pg)
{
	enum { SCOPE = 1 };
	if (!pg->opening)
		return OK;
	PGresult *result = collect(pg, true, SCOPE);
	enum err err = PQresultStatus(result) == PGRES_TUPLES_OK ? OK : fail(pg, result);
	PQclear(result);
	return err;
}

/* Only at the outermost level may a connection be made anew: inside a transaction its loss is the caller's failure. */
static enum err ready(struct pg *pg)
{
	if (!pg->in_transaction)
		return pg_ensure(pg);
	return pg->connection ? OK : ERR_UNAVAILABLE;
}

/* Runs a prepared statement; the first one of a transaction together with what opens it. */
static enum err execute(struct pg *pg, struct arena *arena, const char *name, int parameters, const char *const *values, struct pg_rows *ret)
{
	enum { BEHIND_SCOPE = 2 };
	PGresult *result;
	if (pg->opening)
		result = collect(pg, PQsendQueryPrepared(pg->connection, name, parameters, values, NULL, NULL, 0), BEHIND_SCOPE);
	else
		result = PQexecPrepared(pg->connection, name, parameters, values, NULL, NULL, 0);
	return result ? deliver(pg, arena, result, ret) : fail(pg, NULL);
}

enum err pg_query(struct pg *pg, struct arena *arena, enum stmt stmt, const char *const *values, struct pg_rows *ret)
{
	enum err err = ready(pg);
	if (!err)
		err = prepare_statement(pg, stmt);
	return err ? err : settle_alone(pg, execute(pg, arena, statements[stmt].name, statements[stmt].parameters, values, ret));
}

enum err pg_ask(struct pg *pg, struct arena *arena, const struct pg_scope *scope, enum stmt stmt, const char *const *values, struct pg_rows *ret)
{
	return pg->in_transaction ? pg_query(pg, arena, stmt, values, ret) : pg_call(pg, arena, scope, stmt, values, ret);
}

enum err pg_query_generated(struct pg *pg, struct arena *arena, unsigned slot, const char *sql, int parameters, const char *const *values,
                            struct pg_rows *ret)
{
	char name[32];
	enum err err = slot < PG_GENERATED_MAX ? ready(pg) : ERR_BUG;
	if (err)
		return err;
	snprintf(name, sizeof(name), "generated_%u", slot);
	if (!pg->generated_prepared[slot]) {
		err = prepare(pg, name, sql);
		if (err)
			return err;
		pg->generated_prepared[slot] = true;
	}
	return settle_alone(pg, execute(pg, arena, name, parameters, values, ret));
}

enum err pg_call(struct pg *pg, struct arena *arena, const struct pg_scope *scope, enum stmt stmt, const char *const *values,
                 struct pg_rows *ret)
{
	enum err err = ready(pg);
	if (!err)
		err = prepare_statement(pg, STMT_SET_SCOPE);
	if (!err)
		err = prepare_statement(pg, stmt);
	if (err)
		return err;
	/* One pipeline is one implicit transaction. */
	if (!PQenterPipelineMode(pg->connection))
		return fail(pg, NULL);
	PGresult *result = collect(pg, send_scope(pg, scope) && send_statement(pg, stmt, values), 1);
	return settle(pg, result ? deliver(pg, arena, result, ret) : fail(pg, NULL));
}

enum err pg_begin(struct pg *pg, const struct pg_scope *scope)
{
	static const struct pg_scope nobody = {"", "", ""};
	enum err err = pg->in_transaction ? ERR_BUG : pg_ensure(pg);
	if (!err)
		err = prepare_statement(pg, STMT_SET_SCOPE);
	if (err)
		return err;
	if (!PQenterPipelineMode(pg->connection))
		return fail(pg, NULL);
	pg->in_transaction = pg->opening = true;
	if (send_command(pg, "BEGIN") && send_scope(pg, scope ? scope : &nobody))
		return OK;
	err = fail(pg, NULL);
	pg_close(pg);
	return err;
}

enum err pg_rescope(struct pg *pg, const struct pg_scope *scope)
{
	return pg_query(pg, NULL, STMT_SET_SCOPE, PG_VALUES(scope->sub, scope->space, scope->role), NULL);
}

/* A failed transaction answers COMMIT with ROLLBACK, as a success. */
static enum err committed(struct pg *pg, PGresult *result)
{
	enum err err = OK;
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		err = fail(pg, result);
	else if (strcmp(PQcmdStatus(result), "COMMIT") != 0)
		err = ERR_BUG;
	PQclear(result);
	return settle(pg, err);
}

enum err pg_commit(struct pg *pg)
{
	enum err err = pg->in_transaction ? OK : ERR_BUG;
	if (!err)
		err = pg->connection ? finish_opening(pg) : ERR_UNAVAILABLE;
	if (err)
		return err;
	pg->in_transaction = false;
	return committed(pg, PQexec(pg->connection, "COMMIT"));
}

enum err pg_commit_with(struct pg *pg, enum stmt stmt, const char *const *values)
{
	enum err err = pg->in_transaction ? ready(pg) : ERR_BUG;
	if (!err)
		err = finish_opening(pg);
	if (!err)
		err = prepare_statement(pg, stmt);
	if (err)
		return err;
	if (!PQenterPipelineMode(pg->connection))
		return fail(pg, NULL);
	PGresult *result = collect(pg, send_statement(pg, stmt, values) && send_command(pg, "COMMIT"), 1);
	/* A transaction whose last statement failed is still open. */
	pg->in_transaction = pg->connection && PQtransactionStatus(pg->connection) != PQTRANS_IDLE;
	return committed(pg, result);
}

void pg_rollback(struct pg *pg)
{
	if (!pg->in_transaction)
		return;
	if (finish_opening(pg) || !pg->connection) {
		pg_close(pg);
		return;
	}
	pg->in_transaction = false;
	pg->told = 0;
	PGresult *result = PQexec(pg->connection, "ROLLBACK");
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		pg_close(pg);
	PQclear(result);
}

enum err pg_script(struct pg *pg, const char *sql)
{
	enum err err = ready(pg);
	if (!err)
		err = finish_opening(pg);
	if (err)
		return err;
	pg->sqlstate[0] = '\0';
	PGresult *result = PQexec(pg->connection, sql);
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY)
		err = fail(pg, result);
	PQclear(result);
	return err;
}

enum err pg_copy_start(struct pg *pg, enum stmt stmt)
{
	if (!pg->in_transaction || !pg->connection)
		return ERR_BUG;
	enum err err = finish_opening(pg);
	if (err)
		return err;
	PGresult *result = PQexec(pg->connection, statements[stmt].sql);
	err = PQresultStatus(result) == PGRES_COPY_IN ? OK : fail(pg, result);
	PQclear(result);
	return err;
}

enum err pg_copy_put(struct pg *pg, const char *bytes, size_t n)
{
	if (!pg->connection)
		return ERR_UNAVAILABLE;
	return PQputCopyData(pg->connection, bytes, (int)n) == 1 ? OK : fail(pg, NULL);
}

enum err pg_copy_end(struct pg *pg)
{
	if (!pg->connection)
		return ERR_UNAVAILABLE;
	return PQputCopyEnd(pg->connection, NULL) == 1 ? OK : fail(pg, NULL);
}

enum err pg_copy_wait(struct pg *pg)
{
	enum err err = pg->connection ? OK : ERR_UNAVAILABLE;
	PGresult *result;
	while (pg->connection && (result = PQgetResult(pg->connection))) {
		if (PQresultStatus(result) != PGRES_COMMAND_OK && !err)
			err = fail(pg, result);
		PQclear(result);
	}
	return err;
}
