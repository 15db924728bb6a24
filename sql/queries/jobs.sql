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
