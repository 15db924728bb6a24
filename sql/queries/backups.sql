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

-- name: backup_due
-- $2 a time of day in UTC, $3 day of the week (ISO) or null.
SELECT tidegate.backup_due($1, $2::time, $3::int);

-- name: backup_enqueue
SELECT tidegate.job_enqueue($1, '{}', $2, $1, NULL);

-- name: backup_absent
SELECT tidegate.backup_absent($1, $2::text[], $3::int);

-- name: backup_weigh
SELECT tidegate.backup_weigh($1::uuid);

-- name: backup_expired
SELECT id, key, size FROM tidegate.backup_expired($1, $2::int, $3::int, $4::text[]);

-- name: backup_deleting
-- Asked again under the row's lock: between the look and now somebody may have found it worth keeping. And those that an earlier run left behind.
UPDATE tidegate.backup_object SET state = 'deleting'
WHERE id = $1::uuid AND state = 'stored' AND id IN (SELECT e.id FROM tidegate.backup_expired($2, $3::int, $4::int, $5::text[]) e);

-- name: backup_going
SELECT id, key FROM tidegate.backup_object WHERE space = $1 AND state = 'deleting' ORDER BY key;

-- name: backup_deleted
UPDATE tidegate.backup_object SET state = 'deleted', deleted_at = now() WHERE id = $1::uuid AND state = 'deleting';

-- name: backup_inventory
-- Everything that ought to be in the store.
SELECT id, key, size, database FROM tidegate.backup_object WHERE space = $1 AND state = 'stored' ORDER BY key;

-- name: backup_lost
-- The object is gone, or is not the one that was stored: nobody may take it for good any more.
UPDATE tidegate.backup_object SET verified_at = NULL, verify_error = $2 WHERE id = $1::uuid AND state = 'stored' AND verify_error IS DISTINCT FROM $2
RETURNING tidegate.event_emit(space, 'backup.failed', jsonb_build_object('id', run_id, 'state', 'failed', 'failures', jsonb_build_array(jsonb_build_object('database', database, 'error', $2))));

-- name: backup_week
-- ISO year and week of today (UTC); its archive's key, if there is one that is good.
SELECT to_char(now() AT TIME ZONE 'UTC', 'IYYY-"W"IW'),
       (SELECT o.key FROM tidegate.backup_object o WHERE o.space = $1 AND o.kind = 'weekly' AND o.database = to_char(now() AT TIME ZONE 'UTC', 'IYYY-"W"IW') AND o.state = 'stored'
        AND o.verified_at IS NOT NULL LIMIT 1),
       to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD');

-- name: backup_week_members
-- Of the last seven days: for every database and day the newest good backup, or no key where there is none.
SELECT d.name, to_char(y.day, 'YYYY-MM-DD'), o.id, o.key, o.size, o.sha256, extract(epoch FROM o.created_at)::bigint
FROM unnest($2::text[]) AS d (name)
CROSS JOIN generate_series((now() AT TIME ZONE 'UTC')::date - 6, (now() AT TIME ZONE 'UTC')::date, interval '1 day') AS y (day)
LEFT JOIN LATERAL (SELECT * FROM tidegate.backup_object b WHERE b.space = $1 AND b.kind = 'daily' AND b.database = d.name AND b.day = y.day::date AND b.state = 'stored'
	AND (b.verified_at IS NOT NULL OR b.content_hash IS NULL AND b.verify_error IS NULL) ORDER BY b.created_at DESC LIMIT 1) o ON true
ORDER BY d.name COLLATE "C", y.day;

-- name: backup_week_stored
INSERT INTO tidegate.backup_object (space, kind, database, day, key, size, sha256, manifest, verified_at)
VALUES ($1, 'weekly', $2, $3::date, $4, $5::bigint, $6, $7::jsonb, now())
ON CONFLICT (key) DO UPDATE SET size = $5::bigint, sha256 = $6, manifest = $7::jsonb, verified_at = now(), verify_error = NULL, state = 'stored', deleted_at = NULL, created_at = now()
RETURNING id;

-- name: backup_week_holds
UPDATE tidegate.backup_object SET archive_id = $1::uuid WHERE id = ANY ($2::uuid[]);
