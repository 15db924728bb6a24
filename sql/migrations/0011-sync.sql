-- Bookkeeping of synced apps. Whose rows a scope holds is decided by the app: of a user (the token's sub) or of a space.

-- One row per scope of an app. version: the clock of the scope, microseconds since 1970, risen by every push under the lock of this row,
-- so that the order of versions is the order of commits. floor: tombstones up to here may have been removed.
CREATE TABLE tidegate.sync_scope (
	app text COLLATE "C" NOT NULL,
	scope text COLLATE "C" NOT NULL,
	version bigint NOT NULL,
	floor bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (app, scope)
) WITH (fillfactor = 50);

-- The clock of an app's catalogues. Every version of every scope that is given out later is higher (tidegate.sync_catalogue_stamp).
CREATE TABLE tidegate.sync_catalogue (
	app text COLLATE "C" PRIMARY KEY,
	version bigint NOT NULL
);

-- Pushes that were answered, for clients that did not get the answer. result: what was said of their rows.
CREATE TABLE tidegate.sync_request (
	app text COLLATE "C" NOT NULL,
	scope text COLLATE "C" NOT NULL,
	device_id text COLLATE "C" NOT NULL,
	request_id text COLLATE "C" NOT NULL,
	digest text COLLATE "C" NOT NULL,
	version bigint NOT NULL,
	result jsonb NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (app, scope, device_id, request_id)
);
CREATE INDEX sync_request_at_idx ON tidegate.sync_request (at);

-- Rows that a scope has lost to another: its clients are sent a delete.
CREATE TABLE tidegate.sync_revoked (
	app text COLLATE "C" NOT NULL,
	scope text COLLATE "C" NOT NULL,
	table_name text COLLATE "C" NOT NULL,
	row_id text COLLATE "C" NOT NULL,
	row_key jsonb NOT NULL,
	server_seq bigint NOT NULL,
	PRIMARY KEY (app, scope, table_name, row_id)
);
CREATE INDEX sync_revoked_seq_idx ON tidegate.sync_revoked (app, scope, server_seq);

ALTER TABLE tidegate.sync_scope ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.sync_request ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.sync_revoked ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON tidegate.sync_scope TO tidegate_api USING (scope IN (current_setting('tidegate.sub', true), current_setting('tidegate.space', true)));
CREATE POLICY api ON tidegate.sync_request TO tidegate_api USING (scope IN (current_setting('tidegate.sub', true), current_setting('tidegate.space', true)));
CREATE POLICY api ON tidegate.sync_revoked TO tidegate_api USING (scope IN (current_setting('tidegate.sub', true), current_setting('tidegate.space', true)));
CREATE POLICY worker ON tidegate.sync_scope TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.sync_request TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.sync_revoked TO tidegate_worker USING (true);

GRANT SELECT, INSERT, UPDATE ON tidegate.sync_scope TO tidegate_api;
GRANT SELECT ON tidegate.sync_catalogue TO tidegate_api, tidegate_worker;
GRANT SELECT, INSERT ON tidegate.sync_request TO tidegate_api;
GRANT SELECT ON tidegate.sync_revoked TO tidegate_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON tidegate.sync_scope, tidegate.sync_request, tidegate.sync_revoked TO tidegate_worker;
