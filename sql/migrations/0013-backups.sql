-- Backups: runs, what became of each database in them, and the inventory of stored objects.

CREATE TABLE tidegate.backup_run (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	space text COLLATE "C" NOT NULL,
	trigger text COLLATE "C" NOT NULL CHECK (trigger IN ('scheduled', 'manual')),
	reason text CHECK (length(reason) <= 500),
	state text COLLATE "C" NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'partial', 'failed')),
	started_at timestamptz NOT NULL DEFAULT now(),
	ended_at timestamptz,
	CHECK ((state = 'running') = (ended_at IS NULL))
);
-- One at a time: a second trigger joins the first.
CREATE UNIQUE INDEX backup_run_running_idx ON tidegate.backup_run (space) WHERE state = 'running';
CREATE INDEX backup_run_list_idx ON tidegate.backup_run (space, started_at DESC, id DESC);

CREATE TABLE tidegate.backup_result (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	run_id uuid NOT NULL REFERENCES tidegate.backup_run (id) ON DELETE CASCADE,
	space text COLLATE "C" NOT NULL,
	database text COLLATE "C" NOT NULL,
	place int NOT NULL,
	state text COLLATE "C" NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'succeeded', 'failed')),
	phase text COLLATE "C" NOT NULL DEFAULT 'queued' CHECK (phase IN ('queued', 'snapshot', 'dump', 'upload', 'prove', 'done')),
	deadline_at timestamptz,
	started_at timestamptz,
	ended_at timestamptz,
	error text COLLATE "C",
	error_detail text,
	warning text COLLATE "C",
	UNIQUE (run_id, database),
	CHECK ((state IN ('succeeded', 'failed')) = (ended_at IS NOT NULL))
);
CREATE INDEX backup_result_database_idx ON tidegate.backup_result (space, database, started_at DESC);

-- One row per stored object. stored: it is there, and nothing is known of it but its hash. verified_at: a test restore of the stored bytes gave the
-- same content. deleting: it is going, whether or not it has gone.
CREATE TABLE tidegate.backup_object (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	space text COLLATE "C" NOT NULL,
	kind text COLLATE "C" NOT NULL CHECK (kind IN ('daily', 'weekly')),
	database text COLLATE "C" NOT NULL,
	day date NOT NULL,
	key text COLLATE "C" NOT NULL UNIQUE,
	result_id uuid,
	run_id uuid,
	size bigint NOT NULL CHECK (size >= 0),
	sha256 text COLLATE "C" NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
	content_hash text COLLATE "C",
	row_count bigint,
	table_count int,
	recipients text[] NOT NULL DEFAULT '{}',
	archive_id uuid REFERENCES tidegate.backup_object (id) ON DELETE SET NULL, -- of a daily: the verified weekly archive that holds it
	manifest jsonb NOT NULL DEFAULT '{}',
	state text COLLATE "C" NOT NULL DEFAULT 'stored' CHECK (state IN ('stored', 'deleting', 'deleted')),
	created_at timestamptz NOT NULL DEFAULT now(),
	verified_at timestamptz,
	verify_error text COLLATE "C", -- of the last test restore that failed
	deleted_at timestamptz,
	CHECK ((state = 'deleted') = (deleted_at IS NOT NULL))
);
CREATE INDEX backup_object_list_idx ON tidegate.backup_object (space, created_at DESC, id DESC) WHERE state = 'stored';
CREATE INDEX backup_object_database_idx ON tidegate.backup_object (space, database, day DESC, created_at DESC) WHERE state = 'stored';

-- The last slot of each schedule that was taken. A schedule that is new begins with its next slot.
CREATE TABLE tidegate.backup_schedule (
	name text COLLATE "C" PRIMARY KEY,
	slot timestamptz NOT NULL,
	since timestamptz NOT NULL DEFAULT now()
);

-- What was said last about a database that has had no good backup for too long: it is said once, and again once it was good in between.
CREATE TABLE tidegate.backup_alert (
	space text COLLATE "C" NOT NULL,
	database text COLLATE "C" NOT NULL,
	kind text COLLATE "C" NOT NULL CHECK (kind IN ('stale', 'size_anomaly')),
	at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (space, database, kind)
);

ALTER TABLE tidegate.backup_run ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.backup_result ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.backup_object ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON tidegate.backup_run TO tidegate_api USING (space = current_setting('tidegate.space', true));
CREATE POLICY api ON tidegate.backup_result TO tidegate_api USING (space = current_setting('tidegate.space', true));
CREATE POLICY api ON tidegate.backup_object TO tidegate_api USING (space = current_setting('tidegate.space', true));
CREATE POLICY worker ON tidegate.backup_run TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.backup_result TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.backup_object TO tidegate_worker USING (true);
GRANT SELECT ON tidegate.backup_run, tidegate.backup_result, tidegate.backup_object TO tidegate_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON tidegate.backup_run, tidegate.backup_result, tidegate.backup_object, tidegate.backup_schedule, tidegate.backup_alert
	TO tidegate_worker;
GRANT SELECT ON tidegate.backup_schedule TO tidegate_api;
