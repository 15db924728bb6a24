/*
 * The hardened connection. Called by sqlite_read.c and sqlite_schema.c. Must never run a statement that the authorizer did
 * not see, nor let text of the file decide what is run.
 */
#include "readers/sqlite_open.h"

#include "readers/sqlite_file.h"

#include <string.h>

#define STEPS_BETWEEN 10000 /* of the virtual machine, between two looks at the budget */
#define STEPS_LEAST 100000000ll
#define STEPS_PER_BYTE 128 /* a row takes four bytes at least and has 100 columns at most, each checked in five steps */

struct limit {
	int id, value;
};

/* Both while the schema is read and afterwards. */
static const struct limit always[] = {
	{SQLITE_LIMIT_LENGTH, SQLITE_CELL_MAX}, {SQLITE_LIMIT_SQL_LENGTH, 100000},   {SQLITE_LIMIT_COLUMN, SQLITE_COLUMNS_MAX},
	{SQLITE_LIMIT_ATTACHED, 0},             {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50}, {SQLITE_LIMIT_VARIABLE_NUMBER, 10},
	{SQLITE_LIMIT_TRIGGER_DEPTH, 10},       {SQLITE_LIMIT_WORKER_THREADS, 0},
};

/* Views, checks and triggers of honest files are parsed with the schema, though never run; the check of a file with many tables is a long program. */
static const struct limit loading[] = {
	{SQLITE_LIMIT_EXPR_DEPTH, 100},
	{SQLITE_LIMIT_COMPOUND_SELECT, 50},
	{SQLITE_LIMIT_FUNCTION_ARG, 127},
	{SQLITE_LIMIT_VDBE_OP, 1000000},
};

static const struct limit reading[] = {
	{SQLITE_LIMIT_COLUMN, SQLITE_COLUMNS_MAX + 1}, /* the rowid */
	{SQLITE_LIMIT_EXPR_DEPTH, 10},
	{SQLITE_LIMIT_COMPOUND_SELECT, 3},
	{SQLITE_LIMIT_FUNCTION_ARG, 8},
	{SQLITE_LIMIT_VDBE_OP, 25000},
};

static void set_limits(sqlite3 *db, const struct limit *limits, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sqlite3_limit(db, limits[i].id, limits[i].value);
}

void sqlite_tighten(struct sqlite_database *database)
{
	set_limits(database->db, reading, sizeof(reading) / sizeof(reading[0]));
}

/* ---- what statements may do ---- */

static bool is_one_of(const char *name, const char *const *list)
{
	for (; *list; list++) {
		if (text_equal(name, *list))
			return true;
	}
	return false;
}

/* Reading columns of the one table that was named, and a few pragmas. No functions, no views, no other tables, nothing that writes. */
static int authorize(void *context, int action, const char *first, const char *second, const char *schema, const char *through)
{
	static const char *const pragmas[] = {"quick_check", "table_xinfo", "cell_size_check", "mmap_size", "temp_store", "ignore_check_constraints", "query_only", NULL};
	const struct sqlite_database *database = context;
	(void)second, (void)schema;
	if (through)
		return SQLITE_DENY;
	if (action == SQLITE_PRAGMA)
		return is_one_of(first, pragmas) ? SQLITE_OK : SQLITE_DENY;
	if (action == SQLITE_SELECT)
		return SQLITE_OK;
	bool named = action == SQLITE_READ && first && database->allowed && sqlite3_stricmp(first, database->allowed) == 0;
	return named ? SQLITE_OK : SQLITE_DENY;
}

static int spend(void *context)
{
	struct sqlite_database *database = context;
	database->steps_left -= STEPS_BETWEEN;
	return database->steps_left < 0;
}

/* Collations of the system that wrote the file (LOCALIZED of Android) are not needed: nothing is ever compared. */
static int compare_bytes(void *context, int n, const void *a, int m, const void *b)
{
	(void)context;
	int order = n && m ? memcmp(a, b, (size_t)(n < m ? n : m)) : 0;
	return order ? order : n - m;
}

static void stand_in(void *context, sqlite3 *db, int encoding, const char *name)
{
	(void)context;
	sqlite3_create_collation(db, name, encoding, NULL, compare_bytes);
}

/* ---- opening ---- */

static int configure(sqlite3 *db)
{
	static const struct {
		int id, on;
	} rows[] = {
		{SQLITE_DBCONFIG_DEFENSIVE, 1},           {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},       {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
		{SQLITE_DBCONFIG_ENABLE_VIEW, 0},         {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0}, {SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
		{SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0},     {SQLITE_DBCONFIG_DQS_DML, 0},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int now = -1;
		if (sqlite3_db_config(db, rows[i].id, rows[i].on, &now) != SQLITE_OK || now != rows[i].on)
			return SQLITE_ERROR;
	}
	return sqlite3_drop_modules(db, NULL); /* with no module there is no virtual table that could be connected */
}

static int run_settings(sqlite3 *db)
{
	static const char *const settings[] = {
		"PRAGMA cell_size_check = ON",
		"PRAGMA mmap_size = 0",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA ignore_check_constraints = ON", /* quick_check would run them */
		"PRAGMA query_only = ON",
	};
	int result = SQLITE_OK;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]) && result == SQLITE_OK; i++)
		result = sqlite3_exec(db, settings[i], NULL, NULL, NULL);
	return result;
}

enum err sqlite_open(struct sqlite_database *database, int64_t size, struct refusal *refusal)
{
	*database = (struct sqlite_database){.size = size, .refusal = refusal, .steps_left = STEPS_LEAST};
	int result = sqlite3_open_v2("input", &database->db, SQLITE_OPEN_READONLY, SQLITE_FILE_VFS);
	if (result != SQLITE_OK)
		return database->db ? sqlite_refuse(database, result) : ERR_TOO_LARGE;
	sqlite3_hard_heap_limit64(SQLITE_HEAP);
	sqlite3_extended_result_codes(database->db, 1);
	set_limits(database->db, always, sizeof(always) / sizeof(always[0]));
	set_limits(database->db, loading, sizeof(loading) / sizeof(loading[0]));
	sqlite3_set_authorizer(database->db, authorize, database);
	sqlite3_progress_handler(database->db, STEPS_BETWEEN, spend, database);
	result = configure(database->db);
	if (result == SQLITE_OK)
		result = sqlite3_collation_needed(database->db, NULL, stand_in);
	if (result == SQLITE_OK)
		result = run_settings(database->db);
	return result == SQLITE_OK ? OK : ERR_BUG;
}

void sqlite_close(struct sqlite_database *database)
{
	sqlite3_close(database->db);
	database->db = NULL;
}

/* ---- statements ---- */

void sqlite_grant_steps(struct sqlite_database *database)
{
	database->steps_left = STEPS_LEAST + STEPS_PER_BYTE * database->size;
}

/* What is wrong with a schema that the library cannot take is in its message alone. Everything else about it is damage. */
static const char *why_not_loaded(const char *message)
{
	static const struct {
		const char *part, *code;
	} rows[] = {
		{"too many columns", "sqlite_too_many_columns"},
		{"Expression tree is too large", "sqlite_too_complex"},
		{"string or blob too big", "sqlite_too_complex"},
		{"parser stack overflow", "sqlite_too_complex"},
		{"too many arguments", "sqlite_too_complex"},
		{"too many terms", "sqlite_too_complex"},
		{"unsupported file format", "sqlite_too_new"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strstr(message, rows[i].part))
			return rows[i].code;
	}
	return "sqlite_damaged";
}

enum err sqlite_refuse(struct sqlite_database *database, int result)
{
	switch (result & 0xff) {
	case SQLITE_NOMEM:
	case SQLITE_TOOBIG:
	case SQLITE_INTERRUPT:
		return refuse(database->refusal, "sqlite_too_complex");
	case SQLITE_IOERR:
		return refuse(database->refusal, result == SQLITE_IOERR_SHORT_READ ? "sqlite_damaged" : "read_error");
	default:
		return refuse(database->refusal, why_not_loaded(sqlite3_errmsg(database->db)));
	}
}

enum err sqlite_prepare(struct sqlite_database *database, const char *table, struct str sql, sqlite3_stmt **ret)
{
	sqlite3_stmt *statement = NULL;
	database->allowed = table;
	sqlite_grant_steps(database);
	int result = sqlite3_prepare_v3(database->db, sql.p, (int)sql.n, 0, &statement, NULL);
	if (result != SQLITE_OK)
		return sqlite_refuse(database, result);
	*ret = statement;
	return OK;
}

void sqlite_put_name(struct buf *sql, struct str name)
{
	buf_append_char(sql, '"');
	for (size_t i = 0; i < name.n; i++) {
		buf_append_char(sql, name.p[i]);
		if (name.p[i] == '"')
			buf_append_char(sql, '"');
	}
	buf_append_char(sql, '"');
}

/* A page that could not be had is a complaint too, with the library's result at its end; the file is not to blame for each of them. */
static enum err refuse_complaint(struct sqlite_database *database, const char *said)
{
	static const char mark[] = "error code=";
	const char *at = said ? strstr(said, mark) : NULL;
	int64_t result = SQLITE_CORRUPT;
	if (at && parse_i64_n(at + strlen(mark), strcspn(at + strlen(mark), "\n"), 0, INT32_MAX, &result))
		result = SQLITE_CORRUPT;
	return result == SQLITE_CORRUPT ? refuse(database->refusal, "sqlite_damaged") : sqlite_refuse(database, (int)result);
}

enum err sqlite_check(struct sqlite_database *database, const struct str *table)
{
	struct buf sql;
	sqlite3_stmt *statement = NULL;
	buf_init(&sql, 1 << 20);
	buf_append_text(&sql, "PRAGMA quick_check(");
	if (table)
		sqlite_put_name(&sql, *table);
	else
		buf_append_char(&sql, '1');
	enum err err = buf_append_char(&sql, ')');
	if (!err)
		err = sqlite_prepare(database, NULL, (struct str){sql.data, sql.len}, &statement);
	buf_release(&sql);
	if (err)
		return err;
	int result = sqlite3_step(statement);
	const char *said = result == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
	if (result != SQLITE_ROW)
		err = result == SQLITE_DONE ? refuse(database->refusal, "sqlite_damaged") : sqlite_refuse(database, result);
	else if (!text_equal(said, "ok"))
		err = refuse_complaint(database, said);
	sqlite3_finalize(statement);
	return err;
}
