-- Webhooks: what happened (event), who wants to know (webhook_endpoint), and what became of telling them (webhook_delivery).

-- The types there are; filters of endpoints are checked against them.
CREATE TABLE tidegate.event_type (
	name text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z]+\.[a-z_]+$')
);
INSERT INTO tidegate.event_type VALUES
	('import.ready'), ('import.completed'), ('import.failed'), ('import.undone'), ('sqlite.completed'), ('sqlite.failed'),
	('backup.completed'), ('backup.failed'), ('backup.stale'), ('backup.size_anomaly'), ('offline.conflict'),
	('webhook.test'), ('webhook.disabled');

-- Written in the transaction of what it tells, whether or not anybody listens: it can be asked for later.
CREATE TABLE tidegate.event (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	space text COLLATE "C" NOT NULL,
	type text COLLATE "C" NOT NULL REFERENCES tidegate.event_type (name),
	body text NOT NULL CHECK (octet_length(body) <= 20000), -- the bytes that are signed and sent
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX event_space_idx ON tidegate.event (space, created_at, id);
CREATE INDEX event_created_idx ON tidegate.event (created_at);

CREATE TABLE tidegate.webhook_endpoint (
	id uuid PRIMARY KEY,
	space text COLLATE "C" NOT NULL,
	url text NOT NULL CHECK (length(url) <= 2048),
	description text,
	events text[] COLLATE "C" NOT NULL,
	headers jsonb NOT NULL DEFAULT '{}',   -- values are secrets: the request role writes them and cannot read them
	header_names jsonb NOT NULL DEFAULT '[]',
	secret text NOT NULL,                  -- likewise
	previous_secret text,                  -- signs too until previous_until
	previous_until timestamptz,
	enabled boolean NOT NULL DEFAULT true,
	disabled_reason text COLLATE "C" CHECK (disabled_reason IN ('manual', 'gone', 'failing')),
	disabled_at timestamptz,
	-- How it has been doing: deliveries at once, successes since that number grew, failures in a row, and since when nothing else.
	send_window smallint NOT NULL DEFAULT 2 CHECK (send_window BETWEEN 1 AND 100),
	successes int NOT NULL DEFAULT 0,
	failures int NOT NULL DEFAULT 0,
	failing_since timestamptz,
	paused_until timestamptz,
	created_by text COLLATE "C" NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),
	CHECK (enabled = (disabled_reason IS NULL))
);
CREATE INDEX webhook_endpoint_list_idx ON tidegate.webhook_endpoint (space, created_at DESC, id DESC);

CREATE TABLE tidegate.webhook_delivery (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	space text COLLATE "C" NOT NULL,
	endpoint_id uuid NOT NULL REFERENCES tidegate.webhook_endpoint (id) ON DELETE CASCADE,
	event_id uuid NOT NULL REFERENCES tidegate.event (id) ON DELETE CASCADE,
	state text COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'succeeded', 'failed')),
	attempts int NOT NULL DEFAULT 0,
	next_attempt_at timestamptz DEFAULT now(),
	status_code int,      -- this and the next three: of the last attempt
	response text,
	duration_ms int,
	error_code text COLLATE "C",
	last_attempt_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	ended_at timestamptz,
	CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL) AND (state = 'pending') = (ended_at IS NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
-- An event is under way to an endpoint at most once at a time.
CREATE UNIQUE INDEX webhook_delivery_live_idx ON tidegate.webhook_delivery (endpoint_id, event_id) WHERE state = 'pending';
CREATE INDEX webhook_delivery_due_idx ON tidegate.webhook_delivery (endpoint_id, next_attempt_at, id) WHERE state = 'pending';
CREATE INDEX webhook_delivery_waiting_idx ON tidegate.webhook_delivery (created_at) WHERE state = 'pending';
CREATE INDEX webhook_delivery_list_idx ON tidegate.webhook_delivery (endpoint_id, created_at DESC, id DESC);
CREATE INDEX webhook_delivery_event_idx ON tidegate.webhook_delivery (event_id);
CREATE INDEX webhook_delivery_ended_idx ON tidegate.webhook_delivery (ended_at) WHERE state <> 'pending';

ALTER TABLE tidegate.event ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.webhook_endpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.webhook_delivery ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON tidegate.event TO tidegate_api USING (space = current_setting('tidegate.space', true));
CREATE POLICY api ON tidegate.webhook_endpoint TO tidegate_api USING (space = current_setting('tidegate.space', true));
CREATE POLICY api ON tidegate.webhook_delivery TO tidegate_api USING (space = current_setting('tidegate.space', true));
CREATE POLICY worker ON tidegate.event TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.webhook_endpoint TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.webhook_delivery TO tidegate_worker USING (true);

GRANT SELECT ON tidegate.event_type TO tidegate_api, tidegate_worker;
GRANT SELECT (id, space, type, created_at) ON tidegate.event TO tidegate_api;
GRANT SELECT ON tidegate.webhook_delivery TO tidegate_api;
-- The request role changes what people say of an endpoint, and reads everything of it but the secrets.
GRANT SELECT (id, space, url, description, events, header_names, previous_until, enabled, disabled_reason, disabled_at, send_window, failures,
	failing_since, paused_until, created_by, created_at, updated_at) ON tidegate.webhook_endpoint TO tidegate_api;
GRANT INSERT (id, space, url, description, events, headers, header_names, secret, created_by) ON tidegate.webhook_endpoint TO tidegate_api;
GRANT UPDATE (url, description, events, headers, header_names, updated_at) ON tidegate.webhook_endpoint TO tidegate_api;
GRANT DELETE ON tidegate.webhook_endpoint TO tidegate_api;
GRANT SELECT, DELETE ON tidegate.event TO tidegate_worker;
GRANT SELECT, UPDATE ON tidegate.webhook_endpoint TO tidegate_worker;
GRANT SELECT, UPDATE, DELETE ON tidegate.webhook_delivery TO tidegate_worker;
