-- Spreadsheet imports. import_job is the thing people see; import_row is what the file said, one row per source row,
-- never changed by a commit; import_outcome holds only what is not the rule (a valid row is inserted, an invalid one
-- is not): updates, skips, failures.

CREATE TABLE tidegate.import_job (
	id uuid PRIMARY KEY,
	no bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- names the partition of its rows
	space text COLLATE "C" NOT NULL,
	created_by text COLLATE "C" NOT NULL,
	object_key text COLLATE "C" NOT NULL UNIQUE,
	target text COLLATE "C" NOT NULL,
	file_name text NOT NULL,
	file_size bigint NOT NULL,
	file_hash text COLLATE "C" NOT NULL,
	status text COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'inspecting', 'mapping', 'queued', 'parsing', 'ready',
		'importing', 'completed', 'failed', 'cancelled', 'undone')),
	failed_in text COLLATE "C", -- the status in which it failed or was cancelled: where retry goes on
	queue_job bigint,           -- the job of the queue that works on it now
	format text COLLATE "C",
	encoding text COLLATE "C",
	delimiter text COLLATE "C",
	sheets jsonb NOT NULL DEFAULT '[]',
	sheet text,
	header_row int, -- 1-based record; 0: the file has no header
	overrides jsonb NOT NULL DEFAULT '{}', -- encoding, delimiter, headerRow as set by hand
	columns jsonb NOT NULL DEFAULT '[]',
	mapping int[] NOT NULL DEFAULT '{}', -- per field of the target: column index, or -1
	fingerprint text COLLATE "C",
	rows_estimated bigint NOT NULL DEFAULT 0,
	rows_total bigint NOT NULL DEFAULT 0,
	rows_valid bigint NOT NULL DEFAULT 0,
	rows_invalid bigint NOT NULL DEFAULT 0,
	rows_duplicate_in_file bigint NOT NULL DEFAULT 0,
	rows_duplicate_in_database bigint NOT NULL DEFAULT 0,
	rows_inserted bigint NOT NULL DEFAULT 0,
	rows_updated bigint NOT NULL DEFAULT 0,
	rows_skipped bigint NOT NULL DEFAULT 0,
	rows_failed bigint NOT NULL DEFAULT 0,
	rows_cancelled bigint NOT NULL DEFAULT 0,
	parsed_to int NOT NULL DEFAULT 0,    -- checkpoint of the parse: last record whose row is committed
	parsed boolean NOT NULL DEFAULT false,
	planned boolean NOT NULL DEFAULT false, -- duplicates are decided: a resumed commit must not decide anew
	assignment jsonb,
	duplicates jsonb,
	defaults jsonb,
	phase_started_at timestamptz,
	phase_base bigint NOT NULL DEFAULT 0, -- rows already done when the phase was (re)started, for the rate
	phase_done bigint NOT NULL DEFAULT 0,
	phase_total bigint NOT NULL DEFAULT 0,
	phase_ended_at timestamptz,
	warnings jsonb NOT NULL DEFAULT '[]',
	error_code text COLLATE "C",
	report_key text COLLATE "C", -- object of the error report, made when a parse or a commit ends
	report_rows bigint NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL DEFAULT now(),
	started_at timestamptz,
	completed_at timestamptz,
	updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX import_job_list_idx ON tidegate.import_job (space, created_at DESC, id DESC);
CREATE INDEX import_job_hash_idx ON tidegate.import_job (space, file_hash);

CREATE TABLE tidegate.import_row (
	job_no bigint NOT NULL,
	row_no int NOT NULL,
	row_id uuid NOT NULL,    -- version 7, made by the parse; the id of what is inserted for this row
	state smallint NOT NULL, -- 1 valid, 2 invalid
	keys text[] NOT NULL,    -- what duplicates are found by, one per dedupe key of the target; before the large columns
	cells text[] NOT NULL,   -- as they stood in the file
	vals text[] NOT NULL,    -- normalised, one per field of the target, NULL: nothing
	issues text[],           -- field:code, errors and warnings
	PRIMARY KEY (job_no, row_no)
) PARTITION BY LIST (job_no);

CREATE TABLE tidegate.import_outcome (
	job_no bigint NOT NULL,
	row_no int NOT NULL,
	action smallint NOT NULL, -- 2 update, 3 skip, 5 failed, 7 marked at the end of the parse (1 insert, 4 invalid and 6 cancelled follow from row and lane: not stored)
	target_id uuid,           -- of an update or a skip: the existing record
	reason text COLLATE "C",
	PRIMARY KEY (job_no, row_no)
) PARTITION BY LIST (job_no);

-- A commit is done by several processes at once, each with a stretch of the rows of its own: its checkpoint.
CREATE TABLE tidegate.import_lane (
	job_no bigint NOT NULL REFERENCES tidegate.import_job (no) ON DELETE CASCADE,
	lane smallint NOT NULL,
	done_to int NOT NULL, -- last row that is committed
	last_row int NOT NULL,
	PRIMARY KEY (job_no, lane)
);

-- Which moves the state machine of an import has.
CREATE TABLE tidegate.import_move (
	from_status text COLLATE "C" NOT NULL,
	to_status text COLLATE "C" NOT NULL,
	PRIMARY KEY (from_status, to_status)
);
INSERT INTO tidegate.import_move VALUES
	('pending', 'inspecting'), ('inspecting', 'mapping'), ('mapping', 'inspecting'), ('mapping', 'queued'), ('ready', 'queued'),
	('ready', 'inspecting'), ('ready', 'mapping'), ('queued', 'parsing'), ('parsing', 'ready'), ('ready', 'importing'), ('importing', 'completed'),
	('pending', 'failed'), ('inspecting', 'failed'), ('queued', 'failed'), ('parsing', 'failed'), ('importing', 'failed'),
	('pending', 'cancelled'), ('inspecting', 'cancelled'), ('mapping', 'cancelled'), ('queued', 'cancelled'), ('parsing', 'cancelled'),
	('ready', 'cancelled'), ('importing', 'cancelled'),
	('failed', 'inspecting'), ('failed', 'queued'), ('failed', 'importing'), ('failed', 'mapping'),
	('cancelled', 'inspecting'), ('cancelled', 'queued'), ('cancelled', 'importing'), ('cancelled', 'mapping'), ('cancelled', 'ready');

-- Mappings that were set by hand and saved; they come back by the fingerprint of the headings.
CREATE TABLE tidegate.import_mapping (
	space text COLLATE "C" NOT NULL,
	target text COLLATE "C" NOT NULL,
	fingerprint text COLLATE "C" NOT NULL,
	name text NOT NULL,
	mapping int[] NOT NULL,
	created_by text COLLATE "C" NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (space, target, fingerprint)
);

ALTER TABLE tidegate.import_job ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.import_lane ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON tidegate.import_lane TO tidegate_api
	USING (EXISTS (SELECT FROM tidegate.import_job j WHERE j.no = job_no AND j.space = current_setting('tidegate.space', true)));
CREATE POLICY worker ON tidegate.import_lane TO tidegate_worker USING (true);
ALTER TABLE tidegate.import_mapping ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON tidegate.import_job TO tidegate_api USING (space = current_setting('tidegate.space', true));
CREATE POLICY api ON tidegate.import_mapping TO tidegate_api USING (space = current_setting('tidegate.space', true));
CREATE POLICY worker ON tidegate.import_job TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.import_mapping TO tidegate_worker USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON tidegate.import_job, tidegate.import_mapping TO tidegate_api, tidegate_worker;

-- COPY cannot write into a table with row-level security, so the wall around rows is a pair of views: the request role
-- has no right on the tables, and sees through the views only the rows of its space's imports.
CREATE VIEW tidegate.import_row_of_space WITH (security_barrier) AS
	SELECT r.* FROM tidegate.import_row r
	WHERE EXISTS (SELECT FROM tidegate.import_job j WHERE j.no = r.job_no AND j.space = current_setting('tidegate.space', true));
CREATE VIEW tidegate.import_outcome_of_space WITH (security_barrier) AS
	SELECT o.* FROM tidegate.import_outcome o
	WHERE EXISTS (SELECT FROM tidegate.import_job j WHERE j.no = o.job_no AND j.space = current_setting('tidegate.space', true));
GRANT SELECT ON tidegate.import_row_of_space, tidegate.import_outcome_of_space TO tidegate_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON tidegate.import_row, tidegate.import_outcome TO tidegate_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON tidegate.import_lane TO tidegate_worker;
GRANT SELECT ON tidegate.import_lane TO tidegate_api;
GRANT SELECT ON tidegate.import_move TO tidegate_api, tidegate_worker;
