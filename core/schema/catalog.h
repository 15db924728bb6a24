/*
 * All declarations of an installation: every *.json of the configured directory, loaded once at start, and the import
 * targets among their tables with the statements made for them (statements.h has their shapes).
 */
#ifndef TIDEGATE_CORE_SCHEMA_CATALOG_H
#define TIDEGATE_CORE_SCHEMA_CATALOG_H

#include "core/schema/schema.h"

enum { CATALOG_APPS_MAX = 16, CATALOG_TARGETS_MAX = 16 };

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

struct schema_catalog {
	const struct schema_app *apps[CATALOG_APPS_MAX];
	size_t app_count;
	struct schema_target targets[CATALOG_TARGETS_MAX];
	size_t target_count;
};

/* ERR_INVALID with a sentence that names file and place; ERR_NOT_FOUND when the directory cannot be read. */
enum err catalog_load(struct arena *arena, const char *directory, struct schema_catalog *ret, const char **ret_why) MUST_USE;

/* NULL when there is none of that name. */
const struct schema_target *catalog_target(const struct schema_catalog *catalog, const char *name);

/* Number of a statement of a target; for a key, SLOT_MATCH plus its place. */
unsigned schema_slot(const struct schema_target *target, enum schema_slot_kind kind);

#endif
