/*
 * Generates SQLite DDL for clients of synced tables.
 * Called by GET /api/sync/schema, `tidegate schema` and the client of `tidegate sync`.
 * Never makes a constraint that what comes from the server could break while it is applied: natural keys are plain indexes here, foreign
 * keys are deferred, and the server is the judge of both.
 */
#include "core/schema/sqlite_ddl.h"

#include "core/schema/quote.h"
#include "core/schema/sync_statements.h"

enum { STATEMENT_MAX = 64 << 10, PER_TABLE = 8, CONTROL_STATEMENTS = 3 };

struct list {
	struct arena *arena;
	struct schema_texts texts;
	struct buf text; /* the statement that is being made */
	bool full;
};

static void end_statement(struct list *l)
{
	char *text = l->text.overflowed ? NULL : arena_strdup(l->arena, buf_text(&l->text));

	buf_clear(&l->text);
	if (text)
		l->texts.items[l->texts.count++] = text;
	else
		l->full = true;
}

static void statement(struct list *l, const char *text)
{
	buf_append_text(&l->text, text);
	end_statement(l);
}

/*
 * clock is the highest time that this database has given or seen, in microseconds: times of its changes rise, whatever the
 * machine's clock does. clock_offset is added to the machine's clock by a client that knows better. disabled is 1 while what came from
 * the server is written, in the same transaction.
 */
static void control(struct list *l)
{
	statement(l, "CREATE TABLE IF NOT EXISTS sync_control (id INTEGER PRIMARY KEY CHECK (id = 1), app TEXT NOT NULL, schema_version INTEGER NOT NULL, "
		     "device_id TEXT NOT NULL, disabled INTEGER NOT NULL DEFAULT 0, clock INTEGER NOT NULL DEFAULT 0, clock_offset INTEGER NOT NULL DEFAULT 0, "
		     "last_sync_at TEXT, pull_cursor TEXT)");
	statement(l, "CREATE TABLE IF NOT EXISTS sync_outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, table_name TEXT NOT NULL, row_id TEXT NOT NULL, "
		     "operation TEXT NOT NULL, changed_at INTEGER NOT NULL)");
	statement(l, "CREATE INDEX IF NOT EXISTS sync_outbox_row ON sync_outbox (table_name, row_id)");
}

static const char *type_of(enum schema_type type)
{
	if (type == SCHEMA_INTEGER || type == SCHEMA_BIGINT || type == SCHEMA_BOOLEAN)
		return "INTEGER";
	return type == SCHEMA_DOUBLE ? "REAL" : "TEXT";
}

static void literal(struct buf *out, const char *text)
{
	buf_append_char(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			buf_append_char(out, '\'');
		buf_append_char(out, *text);
	}
	buf_append_char(out, '\'');
}

static void column(struct buf *out, const struct schema_column *c, bool key)
{
	quote_identifier(out, c->name);
	buf_printf(out, " %s", type_of(c->type));
	if (key || c->required)
		buf_append_text(out, " NOT NULL");
	if (!c->default_value)
		return;
	buf_append_text(out, " DEFAULT ");
	if (c->type == SCHEMA_BOOLEAN)
		buf_append_text(out, text_equal(c->default_value, "true") ? "1" : "0");
	else
		literal(out, c->default_value);
}

static bool is_key(const struct schema_sync *sync, const struct schema_column *c)
{
	for (size_t i = 0; i < sync->key_count; i++)
		if (sync->key[i] == c)
			return true;
	return false;
}

/* Without the scope, which is the same for all rows of one database. */
static void names(struct buf *out, const struct schema_column *const *columns, size_t count, const struct schema_column *scope)
{
	const char *joint = "(";

	for (size_t i = 0; i < count; i++) {
		if (columns[i] == scope)
			continue;
		buf_append_text(out, joint);
		quote_identifier(out, columns[i]->name);
		joint = ", ";
	}
	buf_append_char(out, ')');
}

static void create_table(struct list *l, const struct schema_table *table)
{
	static const char *const actions[] = {
		[SCHEMA_DELETE_RESTRICT] = "NO ACTION", [SCHEMA_DELETE_CASCADE] = "CASCADE", [SCHEMA_DELETE_SET_NULL] = "SET NULL"};
	const struct schema_sync *sync = table->sync;
	struct buf *out = &l->text;

	buf_append_text(out, "CREATE TABLE IF NOT EXISTS ");
	quote_identifier(out, table->name);
	buf_append_text(out, " (");
	for (size_t i = 0; i < sync->own_count; i++) {
		column(out, &table->columns[i], is_key(sync, &table->columns[i]));
		buf_append_text(out, ", ");
	}
	buf_append_text(out, "last_modified_at INTEGER NOT NULL DEFAULT 0, PRIMARY KEY ");
	names(out, sync->key, sync->key_count, NULL);
	for (size_t i = 0; i < table->reference_count; i++) {
		const struct schema_reference *reference = &table->references[i];
		buf_append_text(out, ", FOREIGN KEY ");
		names(out, reference->from, reference->count, table->scope);
		buf_append_text(out, " REFERENCES ");
		quote_identifier(out, reference->table->name);
		buf_append_char(out, ' ');
		names(out, reference->to, reference->count, reference->table->scope);
		buf_printf(out, " ON DELETE %s DEFERRABLE INITIALLY DEFERRED", actions[reference->clear ? SCHEMA_DELETE_RESTRICT : reference->on_delete]);
	}
	buf_append_char(out, ')');
	end_statement(l);
	for (size_t i = 0; i < table->index_count; i++) {
		if (table->indexes[i].kind != SCHEMA_INDEX_BTREE)
			continue;
		buf_append_text(out, "CREATE INDEX IF NOT EXISTS ");
		quote_identifier(out, table->indexes[i].name);
		buf_append_text(out, " ON ");
		quote_identifier(out, table->name);
		buf_append_char(out, ' ');
		names(out, table->indexes[i].columns, table->indexes[i].count, NULL);
		end_statement(l);
	}
}

/* The row id as it travels: the key itself, or a JSON object of its columns. */
static void row_id(struct buf *out, const struct schema_sync *sync, const char *row)
{
	if (sync->key_count == 1) {
		buf_printf(out, "CAST(%s.", row);
		quote_identifier(out, sync->key[0]->name);
		buf_append_text(out, " AS TEXT)");
		return;
	}
	buf_append_text(out, "json_object(");
	for (size_t i = 0; i < sync->key_count; i++) {
		buf_append_text(out, i ? ", " : "");
		literal(out, sync->key[i]->name);
		buf_printf(out, ", %s.", row);
		quote_identifier(out, sync->key[i]->name);
	}
	buf_append_char(out, ')');
}

static void next_time(struct buf *out)
{
	buf_append_text(out, "UPDATE sync_control SET clock = max(CAST(strftime('%s', 'now') AS INTEGER) * 1000000 + CAST(substr(strftime('%f', 'now'), 4) AS INTEGER) * 1000 "
			     "+ clock_offset, clock + 1); ");
}

/* DELETE and INSERT, not OR REPLACE: inside a trigger the conflict clause of the outer statement would win. */
static void enqueue(struct buf *out, const struct schema_table *table, const char *row, const char *operation)
{
	buf_append_text(out, "DELETE FROM sync_outbox WHERE table_name = ");
	literal(out, table->name);
	buf_append_text(out, " AND row_id = ");
	row_id(out, table->sync, row);
	buf_append_text(out, "; INSERT INTO sync_outbox (table_name, row_id, operation, changed_at) SELECT ");
	literal(out, table->name);
	buf_append_text(out, ", ");
	row_id(out, table->sync, row);
	buf_printf(out, ", '%s', clock FROM sync_control; ", operation);
}

static void stamp(struct buf *out, const struct schema_table *table)
{
	const struct schema_sync *sync = table->sync;

	buf_append_text(out, "UPDATE ");
	quote_identifier(out, table->name);
	buf_append_text(out, " SET last_modified_at = (SELECT clock FROM sync_control) WHERE ");
	for (size_t i = 0; i < sync->key_count; i++) {
		buf_append_text(out, i ? " AND " : "");
		quote_identifier(out, sync->key[i]->name);
		buf_append_text(out, " = NEW.");
		quote_identifier(out, sync->key[i]->name);
	}
	buf_append_text(out, "; ");
}

static void trigger(struct buf *out, const struct schema_table *table, const char *name, const char *event)
{
	buf_printf(out, "CREATE TRIGGER IF NOT EXISTS \"%s_sync_%s\" %s", table->name, name, event);
}

static void on_table(struct buf *out, const struct schema_table *table, const char *more)
{
	buf_append_text(out, " ON ");
	quote_identifier(out, table->name);
	buf_printf(out, " WHEN (SELECT disabled FROM sync_control) = 0%s BEGIN ", more);
}

static void own_columns(struct buf *out, const struct schema_table *table)
{
	for (size_t i = 0; i < table->sync->own_count; i++) {
		buf_append_text(out, i ? ", " : " ");
		quote_identifier(out, table->columns[i].name);
	}
}

static void guard_catalogue(struct list *l, const struct schema_table *table)
{
	static const struct {
		const char *name, *event;
	} guards[] = {{"insert", "BEFORE INSERT"}, {"update", "BEFORE UPDATE"}, {"delete", "BEFORE DELETE"}};

	for (size_t i = 0; i < sizeof(guards) / sizeof(guards[0]); i++) {
		trigger(&l->text, table, guards[i].name, guards[i].event);
		on_table(&l->text, table, "");
		buf_append_text(&l->text, "SELECT RAISE(ABORT, 'this table is read only'); END");
		end_statement(l);
	}
}

/* The stamp touches last_modified_at alone, which the update trigger does not listen to: nothing is queued twice. */
static void record_changes(struct list *l, const struct schema_table *table)
{
	const struct schema_sync *sync = table->sync;
	struct buf *out = &l->text;

	trigger(out, table, "insert", "AFTER INSERT");
	on_table(out, table, "");
	next_time(out);
	stamp(out, table);
	enqueue(out, table, "NEW", "INSERT");
	buf_append_text(out, "END");
	end_statement(l);
	trigger(out, table, "update", "AFTER UPDATE OF");
	own_columns(out, table);
	on_table(out, table, "");
	next_time(out);
	stamp(out, table);
	enqueue(out, table, "NEW", "UPDATE");
	buf_append_text(out, "END");
	end_statement(l);
	trigger(out, table, "delete", "AFTER DELETE");
	on_table(out, table, "");
	next_time(out);
	enqueue(out, table, "OLD", "DELETE");
	buf_append_text(out, "END");
	end_statement(l);
	/* A row whose key changes is another row: the old one is gone. */
	trigger(out, table, "rekey", "AFTER UPDATE OF ");
	for (size_t i = 0; i < sync->key_count; i++) {
		buf_append_text(out, i ? ", " : "");
		quote_identifier(out, sync->key[i]->name);
	}
	on_table(out, table, "");
	next_time(out);
	buf_append_text(out, "DELETE FROM sync_outbox WHERE table_name = ");
	literal(out, table->name);
	buf_append_text(out, " AND row_id = ");
	row_id(out, sync, "OLD");
	buf_append_text(out, " AND ");
	row_id(out, sync, "OLD");
	buf_append_text(out, " <> ");
	row_id(out, sync, "NEW");
	buf_append_text(out, "; INSERT INTO sync_outbox (table_name, row_id, operation, changed_at) SELECT ");
	literal(out, table->name);
	buf_append_text(out, ", ");
	row_id(out, sync, "OLD");
	buf_append_text(out, ", 'DELETE', clock FROM sync_control WHERE ");
	row_id(out, sync, "OLD");
	buf_append_text(out, " <> ");
	row_id(out, sync, "NEW");
	buf_append_text(out, "; END");
	end_statement(l);
}

static void later_columns(struct list *l, const struct schema_table *table, int64_t from)
{
	for (size_t i = 0; i < table->sync->value_count; i++) {
		const struct schema_column *c = table->sync->values[i];
		if (c->since <= from)
			continue;
		buf_append_text(&l->text, "ALTER TABLE ");
		quote_identifier(&l->text, table->name);
		buf_append_text(&l->text, " ADD COLUMN ");
		column(&l->text, c, false);
		end_statement(l);
	}
}

static void one_table(struct list *l, const struct schema_table *table, int64_t from)
{
	if (from && table->sync->since <= from) {
		later_columns(l, table, from);
		/* The update trigger names its columns: one that does not know the new ones would miss their changes. */
		buf_printf(&l->text, "DROP TRIGGER IF EXISTS \"%s_sync_update\"", table->name);
		end_statement(l);
	} else {
		create_table(l, table);
	}
	if (table->scope)
		record_changes(l, table);
	else
		guard_catalogue(l, table);
}

enum err sync_sqlite_ddl(const struct schema_app *app, struct arena *arena, int64_t from, struct schema_texts *ret)
{
	struct list l = {.arena = arena};
	size_t max = CONTROL_STATEMENTS + 1;

	for (size_t t = 0; t < app->synced_count; t++)
		max += PER_TABLE + app->synced[t]->index_count + app->synced[t]->sync->value_count;
	l.texts.items = arena_array(arena, max, sizeof(*l.texts.items));
	if (!l.texts.items)
		return ERR_TOO_LARGE;
	buf_init(&l.text, STATEMENT_MAX);
	if (!from)
		control(&l);
	for (size_t t = 0; t < app->synced_count; t++)
		one_table(&l, app->synced[t], from);
	if (from) {
		buf_printf(&l.text, "UPDATE sync_control SET schema_version = %lld", (long long)app->version);
		end_statement(&l);
	}
	buf_release(&l.text);
	if (l.full)
		return ERR_TOO_LARGE;
	*ret = l.texts;
	return OK;
}

enum err sync_sqlite_check(const struct schema_app *app, struct buf *out)
{
	for (size_t t = 0; t < app->synced_count; t++) {
		buf_append_text(out, t ? " UNION ALL SELECT " : "SELECT ");
		literal(out, app->synced[t]->name);
		buf_append_text(out, " AS table_name, count(*) AS rows, CAST(coalesce(sum(");
		sync_row_hash(out, app->synced[t], "t", true);
		buf_append_text(out, "), 0) AS TEXT) AS checksum FROM ");
		quote_identifier(out, app->synced[t]->name);
		buf_append_text(out, " AS t");
	}
	return out->overflowed ? ERR_TOO_LARGE : OK;
}
