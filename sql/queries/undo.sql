-- Undo of an import. The statements that take records back are made per target (core/schema/undo_statements.h).

-- name: undo_ask
-- For the request: who asked, and progress from the start.
UPDATE tidegate.import_job SET undo_by = current_setting('tidegate.sub'), phase_done = 0, rows_reversed = 0, rows_kept = 0, rows_errored = 0
WHERE no = $1::bigint;

-- name: undo_state
-- Who asked for it, and do the lanes belong to it already?
SELECT undo_by, undo_planned FROM tidegate.import_job WHERE no = $1::bigint;

-- name: undo_partition
SELECT tidegate.import_undo_partition($1::bigint);

-- name: undo_planned
UPDATE tidegate.import_job SET undo_planned = true WHERE no = $1::bigint;

-- name: undo_by_index
-- Everything in a slice is found by primary key, as lists of keys that a scan takes as its condition (undo_statements.h). A planner
-- that takes a growing table for a small one would read all of it otherwise, once per slice. The images of a slice fit in memory.
SELECT set_config('work_mem', '64MB', true), set_config('enable_seqscan', 'off', true), set_config('enable_nestloop', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: undo_slice
-- Of the rows of a slice: all, inserted, updated. Only valid rows have an outcome, and those without one were inserted.
-- Primary keys of both partitions.
WITH r AS (SELECT count(*) AS n, count(*) FILTER (WHERE state = 1) AS valid FROM tidegate.import_row
           WHERE job_no = $1::bigint AND row_no BETWEEN $2::int AND $3::int),
     o AS (SELECT count(*) AS n, count(*) FILTER (WHERE action = 2) AS updates FROM tidegate.import_outcome
           WHERE job_no = $1::bigint AND row_no BETWEEN $2::int AND $3::int)
SELECT r.n, r.valid - o.n, o.updates FROM r, o;

-- name: undo_refused
-- One row that the database refuses to take back, because of SQLSTATE $3. A record that was inserted can only be refused for what
-- refers to it; for one that was updated, the value to be restored may be what is refused.
INSERT INTO tidegate.import_undo (job_no, row_no, result, reason)
SELECT $1::bigint, $2::int, 2, CASE WHEN $3 IN ('23503', '23001') AND NOT EXISTS (SELECT FROM tidegate.import_outcome o
	WHERE o.job_no = $1::bigint AND o.row_no = $2::int) THEN 'still_referenced' ELSE 'undo_refused' END;

-- name: undo_checkpoint
SELECT tidegate.import_undo_checkpoint($1::bigint, $2::uuid, $3::interval, $4::bigint, $5::int, $6::int, $7::bigint, $8::bigint, $9::bigint, $10::bigint);

-- name: undo_ledger
-- Does every record that the import wrote end in one place, and are the exceptions that were counted those that are noted?
SELECT j.rows_reversed + j.rows_kept + j.rows_errored = j.rows_inserted + j.rows_updated AND j.rows_kept = u.kept AND j.rows_errored = u.errored,
       j.rows_reversed, j.rows_kept, j.rows_errored
FROM tidegate.import_job j,
     (SELECT count(*) FILTER (WHERE result = 1) AS kept, count(*) FILTER (WHERE result = 2) AS errored FROM tidegate.import_undo WHERE job_no = $1::bigint) u
WHERE j.no = $1::bigint;
