/*
 * What a client's SQLite database must have so that changes find their way to the server: the synced tables, an outbox that triggers
 * fill, one row of control, and the query of checksums. docs/sync.md explains how a client uses them.
 */
#ifndef TIDEGATE_CORE_SCHEMA_SQLITE_DDL_H
#define TIDEGATE_CORE_SCHEMA_SQLITE_DDL_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/schema/schema.h"

/*
 * Statements in the order in which they must run. from 0: for an empty database (they may run again over what they made); otherwise what
 * brings a database of that version of the app to the present one. ERR_TOO_LARGE when the arena is full.
 */
enum err sync_sqlite_ddl(const struct schema_app *app, struct arena *arena, int64_t from, struct schema_texts *ret) MUST_USE;

/* table_name, rows, checksum of every synced table, as GET /api/sync/check gives them. */
enum err sync_sqlite_check(const struct schema_app *app, struct buf *out) MUST_USE;

#endif
