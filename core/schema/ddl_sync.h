/* Private to the DDL: what a synced table has besides its columns and its primary key. docs/sync.md says why. */
#ifndef TIDEGATE_CORE_SCHEMA_DDL_SYNC_H
#define TIDEGATE_CORE_SCHEMA_DDL_SYNC_H

#include "core/base/buf.h"
#include "core/schema/schema.h"

/* ("a", "b") / "a" type with its default and checks */
void ddl_columns(struct buf *out, const struct schema_column *const *columns, size_t count);
void ddl_column(struct buf *out, const struct schema_column *column);

/* Inside CREATE TABLE: what is required in every row that is not deleted. */
void ddl_sync_check(struct buf *out, const struct schema_table *table);

/* Columns that came in a later version of the app than their table. */
void ddl_sync_later_columns(struct buf *out, const struct schema_app *app, const struct schema_table *table);

/* Indexes, row-level security, grants, and for a catalogue the trigger that numbers its changes. */
void ddl_sync_table(struct buf *out, const struct schema_app *app, const struct schema_table *table);

/* Foreign keys, once all tables are there. */
void ddl_sync_references(struct buf *out, const struct schema_app *app, const struct schema_table *table);

#endif
