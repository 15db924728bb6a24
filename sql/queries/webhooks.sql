-- Webhooks. The request role reads endpoints and deliveries of its space (row-level security) and never a secret or the value of a
-- header; the worker sends. The rules stand in sql/functions/webhooks.sql and events.sql.

-- name: webhook_unknown_event
-- The first entry of a filter that names no type: neither one of event_type, nor the part before the dot of one, nor all.
SELECT f FROM unnest($1::text[]) WITH ORDINALITY AS u (f, n)
WHERE f <> '*' AND NOT EXISTS (SELECT FROM tidegate.event_type t WHERE t.name = f OR split_part(t.name, '.', 1) || '.*' = f)
ORDER BY n LIMIT 1;

-- name: webhook_lock_space
-- Two requests that add an endpoint come one after the other: none of them passes the limit.
SELECT pg_advisory_xact_lock(hashtextextended('tidegate.webhook_endpoint:' || current_setting('tidegate.space'), 0));

-- name: webhook_create
-- No row: the space has $9 already. Relies on webhook_endpoint_list_idx.
INSERT INTO tidegate.webhook_endpoint (id, space, url, description, events, headers, header_names, secret, created_by, format, language)
SELECT $1::uuid, current_setting('tidegate.space'), $2, $3, $4::text[], $5::jsonb, $6::jsonb, $7, $8, coalesce($10, 'standard'), nullif($11, '')
WHERE (SELECT count(*) FROM tidegate.webhook_endpoint WHERE space = current_setting('tidegate.space')) < $9::int
RETURNING id;

-- name: webhook_get
-- Aliases are the contract. Primary key.
SELECT id, url, description, to_jsonb(events) AS events, header_names AS "headerNames", format, language, enabled, disabled_reason AS "disabledReason", disabled_reason AS _reason,
       disabled_at AS "disabledAt", failing_since AS "failingSince", CASE WHEN paused_until > now() THEN paused_until END AS "pausedUntil",
       CASE WHEN previous_until > now() THEN previous_until END AS "previousSecretUntil", created_by AS "createdBy", created_at AS "createdAt",
       updated_at AS "updatedAt", (extract(epoch FROM created_at) * 1000000)::bigint AS _cursor
FROM tidegate.webhook_endpoint WHERE id = $1::uuid;

-- name: webhook_list
-- The same, newest first, keyset on (created_at, id): webhook_endpoint_list_idx. $1, $2 the last row of the page before or null, $3 one
-- more than the page.
SELECT id, url, description, to_jsonb(events) AS events, header_names AS "headerNames", format, language, enabled, disabled_reason AS "disabledReason", disabled_reason AS _reason,
       disabled_at AS "disabledAt", failing_since AS "failingSince", CASE WHEN paused_until > now() THEN paused_until END AS "pausedUntil",
       CASE WHEN previous_until > now() THEN previous_until END AS "previousSecretUntil", created_by AS "createdBy", created_at AS "createdAt",
       updated_at AS "updatedAt", (extract(epoch FROM created_at) * 1000000)::bigint AS _cursor
FROM tidegate.webhook_endpoint
WHERE space = current_setting('tidegate.space')
  AND ($1::bigint IS NULL OR (created_at, id) < (timestamptz 'epoch' + $1::bigint * interval '1 microsecond', $2::uuid))
ORDER BY created_at DESC, id DESC LIMIT $3::int;

-- name: webhook_lock
SELECT enabled, url FROM tidegate.webhook_endpoint WHERE id = $1::uuid FOR NO KEY UPDATE;

-- name: webhook_change
-- What is null stays as it is. $3, $6: an empty text takes away.
UPDATE tidegate.webhook_endpoint
SET url = coalesce($2, url), description = CASE WHEN $3::text IS NULL THEN description ELSE nullif($3, '') END, events = coalesce($4::text[], events),
    format = coalesce($5, format), language = CASE WHEN $6::text IS NULL THEN language ELSE nullif($6, '') END, updated_at = now()
WHERE id = $1::uuid;

-- name: webhook_change_headers
-- A statement of its own: the request role may not read what it would keep.
UPDATE tidegate.webhook_endpoint SET headers = $2::jsonb, header_names = $3::jsonb, updated_at = now() WHERE id = $1::uuid;

-- name: webhook_enable
SELECT tidegate.webhook_enable($1::uuid);

-- name: webhook_disable
SELECT tidegate.webhook_disable($1::uuid, $2);

-- name: webhook_rotate
SELECT tidegate.webhook_rotate($1::uuid, $2);

-- name: webhook_delete
-- Its deliveries go with it.
DELETE FROM tidegate.webhook_endpoint WHERE id = $1::uuid;

-- name: webhook_test
SELECT tidegate.webhook_test($1::uuid);

-- name: webhook_replay
SELECT tidegate.webhook_replay($1::uuid);

-- name: webhook_replay_since
-- $2 microseconds since 1970.
SELECT events, next_since AS "nextSince"
FROM tidegate.webhook_replay_since($1::uuid, timestamptz 'epoch' + $2::bigint * interval '1 microsecond', $3::int);

-- name: webhook_delivery_get
-- Primary key.
SELECT d.id, 'evt_' || replace(d.event_id::text, '-', '') AS "webhookId", v.type AS "eventType", d.state AS status, d.attempts, d.status_code AS "statusCode",
       d.response, d.duration_ms AS "durationMs", d.error_code AS _error, d.next_attempt_at AS "nextAttemptAt", d.last_attempt_at AS "lastAttemptAt",
       d.created_at AS "createdAt", d.ended_at AS "endedAt"
FROM tidegate.webhook_delivery d JOIN tidegate.event v ON v.id = d.event_id WHERE d.id = $1::uuid AND d.endpoint_id = $2::uuid;

-- name: webhook_delivery_list
-- Newest first, keyset on (created_at, id): webhook_delivery_list_idx. $1 endpoint, $2 state or null, $3, $4 the last row of the page before or
-- null, $5 one more than the page.
SELECT d.id, 'evt_' || replace(d.event_id::text, '-', '') AS "webhookId", v.type AS "eventType", d.state AS status, d.attempts, d.status_code AS "statusCode",
       d.response, d.duration_ms AS "durationMs", d.error_code AS _error, d.next_attempt_at AS "nextAttemptAt", d.last_attempt_at AS "lastAttemptAt",
       d.created_at AS "createdAt", d.ended_at AS "endedAt", (extract(epoch FROM d.created_at) * 1000000)::bigint AS _cursor
FROM tidegate.webhook_delivery d JOIN tidegate.event v ON v.id = d.event_id
WHERE d.endpoint_id = $1::uuid AND ($2::text IS NULL OR d.state = $2)
  AND ($3::bigint IS NULL OR (d.created_at, d.id) < (timestamptz 'epoch' + $3::bigint * interval '1 microsecond', $4::uuid))
ORDER BY d.created_at DESC, d.id DESC LIMIT $5::int;

-- name: webhook_due
-- What can be sent now: of every enabled endpoint that is not being left alone, as many as its window has room for, the oldest first. $1
-- deliveries under way, $2 endpoints to pass over, $3 how many. Relies on webhook_delivery_due_idx, once per endpoint.
WITH busy AS (
	SELECT d.endpoint_id, count(*) AS n FROM tidegate.webhook_delivery d WHERE d.id = ANY ($1::uuid[]) GROUP BY d.endpoint_id
)
SELECT n.id, e.id, 'evt_' || replace(n.event_id::text, '-', ''), v.type, v.body, n.attempts, e.url, e.headers, e.secret,
       CASE WHEN e.previous_until > now() THEN e.previous_secret END, e.format, e.language
FROM tidegate.webhook_endpoint e
LEFT JOIN busy b ON b.endpoint_id = e.id
CROSS JOIN LATERAL (
	SELECT d.id, d.event_id, d.attempts, d.next_attempt_at FROM tidegate.webhook_delivery d
	WHERE d.endpoint_id = e.id AND d.state = 'pending' AND d.next_attempt_at <= now() AND d.id <> ALL ($1::uuid[])
	ORDER BY d.next_attempt_at, d.id LIMIT greatest(e.send_window - coalesce(b.n, 0), 0)
) n
JOIN tidegate.event v ON v.id = n.event_id
WHERE e.enabled AND e.id <> ALL ($2::uuid[]) AND (e.paused_until IS NULL OR e.paused_until <= now())
ORDER BY n.next_attempt_at, n.id LIMIT $3::int;

-- name: webhook_record
SELECT state, dead
FROM tidegate.webhook_record($1::uuid, $2, $3::interval, $4::int, $5, $6::int, $7, $8::int, $9::interval, $10::int, $11::interval, $12::int, $13::interval);

-- name: webhook_run_end
SELECT tidegate.webhook_run_end($1::bigint, $2::uuid);

-- name: webhook_backlog
SELECT pending, oldest_seconds FROM tidegate.webhook_backlog();

-- name: webhook_expire_deliveries
-- At most $2 that ended more than $1 days ago. Relies on webhook_delivery_ended_idx.
DELETE FROM tidegate.webhook_delivery WHERE id IN
	(SELECT id FROM tidegate.webhook_delivery WHERE state <> 'pending' AND ended_at < now() - make_interval(days => $1::int) LIMIT $2::int);

-- name: event_expire
-- At most $2 events of more than $1 days ago that no delivery refers to any more. Relies on event_created_idx, webhook_delivery_event_idx.
DELETE FROM tidegate.event WHERE id IN
	(SELECT v.id FROM tidegate.event v WHERE v.created_at < now() - make_interval(days => $1::int)
	 AND NOT EXISTS (SELECT FROM tidegate.webhook_delivery d WHERE d.event_id = v.id) LIMIT $2::int);

-- name: webhook_forget_secrets
UPDATE tidegate.webhook_endpoint SET previous_secret = NULL, previous_until = NULL WHERE previous_until < now();
