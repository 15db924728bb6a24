/*
 * All declarations of an installation: every *.json of the configured directory, loaded once at start, and the import
 * targets among their tables with the statements made for them (statements.h has their shapes).
 */
#ifndef TIDEGATE_CORE_SCHEMA_CATALOG_H
#define TIDEGATE_CORE_SCHEMA_CATALOG_H

#include "core/schema/schema.h"
#include "core/schema/sync_statements.h"

enum { CATALOG_APPS_MAX = 16, CATALOG_TARGETS_MAX = 16, CATALOG_SYNCED_MAX = 200 };

/* Places of a target's statements on a connection (pg_query_generated). */
enum schema_slot_kind { SLOT_INSERT, SLOT_UPDATE, SLOT_GONE, SLOT_ANALYZE, SLOT_RECORDS, SLOT_ASSIGNEE, SLOT_PEOPLE, SLOT_UNDO_REMOVE, SLOT_UNDO_RESTORE,
                        SLOT_UNDO_KEEP, SLOT_MATCH, SLOT_COUNT = SLOT_MATCH + SCHEMA_KEYS_MAX };

struct schema_target {
	unsigned number;
	const struct schema_app *app;
	const struct schema_table *table;
	const char *insert_sql;
	const char *update_sql;
	const char *gone_sql;
	const char *analyze_sql;
	const char *records_sql;
	const char *assignee_sql;                /* NULL: nobody to assign to */
	const char *people_sql;                  /* likewise */
	const char *undo_remove_sql, *undo_keep_sql;
	const char *undo_restore_sql;            /* NULL: no history to restore from */
	const char *match_sql[SCHEMA_KEYS_MAX];  /* per dedupe key */
};

/* The statements of one synced table on a connection, by kind (sync_statements.h); behind the last kind its natural keys. */
enum { SYNC_SLOTS = SYNC_TWIN + SCHEMA_KEYS_MAX };

struct sync_table {
	const struct schema_table *table;
	unsigned first_slot;
	const char *sql[SYNC_SLOTS];
	size_t twin_count;
	const struct schema_index *twins[SCHEMA_KEYS_MAX]; /* its natural keys */
};

/* An app with synced tables, in the order of app->synced. */
struct sync_app {
	const struct schema_app *app;
	struct sync_table *tables;
	size_t count;
	unsigned changed_slot;
	const char *changed_sql;
};

struct schema_catalog {
	const struct schema_app *apps[CATALOG_APPS_MAX];
	size_t app_count;
	struct schema_target targets[CATALOG_TARGETS_MAX];
	size_t target_count;
	struct sync_app synced[CATALOG_APPS_MAX];
	size_t synced_count;
	unsigned next_sync_slot;
};

/* ERR_INVALID with a sentence that names file and place; ERR_NOT_FOUND when the directory cannot be read. */
enum err catalog_load(struct arena *arena, const char *directory, struct schema_catalog *ret, const char **ret_why) MUST_USE;

/* NULL when there is none of that name. */
const struct schema_target *catalog_target(const struct schema_catalog *catalog, const char *name);

/* The app with synced tables of that name; with name NULL the only one that there is, or NULL. */
const struct sync_app *catalog_synced(const struct schema_catalog *catalog, const char *name);

/* Makes the statements of an app with synced tables (sync_catalog.c). Called by catalog_load. */
enum err catalog_add_synced(struct arena *arena, struct schema_catalog *catalog, const struct schema_app *app) MUST_USE;

/* Number of a statement of a target; for a key, SLOT_MATCH plus its place. */
unsigned schema_slot(const struct schema_target *target, enum schema_slot_kind kind);

#endif
