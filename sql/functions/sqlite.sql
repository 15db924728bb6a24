-- Imports of SQLite databases: states, the mirror and its partitions, calls of parsers that run elsewhere. What profiles make of a
-- mirror: sqlite_profiles.sql and the functions they name.
-- Whoever needs both locks the live job of the queue first (job_beat, job_cancel_own, job_end), then the batch.

-- The only way the status of a batch changes. The same again is no change; failed comes from anything but completed, and leads back
-- to queued alone. Raises TG409 otherwise.
CREATE OR REPLACE FUNCTION tidegate.sqlite_move(p_no bigint, p_status text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	old_status text;
BEGIN
	SELECT status INTO old_status FROM tidegate.sqlite_batch WHERE no = p_no FOR UPDATE;
	IF old_status = p_status THEN
		RETURN;
	END IF;
	IF (old_status, p_status) NOT IN (('queued', 'parsing'), ('queued', 'importing'), ('parsing', 'importing'), ('importing', 'completed'),
		('queued', 'failed'), ('parsing', 'failed'), ('importing', 'failed'), ('failed', 'queued')) THEN
		RAISE EXCEPTION 'a batch cannot go from % to %', old_status, p_status USING ERRCODE = 'TG409';
	END IF;
	UPDATE tidegate.sqlite_batch
	SET status = p_status, heard_at = now(), asked_at = CASE p_status WHEN 'queued' THEN now() ELSE asked_at END, started_at = CASE p_status WHEN 'queued' THEN NULL ELSE coalesce(started_at, now()) END,
	    completed_at = CASE WHEN p_status IN ('completed', 'failed') THEN clock_timestamp() END,
	    queue_job = CASE WHEN p_status NOT IN ('completed', 'failed') THEN queue_job END,
	    error_code = CASE p_status WHEN 'failed' THEN error_code END, error_detail = CASE p_status WHEN 'failed' THEN error_detail END
	WHERE no = p_no;
	PERFORM tidegate.hint_job(b.space, b.owner, 'sqlite', b.id, b.status) FROM tidegate.sqlite_batch b WHERE b.no = p_no;
	IF p_status IN ('completed', 'failed') THEN
		PERFORM tidegate.event_emit(b.space, 'sqlite.' || p_status, jsonb_build_object('id', b.id, 'batchId', b.id, 'status', b.status, 'profile', b.profile,
			'userId', b.owner, 'fileName', b.file_name, 'error', CASE WHEN b.error_code IS NOT NULL THEN jsonb_build_object('code', b.error_code) END,
			'counts', b.counts))
		FROM tidegate.sqlite_batch b WHERE b.no = p_no;
	END IF;
END $$;

-- The job that imports a batch, in the caller's transaction. One at a time of each owner: the younger file replaces the older.
CREATE OR REPLACE FUNCTION tidegate.sqlite_queue(p_no bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	b tidegate.sqlite_batch;
	new_id bigint;
BEGIN
	SELECT * INTO b FROM tidegate.sqlite_batch WHERE no = p_no;
	new_id := tidegate.job_enqueue('sqlite.import', jsonb_build_object('no', p_no, 'id', b.id), b.space, p_no::text,
		'sqlite:' || length(b.space) || ':' || b.space || ':' || b.owner);
	IF new_id IS NULL THEN
		RAISE EXCEPTION 'batch % has a live job', p_no USING ERRCODE = 'TG409';
	END IF;
	UPDATE tidegate.sqlite_batch SET queue_job = new_id WHERE no = p_no;
END $$;

-- A batch of the caller's scope, if there is one, ends as failed, unless it has ended. What its parse has left goes.
CREATE OR REPLACE FUNCTION tidegate.sqlite_fail(p_no bigint, p_code text, p_detail jsonb)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	PERFORM FROM tidegate.sqlite_batch
	WHERE no = p_no AND status NOT IN ('completed', 'failed') AND coalesce(current_setting('tidegate.space', true), '') IN ('', space)
	  AND coalesce(current_setting('tidegate.sub', true), '') IN ('', owner) FOR UPDATE;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	UPDATE tidegate.sqlite_batch SET error_code = p_code, error_detail = coalesce(p_detail, error_detail) WHERE no = p_no;
	PERFORM tidegate.sqlite_move(p_no, 'failed');
	PERFORM tidegate.sqlite_reset(p_no);
END $$;

CREATE OR REPLACE FUNCTION tidegate.sqlite_fail_job(p_queue_job bigint, p_code text)
RETURNS void LANGUAGE sql SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT tidegate.sqlite_fail(no, p_code, NULL) FROM tidegate.sqlite_batch WHERE queue_job = p_queue_job;
$$;

-- Nothing of a parse is left: the next one begins anew.
CREATE OR REPLACE FUNCTION tidegate.sqlite_reset(p_no bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	PERFORM tidegate.sqlite_remirror(p_no);
	DELETE FROM tidegate.sqlite_chunk WHERE batch_no = p_no;
	UPDATE tidegate.sqlite_batch SET counts = '{}', warnings = '[]', parser_version = NULL WHERE no = p_no;
END $$;

-- No row of a batch is left. To drop a partition locks all of them, and waits for whoever writes into any: a worker writes on two
-- connections at a time, so its second one would wait behind us while we wait for its first. What cannot be dropped at once is emptied,
-- which locks that partition alone, and goes with the batch (sqlite_forget).
CREATE OR REPLACE FUNCTION tidegate.sqlite_empty(p_no bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	part text := 'sqlite_row_' || p_no;
	timeout text := current_setting('lock_timeout');
BEGIN
	BEGIN
		PERFORM set_config('lock_timeout', '100', true);
		EXECUTE format('DROP TABLE IF EXISTS tidegate.%I', part);
		PERFORM set_config('lock_timeout', timeout, true);
	EXCEPTION WHEN lock_not_available THEN -- takes the setting back, too
		EXECUTE format('TRUNCATE tidegate.%I', part);
		EXECUTE format('DROP INDEX IF EXISTS tidegate.%I', part || '_rows');
	END;
END $$;

-- The mirror alone begins anew: what a parser elsewhere has sent stays.
CREATE OR REPLACE FUNCTION tidegate.sqlite_remirror(p_no bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	PERFORM tidegate.sqlite_empty(p_no);
	DELETE FROM tidegate.sqlite_table WHERE batch_no = p_no;
	UPDATE tidegate.sqlite_batch SET table_at = 0, row_at = 0, mirrored = false, rows_total = 0, rows_done = 0, format = '{}' WHERE no = p_no;
END $$;

-- The worker takes the batch. No row: it is in no state for that (ended meanwhile).
CREATE OR REPLACE FUNCTION tidegate.sqlite_begin(p_job bigint, p_token uuid, p_lease interval, p_no bigint)
RETURNS SETOF tidegate.sqlite_batch LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	b tidegate.sqlite_batch;
BEGIN
	PERFORM tidegate.job_beat(p_job, p_token, p_lease, NULL);
	SELECT * INTO b FROM tidegate.sqlite_batch WHERE no = p_no AND queue_job = p_job AND status NOT IN ('completed', 'failed') FOR UPDATE;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF b.status = 'queued' THEN
		PERFORM tidegate.sqlite_move(p_no, 'parsing');
	END IF;
	RETURN QUERY SELECT * FROM tidegate.sqlite_batch WHERE no = p_no;
END $$;

-- ---------------------------------------------------------------------------------------------------------------------- mirror

-- What the reader says of the file before its first row: tables in the order of their rows, cells in the order of columns. A parse
-- that goes on after a checkpoint finds them there.
CREATE OR REPLACE FUNCTION tidegate.sqlite_tables(p_no bigint, p_meta jsonb)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	part text := 'sqlite_row_' || p_no;
BEGIN
	IF EXISTS (SELECT FROM tidegate.sqlite_table WHERE batch_no = p_no) THEN
		RETURN;
	END IF;
	INSERT INTO tidegate.sqlite_table (batch_no, table_no, name, key, columns, rows_expected)
	SELECT p_no, t.place - 1, t.item ->> 'name', t.item ->> 'key',
	       (SELECT coalesce(jsonb_agg(c.item - 'hidden' ORDER BY c.place), '[]') FROM jsonb_array_elements(t.item -> 'columns') WITH ORDINALITY AS c (item, place)
	        WHERE coalesce((c.item ->> 'hidden')::int, 0) NOT IN (2, 3)),
	       coalesce((t.item ->> 'estimatedRows')::bigint, 0)
	FROM jsonb_array_elements(p_meta -> 'tables') WITH ORDINALITY AS t (item, place);
	UPDATE tidegate.sqlite_batch
	SET format = p_meta - '{tables,plist}'::text[],
	    rows_total = (SELECT coalesce(sum(rows_expected), 0) FROM tidegate.sqlite_table WHERE batch_no = p_no)
	WHERE no = p_no;
	IF to_regclass('tidegate.' || quote_ident(part)) IS NOT NULL THEN
		RETURN; -- emptied
	END IF;
	EXECUTE format('CREATE TABLE tidegate.%I (LIKE tidegate.sqlite_row INCLUDING DEFAULTS) WITH (autovacuum_enabled = false)', part);
	EXECUTE format('ALTER TABLE tidegate.sqlite_row ATTACH PARTITION tidegate.%I FOR VALUES IN (%s)', part, p_no);
END $$;

-- In the transaction of the rows it tells of: lease, cancel check, checkpoint. p_rows: rows of the table so far; p_added: since the
-- checkpoint before. Losing it costs a batch that is read again, so its commit does not wait for the disk.
CREATE OR REPLACE FUNCTION tidegate.sqlite_checkpoint(p_job bigint, p_token uuid, p_lease interval, p_no bigint, p_table int, p_row bigint, p_rows bigint,
	p_left_out bigint, p_done boolean, p_added bigint)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	cancel boolean := tidegate.job_beat(p_job, p_token, p_lease, NULL);
BEGIN
	UPDATE tidegate.sqlite_table SET rows = p_rows, left_out = p_left_out, done = p_done WHERE batch_no = p_no AND table_no = p_table;
	UPDATE tidegate.sqlite_table SET done = true WHERE batch_no = p_no AND table_no < p_table AND NOT done;
	UPDATE tidegate.sqlite_batch SET table_at = p_table, row_at = p_row, rows_done = rows_done + p_added WHERE no = p_no;
	PERFORM set_config('synchronous_commit', 'off', true);
	RETURN cancel;
END $$;

-- The mirror is whole: are there as many rows as the reader sent, table by table? False: no. p_left_out: of each table, too large.
CREATE OR REPLACE FUNCTION tidegate.sqlite_mirrored(p_no bigint, p_rows bigint)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	part text := 'sqlite_row_' || p_no;
	good boolean;
BEGIN
	EXECUTE format('SELECT NOT EXISTS (SELECT FROM (SELECT table_no, rows FROM tidegate.sqlite_table WHERE batch_no = $1 AND rows > 0) a
		FULL JOIN (SELECT table_no, count(*) AS rows FROM tidegate.%I GROUP BY table_no) b USING (table_no) WHERE a.rows IS DISTINCT FROM b.rows)', part)
	INTO good USING p_no;
	IF NOT good OR p_rows <> (SELECT coalesce(sum(rows), 0) FROM tidegate.sqlite_table WHERE batch_no = p_no) THEN
		RETURN false;
	END IF;
	EXECUTE format('CREATE INDEX %I ON tidegate.%I (table_no, row_no)', part || '_rows', part);
	EXECUTE format('ANALYZE tidegate.%I (table_no, row_no)', part);
	UPDATE tidegate.sqlite_table SET done = true WHERE batch_no = p_no;
	UPDATE tidegate.sqlite_batch SET mirrored = true, rows_total = p_rows, rows_done = p_rows WHERE no = p_no;
	RETURN true;
END $$;

-- ---------------------------------------------------------------------------------------------------------------------- result

-- A batch is complete, with what sqlite_refine has just found, and its owner's data of this profile from now on, unless that is a batch
-- which was asked for later and was faster. In the same transaction.
CREATE OR REPLACE FUNCTION tidegate.sqlite_complete(p_no bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	b tidegate.sqlite_batch;
BEGIN
	UPDATE tidegate.sqlite_chunk SET body = '' WHERE batch_no = p_no; -- the parser may not have heard that its last chunk came
	UPDATE tidegate.sqlite_batch x SET counts = r.counts, warnings = r.warnings FROM src_result r WHERE x.no = p_no;
	SELECT * INTO b FROM tidegate.sqlite_batch WHERE no = p_no;
	PERFORM FROM tidegate.dataset WHERE space = b.space AND owner = b.owner AND profile = b.profile FOR UPDATE;
	IF NOT EXISTS (SELECT FROM tidegate.dataset d JOIN tidegate.sqlite_batch now ON now.id = d.batch_id
		WHERE d.space = b.space AND d.owner = b.owner AND d.profile = b.profile AND now.asked_at > b.asked_at) THEN
		PERFORM tidegate.dataset_switch(b.space, b.owner, b.profile, b.id);
	ELSE
		PERFORM tidegate.dataset_show(b.profile, b.space, b.id, false);
	END IF;
	PERFORM tidegate.sqlite_move(p_no, 'completed');
END $$;

-- Whose data a batch is from now on; what it replaces stays for a while, out of sight of devices that sync (dataset_show).
CREATE OR REPLACE FUNCTION tidegate.dataset_switch(p_space text, p_owner text, p_profile text, p_batch uuid)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	old_id uuid;
BEGIN
	INSERT INTO tidegate.dataset (space, owner, profile, batch_id) VALUES (p_space, p_owner, p_profile, p_batch) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		SELECT batch_id INTO old_id FROM tidegate.dataset WHERE space = p_space AND owner = p_owner AND profile = p_profile FOR UPDATE;
		IF old_id <> p_batch THEN
			UPDATE tidegate.dataset SET previous_id = old_id, batch_id = p_batch, switched_at = now()
			WHERE space = p_space AND owner = p_owner AND profile = p_profile;
			UPDATE tidegate.sqlite_batch SET replaced_at = now() WHERE id = old_id;
			PERFORM tidegate.dataset_show(p_profile, p_space, old_id, false);
			PERFORM tidegate.dataset_show(p_profile, p_space, p_batch, true);
		END IF;
	END IF;
	UPDATE tidegate.sqlite_batch SET replaced_at = NULL WHERE id = p_batch;
	PERFORM tidegate.hint(p_profile || ':space:' || p_space, jsonb_build_object('app', p_profile, 'device', 'server'))
		WHERE EXISTS (SELECT FROM tidegate.dataset_tables(p_profile));
END $$;

-- Makes a completed batch its owner's data (again). NULL: there is no such batch; false: it is not complete, or its rows are gone. Looks without
-- a lock and again under one: whoever switches locks the dataset first, then batches. What is false must be rolled back.
CREATE OR REPLACE FUNCTION tidegate.sqlite_activate(p_id uuid)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	b tidegate.sqlite_batch;
BEGIN
	SELECT * INTO b FROM tidegate.sqlite_batch WHERE id = p_id;
	IF b.id IS NULL OR b.status <> 'completed' THEN
		RETURN CASE WHEN b.id IS NOT NULL THEN false END;
	END IF;
	PERFORM tidegate.dataset_switch(b.space, b.owner, b.profile, b.id);
	RETURN EXISTS (SELECT FROM tidegate.sqlite_batch WHERE id = p_id AND rows_gone_at IS NULL);
END $$;

-- The refined rows of a batch go from every table of its app that has a dataset_id, and so does its mirror. Devices that have not heard that
-- they are out of sight start anew.
CREATE OR REPLACE FUNCTION tidegate.sqlite_forget(p_no bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	b tidegate.sqlite_batch;
BEGIN
	UPDATE tidegate.sqlite_batch SET rows_gone_at = now() WHERE no = p_no RETURNING * INTO b;
	PERFORM tidegate.dataset_remove(b.profile, b.space, b.id);
	PERFORM set_config('lock_timeout', '1000', true); -- what a worker waits for us at most; another run comes
	EXECUTE format('DROP TABLE IF EXISTS tidegate.%I', 'sqlite_row_' || p_no);
	DELETE FROM tidegate.sqlite_chunk WHERE batch_no = p_no;
	UPDATE tidegate.dataset SET previous_id = NULL WHERE previous_id = b.id;
END $$;

-- ---------------------------------------------------------------------------------------------------------------------- reading

-- Rows of a mirrored table after one, at most p_limit and, but for the first, 2 MB of them.
CREATE OR REPLACE FUNCTION tidegate.sqlite_raw(p_no bigint, p_table int, p_after bigint, p_limit int)
RETURNS TABLE (row_no bigint, key bigint, classes text, cells text[]) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	r record;
	size bigint := 0;
BEGIN
	FOR r IN SELECT x.row_no, x.key, x.classes, x.cells FROM tidegate.sqlite_row_of_owner x
		WHERE x.batch_no = p_no AND x.table_no = p_table AND x.row_no > p_after ORDER BY x.row_no LIMIT p_limit LOOP
		size := size + octet_length(r.cells::text);
		EXIT WHEN size > 2000000 AND row_no IS NOT NULL;
		row_no := r.row_no;
		key := r.key;
		classes := r.classes;
		cells := r.cells;
		RETURN NEXT;
	END LOOP;
END $$;

-- Has an app a table of this name? Its refined tables have a dataset_id; what is the space's stands in tables without one.
CREATE OR REPLACE FUNCTION tidegate.sqlite_data_known(p_app text, p_table text)
RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	RETURN tidegate.sqlite_profile(p_app) IS NOT NULL AND EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = p_app AND c.relname = p_table AND c.relkind = 'r');
END $$;

-- Refined rows of a batch by id, after one, without what is the same in all of them. Row-level security applies.
CREATE OR REPLACE FUNCTION tidegate.sqlite_data(p_batch uuid, p_table text, p_after uuid, p_limit int)
RETURNS TABLE (id uuid, item jsonb) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	b tidegate.sqlite_batch;
	found text[];
BEGIN
	SELECT * INTO b FROM tidegate.sqlite_batch x WHERE x.id = p_batch;
	IF b.id IS NULL OR NOT tidegate.sqlite_data_known(b.profile, p_table) THEN
		RETURN;
	END IF;
	found := ARRAY(SELECT c.column_name FROM information_schema.columns c WHERE c.table_schema = b.profile AND c.table_name = p_table
		AND c.column_name IN ('dataset_id', 'sync_scope'));
	RETURN QUERY EXECUTE format('SELECT t.id, to_jsonb(t) - ''{space,dataset_id,sync_scope,last_modified_at,device_id,deleted,server_seq}''::text[] FROM %I.%I t
		WHERE t.%I = $1 AND ($2::uuid IS NULL OR t.id > $2) %s %s ORDER BY t.id LIMIT $3', b.profile, p_table,
		CASE WHEN 'sync_scope' = ANY (found) THEN 'sync_scope' ELSE 'space' END,
		CASE WHEN 'dataset_id' = ANY (found) THEN 'AND t.dataset_id = $4' ELSE 'AND $4 IS NOT NULL' END,
		CASE WHEN NOT 'sync_scope' = ANY (found) THEN ''
		WHEN NOT 'dataset_id' = ANY (found) OR EXISTS (SELECT FROM tidegate.dataset d WHERE d.batch_id = b.id) THEN 'AND NOT t.deleted'
		ELSE format('AND t.deleted AND t.device_id = %L', tidegate.dataset_replaced()) END) USING b.space, p_after, p_limit, b.id;
END $$;

-- Whose batch it is, for an administrator of its space, who sees to everybody's jobs.
CREATE OR REPLACE FUNCTION tidegate.sqlite_owner(p_id uuid)
RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT owner FROM tidegate.sqlite_batch WHERE id = p_id AND space = current_setting('tidegate.space', true) AND current_setting('tidegate.role', true) = 'admin';
$$;

-- --------------------------------------------------------------------------------------------------------- parsers elsewhere

-- Takes the nonce of a signed call, and finds whose the batch is, or else whose the file is. fresh false: the nonce was taken before.
-- A call names nobody's scope, so this runs with the owner's rights; every use of it spends a verified nonce.
CREATE OR REPLACE FUNCTION tidegate.sqlite_call_enter(p_nonce text, p_keep interval, p_batch uuid, p_object text)
RETURNS TABLE (fresh boolean, space text, owner text, batch_no bigint) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	is_fresh boolean;
BEGIN
	INSERT INTO tidegate.signed_call (jti, expires_at) VALUES (p_nonce, now() + p_keep) ON CONFLICT DO NOTHING;
	is_fresh := FOUND;
	RETURN QUERY SELECT is_fresh, b.space, b.owner, b.no FROM tidegate.sqlite_batch b WHERE b.id = p_batch;
	IF NOT FOUND THEN
		RETURN QUERY SELECT is_fresh, u.space, u.owner, NULL::bigint FROM tidegate.upload u WHERE u.object_key = p_object;
	END IF;
	IF NOT FOUND THEN
		RETURN QUERY SELECT is_fresh, NULL::text, NULL::text, NULL::bigint;
	END IF;
END $$;

-- A chunk of a snapshot, in the scope of its batch. Its numbers count from 0 without a gap; the same chunk again changes nothing. Returns
-- stored, repeated, gap, different (another content under the same number), after_last, wrong_state.
CREATE OR REPLACE FUNCTION tidegate.sqlite_chunk_put(p_no bigint, p_chunk int, p_sha256 text, p_last boolean, p_body text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	b tidegate.sqlite_batch;
	old tidegate.sqlite_chunk;
	count int;
BEGIN
	SELECT * INTO b FROM tidegate.sqlite_batch x
	WHERE x.no = p_no AND x.space = current_setting('tidegate.space', true) AND x.owner = current_setting('tidegate.sub', true) FOR UPDATE;
	SELECT * INTO old FROM tidegate.sqlite_chunk WHERE batch_no = p_no AND chunk_no = p_chunk;
	IF FOUND THEN
		RETURN CASE WHEN old.sha256 = p_sha256 AND old.last = p_last THEN 'repeated' ELSE 'different' END;
	END IF;
	IF b.id IS NULL OR b.parser <> 'external' OR b.status NOT IN ('queued', 'parsing', 'importing') THEN
		RETURN 'wrong_state';
	END IF;
	SELECT count(*) INTO count FROM tidegate.sqlite_chunk WHERE batch_no = p_no;
	IF EXISTS (SELECT FROM tidegate.sqlite_chunk WHERE batch_no = p_no AND last) THEN
		RETURN 'after_last';
	END IF;
	IF count <> p_chunk THEN
		RETURN 'gap';
	END IF;
	INSERT INTO tidegate.sqlite_chunk VALUES (p_no, p_chunk, p_sha256, p_last, p_body);
	RETURN 'stored';
END $$;

-- Parsers elsewhere that have not been heard of for so long: their batches fail. Returns how many.
CREATE OR REPLACE FUNCTION tidegate.sqlite_silent(p_after interval)
RETURNS bigint LANGUAGE sql SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT count(tidegate.sqlite_fail(no, 'parser_silent', NULL)) FROM (SELECT no FROM tidegate.sqlite_batch
		WHERE parser = 'external' AND status IN ('queued', 'parsing', 'importing') AND queue_job IS NULL AND heard_at < now() - p_after FOR UPDATE SKIP LOCKED) silent;
$$;

REVOKE ALL ON FUNCTION tidegate.sqlite_move, tidegate.sqlite_queue, tidegate.sqlite_fail, tidegate.sqlite_fail_job, tidegate.sqlite_reset, tidegate.sqlite_empty, tidegate.sqlite_remirror, tidegate.sqlite_begin,
	tidegate.sqlite_owner, tidegate.sqlite_raw, tidegate.sqlite_data, tidegate.sqlite_data_known, tidegate.sqlite_tables, tidegate.sqlite_checkpoint, tidegate.sqlite_mirrored, tidegate.sqlite_complete, tidegate.dataset_switch, tidegate.sqlite_activate, tidegate.sqlite_forget,
	tidegate.sqlite_call_enter, tidegate.sqlite_chunk_put, tidegate.sqlite_silent FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.sqlite_move, tidegate.sqlite_queue, tidegate.dataset_switch, tidegate.sqlite_activate, tidegate.sqlite_call_enter, tidegate.sqlite_chunk_put,
	tidegate.sqlite_fail, tidegate.sqlite_owner, tidegate.sqlite_raw, tidegate.sqlite_data, tidegate.sqlite_data_known TO tidegate_api;
GRANT EXECUTE ON FUNCTION tidegate.sqlite_move, tidegate.sqlite_queue, tidegate.sqlite_fail, tidegate.sqlite_fail_job, tidegate.sqlite_reset, tidegate.sqlite_remirror, tidegate.sqlite_begin,
	tidegate.sqlite_tables, tidegate.sqlite_checkpoint, tidegate.sqlite_mirrored, tidegate.sqlite_complete, tidegate.dataset_switch, tidegate.sqlite_forget,
	tidegate.sqlite_silent TO tidegate_worker;
