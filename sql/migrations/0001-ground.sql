-- The ground: uploads, jobs, idempotency keys. Every text that is compared or indexed carries COLLATE "C": bytes are
-- what identity means here, and comparing them is several times faster than with a locale.

CREATE TABLE tidegate.idempotency (
	sub text COLLATE "C" NOT NULL,
	key text COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
	route text COLLATE "C" NOT NULL,
	body_sha256 text COLLATE "C" NOT NULL,
	status int,
	response text,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (sub, key)
);
CREATE INDEX idempotency_created_idx ON tidegate.idempotency (created_at);

-- One row per signed upload URL. issued → receiving (the body is on its way) → stored; issued or receiving → expired.
CREATE TABLE tidegate.upload (
	id uuid PRIMARY KEY,
	owner text COLLATE "C" NOT NULL,
	space text COLLATE "C" NOT NULL,
	object_key text COLLATE "C" NOT NULL UNIQUE,
	file_name text NOT NULL,
	file_size bigint NOT NULL CHECK (file_size >= 0),
	checksum text COLLATE "C" CHECK (checksum ~ '^[0-9a-f]{64}$'),
	state text COLLATE "C" NOT NULL DEFAULT 'issued' CHECK (state IN ('issued', 'receiving', 'stored', 'expired')),
	url text,
	headers jsonb NOT NULL DEFAULT '{}',
	expires_at timestamptz NOT NULL,
	sha256 text COLLATE "C",
	created_at timestamptz NOT NULL DEFAULT now(),
	stored_at timestamptz,
	CHECK ((state = 'stored') = (sha256 IS NOT NULL))
);
-- The signed-URL cache: the live URL of the same file of the same owner.
CREATE UNIQUE INDEX upload_live_idx ON tidegate.upload (owner, md5(file_name), file_size, coalesce(checksum, '')) WHERE state = 'issued';
CREATE INDEX upload_unfinished_idx ON tidegate.upload (expires_at) WHERE state IN ('issued', 'receiving');

-- Live jobs and dead letters only; what ended well moves to job_history.
CREATE TABLE tidegate.job (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	queue text COLLATE "C" NOT NULL DEFAULT 'default',
	kind text COLLATE "C" NOT NULL,
	args jsonb NOT NULL DEFAULT '{}',
	space text COLLATE "C" NOT NULL DEFAULT '',
	dedupe_key text COLLATE "C",
	serial_key text COLLATE "C",
	state text COLLATE "C" NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'running', 'failed')),
	priority smallint NOT NULL DEFAULT 100,
	run_at timestamptz NOT NULL DEFAULT now(),
	attempt int NOT NULL DEFAULT 0,
	max_attempts int NOT NULL DEFAULT 8 CHECK (max_attempts > 0),
	lease_until timestamptz,
	worker text,
	token uuid,
	progress jsonb,
	cancel_requested boolean NOT NULL DEFAULT false,
	last_error text,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX job_ready_idx ON tidegate.job (queue, priority, run_at, id) WHERE state = 'ready';
CREATE UNIQUE INDEX job_dedupe_idx ON tidegate.job (kind, dedupe_key) WHERE state IN ('ready', 'running') AND dedupe_key IS NOT NULL;
CREATE INDEX job_lease_idx ON tidegate.job (lease_until) WHERE state = 'running';
CREATE UNIQUE INDEX job_serial_idx ON tidegate.job (serial_key) WHERE state = 'running' AND serial_key IS NOT NULL;

CREATE TABLE tidegate.job_event (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	job_id bigint NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	event text COLLATE "C" NOT NULL,
	worker text,
	detail text
);
CREATE INDEX job_event_job_idx ON tidegate.job_event (job_id, id);
CREATE INDEX job_event_at_idx ON tidegate.job_event (at);

CREATE TABLE tidegate.job_history (
	id bigint NOT NULL,
	queue text COLLATE "C" NOT NULL,
	kind text COLLATE "C" NOT NULL,
	args jsonb NOT NULL,
	space text COLLATE "C" NOT NULL,
	state text COLLATE "C" NOT NULL CHECK (state IN ('done', 'cancelled')),
	attempt int NOT NULL,
	progress jsonb,
	created_at timestamptz NOT NULL,
	ended_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (ended_at);
CREATE TABLE tidegate.job_history_default PARTITION OF tidegate.job_history DEFAULT;
CREATE INDEX job_history_ended_idx ON tidegate.job_history (ended_at);

-- A slot of a schedule is taken by whoever inserts it first; no leader is needed.
CREATE TABLE tidegate.cron_run (
	name text COLLATE "C" NOT NULL,
	slot timestamptz NOT NULL,
	job_id bigint,
	PRIMARY KEY (name, slot)
);

ALTER TABLE tidegate.idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.upload ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.job ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON tidegate.idempotency TO tidegate_api USING (sub = current_setting('tidegate.sub', true));
CREATE POLICY api ON tidegate.upload TO tidegate_api USING (owner = current_setting('tidegate.sub', true));
CREATE POLICY api ON tidegate.job TO tidegate_api USING (space = current_setting('tidegate.space', true));
CREATE POLICY worker ON tidegate.idempotency TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.upload TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.job TO tidegate_worker USING (true);

GRANT USAGE ON SCHEMA tidegate TO tidegate_api, tidegate_worker;
GRANT SELECT, INSERT, UPDATE ON tidegate.idempotency TO tidegate_api;
GRANT SELECT, INSERT, UPDATE ON tidegate.upload TO tidegate_api;
GRANT SELECT ON tidegate.job TO tidegate_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON tidegate.idempotency, tidegate.upload, tidegate.job, tidegate.cron_run TO tidegate_worker;
GRANT SELECT, INSERT, DELETE ON tidegate.job_event, tidegate.job_history TO tidegate_worker;
