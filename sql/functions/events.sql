-- Events: what happened, written in the transaction in which it happens, and its way to the endpoints that want to know.
--
-- One job of the queue (webhook.deliver) sends for all endpoints. It must exist whenever a delivery is due, and nobody who
-- writes an event may wait for anybody else who does. So: whoever writes deliveries holds the advisory lock "emitting" shared
-- until the end of his transaction; the job ends for good only while it holds it alone, and otherwise looks again in a second.
-- Of several who find no job, or one that waits for later, one sees to it (the lock "waking"), and the others need not: should he roll
-- back, the schedule's next job, within a minute, finds what they wrote.

CREATE OR REPLACE FUNCTION tidegate.event_emitting()
RETURNS bigint LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
	SELECT hashtextextended('tidegate.event_emitting', 0);
$$;

-- Sees to it that the job which sends runs soon.
CREATE OR REPLACE FUNCTION tidegate.webhook_wake()
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	IF NOT pg_try_advisory_xact_lock(hashtextextended('tidegate.webhook_wake', 0)) THEN
		RETURN;
	END IF;
	UPDATE tidegate.job SET run_at = now(), updated_at = now()
	WHERE kind = 'webhook.deliver' AND dedupe_key = 'webhook.deliver' AND state = 'ready' AND run_at > now();
	IF NOT EXISTS (SELECT FROM tidegate.job WHERE kind = 'webhook.deliver' AND dedupe_key = 'webhook.deliver' AND state IN ('ready', 'running')) THEN
		PERFORM tidegate.job_enqueue('webhook.deliver', '{}', '', 'webhook.deliver', NULL);
	END IF;
END $$;

-- Under a scope everybody acts in his own space only; workers without a scope act in any.
CREATE OR REPLACE FUNCTION tidegate.event_guard(p_space text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	IF coalesce(current_setting('tidegate.space', true), '') NOT IN ('', p_space) THEN
		RAISE EXCEPTION 'an event of another space' USING ERRCODE = '42501';
	END IF;
END $$;

-- The row alone. What would be larger than a body may be is told by its id alone.
CREATE OR REPLACE FUNCTION tidegate.event_write(p_space text, p_type text, p_data jsonb)
RETURNS uuid LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	at text := to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
	body text := json_build_object('type', p_type, 'timestamp', at, 'data', p_data)::text;
	new_id uuid;
BEGIN
	IF octet_length(body) > 20000 THEN
		body := json_build_object('type', p_type, 'timestamp', at, 'data', json_build_object('id', left(p_data ->> 'id', 200), 'truncated', true))::text;
	END IF;
	INSERT INTO tidegate.event (space, type, body) VALUES (p_space, p_type, body) RETURNING id INTO new_id;
	RETURN new_id;
END $$;

-- Something happened: one event, and a delivery to every endpoint of the space that is enabled and whose filter names the type.
-- data is an object and small (what does not fit is left out: fetch the thing by its id). Returns the event's id.
CREATE OR REPLACE FUNCTION tidegate.event_emit(p_space text, p_type text, p_data jsonb)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	new_id uuid;
BEGIN
	PERFORM tidegate.event_guard(p_space);
	new_id := tidegate.event_write(p_space, p_type, p_data);
	PERFORM pg_advisory_xact_lock_shared(tidegate.event_emitting());
	INSERT INTO tidegate.webhook_delivery (space, endpoint_id, event_id)
	SELECT p_space, e.id, new_id FROM tidegate.webhook_endpoint e
	WHERE e.space = p_space AND e.enabled AND tidegate.event_matches(e.events, p_type);
	IF FOUND THEN
		PERFORM tidegate.webhook_wake();
	END IF;
	RETURN new_id;
END $$;

-- Does a filter (exact types, `import.*`, `*`) name a type?
CREATE OR REPLACE FUNCTION tidegate.event_matches(p_events text[], p_type text)
RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
	SELECT p_events && ARRAY['*', p_type, split_part(p_type, '.', 1) || '.*'];
$$;

REVOKE ALL ON FUNCTION tidegate.event_emitting, tidegate.webhook_wake, tidegate.event_guard, tidegate.event_write, tidegate.event_emit, tidegate.event_matches
	FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.event_emit TO tidegate_api, tidegate_worker;
