-- Calls signed by an external queue: the id of every token that was taken, until no clock would take it again.

CREATE TABLE tidegate.signed_call (
	jti text COLLATE "C" PRIMARY KEY,
	expires_at timestamptz NOT NULL
);
CREATE INDEX signed_call_expires_idx ON tidegate.signed_call (expires_at);

GRANT SELECT, DELETE ON tidegate.signed_call TO tidegate_worker;
