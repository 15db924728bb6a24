-- Backups. The request role reads what is in its space (row-level security) and begins runs; the worker does the rest. The rules stand in
-- sql/functions/backups.sql.

-- name: backup_begin
SELECT run_id, joined FROM tidegate.backup_begin($1, $2, $3, $4::text[], $5::int);

-- name: backup_take
SELECT database, run_id, space, day, at, late FROM tidegate.backup_take($1::uuid, $2::interval);

-- name: backup_phase
UPDATE tidegate.backup_result SET phase = $2 WHERE id = $1::uuid AND state = 'running';

-- name: backup_end
SELECT tidegate.backup_end($1::uuid, $2, $3, $4);

-- name: backup_dead
-- A job was given up: its database has failed. Primary key of job.
SELECT tidegate.backup_end((args ->> 'id')::uuid, $2, NULL, NULL) FROM tidegate.job WHERE id = $1::bigint;

-- name: backup_reap
SELECT tidegate.backup_reap();

-- name: backup_key_taken
-- Is the key another backup's? A good backup is never written over. Unique index on key.
SELECT EXISTS (SELECT FROM tidegate.backup_object WHERE key = $1 AND result_id IS DISTINCT FROM $2::uuid AND state <> 'deleted');

-- name: backup_stored
-- An attempt that is repeated finds its own row; nobody else's may have the key, unless it is gone.
INSERT INTO tidegate.backup_object (space, kind, database, day, key, result_id, run_id, size, sha256, content_hash, row_count, table_count, recipients, manifest)
VALUES ($1, 'daily', $2, $3::date, $4, $5::uuid, $6::uuid, $7::bigint, $8, $9, $10::bigint, $11::int, $12::text[], $13::jsonb)
ON CONFLICT (key) DO UPDATE
SET space = $1, database = $2, day = $3::date, result_id = $5::uuid, run_id = $6::uuid, size = $7::bigint, sha256 = $8, content_hash = $9, row_count = $10::bigint,
    table_count = $11::int, recipients = $12::text[], manifest = $13::jsonb, created_at = now(), verified_at = NULL, verify_error = NULL, state = 'stored', deleted_at = NULL
WHERE backup_object.result_id = $5::uuid OR backup_object.state = 'deleted'
RETURNING id;

-- name: backup_verified
-- $2 null: the test restore gave the same content; otherwise why it did not.
UPDATE tidegate.backup_object
SET verified_at = CASE WHEN $2::text IS NULL THEN now() ELSE verified_at END, verify_error = $2::text
WHERE id = $1::uuid AND state = 'stored';

-- name: backup_run_get
-- Aliases are the contract. Primary key, then backup_result's unique (run_id, database).
SELECT id, trigger, reason, state, started_at AS "startedAt", ended_at AS "endedAt",
       (SELECT json_build_object('total', count(*), 'successful', count(*) FILTER (WHERE state = 'succeeded'), 'failed', count(*) FILTER (WHERE state = 'failed'),
                                 'running', count(*) FILTER (WHERE state = 'running'))
        FROM tidegate.backup_result WHERE run_id = n.id) AS databases
FROM tidegate.backup_run n WHERE id = $1::uuid;

-- name: backup_run_results
SELECT r.database, r.state, r.phase, r.started_at AS "startedAt", r.ended_at AS "endedAt", r.warning, r.error AS _error, r.error_detail AS _detail,
       o.key AS "objectKey", o.size, o.row_count AS rows, o.table_count AS tables, o.verified_at AS "verifiedAt"
FROM tidegate.backup_result r LEFT JOIN tidegate.backup_object o ON o.result_id = r.id AND o.state = 'stored'
WHERE r.run_id = $1::uuid ORDER BY r.place;
