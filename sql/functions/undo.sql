-- Undo of an import: its partition of exceptions and its checkpoint.

-- An empty partition for the exceptions of one undo. Made apart and then attached, which blocks nobody who reads others.
CREATE OR REPLACE FUNCTION tidegate.import_undo_partition(p_no bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	part text := 'import_undo_' || p_no;
BEGIN
	EXECUTE format('DROP TABLE IF EXISTS tidegate.%I', part);
	EXECUTE format('CREATE TABLE tidegate.%I (LIKE tidegate.import_undo INCLUDING DEFAULTS)', part);
	EXECUTE format('ALTER TABLE tidegate.import_undo ATTACH PARTITION tidegate.%I FOR VALUES IN (%s)', part, p_no);
END $$;

-- The end of one slice of an undo: what was taken back, progress, lease and cancel check commit together. True: cancel was
-- asked for.
CREATE OR REPLACE FUNCTION tidegate.import_undo_checkpoint(p_job bigint, p_token uuid, p_lease interval, p_no bigint, p_lane int, p_row int,
	p_rows bigint, p_reversed bigint, p_kept bigint, p_errored bigint)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	cancel boolean := tidegate.job_beat(p_job, p_token, p_lease, NULL);
BEGIN
	UPDATE tidegate.import_lane SET done_to = p_row WHERE job_no = p_no AND lane = p_lane;
	UPDATE tidegate.import_job
	SET phase_done = phase_done + p_rows, rows_reversed = rows_reversed + p_reversed, rows_kept = rows_kept + p_kept,
	    rows_errored = rows_errored + p_errored, updated_at = now()
	WHERE no = p_no;
	-- A slice that a crash of PostgreSQL takes back is done again; only the end must wait for the disk.
	PERFORM set_config('synchronous_commit', 'off', true);
	RETURN cancel;
END $$;

REVOKE ALL ON FUNCTION tidegate.import_undo_partition, tidegate.import_undo_checkpoint FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.import_undo_partition, tidegate.import_undo_checkpoint TO tidegate_worker;
