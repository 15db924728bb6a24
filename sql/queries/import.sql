-- Spreadsheet imports. The API reads under row-level security (space); workers see every space and name the job.

-- name: import_lock_hash
-- Two requests for the same file come one after the other.
SELECT pg_advisory_xact_lock(hashtextextended(current_setting('tidegate.space') || ':' || $1, 0));

-- name: import_same_file
-- The newest import of this file that was completed or is under way; its records are there as long as an undo has not
-- ended. Relies on import_job_hash_idx.
SELECT id FROM tidegate.import_job
WHERE space = current_setting('tidegate.space') AND file_hash = $1 AND (status NOT IN ('failed', 'cancelled', 'undone') OR failed_in = 'undoing')
ORDER BY created_at DESC LIMIT 1;

-- name: import_create
INSERT INTO tidegate.import_job (id, space, created_by, object_key, target, file_name, file_size, file_hash, allow_duplicate)
VALUES ($1::uuid, current_setting('tidegate.space'), current_setting('tidegate.sub'), $2, $3, $4, $5::bigint, $6, $7::boolean)
ON CONFLICT (object_key) DO NOTHING RETURNING no;

-- name: import_queue
SELECT tidegate.import_queue($1::bigint, $2, $3);

-- name: import_get
-- The whole job as clients see it: aliases are the contract. Primary key.
SELECT id, no AS _no, status, CASE WHEN status IN ('inspecting', 'parsing', 'importing', 'undoing') THEN status ELSE failed_in END AS phase, target,
       file_name AS "fileName", file_size AS "fileSize", file_hash AS "fileHash", object_key AS "objectKey", format, encoding, delimiter, sheets, sheet,
       header_row AS "headerRow", columns,
       rows_total AS "counts.total", rows_valid AS "counts.valid", rows_invalid AS "counts.invalid",
       rows_duplicate_in_file AS "counts.duplicateInFile", rows_duplicate_in_database AS "counts.duplicateInDatabase",
       rows_inserted AS "counts.inserted", rows_updated AS "counts.updated", rows_skipped AS "counts.skipped", rows_failed AS "counts.failed",
       rows_cancelled AS "counts.cancelled", rows_reversed AS "counts.reversed", rows_kept AS "counts.kept", rows_errored AS "counts.errored",
       phase_done AS "progress.done", phase_total AS "progress.total",
       CASE WHEN phase_total > 0 THEN least(100, phase_done * 100 / phase_total) ELSE 0 END AS "progress.percent",
       coalesce(round((phase_done - phase_base) / nullif(extract(epoch FROM coalesce(phase_ended_at, clock_timestamp()) - phase_started_at), 0)), 0)::bigint
         AS "progress.rowsPerSecond",
       CASE WHEN phase_ended_at IS NULL AND phase_done > phase_base AND phase_total >= phase_done
         THEN ceil((phase_total - phase_done) * extract(epoch FROM clock_timestamp() - phase_started_at) / (phase_done - phase_base))::bigint END
         AS "progress.etaSeconds",
       warnings, error_code AS _error, assignment, duplicates, value_map AS "valueMap", unknown_values AS "unknownValues",
       (SELECT coalesce(json_agg(json_build_object('value', value, 'rows', rows) ORDER BY rows DESC, value), '[]')
        FROM (SELECT a.value, a.rows FROM tidegate.import_assignee a WHERE a.job_no = j.no AND a.user_id IS NULL ORDER BY a.rows DESC, a.value LIMIT 100) u)
         AS "unknownAssignees",
       edits, marked_edits < edits AS "marksPending", CASE WHEN preview ->> 'error' IS NULL THEN preview END AS preview, preview ->> 'error' AS _preview_error,
       report_rows AS "reportRows", created_by AS "createdBy", created_at AS "createdAt", started_at AS "startedAt", completed_at AS "completedAt"
FROM tidegate.import_job j WHERE id = $1::uuid;

-- name: import_list
-- Newest first, keyset on (created_at, id): import_job_list_idx. $1 status or null, $2 part of the file name or null,
-- $3, $4 the last row of the page before or null, $5 one more than the page.
SELECT id, status, target, file_name AS "fileName", file_size AS "fileSize", file_hash AS "fileHash", rows_total AS "counts.total",
       rows_valid AS "counts.valid", rows_invalid AS "counts.invalid", rows_inserted AS "counts.inserted", rows_updated AS "counts.updated",
       rows_skipped AS "counts.skipped", rows_failed AS "counts.failed",
       rows_reversed AS "counts.reversed", rows_kept AS "counts.kept", rows_errored AS "counts.errored",
       created_by AS "createdBy", created_at AS "createdAt", started_at AS "startedAt", completed_at AS "completedAt", error_code AS _error,
       (extract(epoch FROM created_at) * 1000000)::bigint AS _cursor
FROM tidegate.import_job
WHERE space = current_setting('tidegate.space') AND ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR strpos(lower(file_name), lower($2)) > 0)
  AND ($3::bigint IS NULL OR (created_at, id) < (timestamptz 'epoch' + $3::bigint * interval '1 microsecond', $4::uuid))
ORDER BY created_at DESC, id DESC LIMIT $5::int;

-- name: import_find
-- What listing the rows of a job needs; no lock. Has its commit been stopped, and has an undo begun? Primary key.
SELECT no, target, status IN ('failed', 'cancelled') AND failed_in IS DISTINCT FROM 'undoing', undo_planned FROM tidegate.import_job WHERE id = $1::uuid;

-- name: import_queue_job
SELECT queue_job FROM tidegate.import_job WHERE id = $1::uuid;

-- name: import_lock
-- The parts of a job that a change needs, under its row lock.
SELECT no, status, target, columns, mapping, format, queue_job, parsed, failed_in, fingerprint, planned, report_key, object_key
FROM tidegate.import_job WHERE id = $1::uuid FOR UPDATE;

-- name: import_set_mapping
UPDATE tidegate.import_job SET mapping = $2::int[], columns = $3::jsonb, updated_at = now() WHERE no = $1::bigint;

-- name: import_save_mapping
INSERT INTO tidegate.import_mapping (space, target, fingerprint, name, mapping, created_by)
VALUES (current_setting('tidegate.space'), $1, $2, $3, $4::int[], current_setting('tidegate.sub'))
ON CONFLICT (space, target, fingerprint) DO UPDATE SET name = excluded.name, mapping = excluded.mapping, updated_at = now();

-- name: import_set_overrides
UPDATE tidegate.import_job SET overrides = overrides || $2::jsonb, updated_at = now() WHERE no = $1::bigint;

-- name: import_set_values
-- What values of the file mean, by field: a field that is sent replaces what was said of it before.
UPDATE tidegate.import_job SET value_map = value_map || $2::jsonb, updated_at = now() WHERE no = $1::bigint;

-- name: import_reset_rows
-- Before a parse from the start: counters and checkpoints of an earlier one are gone, as its rows will be.
UPDATE tidegate.import_job
SET rows_total = 0, rows_valid = 0, rows_invalid = 0, rows_duplicate_in_file = 0, rows_duplicate_in_database = 0, rows_inserted = 0, rows_updated = 0,
    rows_skipped = 0, rows_failed = 0, rows_cancelled = 0, parsed_to = 0, parsed = false, planned = false, phase_done = 0,
    edits = 0, marked_edits = 0, unknown_values = '[]', preview = NULL, preview_request = NULL, report_key = NULL, report_rows = 0, error_code = NULL, completed_at = NULL
WHERE no = $1::bigint;

-- name: import_set_commit
UPDATE tidegate.import_job
SET assignment = $2::jsonb, duplicates = $3::jsonb, defaults = $4::jsonb, planned = false, phase_done = 0, rows_inserted = 0,
    rows_updated = 0, rows_skipped = 0, rows_failed = 0, rows_cancelled = 0
WHERE no = $1::bigint;

-- name: import_resume
-- Retry: what the stop had counted as cancelled is open again.
UPDATE tidegate.import_job SET rows_cancelled = 0, error_code = NULL, completed_at = NULL WHERE no = $1::bigint;

-- name: import_cancel_job
SELECT tidegate.job_cancel_own($1::bigint, false);

-- name: import_job_running
-- Is the queue's job in a worker's hands (then the worker ends the import), or only waiting?
SELECT state = 'running' FROM tidegate.job WHERE id = $1::bigint;

-- name: import_stop
SELECT tidegate.import_stop($1::bigint, $2, $3);

-- name: import_fail_job
SELECT tidegate.import_fail_job($1::bigint, $2);

-- name: import_forget_upload
SELECT tidegate.upload_forget($1::bigint);

-- name: import_delete
DELETE FROM tidegate.import_job WHERE no = $1::bigint;

-- name: import_expired
-- Imports that ended more than $1 days ago, the oldest first, at most $2. Relies on import_job_ended_idx.
SELECT no, id, space, object_key, target, status, rows_total, file_name, to_char(completed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM tidegate.import_job
WHERE status IN ('completed', 'failed', 'cancelled', 'undone') AND completed_at < now() - make_interval(days => $1::int)
ORDER BY completed_at LIMIT $2::int;

-- name: import_expired_lock
-- Is it still so, now that nobody can change it? (Somebody may have retried it since the look.) One that is locked is being used.
SELECT 1 FROM tidegate.import_job
WHERE no = $1::bigint AND status IN ('completed', 'failed', 'cancelled', 'undone') AND completed_at < now() - make_interval(days => $2::int)
FOR UPDATE SKIP LOCKED;

-- name: import_enqueue_removal
-- Rows, file and report go in the background; the import itself is gone at once.
SELECT tidegate.job_enqueue('import.remove', jsonb_build_object('no', $1::bigint, 'objects', to_jsonb($2::text[])), current_setting('tidegate.space'),
	'remove:' || $1, NULL);

-- name: import_forget_jobs
SELECT tidegate.import_forget_jobs($1::bigint);

-- name: import_enter_call
-- For a call signed by an external queue: takes its token and tells whose the import is. Primary keys.
SELECT fresh, space, created_by FROM tidegate.signed_call_enter($1, $2::bigint, $3::uuid);

-- name: import_rows
-- A page of rows, keyset on row_no: the partition's primary key. $2 state: valid, invalid, duplicate, skipped, updated, failed,
-- cancelled, reversed, kept, errored, or null for all. $4 one more than the page, which also ends after 4 MB of text. $5: the
-- commit was stopped, so valid rows that no lane has reached are cancelled. $6: an undo has begun; what it wrote and reached
-- is reversed where nothing else is noted. _found: rows there are for the page, before the limit of bytes.
SELECT row_no AS "rowNumber", to_json(cells) AS raw, to_json(vals) AS _vals, to_json(issues) AS _issues, state AS _state, action AS _action,
       reason AS _reason, unreached AS _unreached, found AS _found, first_row AS _first, decision AS _decision, undo AS _undo,
       undo_reason AS _undo_reason
FROM (SELECT p.*, count(*) OVER () AS found,
             sum(octet_length(cells::text) + octet_length(vals::text)) OVER (ORDER BY row_no ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM (SELECT r.row_no, r.cells, r.vals, r.issues, r.state, r.decision, o.action, o.reason, o.first_row, x.unreached, x.undo,
                   u.reason AS undo_reason
            FROM tidegate.import_row_of_space r LEFT JOIN tidegate.import_outcome_of_space o ON o.job_no = r.job_no AND o.row_no = r.row_no
                 LEFT JOIN tidegate.import_undo_of_space u ON $6::boolean AND u.job_no = r.job_no AND u.row_no = r.row_no
                 CROSS JOIN LATERAL (SELECT ($5::boolean OR $6::boolean) AND r.state = 1 AND EXISTS (SELECT FROM tidegate.import_lane l
                   WHERE l.job_no = $1::bigint AND r.row_no > l.done_to AND r.row_no <= l.last_row) AS ahead) y
                 CROSS JOIN LATERAL (SELECT $5::boolean AND y.ahead AS unreached, CASE WHEN u.result = 1 THEN 'kept' WHEN u.result = 2 THEN 'errored'
                   WHEN $6::boolean AND r.state = 1 AND coalesce(o.action, 2) = 2 AND NOT y.ahead THEN 'reversed' END AS undo) x
            WHERE r.job_no = $1::bigint AND r.row_no > $3::int
              AND CASE $2::text WHEN 'valid' THEN r.state = 1 WHEN 'invalid' THEN r.state = 2
                  WHEN 'duplicate' THEN o.reason IN ('duplicate_in_file', 'duplicate_in_database')
                  WHEN 'skipped' THEN o.action = 3 AND NOT x.unreached WHEN 'updated' THEN o.action = 2 AND NOT x.unreached
                  WHEN 'failed' THEN o.action = 5 WHEN 'cancelled' THEN x.unreached
                  WHEN 'reversed' THEN x.undo = 'reversed' WHEN 'kept' THEN x.undo = 'kept' WHEN 'errored' THEN x.undo = 'errored' ELSE true END
            ORDER BY r.row_no LIMIT $4::int) p) q
WHERE before IS NULL OR before < 4194304 ORDER BY row_no;

-- name: import_start
-- $5 the status it comes from, $6 the one it goes to (or is in already, when the job is taken again). No row: nothing to do.
SELECT id, space, target, object_key, overrides, encoding, delimiter, header_row, mapping, rows_estimated, rows_total, parsed_to, planned,
       assignment, duplicates, defaults, file_name, created_by, rows_invalid, parsed, format, jsonb_array_length(columns), sheet,
       edits, value_map, file_hash
FROM tidegate.import_start($1::bigint, $2::uuid, $3::interval, $4::bigint, $5, $6);

-- name: import_look
-- The same of an import that is ready, as it is.
SELECT id, space, target, object_key, overrides, encoding, delimiter, header_row, mapping, rows_estimated, rows_total, parsed_to, planned,
       assignment, duplicates, defaults, file_name, created_by, rows_invalid, parsed, format, jsonb_array_length(columns), sheet,
       edits, value_map, file_hash
FROM tidegate.import_job WHERE no = $1::bigint AND status = 'ready';

-- name: import_review
SELECT tidegate.import_review($1::uuid);

-- name: import_review_alone
SELECT pg_advisory_xact_lock(hashtextextended('tidegate.import_review', $1::bigint));

-- name: import_review_due
-- What a review of import $1 still has to do: marks, a preview. No row: the import is not ready any more.
SELECT edits <> marked_edits, preview_request IS NOT NULL AND preview IS NULL FROM tidegate.import_job WHERE no = $1::bigint AND status = 'ready';

-- name: import_reviewed
UPDATE tidegate.import_job
SET marked_edits = $2::int, rows_duplicate_in_file = $3::bigint, rows_duplicate_in_database = $4::bigint, warnings = $5::jsonb
WHERE no = $1::bigint AND status = 'ready' RETURNING no;

-- name: import_set_preview
UPDATE tidegate.import_job
SET preview_request = jsonb_build_object('assignment', $2::jsonb, 'duplicates', $3::jsonb, 'defaults', $4::jsonb), preview = NULL
WHERE no = $1::bigint;

-- name: import_preview_request
SELECT preview_request ->> 'assignment', preview_request ->> 'duplicates', preview_request ->> 'defaults', preview_request
FROM tidegate.import_job WHERE no = $1::bigint;

-- name: import_preview_count
-- What the plan that stands in import_outcome comes to. Whom the new records go to: $2 one person, $3 several in turn, $4 whom the
-- names in that column mean.
WITH planned AS (SELECT count(*) AS n, count(*) FILTER (WHERE action = 2) AS updated, count(*) FILTER (WHERE action = 3) AS skipped,
                        count(*) FILTER (WHERE reason = 'duplicate_in_file') AS in_file,
                        count(*) FILTER (WHERE reason = 'duplicate_in_database') AS in_database
                 FROM tidegate.import_outcome WHERE job_no = $1::bigint),
     counts AS (SELECT j.rows_total AS total, j.rows_valid AS valid, j.rows_invalid AS invalid, j.rows_valid - p.n AS inserted, p.updated, p.skipped,
                       p.in_file, p.in_database FROM tidegate.import_job j, planned p WHERE j.no = $1::bigint),
     shares AS (SELECT $2::text AS user_id, inserted AS rows FROM counts WHERE $2::text IS NOT NULL
                UNION ALL
                SELECT t.user_id, inserted / cardinality($3::text[]) + (t.turn <= inserted % cardinality($3::text[]))::int
                FROM counts, unnest($3::text[]) WITH ORDINALITY AS t (user_id, turn)
                UNION ALL
                SELECT a.user_id, count(*)
                FROM tidegate.import_row r LEFT JOIN tidegate.import_assignee a ON a.job_no = $1::bigint AND a.value = r.cells[$4::int]
                WHERE $4::int IS NOT NULL AND r.job_no = $1::bigint AND r.state = 1
                  AND NOT EXISTS (SELECT FROM tidegate.import_outcome o WHERE o.job_no = $1::bigint AND o.row_no = r.row_no)
                GROUP BY 1)
SELECT jsonb_build_object(
	'counts', jsonb_build_object('total', total, 'valid', valid, 'invalid', invalid, 'inserted', inserted, 'updated', updated, 'skipped', skipped,
		'duplicateInFile', in_file, 'duplicateInDatabase', in_database),
	'distribution', (SELECT coalesce(jsonb_agg(jsonb_build_object('userId', user_id, 'rows', rows) ORDER BY rows DESC, user_id), '[]')
		FROM (SELECT user_id, sum(rows)::bigint AS rows FROM shares GROUP BY 1) s WHERE rows > 0),
	'unknownAssignees', (SELECT coalesce(jsonb_agg(jsonb_build_object('value', value, 'rows', rows) ORDER BY rows DESC, value), '[]')
		FROM (SELECT value, rows FROM tidegate.import_assignee WHERE job_no = $1::bigint AND user_id IS NULL AND $4::int IS NOT NULL
		      ORDER BY rows DESC, value LIMIT 100) u))
FROM counts;

-- name: import_preview_save
-- Unless something has changed since: then it is made again.
UPDATE tidegate.import_job SET preview = preview_request || $2::jsonb
WHERE no = $1::bigint AND status = 'ready' AND edits = $3::int AND preview_request = $4::jsonb;

-- name: import_row_lock
-- What changing a row needs, under the import's lock.
SELECT no, status, target, mapping, jsonb_array_length(columns), sheet IS NOT NULL, value_map FROM tidegate.import_job WHERE id = $1::uuid FOR UPDATE;

-- name: import_row_cells
SELECT to_json(cells) FROM tidegate.import_row_of_space WHERE job_no = $1::bigint AND row_no = $2::int;

-- name: import_row_change
SELECT tidegate.import_row_change($1::bigint, $2::int, $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean, $8::boolean, $9::smallint);

-- name: import_duplicate_groups
-- Rows of the file that repeat an earlier one, by that row, keyset on its number; $3 one more than the page. At most 100 rows of a
-- group are named.
SELECT first_row, count(*), (array_agg(row_no ORDER BY row_no))[:100]
FROM tidegate.import_outcome_of_space
WHERE job_no = $1::bigint AND reason = 'duplicate_in_file' AND first_row > $2::int
GROUP BY first_row ORDER BY first_row LIMIT $3::int;

-- name: import_duplicate_rows
-- The values of rows $2 of an import.
SELECT row_no, to_json(vals) FROM tidegate.import_row_of_space WHERE job_no = $1::bigint AND row_no = ANY ($2::int[]) ORDER BY row_no;

-- name: import_file
SELECT file_size, file_hash FROM tidegate.import_job WHERE no = $1::bigint;

-- name: import_know_hash
-- The hash of a file that nobody had read before. After import_lock_hash. False: the same file was imported or is being imported.
UPDATE tidegate.import_job j SET file_hash = $2 WHERE no = $1::bigint
RETURNING allow_duplicate OR NOT EXISTS (SELECT FROM tidegate.import_job o
	WHERE o.space = j.space AND o.file_hash = $2 AND o.no <> j.no AND (o.status NOT IN ('failed', 'cancelled', 'undone') OR o.failed_in = 'undoing'));

-- name: import_inspected
UPDATE tidegate.import_job
SET format = $2, encoding = $3, delimiter = $4, header_row = $5::int, columns = $6::jsonb, mapping = $7::int[], rows_estimated = $8::bigint,
    fingerprint = $9, warnings = $10::jsonb, sheet = $11, sheets = $12::jsonb, phase_total = 0, phase_done = 0, updated_at = now()
WHERE no = $1::bigint;

-- name: import_saved_mapping
SELECT mapping FROM tidegate.import_mapping WHERE space = $1 AND target = $2 AND fingerprint = $3;

-- name: import_move
SELECT tidegate.import_move_to($1::bigint, $2);

-- name: import_partitions
SELECT tidegate.import_partitions_create($1::bigint);

-- name: import_partitions_drop
SELECT tidegate.import_partitions_drop($1::bigint);

-- name: import_copy
COPY tidegate.import_row (job_no, row_no, row_id, state, keys, cells, vals, issues) FROM STDIN (FORMAT binary);

-- name: import_checkpoint
SELECT tidegate.import_parse_checkpoint($1::bigint, $2::uuid, $3::interval, $4::bigint, $5::int, $6::int, $7::int);

-- name: import_analyze
-- $2: import_row, once all rows are there, or import_outcome, once they are marked.
SELECT tidegate.import_analyze($1::bigint, $2);

-- name: import_mark_alone
-- Marks of one import are made by one process at a time: until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('tidegate.import_outcome', $1::bigint));

-- name: import_forget_outcomes
DELETE FROM tidegate.import_outcome WHERE job_no = $1::bigint;

-- name: import_keep_in_file
-- The parse has found who repeats an earlier row of the file, under every key; that is as true now, so it is kept and acted on.
-- What it found by way of a stored record (import_mark_same_record) is not: the record may be another one now.
WITH forgotten AS (DELETE FROM tidegate.import_outcome WHERE job_no = $1::bigint AND (reason IS DISTINCT FROM 'duplicate_in_file' OR target_id IS NOT NULL))
UPDATE tidegate.import_outcome SET action = $2::smallint WHERE job_no = $1::bigint AND reason = 'duplicate_in_file' AND target_id IS NULL;

-- name: import_lanes_make
-- $2 stretches of about as many rows each; fewer when there are few rows. Stretches are by row number, which a file has without large gaps.
INSERT INTO tidegate.import_lane (job_no, lane, done_to, last_row)
SELECT $1::bigint, n, first - 1 + (last - first + 1)::bigint * n / lanes, first - 1 + (last - first + 1)::bigint * (n + 1) / lanes
FROM (SELECT (SELECT min(row_no) FROM tidegate.import_row WHERE job_no = $1::bigint) AS first,
             (SELECT max(row_no) FROM tidegate.import_row WHERE job_no = $1::bigint) AS last,
             greatest(1, least($2::int, rows_total / $3::int)) AS lanes
      FROM tidegate.import_job WHERE no = $1::bigint) f, generate_series(0, lanes - 1) AS n
WHERE first IS NOT NULL;

-- name: import_lanes_turns
-- Where each lane begins in the order of turns: after all that the lanes before it are to insert. Only valid rows have an outcome.
WITH planned AS (SELECT l.lane, (SELECT count(*) FROM tidegate.import_row r WHERE r.job_no = $1::bigint AND r.state = 1
                                   AND r.row_no > l.done_to AND r.row_no <= l.last_row)
                                - (SELECT count(*) FROM tidegate.import_outcome o WHERE o.job_no = $1::bigint
                                   AND o.row_no > l.done_to AND o.row_no <= l.last_row) AS inserts
                 FROM tidegate.import_lane l WHERE l.job_no = $1::bigint)
UPDATE tidegate.import_lane l SET cursor = coalesce((SELECT sum(p.inserts) FROM planned p WHERE p.lane < l.lane), 0)
WHERE l.job_no = $1::bigint;

-- name: import_names
-- What stands in column $2 (counted from 1) of the valid rows, each once, at most $3. What is longer than a name is none.
SELECT cells[$2::int] COLLATE "C", count(*) FROM tidegate.import_row
WHERE job_no = $1::bigint AND state = 1 AND octet_length(cells[$2::int]) BETWEEN 1 AND 1020 GROUP BY 1 LIMIT $3::int;

-- name: import_assignees_forget
DELETE FROM tidegate.import_assignee WHERE job_no = $1::bigint;

-- name: import_assignees_put
INSERT INTO tidegate.import_assignee (job_no, value, user_id, rows)
SELECT $1::bigint, value, user_id, rows FROM unnest($2::text[], $3::text[], $4::bigint[]) AS a (value, user_id, rows);

-- name: import_lanes_forget
DELETE FROM tidegate.import_lane WHERE job_no = $1::bigint;

-- name: import_lanes
SELECT lane, done_to, last_row, cursor FROM tidegate.import_lane WHERE job_no = $1::bigint AND done_to < last_row ORDER BY lane;

-- name: import_mark_in_file
-- Later rows with the value that an earlier valid row has as key $2. A hash over the values, then a join with the few that
-- repeat: no sort of all rows. $3: the action and $4 the reason they get where nothing was decided yet. A row that is skipped by
-- hand does not come before others, one that is imported by hand does not come after others.
INSERT INTO tidegate.import_outcome (job_no, row_no, action, reason, first_row)
SELECT $1::bigint, r.row_no, $3::smallint, $4, d.first
FROM (SELECT keys[$2::int] COLLATE "C" AS value, min(row_no) AS first FROM tidegate.import_row
      WHERE job_no = $1::bigint AND state = 1 AND decision IS DISTINCT FROM 3 AND keys[$2::int] IS NOT NULL GROUP BY 1 HAVING count(*) > 1) d
JOIN tidegate.import_row r ON r.job_no = $1::bigint AND r.state = 1 AND r.keys[$2::int] COLLATE "C" = d.value AND r.row_no > d.first
  AND r.decision IS DISTINCT FROM 1
ON CONFLICT (job_no, row_no) DO NOTHING;

-- name: import_mark_decided
-- Rows that are skipped by hand. Before the other marks.
INSERT INTO tidegate.import_outcome (job_no, row_no, action, reason)
SELECT job_no, row_no, 3, 'decided' FROM tidegate.import_row WHERE job_no = $1::bigint AND state = 1 AND decision = 3;

-- name: import_sets
-- For statements over all rows of an import: a hash of every key, joins of all rows shall not spill to disk at a few hundred
-- thousand rows, and no plan is kept, because what suits one import is minutes too slow for the next. Nor may a nested loop go
-- through all rows of one table for each of another: the planner cannot know how few values repeat, and it takes a partition for
-- empty whose only rows, when it was analysed, were those of an attempt that a crash took back.
SELECT set_config('work_mem', '64MB', true), set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_nestloop', 'off', true),
       set_config('enable_material', 'off', true);

-- name: import_nested_loops
-- Around the statements that are written so that a nested loop is one by index (schema_sql_match): a few rows against millions.
SELECT set_config('enable_nestloop', $1, true);

-- name: import_mark_same_record
-- Two rows that are the same stored record under different keys: the first decides, the later ones are duplicates of it.
UPDATE tidegate.import_outcome o SET action = $2::smallint, reason = 'duplicate_in_file', first_row = d.first
FROM (SELECT target_id, min(row_no) AS first FROM tidegate.import_outcome WHERE job_no = $1::bigint AND target_id IS NOT NULL
      GROUP BY 1 HAVING count(*) > 1) d
WHERE o.job_no = $1::bigint AND o.target_id = d.target_id AND o.row_no > d.first;

-- name: import_count_marks
SELECT count(*) FILTER (WHERE reason = 'duplicate_in_file'), count(*) FILTER (WHERE reason = 'duplicate_in_database')
FROM tidegate.import_outcome WHERE job_no = $1::bigint;

-- name: import_warnings
-- What was said of rows, counted by code.
SELECT coalesce(json_agg(json_build_object('code', code, 'rows', rows) ORDER BY rows DESC, code), '[]')
FROM (SELECT split_part(issue, ':', 2) AS code, count(DISTINCT row_no) AS rows FROM tidegate.import_row, unnest(issues) AS issue
      WHERE job_no = $1::bigint AND issues IS NOT NULL GROUP BY 1) c;

-- name: import_unknown_values
-- Values of closed lists that nobody understood, the most frequent 200: $2 the issues that say so, $3 their fields, $4 the columns.
SELECT coalesce(json_agg(json_build_object('field', field, 'value', value, 'rows', rows) ORDER BY rows DESC, field, value), '[]')
FROM (SELECT m.field, left(r.cells[m.place], 200) AS value, count(*) AS rows
      FROM tidegate.import_row r JOIN unnest($2::text[], $3::text[], $4::int[]) AS m (issue, field, place) ON m.issue = ANY (r.issues)
      WHERE r.job_no = $1::bigint AND r.issues IS NOT NULL GROUP BY 1, 2 ORDER BY rows DESC LIMIT 200) u;

-- name: import_parsed
UPDATE tidegate.import_job
SET parsed = true, rows_duplicate_in_file = $2::bigint, rows_duplicate_in_database = $3::bigint, warnings = $4::jsonb, unknown_values = $5::jsonb,
    phase_total = rows_total, phase_done = rows_total
WHERE no = $1::bigint;

-- name: import_planned
UPDATE tidegate.import_job SET planned = true, phase_total = rows_total, phase_done = 0 WHERE no = $1::bigint;

-- name: import_commit_checkpoint
SELECT tidegate.import_commit_checkpoint($1::bigint, $2::uuid, $3::interval, $4::bigint, $5::int, $6::int, $7::bigint, $8::bigint, $9::bigint,
	$10::bigint, $11::bigint);

-- name: import_slice
-- How the rows of a slice are to end: rows in all, inserts, updates, skips, invalid ones, failures. Only valid rows have an
-- outcome, and those without one are inserts. Primary keys of both partitions.
WITH r AS (SELECT count(*) AS n, count(*) FILTER (WHERE state = 1) AS valid FROM tidegate.import_row
           WHERE job_no = $1::bigint AND row_no BETWEEN $2::int AND $3::int),
     o AS (SELECT count(*) AS n, count(*) FILTER (WHERE action = 2) AS updates, count(*) FILTER (WHERE action = 3) AS skips,
                  count(*) FILTER (WHERE action = 5) AS failures FROM tidegate.import_outcome
           WHERE job_no = $1::bigint AND row_no BETWEEN $2::int AND $3::int)
SELECT r.n, r.valid - o.n, o.updates, o.skips, r.n - r.valid, o.failures FROM r, o;

-- name: import_by_index
-- Everything in a slice is found by primary key, stored records by a list of keys (schema_sql_update). A planner that takes a
-- growing table for a small one would read all of it for every slice or every row instead, for minutes.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_nestloop', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: import_slice_end
-- Last row of the next slice of $4 rows after row $2 and up to row $3; null: none is left.
SELECT max(row_no) FROM (SELECT row_no FROM tidegate.import_row WHERE job_no = $1::bigint AND row_no > $2::int AND row_no <= $3::int
                         ORDER BY row_no LIMIT $4::int) s;

-- name: import_mark_failed
INSERT INTO tidegate.import_outcome (job_no, row_no, action, reason) VALUES ($1::bigint, $2::int, 5, $3)
ON CONFLICT (job_no, row_no) DO UPDATE SET action = 5, reason = excluded.reason;

-- name: import_ledger
-- Every source row in exactly one place, counted from the rows themselves and compared by the caller with what the reader
-- counted and with what the slices really wrote. Only valid rows have an outcome, at most one (primary key).
SELECT r.total, r.invalid, r.total - r.invalid - o.total AS inserted, o.updated, o.skipped, o.failed,
       j.rows_total, j.rows_invalid, j.rows_inserted, j.rows_updated, j.rows_skipped, j.rows_failed
FROM tidegate.import_job j,
     (SELECT count(*) AS total, count(*) FILTER (WHERE state = 2) AS invalid FROM tidegate.import_row WHERE job_no = $1::bigint) r,
     (SELECT count(*) AS total, count(*) FILTER (WHERE action = 2) AS updated, count(*) FILTER (WHERE action = 3) AS skipped,
             count(*) FILTER (WHERE action = 5) AS failed FROM tidegate.import_outcome WHERE job_no = $1::bigint) o
WHERE j.no = $1::bigint;

-- name: import_report_rows
-- Rows that did not come in, for the error report: at most $4 of those after row $2 and up to row $3. Bounded by primary key.
SELECT r.row_no, to_json(r.cells), to_json(r.issues), o.action, o.reason
FROM tidegate.import_row r
     LEFT JOIN tidegate.import_outcome o ON o.job_no = $1::bigint AND o.row_no = r.row_no AND o.row_no > $2::int AND o.row_no <= $3::int
WHERE r.job_no = $1::bigint AND r.row_no > $2::int AND r.row_no <= $3::int AND (r.state = 2 OR o.action = 5)
ORDER BY r.row_no LIMIT $4::int;

-- name: import_report_head
SELECT columns, delimiter, (SELECT max(row_no) FROM tidegate.import_row WHERE job_no = $1::bigint) FROM tidegate.import_job WHERE no = $1::bigint;

-- name: import_set_report
UPDATE tidegate.import_job SET report_key = $2, report_rows = $3::bigint WHERE no = $1::bigint;

-- name: import_report
SELECT report_key, report_rows, file_name, status FROM tidegate.import_job WHERE id = $1::uuid;

-- name: import_last_headings
SELECT columns -> -2 ->> 'name', columns -> -1 ->> 'name' FROM tidegate.import_job WHERE no = $1::bigint;
