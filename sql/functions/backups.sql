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

-- One database has ended: p_error null for success. The last one ends its run, and tells.
CREATE OR REPLACE FUNCTION tidegate.backup_end(p_result uuid, p_error text, p_detail text, p_warning text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	run uuid;
	new_state text;
	said jsonb;
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
	SELECT CASE WHEN count(*) FILTER (WHERE state = 'failed') = 0 THEN 'completed' WHEN count(*) FILTER (WHERE state = 'succeeded') = 0 THEN 'failed' ELSE 'partial' END,
	       jsonb_build_object('id', run, 'successful', count(*) FILTER (WHERE state = 'succeeded'), 'failed', count(*) FILTER (WHERE state = 'failed'),
	                          'failures', coalesce((jsonb_agg(jsonb_build_object('database', database, 'error', error) ORDER BY place) FILTER (WHERE state = 'failed')), '[]'))
	INTO new_state, said FROM tidegate.backup_result WHERE run_id = run;
	UPDATE tidegate.backup_run SET state = new_state, ended_at = now() WHERE id = run RETURNING space INTO owner;
	said := said || jsonb_build_object('state', new_state);
	IF jsonb_array_length(said -> 'failures') > 20 THEN
		said := jsonb_set(said, '{failures}', jsonb_path_query_array(said, '$.failures[0 to 19]'));
	END IF;
	PERFORM tidegate.event_emit(owner, CASE new_state WHEN 'completed' THEN 'backup.completed' ELSE 'backup.failed' END, said);
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

REVOKE ALL ON FUNCTION tidegate.backup_begin, tidegate.backup_take, tidegate.backup_end, tidegate.backup_reap FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.backup_begin TO tidegate_api, tidegate_worker;
GRANT EXECUTE ON FUNCTION tidegate.backup_take, tidegate.backup_end, tidegate.backup_reap TO tidegate_worker;
