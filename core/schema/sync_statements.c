/*
 * Generates the statements of synced tables. sync_statements.h shows what they do.
 * Called once per table at start; the texts are then prepared like any named statement.
 * Rows are found by subqueries that cannot be flattened, one look at the primary key for each: a join would be planned by what the planner believes
 * of a table that has just been made, and then be gone through in a square.
 * Never puts a value of a request into SQL: values are parameters, names are quoted, literals come from the declaration.
 */
#include "core/schema/sync_statements.h"

#include "core/schema/quote.h"

enum { HASH_ENDS = 8 };

static void qualified(struct buf *out, const char *alias, const char *name)
{
	buf_append_text(out, alias);
	buf_append_char(out, '.');
	quote_identifier(out, name);
}

static void table_as(struct buf *out, const struct schema_app *app, const struct schema_table *table, const char *alias)
{
	quote_table(out, app->name, table->name);
	buf_append_text(out, " AS ");
	buf_append_text(out, alias);
}

/* alias."sync_scope" = $1, and nothing about a catalogue but that the parameter is named. */
static void in_scope(struct buf *out, const struct schema_table *table, const char *alias)
{
	if (table->scope)
		buf_printf(out, "%s.\"sync_scope\" = $1::text", alias);
	else
		buf_append_text(out, "$1::text IS NOT NULL");
}

/* $first::type[], … : the arrays of a key; the aliases of their elements are c1, c2, … */
static void key_arrays(struct buf *out, const struct schema_sync *sync, size_t first)
{
	for (size_t i = 0; i < sync->key_count; i++)
		buf_printf(out, "%s$%zu::%s[]", i ? ", " : "", first + i, schema_type_postgres(sync->key[i]->type));
}

static void numbered(struct buf *out, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%sc%zu", i ? ", " : "", i + 1);
}

/* The stored row alias is the one that the elements of `given` name. */
static void same_key(struct buf *out, const struct schema_table *table, const char *alias, const char *given)
{
	in_scope(out, table, alias);
	for (size_t i = 0; i < table->sync->key_count; i++) {
		buf_append_text(out, " AND ");
		qualified(out, alias, table->sync->key[i]->name);
		buf_printf(out, " = %s.c%zu", given, i + 1);
	}
}

static void key_names(struct buf *out, const struct schema_sync *sync, const char *alias)
{
	for (size_t i = 0; i < sync->key_count; i++) {
		buf_append_text(out, i ? ", " : "");
		qualified(out, alias, sync->key[i]->name);
	}
}

/* A value as it travels: what SQLite would store for it, so that clients need no conversion. */
static void wire_value(struct buf *out, const struct schema_column *column)
{
	if (column->type == SCHEMA_BOOLEAN || column->type == SCHEMA_NUMERIC || column->type == SCHEMA_JSONB) {
		qualified(out, "t", column->name);
		buf_append_text(out, column->type == SCHEMA_BOOLEAN ? "::int AS " : "::text AS ");
		quote_identifier(out, column->name);
	} else if (column->type == SCHEMA_TIMESTAMPTZ) {
		buf_append_text(out, "to_char(");
		qualified(out, "t", column->name);
		buf_append_text(out, " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS ");
		quote_identifier(out, column->name);
	} else {
		qualified(out, "t", column->name);
	}
}

static void wire_row(struct buf *out, const struct schema_table *table)
{
	const struct schema_sync *sync = table->sync;

	buf_append_text(out, "t.\"server_seq\", t.\"deleted\", t.\"last_modified_at\", t.\"device_id\", ");
	if (sync->key_count == 1) {
		qualified(out, "t", sync->key[0]->name);
		buf_append_text(out, "::text");
	} else {
		buf_append_text(out, "(SELECT row_to_json(k) FROM (SELECT ");
		key_names(out, sync, "t");
		buf_append_text(out, ") AS k)::text");
	}
	buf_append_text(out, ",\n    CASE WHEN t.\"deleted\" THEN (SELECT row_to_json(k) FROM (SELECT ");
	key_names(out, sync, "t");
	buf_append_text(out, ") AS k)\n    ELSE (SELECT row_to_json(d) FROM (SELECT ");
	for (size_t i = 0; i < sync->own_count; i++) {
		buf_append_text(out, i ? ", " : "");
		wire_value(out, &table->columns[i]);
	}
	buf_append_text(out, ") AS d) END::text");
	for (size_t i = 0; i < sync->key_count; i++) {
		buf_append_text(out, ", ");
		qualified(out, "t", sync->key[i]->name);
		buf_append_text(out, "::text");
	}
}

static void pull(struct buf *out, const struct schema_app *app, const struct schema_table *table, bool after)
{
	const struct schema_sync *sync = table->sync;

	buf_append_text(out, "SELECT ");
	wire_row(out, table);
	buf_append_text(out, "\nFROM ");
	table_as(out, app, table, "t");
	buf_append_text(out, "\nWHERE ");
	in_scope(out, table, "t");
	buf_append_text(out, " AND t.\"server_seq\" <= $3::bigint AND ");
	if (!after) {
		buf_append_text(out, "t.\"server_seq\" > $2::bigint");
	} else {
		buf_append_text(out, "(t.\"server_seq\", ");
		key_names(out, sync, "t");
		buf_append_text(out, ") > ($2::bigint");
		for (size_t i = 0; i < sync->key_count; i++)
			buf_printf(out, ", $%zu::%s", i + 5, schema_type_postgres(sync->key[i]->type));
		buf_append_char(out, ')');
	}
	buf_append_text(out, "\nORDER BY t.\"server_seq\", ");
	key_names(out, sync, "t");
	buf_append_text(out, " LIMIT $4::bigint");
}

static void value_default(struct buf *out, const struct schema_column *column)
{
	if (column->default_value)
		quote_literal(out, column->default_value);
	else
		buf_append_text(out, "NULL");
	buf_printf(out, "::%s", schema_type_postgres(column->type));
}

/* Rows of a patch with what they say nothing of filled in. The lock on the scope keeps what is read here from changing. */
static void patched(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	const struct schema_sync *sync = table->sync;
	size_t keys = sync->key_count;

	buf_append_text(out, "(SELECT g.n");
	for (size_t i = 0; i < keys; i++)
		buf_printf(out, ", g.c%zu", i + 1);
	for (size_t i = 0; i < sync->value_count; i++) {
		buf_printf(out, ",\n    CASE WHEN g.gone OR substr(g.mask, %zu, 1) = '1' THEN g.c%zu WHEN s.\"deleted\" IS FALSE THEN ", i + 1, keys + i + 1);
		qualified(out, "s", sync->values[i]->name);
		buf_append_text(out, " ELSE ");
		value_default(out, sync->values[i]);
		buf_printf(out, " END AS c%zu", keys + i + 1);
	}
	buf_append_text(out, ", g.gone, g.lm\nFROM given AS g LEFT JOIN LATERAL (SELECT * FROM ");
	table_as(out, app, table, "t");
	buf_append_text(out, " WHERE ");
	same_key(out, table, "t", "g");
	buf_append_text(out, " OFFSET 0) AS s ON true)");
}

static void given_rows(struct buf *out, const struct schema_table *table, bool patch)
{
	const struct schema_sync *sync = table->sync;
	size_t columns = sync->key_count + sync->value_count, next = 5 + sync->key_count;

	buf_append_text(out, "WITH given AS (SELECT * FROM unnest(");
	key_arrays(out, sync, 5);
	for (size_t i = 0; i < sync->value_count; i++)
		buf_printf(out, ", $%zu::%s[]", next++, schema_type_postgres(sync->values[i]->type));
	buf_printf(out, ", $%zu::boolean[], $%zu::bigint[]", next, next + 1);
	if (patch)
		buf_printf(out, ", $%zu::text[]", next + 2);
	buf_append_text(out, ") WITH ORDINALITY AS r(");
	numbered(out, columns);
	buf_append_text(out, patch ? ", gone, lm, mask, n)" : ", gone, lm, n)");
	buf_append_text(out, ")");
}

/* A row that stands twice in a push counts once, the newer one. In the order of the key, so that pushes never wait for each other in a circle. */
static void latest_rows(struct buf *out, const struct schema_app *app, const struct schema_table *table, bool patch)
{
	const struct schema_sync *sync = table->sync;

	buf_append_text(out, ",\ninp AS MATERIALIZED (SELECT DISTINCT ON (");
	numbered(out, sync->key_count);
	buf_append_text(out, ") n, ");
	numbered(out, sync->key_count + sync->value_count);
	buf_append_text(out, ", gone, LEAST(lm, $4::bigint) AS lm, lm > $4::bigint AS cut FROM ");
	if (patch)
		patched(out, app, table);
	else
		buf_append_text(out, "given");
	buf_append_text(out, " AS r ORDER BY ");
	numbered(out, sync->key_count);
	buf_append_text(out, ", r.lm DESC, n DESC)");
}

static void upsert(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	const struct schema_sync *sync = table->sync;

	buf_append_text(out, ",\nup AS (INSERT INTO ");
	table_as(out, app, table, "t");
	buf_append_text(out, " (");
	if (table->scope)
		buf_append_text(out, "\"sync_scope\", ");
	for (size_t i = 0; i < sync->key_count; i++) {
		quote_identifier(out, sync->key[i]->name);
		buf_append_text(out, ", ");
	}
	for (size_t i = 0; i < sync->value_count; i++) {
		quote_identifier(out, sync->values[i]->name);
		buf_append_text(out, ", ");
	}
	buf_append_text(out, "\"deleted\", \"last_modified_at\", \"device_id\", \"server_seq\")\nSELECT ");
	buf_append_text(out, table->scope ? "$1::text, " : "");
	numbered(out, sync->key_count + sync->value_count);
	buf_append_text(out, ", gone, lm, $2::text, $3::bigint FROM inp ORDER BY ");
	numbered(out, sync->key_count);
	buf_append_text(out, "\nON CONFLICT ");
	for (size_t i = 0; i < table->primary_count; i++) {
		buf_append_text(out, i ? ", " : "(");
		quote_identifier(out, table->primary[i]->name);
	}
	buf_append_text(out, ") DO UPDATE SET \"deleted\" = excluded.\"deleted\", \"last_modified_at\" = excluded.\"last_modified_at\", "
			     "\"device_id\" = excluded.\"device_id\", \"server_seq\" = excluded.\"server_seq\"");
	for (size_t i = 0; i < sync->value_count; i++) {
		buf_append_text(out, ", ");
		quote_identifier(out, sync->values[i]->name);
		buf_append_text(out, " = ");
		qualified(out, "excluded", sync->values[i]->name);
	}
	buf_append_text(out, "\nWHERE (excluded.\"last_modified_at\", excluded.\"device_id\") > (t.\"last_modified_at\", t.\"device_id\")\nRETURNING ");
	key_names(out, sync, "t");
	buf_append_text(out, ")");
}

/* The very same row of the same device is a push that was repeated: the client has it already. */
static void not_the_same(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	const struct schema_sync *sync = table->sync;

	buf_append_text(out, "NOT EXISTS (SELECT FROM ");
	table_as(out, app, table, "s");
	buf_append_text(out, " WHERE ");
	same_key(out, table, "s", "i");
	buf_append_text(out, " AND s.\"last_modified_at\" = i.lm AND s.\"device_id\" = $2::text AND s.\"deleted\" = i.gone");
	for (size_t i = 0; i < sync->value_count; i++) {
		buf_append_text(out, " AND ");
		qualified(out, "s", sync->values[i]->name);
		buf_printf(out, " IS NOT DISTINCT FROM i.c%zu", sync->key_count + i + 1);
	}
	buf_append_text(out, ")");
}

static void push(struct buf *out, const struct schema_app *app, const struct schema_table *table, bool patch)
{
	given_rows(out, table, patch);
	latest_rows(out, app, table, patch);
	upsert(out, app, table);
	buf_append_text(out, "\nSELECT i.n FROM inp AS i");
	if (patch)
		return;
	buf_append_text(out, " WHERE i.cut OR ((");
	for (size_t i = 0; i < table->sync->key_count; i++)
		buf_printf(out, "%si.c%zu", i ? ", " : "", i + 1);
	buf_append_text(out, ") NOT IN (SELECT ");
	key_names(out, table->sync, "up");
	buf_append_text(out, " FROM up) AND ");
	not_the_same(out, app, table);
	buf_append_text(out, ")");
}

static void keys_from(struct buf *out, const struct schema_table *table, size_t first)
{
	buf_append_text(out, "unnest(");
	key_arrays(out, table->sync, first);
	buf_append_text(out, ")");
}

static void fetch(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	buf_append_text(out, "SELECT w.* FROM (SELECT DISTINCT ");
	numbered(out, table->sync->key_count);
	buf_append_text(out, " FROM ");
	keys_from(out, table, 2);
	buf_append_text(out, " AS u(");
	numbered(out, table->sync->key_count);
	buf_append_text(out, ")) AS k, LATERAL (SELECT ");
	wire_row(out, table);
	buf_append_text(out, "\nFROM ");
	table_as(out, app, table, "t");
	buf_append_text(out, " WHERE ");
	same_key(out, table, "t", "k");
	buf_append_text(out, " OFFSET 0) AS w");
}

static void touch(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	buf_append_text(out, "UPDATE ");
	table_as(out, app, table, "t");
	buf_append_text(out, " SET \"server_seq\" = $2::bigint WHERE t.ctid = ANY (ARRAY(SELECT (SELECT s.ctid FROM ");
	table_as(out, app, table, "s");
	buf_append_text(out, " WHERE ");
	same_key(out, table, "s", "k");
	buf_append_text(out, ") FROM ");
	keys_from(out, table, 3);
	buf_append_text(out, " AS k(");
	numbered(out, table->sync->key_count);
	buf_append_text(out, ")))");
}

static void missing(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	buf_append_text(out, "SELECT k.n FROM ");
	keys_from(out, table, 2);
	buf_append_text(out, " WITH ORDINALITY AS k(");
	numbered(out, table->sync->key_count);
	buf_append_text(out, ", n) WHERE (SELECT 1 FROM ");
	table_as(out, app, table, "t");
	buf_append_text(out, " WHERE ");
	same_key(out, table, "t", "k");
	buf_append_text(out, ") IS NULL");
}

static void twin_of(struct buf *out, const struct schema_app *app, const struct schema_table *table, const struct schema_index *twin)
{
	const struct schema_sync *sync = table->sync;

	buf_append_text(out, "SELECT ");
	for (size_t i = 0; i < sync->key_count; i++) {
		qualified(out, "t", sync->key[i]->name);
		buf_append_text(out, "::text, ");
	}
	buf_append_text(out, "t.\"last_modified_at\", t.\"device_id\" FROM ");
	table_as(out, app, table, "t");
	buf_append_text(out, " WHERE ");
	in_scope(out, table, "t");
	buf_append_text(out, " AND NOT t.\"deleted\"");
	for (size_t i = 0; i < twin->count; i++) {
		buf_append_text(out, " AND ");
		qualified(out, "t", twin->columns[i]->name);
		buf_printf(out, " = $%zu::%s", i + 2, schema_type_postgres(twin->columns[i]->type));
	}
	buf_append_text(out, " AND (");
	key_names(out, sync, "t");
	buf_append_text(out, ") <> (");
	for (size_t i = 0; i < sync->key_count; i++)
		buf_printf(out, "%s$%zu::%s", i ? ", " : "", twin->count + i + 2, schema_type_postgres(sync->key[i]->type));
	buf_append_text(out, ")");
}

static void check(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	buf_append_text(out, "SELECT count(*), coalesce(sum(");
	sync_row_hash(out, table, "t", false);
	buf_append_text(out, "), 0)::text FROM ");
	table_as(out, app, table, "t");
	buf_append_text(out, " WHERE ");
	in_scope(out, table, "t");
	buf_append_text(out, " AND NOT t.\"deleted\"");
}

/* A tombstone that a row still refers to stays. */
static void expire(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	buf_append_text(out, "WITH old AS (SELECT ");
	key_names(out, table->sync, "t");
	buf_append_text(out, " FROM ");
	table_as(out, app, table, "t");
	buf_append_text(out, " WHERE ");
	in_scope(out, table, "t");
	buf_append_text(out, " AND t.\"deleted\" AND t.\"device_id\" <> tidegate.dataset_replaced() AND t.\"server_seq\" <= $2::bigint");
	for (size_t c = 0; c < app->synced_count; c++)
		for (size_t r = 0; r < app->synced[c]->reference_count; r++) {
			const struct schema_reference *reference = &app->synced[c]->references[r];
			if (reference->table != table)
				continue;
			buf_append_text(out, "\n    AND NOT EXISTS (SELECT FROM ");
			table_as(out, app, app->synced[c], "child");
			for (size_t i = 0; i < reference->count; i++) {
				buf_append_text(out, i ? " AND " : " WHERE ");
				qualified(out, "child", reference->from[i]->name);
				buf_append_text(out, " = ");
				qualified(out, "t", reference->to[i]->name);
			}
			buf_append_text(out, ")");
		}
	buf_append_text(out, "\nORDER BY t.\"server_seq\" LIMIT $3::bigint),\ngone AS (DELETE FROM ");
	table_as(out, app, table, "t");
	buf_append_text(out, " USING old AS k WHERE ");
	in_scope(out, table, "t");
	for (size_t i = 0; i < table->sync->key_count; i++) {
		buf_append_text(out, " AND ");
		qualified(out, "t", table->sync->key[i]->name);
		buf_append_text(out, " = ");
		qualified(out, "k", table->sync->key[i]->name);
	}
	buf_append_text(out, " RETURNING t.\"server_seq\") SELECT max(\"server_seq\"), count(*) FROM gone");
}

enum err sync_sql(const struct schema_app *app, const struct schema_table *table, enum sync_statement kind, const struct schema_index *twin,
                  struct buf *out)
{
	switch (kind) {
	case SYNC_PUSH:
	case SYNC_PATCH:
		push(out, app, table, kind == SYNC_PATCH);
		break;
	case SYNC_START:
	case SYNC_AFTER:
		pull(out, app, table, kind == SYNC_AFTER);
		break;
	case SYNC_FETCH:
		fetch(out, app, table);
		break;
	case SYNC_TOUCH:
		touch(out, app, table);
		break;
	case SYNC_MISSING:
		missing(out, app, table);
		break;
	case SYNC_CHECK:
		check(out, app, table);
		break;
	case SYNC_EXPIRE:
		expire(out, app, table);
		break;
	case SYNC_TWIN:
		twin_of(out, app, table, twin);
		break;
	}
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

enum err sync_sql_changed(const struct schema_app *app, struct buf *out)
{
	for (size_t i = 0; i < app->synced_count; i++) {
		buf_printf(out, "%sSELECT %zu WHERE EXISTS (SELECT FROM ", i ? "\nUNION ALL " : "", i);
		table_as(out, app, app->synced[i], "t");
		buf_append_text(out, " WHERE ");
		in_scope(out, app->synced[i], "t");
		buf_append_text(out, " AND t.\"server_seq\" > $2::bigint AND t.\"server_seq\" <= $3::bigint)");
	}
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

/*
 * The first and the last eight characters of the key (for a uuid 64 of its 122 random bits) and the time, mixed modulo 2^31 - 1.
 * Nothing overflows 64 bits: code points are below 2^21, factors below 2^31, there are 16 of them.
 */
void sync_row_hash(struct buf *out, const struct schema_table *table, const char *alias, bool sqlite)
{
	static const long factors[2 * HASH_ENDS] = {1000000007, 998244353, 1000000009, 999999937, 754974721, 469762049, 1004535809, 1012924417,
	                                            167772161, 985661441, 943718401, 935329793, 918552577, 897581057, 880803841, 645922817};
	const struct schema_sync *sync = table->sync;
	struct buf key;

	buf_init(&key, 1024);
	for (size_t i = 0; i < sync->key_count; i++) {
		buf_append_text(&key, i ? " || '/' || " : "(");
		qualified(&key, alias, sync->key[i]->name);
		buf_append_text(&key, sqlite ? "" : "::text");
	}
	buf_append_text(&key, ")");
	buf_append_text(out, "((1 + (");
	for (int i = 0; i < 2 * HASH_ENDS; i++) {
		buf_append_text(out, i ? " + " : "");
		if (sqlite)
			buf_printf(out, "coalesce(unicode(substr(%s, %d, 1)), 0)", buf_text(&key), i < HASH_ENDS ? i + 1 : HASH_ENDS - 1 - i);
		else if (i < HASH_ENDS)
			buf_printf(out, "ascii(substr(%s, %d, 1))::bigint", buf_text(&key), i + 1);
		else
			buf_printf(out, "ascii(substr(%s, length(%s) - %d, 1))::bigint", buf_text(&key), buf_text(&key), i - HASH_ENDS);
		buf_printf(out, " * %ld", factors[i]);
	}
	buf_printf(out, ") %% 2147483647) * (1 + (%s.\"last_modified_at\" %% 2147483647 + %s.\"last_modified_at\" / 2147483647 * 65599) %% 2147483647)) %% 2147483647",
	           alias, alias);
	buf_release(&key);
}
