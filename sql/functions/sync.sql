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
-- what was said then (result, and the digest it was made with). Every push runs this: each statement in it is one that cannot be spared,
-- because what is read behind a lock must be read by a statement that began behind it.
DROP FUNCTION IF EXISTS tidegate.sync_enter(text, text, boolean, text, text);
CREATE FUNCTION tidegate.sync_enter(p_app text, p_scope text, p_catalogue boolean, p_device text, p_request text,
	OUT prior bigint, OUT version bigint, OUT floor bigint, OUT catalogue bigint, OUT digest text, OUT result jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
	catalogue := 0;
	IF p_catalogue THEN
		PERFORM pg_advisory_xact_lock_shared(tidegate.sync_catalogue_lock(p_app));
		catalogue := coalesce((SELECT c.version FROM tidegate.sync_catalogue c WHERE c.app = p_app), 0);
	END IF;
	LOOP
		UPDATE tidegate.sync_scope s SET version = GREATEST(o.version + 1, tidegate.sync_now(), sync_enter.catalogue + 1)
		FROM (SELECT p.version, p.floor FROM tidegate.sync_scope p WHERE p.app = p_app AND p.scope = p_scope FOR UPDATE) AS o
		WHERE s.app = p_app AND s.scope = p_scope RETURNING o.version, s.version, o.floor INTO prior, version, floor;
		EXIT WHEN FOUND;
		PERFORM tidegate.sync_make(p_app, p_scope, catalogue);
	END LOOP;
	IF p_request IS NOT NULL THEN
		SELECT r.digest, r.result INTO digest, result FROM tidegate.sync_request r
		WHERE r.app = p_app AND r.scope = p_scope AND r.device_id = p_device AND r.request_id = p_request;
	END IF;
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

-- The next version of a scope, outside a push.
CREATE OR REPLACE FUNCTION tidegate.sync_next(p_app text, p_scope text) RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO tidegate.sync_scope AS s (app, scope, version, floor)
	SELECT p_app, p_scope, n, n FROM GREATEST(tidegate.sync_now(), (SELECT coalesce(max(c.version), 0) + 1 FROM tidegate.sync_catalogue c WHERE c.app = p_app)) AS n
	ON CONFLICT (app, scope) DO UPDATE SET version = GREATEST(s.version + 1, excluded.version) RETURNING s.version
$$;

-- Condition on the row t of a synced table: its key is that of the jsonb $2, its scope $1. / Its key as jsonb, and as it travels.
CREATE OR REPLACE FUNCTION tidegate.sync_key_parts(p_table regclass, OUT condition text, OUT names text, OUT columns int) LANGUAGE sql STABLE AS $$
	SELECT string_agg(format('t.%1$I = ($2->>%1$L)::%2$s', a.attname, format_type(a.atttypid, a.atttypmod)), ' AND ' ORDER BY k.n),
		string_agg(format('t.%I', a.attname), ', ' ORDER BY k.n), count(*)::int
	FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(attnum, n), pg_attribute a
	WHERE i.indisprimary AND i.indrelid = p_table AND a.attrelid = p_table AND a.attnum = k.attnum AND a.attname <> 'sync_scope'
$$;

-- Gives a row with everything that refers to it, directly or not, to another scope: the clients of the old one are sent deletes, those of the new
-- one the rows. p_key: the key as an object. Fails at the commit when a moved row refers to one that stays. Returns how many rows went.
CREATE OR REPLACE FUNCTION tidegate.sync_move(p_app text, p_table text, p_key jsonb, p_from text, p_to text) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	v_from bigint;
	v_to bigint;
	v_items jsonb[] := ARRAY[jsonb_build_object('table', p_table, 'key', p_key)];
	v_at int := 1;
	v_table regclass;
	v_key record;
	v_child record;
	v_found jsonb[];
	v_id text;
BEGIN
	-- In the order of their names, as everybody who takes two.
	IF p_from < p_to THEN
		v_from := tidegate.sync_next(p_app, p_from);
		v_to := tidegate.sync_next(p_app, p_to);
	ELSE
		v_to := tidegate.sync_next(p_app, p_to);
		v_from := tidegate.sync_next(p_app, p_from);
	END IF;
	WHILE v_at <= cardinality(v_items) LOOP
		v_table := format('%I.%I', p_app, v_items[v_at]->>'table')::regclass;
		SELECT * INTO v_key FROM tidegate.sync_key_parts(v_table);
		FOR v_child IN
			SELECT c.conrelid::regclass AS rel, r.relname, p.names,
				(SELECT string_agg(format('t.%I = parent.%I', f.attname, g.attname), ' AND ') FROM unnest(c.conkey, c.confkey) AS u(a, b)
					JOIN pg_attribute f ON f.attrelid = c.conrelid AND f.attnum = u.a JOIN pg_attribute g ON g.attrelid = c.confrelid AND g.attnum = u.b) AS joined
			FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid, LATERAL tidegate.sync_key_parts(c.conrelid::regclass) AS p
			WHERE c.contype = 'f' AND c.confrelid = v_table AND r.relnamespace = p_app::regnamespace
		LOOP
			EXECUTE format('SELECT array_agg(jsonb_build_object(''table'', %L::text, ''key'', (SELECT to_jsonb(k) FROM (SELECT %s) AS k))) '
				'FROM %s AS t JOIN (SELECT * FROM %s AS t WHERE t.sync_scope = $1 AND %s) AS parent ON %s',
				v_child.relname, v_child.names, v_child.rel, v_table, v_key.condition, v_child.joined) INTO v_found USING p_from, v_items[v_at]->'key';
			v_items := v_items || ARRAY(SELECT f FROM unnest(v_found) AS f WHERE NOT f = ANY (v_items));
		END LOOP;
		v_at := v_at + 1;
	END LOOP;
	FOR v_at IN 1 .. cardinality(v_items) LOOP
		v_table := format('%I.%I', p_app, v_items[v_at]->>'table')::regclass;
		SELECT * INTO v_key FROM tidegate.sync_key_parts(v_table);
		EXECUTE format('UPDATE %s AS t SET sync_scope = $3, server_seq = $4 WHERE t.sync_scope = $1 AND %s RETURNING %s', v_table, v_key.condition,
			CASE WHEN v_key.columns = 1 THEN v_key.names || '::text' ELSE format('(SELECT row_to_json(k) FROM (SELECT %s) AS k)::text', v_key.names) END)
			INTO v_id USING p_from, v_items[v_at]->'key', p_to, v_to;
		IF v_id IS NULL THEN
			RAISE EXCEPTION 'There is no row % of % in that scope.', v_items[v_at]->'key', v_table USING ERRCODE = 'TG404';
		END IF;
		DELETE FROM tidegate.sync_revoked WHERE app = p_app AND scope = p_to AND table_name = v_items[v_at]->>'table' AND row_id = v_id;
		INSERT INTO tidegate.sync_revoked (app, scope, table_name, row_id, row_key, server_seq)
			VALUES (p_app, p_from, v_items[v_at]->>'table', v_id, v_items[v_at]->'key', v_from)
			ON CONFLICT (app, scope, table_name, row_id) DO UPDATE SET server_seq = excluded.server_seq;
	END LOOP;
	RETURN cardinality(v_items);
END $$;

REVOKE ALL ON FUNCTION tidegate.sync_move FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.sync_move TO tidegate_worker;
