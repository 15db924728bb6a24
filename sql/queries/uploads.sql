-- Signed upload URLs and what arrives through them. Scope: row-level security on owner.

-- name: upload_find_live
-- The signed-URL cache: relies on upload_live_idx. $4: seconds of life the URL must still have.
SELECT object_key, url, headers, expires_at,
       to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM tidegate.upload
WHERE owner = current_setting('tidegate.sub') AND md5(file_name) = md5($1) AND file_name = $1 AND file_size = $2::bigint
  AND coalesce(checksum, '') = coalesce($3, '') AND parts_id IS NULL AND state = 'issued' AND expires_at > now() + make_interval(secs => $4::int);

-- name: upload_find_parts
-- The unfinished upload in parts of the same file. Relies on upload_live_idx.
SELECT id, object_key, parts_id, part_bytes, to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM tidegate.upload
WHERE owner = current_setting('tidegate.sub') AND md5(file_name) = md5($1) AND file_name = $1 AND file_size = $2::bigint
  AND coalesce(checksum, '') = coalesce($3, '') AND parts_id IS NOT NULL AND state = 'issued' AND expires_at > now();

-- name: upload_issue_parts
-- A concurrent double tap waits on upload_live_idx and then gets no row back: it finds the other's upload. One that ran out makes room first.
WITH room AS (UPDATE tidegate.upload SET state = 'expired'
	WHERE owner = current_setting('tidegate.sub') AND md5(file_name) = md5($3) AND file_size = $4::bigint AND coalesce(checksum, '') = coalesce($5, '')
	  AND parts_id IS NOT NULL AND state = 'issued' AND expires_at <= now() RETURNING 1)
INSERT INTO tidegate.upload (id, owner, space, object_key, file_name, file_size, checksum, expires_at, parts_id, part_bytes)
SELECT $1::uuid, current_setting('tidegate.sub'), current_setting('tidegate.space'), $2, $3, $4::bigint, $5, now() + make_interval(secs => $6::int), $7,
       $8::bigint
FROM (SELECT count(*) FROM room) AS made
ON CONFLICT DO NOTHING RETURNING 1;

-- name: upload_of_parts
-- The owner's own upload in parts, locked.
SELECT object_key, state, file_size, parts_id, part_bytes FROM tidegate.upload WHERE id = $1::uuid AND parts_id IS NOT NULL FOR UPDATE;

-- name: upload_give_up
UPDATE tidegate.upload SET state = 'expired' WHERE id = $1::uuid AND state = 'issued';

-- name: upload_part
SELECT file_size, part_bytes FROM tidegate.upload_part($1, $2);

-- name: upload_issue
-- A new URL, and the columns of upload_find_live. The old one of the same file, nearly at its end, makes room in the unique index first (it is
-- counted so that it goes first); one that a double tap has issued since we looked has more life than $9 seconds and stays. A concurrent
-- double tap waits on upload_live_idx and then gets no row back: it finds the other's URL.
WITH room AS (UPDATE tidegate.upload SET state = 'expired', url = NULL
	WHERE owner = current_setting('tidegate.sub') AND md5(file_name) = md5($3) AND file_size = $4::bigint AND coalesce(checksum, '') = coalesce($5, '')
	  AND parts_id IS NULL AND state = 'issued' AND expires_at <= now() + make_interval(secs => $9::int) RETURNING 1)
INSERT INTO tidegate.upload (id, owner, space, object_key, file_name, file_size, checksum, url, headers, expires_at)
SELECT $1::uuid, current_setting('tidegate.sub'), current_setting('tidegate.space'), $2, $3, $4::bigint, $5, $6, $7::jsonb, to_timestamp($8::bigint)
FROM (SELECT count(*) FROM room) AS made
ON CONFLICT DO NOTHING
RETURNING object_key, url, headers, expires_at, to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

-- name: upload_receive
SELECT state, file_size, checksum FROM tidegate.upload_receive($1);

-- name: upload_store
SELECT id FROM tidegate.upload_store($1, $2);

-- name: upload_expected
-- What the second call needs to check the body against; the first one has put the row into `receiving`.
SELECT file_size, checksum FROM tidegate.upload_promised($1);

-- name: upload_find
-- For the start of a job: the owner's own upload, locked.
SELECT state, file_size, sha256, checksum, parts_id FROM tidegate.upload WHERE object_key = $1 FOR UPDATE;

-- name: upload_taken
-- By which kind of import, if any? An upload is for one.
SELECT EXISTS (SELECT FROM tidegate.import_job WHERE object_key = $1), EXISTS (SELECT FROM tidegate.sqlite_batch WHERE object_key = $1 AND status <> 'failed');

-- name: upload_arrived
-- The object is there: a store of its own took it, or its parts have become one. $2: its hash, where it is known.
UPDATE tidegate.upload SET state = 'stored', sha256 = $2, stored_at = now(), url = NULL WHERE object_key = $1 AND state IN ('issued', 'stored');

-- name: janitor_uploads_expire
-- URLs that nobody used, and transfers that began a day ago and never ended.
UPDATE tidegate.upload SET state = 'expired', url = NULL
WHERE (state = 'issued' AND expires_at < now() - interval '1 day') OR (state = 'receiving' AND expires_at < now() - interval '1 day');

-- name: janitor_uploads_lock
-- Objects that may go: stored a day ago and taken by no import, or expired (a transfer may have died between file and row).
SELECT object_key FROM tidegate.upload u
WHERE (u.state = 'stored' AND u.stored_at < now() - interval '1 day' OR u.state = 'expired' AND u.expires_at < now() - interval '1 day')
  AND NOT EXISTS (SELECT FROM tidegate.import_job j WHERE j.object_key = u.object_key)
  AND NOT EXISTS (SELECT FROM tidegate.sqlite_batch b WHERE b.object_key = u.object_key AND b.rows_gone_at IS NULL)
LIMIT 100 FOR UPDATE OF u SKIP LOCKED;

-- name: janitor_uploads_check
-- Locked now: is it still true that no import has it? (An import may have begun between the look and the lock.)
SELECT NOT EXISTS (SELECT FROM tidegate.import_job WHERE object_key = $1)
   AND NOT EXISTS (SELECT FROM tidegate.sqlite_batch WHERE object_key = $1 AND rows_gone_at IS NULL);

-- name: janitor_uploads_remove
DELETE FROM tidegate.upload WHERE object_key = $1;
