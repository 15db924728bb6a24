-- The worker loop. The rules stand in sql/functions/jobs.sql.

-- name: job_claim
-- One at a time: batches of kinds are long, and keyed kinds must be claimed singly. Relies on job_ready_idx.
SELECT id, kind, token, space, attempt, args FROM tidegate.job_claim($1::text[], $2, $3::interval, 1);

-- name: job_beat
SELECT tidegate.job_beat($1::bigint, $2::uuid, $3::interval, NULL);

-- name: job_end
SELECT tidegate.job_end($1::bigint, $2::uuid, $3);

-- name: job_fail
SELECT tidegate.job_fail($1::bigint, $2::uuid, $3, $4::boolean);

-- name: job_give_back
-- A worker that is told to stop returns its job at once: no attempt is lost, no lease has to run out.
UPDATE tidegate.job SET state = 'ready', attempt = attempt - 1, run_at = now(), token = NULL, lease_until = NULL, worker = NULL, updated_at = now()
WHERE id = $1::bigint AND token = $2::uuid AND state = 'running';

-- name: job_reap
SELECT job_id, job_kind, new_state FROM tidegate.job_reap();

-- name: cron_take
-- The slot is the last whole multiple of the period.
SELECT tidegate.cron_take($1, to_timestamp(floor(extract(epoch FROM now()) / $3::bigint) * $3::bigint), $2, '{}');

-- name: job_history_partitions
SELECT tidegate.job_history_partitions();

-- name: job_list
-- Newest first, keyset on id: job_space_idx and job_history_space_idx. $1 state or null, $2 kind or null, $3 id of the last item of
-- the page before or null, $4 one more than the page. A job keeps its id when it ends, so it cannot be on two pages.
(SELECT id, kind, CASE WHEN state = 'failed' THEN 'dead' WHEN state = 'ready' AND run_at > now() THEN 'scheduled' ELSE state END AS state,
        args ->> 'id' AS subject, attempt, max_attempts AS "maxAttempts", cancel_requested AS "cancelRequested",
        CASE WHEN state = 'ready' THEN run_at END AS "runAt", created_at AS "createdAt", started_at AS "startedAt", NULL::timestamptz AS "endedAt",
        last_error AS _error
 FROM tidegate.job
 WHERE space = current_setting('tidegate.space') AND ($3::bigint IS NULL OR id < $3) AND ($2::text IS NULL OR kind = $2)
   AND ($1::text IS NULL OR $1 = CASE WHEN state = 'failed' THEN 'dead' WHEN state = 'ready' AND run_at > now() THEN 'scheduled' ELSE state END)
 ORDER BY id DESC LIMIT $4::int)
UNION ALL
(SELECT id, kind, state, args ->> 'id', attempt, max_attempts, false, NULL, created_at, started_at, ended_at, last_error
 FROM tidegate.job_history
 WHERE ($1 IS NULL OR $1 IN ('done', 'cancelled')) AND space = current_setting('tidegate.space') AND ($3 IS NULL OR id < $3)
   AND ($2 IS NULL OR kind = $2) AND ($1 IS NULL OR state = $1)
 ORDER BY id DESC LIMIT $4::int)
ORDER BY id DESC LIMIT $4::int;

-- name: job_get
-- The same of one. Primary key, or job_history_id_idx.
SELECT id, kind, CASE WHEN state = 'failed' THEN 'dead' WHEN state = 'ready' AND run_at > now() THEN 'scheduled' ELSE state END AS state,
       args ->> 'id' AS subject, attempt, max_attempts AS "maxAttempts", cancel_requested AS "cancelRequested",
       CASE WHEN state = 'ready' THEN run_at END AS "runAt", created_at AS "createdAt", started_at AS "startedAt", NULL::timestamptz AS "endedAt",
       last_error AS _error
FROM tidegate.job WHERE id = $1::bigint AND space = current_setting('tidegate.space')
UNION ALL
SELECT id, kind, state, args ->> 'id', attempt, max_attempts, false, NULL, created_at, started_at, ended_at, last_error
FROM tidegate.job_history WHERE id = $1::bigint AND space = current_setting('tidegate.space');

-- name: job_events
-- The newest $2 of a job, oldest first. Relies on job_event_job_idx.
SELECT at, event, attempt, actor, detail AS _error
FROM (SELECT * FROM tidegate.job_event WHERE job_id = $1::bigint ORDER BY id DESC LIMIT $2::int) e ORDER BY id;

-- name: job_retry_own
SELECT tidegate.job_retry_own($1::bigint);

-- name: job_cancel_own
-- $2: it is a dead letter, to be dismissed.
SELECT tidegate.job_cancel_own($1::bigint, $2::boolean);

-- name: jobs_notify
SELECT pg_notify('tidegate_job', '');

-- name: janitor_jobs
-- What the queue leaves behind: slots and events of old runs, history after 90 days, idempotency keys after two days, signed calls
-- once the largest leeway has passed too.
WITH slots AS (DELETE FROM tidegate.cron_run WHERE slot < now() - interval '7 days' RETURNING 1),
     events AS (DELETE FROM tidegate.job_event WHERE at < now() - interval '30 days' RETURNING 1),
     history AS (DELETE FROM tidegate.job_history WHERE ended_at < now() - interval '90 days' RETURNING 1),
     keys AS (DELETE FROM tidegate.idempotency WHERE created_at < now() - interval '2 days' RETURNING 1),
     calls AS (DELETE FROM tidegate.signed_call WHERE expires_at < now() - interval '2 minutes' RETURNING 1)
SELECT (SELECT count(*) FROM slots) + (SELECT count(*) FROM events) + (SELECT count(*) FROM history) + (SELECT count(*) FROM keys)
       + (SELECT count(*) FROM calls);
