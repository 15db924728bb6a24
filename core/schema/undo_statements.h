/*
 * The statements that take an import back, generated from a target table (statements.h has those that wrote it). Every
 * text has this shape (crm.lead, shortened):
 *
 * schema_sql_undo_remove: inserted records of a slice that nobody has changed since are removed, with a line of history.
 *     WITH gone AS (
 *     DELETE FROM "crm"."lead" AS t USING tidegate.import_row AS r
 *     WHERE r.job_no = $1::bigint AND r.row_no BETWEEN $2::integer AND $3::integer AND r.state = 1 AND r.row_no NOT IN (…outcome…)
 *         AND t."id" = r.row_id AND t."space" = $4::text AND t."id" = ANY (ARRAY(SELECT s.row_id …)) AND t."deleted_at" IS NULL
 *         AND t."email" IS NOT DISTINCT FROM r.vals[4] AND (r.vals[12] IS NULL OR t."status" = r.vals[12]) AND …
 *         AND (SELECT bool_and(…) AND t."updated_at" <= max(…) FROM "crm"."lead_history" AS h WHERE h."lead_id" = t."id")
 *     RETURNING t."id" AS target_id
 *     ) INSERT INTO "crm"."lead_history" (…) SELECT $4, target_id, $6, 'import_undone', $5, NULL, NULL FROM gone
 *   Unchanged means: not deleted, the columns that the file filled still hold that and those it left empty (and that have
 *   no default) are empty, no history but this import's and that of imports taken back, not touched later than by those.
 *
 * schema_sql_undo_restore: updated records get back what the import changed of them, if all of that still stands as the
 *   import left it. Other columns keep what they hold now.
 *     WITH planned AS MATERIALIZED (SELECT h."lead_id" AS target_id, jsonb_populate_record(…before_data) AS was, …after_data) AS made …),
 *     changed AS (UPDATE "crm"."lead" AS t SET "email" = CASE WHEN (p.was)."email" IS DISTINCT FROM (p.made)."email"
 *         THEN (p.was)."email" ELSE t."email" END, …, "updated_at" = now() …
 *     RETURNING …) INSERT INTO "crm"."lead_history" … 'import_undone' …
 *   ERR_INVALID when the target keeps no history: there is nothing to restore from.
 *   Both report as affected rows how many records they wrote.
 *
 * schema_sql_undo_keep: run after the two. What of the slice is still there and was not restored goes into
 *   tidegate.import_undo: kept (edited_since), or errored (image_gone) when an updated record has no before-image. One row:
 *   how many were kept, how many errored.
 *
 * A scan of target or history never reads more than the records of the slice, whatever the planner believes of their
 * size: = ANY (ARRAY(…)) is an index condition that needs no join. The caller switches nested loops off, under which that
 * array would be searched for every row.
 *
 * Parameters of all three: $1 job_no bigint   $2 first row   $3 last row (included)   $4 space   $5 job id uuid   $6 who undoes
 */
#ifndef TIDEGATE_CORE_SCHEMA_UNDO_STATEMENTS_H
#define TIDEGATE_CORE_SCHEMA_UNDO_STATEMENTS_H

#include "core/base/buf.h"
#include "core/schema/schema.h"

enum { SCHEMA_UNDO_PARAMETERS = 6 };

/* tidegate.import_undo.result. Reversed is what has no row there. */
enum schema_undo_result { SCHEMA_UNDO_KEPT = 1, SCHEMA_UNDO_ERRORED = 2 };

/* Append one statement to out. ERR_INVALID when the table is no import target, ERR_TOO_LARGE when out is full. */
enum err schema_sql_undo_remove(const struct schema_app *app, const struct schema_table *table, struct buf *out) MUST_USE;
enum err schema_sql_undo_restore(const struct schema_app *app, const struct schema_table *table, struct buf *out) MUST_USE;
enum err schema_sql_undo_keep(const struct schema_app *app, const struct schema_table *table, struct buf *out) MUST_USE;

#endif
