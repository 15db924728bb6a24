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
    table_count = $11::int, recipients = $12::text[], manifest = $13::jsonb, base_id = NULL, created_at = now(), verified_at = NULL, verify_error = NULL, state = 'stored', deleted_at = NULL
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
WHERE id = $1::uuid AND state = 'stored' AND (based_at IS NULL OR based_at < now()) AND id IN (SELECT e.id FROM tidegate.backup_expired($2, $3::int, $4::int, $5::text[]) e);

-- name: backup_going
WITH abandoned AS (UPDATE tidegate.backup_object SET state = 'deleting' WHERE space = $1 AND state = 'making' AND created_at < now() - interval '26 hours' RETURNING id, key)
SELECT id, key FROM tidegate.backup_object WHERE space = $1 AND state = 'deleting' UNION ALL SELECT id, key FROM abandoned ORDER BY key;

-- name: backup_deleted
UPDATE tidegate.backup_object SET state = 'deleted', deleted_at = now() WHERE id = $1::uuid AND state = 'deleting';

-- name: backup_inventory
-- Everything that ought to be in the store.
SELECT id, key, size, database, sha256, replicated_at IS NOT NULL FROM tidegate.backup_object WHERE space = $1 AND state = 'stored' ORDER BY key;

-- name: backup_lost
-- The object is gone, or is not the one that was stored: nobody may take it, or one that stands on it, for good any more.
WITH standing AS (UPDATE tidegate.backup_object SET verified_at = NULL, verify_error = 'base_lost' WHERE base_id = $1::uuid AND state = 'stored')
UPDATE tidegate.backup_object SET verified_at = NULL, verify_error = $2 WHERE id = $1::uuid AND state = 'stored' AND verify_error IS DISTINCT FROM $2
RETURNING tidegate.event_emit(space, 'backup.failed', jsonb_build_object('id', run_id, 'state', 'failed', 'objectKey', key, 'failures', jsonb_build_array(jsonb_build_object('database', database, 'error', $2))));

-- name: backup_week
-- ISO year and week of today (UTC); its archive's key, if there is one that is good.
SELECT to_char(now() AT TIME ZONE 'UTC', 'IYYY-"W"IW'),
       (SELECT o.key FROM tidegate.backup_object o WHERE o.space = $1 AND o.kind = 'weekly' AND o.database = to_char(now() AT TIME ZONE 'UTC', 'IYYY-"W"IW') AND o.state = 'stored'
        AND o.verified_at IS NOT NULL LIMIT 1),
       to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD');

-- name: backup_week_members
-- Of the last seven days: for every database and day the newest good backup, or no key where there is none; and the full ones, older than that, on which some of them stand.
WITH member AS (
	SELECT d.name, y.day::date AS day, o.id, o.key, o.size, o.sha256, o.created_at, o.replicated_at, o.base_id
	FROM unnest($2::text[]) AS d (name)
	CROSS JOIN generate_series((now() AT TIME ZONE 'UTC')::date - 6, (now() AT TIME ZONE 'UTC')::date, interval '1 day') AS y (day)
	LEFT JOIN LATERAL (SELECT * FROM tidegate.backup_object b WHERE b.space = $1 AND b.kind = 'daily' AND b.database = d.name AND b.day = y.day::date AND b.state = 'stored'
		AND (b.verified_at IS NOT NULL OR b.content_hash IS NULL AND b.verify_error IS NULL) ORDER BY b.created_at DESC LIMIT 1) o ON true
	UNION
	SELECT b.database, b.day, b.id, b.key, b.size, b.sha256, b.created_at, b.replicated_at, b.base_id
	FROM tidegate.backup_object b WHERE b.state = 'stored' AND b.id IN (
		SELECT (SELECT c.base_id FROM tidegate.backup_object c WHERE c.space = $1 AND c.kind = 'daily' AND c.database = d.name AND c.day = y.day::date AND c.state = 'stored'
			AND c.verified_at IS NOT NULL ORDER BY c.created_at DESC LIMIT 1)
		FROM unnest($2::text[]) AS d (name)
		CROSS JOIN generate_series((now() AT TIME ZONE 'UTC')::date - 6, (now() AT TIME ZONE 'UTC')::date, interval '1 day') AS y (day))
)
SELECT name, to_char(day, 'YYYY-MM-DD'), id, key, size, sha256, extract(epoch FROM created_at)::bigint, replicated_at IS NOT NULL FROM member
ORDER BY name COLLATE "C", day, created_at;

-- name: backup_week_stored
INSERT INTO tidegate.backup_object (space, kind, database, day, key, size, sha256, manifest, verified_at)
VALUES ($1, 'weekly', $2, $3::date, $4, $5::bigint, $6, $7::jsonb, now())
ON CONFLICT (key) DO UPDATE SET size = $5::bigint, sha256 = $6, manifest = $7::jsonb, verified_at = now(), verify_error = NULL, state = 'stored', deleted_at = NULL, created_at = now()
RETURNING id;

-- name: backup_week_holds
UPDATE tidegate.backup_object SET archive_id = $1::uuid WHERE id = ANY ($2::uuid[]);

-- name: backup_run_list
-- Newest first. Relies on backup_run_list_idx.
SELECT n.id, n.trigger, n.reason, n.state, n.started_at AS "startedAt", n.ended_at AS "endedAt",
       (SELECT json_build_object('total', count(*), 'successful', count(*) FILTER (WHERE state = 'succeeded'), 'failed', count(*) FILTER (WHERE state = 'failed'),
                                 'running', count(*) FILTER (WHERE state = 'running'))
        FROM tidegate.backup_result WHERE run_id = n.id) AS databases
FROM tidegate.backup_run n WHERE n.space = current_setting('tidegate.space') ORDER BY n.started_at DESC, n.id DESC LIMIT 10;

-- name: backup_totals
-- Is a run under way; what is stored; when the next daily run is due ($1 a time of day, UTC).
SELECT EXISTS (SELECT FROM tidegate.backup_run WHERE space = current_setting('tidegate.space') AND state = 'running'), count(*), coalesce(sum(size), 0)::bigint,
       to_char(min(day), 'YYYY-MM-DD'), to_char(max(day), 'YYYY-MM-DD'),
       to_char((tidegate.backup_slot($1::time, NULL) + interval '1 day') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM tidegate.backup_object WHERE space = current_setting('tidegate.space') AND state = 'stored';

-- name: backup_databases
-- Per name: the newest verified backup, and the sizes of the newest seven, newest first. Relies on backup_object_database_idx.
SELECT d.name, v.verified_at AS "lastVerifiedAt", extract(epoch FROM now() - v.verified_at)::bigint AS "ageSeconds", v.size, v.row_count AS rows,
       (SELECT coalesce(json_agg(s.size), '[]') FROM (SELECT size FROM tidegate.backup_object o WHERE o.space = current_setting('tidegate.space') AND o.database = d.name
        AND o.state = 'stored' ORDER BY o.day DESC, o.created_at DESC LIMIT 7) s) AS sizes,
       (SELECT r.error FROM tidegate.backup_result r WHERE r.space = current_setting('tidegate.space') AND r.database = d.name AND r.ended_at IS NOT NULL
        ORDER BY r.started_at DESC LIMIT 1) AS _error
FROM unnest($1::text[]) WITH ORDINALITY AS d (name, place)
LEFT JOIN LATERAL (SELECT * FROM tidegate.backup_object o WHERE o.space = current_setting('tidegate.space') AND o.database = d.name AND o.state = 'stored'
	AND o.verified_at IS NOT NULL ORDER BY o.day DESC, o.created_at DESC LIMIT 1) v ON true
ORDER BY d.place;

-- name: backup_list
-- Newest first: $1 database, $2 kind, $3 and $4 days, each or null; $5 and $6 the last item of the page before; $7 one more than the page.
SELECT id, kind, database, to_char(day, 'YYYY-MM-DD') AS date, key AS "objectKey", size, row_count AS rows, table_count AS tables, sha256, recipients <> '{}' AS encrypted, base_id IS NOT NULL AS differential,
       verified_at AS "verifiedAt", verify_error AS _error, replicated_at AS "replicatedAt", replica_error AS _replica_error, created_at AS "createdAt", (extract(epoch FROM created_at) * 1000000)::bigint AS _at
FROM tidegate.backup_object
WHERE space = current_setting('tidegate.space') AND state = 'stored' AND ($1::text IS NULL OR database = $1) AND ($2::text IS NULL OR kind = $2)
  AND ($3::date IS NULL OR day >= $3::date) AND ($4::date IS NULL OR day <= $4::date)
  AND ($5::bigint IS NULL OR (created_at, id) < (to_timestamp($5::bigint / 1000000.0), $6::uuid))
ORDER BY created_at DESC, id DESC LIMIT $7::int;

-- name: backup_find
-- The backup of a database and day to hand out: a verified one before another, the newest of those. $1 kind, $3 null for a weekly one.
SELECT id, key, size, verified_at, recipients <> '{}', sha256, replicated_at IS NOT NULL, base_id FROM tidegate.backup_object
WHERE space = current_setting('tidegate.space') AND state = 'stored' AND kind = $1 AND database = $2 AND ($3::date IS NULL OR day = $3::date)
ORDER BY day DESC, verified_at IS NULL, created_at DESC LIMIT 1;

-- name: backup_days
-- The days there are of a database, newest first.
SELECT string_agg(DISTINCT to_char(day, 'YYYY-MM-DD'), ', ' ORDER BY to_char(day, 'YYYY-MM-DD') DESC) FROM tidegate.backup_object
WHERE space = current_setting('tidegate.space') AND state = 'stored' AND kind = $1 AND ($2::text IS NULL OR database = $2);

-- name: backup_newest_verified
SELECT to_char(day, 'YYYY-MM-DD'), key, size, verified_at, recipients <> '{}', kind, sha256, row_count, base_id IS NOT NULL FROM tidegate.backup_object
WHERE space = current_setting('tidegate.space') AND state = 'stored' AND kind = 'daily' AND database = $1 AND (verified_at IS NOT NULL OR content_hash IS NULL AND verify_error IS NULL)
ORDER BY day DESC, created_at DESC LIMIT 1;

-- name: backup_compare
-- Tables of two days side by side, by their manifests: the newest backup of each day.
WITH a AS (SELECT t ->> 'name' AS name, (t ->> 'rows')::bigint AS rows, t ->> 'hash' AS hash
           FROM (SELECT manifest FROM tidegate.backup_object WHERE id = $1::uuid) m, jsonb_array_elements(m.manifest -> 'content' -> 'tables') t),
     b AS (SELECT t ->> 'name' AS name, (t ->> 'rows')::bigint AS rows, t ->> 'hash' AS hash
           FROM (SELECT manifest FROM tidegate.backup_object WHERE id = $2::uuid) m, jsonb_array_elements(m.manifest -> 'content' -> 'tables') t)
SELECT coalesce(a.name, b.name) AS "table", CASE WHEN a.name IS NULL THEN 'added' WHEN b.name IS NULL THEN 'removed' WHEN a.hash = b.hash THEN 'same' ELSE 'changed' END AS state,
       a.rows AS "rowsFrom", b.rows AS "rowsTo"
FROM a FULL JOIN b ON b.name = a.name ORDER BY 1;

-- name: backup_schema_same
SELECT (SELECT manifest -> 'content' ->> 'schemaHash' FROM tidegate.backup_object WHERE id = $1::uuid) = (SELECT manifest -> 'content' ->> 'schemaHash' FROM tidegate.backup_object WHERE id = $2::uuid);

-- name: backup_verify_enqueue
-- One test restore of an object at a time.
SELECT tidegate.job_enqueue('backup.verify', jsonb_build_object('id', $1::uuid), current_setting('tidegate.space'), $1::uuid::text, 'backup.verify');

-- name: backup_to_verify
SELECT key, size, sha256, content_hash, recipients <> '{}', database, replicated_at IS NOT NULL, base_id FROM tidegate.backup_object WHERE id = $1::uuid AND state = 'stored';

-- name: backup_to_replicate
SELECT id, key, size, sha256 FROM tidegate.backup_to_replicate($1, $2) LIMIT 1;

-- name: backup_replicate_due
-- A job, when anything is due at $2.
SELECT tidegate.job_enqueue('backup.replicate', '{}', $1, 'backup.replicate', NULL) WHERE EXISTS (SELECT FROM tidegate.backup_to_replicate($1, $2));

-- name: backup_replicated
-- Unless the object has gone, or become another one, meanwhile.
UPDATE tidegate.backup_object SET replicated_at = now(), replica = $2, replica_error = NULL, replica_attempts = 0, replica_retry_at = NULL
WHERE id = $1::uuid AND state = 'stored' AND key = $3;

-- name: backup_replica_failed
SELECT tidegate.backup_replica_failed($1::uuid, $2);

-- name: backup_replica_state
-- Copies that are there, that are to come, and that failed when they were tried last.
SELECT count(*) FILTER (WHERE replicated_at IS NOT NULL AND replica = $1) AS copied, count(*) FILTER (WHERE replicated_at IS NULL OR replica IS DISTINCT FROM $1) AS pending,
       count(*) FILTER (WHERE replica_error IS NOT NULL) AS failed,
       extract(epoch FROM now() - min(created_at) FILTER (WHERE replicated_at IS NULL OR replica IS DISTINCT FROM $1))::bigint AS "oldestPendingSeconds"
FROM tidegate.backup_object
WHERE space = current_setting('tidegate.space') AND state = 'stored' AND (verified_at IS NOT NULL OR content_hash IS NULL AND verify_error IS NULL);

-- name: backup_to_rewrap
-- Encrypted to others than $2, newest first; $3 databases or null.
SELECT id, key, size, sha256, content_hash, database, to_char(day, 'YYYY-MM-DD'), replicated_at IS NOT NULL, base_id IS NOT NULL
FROM tidegate.backup_object
WHERE space = $1 AND kind = 'daily' AND state = 'stored' AND recipients <> '{}' AND NOT (recipients @> $2::text[] AND recipients <@ $2::text[])
  AND ($3::text[] IS NULL OR database = ANY ($3::text[]))
ORDER BY day DESC, created_at DESC;

-- name: backup_making
-- An object that is about to be put beside that of $1; the row and what its manifest is to be. The key is new.
INSERT INTO tidegate.backup_object (space, kind, database, day, key, size, sha256, recipients, manifest, state)
SELECT space, kind, database, day, $2, $3::bigint, $4, $5::text[], (manifest - 'content') || jsonb_build_object('key', $2::text, 'size', $3::bigint, 'sha256', $4::text, 'recipients', to_jsonb($5::text[])),
       'making'
FROM tidegate.backup_object WHERE id = $1::uuid
RETURNING id, manifest::text;

-- name: backup_unmade
DELETE FROM tidegate.backup_object WHERE id = $1::uuid AND state = 'making';

-- name: backup_rewrapped
SELECT tidegate.backup_rewrapped($1::uuid, $2, $3::uuid, $4::text[]);

-- name: backup_beat_due
SELECT said FROM tidegate.backup_beat_due($1::uuid, $2);

-- name: backup_clock
SELECT tidegate.backup_clock($1, $2, $3, $4::bigint, $5::bigint);

-- name: clock_now
-- The clock of the database, microseconds since 1970.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: backup_content
SELECT manifest -> 'content' FROM tidegate.backup_object WHERE id = $1::uuid;

-- name: backup_made
SELECT tidegate.backup_made($1, $2, $3::date);

-- name: backup_sweep_due
SELECT tidegate.job_enqueue('backup.sweep', '{}', $1, 'backup.sweep', NULL)
WHERE EXISTS (SELECT FROM tidegate.backup_object WHERE space = $1 AND kind = 'made' AND created_at < now() - interval '26 hours');

-- name: backup_forget_made
DELETE FROM tidegate.backup_object WHERE kind = 'made' AND state = 'deleted';

-- name: backup_untracked
-- Of these objects those that the inventory of no space knows, neither as a backup nor as the manifest of one, and that are older than $4 hours. Unique index on key.
SELECT k.key, k.size, k.modified FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS k (key, size, modified)
WHERE tidegate.backup_is_old(k.modified, $4::int)
  AND NOT EXISTS (SELECT FROM tidegate.backup_object o WHERE o.key = k.key AND o.state <> 'deleted')
  AND NOT EXISTS (SELECT FROM tidegate.backup_object o WHERE right(k.key, 5) = '.json' AND o.key = left(k.key, -5) AND o.state <> 'deleted')
ORDER BY k.key;

-- name: backup_may_remove
-- Asked once more before an untracked object goes: nobody knows it still, nobody is backing up, and no run could choose its key any more (a run uses that of the day, an archive that of the week).
SELECT NOT EXISTS (SELECT FROM tidegate.backup_run WHERE state = 'running')
   AND NOT EXISTS (SELECT FROM tidegate.backup_object o WHERE o.state <> 'deleted' AND (o.key = $1 OR right($1, 5) = '.json' AND o.key = left($1, -5)))
   AND CASE WHEN $1 LIKE 'daily/____-__-__/%' THEN substr($1, 7, 10) < to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')
            WHEN $1 LIKE 'weekly/____-W__.%' THEN substr($1, 8, 8) < to_char(now() AT TIME ZONE 'UTC', 'IYYY-"W"IW') ELSE true END;

-- name: backup_adopt
-- An object that was not known becomes a backup like any other, as old as it is, and is tested: until then nobody calls it verified. No row: somebody knows it meanwhile.
WITH adopted AS (
	INSERT INTO tidegate.backup_object (space, kind, database, day, key, size, sha256, content_hash, row_count, table_count, recipients, manifest, created_at)
	VALUES ($1, 'daily', $2, $3::date, $4, $5::bigint, $6, $7, $8::bigint, $9::int, $10::text[], $11::jsonb, to_timestamp($12::bigint))
	ON CONFLICT (key) DO UPDATE
	SET space = $1, database = $2, day = $3::date, size = $5::bigint, sha256 = $6, content_hash = $7, row_count = $8::bigint, table_count = $9::int, recipients = $10::text[],
	    manifest = $11::jsonb, created_at = to_timestamp($12::bigint), verified_at = NULL, verify_error = NULL, state = 'stored', deleted_at = NULL, result_id = NULL, run_id = NULL,
	    archive_id = NULL
	WHERE backup_object.state = 'deleted'
	RETURNING id
)
SELECT id, tidegate.job_enqueue('backup.verify', jsonb_build_object('id', id), $1, id::text, 'backup.verify') FROM adopted;

-- name: backup_untracked_told
SELECT tidegate.event_emit($1, 'backup.untracked', jsonb_build_object('count', $2::bigint, 'bytes', $3::bigint, 'keys', to_jsonb($4::text[])));

-- name: backup_gauges
-- Per name, in the order of handlers/backups/metrics.c. Relies on backup_object_database_idx and backup_result_database_idx.
SELECT d.name, coalesce(extract(epoch FROM v.verified_at), 0)::bigint,
       coalesce((SELECT extract(epoch FROM max(r.ended_at)) FROM tidegate.backup_result r WHERE r.space = current_setting('tidegate.space') AND r.database = d.name AND r.state = 'succeeded'), 0)::bigint,
       coalesce(v.size, 0), coalesce(v.row_count, 0), coalesce(round(extract(epoch FROM l.ended_at - l.started_at)), 0)::bigint, (l.error IS NOT NULL)::int::bigint,
       tidegate.backup_failures_in_a_row(current_setting('tidegate.space'), d.name, 'infinity')
FROM unnest($1::text[]) WITH ORDINALITY AS d (name, place)
LEFT JOIN LATERAL (SELECT * FROM tidegate.backup_object o WHERE o.space = current_setting('tidegate.space') AND o.database = d.name AND o.state = 'stored'
	AND o.verified_at IS NOT NULL ORDER BY o.day DESC, o.created_at DESC LIMIT 1) v ON true
LEFT JOIN LATERAL (SELECT * FROM tidegate.backup_result r WHERE r.space = current_setting('tidegate.space') AND r.database = d.name AND r.ended_at IS NOT NULL
	ORDER BY r.started_at DESC LIMIT 1) l ON true
ORDER BY d.place;

-- name: backup_inventory_figures
SELECT count(*) FILTER (WHERE state = 'stored' AND verified_at IS NOT NULL AND verify_error IS NULL), count(*) FILTER (WHERE state = 'stored' AND verified_at IS NULL AND verify_error IS NULL),
       count(*) FILTER (WHERE state = 'stored' AND verify_error IS NOT NULL), count(*) FILTER (WHERE state = 'deleting'), coalesce(sum(size) FILTER (WHERE state = 'stored'), 0)::bigint,
       (SELECT count(*) FROM tidegate.backup_run WHERE space = current_setting('tidegate.space') AND state = 'running')
FROM tidegate.backup_object WHERE space = current_setting('tidegate.space') AND state <> 'deleted';

-- name: backup_base
-- The newest full backup of $2 that a differential one may stand on: proven, of the last $3 days, for the same recipients.
SELECT id, key, size, sha256, content_hash, replicated_at IS NOT NULL, (manifest -> 'content' ->> 'bytes')::bigint, recipients <> '{}'
FROM tidegate.backup_object
WHERE space = $1 AND database = $2 AND kind = 'daily' AND state = 'stored' AND base_id IS NULL AND content_hash IS NOT NULL AND verified_at IS NOT NULL AND verify_error IS NULL
  AND day > (now() AT TIME ZONE 'UTC')::date - $3::int AND recipients @> $4::text[] AND recipients <@ $4::text[]
ORDER BY day DESC, created_at DESC LIMIT 1;

-- name: backup_base_of
SELECT id, key, size, sha256, content_hash, replicated_at IS NOT NULL, (manifest -> 'content' ->> 'bytes')::bigint, recipients <> '{}'
FROM tidegate.backup_object WHERE id = $1::uuid;

-- name: backup_based
-- The one stands on the other, which must still be there: no row is touched otherwise.
WITH base AS (UPDATE tidegate.backup_object SET based_at = clock_timestamp() WHERE id = $2::uuid AND state = 'stored' RETURNING id)
UPDATE tidegate.backup_object o SET base_id = base.id FROM base WHERE o.id = $1::uuid;
