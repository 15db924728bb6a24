/*
 * The statements of an import commit, generated from a target table. Every text has this shape (crm.lead, shortened):
 *
 * schema_sql_insert: valid rows of a slice that nothing else was decided about, in file order, with their history.
 *     WITH given AS (SELECT $5::uuid, $6::text, …), changed AS (
 *     INSERT INTO "crm"."lead" ("id", "space", "external_id", …, "status", …, "import_job_id")
 *     SELECT r.row_id, $4::text, r.vals[1], …, coalesce(r.vals[12], $7::text, 'new'), …, $5::uuid
 *     FROM tidegate.import_row AS r
 *     LEFT JOIN "crm"."profile" AS ref15 ON ref15."space" = $4::text AND ref15."id" = r.vals[15]
 *     WHERE r.job_no = $1::bigint AND r.row_no BETWEEN $2::integer AND $3::integer AND r.state = 1
 *         AND r.row_no NOT IN (SELECT o.row_no FROM tidegate.import_outcome AS o …)
 *     ORDER BY r.row_no RETURNING "id" AS target_id
 *     ) INSERT INTO "crm"."lead_history" (…) SELECT $4, target_id, $9, 'imported', $5, NULL, NULL FROM changed
 *   A field without a value takes the commit's default ($6 to $8), then the column's. A column that references another
 *   table takes only what exists there (ref15); anything else becomes null instead of failing the slice.
 *
 * schema_sql_update: rows whose planned action is 2. A cell that is absent or empty never erases what is stored.
 *     WITH given AS (…), changed AS (UPDATE "crm"."lead" AS t SET "external_id" = coalesce(r.vals[1], t."external_id"), …, "updated_at" = now()
 *     FROM … WHERE … o.action = 2 AND b."id" = o.target_id AND t."id" = b."id"
 *     RETURNING t."id" AS target_id, to_jsonb(b) AS before_data, to_jsonb(t) AS after_data) INSERT INTO "crm"."lead_history" …
 *   No default is applied and no field marked keep is written. The plan must name a target at most once per slice.
 *   Both report as affected rows how many records they wrote.
 *
 * schema_sql_match: marks valid staged rows that are duplicates of stored records under one key (the lowest id wins) with
 *   action $5 and reason duplicate_in_database, where nothing was decided before. What was decided by hand goes first: a row to be
 *   imported is not compared, a row to update gets that action. $5 NULL: only rows decided to update are compared.
 * schema_sql_analyze: renews what the planner knows of scope and keys of the target (tidegate.records_analyze).
 * schema_sql_gone: planned updates of a slice whose record is gone become failures (record_gone).
 * schema_sql_assignee: of the ids $2 (text[]) one that nobody in scope $1 has, or no row: records can be assigned to them all.
 * schema_sql_people: id and display name of those whom records can be assigned to in scope $1, at most $2.
 *
 * Staged rows: tidegate.import_row(job_no bigint, row_no int, row_id uuid, state smallint, keys text[], vals text[]),
 * where keys[k] is what dedupe key k compares and vals[i] is field i, both counted from 1 in declaration order. The plan: tidegate.import_outcome(job_no, row_no, action, target_id, reason).
 *
 * Parameters of insert and update, always in this order (match and gone stop at $4, match adds $5):
 *     $1 job_no bigint   $2 first row   $3 last row (included)   $4 space
 *     $5 job id uuid   $6 assigned to, or null   $7 default status, or null   $8 default source, or null   $9 who imports
 *     $10 ids to assign to in turn (text[]), or null   $11 whose turn the first record is, from 0   $12 column to assign by, counted
 *     from 1, or null (tidegate.import_assignee says who the names in it are)
 */
#ifndef TIDEGATE_CORE_SCHEMA_STATEMENTS_H
#define TIDEGATE_CORE_SCHEMA_STATEMENTS_H

#include "core/base/buf.h"
#include "core/schema/schema.h"

enum { SCHEMA_WRITE_PARAMETERS = 12, SCHEMA_MATCH_PARAMETERS = 5, SCHEMA_GONE_PARAMETERS = 4, SCHEMA_PEOPLE_PARAMETERS = 2 };

enum schema_row_state { SCHEMA_ROW_VALID = 1, SCHEMA_ROW_INVALID = 2 };
enum schema_row_decision { SCHEMA_DECISION_NONE, SCHEMA_DECISION_IMPORT, SCHEMA_DECISION_UPDATE, SCHEMA_DECISION_SKIP }; /* by hand */
enum schema_row_action { SCHEMA_ACTION_INSERT = 1, SCHEMA_ACTION_UPDATE = 2, SCHEMA_ACTION_SKIP = 3, SCHEMA_ACTION_FAILED = 5, SCHEMA_ACTION_MARKED = 7 };

/*
 * Append one statement to out. ERR_INVALID when the table is no import target (or has no such key), ERR_TOO_LARGE when
 * out is full. `key` counts import->keys from 0.
 */
enum err schema_sql_insert(const struct schema_app *app, const struct schema_table *table, struct buf *out) MUST_USE;
enum err schema_sql_update(const struct schema_app *app, const struct schema_table *table, struct buf *out) MUST_USE;
enum err schema_sql_match(const struct schema_app *app, const struct schema_table *table, size_t key, struct buf *out) MUST_USE;
enum err schema_sql_gone(const struct schema_app *app, const struct schema_table *table, struct buf *out) MUST_USE;
enum err schema_sql_analyze(const struct schema_app *app, const struct schema_table *table, struct buf *out) MUST_USE;
enum err schema_sql_assignee(const struct schema_app *app, const struct schema_table *table, struct buf *out) MUST_USE; /* ERR_INVALID: nobody */
enum err schema_sql_people(const struct schema_app *app, const struct schema_table *table, struct buf *out) MUST_USE;   /* likewise */

#endif
