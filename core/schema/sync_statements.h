/*
 * The statements of one synced table. $1 is always the scope (for a catalogue nobody looks at it). Where keys are given, each column
 * of the key is one array ($n::uuid[], $n+1::text[]); the shapes:
 *
 * SYNC_PUSH     $2 device, $3 version, $4 latest time that counts; then arrays: key, values, deleted, last_modified_at. Rows that are newer
 *               than what is stored, by (last_modified_at, device_id), replace it. Gives the numbers (from 1) of rows that the client must be
 *               sent as they are stored: a newer one was there, or its time was cut.
 * SYNC_PATCH    the same and an array of masks last: one character per value column, '0' where the client said nothing of it. There the stored
 *               value stays, or the default comes. Gives the numbers of all of them.
 * SYNC_START    $2 seq, $3 bound, $4 limit: rows with seq < server_seq <= bound in the order (server_seq, key).
 * SYNC_AFTER    the same and the key behind which to go on, one value each: (server_seq, key) > ($2, $5, …).
 * SYNC_FETCH    keys from $2: the rows as they are stored.
 * SYNC_TOUCH    $2 version, keys from $3: they count as changed now.
 * SYNC_MISSING  keys from $2: the numbers of those that there is no row of, tombstones included.
 * SYNC_CHECK    count and checksum of the rows that are not deleted.
 * SYNC_EXPIRE   $2 seq, $3 limit: removes tombstones up to seq that no row refers to; the highest server_seq among them, or null.
 * SYNC_TWIN+n   $2… the values of the nth natural key, then the key: another row that has them; its key, last_modified_at, device_id.
 *
 * START, AFTER and FETCH give server_seq, deleted, last_modified_at, device_id, row id as on the wire, data as JSON, then the key as texts.
 */
#ifndef TIDEGATE_CORE_SCHEMA_SYNC_STATEMENTS_H
#define TIDEGATE_CORE_SCHEMA_SYNC_STATEMENTS_H

#include "core/base/buf.h"
#include "core/schema/schema.h"

enum sync_statement { SYNC_PUSH, SYNC_PATCH, SYNC_START, SYNC_AFTER, SYNC_FETCH, SYNC_TOUCH, SYNC_MISSING, SYNC_CHECK, SYNC_EXPIRE, SYNC_TWIN };

enum { SYNC_COLUMN_SEQ, SYNC_COLUMN_DELETED, SYNC_COLUMN_MODIFIED, SYNC_COLUMN_DEVICE, SYNC_COLUMN_ROW_ID, SYNC_COLUMN_DATA, SYNC_COLUMN_KEY };

/* Appends one statement. twin counts the unique indexes of the table; for the other kinds it is 0. ERR_TOO_LARGE when out is full. */
enum err sync_sql(const struct schema_app *app, const struct schema_table *table, enum sync_statement kind, const struct schema_index *twin,
                  struct buf *out) MUST_USE;

/* The numbers (in app->synced) of tables with rows of scope $1 and $2 < server_seq <= $3. */
enum err sync_sql_changed(const struct schema_app *app, struct buf *out) MUST_USE;

/*
 * An expression over the row `alias` that PostgreSQL and SQLite calculate alike: a whole number under 2^31 made of the key and
 * last_modified_at. Their sum over a table is its checksum (docs/sync.md).
 */
void sync_row_hash(struct buf *out, const struct schema_table *table, const char *alias, bool sqlite);

#endif
