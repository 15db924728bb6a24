-- Imports of SQLite databases. The API reads under row-level security (space and owner); workers see every space and name the batch.

-- name: sqlite_create
-- No row: the file or the idempotency key has a batch already. Relies on sqlite_batch_object_idx and sqlite_batch_idempotency_idx.
INSERT INTO tidegate.sqlite_batch (id, space, owner, object_key, file_name, file_size, file_hash, profile, timezone_offset, parser, idempotency_key)
VALUES ($1::uuid, current_setting('tidegate.space'), current_setting('tidegate.sub'), $2, $3, $4::bigint, $5, $6, $7::int, $8, $9)
ON CONFLICT DO NOTHING RETURNING no;

-- name: sqlite_same
-- The batch of an idempotency key, or else the live one of a file, with what it was asked for.
SELECT id, status, object_key, profile, timezone_offset, parser, no, coalesce(idempotency_key = $1, false), file_name, file_size FROM tidegate.sqlite_batch
WHERE idempotency_key = $1 OR (object_key = $2 AND status <> 'failed') ORDER BY idempotency_key = $1 DESC NULLS LAST LIMIT 1;

-- name: sqlite_queue
SELECT tidegate.sqlite_queue($1::bigint);

-- name: sqlite_get
-- A batch as clients see it: aliases are the contract. Primary key.
SELECT id AS "batchId", no AS _no, status, profile, file_name AS "fileName", file_size AS "fileSize", file_hash AS "fileHash", object_key AS "objectKey",
       parser, parser_version AS "parserVersion", timezone_offset AS "timezoneOffsetMinutes", format,
       rows_done AS "progress.done", rows_total AS "progress.total",
       CASE WHEN status = 'completed' THEN 100 WHEN rows_total > 0 THEN least(99, rows_done * 100 / rows_total) ELSE 0 END AS "progress.percent",
       CASE WHEN started_at IS NULL THEN 0 ELSE (rows_done / greatest(extract(epoch FROM coalesce(completed_at, clock_timestamp()) - started_at), 0.001))::bigint END
         AS "progress.rowsPerSecond",
       (SELECT coalesce(json_agg(json_build_object('name', t.name, 'rows', t.rows, 'expected', CASE WHEN t.done THEN t.rows ELSE greatest(t.rows_expected, t.rows) END, 'leftOut', t.left_out, 'done', t.done)
                                 ORDER BY t.table_no), '[]') FROM tidegate.sqlite_table t WHERE t.batch_no = b.no) AS "progress.tables",
       counts AS "summary.counts", warnings AS _warnings, error_code AS _error, error_detail AS _detail, created_at AS "createdAt", started_at AS "startedAt",
       completed_at AS "completedAt", EXISTS (SELECT FROM tidegate.dataset d WHERE d.batch_id = b.id) AS current, rows_gone_at AS "removedAt"
FROM tidegate.sqlite_batch b WHERE id = $1::uuid;

-- name: sqlite_list
-- Newest first, keyset on (created_at, id): sqlite_batch_list_idx. $1 status or null, $2, $3 the last row of the page before or null, $4 one more than
-- the page.
SELECT id AS "batchId", status, profile, file_name AS "fileName", file_size AS "fileSize", rows_done AS "progress.done", rows_total AS "progress.total",
       error_code AS _error, error_detail AS _detail, created_at AS "createdAt", completed_at AS "completedAt",
       EXISTS (SELECT FROM tidegate.dataset d WHERE d.batch_id = b.id) AS current, (extract(epoch FROM created_at) * 1000000)::bigint AS _cursor
FROM tidegate.sqlite_batch b
WHERE space = current_setting('tidegate.space') AND owner = current_setting('tidegate.sub') AND ($1::text IS NULL OR status = $1)
  AND ($2::bigint IS NULL OR (created_at, id) < (timestamptz 'epoch' + $2::bigint * interval '1 microsecond', $3::uuid))
ORDER BY created_at DESC, id DESC LIMIT $4::int;

-- name: sqlite_find_table
-- The batch and its table of exactly this name.
SELECT b.no, b.mirrored, b.rows_gone_at IS NOT NULL, t.table_no, t.key, t.columns, t.rows, t.left_out
FROM tidegate.sqlite_batch b LEFT JOIN tidegate.sqlite_table t ON t.batch_no = b.no AND t.name = $2 WHERE b.id = $1::uuid;

-- name: sqlite_raw
-- Rows of a mirrored table after row $3, at most $4 and about 2 MB. Relies on the index of the partition.
SELECT row_no, key, classes, to_json(cells) FROM tidegate.sqlite_raw($1::bigint, $2::int, $3::bigint, $4::int);

-- name: sqlite_data
-- Refined rows of a batch after the id $3, at most $4. No row and known false: the profile has no such table.
SELECT id, item FROM tidegate.sqlite_data($1::uuid, $2, $3::uuid, $4::int);

-- name: sqlite_data_known
SELECT b.status, b.rows_gone_at IS NOT NULL, tidegate.sqlite_data_known(b.profile, $2) FROM tidegate.sqlite_batch b WHERE id = $1::uuid;

-- name: sqlite_lock
-- What a change needs, under the row lock.
SELECT no, status, profile, queue_job, rows_gone_at IS NOT NULL, parser, object_key FROM tidegate.sqlite_batch WHERE id = $1::uuid FOR UPDATE;

-- name: sqlite_lock_job
SELECT queue_job FROM tidegate.sqlite_batch WHERE id = $1::uuid;

-- name: sqlite_owner
SELECT tidegate.sqlite_owner($1::uuid);

-- name: sqlite_activate
-- Whether it could be.
SELECT tidegate.sqlite_activate($1::uuid);

-- name: sqlite_move
SELECT tidegate.sqlite_move($1::bigint, $2);

-- name: sqlite_fail
SELECT tidegate.sqlite_fail($1::bigint, $2, $3::jsonb);

-- name: sqlite_fail_job
SELECT tidegate.sqlite_fail_job($1::bigint, $2);

-- name: sqlite_reset
SELECT tidegate.sqlite_reset($1::bigint);

-- name: sqlite_begin
SELECT id, space, owner, object_key, file_hash, profile, parser, mirrored, table_at, row_at, rows_done, status,
       coalesce((SELECT t.rows FROM tidegate.sqlite_table t WHERE t.batch_no = b.no AND t.table_no = b.table_at), 0)
FROM tidegate.sqlite_begin($1::bigint, $2::uuid, $3::interval, $4::bigint) b;

-- name: sqlite_know_hash
UPDATE tidegate.sqlite_batch SET file_hash = $2 WHERE no = $1::bigint;

-- name: sqlite_tables
SELECT tidegate.sqlite_tables($1::bigint, $2::jsonb);

-- name: sqlite_trouble
SELECT code, detail FROM tidegate.sqlite_trouble($1::bigint);

-- name: sqlite_note_detail
UPDATE tidegate.sqlite_batch SET error_detail = $2::jsonb WHERE no = $1::bigint;

-- name: sqlite_copy
COPY tidegate.sqlite_row (batch_no, key, row_no, table_no, classes, cells) FROM STDIN (FORMAT binary);

-- name: sqlite_checkpoint
SELECT tidegate.sqlite_checkpoint($1::bigint, $2::uuid, $3::interval, $4::bigint, $5::int, $6::bigint, $7::bigint, $8::bigint, $9::boolean, $10::bigint);

-- name: sqlite_mirrored
SELECT tidegate.sqlite_mirrored($1::bigint, $2::bigint);

-- name: sqlite_refine
SELECT tidegate.sqlite_refine($1::bigint);

-- name: sqlite_complete
SELECT tidegate.sqlite_complete($1::bigint);

-- name: sqlite_remirror
-- A mirror begins anew, and what a parser elsewhere has sent stays.
SELECT tidegate.sqlite_remirror($1::bigint);

-- name: sqlite_chunk
SELECT body, chunk_no FROM tidegate.sqlite_chunk WHERE batch_no = $1::bigint AND chunk_no = $2::int;

-- name: sqlite_call_enter
SELECT fresh, space, owner, batch_no FROM tidegate.sqlite_call_enter($1, make_interval(secs => $2::int), $3::uuid, $4);

-- name: sqlite_chunk_put
SELECT tidegate.sqlite_chunk_put($1::bigint, $2::int, $3, $4::boolean, $5);

-- name: sqlite_heard
UPDATE tidegate.sqlite_batch SET heard_at = now(), parser_version = coalesce($2, parser_version) WHERE no = $1::bigint;

-- name: sqlite_silent
SELECT tidegate.sqlite_silent(make_interval(secs => $1::int));

-- name: sqlite_expired
-- Batches that ended, or were replaced, over $1 days ago and are nobody's data now, at most $2. Relies on sqlite_batch_ended_idx.
SELECT no FROM tidegate.sqlite_batch b
WHERE rows_gone_at IS NULL AND coalesce(replaced_at, completed_at) < now() - make_interval(days => $1::int)
  AND NOT EXISTS (SELECT FROM tidegate.dataset d WHERE d.batch_id = b.id)
ORDER BY coalesce(replaced_at, completed_at) LIMIT $2::int FOR UPDATE SKIP LOCKED;

-- name: sqlite_forget
SELECT tidegate.sqlite_forget($1::bigint);

-- name: sqlite_history_expired
-- What is left of batches whose rows went over $1 days ago.
WITH gone AS (DELETE FROM tidegate.sqlite_batch WHERE rows_gone_at < now() - make_interval(days => $1::int) RETURNING 1) SELECT count(*) FROM gone;
