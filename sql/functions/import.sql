-- Spreadsheet imports: state machine, partitions, checkpoints.
-- Whoever needs both locks the live job of the queue first (job_beat, job_cancel_own, job_end), then the import; a dead letter comes after its import.

-- The only way the status of an import changes. Raises TG409 when the move is not in import_move.
CREATE OR REPLACE FUNCTION tidegate.import_move_to(p_no bigint, p_status text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	old_status text;
BEGIN
	SELECT status INTO old_status FROM tidegate.import_job WHERE no = p_no FOR UPDATE;
	IF NOT EXISTS (SELECT FROM tidegate.import_move m WHERE m.from_status = old_status AND m.to_status = p_status) THEN
		RAISE EXCEPTION 'an import cannot go from % to %', old_status, p_status USING ERRCODE = 'TG409';
	END IF;
	UPDATE tidegate.import_job
	SET status = p_status, updated_at = now(),
	    failed_in = CASE WHEN p_status IN ('failed', 'cancelled') THEN old_status END,
	    error_code = CASE WHEN p_status = 'failed' THEN error_code END,
	    queue_job = CASE WHEN p_status IN ('failed', 'cancelled', 'completed', 'mapping', 'ready', 'undone') THEN NULL ELSE queue_job END,
	    completed_at = CASE WHEN p_status IN ('completed', 'failed', 'cancelled', 'undone') THEN now() END,
	    phase_ended_at = CASE WHEN p_status IN ('ready', 'completed', 'failed', 'cancelled', 'undone') THEN now() END
	WHERE no = p_no;
	PERFORM tidegate.hint_job(j.space, j.created_by, 'import', j.id, j.status) FROM tidegate.import_job j WHERE j.no = p_no;
	IF p_status IN ('ready', 'completed', 'failed', 'undone') THEN
		PERFORM tidegate.import_tell(p_no);
	END IF;
END $$;

-- The event of the state that an import has just reached, in the transaction of the move.
CREATE OR REPLACE FUNCTION tidegate.import_tell(p_no bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	j tidegate.import_job;
BEGIN
	SELECT * INTO j FROM tidegate.import_job WHERE no = p_no;
	PERFORM tidegate.event_emit(j.space, 'import.' || j.status, jsonb_build_object(
		'id', j.id, 'status', j.status, 'target', j.target, 'fileName', j.file_name, 'failedIn', j.failed_in,
		'error', CASE WHEN j.error_code IS NOT NULL THEN jsonb_build_object('code', j.error_code) END,
		'counts', jsonb_build_object('total', j.rows_total, 'valid', j.rows_valid, 'invalid', j.rows_invalid, 'inserted', j.rows_inserted,
			'updated', j.rows_updated, 'skipped', j.rows_skipped, 'failed', j.rows_failed, 'cancelled', j.rows_cancelled, 'reversed', j.rows_reversed,
			'kept', j.rows_kept, 'errored', j.rows_errored)));
END $$;

-- The same with the job of the queue that does the work, in one transaction. p_status NULL: the status stays.
CREATE OR REPLACE FUNCTION tidegate.import_queue(p_no bigint, p_status text, p_kind text)
RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	job tidegate.import_job;
	new_id bigint;
BEGIN
	IF p_status IS NOT NULL THEN
		PERFORM tidegate.import_move_to(p_no, p_status);
	END IF;
	SELECT * INTO job FROM tidegate.import_job WHERE no = p_no;
	new_id := tidegate.job_enqueue(p_kind, jsonb_build_object('no', p_no, 'id', job.id), job.space, p_no::text,
		CASE WHEN p_kind IN ('import.commit', 'import.undo') THEN 'import.commit:' || job.space ELSE 'import:' || p_no END);
	IF new_id IS NULL THEN
		RAISE EXCEPTION 'import % has a live job', p_no USING ERRCODE = 'TG409';
	END IF;
	UPDATE tidegate.import_job SET queue_job = new_id WHERE no = p_no;
	RETURN new_id;
END $$;

-- Empty partitions for the rows and outcomes of one import, made anew: what an earlier parse left is dropped. They are
-- made apart and then attached, which blocks nobody who reads other imports.
CREATE OR REPLACE FUNCTION tidegate.import_partitions_drop(p_no bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	EXECUTE format('DROP TABLE IF EXISTS tidegate.%I', 'import_row_' || p_no);
	EXECUTE format('DROP TABLE IF EXISTS tidegate.%I', 'import_outcome_' || p_no);
	EXECUTE format('DROP TABLE IF EXISTS tidegate.%I', 'import_undo_' || p_no);
END $$;

CREATE OR REPLACE FUNCTION tidegate.import_partitions_create(p_no bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	parent text;
	part text;
BEGIN
	PERFORM tidegate.import_partitions_drop(p_no);
	FOREACH parent IN ARRAY ARRAY['import_row', 'import_outcome'] LOOP
		part := parent || '_' || p_no;
		EXECUTE format('CREATE TABLE tidegate.%I (LIKE tidegate.%I INCLUDING DEFAULTS)', part, parent);
		-- A small sample is enough to know that values differ, and a tenth of the time.
		EXECUTE format('ALTER TABLE tidegate.%I ALTER job_no SET STATISTICS 10, ALTER row_no SET STATISTICS 10', part);
		IF parent = 'import_row' THEN
			EXECUTE format('ALTER TABLE tidegate.%I ALTER state SET STATISTICS 10, ALTER keys SET STATISTICS 10, ALTER decision SET STATISTICS 10', part);
		END IF;
		EXECUTE format('ALTER TABLE tidegate.%I ATTACH PARTITION tidegate.%I FOR VALUES IN (%s)', parent, part, p_no);
	END LOOP;
END $$;

-- The planner must know the size of what it joins, job_no included: without this it expects one row, and the duplicate
-- search takes minutes. p_part: import_row or import_outcome.
DROP FUNCTION IF EXISTS tidegate.import_analyze(bigint);
CREATE OR REPLACE FUNCTION tidegate.import_analyze(p_no bigint, p_part text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	EXECUTE format('ANALYZE tidegate.%I (%s)', p_part || '_' || p_no,
		CASE p_part WHEN 'import_row' THEN 'job_no, row_no, state, keys, decision' ELSE 'job_no, row_no, action, target_id' END);
END $$;

-- The same for the records that imports are compared with, and only for the columns that says which: somebody else may just have
-- filled a table that the planner believes empty. A sample of a few thousand records is enough.
CREATE OR REPLACE FUNCTION tidegate.records_analyze(p_schema text, p_table text, p_columns text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp SET default_statistics_target = 20 AS $$
BEGIN
	EXECUTE format('ANALYZE %I.%I (%s)', p_schema, p_table, (SELECT string_agg(quote_ident(c), ', ') FROM unnest(p_columns) AS c));
END $$;

-- A row is put right or decided by hand: p_cells with all that follows from them, or NULL; p_decide: p_decision is to be stored. The
-- request role may not write rows itself. Raises TG409 unless the import is ready and of the caller's space.
CREATE OR REPLACE FUNCTION tidegate.import_row_change(p_no bigint, p_row int, p_cells text[], p_vals text[], p_keys text[], p_issues text[],
	p_valid boolean, p_decide boolean, p_decision smallint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	was smallint;
	is_now smallint;
BEGIN
	PERFORM FROM tidegate.import_job j
	WHERE j.no = p_no AND j.space = current_setting('tidegate.space', true) AND j.status = 'ready' FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'import % is not ready', p_no USING ERRCODE = 'TG409';
	END IF;
	SELECT r.state INTO was FROM tidegate.import_row r WHERE r.job_no = p_no AND r.row_no = p_row;
	is_now := CASE WHEN p_cells IS NULL THEN was WHEN p_valid THEN 1 ELSE 2 END;
	UPDATE tidegate.import_row r
	SET cells = coalesce(p_cells, r.cells), vals = coalesce(p_vals, r.vals), keys = coalesce(p_keys, r.keys), state = is_now,
	    issues = CASE WHEN p_cells IS NULL THEN r.issues ELSE p_issues END, decision = CASE WHEN p_decide THEN p_decision ELSE r.decision END
	WHERE r.job_no = p_no AND r.row_no = p_row;
	IF is_now = 2 THEN
		DELETE FROM tidegate.import_outcome o WHERE o.job_no = p_no AND o.row_no = p_row;
	END IF;
	UPDATE tidegate.import_job j
	SET edits = j.edits + 1, preview = NULL, updated_at = now(), rows_valid = j.rows_valid + (is_now = 1)::int - (was = 1)::int,
	    rows_invalid = j.rows_invalid + (is_now = 2)::int - (was = 2)::int
	WHERE j.no = p_no;
END $$;

-- Duplicates are to be marked anew, or a preview to be made, in the background. Called before the import is locked. The advisory lock
-- keeps a review that is just ending from missing what the caller is about to change (import_review_alone).
CREATE OR REPLACE FUNCTION tidegate.import_review(p_id uuid)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	job tidegate.import_job;
BEGIN
	SELECT * INTO job FROM tidegate.import_job WHERE id = p_id;
	IF FOUND THEN
		PERFORM pg_advisory_xact_lock(hashtextextended('tidegate.import_review', job.no));
		PERFORM tidegate.job_enqueue('import.review', jsonb_build_object('no', job.no, 'id', job.id), job.space, job.no::text, 'import:' || job.no);
	END IF;
END $$;

-- A worker starts (or goes on with) a phase of an import. Raises TGLST when the lease is lost. Returns the row.
CREATE OR REPLACE FUNCTION tidegate.import_start(p_job bigint, p_token uuid, p_lease interval, p_no bigint, p_from text, p_status text)
RETURNS SETOF tidegate.import_job LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	j tidegate.import_job;
BEGIN
	PERFORM tidegate.job_beat(p_job, p_token, p_lease, NULL);
	SELECT * INTO j FROM tidegate.import_job WHERE no = p_no FOR UPDATE;
	IF NOT FOUND OR j.status NOT IN (p_from, p_status) THEN
		RETURN;
	END IF;
	IF j.status <> p_status THEN
		PERFORM tidegate.import_move_to(p_no, p_status);
	END IF;
	UPDATE tidegate.import_job
	SET started_at = coalesce(started_at, now()), phase_started_at = clock_timestamp(), phase_ended_at = NULL,
	    phase_base = CASE WHEN p_status = 'parsing' THEN rows_total WHEN p_status IN ('importing', 'undoing') THEN phase_done ELSE 0 END,
	    phase_done = CASE WHEN p_status = 'parsing' THEN rows_total WHEN p_status IN ('importing', 'undoing') THEN phase_done ELSE 0 END,
	    phase_total = CASE p_status WHEN 'parsing' THEN greatest(rows_estimated, rows_total) ELSE rows_total END
	WHERE no = p_no;
	RETURN QUERY SELECT * FROM tidegate.import_job WHERE no = p_no;
END $$;

-- The end of one batch of a parse: data, progress, lease and cancel check commit together. True: cancel was asked for.
CREATE OR REPLACE FUNCTION tidegate.import_parse_checkpoint(p_job bigint, p_token uuid, p_lease interval, p_no bigint, p_row int,
	p_valid int, p_invalid int)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	cancel boolean := tidegate.job_beat(p_job, p_token, p_lease, NULL);
BEGIN
	UPDATE tidegate.import_job
	SET parsed_to = p_row, rows_total = rows_total + p_valid + p_invalid, rows_valid = rows_valid + p_valid, rows_invalid = rows_invalid + p_invalid,
	    phase_done = rows_total + p_valid + p_invalid, phase_total = greatest(phase_total, rows_total + p_valid + p_invalid), updated_at = now()
	WHERE no = p_no;
	-- A batch that a crash of PostgreSQL takes back is parsed again; only the end of the phase must wait for the disk.
	PERFORM set_config('synchronous_commit', 'off', true);
	RETURN cancel;
END $$;

-- The same for one slice of a commit.
CREATE OR REPLACE FUNCTION tidegate.import_commit_checkpoint(p_job bigint, p_token uuid, p_lease interval, p_no bigint, p_lane int, p_row int,
	p_rows bigint, p_inserted bigint, p_updated bigint, p_skipped bigint, p_failed bigint)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	cancel boolean := tidegate.job_beat(p_job, p_token, p_lease, NULL);
BEGIN
	UPDATE tidegate.import_lane SET done_to = p_row, cursor = cursor + p_inserted WHERE job_no = p_no AND lane = p_lane;
	UPDATE tidegate.import_job
	SET phase_done = phase_done + p_rows, rows_inserted = rows_inserted + p_inserted, rows_updated = rows_updated + p_updated,
	    rows_skipped = rows_skipped + p_skipped, rows_failed = rows_failed + p_failed, updated_at = now()
	WHERE no = p_no;
	PERFORM set_config('synchronous_commit', 'off', true);
	RETURN cancel;
END $$;

-- What an import that was cancelled, or that failed for good, leaves: its rows that no commit reached end as cancelled,
-- so that the ledger adds up. Called in the transaction of the move.
CREATE OR REPLACE FUNCTION tidegate.import_stop(p_no bigint, p_status text, p_error text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	j tidegate.import_job;
BEGIN
	SELECT * INTO j FROM tidegate.import_job WHERE no = p_no FOR UPDATE;
	IF j.status IN ('failed', 'cancelled', 'completed', 'undone') THEN
		RETURN;
	END IF;
	-- before the move, which tells of it
	UPDATE tidegate.import_job
	SET error_code = p_error,
	    rows_cancelled = rows_total - rows_invalid - rows_inserted - rows_updated - rows_skipped - rows_failed
	WHERE no = p_no;
	PERFORM tidegate.import_move_to(p_no, p_status);
END $$;

-- The queue gave a job up (no attempts left, or its worker died too often): its import failed.
CREATE OR REPLACE FUNCTION tidegate.import_fail_job(p_queue_job bigint, p_error text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	import_no bigint;
BEGIN
	SELECT no INTO import_no FROM tidegate.import_job WHERE queue_job = p_queue_job;
	IF FOUND THEN
		PERFORM tidegate.import_stop(import_no, 'failed', p_error);
	END IF;
END $$;

-- An import is about to go: dead letters about it have nobody left to be retried for. In the scope of its space.
CREATE OR REPLACE FUNCTION tidegate.import_forget_jobs(p_no bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	PERFORM tidegate.job_cancel_own(j.id, true) FROM tidegate.job j
	WHERE j.kind IN ('import.inspect', 'import.parse', 'import.commit', 'import.review', 'import.undo') AND j.dedupe_key = p_no::text AND j.state = 'failed';
END $$;

REVOKE ALL ON FUNCTION tidegate.import_forget_jobs, tidegate.import_move_to, tidegate.import_tell, tidegate.import_queue, tidegate.import_partitions_drop, tidegate.import_partitions_create,
	tidegate.import_analyze, tidegate.records_analyze, tidegate.import_start, tidegate.import_parse_checkpoint,
	tidegate.import_commit_checkpoint, tidegate.import_stop, tidegate.import_fail_job, tidegate.import_row_change, tidegate.import_review FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.import_row_change, tidegate.import_review TO tidegate_api;
GRANT EXECUTE ON FUNCTION tidegate.import_forget_jobs, tidegate.import_move_to, tidegate.import_tell, tidegate.import_queue, tidegate.import_stop TO tidegate_api, tidegate_worker;
GRANT EXECUTE ON FUNCTION tidegate.import_partitions_drop, tidegate.import_partitions_create, tidegate.import_analyze, tidegate.records_analyze,
	tidegate.import_start, tidegate.import_parse_checkpoint, tidegate.import_commit_checkpoint, tidegate.import_fail_job TO tidegate_worker;
