-- Rows of synced tables that the server writes: imports, jobs, an operator's SQL. They are numbered by the clock of their scope as pushes are, under
-- its lock, so that devices get them with their next sync; a DELETE becomes a tombstone. A push numbers its rows itself and passes all of this by.

-- The number of this transaction in a scope. Taken once; other pushes of the scope wait from then on. Like a push, it keeps changes of the
-- app's catalogues out.
CREATE OR REPLACE FUNCTION tidegate.sync_clock(p_app text, p_scope text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	v_of text := pg_current_xact_id() || ' ' || p_app || ' ' || p_scope;
	v_version bigint;
BEGIN
	IF current_setting('tidegate.sync_clock_of', true) = v_of THEN
		RETURN current_setting('tidegate.sync_clock');
	END IF;
	PERFORM pg_advisory_xact_lock_shared(tidegate.sync_catalogue_lock(p_app));
	v_version := tidegate.sync_next(p_app, p_scope);
	PERFORM set_config('tidegate.sync_clock_of', v_of, true), set_config('tidegate.sync_clock', v_version::text, true);
	RETURN v_version;
END $$;

-- Trigger of synced tables that are no catalogues. Fires for rows that come without a number (0) or keep the one they had; what is written so is the
-- newest there is, by the device "server" unless it names another.
CREATE OR REPLACE FUNCTION tidegate.sync_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	v_app text := TG_ARGV[0];
	v_version bigint;
BEGIN
	IF TG_OP = 'DELETE' THEN
		EXECUTE format('UPDATE %I.%I SET deleted = true WHERE ctid = $1', TG_TABLE_SCHEMA, TG_TABLE_NAME) USING OLD.ctid;
		RETURN NULL;
	END IF;
	IF TG_OP = 'UPDATE' THEN
		IF NEW.sync_scope <> OLD.sync_scope THEN
			RAISE EXCEPTION 'Rows of synced tables go to another scope by tidegate.sync_move alone.' USING ERRCODE = 'insufficient_privilege';
		END IF;
		-- A push goes over a row twice: it has this transaction's number.
		IF EXISTS (SELECT FROM tidegate.sync_scope s WHERE s.app = v_app AND s.scope = NEW.sync_scope AND s.version = NEW.server_seq AND s.xmin = pg_current_xact_id()::xid) THEN
			RETURN NEW;
		END IF;
	END IF;
	v_version := tidegate.sync_clock(v_app, NEW.sync_scope);
	NEW.server_seq := v_version;
	IF TG_OP = 'UPDATE' THEN
		NEW.last_modified_at := GREATEST(v_version, OLD.last_modified_at + 1);
		IF NEW.device_id = OLD.device_id THEN
			NEW.device_id := 'server';
		END IF;
	ELSE
		IF NEW.last_modified_at = 0 THEN
			NEW.last_modified_at := v_version;
		END IF;
		IF NEW.device_id = '' THEN
			NEW.device_id := 'server';
		END IF;
	END IF;
	RETURN NEW;
END $$;

-- Trigger: the key of a synced row stays. Devices would keep the row under the old one.
CREATE OR REPLACE FUNCTION tidegate.sync_key_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'The key of a row of a synced table cannot be changed: insert another row and delete this one.' USING ERRCODE = 'TG409';
END $$;

-- ------------------------------------------------------------------------------------------------------------------- datasets

-- The device of tombstones that are rows of an import which another one has replaced. They are not collected with the others: somebody may go back to it.
CREATE OR REPLACE FUNCTION tidegate.dataset_replaced() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '~replaced' $$;

-- Tables of an app whose rows are an import's, and synced.
CREATE OR REPLACE FUNCTION tidegate.dataset_tables(p_app text) RETURNS SETOF regclass LANGUAGE sql STABLE SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident(p_app)) AND c.relkind = 'r'
	AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('dataset_id', 'sync_scope') AND NOT a.attisdropped) = 2 ORDER BY c.oid;
$$;

-- Devices get the rows of an import, or are told that they are gone: those they have deleted themselves stay so. Rows of a table go in one statement.
CREATE OR REPLACE FUNCTION tidegate.dataset_show(p_app text, p_space text, p_batch uuid, p_shown boolean)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	of_dataset regclass;
BEGIN
	FOR of_dataset IN SELECT * FROM tidegate.dataset_tables(p_app) LOOP
		EXECUTE format('UPDATE %s SET deleted = NOT $3, device_id = CASE WHEN $3 THEN ''server'' ELSE tidegate.dataset_replaced() END,
			last_modified_at = GREATEST($4, last_modified_at + 1), server_seq = $4 WHERE sync_scope = $1 AND dataset_id = $2 AND %s', of_dataset,
			CASE WHEN p_shown THEN 'deleted AND device_id = tidegate.dataset_replaced()' ELSE 'NOT deleted' END)
			USING p_space, p_batch, p_shown, tidegate.sync_clock(p_app, p_space);
	END LOOP;
END $$;

-- The rows of an import go for good. A device that was last here before they were out of sight starts anew (the floor of its scope).
CREATE OR REPLACE FUNCTION tidegate.dataset_remove(p_app text, p_space text, p_batch uuid)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	of_dataset regclass;
	v_last bigint;
	v_floor bigint := 0;
BEGIN
	PERFORM tidegate.dataset_show(p_app, p_space, p_batch, false);
	FOR of_dataset IN SELECT * FROM tidegate.dataset_tables(p_app) LOOP
		EXECUTE format('WITH gone AS (DELETE FROM %s WHERE sync_scope = $1 AND dataset_id = $2 AND deleted RETURNING server_seq) SELECT max(server_seq) FROM gone', of_dataset)
			INTO v_last USING p_space, p_batch;
		v_floor := GREATEST(v_floor, v_last);
	END LOOP;
	UPDATE tidegate.sync_scope SET floor = v_floor WHERE app = p_app AND scope = p_space AND floor < v_floor;
END $$;

REVOKE ALL ON FUNCTION tidegate.sync_clock, tidegate.sync_stamp, tidegate.sync_key_stays, tidegate.dataset_show, tidegate.dataset_remove FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.sync_clock, tidegate.dataset_show TO tidegate_api, tidegate_worker;
