-- The clocks of sync. A scope's clock is a microsecond clock that never steps back: the later of the machine's time and one more than before.

CREATE OR REPLACE FUNCTION tidegate.sync_now() RETURNS bigint LANGUAGE sql VOLATILE AS $$
	SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$;

-- Changes of an app's catalogues and syncs of the app exclude each other; syncs do not exclude syncs.
CREATE OR REPLACE FUNCTION tidegate.sync_catalogue_lock(p_app text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
	SELECT hashtextextended('tidegate.sync_catalogue.' || p_app, 0)
$$;

-- A scope's clock is made when the scope is first heard of. Its floor is its beginning: whoever claims to have synced before that has
-- synced with a database that is no more.
CREATE OR REPLACE FUNCTION tidegate.sync_make(p_app text, p_scope text, p_catalogue bigint) RETURNS void LANGUAGE sql AS $$
	INSERT INTO tidegate.sync_scope (app, scope, version, floor)
	SELECT p_app, p_scope, n, n FROM GREATEST(tidegate.sync_now(), p_catalogue + 1) AS n ON CONFLICT DO NOTHING
$$;

-- Begins a push: waits for the scope, gives it its next version. prior: the version before. A request that was answered before gives
-- what was said then (result, and the digest it was made with) and takes no new version.
CREATE OR REPLACE FUNCTION tidegate.sync_enter(p_app text, p_scope text, p_catalogue boolean, p_device text, p_request text)
RETURNS TABLE (prior bigint, version bigint, floor bigint, catalogue bigint, digest text, result jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	v_prior bigint;
	v_floor bigint;
	v_catalogue bigint := 0;
	v_version bigint;
BEGIN
	IF p_catalogue THEN
		PERFORM pg_advisory_xact_lock_shared(tidegate.sync_catalogue_lock(p_app));
		SELECT c.version INTO v_catalogue FROM tidegate.sync_catalogue c WHERE c.app = p_app;
		v_catalogue := coalesce(v_catalogue, 0);
	END IF;
	LOOP
		SELECT s.version, s.floor INTO v_prior, v_floor FROM tidegate.sync_scope s WHERE s.app = p_app AND s.scope = p_scope FOR UPDATE;
		EXIT WHEN FOUND;
		PERFORM tidegate.sync_make(p_app, p_scope, v_catalogue);
	END LOOP;
	IF p_request IS NOT NULL THEN
		RETURN QUERY SELECT v_prior, v_prior, v_floor, v_catalogue, r.digest, r.result FROM tidegate.sync_request r
			WHERE r.app = p_app AND r.scope = p_scope AND r.device_id = p_device AND r.request_id = p_request;
		IF FOUND THEN
			RETURN;
		END IF;
	END IF;
	UPDATE tidegate.sync_scope s SET version = GREATEST(v_prior + 1, tidegate.sync_now(), v_catalogue + 1)
		WHERE s.app = p_app AND s.scope = p_scope RETURNING s.version INTO v_version;
	RETURN QUERY SELECT v_prior, v_version, v_floor, v_catalogue, NULL::text, NULL::jsonb;
END $$;

-- Begins a pull. Nothing is locked but, shared, the catalogues where there are any. A scope that was never heard of gets its clock.
CREATE OR REPLACE FUNCTION tidegate.sync_look(p_app text, p_scope text, p_catalogue boolean)
RETURNS TABLE (version bigint, floor bigint, catalogue bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	v_catalogue bigint := 0;
BEGIN
	IF p_catalogue THEN
		PERFORM pg_advisory_xact_lock_shared(tidegate.sync_catalogue_lock(p_app));
		SELECT c.version INTO v_catalogue FROM tidegate.sync_catalogue c WHERE c.app = p_app;
		v_catalogue := coalesce(v_catalogue, 0);
	END IF;
	LOOP
		RETURN QUERY SELECT s.version, s.floor, v_catalogue FROM tidegate.sync_scope s WHERE s.app = p_app AND s.scope = p_scope;
		EXIT WHEN FOUND;
		PERFORM tidegate.sync_make(p_app, p_scope, v_catalogue);
	END LOOP;
END $$;

-- Trigger of catalogue tables: numbers a change, turns a delete into a tombstone. The number is higher than every version that any scope of
-- the app has had, and no sync of the app runs until the change is committed: whoever asks with a time given out before gets the change.
-- With the owner's rights, because the clocks of all scopes are looked at.
CREATE OR REPLACE FUNCTION tidegate.sync_catalogue_stamp() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	v_app text := TG_ARGV[0];
	v_setting text := 'tidegate.sync_catalogue_' || v_app;
	v_made text := current_setting(v_setting, true);
	v_version bigint;
	v_where text;
BEGIN
	IF v_made IS NULL OR split_part(v_made, ' ', 1) <> pg_current_xact_id()::text THEN
		PERFORM pg_advisory_xact_lock(tidegate.sync_catalogue_lock(v_app));
		INSERT INTO tidegate.sync_catalogue AS c (app, version)
			SELECT v_app, GREATEST(tidegate.sync_now(), (SELECT coalesce(max(s.version), 0) + 1 FROM tidegate.sync_scope s WHERE s.app = v_app))
		ON CONFLICT (app) DO UPDATE SET version = GREATEST(c.version + 1, excluded.version) RETURNING c.version INTO v_version;
		PERFORM set_config(v_setting, pg_current_xact_id()::text || ' ' || v_version, true);
	ELSE
		v_version := split_part(v_made, ' ', 2)::bigint;
	END IF;
	IF TG_OP = 'DELETE' THEN
		IF NOT OLD.deleted THEN
			EXECUTE format('UPDATE %I.%I SET deleted = true WHERE ctid = $1', TG_TABLE_SCHEMA, TG_TABLE_NAME) USING OLD.ctid;
			RETURN NULL;
		END IF;
		RETURN OLD;
	END IF;
	NEW.server_seq := v_version;
	NEW.last_modified_at := v_version;
	RETURN NEW;
END $$;

REVOKE ALL ON FUNCTION tidegate.sync_catalogue_stamp FROM PUBLIC;
