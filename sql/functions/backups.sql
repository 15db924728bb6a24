-- Backups: how a run begins and ends. A run is running while one of its databases is queued or running, and never longer: whatever ends the last
-- of them (success, refusal, a worker that died too often, a job that was cancelled) ends the run in the same transaction.

-- A run over these databases, in this order; or the one that is running already (joined). p_slots: how many may be at work at the same time.
CREATE OR REPLACE FUNCTION tidegate.backup_begin(p_space text, p_trigger text, p_reason text, p_databases text[], p_slots int)
RETURNS TABLE (run_id uuid, joined boolean) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	new_run uuid;
	new_result uuid;
BEGIN
	IF coalesce(current_setting('tidegate.space', true), '') NOT IN ('', p_space) THEN
		RAISE EXCEPTION 'a backup of another space' USING ERRCODE = '42501';
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended('tidegate.backup_begin', 0));
	SELECT r.id INTO new_run FROM tidegate.backup_run r WHERE r.space = p_space AND r.state = 'running';
	IF FOUND THEN
		RETURN QUERY SELECT new_run, true;
		RETURN;
	END IF;
	INSERT INTO tidegate.backup_run (space, trigger, reason) VALUES (p_space, p_trigger, p_reason) RETURNING id INTO new_run;
	PERFORM tidegate.backup_beat(new_run, 'start');
	FOR i IN 1 .. cardinality(p_databases) LOOP
		INSERT INTO tidegate.backup_result (run_id, space, database, place) VALUES (new_run, p_space, p_databases[i], i) RETURNING id INTO new_result;
		PERFORM tidegate.job_enqueue('backup.database', jsonb_build_object('id', new_result), p_space, new_result::text, 'backup:' || (i % p_slots)::text);
	END LOOP;
	RETURN QUERY SELECT new_run, false;
END $$;

-- The first attempt sets the clock of the deadline. No row: the result is gone or has ended.
CREATE OR REPLACE FUNCTION tidegate.backup_take(p_result uuid, p_life interval)
RETURNS TABLE (database text, run_id uuid, space text, day text, at text, late boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	RETURN QUERY
	UPDATE tidegate.backup_result r
	SET state = 'running', phase = 'snapshot', started_at = coalesce(r.started_at, now()), deadline_at = coalesce(r.deadline_at, now() + p_life)
	FROM tidegate.backup_run n
	WHERE r.id = p_result AND n.id = r.run_id AND r.state IN ('queued', 'running')
	RETURNING r.database, r.run_id, r.space, to_char(n.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), to_char(n.started_at AT TIME ZONE 'UTC', 'HH24MISS'),
	          r.deadline_at < now();
END $$;

-- The job that tells the heartbeat service of a run of the schedule: start, success or fail. Of other runs nothing is told: what they say of the night would be wrong.
CREATE OR REPLACE FUNCTION tidegate.backup_beat(p_run uuid, p_what text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	PERFORM tidegate.job_enqueue('backup.heartbeat', jsonb_build_object('run', p_run, 'what', p_what), r.space, p_run || ':' || p_what, 'backup.heartbeat')
	FROM tidegate.backup_run r WHERE r.id = p_run AND r.trigger = 'scheduled';
END $$;

-- What there is to say of a run to the heartbeat service; no row: it is overtaken (the run ended before its start was told; a younger one of the schedule has ended).
CREATE OR REPLACE FUNCTION tidegate.backup_beat_due(p_run uuid, p_what text)
RETURNS TABLE (said text) LANGUAGE sql STABLE SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT CASE p_what WHEN 'start' THEN 'started' ELSE format('%s: %s of %s databases', r.state,
	           (SELECT count(*) FILTER (WHERE b.state = 'succeeded') FROM tidegate.backup_result b WHERE b.run_id = r.id),
	           (SELECT count(*) FROM tidegate.backup_result b WHERE b.run_id = r.id)) END
	FROM tidegate.backup_run r
	WHERE r.id = p_run AND (p_what <> 'start' OR r.state = 'running')
	  AND NOT EXISTS (SELECT FROM tidegate.backup_run n WHERE n.space = r.space AND n.trigger = 'scheduled' AND n.state <> 'running' AND n.started_at > r.started_at);
$$;

-- How often a database has failed since it last succeeded, before p_before. What a person cancelled says nothing of it. Relies on backup_result_database_idx.
CREATE OR REPLACE FUNCTION tidegate.backup_failures_in_a_row(p_space text, p_database text, p_before timestamptz)
RETURNS bigint LANGUAGE sql STABLE SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT count(*) FROM tidegate.backup_result f
	WHERE f.space = p_space AND f.database = p_database AND f.state = 'failed' AND f.error <> 'cancelled' AND f.started_at < p_before
	  AND f.started_at > coalesce((SELECT max(s.started_at) FROM tidegate.backup_result s
	                               WHERE s.space = p_space AND s.database = p_database AND s.state = 'succeeded' AND s.started_at < p_before), '-infinity');
$$;

-- What is said of a run that has ended. Of its failures at most twenty are named, each with how often the database has failed in a row; every third time that is said
-- again by itself (escalation).
CREATE OR REPLACE FUNCTION tidegate.backup_said(p_run uuid)
RETURNS jsonb LANGUAGE sql STABLE SET search_path = pg_catalog, tidegate, pg_temp AS $$
	WITH r AS (
		SELECT b.*, CASE WHEN b.state = 'failed' THEN tidegate.backup_failures_in_a_row(b.space, b.database, 'infinity') END AS in_a_row
		FROM tidegate.backup_result b WHERE b.run_id = p_run
	), told AS (
		SELECT coalesce(jsonb_agg(jsonb_build_object('database', database, 'error', error, 'inARow', in_a_row) ORDER BY place), '[]') AS failures
		FROM (SELECT * FROM r WHERE state = 'failed' ORDER BY place LIMIT 20) f
	), escalated AS (
		SELECT jsonb_agg(jsonb_build_object('database', database, 'inARow', in_a_row) ORDER BY place) AS list
		FROM (SELECT * FROM r WHERE state = 'failed' AND error <> 'cancelled' AND in_a_row > 0 AND in_a_row % 3 = 0 ORDER BY place LIMIT 20) f
	)
	SELECT jsonb_build_object('id', p_run, 'state', n.state, 'trigger', n.trigger, 'total', (SELECT count(*) FROM r),
	           'successful', (SELECT count(*) FROM r WHERE state = 'succeeded'), 'failed', (SELECT count(*) FROM r WHERE state = 'failed'),
	           'bytes', (SELECT coalesce(sum(o.size), 0) FROM tidegate.backup_object o WHERE o.run_id = p_run), 'seconds', round(extract(epoch FROM n.ended_at - n.started_at)),
	           'failures', told.failures)
	       || CASE WHEN escalated.list IS NULL THEN '{}' ELSE jsonb_build_object('escalation', escalated.list) END
	FROM tidegate.backup_run n, told, escalated WHERE n.id = p_run;
$$;

-- One database has ended: p_error null for success. The last one ends its run, and tells.
CREATE OR REPLACE FUNCTION tidegate.backup_end(p_result uuid, p_error text, p_detail text, p_warning text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	run uuid;
	new_state text;
	owner text;
BEGIN
	UPDATE tidegate.backup_result
	SET state = CASE WHEN p_error IS NULL THEN 'succeeded' ELSE 'failed' END, phase = CASE WHEN p_error IS NULL THEN 'done' ELSE phase END, error = p_error,
	    error_detail = left(p_detail, 500), warning = p_warning, started_at = coalesce(started_at, now()), ended_at = now()
	WHERE id = p_result AND state IN ('queued', 'running') RETURNING run_id INTO run;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	-- Two that end at the same moment come one after the other: one of them is the last.
	PERFORM FROM tidegate.backup_run WHERE id = run FOR UPDATE;
	IF EXISTS (SELECT FROM tidegate.backup_result WHERE run_id = run AND state IN ('queued', 'running')) THEN
		RETURN;
	END IF;
	SELECT CASE WHEN count(*) FILTER (WHERE state = 'failed') = 0 THEN 'completed' WHEN count(*) FILTER (WHERE state = 'succeeded') = 0 THEN 'failed' ELSE 'partial' END
	INTO new_state FROM tidegate.backup_result WHERE run_id = run;
	UPDATE tidegate.backup_run SET state = new_state, ended_at = now() WHERE id = run RETURNING space INTO owner;
	PERFORM tidegate.event_emit(owner, CASE new_state WHEN 'completed' THEN 'backup.completed' ELSE 'backup.failed' END, tidegate.backup_said(run));
	-- Who was told that a database fails again and again hears when it is over.
	PERFORM tidegate.event_emit(owner, 'backup.recovered', jsonb_build_object('id', run, 'database', r.database, 'after', 'failures', 'failures', f.count))
	FROM tidegate.backup_result r, tidegate.backup_failures_in_a_row(r.space, r.database, r.started_at) AS f (count)
	WHERE r.run_id = run AND r.state = 'succeeded' AND f.count >= 3;
	PERFORM tidegate.backup_beat(run, CASE new_state WHEN 'completed' THEN 'success' ELSE 'fail' END);
END $$;

-- What was left by jobs that are no more (cancelled, dismissed): their databases have failed.
CREATE OR REPLACE FUNCTION tidegate.backup_reap()
RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	lost uuid;
	count bigint := 0;
BEGIN
	FOR lost IN
		SELECT r.id FROM tidegate.backup_result r
		WHERE r.state IN ('queued', 'running')
		  AND NOT EXISTS (SELECT FROM tidegate.job j WHERE j.kind = 'backup.database' AND j.dedupe_key = r.id::text AND j.state <> 'failed')
		ORDER BY r.run_id, r.place
	LOOP
		PERFORM tidegate.backup_end(lost, 'cancelled', NULL, NULL);
		count := count + 1;
	END LOOP;
	RETURN count;
END $$;

-- The last slot of a schedule at a time of day (UTC), on one day of the week (ISO: 1 is Monday) or, with null, on every day.
CREATE OR REPLACE FUNCTION tidegate.backup_slot(p_at time, p_weekday int, p_now timestamptz DEFAULT now())
RETURNS timestamptz LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	SELECT max((d::date + p_at) AT TIME ZONE 'UTC')
	FROM generate_series((p_now AT TIME ZONE 'UTC')::date - 7, (p_now AT TIME ZONE 'UTC')::date, interval '1 day') AS d
	WHERE (d::date + p_at) AT TIME ZONE 'UTC' <= p_now AND (p_weekday IS NULL OR extract(isodow FROM d) = p_weekday);
$$;

-- Takes the slot that is due; false when it was taken before, or the schedule is new. However long nobody looked, one slot is made up for.
CREATE OR REPLACE FUNCTION tidegate.backup_due(p_name text, p_at time, p_weekday int)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	due timestamptz := tidegate.backup_slot(p_at, p_weekday);
BEGIN
	INSERT INTO tidegate.backup_schedule (name, slot) VALUES (p_name, due) ON CONFLICT (name) DO NOTHING;
	IF FOUND THEN
		RETURN false;
	END IF;
	UPDATE tidegate.backup_schedule SET slot = due WHERE name = p_name AND slot < due;
	RETURN FOUND;
END $$;

-- What retention may remove: dailies after p_days days, weeklies after p_weeks weeks. Never the newest verified one of a database, nor a daily of one that
-- the weekly archive should hold (p_weekly) and no verified archive does, unless a verified one of the same day stands in for it; nor one that a differential one stands on.
CREATE OR REPLACE FUNCTION tidegate.backup_expired(p_space text, p_days int, p_weeks int, p_weekly text[])
RETURNS TABLE (id uuid, key text, size bigint) LANGUAGE sql STABLE SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT o.id, o.key, o.size FROM tidegate.backup_object o
	WHERE o.space = p_space AND o.state = 'stored'
	  AND o.day < (now() AT TIME ZONE 'UTC')::date - CASE o.kind WHEN 'daily' THEN p_days ELSE 7 * p_weeks END
	  AND EXISTS (SELECT FROM tidegate.backup_object n
	              WHERE n.space = o.space AND (o.kind = 'weekly' OR n.database = o.database) AND n.kind = o.kind AND n.state = 'stored' AND n.id <> o.id
	                AND (n.verified_at IS NOT NULL OR n.content_hash IS NULL AND n.verify_error IS NULL) AND (n.day, n.created_at) > (o.day, o.created_at))
	  AND NOT EXISTS (SELECT FROM tidegate.backup_object d WHERE d.base_id = o.id AND d.state = 'stored')
	  AND (o.kind = 'weekly' OR o.archive_id IS NOT NULL OR NOT o.database = ANY (p_weekly)
	       OR EXISTS (SELECT FROM tidegate.backup_object n WHERE n.space = o.space AND n.database = o.database AND n.kind = 'daily' AND n.day = o.day
	                  AND n.created_at > o.created_at AND n.verified_at IS NOT NULL))
	ORDER BY o.day, o.key;
$$;

-- Databases without a good backup for longer than p_hours: each is said once, until it has been good again. Emits the events; their number.
CREATE OR REPLACE FUNCTION tidegate.backup_absent(p_space text, p_databases text[], p_hours int)
RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	late record;
	good text;
	count bigint := 0;
BEGIN
	FOR good IN
		DELETE FROM tidegate.backup_alert a WHERE a.space = p_space AND a.kind = 'stale'
		  AND EXISTS (SELECT FROM tidegate.backup_object o WHERE o.space = p_space AND o.database = a.database AND o.state = 'stored' AND o.verified_at > now() - make_interval(hours => p_hours))
		RETURNING a.database
	LOOP
		PERFORM tidegate.event_emit(p_space, 'backup.recovered', jsonb_build_object('database', good, 'after', 'stale'));
	END LOOP;
	FOR late IN
		SELECT d.name, max(o.verified_at) AS last FROM unnest(p_databases) AS d (name)
		LEFT JOIN tidegate.backup_object o ON o.space = p_space AND o.database = d.name AND o.state = 'stored' AND o.verified_at IS NOT NULL
		GROUP BY d.name
		HAVING coalesce(max(o.verified_at), (SELECT min(since) FROM tidegate.backup_schedule)) < now() - make_interval(hours => p_hours)
	LOOP
		INSERT INTO tidegate.backup_alert (space, database, kind) VALUES (p_space, late.name, 'stale') ON CONFLICT DO NOTHING;
		CONTINUE WHEN NOT FOUND;
		PERFORM tidegate.event_emit(p_space, 'backup.stale', jsonb_build_object('database', late.name, 'lastVerifiedAt', late.last, 'hours', p_hours));
		count := count + 1;
	END LOOP;
	RETURN count;
END $$;

-- The size of a backup against the mean of the seven before it: less than half, or more than twice, is told.
CREATE OR REPLACE FUNCTION tidegate.backup_weigh(p_object uuid)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	this tidegate.backup_object;
	mean numeric;
	runs bigint;
BEGIN
	SELECT * INTO this FROM tidegate.backup_object WHERE id = p_object;
	IF this.base_id IS NOT NULL THEN
		RETURN false; -- its size is that of what changed
	END IF;
	SELECT avg(size), count(*) INTO mean, runs FROM
		(SELECT size FROM tidegate.backup_object o WHERE o.space = this.space AND o.database = this.database AND o.kind = 'daily' AND o.state IN ('stored', 'deleted')
		   AND o.id <> this.id AND o.base_id IS NULL AND o.created_at < this.created_at AND o.verify_error IS NULL ORDER BY o.created_at DESC LIMIT 7) s;
	IF runs < 3 OR this.size BETWEEN mean * 0.5 AND mean * 2 THEN
		RETURN false;
	END IF;
	PERFORM tidegate.event_emit(this.space, 'backup.size_anomaly', jsonb_build_object('id', this.run_id, 'database', this.database, 'size', this.size, 'mean', round(mean)));
	RETURN true;
END $$;

-- A clock (database, storage) as a host sees it: p_seconds ahead of its own. Beyond the limit it is told, once until both agree again. True: something was told.
CREATE OR REPLACE FUNCTION tidegate.backup_clock(p_space text, p_clock text, p_host text, p_seconds bigint, p_limit bigint)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	IF abs(p_seconds) > p_limit THEN
		INSERT INTO tidegate.backup_alert (space, database, kind) VALUES (p_space, p_clock || '@' || p_host, 'clock_skew') ON CONFLICT DO NOTHING;
	ELSE
		DELETE FROM tidegate.backup_alert WHERE space = p_space AND database = p_clock || '@' || p_host AND kind = 'clock_skew';
	END IF;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM CASE WHEN abs(p_seconds) > p_limit
		THEN tidegate.event_emit(p_space, 'backup.clock_skew', jsonb_build_object('clock', p_clock, 'host', p_host, 'seconds', p_seconds, 'limit', p_limit))
		ELSE tidegate.event_emit(p_space, 'backup.recovered', jsonb_build_object('after', 'clock_skew', 'clock', p_clock, 'host', p_host, 'seconds', p_seconds)) END;
	RETURN true;
END $$;

-- Is an object of the store older than the grace time? What is younger may be on its way.
CREATE OR REPLACE FUNCTION tidegate.backup_is_old(p_modified bigint, p_hours int)
RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
	SELECT to_timestamp(p_modified) < now() - make_interval(hours => p_hours);
$$;

REVOKE ALL ON FUNCTION tidegate.backup_is_old FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.backup_is_old TO tidegate_worker;
REVOKE ALL ON FUNCTION tidegate.backup_beat, tidegate.backup_beat_due, tidegate.backup_failures_in_a_row, tidegate.backup_said, tidegate.backup_clock FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.backup_beat, tidegate.backup_beat_due, tidegate.backup_failures_in_a_row, tidegate.backup_said, tidegate.backup_clock TO tidegate_worker;
REVOKE ALL ON FUNCTION tidegate.backup_slot, tidegate.backup_due, tidegate.backup_expired, tidegate.backup_absent, tidegate.backup_weigh FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.backup_slot TO tidegate_api, tidegate_worker;
GRANT EXECUTE ON FUNCTION tidegate.backup_due, tidegate.backup_expired, tidegate.backup_absent, tidegate.backup_weigh TO tidegate_worker;
REVOKE ALL ON FUNCTION tidegate.backup_begin, tidegate.backup_take, tidegate.backup_end, tidegate.backup_reap FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.backup_begin TO tidegate_api, tidegate_worker;
GRANT EXECUTE ON FUNCTION tidegate.backup_take, tidegate.backup_end, tidegate.backup_reap TO tidegate_worker;
GRANT EXECUTE ON FUNCTION tidegate.backup_failures_in_a_row TO tidegate_api; -- of what row-level security shows it
