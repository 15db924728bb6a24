-- The queue. All times are the database's. A worker holds a job by its token; whoever lost the token can change nothing.

-- Notes what a person did to a job, or had done to it: the caller's sub is the actor, when there is one.
CREATE OR REPLACE FUNCTION tidegate.job_note(p_id bigint, p_event text)
RETURNS void LANGUAGE sql SET search_path = pg_catalog, tidegate, pg_temp AS $$
	INSERT INTO tidegate.job_event (job_id, event, actor) VALUES (p_id, p_event, nullif(current_setting('tidegate.sub', true), ''));
$$;

-- Adds a job in the caller's transaction. Returns its id, or NULL when a live job of this kind has the dedupe key. A dead letter
-- that has it is what is asked for again: it comes back with all its attempts, and keeps its id and its events.
CREATE OR REPLACE FUNCTION tidegate.job_enqueue(p_kind text, p_args jsonb, p_space text, p_dedupe_key text, p_serial_key text, p_run_at timestamptz DEFAULT now())
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	new_id bigint;
BEGIN
	UPDATE tidegate.job
	SET state = 'ready', attempt = 0, args = p_args, space = p_space, serial_key = p_serial_key, run_at = p_run_at, cancel_requested = false, updated_at = now()
	WHERE kind = p_kind AND dedupe_key = p_dedupe_key AND state = 'failed' RETURNING id INTO new_id;
	IF FOUND THEN
		PERFORM tidegate.job_note(new_id, 'redriven');
		RETURN new_id;
	END IF;
	INSERT INTO tidegate.job (kind, args, space, dedupe_key, serial_key, run_at)
	VALUES (p_kind, p_args, p_space, p_dedupe_key, p_serial_key, p_run_at)
	ON CONFLICT (kind, dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING
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
	SET state = 'running', attempt = attempt + 1, worker = p_worker, token = gen_random_uuid(), lease_until = now() + p_lease, started_at = now(),
	    updated_at = now()
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
DECLARE
	ended tidegate.job;
BEGIN
	DELETE FROM tidegate.job WHERE id = p_id AND token = p_token AND state = 'running' RETURNING * INTO ended;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the lease of job % is lost', p_id USING ERRCODE = 'TGLST';
	END IF;
	PERFORM tidegate.job_bury(ended, p_state);
	INSERT INTO tidegate.job_event (job_id, event, attempt, worker) VALUES (p_id, p_state, ended.attempt, ended.worker);
END $$;

-- What is left of a job that has ended.
CREATE OR REPLACE FUNCTION tidegate.job_bury(p_job tidegate.job, p_state text)
RETURNS void LANGUAGE sql SET search_path = pg_catalog, tidegate, pg_temp AS $$
	INSERT INTO tidegate.job_history (id, queue, kind, args, space, state, attempt, max_attempts, progress, last_error, created_at, started_at)
	VALUES (p_job.id, p_job.queue, p_job.kind, p_job.args, p_job.space, p_state, p_job.attempt, p_job.max_attempts, p_job.progress, p_job.last_error,
		p_job.created_at, p_job.started_at);
$$;

-- How long attempt n + 1 waits: least(6 h, 5 s * 2^n), with jitter from half to one and a half.
CREATE OR REPLACE FUNCTION tidegate.job_back_off(p_attempt int)
RETURNS interval LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
	SELECT least(interval '6 hours', interval '5 seconds' * (2 ^ least(p_attempt, 20))) * (0.5 + random());
$$;

-- Ends an attempt that failed: again later with back-off, or for good (dead letter) when it is permanent or has no attempt
-- left. Returns the new state. Fenced.
CREATE OR REPLACE FUNCTION tidegate.job_fail(p_id bigint, p_token uuid, p_error text, p_permanent boolean)
RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	failed tidegate.job;
BEGIN
	UPDATE tidegate.job
	SET state = CASE WHEN p_permanent OR attempt >= max_attempts THEN 'failed' ELSE 'ready' END,
	    run_at = now() + tidegate.job_back_off(attempt), last_error = left(p_error, 1000), token = NULL, lease_until = NULL, updated_at = now()
	WHERE id = p_id AND token = p_token AND state = 'running' RETURNING * INTO failed;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the lease of job % is lost', p_id USING ERRCODE = 'TGLST';
	END IF;
	INSERT INTO tidegate.job_event (job_id, event, attempt, worker, detail)
	VALUES (p_id, CASE failed.state WHEN 'failed' THEN 'dead' ELSE 'retry' END, failed.attempt, failed.worker, failed.last_error);
	RETURN failed.state;
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
		    last_error = CASE WHEN attempt >= max_attempts THEN 'worker_died' ELSE 'lease_expired' END, token = NULL, lease_until = NULL, updated_at = now()
		FROM expired WHERE j.id = expired.id RETURNING j.id, j.kind, j.args, j.state, j.worker, j.attempt
	), events AS (
		INSERT INTO tidegate.job_event (job_id, event, attempt, worker, detail)
		SELECT id, event, attempt, worker, detail
		FROM reaped CROSS JOIN LATERAL (VALUES ('lease_expired', NULL), ('dead', 'worker_died')) AS e (event, detail)
		WHERE e.event = 'lease_expired' OR state = 'failed'
	)
	SELECT id, kind, args, state FROM reaped;
END $$;

-- Ends a job that no worker holds, as cancelled. False: there is none in that state.
CREATE OR REPLACE FUNCTION tidegate.job_discard(p_id bigint, p_state text)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	gone tidegate.job;
BEGIN
	DELETE FROM tidegate.job WHERE id = p_id AND state = p_state AND p_state IN ('ready', 'failed') RETURNING * INTO gone;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM tidegate.job_bury(gone, 'cancelled');
	PERFORM tidegate.job_note(p_id, 'cancelled');
	RETURN true;
END $$;

-- Asks a running job to stop at its next batch; a waiting one is ended at once. False: there is no such live job.
CREATE OR REPLACE FUNCTION tidegate.job_cancel_live(p_id bigint)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	IF tidegate.job_discard(p_id, 'ready') THEN
		RETURN true;
	END IF;
	UPDATE tidegate.job SET cancel_requested = true, updated_at = now() WHERE id = p_id AND state = 'running';
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM tidegate.job_note(p_id, 'cancel_requested');
	RETURN true;
END $$;

-- The same for any job of any space, dead letters too: for whoever keeps the database.
CREATE OR REPLACE FUNCTION tidegate.job_cancel(p_id bigint)
RETURNS boolean LANGUAGE sql SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT tidegate.job_cancel_live(p_id) OR tidegate.job_discard(p_id, 'failed');
$$;

-- What the request role may do to a job, each in the space of its scope and in no other. p_dead: it is a dead letter that is
-- to be dismissed; otherwise it waits or runs. The two are never confused: a dead letter that somebody has just brought back
-- is not dismissed, and the other way round. False: there is no such job any more.
CREATE OR REPLACE FUNCTION tidegate.job_cancel_own(p_id bigint, p_dead boolean)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM tidegate.job WHERE id = p_id AND space = current_setting('tidegate.space', true) AND (state = 'failed') = p_dead) THEN
		RETURN false;
	END IF;
	RETURN CASE WHEN p_dead THEN tidegate.job_discard(p_id, 'failed') ELSE tidegate.job_cancel_live(p_id) END;
END $$;

-- Brings a dead letter back with all its attempts. False: it is none (any more).
CREATE OR REPLACE FUNCTION tidegate.job_retry_own(p_id bigint)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	UPDATE tidegate.job SET state = 'ready', attempt = 0, run_at = now(), cancel_requested = false, updated_at = now()
	WHERE id = p_id AND space = current_setting('tidegate.space', true) AND state = 'failed';
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM tidegate.job_note(p_id, 'redriven');
	RETURN true;
END $$;

-- The queue as numbers over all spaces, which the request role itself does not see. At most 41 rows: a kind with an odd name, and
-- those after the 40 most frequent, are counted as "other".
CREATE OR REPLACE FUNCTION tidegate.job_figures()
RETURNS TABLE (kind text, ready bigint, scheduled bigint, running bigint, dead bigint, oldest_seconds bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
	WITH by_kind AS (
		SELECT j.kind, count(*) FILTER (WHERE j.state = 'ready' AND j.run_at <= now()) AS ready,
		       count(*) FILTER (WHERE j.state = 'ready' AND j.run_at > now()) AS scheduled,
		       count(*) FILTER (WHERE j.state = 'running') AS running, count(*) FILTER (WHERE j.state = 'failed') AS dead,
		       coalesce(extract(epoch FROM now() - min(j.run_at) FILTER (WHERE j.state = 'ready' AND j.run_at <= now())), 0)::bigint AS oldest,
		       row_number() OVER (ORDER BY count(*) DESC, j.kind) AS place
		FROM tidegate.job j GROUP BY j.kind
	)
	SELECT CASE WHEN b.place <= 40 AND b.kind ~ '^[a-z0-9_.]{1,64}$' THEN b.kind ELSE 'other' END, sum(b.ready)::bigint, sum(b.scheduled)::bigint,
	       sum(b.running)::bigint, sum(b.dead)::bigint, max(b.oldest)
	FROM by_kind b GROUP BY 1 ORDER BY 1;
$$;

-- For how many seconds the oldest job that is due has been waiting, in any space; 0 when none is. Relies on job_ready_idx.
CREATE OR REPLACE FUNCTION tidegate.job_oldest_seconds()
RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT coalesce((SELECT extract(epoch FROM now() - min(run_at))::bigint FROM tidegate.job WHERE state = 'ready' AND run_at <= now()), 0);
$$;

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

REVOKE ALL ON FUNCTION tidegate.job_note, tidegate.job_enqueue, tidegate.job_claim, tidegate.job_beat, tidegate.job_bury, tidegate.job_end, tidegate.job_fail,
	tidegate.job_reap, tidegate.job_discard, tidegate.job_cancel_live, tidegate.job_cancel, tidegate.job_cancel_own, tidegate.job_retry_own, tidegate.job_figures,
	tidegate.job_oldest_seconds, tidegate.cron_take, tidegate.job_history_partitions FROM PUBLIC;
REVOKE ALL ON FUNCTION tidegate.job_cancel FROM tidegate_api;
GRANT EXECUTE ON FUNCTION tidegate.job_enqueue, tidegate.job_cancel_own, tidegate.job_retry_own, tidegate.job_figures, tidegate.job_oldest_seconds TO tidegate_api;
GRANT EXECUTE ON FUNCTION tidegate.job_note, tidegate.job_enqueue, tidegate.job_claim, tidegate.job_beat, tidegate.job_bury, tidegate.job_end, tidegate.job_fail,
	tidegate.job_reap, tidegate.job_discard, tidegate.job_cancel_live, tidegate.job_cancel, tidegate.job_cancel_own, tidegate.job_back_off, tidegate.cron_take,
	tidegate.job_history_partitions TO tidegate_worker;
