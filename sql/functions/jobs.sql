-- The queue. All times are the database's. A worker holds a job by its token; whoever lost the token can change nothing.

-- Adds a job in the caller's transaction. Returns its id, or NULL when a live job of this kind has the dedupe key.
CREATE OR REPLACE FUNCTION tidegate.job_enqueue(p_kind text, p_args jsonb, p_space text, p_dedupe_key text, p_serial_key text, p_run_at timestamptz DEFAULT now())
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	new_id bigint;
BEGIN
	INSERT INTO tidegate.job (kind, args, space, dedupe_key, serial_key, run_at)
	VALUES (p_kind, p_args, p_space, p_dedupe_key, p_serial_key, p_run_at)
	ON CONFLICT (kind, dedupe_key) WHERE state IN ('ready', 'running') AND dedupe_key IS NOT NULL DO NOTHING
	RETURNING id INTO new_id;
	RETURN new_id;
END $$;

-- Takes up to p_limit ready jobs of the queues, oldest first within a priority. MATERIALIZED keeps the planner from
-- taking more rows than the limit. A job whose serial key is running is passed over; two claims that race for one key
-- meet in job_serial_idx, and the loser sees a unique violation: it looks again later.
CREATE OR REPLACE FUNCTION tidegate.job_claim(p_queues text[], p_worker text, p_lease interval, p_limit int)
RETURNS SETOF tidegate.job LANGUAGE sql SET search_path = pg_catalog, tidegate, pg_temp AS $$
	WITH candidate AS MATERIALIZED (
		SELECT j.id FROM tidegate.job j
		WHERE j.state = 'ready' AND j.queue = ANY (p_queues) AND j.run_at <= now()
		  AND (j.serial_key IS NULL OR NOT EXISTS (SELECT FROM tidegate.job r WHERE r.serial_key = j.serial_key AND r.state = 'running'))
		ORDER BY j.priority, j.run_at, j.id LIMIT p_limit FOR UPDATE SKIP LOCKED
	)
	UPDATE tidegate.job j
	SET state = 'running', attempt = attempt + 1, worker = p_worker, token = gen_random_uuid(), lease_until = now() + p_lease, updated_at = now()
	FROM candidate WHERE j.id = candidate.id RETURNING j.*;
$$;

-- Progress, heartbeat, fence and cancel check in one, inside every batch transaction. Raises TGLST when the lease is
-- somebody else's. True: somebody asked to cancel. The lease counts from the beat: its transaction may have begun long ago.
CREATE OR REPLACE FUNCTION tidegate.job_beat(p_id bigint, p_token uuid, p_lease interval, p_progress jsonb)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	cancel boolean;
BEGIN
	UPDATE tidegate.job SET progress = coalesce(p_progress, progress), lease_until = clock_timestamp() + p_lease, updated_at = now()
	WHERE id = p_id AND token = p_token AND state = 'running' RETURNING cancel_requested INTO cancel;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the lease of job % is lost', p_id USING ERRCODE = 'TGLST';
	END IF;
	RETURN cancel;
END $$;

-- Ends a job: done or cancelled. It moves to the history. Fenced like job_beat; the caller's transaction holds the result.
CREATE OR REPLACE FUNCTION tidegate.job_end(p_id bigint, p_token uuid, p_state text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	WITH ended AS (
		DELETE FROM tidegate.job WHERE id = p_id AND token = p_token AND state = 'running' RETURNING *
	)
	INSERT INTO tidegate.job_history (id, queue, kind, args, space, state, attempt, progress, created_at)
	SELECT id, queue, kind, args, space, p_state, attempt, progress, created_at FROM ended;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the lease of job % is lost', p_id USING ERRCODE = 'TGLST';
	END IF;
	INSERT INTO tidegate.job_event (job_id, event) VALUES (p_id, p_state);
END $$;

-- How long attempt n + 1 waits: least(6 h, 5 s * 2^n), with jitter from half to one and a half.
CREATE OR REPLACE FUNCTION tidegate.job_back_off(p_attempt int)
RETURNS interval LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
	SELECT least(interval '6 hours', interval '5 seconds' * (2 ^ least(p_attempt, 20))) * (0.5 + random());
$$;

-- Ends an attempt that failed: again later with back-off, or for good (dead letter) when it is permanent, was asked to
-- cancel, or has no attempt left. Returns the new state. Fenced.
CREATE OR REPLACE FUNCTION tidegate.job_fail(p_id bigint, p_token uuid, p_error text, p_permanent boolean)
RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	new_state text;
BEGIN
	UPDATE tidegate.job
	SET state = CASE WHEN p_permanent OR attempt >= max_attempts THEN 'failed' ELSE 'ready' END,
	    run_at = now() + tidegate.job_back_off(attempt), last_error = left(p_error, 1000), token = NULL, lease_until = NULL, worker = NULL, updated_at = now()
	WHERE id = p_id AND token = p_token AND state = 'running' RETURNING state INTO new_state;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the lease of job % is lost', p_id USING ERRCODE = 'TGLST';
	END IF;
	INSERT INTO tidegate.job_event (job_id, event, detail) VALUES (p_id, CASE new_state WHEN 'failed' THEN 'dead' ELSE 'retry' END, left(p_error, 1000));
	RETURN new_state;
END $$;

-- Jobs whose lease has run out: their worker died. The first rescue comes at once (the lease itself was the wait), later
-- ones with back-off; without attempts left they are dead. One process at a time looks (advisory lock of the transaction).
CREATE OR REPLACE FUNCTION tidegate.job_reap()
RETURNS TABLE (job_id bigint, job_kind text, job_args jsonb, new_state text) LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	IF NOT pg_try_advisory_xact_lock(hashtextextended('tidegate.job_reap', 0)) THEN
		RETURN;
	END IF;
	RETURN QUERY
	WITH expired AS (
		SELECT id FROM tidegate.job WHERE state = 'running' AND lease_until < now() FOR UPDATE SKIP LOCKED
	), reaped AS (
		UPDATE tidegate.job j
		SET state = CASE WHEN attempt >= max_attempts THEN 'failed' ELSE 'ready' END,
		    run_at = CASE WHEN attempt <= 1 THEN now() ELSE now() + tidegate.job_back_off(attempt) END,
		    last_error = 'lease_expired', token = NULL, lease_until = NULL, updated_at = now()
		FROM expired WHERE j.id = expired.id RETURNING j.id, j.kind, j.args, j.state, j.worker
	), events AS (
		INSERT INTO tidegate.job_event (job_id, event, worker) SELECT id, 'lease_expired', worker FROM reaped
	)
	SELECT id, kind, args, state FROM reaped;
END $$;

-- Asks a running job to stop at its next batch; a waiting one is ended at once. False: there is no such live job.
CREATE OR REPLACE FUNCTION tidegate.job_cancel(p_id bigint)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	WITH gone AS (
		DELETE FROM tidegate.job WHERE id = p_id AND state IN ('ready', 'failed') RETURNING *
	)
	INSERT INTO tidegate.job_history (id, queue, kind, args, space, state, attempt, progress, created_at)
	SELECT id, queue, kind, args, space, 'cancelled', attempt, progress, created_at FROM gone;
	IF FOUND THEN
		RETURN true;
	END IF;
	UPDATE tidegate.job SET cancel_requested = true, updated_at = now() WHERE id = p_id AND state = 'running';
	RETURN FOUND;
END $$;

-- Takes the slot of a schedule and enqueues its job; NULL when the slot was taken before.
CREATE OR REPLACE FUNCTION tidegate.cron_take(p_name text, p_slot timestamptz, p_kind text, p_args jsonb)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	new_id bigint;
BEGIN
	INSERT INTO tidegate.cron_run (name, slot) VALUES (p_name, p_slot) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	new_id := tidegate.job_enqueue(p_kind, p_args, '', p_name, NULL);
	UPDATE tidegate.cron_run SET job_id = new_id WHERE name = p_name AND slot = p_slot;
	RETURN new_id;
END $$;

-- Makes the partitions of job_history for this month and the next. Called by the janitor; the owner's right is lent.
CREATE OR REPLACE FUNCTION tidegate.job_history_partitions()
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	month timestamptz;
	name text;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('tidegate.job_history_partitions', 0));
	FOR i IN 0..1 LOOP
		month := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + make_interval(months => i);
		name := 'job_history_' || to_char(month AT TIME ZONE 'UTC', 'YYYYMM');
		IF to_regclass('tidegate.' || name) IS NULL AND NOT EXISTS
			(SELECT FROM tidegate.job_history_default WHERE ended_at >= month AND ended_at < month + interval '1 month') THEN
			EXECUTE format('CREATE TABLE tidegate.%I PARTITION OF tidegate.job_history FOR VALUES FROM (%L) TO (%L)', name, month, month + interval '1 month');
		END IF;
	END LOOP;
END $$;

REVOKE ALL ON FUNCTION tidegate.job_enqueue, tidegate.job_claim, tidegate.job_beat, tidegate.job_end, tidegate.job_fail, tidegate.job_reap,
	tidegate.job_cancel, tidegate.cron_take, tidegate.job_history_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.job_enqueue, tidegate.job_cancel TO tidegate_api;
GRANT EXECUTE ON FUNCTION tidegate.job_enqueue, tidegate.job_claim, tidegate.job_beat, tidegate.job_end, tidegate.job_fail, tidegate.job_reap,
	tidegate.job_cancel, tidegate.job_back_off, tidegate.cron_take, tidegate.job_history_partitions TO tidegate_worker;
