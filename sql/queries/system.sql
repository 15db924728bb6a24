-- Statements that belong to no capability: scope, health, idempotency keys.

-- name: set_scope
-- Transaction-local, so that a connection never carries one request's scope into the next.
SELECT set_config('tidegate.sub', $1, true), set_config('tidegate.space', $2, true), set_config('tidegate.role', $3, true);

-- name: health
-- One cheap round trip: is the database there, is it writable, how old is the oldest job that waits.
-- A job of any space: the wall around spaces is not in the way (job_oldest_seconds).
SELECT current_setting('server_version'), NOT pg_is_in_recovery(), tidegate.job_oldest_seconds();

-- name: idempotency_claim
-- Primary key (sub, key). No row back: somebody else's row is there (committed, or just rolled back).
INSERT INTO tidegate.idempotency (sub, key, route, body_sha256) VALUES (current_setting('tidegate.sub'), $1, $2, $3)
ON CONFLICT (sub, key) DO NOTHING RETURNING 1;

-- name: idempotency_find
SELECT route, body_sha256, status, response FROM tidegate.idempotency WHERE sub = current_setting('tidegate.sub') AND key = $1;

-- name: idempotency_answer
UPDATE tidegate.idempotency SET status = $2::int, response = $3 WHERE sub = current_setting('tidegate.sub') AND key = $1;

-- name: queue_metrics
-- One row per kind, at most 41, over all spaces.
SELECT kind, ready, scheduled, running, dead, oldest_seconds FROM tidegate.job_figures();

-- name: migration_lock
-- Held until the connection ends: two `migrate` at once run one after the other.
SELECT pg_advisory_lock(hashtextextended('tidegate.migrate', 0));

-- name: migration_find
SELECT sha256 FROM tidegate.migration WHERE path = $1;

-- name: migration_note
INSERT INTO tidegate.migration (path, sha256) VALUES ($1, $2);

-- name: schema_version
SELECT path FROM tidegate.migration ORDER BY path DESC LIMIT 1;

-- name: schema_column
SELECT data_type, is_nullable = 'YES' FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 AND column_name = $3;

-- name: schema_key
-- Is the primary key of a table these columns, in this order?
SELECT coalesce((SELECT array_agg(a.attname::text ORDER BY k.n) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, n), pg_attribute a
	WHERE i.indisprimary AND i.indrelid = to_regclass(format('%I.%I', $1::text, $2::text)) AND a.attrelid = i.indrelid AND a.attnum = k.attnum) = $3::text[], false);

-- name: schema_unique
-- Is there a unique index of that name over these columns, in this order?
SELECT coalesce((SELECT array_agg(a.attname::text ORDER BY k.n) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, n), pg_attribute a
	WHERE i.indisunique AND i.indexrelid = to_regclass(format('%I.%I', $1::text, $2::text)) AND a.attrelid = i.indrelid AND a.attnum = k.attnum) = $3::text[], false);

-- name: who_am_i
SELECT current_user, rolsuper OR rolbypassrls, current_setting('server_version_num')::int, current_setting('server_version')
FROM pg_roles WHERE rolname = current_user;

-- name: queue_state
-- For `doctor`: how long the oldest due job waits, and how many jobs are dead. Relies on job_ready_idx.
SELECT coalesce((SELECT extract(epoch FROM now() - min(run_at))::bigint FROM tidegate.job WHERE state = 'ready' AND run_at <= now()), 0),
       (SELECT count(*) FROM tidegate.job WHERE state = 'failed');
