-- Webhook endpoints and deliveries. What the request role may do to rows it cannot write stands here, with the owner's rights and
-- within the space of its scope.

-- One event to one endpoint, now. When it is under way already, that delivery is tried at once. Returns the delivery's id.
CREATE OR REPLACE FUNCTION tidegate.webhook_send(p_space text, p_endpoint uuid, p_event uuid)
RETURNS uuid LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	new_id uuid;
BEGIN
	PERFORM pg_advisory_xact_lock_shared(tidegate.event_emitting());
	INSERT INTO tidegate.webhook_delivery AS d (space, endpoint_id, event_id) VALUES (p_space, p_endpoint, p_event)
	ON CONFLICT (endpoint_id, event_id) WHERE state = 'pending' DO UPDATE SET next_attempt_at = least(d.next_attempt_at, now())
	RETURNING d.id INTO new_id;
	PERFORM tidegate.webhook_wake();
	RETURN new_id;
END $$;

-- A webhook.test to one endpoint and to no other.
CREATE OR REPLACE FUNCTION tidegate.webhook_test(p_endpoint uuid)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	own text := current_setting('tidegate.space');
BEGIN
	PERFORM FROM tidegate.webhook_endpoint WHERE id = p_endpoint AND space = own AND enabled;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no such enabled endpoint' USING ERRCODE = 'TG404';
	END IF;
	RETURN tidegate.webhook_send(own, p_endpoint, tidegate.event_write(own, 'webhook.test', jsonb_build_object('endpointId', p_endpoint)));
END $$;

-- A delivery once more: the same event, under the same id, to the same endpoint.
CREATE OR REPLACE FUNCTION tidegate.webhook_replay(p_delivery uuid)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	d tidegate.webhook_delivery;
BEGIN
	SELECT * INTO d FROM tidegate.webhook_delivery WHERE id = p_delivery AND space = current_setting('tidegate.space');
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no such delivery' USING ERRCODE = 'TG404';
	END IF;
	RETURN tidegate.webhook_send(d.space, d.endpoint_id, d.event_id);
END $$;

-- Everything since a moment that the endpoint's filter names, delivered before or not; at most p_limit, the oldest first. next_since: where
-- to go on, NULL when that was all. Tests are not repeated.
CREATE OR REPLACE FUNCTION tidegate.webhook_replay_since(p_endpoint uuid, p_since timestamptz, p_limit int)
RETURNS TABLE (events bigint, next_since timestamptz) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	own text := current_setting('tidegate.space');
	filter text[];
	ids uuid[];
	ats timestamptz[];
BEGIN
	SELECT e.events INTO filter FROM tidegate.webhook_endpoint e WHERE e.id = p_endpoint AND e.space = own AND e.enabled;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no such enabled endpoint' USING ERRCODE = 'TG404';
	END IF;
	SELECT array_agg(m.id ORDER BY m.created_at, m.id), array_agg(m.created_at ORDER BY m.created_at, m.id) INTO ids, ats
	FROM (SELECT v.id, v.created_at FROM tidegate.event v
	      WHERE v.space = own AND v.created_at >= p_since AND v.type <> 'webhook.test' AND tidegate.event_matches(filter, v.type)
	      ORDER BY v.created_at, v.id LIMIT p_limit + 1) m;
	PERFORM pg_advisory_xact_lock_shared(tidegate.event_emitting());
	INSERT INTO tidegate.webhook_delivery AS d (space, endpoint_id, event_id)
	SELECT own, p_endpoint, i FROM unnest(ids[1:p_limit]) AS i
	ON CONFLICT (endpoint_id, event_id) WHERE state = 'pending' DO UPDATE SET next_attempt_at = least(d.next_attempt_at, now());
	PERFORM tidegate.webhook_wake();
	RETURN QUERY SELECT least(coalesce(array_length(ids, 1), 0), p_limit)::bigint, ats[p_limit + 1];
END $$;

-- The old secret signs beside the new one for a day.
CREATE OR REPLACE FUNCTION tidegate.webhook_rotate(p_endpoint uuid, p_secret text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	UPDATE tidegate.webhook_endpoint
	SET previous_secret = secret, previous_until = now() + interval '24 hours', secret = p_secret, updated_at = now()
	WHERE id = p_endpoint AND space = current_setting('tidegate.space');
END $$;

-- A fresh start: of an endpoint that is enabled (again), or whose address has changed.
CREATE OR REPLACE FUNCTION tidegate.webhook_enable(p_endpoint uuid)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	UPDATE tidegate.webhook_endpoint
	SET enabled = true, disabled_reason = NULL, disabled_at = NULL, send_window = 2, successes = 0, failures = 0, failing_since = NULL, paused_until = NULL,
	    updated_at = now()
	WHERE id = p_endpoint AND space = current_setting('tidegate.space');
	PERFORM tidegate.webhook_wake();
END $$;

-- Nothing is sent to it any more; what was under way has failed, and can be replayed. Unless somebody did it by hand, the other endpoints of
-- the space are told. False: it was disabled before.
CREATE OR REPLACE FUNCTION tidegate.webhook_disable(p_endpoint uuid, p_reason text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	its_space text;
	since timestamptz;
BEGIN
	UPDATE tidegate.webhook_endpoint e
	SET enabled = false, disabled_reason = p_reason, disabled_at = now(), updated_at = now()
	WHERE e.id = p_endpoint AND e.enabled RETURNING e.space, e.failing_since INTO its_space, since;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM tidegate.event_guard(its_space);
	UPDATE tidegate.webhook_delivery
	SET state = 'failed', error_code = 'endpoint_disabled', next_attempt_at = NULL, ended_at = now()
	WHERE endpoint_id = p_endpoint AND state = 'pending';
	IF p_reason <> 'manual' THEN
		PERFORM tidegate.event_emit(its_space, 'webhook.disabled', jsonb_build_object('id', p_endpoint, 'reason', p_reason, 'failingSince', since));
	END IF;
	RETURN true;
END $$;

-- What came of one attempt. p_state: succeeded; failed (for good); pending (again after p_delay). p_health: how the endpoint is doing, 1 well,
-- -1 badly, 0 this says nothing. Its window grows by one after as many successes, and is halved by a failure; after p_patience failures in a row it is
-- left alone for p_probe, which doubles up to an hour, and then tried with one delivery. p_pause: the least time it is to be left alone.
-- Returns the state, NULL when the delivery was ended or removed meanwhile, and whether the endpoint has failed for longer than p_dead.
CREATE OR REPLACE FUNCTION tidegate.webhook_record(p_delivery uuid, p_state text, p_delay interval, p_status int, p_response text, p_duration int,
	p_error text, p_health int, p_pause interval, p_patience int, p_probe interval, p_window_max int, p_dead interval)
RETURNS TABLE (state text, dead boolean) LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
#variable_conflict use_column
DECLARE
	endpoint uuid;
	e tidegate.webhook_endpoint;
BEGIN
	UPDATE tidegate.webhook_delivery d
	SET state = p_state, attempts = attempts + 1, status_code = p_status, response = p_response, duration_ms = p_duration, error_code = p_error,
	    last_attempt_at = now(), next_attempt_at = CASE WHEN p_state = 'pending' THEN now() + p_delay END, ended_at = CASE WHEN p_state <> 'pending' THEN now() END
	WHERE d.id = p_delivery AND d.state = 'pending' RETURNING d.endpoint_id INTO endpoint;
	IF NOT FOUND THEN
		RETURN QUERY SELECT NULL::text, false;
		RETURN;
	END IF;
	IF p_health > 0 THEN
		UPDATE tidegate.webhook_endpoint w
		SET send_window = CASE WHEN w.successes + 1 >= w.send_window THEN least(w.send_window + 1, p_window_max) ELSE w.send_window END,
		    successes = CASE WHEN w.successes + 1 >= w.send_window THEN 0 ELSE w.successes + 1 END, failures = 0, failing_since = NULL, paused_until = NULL
		WHERE w.id = endpoint RETURNING w.* INTO e;
	ELSIF p_health < 0 THEN
		UPDATE tidegate.webhook_endpoint w
		SET send_window = CASE WHEN w.failures + 1 >= p_patience THEN 1 ELSE greatest(w.send_window / 2, 1) END, successes = 0, failures = w.failures + 1,
		    failing_since = coalesce(w.failing_since, now()),
		    paused_until = nullif(greatest(w.paused_until, now() + p_pause,
		        CASE WHEN w.failures + 1 >= p_patience THEN now() + least(p_probe * (2 ^ least(w.failures + 1 - p_patience, 10)), interval '1 hour') END,
		        '-infinity'), '-infinity')
		WHERE w.id = endpoint RETURNING w.* INTO e;
	END IF;
	RETURN QUERY SELECT p_state, coalesce(e.failing_since < now() - p_dead, false);
END $$;

-- What one run of the sender ends with: its job is done, and the next one is there when something is due within a minute. As long as somebody
-- is writing deliveries that cannot be seen yet, it looks again in a second (events.sql).
CREATE OR REPLACE FUNCTION tidegate.webhook_run_end(p_job bigint, p_token uuid)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	alone boolean := pg_try_advisory_xact_lock(tidegate.event_emitting());
	due timestamptz;
BEGIN
	-- Relies on webhook_delivery_due_idx, once per endpoint.
	SELECT min(greatest(n.next_attempt_at, e.paused_until)) INTO due
	FROM tidegate.webhook_endpoint e
	CROSS JOIN LATERAL (SELECT d.next_attempt_at FROM tidegate.webhook_delivery d
	                    WHERE d.endpoint_id = e.id AND d.state = 'pending' ORDER BY d.next_attempt_at LIMIT 1) n
	WHERE e.enabled;
	PERFORM tidegate.job_end(p_job, p_token, 'done');
	IF NOT alone THEN
		due := least(due, now() + interval '1 second');
	END IF;
	IF due < now() + interval '1 minute' THEN
		PERFORM tidegate.job_enqueue('webhook.deliver', '{}', '', 'webhook.deliver', NULL, greatest(due, now()));
	END IF;
END $$;

-- Deliveries that have not ended, over all spaces: how many, and for how many seconds the oldest has waited. For the metrics.
CREATE OR REPLACE FUNCTION tidegate.webhook_backlog()
RETURNS TABLE (pending bigint, oldest_seconds bigint) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::bigint FROM tidegate.webhook_delivery WHERE state = 'pending';
$$;

REVOKE ALL ON FUNCTION tidegate.webhook_send, tidegate.webhook_test, tidegate.webhook_replay, tidegate.webhook_replay_since, tidegate.webhook_rotate,
	tidegate.webhook_enable, tidegate.webhook_disable, tidegate.webhook_record, tidegate.webhook_run_end, tidegate.webhook_backlog FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.webhook_test, tidegate.webhook_replay, tidegate.webhook_replay_since, tidegate.webhook_rotate, tidegate.webhook_enable,
	tidegate.webhook_disable, tidegate.webhook_backlog TO tidegate_api;
GRANT EXECUTE ON FUNCTION tidegate.webhook_disable, tidegate.webhook_record, tidegate.webhook_run_end TO tidegate_worker;
