/*
 * PostgreSQL DDL of synced tables: keys and indexes that begin with the scope, tombstones, deferred foreign keys, columns of later
 * versions, and the walls around scopes.
 * Called by ddl.c only.
 * Never drops or alters what is there but by adding a column that came later.
 */
#include "core/schema/ddl_sync.h"

#include "core/crypto/digest.h"
#include "core/schema/quote.h"

void ddl_sync_check(struct buf *out, const struct schema_table *table)
{
	const struct schema_sync *sync = table->sync;
	const char *joint = ",\n    CHECK (\"deleted\" OR (";
	bool any = false;

	for (size_t i = 0; i < sync->value_count; i++) {
		if (!sync->values[i]->required || sync->values[i]->since > sync->since)
			continue;
		buf_append_text(out, joint);
		quote_identifier(out, sync->values[i]->name);
		buf_append_text(out, " IS NOT NULL");
		joint = " AND ";
		any = true;
	}
	if (any)
		buf_append_text(out, "))");
}

void ddl_sync_later_columns(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	for (size_t i = 0; i < table->sync->value_count; i++) {
		if (table->sync->values[i]->since == table->sync->since)
			continue;
		buf_append_text(out, "ALTER TABLE ");
		quote_table(out, app->name, table->name);
		buf_append_text(out, " ADD COLUMN IF NOT EXISTS ");
		ddl_column(out, table->sync->values[i]);
		buf_append_text(out, ";\n");
	}
}

static void scope_first(struct buf *out, const struct schema_table *table)
{
	if (table->scope) {
		quote_identifier(out, table->scope->name);
		buf_append_text(out, ", ");
	}
}

static void declared_index(struct buf *out, const struct schema_app *app, const struct schema_table *table, const struct schema_index *index)
{
	static const char *const methods[] = {
		[SCHEMA_INDEX_BTREE] = " USING btree (", [SCHEMA_INDEX_HASH] = " USING hash (", [SCHEMA_INDEX_TRIGRAM] = " USING gin ("};
	const char *joint = " AND ";

	buf_append_text(out, index->unique ? "CREATE UNIQUE INDEX IF NOT EXISTS " : "CREATE INDEX IF NOT EXISTS ");
	quote_identifier(out, index->name);
	buf_append_text(out, " ON ");
	quote_table(out, app->name, table->name);
	buf_append_text(out, methods[index->kind]);
	if (index->kind == SCHEMA_INDEX_BTREE)
		scope_first(out, table);
	for (size_t i = 0; i < index->count; i++) {
		buf_append_text(out, i ? ", " : "");
		quote_identifier(out, index->columns[i]->name);
		buf_append_text(out, index->kind == SCHEMA_INDEX_TRIGRAM ? " gin_trgm_ops" : index->descending[i] ? " DESC" : "");
	}
	buf_append_text(out, ") WHERE NOT \"deleted\"");
	for (size_t i = 0; i < index->not_null_count; i++) {
		buf_append_text(out, joint);
		quote_identifier(out, index->not_null[i]->name);
		buf_append_text(out, " IS NOT NULL");
	}
	for (size_t i = 0; i < index->null_count; i++) {
		buf_append_text(out, joint);
		quote_identifier(out, index->null[i]->name);
		buf_append_text(out, " IS NULL");
	}
	buf_append_text(out, ";\n");
}

/* What a pull goes along, page by page; and the tombstones that grow old. */
static void own_indexes(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	buf_printf(out, "CREATE INDEX IF NOT EXISTS \"%s_sync_seq\" ON ", table->name);
	quote_table(out, app->name, table->name);
	buf_append_text(out, " (");
	scope_first(out, table);
	buf_append_text(out, "\"server_seq\"");
	for (size_t i = 0; i < table->sync->key_count; i++) {
		buf_append_text(out, ", ");
		quote_identifier(out, table->sync->key[i]->name);
	}
	buf_printf(out, ");\nCREATE INDEX IF NOT EXISTS \"%s_sync_gone\" ON ", table->name);
	quote_table(out, app->name, table->name);
	buf_append_text(out, " (");
	scope_first(out, table);
	buf_append_text(out, "\"server_seq\") WHERE \"deleted\";\n");
}

static void policy(struct buf *out, const struct schema_app *app, const struct schema_table *table, const char *role, const char *grants)
{
	static const char *const settings[] = {[SCHEMA_SYNC_SUB] = "tidegate.sub", [SCHEMA_SYNC_SPACE] = "tidegate.space", [SCHEMA_SYNC_CATALOGUE] = ""};

	buf_printf(out, "DROP POLICY IF EXISTS \"%s\" ON ", role);
	quote_table(out, app->name, table->name);
	buf_printf(out, ";\nCREATE POLICY \"%s\" ON ", role);
	quote_table(out, app->name, table->name);
	buf_printf(out, " TO \"%s\" USING (", role);
	if (table->scope)
		buf_printf(out, "\"sync_scope\" = current_setting('%s', true)", settings[table->sync->scope]);
	else
		buf_append_text(out, "true");
	buf_printf(out, ");\nGRANT %s ON ", grants);
	quote_table(out, app->name, table->name);
	buf_printf(out, " TO \"%s\";\n", role);
}

static void stamp_trigger(struct buf *out, const struct schema_app *app, const struct schema_table *table, const char *name, const char *event, const char *when)
{
	buf_printf(out, "CREATE OR REPLACE TRIGGER %s BEFORE %s ON ", name, event);
	quote_table(out, app->name, table->name);
	buf_printf(out, " FOR EACH ROW %sEXECUTE FUNCTION %s(", when, table->scope ? "tidegate.sync_stamp" : "tidegate.sync_catalogue_stamp");
	quote_literal(out, app->name);
	buf_append_text(out, ");\n");
}

/* Of what the server itself writes (sql/functions/sync_server.sql): pushes number their rows, and never get here. */
static void stamp_triggers(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	const struct schema_sync *sync = table->sync;

	stamp_trigger(out, app, table, "sync_insert", "INSERT", "WHEN (NEW.\"server_seq\" = 0) ");
	stamp_trigger(out, app, table, "sync_update", "UPDATE", "WHEN (NEW.\"server_seq\" = OLD.\"server_seq\") ");
	stamp_trigger(out, app, table, "sync_delete", "DELETE", "WHEN (NOT OLD.\"deleted\") ");
	buf_append_text(out, "CREATE OR REPLACE TRIGGER sync_key BEFORE UPDATE OF ");
	for (size_t i = 0; i < sync->key_count; i++) {
		buf_append_text(out, i ? ", " : "");
		quote_identifier(out, sync->key[i]->name);
	}
	buf_append_text(out, " ON ");
	quote_table(out, app->name, table->name);
	buf_append_text(out, " FOR EACH ROW WHEN (");
	for (size_t i = 0; i < sync->key_count; i++) {
		buf_append_text(out, i ? " OR NEW." : "NEW.");
		quote_identifier(out, sync->key[i]->name);
		buf_append_text(out, " <> OLD.");
		quote_identifier(out, sync->key[i]->name);
	}
	buf_append_text(out, ") EXECUTE FUNCTION tidegate.sync_key_stays();\n");
}

void ddl_sync_table(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	own_indexes(out, app, table);
	for (size_t i = 0; i < table->index_count; i++)
		declared_index(out, app, table, &table->indexes[i]);
	buf_append_text(out, "ALTER TABLE ");
	quote_table(out, app->name, table->name);
	buf_append_text(out, " ENABLE ROW LEVEL SECURITY;\n");
	policy(out, app, table, "tidegate_api", table->scope ? "SELECT, INSERT, UPDATE" : "SELECT");
	policy(out, app, table, "tidegate_worker", "SELECT, INSERT, UPDATE, DELETE");
	if (table->scope)
		stamp_triggers(out, app, table);
	else
		stamp_trigger(out, app, table, "sync_stamp", "INSERT OR UPDATE OR DELETE", "");
}

/* The name of a constraint is made of what it says, so that one that is there already is known again. */
static void reference_name(const struct schema_table *table, const struct schema_reference *reference, char out[SCHEMA_SYNC_NAME_MAX + 16])
{
	char hex[SHA256_HEX_SIZE];
	struct buf text;

	buf_init(&text, 4096);
	buf_append_text(&text, reference->table->name);
	for (size_t i = 0; i < reference->count; i++)
		buf_printf(&text, " %s", reference->from[i]->name);
	sha256_hex(buf_text(&text), text.len, hex);
	buf_release(&text);
	snprintf(out, SCHEMA_SYNC_NAME_MAX + 16, "%.*s_fk_%.8s", SCHEMA_SYNC_NAME_MAX, table->name, hex);
}

/* Checked at the end of a transaction: rows of a circle, and children before their parents, may come in any order. */
void ddl_sync_references(struct buf *out, const struct schema_app *app, const struct schema_table *table)
{
	for (size_t i = 0; i < table->reference_count; i++) {
		const struct schema_reference *reference = &table->references[i];
		char name[SCHEMA_SYNC_NAME_MAX + 16];
		reference_name(table, reference, name);
		buf_printf(out, "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = '%s' AND conrelid = '", name);
		quote_table(out, app->name, table->name);
		buf_append_text(out, "'::regclass) THEN\n    ALTER TABLE ");
		quote_table(out, app->name, table->name);
		buf_printf(out, " ADD CONSTRAINT \"%s\" FOREIGN KEY ", name);
		ddl_columns(out, reference->from, reference->count);
		buf_append_text(out, " REFERENCES ");
		quote_table(out, app->name, reference->table->name);
		buf_append_char(out, ' ');
		ddl_columns(out, reference->to, reference->count);
		buf_append_text(out, " DEFERRABLE INITIALLY DEFERRED;\nEND IF; END $$;\n");
	}
}
