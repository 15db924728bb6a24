-- Profiles: what is made of the mirror of a known kind of database. A profile is a declaration, below, of the tables it knows and of
-- the names under which files have them; sqlite_stage makes typed source tables of it; a function of its own refines those.

-- Names are compared in lower case and without underscores: leagueFk, league_fk and LEAGUEFK are one. Types: integer, real, text, key
-- (an integer or a text that names a row). A table or column marked needed must be there. A table with `into` is refined as declared:
-- its columns go to columns of that table, `ref` ones as the id of the row they name. `others`: programs that use the same file names.
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
				CASE p.kind WHEN 'integer' THEN 'bigint' WHEN 'real' THEN 'float8' ELSE 'text' END, p.col)
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

REVOKE ALL ON FUNCTION tidegate.sqlite_trouble, tidegate.sqlite_stage, tidegate.sqlite_refine, tidegate.sqlite_warn, tidegate.sqlite_places FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.sqlite_trouble, tidegate.sqlite_stage, tidegate.sqlite_refine, tidegate.sqlite_warn, tidegate.sqlite_places TO tidegate_worker;
