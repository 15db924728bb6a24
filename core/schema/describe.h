/* A declaration told to others: its synced tables as JSON for clients, and their rows as TypeScript types. */
#ifndef TIDEGATE_CORE_SCHEMA_DESCRIBE_H
#define TIDEGATE_CORE_SCHEMA_DESCRIBE_H

#include "core/base/json.h"
#include "core/schema/schema.h"

/* "sub", "space" or "catalogue". */
const char *schema_scope_name(enum schema_sync_scope scope);

/* Writes the members app, version, oldest, scope and tables (parents first) into an open object. */
void schema_describe(struct json_writer *w, const struct schema_app *app);

/* Writes the member migration: what changed since a version of the app. */
void schema_describe_migration(struct json_writer *w, const struct schema_app *app, int64_t from);

/* True when rows of the table have columns that a client of that version does not know. */
bool schema_table_grew(const struct schema_table *table, int64_t from);

/* Appends a TypeScript module. ERR_TOO_LARGE when out is full. */
enum err schema_typescript(const struct schema_app *app, struct buf *out) MUST_USE;

#endif
