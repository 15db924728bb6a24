-- Signed upload URLs and what arrives through them. Scope: row-level security on owner.

-- name: upload_find_live
-- The signed-URL cache: relies on upload_live_idx. $4: seconds of life the URL must still have.
SELECT object_key, url, headers, expires_at,
       to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM tidegate.upload
WHERE owner = current_setting('tidegate.sub') AND md5(file_name) = md5($1) AND file_name = $1 AND file_size = $2::bigint
  AND coalesce(checksum, '') = coalesce($3, '') AND state = 'issued' AND expires_at > now() + make_interval(secs => $4::int);

-- name: upload_expire_same
-- Before a new URL for the same file is issued: the old one, nearly at its end, must not stand in the unique index. One
-- that a double tap has issued since we looked has more life than $4 seconds and stays.
UPDATE tidegate.upload SET state = 'expired', url = NULL
WHERE owner = current_setting('tidegate.sub') AND md5(file_name) = md5($1) AND file_size = $2::bigint AND coalesce(checksum, '') = coalesce($3, '')
  AND state = 'issued' AND expires_at <= now() + make_interval(secs => $4::int);

-- name: upload_issue
-- A concurrent double tap waits on upload_live_idx and then gets no row back: it finds the other's URL.
INSERT INTO tidegate.upload (id, owner, space, object_key, file_name, file_size, checksum, url, headers, expires_at)
VALUES ($1::uuid, current_setting('tidegate.sub'), current_setting('tidegate.space'), $2, $3, $4::bigint, $5, $6, $7::jsonb,
        to_timestamp($8::bigint))
ON CONFLICT DO NOTHING RETURNING 1;

-- name: upload_receive
SELECT state, file_size, checksum FROM tidegate.upload_receive($1);

-- name: upload_store
SELECT id FROM tidegate.upload_store($1, $2);

-- name: upload_expected
-- What the second call needs to check the body against; the first one has put the row into `receiving`.
SELECT file_size, checksum FROM tidegate.upload_receive($1);

-- name: upload_find
-- For the start of a job: the owner's own upload, locked.
SELECT state, file_size, sha256 FROM tidegate.upload WHERE object_key = $1 FOR UPDATE;

-- name: janitor_uploads
-- URLs that nobody used, and objects that no import has taken a day after they came. Their files are removed by the caller.
WITH expired AS (
	UPDATE tidegate.upload SET state = 'expired', url = NULL
	WHERE state IN ('issued', 'receiving') AND expires_at < now() - interval '1 hour' RETURNING 1
), orphans AS (
	DELETE FROM tidegate.upload u
	WHERE u.state = 'stored' AND u.stored_at < now() - interval '1 day'
	  AND NOT EXISTS (SELECT FROM tidegate.import_job j WHERE j.object_key = u.object_key) RETURNING u.object_key
), old AS (
	DELETE FROM tidegate.upload WHERE state = 'expired' AND expires_at < now() - interval '1 day' RETURNING 1
)
SELECT object_key, (SELECT count(*) FROM expired) FROM orphans;
