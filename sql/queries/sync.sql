-- Sync: clocks, answered requests, revocations. Rows themselves are read and written by statements made from the declarations.

-- name: sync_enter
-- Primary keys of sync_scope and sync_request. In the transaction of a push, before anything else.
SELECT prior, version, floor, catalogue, digest, result FROM tidegate.sync_enter($1, $2, $3::boolean, $4, $5);

-- name: sync_look
-- Primary key of sync_scope. In the transaction of a pull.
SELECT version, floor, catalogue FROM tidegate.sync_look($1, $2, $3::boolean);

-- name: sync_answered
INSERT INTO tidegate.sync_request (app, scope, device_id, request_id, digest, version, result) VALUES ($1, $2, $3, $4, $5, $6::bigint, $7::jsonb);

-- name: sync_revocations
-- Relies on sync_revoked_seq_idx and the primary key. Rows that this scope has lost, as far as it has not got them back.
SELECT table_name, row_id, row_key, server_seq FROM tidegate.sync_revoked
WHERE app = $1 AND scope = $2 AND server_seq > $3::bigint AND server_seq <= $4::bigint AND (server_seq, table_name, row_id) > ($5::bigint, $6, $7)
ORDER BY server_seq, table_name, row_id LIMIT $8::bigint;

-- name: sync_scopes
-- Primary key. Scopes of an app behind $2.
SELECT scope FROM tidegate.sync_scope WHERE app = $1 AND scope > $2 ORDER BY scope LIMIT $3::bigint;

-- name: sync_scope_lock
SELECT 1 FROM tidegate.sync_scope WHERE app = $1 AND scope = $2 FOR UPDATE;

-- name: sync_scope_floor
UPDATE tidegate.sync_scope SET floor = GREATEST(floor, $3::bigint) WHERE app = $1 AND scope = $2;

-- name: sync_forget
-- Relies on sync_request_at_idx. What a client that was away for so long would be told of revoked rows is in its resync.
WITH requests AS (DELETE FROM tidegate.sync_request WHERE at < now() - $1::int * interval '1 day'),
	revoked AS (DELETE FROM tidegate.sync_revoked WHERE server_seq <= $2::bigint RETURNING app, scope, server_seq)
UPDATE tidegate.sync_scope s SET floor = GREATEST(s.floor, r.seq)
FROM (SELECT app, scope, max(server_seq) AS seq FROM revoked GROUP BY app, scope) AS r WHERE s.app = r.app AND s.scope = r.scope;

-- name: events_ticket_spend
-- Primary key of signed_call.
SELECT tidegate.events_ticket_spend($1, $2::bigint);
