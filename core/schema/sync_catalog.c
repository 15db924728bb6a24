/*
 * The statements of apps with synced tables, made once per process.
 * Called by catalog_load.
 * Must never give two statements one place on a connection.
 */
#include "core/schema/catalog.h"

#include "core/pg/pg.h"

enum { SQL_MAX = 256 << 10, SLOTS_PER_CATALOG = CATALOG_TARGETS_MAX * SLOT_COUNT + CATALOG_APPS_MAX + CATALOG_SYNCED_MAX * SYNC_SLOTS };

_Static_assert((int)SLOTS_PER_CATALOG <= (int)PG_GENERATED_MAX, "a connection has a place for every generated statement");

const struct sync_app *catalog_synced(const struct schema_catalog *catalog, const char *name)
{
	if (!name)
		return catalog->synced_count == 1 ? &catalog->synced[0] : NULL;
	for (size_t i = 0; i < catalog->synced_count; i++)
		if (text_equal(catalog->synced[i].app->name, name))
			return &catalog->synced[i];
	return NULL;
}

static enum err keep(struct arena *arena, struct buf *sql, const char **ret)
{
	*ret = sql->overflowed ? NULL : arena_strdup(arena, buf_text(sql));
	buf_clear(sql);
	return *ret ? OK : ERR_TOO_LARGE;
}

static enum err add_table(struct arena *arena, const struct schema_app *app, struct sync_table *synced, struct buf *sql)
{
	const struct schema_table *table = synced->table;
	enum err err = OK;
	for (size_t i = 0; i < table->index_count && synced->twin_count < SCHEMA_KEYS_MAX; i++)
		if (table->indexes[i].unique)
			synced->twins[synced->twin_count++] = &table->indexes[i];
	for (size_t i = 0; !err && i < SYNC_TWIN + synced->twin_count; i++) {
		enum sync_statement kind = i < SYNC_TWIN ? (enum sync_statement)i : SYNC_TWIN;
		err = sync_sql(app, table, kind, i < SYNC_TWIN ? NULL : synced->twins[i - SYNC_TWIN], sql);
		if (!err)
			err = keep(arena, sql, &synced->sql[i]);
	}
	return err;
}

enum err catalog_add_synced(struct arena *arena, struct schema_catalog *catalog, const struct schema_app *app)
{
	struct sync_app *synced = &catalog->synced[catalog->synced_count];
	struct buf sql;
	*synced = (struct sync_app){.app = app, .count = app->synced_count, .changed_slot = catalog->next_sync_slot};
	if (catalog->next_sync_slot + 1 + app->synced_count * SYNC_SLOTS > SLOTS_PER_CATALOG)
		return ERR_TOO_LARGE;
	synced->tables = arena_array(arena, app->synced_count, sizeof(*synced->tables));
	if (!synced->tables)
		return ERR_TOO_LARGE;
	buf_init(&sql, SQL_MAX);
	enum err err = sync_sql_changed(app, &sql);
	if (!err)
		err = keep(arena, &sql, &synced->changed_sql);
	for (size_t t = 0; !err && t < app->synced_count; t++) {
		synced->tables[t].table = app->synced[t];
		synced->tables[t].first_slot = catalog->next_sync_slot + 1 + (unsigned)t * SYNC_SLOTS;
		err = add_table(arena, app, &synced->tables[t], &sql);
	}
	buf_release(&sql);
	if (err)
		return err;
	catalog->next_sync_slot += 1 + (unsigned)app->synced_count * SYNC_SLOTS;
	catalog->synced_count++;
	return OK;
}
