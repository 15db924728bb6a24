-- Profiles: what is made of the mirror of a known kind of database. A profile is a declaration, below, of the tables it knows and of
-- the names under which files have them; sqlite_stage makes typed source tables of it; a function of its own refines those.

-- Names are compared in lower case and without underscores: leagueFk, league_fk and LEAGUEFK are one. Types: integer, real, text,
-- boolean, time (seconds or milliseconds since 1970, or ISO 8601) and key (an integer or a text that names a row). Tables marked needed
-- and the columns in `needed` must be there. A table with `into` is refined as declared: its columns go to the columns of that name,
-- those in `refs` as the id of the row they name; rows that lack a value of `must` stay in the mirror alone. `others`: programs that
-- use the same file names.
CREATE OR REPLACE FUNCTION tidegate.sqlite_profile(p_name text)
RETURNS jsonb LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
	SELECT CASE p_name WHEN 'bowling' THEN $json${
	"refine": "bowling_refine",
	"others": [{"code": "bowling_scorer", "tables": ["T_Games", "T_Event"]}],
	"tables": {
		"house": {"needed": true, "columns": {"id": ["key", "id", "pk"], "name": ["text", "name"], "location": ["text", "location"]}},
		"pattern": {"needed": true, "columns": {"id": ["key", "id", "pk"], "name": ["text", "name"], "length": ["integer", "length"]}},
		"ball": {"needed": true, "columns": {"id": ["key", "id", "pk"], "name": ["text", "name"], "brand": ["text", "brand"],
			"coverstock": ["text", "coverstock"], "sort_order": ["integer", "sortorder"]}},
		"league": {"needed": true, "columns": {"id": ["key", "id", "pk"], "ball": ["key", "ballfk", "ballid"], "pattern": ["key", "patternfk", "patternid"],
			"house": ["key", "housefk", "houseid"], "name": ["text", "name"], "games": ["integer", "games"], "notes": ["text", "notes"],
			"sort_order": ["integer", "sortorder"], "flags": ["integer", "flags"]}},
		"week": {"needed": true, "columns": {"id": ["key", "id", "pk"], "league": ["key", "leaguefk", "leagueid"], "ball": ["key", "ballfk", "ballid"],
			"pattern": ["key", "patternfk", "patternid"], "house": ["key", "housefk", "houseid"], "date": ["real", "date"], "notes": ["text", "notes"],
			"lane": ["integer", "lane"]}},
		"game": {"needed": true, "columns": {"id": ["key", "id", "pk"], "week": ["key", "weekfk", "weekid"], "league": ["key", "leaguefk", "leagueid"],
			"ball": ["key", "ballfk", "ballid"], "pattern": ["key", "patternfk", "patternid"], "house": ["key", "housefk", "houseid"],
			"score": ["integer", "score"], "frame": ["integer", "frame"], "flags": ["integer", "flags"],
			"single_pin_spare_score": ["integer", "singlepinsparescore"], "notes": ["text", "notes"], "lane": ["integer", "lane"], "date": ["real", "date"]}},
		"frame": {"needed": true, "columns": {"id": ["key", "id", "pk"], "game": ["key", "gamefk", "gameid"], "ball": ["key", "ballfk", "ballid"],
			"frame_num": ["integer", "framenum", "framenumber"], "pins": ["integer", "pins"], "scores": ["integer", "scores"], "score": ["integer", "score"],
			"flags": ["integer", "flags"], "pocket": ["integer", "pocket"], "foot_board": ["integer", "footboard"], "target_board": ["integer", "targetboard"]}},
		"bj_session_ext": {"columns": {"id": ["key", "weekfk", "weekid"], "lane_context": ["text", "lanecontextjson"], "notes_json": ["text", "notesjson"]}},
		"bj_game_ext": {"columns": {"id": ["key", "gamefk", "gameid"], "lane_context": ["text", "lanecontextjson"], "ball_switches": ["text", "ballswitchesjson"],
			"handicap": ["integer", "handicap"], "notes_json": ["text", "notesjson"]}}
	},
	"needed": ["house.id", "pattern.id", "ball.id", "league.id", "week.id", "game.id", "game.week", "frame.game", "frame.frame_num", "frame.pins"]
}$json$::jsonb WHEN 'venue' THEN $json${
	"refine": "sqlite_refine_declared",
	"tables": {
		"settings": {"into": "setting", "columns": {"id": ["key", "key"], "value": ["text", "value"]}},
		"packages": {"into": "package", "must": ["name"], "columns": {"id": ["key", "id", "pk"], "name": ["text", "name"], "name_ar": ["text", "namear"],
			"price_le": ["integer", "pricele"], "bytes_limit": ["integer", "byteslimit"],
			"time_limit": ["text", "timelimit"], "profile": ["text", "profile"], "server": ["text", "server"],
			"sort_order": ["integer", "sortorder"]}},
		"ps_stations": {"needed": true, "into": "station", "must": ["name"], "columns": {"id": ["key", "id", "pk"], "station_id": ["text", "stationid"], "name": ["text", "name"],
			"name_ar": ["text", "namear"], "mac": ["text", "mac", "macaddress"], "hourly_rate": ["integer", "hourlyrate"],
			"hourly_rate_multi": ["integer", "hourlyratemulti"], "status": ["text", "status"],
			"monitor_ip": ["text", "monitorip"], "monitor_port": ["integer", "monitorport"],
			"monitor_type": ["text", "monitortype"], "timer_end_action": ["text", "timerendaction"],
			"hdmi_input": ["text", "hdmiinput"], "sort_order": ["integer", "sortorder"],
			"is_online": ["boolean", "isonline"], "has_internet": ["boolean", "hasinternet"]}},
		"ps_menu_items": {"into": "lounge_menu_item", "must": ["name"], "columns": {"id": ["key", "id", "pk"], "name": ["text", "name"], "name_ar": ["text", "namear"],
			"category": ["text", "category"], "price": ["integer", "price"],
			"is_available": ["boolean", "isavailable", "available"], "sort_order": ["integer", "sortorder"]}},
		"ps_sessions": {"needed": true, "into": "session", "must": ["started_at"], "refs": {"station_id": "ps_stations"}, "columns": {"id": ["key", "id", "pk"], "station_id": ["key", "stationid", "station"], "started_at": ["time", "startedat"],
			"ended_at": ["time", "endedat"], "hourly_rate_snapshot": ["integer", "hourlyratesnapshot"],
			"total_cost": ["integer", "totalcost"], "orders_cost": ["integer", "orderscost"],
			"extra_charges": ["integer", "extracharges"], "transferred_cost": ["integer", "transferredcost"],
			"current_mode": ["text", "currentmode"], "started_by": ["text", "startedby"],
			"timer_minutes": ["integer", "timerminutes"], "timer_notified": ["boolean", "timernotified"],
			"cost_limit_piasters": ["integer", "costlimitpiasters"],
			"cost_limit_notified": ["boolean", "costlimitnotified"], "paused_at": ["time", "pausedat"],
			"total_paused_ms": ["integer", "totalpausedms"], "notes": ["text", "notes"]}},
		"ps_session_segments": {"into": "session_segment", "must": ["started_at"], "refs": {"session_id": "ps_sessions"}, "columns": {"id": ["key", "id", "pk"], "session_id": ["key", "sessionid", "session"], "mode": ["text", "mode"],
			"started_at": ["time", "startedat"], "ended_at": ["time", "endedat"],
			"hourly_rate_snapshot": ["integer", "hourlyratesnapshot"]}},
		"ps_session_orders": {"into": "session_order", "refs": {"session_id": "ps_sessions", "menu_item_id": "ps_menu_items"}, "columns": {"id": ["key", "id", "pk"], "session_id": ["key", "sessionid", "session"],
			"menu_item_id": ["key", "menuitemid", "menuitem"], "quantity": ["integer", "quantity"],
			"price_snapshot": ["integer", "pricesnapshot"], "created_at": ["time", "createdat"]}},
		"ps_session_charges": {"into": "session_charge", "must": ["amount"], "refs": {"session_id": "ps_sessions"}, "columns": {"id": ["key", "id", "pk"], "session_id": ["key", "sessionid", "session"], "amount": ["integer", "amount"],
			"reason": ["text", "reason"]}},
		"ps_session_transfers": {"into": "session_transfer", "refs": {"from_session_id": "ps_sessions", "to_session_id": "ps_sessions", "from_station_id": "ps_stations"}, "columns": {"id": ["key", "id", "pk"], "from_session_id": ["key", "fromsessionid", "fromsession", "from"],
			"to_session_id": ["key", "tosessionid", "tosession", "to"],
			"from_station_id": ["key", "fromstationid", "fromstation"], "gaming": ["integer", "gaming", "gamingamount"],
			"orders": ["integer", "orders", "ordersamount"], "total": ["integer", "total", "totalamount"]}},
		"fnb_sales": {"into": "sale", "must": ["sold_at"], "refs": {"menu_item_id": "ps_menu_items"}, "columns": {"id": ["key", "id", "pk"], "menu_item_id": ["key", "menuitemid", "menuitem"],
			"quantity": ["integer", "quantity"], "price_snapshot": ["integer", "pricesnapshot"],
			"sold_at": ["time", "soldat"]}},
		"expenses": {"into": "expense", "must": ["amount"], "columns": {"id": ["key", "id", "pk"], "type": ["text", "type"], "category": ["text", "category"],
			"amount": ["integer", "amount"], "is_active": ["boolean", "isactive"]}},
		"unified_daily_stats": {"into": "daily_stat", "must": ["date"], "columns": {"id": ["key", "id", "pk"], "date": ["text", "date"], "wifi_revenue": ["integer", "wifirevenue"],
			"wifi_vouchers_sold": ["integer", "wifivoucherssold"], "wifi_data_sold": ["integer", "wifidatasold"],
			"wifi_data_used": ["integer", "wifidataused"], "ps_gaming_revenue": ["integer", "psgamingrevenue"],
			"ps_sessions": ["integer", "pssessions"], "ps_minutes": ["integer", "psminutes"],
			"ps_orders_revenue": ["integer", "psordersrevenue"], "fnb_revenue": ["integer", "fnbrevenue"],
			"fnb_items_sold": ["integer", "fnbitemssold"]}},
		"printed_vouchers": {"into": "printed_voucher", "must": ["voucher_code"], "columns": {"id": ["key", "id", "pk"], "voucher_code": ["text", "vouchercode"], "printed_at": ["time", "printedat"]}},
		"voucher_usage": {"into": "voucher_usage", "must": ["voucher_code"], "columns": {"id": ["key", "id", "pk"], "voucher_code": ["text", "vouchercode"], "mac": ["text", "mac"],
			"device_name": ["text", "devicename"], "ip": ["text", "ip"],
			"first_connected_at": ["time", "firstconnectedat"], "last_connected_at": ["time", "lastconnectedat"],
			"total_bytes": ["integer", "totalbytes"]}}
	},
	"needed": ["ps_stations.id", "ps_sessions.id", "ps_sessions.station_id", "ps_sessions.started_at"]
}$json$::jsonb END;
$$;

CREATE OR REPLACE FUNCTION tidegate.sqlite_name(p_name text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT lower(replace(p_name, '_', '') COLLATE "C");
$$;

-- A cell as a value of a kind; NULL when it is none. Not every text that looks like a number is one: as SQLite itself would read it.
CREATE OR REPLACE FUNCTION tidegate.cell_integer(p_class text, p_cell text)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE p_class WHEN 'i' THEN p_cell::bigint
		WHEN 'r' THEN CASE WHEN p_cell::float8 = trunc(p_cell::float8) AND abs(p_cell::float8) < 9.2e18 THEN p_cell::float8::bigint END
		WHEN 't' THEN CASE WHEN p_cell ~ '^\s*[+-]?[0-9]{1,18}\s*$' THEN p_cell::bigint END END;
$$;
CREATE OR REPLACE FUNCTION tidegate.cell_real(p_class text, p_cell text)
RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN p_class IN ('i', 'r') THEN p_cell::float8
		WHEN p_class = 't' AND p_cell ~ '^\s*[+-]?[0-9]{1,30}(\.[0-9]{1,30})?\s*$' THEN p_cell::float8 END;
$$;
CREATE OR REPLACE FUNCTION tidegate.cell_text(p_class text, p_cell text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN p_class IN ('t', 'i', 'r') THEN p_cell END;
$$;
CREATE OR REPLACE FUNCTION tidegate.cell_boolean(p_class text, p_cell text)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN p_class IN ('i', 'r') THEN p_cell::float8 <> 0
		WHEN p_class = 't' AND lower(p_cell) IN ('1', 'true', 'yes') THEN true WHEN p_class = 't' AND lower(p_cell) IN ('0', 'false', 'no') THEN false END;
$$;
-- Numbers from 1e11 on are milliseconds (of 1973 and later); times without an offset are UTC.
CREATE OR REPLACE FUNCTION tidegate.cell_time(p_class text, p_cell text)
RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog SET timezone = 'UTC' AS $$
BEGIN
	RETURN CASE WHEN p_class IN ('i', 'r') THEN (SELECT CASE WHEN s BETWEEN 0 AND 4102444800 THEN to_timestamp(s) END
			FROM (SELECT CASE WHEN p_cell::float8 >= 1e11 THEN p_cell::float8 / 1000 ELSE p_cell::float8 END AS s) x)
		WHEN p_class = 't' AND p_cell ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$'
			THEN p_cell::timestamptz END;
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END $$;
-- What names a row: 12, 12.0 and '12' are one.
CREATE OR REPLACE FUNCTION tidegate.cell_key(p_class text, p_cell text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE p_class WHEN 'i' THEN p_cell WHEN 'r' THEN coalesce(tidegate.cell_integer('r', p_cell)::text, p_cell)
		WHEN 't' THEN coalesce(tidegate.cell_integer('t', p_cell)::text, CASE WHEN length(p_cell) BETWEEN 1 AND 200 THEN p_cell END) END;
$$;

-- JSON of a text, NULL when it is none.
CREATE OR REPLACE FUNCTION tidegate.json_of(p_text text)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
	RETURN CASE WHEN length(p_text) BETWEEN 2 AND 100000 THEN p_text::jsonb END;
EXCEPTION WHEN data_exception OR statement_too_complex THEN
	RETURN NULL;
END $$;

-- The id of a refined row: the same for the same row of the same batch.
CREATE OR REPLACE FUNCTION tidegate.dataset_uuid(p_batch uuid, p_table text, p_key text)
RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT md5(p_batch::text || p_table || ':' || p_key)::uuid;
$$;

-- Where a profile's tables and columns stand in a batch: table_no and the position of each column, NULL where there is none. The table
-- or column whose very name it is goes before one that is only alike.
CREATE OR REPLACE FUNCTION tidegate.sqlite_places(p_no bigint, p_profile jsonb)
RETURNS TABLE (source text, needed boolean, table_no int, col text, kind text, place int) LANGUAGE sql STABLE SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT d.key, coalesce((d.value ->> 'needed')::boolean, false), f.table_no, c.key, c.value ->> 0,
	       (SELECT x.place::int FROM jsonb_array_elements(f.columns) WITH ORDINALITY AS x (item, place)
	        WHERE tidegate.sqlite_name(x.item ->> 'name') IN (SELECT n FROM jsonb_array_elements_text(c.value - 0) AS n)
	        ORDER BY lower(x.item ->> 'name') = c.key DESC, x.place LIMIT 1)
	FROM jsonb_each(p_profile -> 'tables') AS d
	CROSS JOIN LATERAL jsonb_each(d.value -> 'columns') AS c
	LEFT JOIN LATERAL (SELECT t.table_no, t.columns FROM tidegate.sqlite_table t
		WHERE t.batch_no = p_no AND tidegate.sqlite_name(t.name) = tidegate.sqlite_name(d.key) ORDER BY lower(t.name) = d.key DESC, t.table_no LIMIT 1) AS f ON true;
$$;

-- Is this a file of the profile? No row: it is. Otherwise a code (missing_tables, missing_columns, other_program) and what it is about.
CREATE OR REPLACE FUNCTION tidegate.sqlite_trouble(p_no bigint)
RETURNS TABLE (code text, detail jsonb) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	b tidegate.sqlite_batch;
	profile jsonb;
	missing jsonb;
BEGIN
	SELECT * INTO b FROM tidegate.sqlite_batch WHERE no = p_no;
	profile := tidegate.sqlite_profile(b.profile);
	IF profile IS NULL THEN
		RETURN;
	END IF;
	SELECT jsonb_agg(DISTINCT source) INTO missing FROM tidegate.sqlite_places(p_no, profile) p WHERE p.needed AND p.table_no IS NULL;
	IF missing IS NOT NULL THEN
		RETURN QUERY SELECT 'other_program', jsonb_build_object('program', o ->> 'code', 'tables', missing) FROM jsonb_array_elements(profile -> 'others') AS o
			WHERE NOT EXISTS (SELECT FROM jsonb_array_elements_text(o -> 'tables') AS n
				WHERE NOT EXISTS (SELECT FROM tidegate.sqlite_table t WHERE t.batch_no = p_no AND lower(t.name) = lower(n)));
		IF NOT FOUND THEN
			RETURN QUERY SELECT 'missing_tables', jsonb_build_object('tables', missing);
		END IF;
		RETURN;
	END IF;
	SELECT jsonb_agg(source || '.' || col) INTO missing FROM tidegate.sqlite_places(p_no, profile) p
	WHERE p.table_no IS NOT NULL AND p.place IS NULL AND profile -> 'needed' ? (source || '.' || col);
	IF missing IS NOT NULL THEN
		RETURN QUERY SELECT 'missing_columns', jsonb_build_object('columns', missing);
	END IF;
END $$;

-- Warnings of a refinement, one row per occasion; they are shown by code and place, with their number.
CREATE OR REPLACE FUNCTION tidegate.sqlite_warn(p_code text, p_place text, p_count bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	IF p_count > 0 THEN
		INSERT INTO src_warning VALUES (p_code, p_place, p_count);
	END IF;
END $$;

-- Source tables src_NAME (row_no and the declared columns, typed) of the rows of a batch, and src_warning; all go with the
-- transaction. A table that the file does not have is empty. A row without its id, or with one that came before, is left out with a
-- warning, and a cell that is no value of its column's type is NULL with one.
CREATE OR REPLACE FUNCTION tidegate.sqlite_stage(p_no bigint, p_profile jsonb)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	t record;
	names text[];
	list text;
	odd bigint[];
	n bigint;
BEGIN
	CREATE TEMP TABLE src_warning (code text, place text, n bigint) ON COMMIT DROP;
	FOR t IN SELECT p.source, p.table_no, string_agg(CASE WHEN p.place IS NULL THEN format('NULL::%s AS %I',
				CASE p.kind WHEN 'integer' THEN 'bigint' WHEN 'real' THEN 'float8' WHEN 'boolean' THEN 'boolean' WHEN 'time' THEN 'timestamptz' ELSE 'text' END,
				p.col)
			ELSE format('tidegate.%I(substr(r.classes, %s, 1), r.cells[%s]) AS %I', 'cell_' || p.kind, p.place, p.place, p.col) END, ', ') AS list,
			bool_or(p.col = 'id' AND p.place IS NOT NULL) AS has_id
		FROM tidegate.sqlite_places(p_no, p_profile) p GROUP BY 1, 2 LOOP
		IF t.table_no IS NULL THEN
			EXECUTE format('CREATE TEMP TABLE %I ON COMMIT DROP AS SELECT row_no, %s FROM tidegate.sqlite_row r WHERE false', 'src_' || t.source, t.list);
			CONTINUE;
		END IF;
		EXECUTE format('CREATE TEMP TABLE %I ON COMMIT DROP AS SELECT r.row_no, %s FROM tidegate.sqlite_row r WHERE r.batch_no = %s AND r.table_no = %s
			ORDER BY r.row_no', 'src_' || t.source, t.list, p_no, t.table_no);
		SELECT array_agg(t.source || '.' || p.col ORDER BY p.place), string_agg(format('count(*) FILTER (WHERE substr(r.classes, %s, 1) NOT IN (''n'', %L)
				AND tidegate.%I(substr(r.classes, %s, 1), r.cells[%s]) IS NULL)', p.place, CASE p.kind WHEN 'text' THEN 't' ELSE 'i' END,
				'cell_' || p.kind, p.place, p.place), ', ' ORDER BY p.place)
		INTO names, list FROM tidegate.sqlite_places(p_no, p_profile) p WHERE p.source = t.source AND p.place IS NOT NULL;
		EXECUTE format('SELECT ARRAY[%s] FROM tidegate.sqlite_row r WHERE r.batch_no = %s AND r.table_no = %s', list, p_no, t.table_no) INTO odd;
		PERFORM tidegate.sqlite_warn('unexpected_value', names[i], odd[i]) FROM generate_subscripts(odd, 1) AS i WHERE odd[i] > 0;
		IF t.has_id THEN
			EXECUTE format('DELETE FROM %I WHERE id IS NULL', 'src_' || t.source);
			GET DIAGNOSTICS n = ROW_COUNT;
			PERFORM tidegate.sqlite_warn('row_without_id', t.source, n);
			EXECUTE format('DELETE FROM %I a USING (SELECT id, min(row_no) AS first FROM %I GROUP BY id HAVING count(*) > 1) d
				WHERE a.id = d.id AND a.row_no <> d.first', 'src_' || t.source, 'src_' || t.source);
			GET DIAGNOSTICS n = ROW_COUNT;
			PERFORM tidegate.sqlite_warn('duplicate_id', t.source, n);
		END IF;
		EXECUTE format('ANALYZE %I', 'src_' || t.source);
	END LOOP;
END $$;

-- Refinement of profiles whose tables say themselves where their rows go.
CREATE OR REPLACE FUNCTION tidegate.sqlite_refine_declared(p_no bigint, p_profile jsonb)
RETURNS jsonb LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	b tidegate.sqlite_batch;
	t record;
	r record;
	counts jsonb := '{}';
	n bigint;
BEGIN
	SELECT * INTO b FROM tidegate.sqlite_batch WHERE no = p_no;
	FOR t IN SELECT d.key AS source, ARRAY(SELECT jsonb_array_elements_text(d.value -> 'must')) AS must FROM jsonb_each(p_profile -> 'tables') AS d WHERE d.value ? 'into' LOOP
		EXECUTE format('DELETE FROM %I WHERE %s', 'src_' || t.source, coalesce((SELECT string_agg(format('%I IS NULL', m), ' OR ') FROM unnest(t.must) AS m), 'false'));
		GET DIAGNOSTICS n = ROW_COUNT;
		PERFORM tidegate.sqlite_warn('value_missing', t.source, n);
	END LOOP;
	-- What was left out cannot be referred to: only now.
	FOR t IN SELECT d.key AS source, d.value ->> 'into' AS target, d.value -> 'columns' AS columns, coalesce(d.value -> 'refs', '{}') AS refs
			FROM jsonb_each(p_profile -> 'tables') AS d WHERE d.value ? 'into' LOOP
		FOR r IN SELECT x.key AS col, x.value AS target FROM jsonb_each_text(t.refs) AS x LOOP
			EXECUTE format('SELECT count(*) FROM %I s WHERE s.%I IS NOT NULL AND NOT EXISTS (SELECT FROM %I p WHERE p.id = s.%I)', 'src_' || t.source, r.col,
				'src_' || r.target, r.col) INTO n;
			PERFORM tidegate.sqlite_warn('unknown_reference', t.source || '.' || r.col, n);
		END LOOP;
		EXECUTE (SELECT format('INSERT INTO %I.%I (id, sync_scope, server_seq, last_modified_at, device_id, dataset_id, source_id%s) SELECT tidegate.dataset_uuid($1, %L, s.id), $2, $3, $3, ''server'', $1, s.id%s FROM %I s',
			b.profile, t.target, string_agg(format(', %I', c), '' ORDER BY c), t.source,
			string_agg(CASE WHEN t.refs ? c THEN format(', (SELECT tidegate.dataset_uuid($1, %L, p.id) FROM %I p WHERE p.id = s.%I)', t.refs ->> c, 'src_' || (t.refs ->> c), c)
				ELSE format(', s.%I', c) END, '' ORDER BY c), 'src_' || t.source)
			FROM jsonb_object_keys(t.columns) AS c WHERE c <> 'id') USING b.id, b.space, tidegate.sync_clock(b.profile, b.space);
		GET DIAGNOSTICS n = ROW_COUNT;
		counts := counts || jsonb_build_object(t.target, n);
	END LOOP;
	RETURN jsonb_build_object('refined', counts);
END $$;

-- Makes refined rows of a mirrored batch, after its profile, under the scope of the batch's owner. What there is to say of it, counts and
-- warnings, is left in src_result for sqlite_complete, which locks the batch.
CREATE OR REPLACE FUNCTION tidegate.sqlite_refine(p_no bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	b tidegate.sqlite_batch;
	profile jsonb;
	refined jsonb := '{}';
BEGIN
	SELECT * INTO b FROM tidegate.sqlite_batch WHERE no = p_no;
	profile := tidegate.sqlite_profile(b.profile);
	PERFORM tidegate.sqlite_stage(p_no, coalesce(profile, '{"tables": {}}'));
	PERFORM tidegate.sqlite_warn('row_too_large', t.name, t.left_out) FROM tidegate.sqlite_table t WHERE t.batch_no = p_no;
	PERFORM tidegate.sqlite_warn(CASE x.item ->> 'type' WHEN 'view' THEN 'view_left_out' ELSE 'virtual_table_left_out' END, x.item ->> 'name', 1)
		FROM jsonb_array_elements(coalesce(b.format -> 'leftOut', '[]')) AS x (item);
	IF profile IS NOT NULL THEN
		EXECUTE format('SELECT tidegate.%I($1, $2)', profile ->> 'refine') INTO refined USING p_no, profile;
	END IF;
	CREATE TEMP TABLE src_result ON COMMIT DROP AS
	SELECT jsonb_build_object('tables', (SELECT coalesce(jsonb_object_agg(name, rows), '{}') FROM tidegate.sqlite_table WHERE batch_no = p_no),
			'rows', b.rows_total, 'warnings', (SELECT coalesce(sum(w.n), 0) FROM src_warning w)) || refined AS counts,
		(SELECT coalesce(jsonb_agg(jsonb_build_object('code', code, 'place', place, 'count', n) ORDER BY n DESC, code, place), '[]')
			FROM (SELECT code, place, sum(n) AS n FROM src_warning GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 200) w) AS warnings;
END $$;

REVOKE ALL ON FUNCTION tidegate.sqlite_trouble, tidegate.sqlite_stage, tidegate.sqlite_refine_declared, tidegate.sqlite_refine, tidegate.sqlite_warn, tidegate.sqlite_places FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.sqlite_trouble, tidegate.sqlite_stage, tidegate.sqlite_refine_declared, tidegate.sqlite_refine, tidegate.sqlite_warn, tidegate.sqlite_places TO tidegate_worker;
