-- Imports of SQLite databases. sqlite_batch is what people see; sqlite_row is the lossless mirror, one row per source row, never
-- changed after the parse; the refined rows stand in the tables of an app, under the id of their batch (dataset_id).

CREATE TABLE tidegate.sqlite_batch (
	id uuid PRIMARY KEY,
	no bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- names the partition of its rows
	space text COLLATE "C" NOT NULL,
	owner text COLLATE "C" NOT NULL,
	object_key text COLLATE "C" NOT NULL,
	file_name text NOT NULL,
	file_size bigint NOT NULL,
	file_hash text COLLATE "C",
	profile text COLLATE "C" NOT NULL CHECK (profile IN ('bowling', 'venue', 'mirror')),
	timezone_offset int CHECK (timezone_offset BETWEEN -840 AND 840), -- minutes, UTC minus local time, as getTimezoneOffset of a browser has it
	parser text COLLATE "C" NOT NULL CHECK (parser IN ('internal', 'external')),
	parser_version text,
	idempotency_key text COLLATE "C" CHECK (length(idempotency_key) BETWEEN 1 AND 255),
	status text COLLATE "C" NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'parsing', 'importing', 'completed', 'failed')),
	queue_job bigint,
	format jsonb NOT NULL DEFAULT '{}', -- what was detected: container, encoding, user version …
	table_at int NOT NULL DEFAULT 0,    -- checkpoint of the mirror: all tables before this one and
	row_at bigint NOT NULL DEFAULT 0,   -- its rows up to this one are committed
	mirrored boolean NOT NULL DEFAULT false,
	rows_total bigint NOT NULL DEFAULT 0, -- as the reader expects them, then as they are
	rows_done bigint NOT NULL DEFAULT 0,
	counts jsonb NOT NULL DEFAULT '{}',
	warnings jsonb NOT NULL DEFAULT '[]',
	error_code text COLLATE "C",
	error_detail jsonb,
	created_at timestamptz NOT NULL DEFAULT now(),
	asked_at timestamptz NOT NULL DEFAULT now(), -- created, or tried again
	started_at timestamptz,
	heard_at timestamptz NOT NULL DEFAULT now(), -- of a parser elsewhere: its last call
	completed_at timestamptz,
	replaced_at timestamptz, -- when another batch became its owner's data
	rows_gone_at timestamptz -- its mirror and refined rows were removed: it is history alone
);
-- A file may be tried again only after it failed.
CREATE UNIQUE INDEX sqlite_batch_object_idx ON tidegate.sqlite_batch (object_key) WHERE status <> 'failed';
CREATE UNIQUE INDEX sqlite_batch_idempotency_idx ON tidegate.sqlite_batch (space, owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX sqlite_batch_key_idx ON tidegate.sqlite_batch (object_key);
CREATE INDEX sqlite_batch_list_idx ON tidegate.sqlite_batch (space, owner, created_at DESC, id DESC);
CREATE INDEX sqlite_batch_ended_idx ON tidegate.sqlite_batch (coalesce(replaced_at, completed_at)) WHERE rows_gone_at IS NULL;
CREATE INDEX sqlite_batch_silent_idx ON tidegate.sqlite_batch (heard_at) WHERE parser = 'external' AND queue_job IS NULL AND completed_at IS NULL;

-- The tables of a batch's file that are mirrored.
CREATE TABLE tidegate.sqlite_table (
	batch_no bigint NOT NULL REFERENCES tidegate.sqlite_batch (no) ON DELETE CASCADE,
	table_no int NOT NULL, -- position in the file's schema
	name text NOT NULL,
	key text COLLATE "C" NOT NULL, -- rowid, primary_key (without rowid), hidden_rowid
	columns jsonb NOT NULL,        -- in the order of cells: name, type, primaryKey, notNull, default
	rows_expected bigint NOT NULL DEFAULT 0,
	rows bigint NOT NULL DEFAULT 0,
	left_out bigint NOT NULL DEFAULT 0, -- larger than a frame
	done boolean NOT NULL DEFAULT false,
	PRIMARY KEY (batch_no, table_no)
);

-- classes has a letter per cell: i integer, r real, t text, b blob, n null, x text that PostgreSQL cannot hold (NUL, or no UTF-8),
-- u text of an UTF-16 file that is not well-formed. cells has decimal integers, the shortest decimal that gives a real back, the
-- text itself; blobs, x and u in hexadecimal.
CREATE TABLE tidegate.sqlite_row (
	batch_no bigint NOT NULL,
	key bigint NOT NULL, -- the rowid, 0 where there is none
	row_no bigint NOT NULL,
	table_no int NOT NULL,
	classes text COLLATE "C" NOT NULL,
	cells text[] NOT NULL
) PARTITION BY LIST (batch_no);

-- What a parser elsewhere has sent, until it is mirrored.
CREATE TABLE tidegate.sqlite_chunk (
	batch_no bigint NOT NULL REFERENCES tidegate.sqlite_batch (no) ON DELETE CASCADE,
	chunk_no int NOT NULL,
	sha256 text COLLATE "C" NOT NULL,
	last boolean NOT NULL,
	body text NOT NULL,
	PRIMARY KEY (batch_no, chunk_no)
);

-- Which batch is whose data now. Changed in one step, only by a batch that is complete.
CREATE TABLE tidegate.dataset (
	space text COLLATE "C" NOT NULL,
	owner text COLLATE "C" NOT NULL,
	profile text COLLATE "C" NOT NULL,
	batch_id uuid NOT NULL,
	previous_id uuid, -- what it replaced
	switched_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (space, owner, profile)
);
CREATE INDEX dataset_batch_idx ON tidegate.dataset (batch_id);

ALTER TABLE tidegate.sqlite_batch ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.sqlite_table ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.dataset ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON tidegate.sqlite_batch TO tidegate_api
	USING (space = current_setting('tidegate.space', true) AND owner = current_setting('tidegate.sub', true));
CREATE POLICY api ON tidegate.sqlite_table TO tidegate_api USING (EXISTS (SELECT FROM tidegate.sqlite_batch b WHERE b.no = batch_no));
CREATE POLICY api ON tidegate.dataset TO tidegate_api
	USING (space = current_setting('tidegate.space', true) AND owner = current_setting('tidegate.sub', true));
CREATE POLICY worker ON tidegate.sqlite_batch TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.sqlite_table TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.dataset TO tidegate_worker USING (true);

-- COPY cannot write into a table with row-level security: the request role sees the rows through this view alone.
CREATE VIEW tidegate.sqlite_row_of_owner WITH (security_barrier) AS
	SELECT r.* FROM tidegate.sqlite_row r
	WHERE EXISTS (SELECT FROM tidegate.sqlite_batch b WHERE b.no = r.batch_no AND b.space = current_setting('tidegate.space', true)
		AND b.owner = current_setting('tidegate.sub', true));

GRANT SELECT, INSERT, UPDATE ON tidegate.sqlite_batch TO tidegate_api;
GRANT SELECT ON tidegate.sqlite_table, tidegate.sqlite_row_of_owner TO tidegate_api;
GRANT SELECT, INSERT, UPDATE ON tidegate.dataset TO tidegate_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON tidegate.sqlite_batch, tidegate.sqlite_table, tidegate.sqlite_row, tidegate.sqlite_chunk, tidegate.dataset
	TO tidegate_worker;
