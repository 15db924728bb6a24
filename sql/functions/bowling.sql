-- Refinement of bowling backups (PinPal and what writes like it): src_… tables (sqlite_profiles.sql) become rows of the app bowling.
-- The file says which pins stand; rolls, marks and scores follow from that.

-- Pins standing, bits 0 to 9 for pins 1 to 10.
CREATE OR REPLACE FUNCTION tidegate.bowling_standing(p_mask bigint)
RETURNS int LANGUAGE sql IMMUTABLE AS $$
	SELECT bit_count((p_mask & 1023)::int::bit(10))::int;
$$;

-- A split: the head pin is down, and those that stand fall into at least two groups of neighbours.
CREATE OR REPLACE FUNCTION tidegate.bowling_split(p_mask int)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
DECLARE
	-- the neighbours of pins 1 to 10: 2,3; 1,3,4,5; 1,2,5,6; 2,5,7,8; 2,3,4,6,8,9; 3,5,9,10; 4,8; 4,5,7,9; 5,6,8,10; 6,9
	near CONSTANT int[] := ARRAY[6, 29, 51, 210, 430, 788, 136, 344, 688, 288];
	grown int;
	before int := 0;
BEGIN
	IF p_mask & 1 = 1 OR p_mask & 1023 = 0 THEN
		RETURN false;
	END IF;
	grown := p_mask & -p_mask;
	WHILE grown <> before LOOP
		before := grown;
		FOR pin IN 0..9 LOOP
			IF before >> pin & 1 = 1 THEN
				grown := grown | near[pin + 1] & p_mask;
			END IF;
		END LOOP;
	END LOOP;
	RETURN grown <> p_mask;
END $$;

-- Lanes come in pairs: the context of the lane on which somebody began. NULL for what is no lane.
CREATE OR REPLACE FUNCTION tidegate.bowling_lane(p_lane bigint)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN p_lane BETWEEN 1 AND 99 THEN jsonb_build_object('startingLane', p_lane, 'leftLane', p_lane, 'rightLane', p_lane + 1,
		'lanePair', p_lane || '/' || p_lane + 1) END;
$$;

-- A text without blanks around it, NULL when nothing is left.
CREATE OR REPLACE FUNCTION tidegate.bowling_text(p_text text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT nullif(btrim(p_text, E' \t\r\n'), '');
$$;

-- What makes names one, whatever their case. An index takes no more than some 2 600 bytes.
CREATE OR REPLACE FUNCTION tidegate.bowling_key(p_name text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN octet_length(p_name) <= 800 THEN lower(p_name) ELSE left(lower(p_name), 200) || ' ' || md5(lower(p_name)) END;
$$;

-- How a ball is written: X, /, - or its pins.
CREATE OR REPLACE FUNCTION tidegate.bowling_mark(p_pins int)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE p_pins WHEN 10 THEN 'X' WHEN 0 THEN '-' ELSE p_pins::text END;
$$;

-- Houses and patterns are the space's, known by their names in lower case.
CREATE OR REPLACE FUNCTION tidegate.bowling_places(p_space text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	INSERT INTO bowling.house (id, sync_scope, name, name_key, location, created_at)
	SELECT DISTINCT ON (tidegate.bowling_key(name)) gen_random_uuid(), p_space, name, tidegate.bowling_key(name), tidegate.bowling_text(location), now()
	FROM (SELECT tidegate.bowling_text(name) AS name, location, row_no FROM src_house) h WHERE name IS NOT NULL ORDER BY tidegate.bowling_key(name), row_no
	ON CONFLICT (sync_scope, name_key) WHERE NOT deleted DO NOTHING;
	INSERT INTO bowling.pattern (id, sync_scope, name, name_key, length, created_at)
	SELECT DISTINCT ON (tidegate.bowling_key(name)) gen_random_uuid(), p_space, name, tidegate.bowling_key(name), CASE WHEN length BETWEEN 1 AND 200 THEN length END, now()
	FROM (SELECT tidegate.bowling_text(name) AS name, length, row_no FROM src_pattern) h WHERE name IS NOT NULL ORDER BY tidegate.bowling_key(name), row_no
	ON CONFLICT (sync_scope, name_key) WHERE NOT deleted DO NOTHING;
	CREATE TEMP TABLE ref_house ON COMMIT DROP AS SELECT s.id AS source_id, h.id FROM src_house s
		JOIN bowling.house h ON h.sync_scope = p_space AND NOT h.deleted AND h.name_key = tidegate.bowling_key(tidegate.bowling_text(s.name));
	CREATE TEMP TABLE ref_pattern ON COMMIT DROP AS SELECT s.id AS source_id, h.id FROM src_pattern s
		JOIN bowling.pattern h ON h.sync_scope = p_space AND NOT h.deleted AND h.name_key = tidegate.bowling_key(tidegate.bowling_text(s.name));
END $$;

-- Balls of one name are one ball of the dataset.
CREATE OR REPLACE FUNCTION tidegate.bowling_balls(p_space text, p_batch uuid)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	stamp CONSTANT bigint := tidegate.sync_clock('bowling', p_space);
BEGIN
	CREATE TEMP TABLE ref_ball ON COMMIT DROP AS
	SELECT id AS source_id, name, row_no, first_value(id) OVER (PARTITION BY tidegate.bowling_key(name) ORDER BY row_no) AS first_id,
	       tidegate.dataset_uuid(p_batch, 'ball', first_value(id) OVER (PARTITION BY tidegate.bowling_key(name) ORDER BY row_no)) AS id
	FROM (SELECT id, tidegate.bowling_text(name) AS name, row_no FROM src_ball) b WHERE name IS NOT NULL;
	INSERT INTO bowling.ball (id, sync_scope, server_seq, last_modified_at, device_id, dataset_id, source_id, name, name_key, brand, coverstock, sort_order)
	SELECT r.id, p_space, stamp, stamp, 'server', p_batch, s.id, r.name, tidegate.bowling_key(r.name), tidegate.bowling_text(s.brand), tidegate.bowling_text(s.coverstock), s.sort_order
	FROM ref_ball r JOIN src_ball s ON s.id = r.source_id WHERE r.source_id = r.first_id;
END $$;

-- 0 and -1 mean none; anything else that leads nowhere is none with a warning.
CREATE OR REPLACE FUNCTION tidegate.bowling_warn_references()
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	source text;
	target text;
	n bigint;
BEGIN
	FOR source, target IN SELECT s, t FROM unnest(ARRAY['league', 'week', 'game']) s, unnest(ARRAY['house', 'pattern', 'ball']) t
		UNION ALL VALUES ('week', 'league'), ('frame', 'ball') LOOP
		EXECUTE format('SELECT count(*) FROM %I s WHERE s.%I NOT IN (''0'', ''-1'') AND NOT EXISTS (SELECT FROM %I t WHERE t.id = s.%I)',
			'src_' || source, target, 'src_' || target, target) INTO n;
		PERFORM tidegate.sqlite_warn('unknown_reference', source || '.' || target, n);
	END LOOP;
END $$;

-- Leagues and sessions. Dates: milliseconds on Android, at the local midnight of the device; seconds on iOS.
CREATE OR REPLACE FUNCTION tidegate.bowling_sessions(p_space text, p_batch uuid, p_seconds boolean, p_offset int)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	stamp CONSTANT bigint := tidegate.sync_clock('bowling', p_space);
BEGIN
	INSERT INTO bowling.league (id, sync_scope, server_seq, last_modified_at, device_id, dataset_id, source_id, house_id, pattern_id, ball_id, name, kind, games_per_session, notes, sort_order, flags)
	SELECT tidegate.dataset_uuid(p_batch, 'league', s.id), p_space, stamp, stamp, 'server', p_batch, s.id, h.id, p.id, b.id, coalesce(tidegate.bowling_text(s.name), '?'),
	       CASE WHEN s.flags = 1 THEN 'tournament' ELSE 'league' END, s.games, tidegate.bowling_text(s.notes), s.sort_order, s.flags
	FROM src_league s LEFT JOIN ref_house h ON h.source_id = s.house LEFT JOIN ref_pattern p ON p.source_id = s.pattern
	LEFT JOIN ref_ball b ON b.source_id = s.ball;

	INSERT INTO bowling.session (id, sync_scope, server_seq, last_modified_at, device_id, dataset_id, source_id, league_id, house_id, pattern_id, ball_id, played_at, played_on, lane, lane_context, notes,
		notes_json)
	SELECT tidegate.dataset_uuid(p_batch, 'session', s.id), p_space, stamp, stamp, 'server', p_batch, s.id, CASE WHEN l.id IS NOT NULL THEN tidegate.dataset_uuid(p_batch, 'league', l.id) END,
	       h.id, p.id, b.id, s.at, tidegate.bowling_day(s.at, p_seconds, p_offset), CASE WHEN s.lane BETWEEN 1 AND 99 THEN s.lane END,
	       coalesce(tidegate.json_of(x.lane_context), tidegate.bowling_lane(s.lane)), tidegate.bowling_text(s.notes), tidegate.json_of(x.notes_json)
	FROM (SELECT *, tidegate.bowling_time(date, p_seconds) AS at FROM src_week) s LEFT JOIN src_league l ON l.id = s.league
	LEFT JOIN ref_house h ON h.source_id = s.house LEFT JOIN ref_pattern p ON p.source_id = s.pattern LEFT JOIN ref_ball b ON b.source_id = s.ball
	LEFT JOIN src_bj_session_ext x ON x.id = s.id;
	PERFORM tidegate.sqlite_warn('date_unknown', 'week.date', count(*)) FROM src_week WHERE date <> 0 AND tidegate.bowling_time(date, p_seconds) IS NULL;
END $$;

-- 0 is no date; values too small for milliseconds of this century are seconds.
CREATE OR REPLACE FUNCTION tidegate.bowling_time(p_date float8, p_seconds boolean)
RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN p_date > 0 AND s < 4102444800 THEN to_timestamp(s) END
	FROM (SELECT CASE WHEN p_seconds OR p_date < 1e10 THEN p_date ELSE p_date / 1000 END AS s) x;
$$;

-- The day where it was played: by the offset the device told of; else the midnight nearest to an Android date, the UTC day of others.
CREATE OR REPLACE FUNCTION tidegate.bowling_day(p_at timestamptz, p_seconds boolean, p_offset int)
RETURNS date LANGUAGE sql IMMUTABLE AS $$
	SELECT ((p_at AT TIME ZONE 'UTC') + CASE WHEN p_offset IS NOT NULL THEN make_interval(mins => -p_offset)
		WHEN p_seconds THEN interval '0' ELSE interval '12 hours' END)::date;
$$;

-- Played frames of every game, one row per frame: rolls and standing pins. The rows 10 and 11 of a game are the bonus balls of its tenth.
CREATE OR REPLACE FUNCTION tidegate.bowling_rolls()
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	-- Unplayed rows have no flags, or where there are none, all pins standing after every ball.
	CREATE TEMP TABLE played ON COMMIT DROP AS
	SELECT DISTINCT ON (game, frame_num) f.game, f.frame_num::int AS frame_num, f.pins, (f.pins & 1023)::int AS after1, (f.pins >> 10 & 1023)::int AS after2,
	       f.ball, f.scores, f.flags, f.pocket, f.foot_board, f.target_board
	FROM src_frame f JOIN src_game g ON g.id = f.game
	WHERE f.frame_num BETWEEN 0 AND 11 AND f.pins >= 0 AND (f.flags <> 0 OR f.flags IS NULL AND f.pins NOT IN (1048575, 1073741823))
	ORDER BY game, frame_num, f.row_no;
	PERFORM tidegate.sqlite_warn('unknown_reference', 'frame.game', count(*)) FROM src_frame f WHERE NOT EXISTS (SELECT FROM src_game g WHERE g.id = f.game);
	PERFORM tidegate.sqlite_warn('frame_number', 'frame.frame_num', count(*)) FROM src_frame WHERE frame_num IS NULL OR frame_num NOT BETWEEN 0 AND 11;
	PERFORM tidegate.sqlite_warn('duplicate_frame', 'frame', count(*)) FROM (SELECT FROM src_frame WHERE frame_num BETWEEN 0 AND 11 AND game IS NOT NULL
		GROUP BY game, frame_num HAVING count(*) > 1) d;
	-- A pin that stands after the second ball stood after the first.
	PERFORM tidegate.sqlite_warn('pins_inconsistent', 'frame.pins', count(*)) FROM played WHERE after2 & ~after1 <> 0;
	UPDATE played SET after2 = after2 & after1 WHERE after2 & ~after1 <> 0;
	CREATE INDEX ON played (game, frame_num);
	ANALYZE played;

	CREATE TEMP TABLE rolled ON COMMIT DROP AS
	WITH balls AS (
		SELECT f.*, 10 - tidegate.bowling_standing(f.after1) AS roll1,
		       CASE WHEN f.after1 <> 0 THEN tidegate.bowling_standing(f.after1) - tidegate.bowling_standing(f.after2) END AS roll2
		FROM played f WHERE f.frame_num < 9
	), tenth AS (
		SELECT f.*, 10 - tidegate.bowling_standing(f.after1) AS roll1,
		       CASE WHEN f.after1 <> 0 THEN tidegate.bowling_standing(f.after1) - tidegate.bowling_standing(f.after2)
		            ELSE 10 - tidegate.bowling_standing(x.after1) END AS roll2,
		       CASE WHEN f.after1 <> 0 AND f.after2 = 0 THEN 10 - tidegate.bowling_standing(x.after1)
		            WHEN f.after1 = 0 AND x.after1 = 0 THEN 10 - tidegate.bowling_standing(y.after1)
		            WHEN f.after1 = 0 THEN tidegate.bowling_standing(x.after1) - tidegate.bowling_standing(x.after2) END AS roll3,
		       CASE WHEN f.after1 = 0 THEN x.after1 ELSE f.after2 END AS standing2,
		       CASE WHEN f.after1 = 0 AND x.after1 = 0 THEN y.after1 WHEN f.after1 = 0 THEN x.after2 WHEN f.after2 = 0 THEN x.after1 END AS standing3
		FROM played f LEFT JOIN played x ON x.game = f.game AND x.frame_num = 10 LEFT JOIN played y ON y.game = f.game AND y.frame_num = 11
		WHERE f.frame_num = 9
	)
	SELECT game, frame_num + 1 AS frame_number, roll1, roll2, NULL::int AS roll3, after1 AS standing1, CASE WHEN after1 <> 0 THEN after2 END AS standing2,
	       NULL::int AS standing3, after1 = 0 AS strike, after1 <> 0 AND after2 = 0 AS spare, ball, pins, scores, flags, pocket, foot_board, target_board
	FROM balls
	UNION ALL
	SELECT game, 10, roll1, roll2, roll3, after1, standing2, standing3, after1 = 0, after1 <> 0 AND after2 = 0, ball, pins, scores, flags, pocket, foot_board,
	       target_board
	FROM tenth;
END $$;

-- Scores of frames, cumulative, as far as the balls they need were thrown.
CREATE OR REPLACE FUNCTION tidegate.bowling_scores()
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	CREATE TEMP TABLE scored ON COMMIT DROP AS
	WITH balls AS (
		SELECT r.game, r.frame_number, b.place, b.pins FROM rolled r CROSS JOIN LATERAL (VALUES (1, roll1), (2, roll2), (3, roll3)) AS b (place, pins)
		WHERE b.pins IS NOT NULL
	), ahead AS (
		SELECT game, frame_number, place, pins, lead(pins, 1) OVER w AS next1, lead(pins, 2) OVER w AS next2
		FROM balls WINDOW w AS (PARTITION BY game ORDER BY frame_number, place)
	), single AS (
		SELECT r.*, CASE WHEN r.frame_number = 10 AND (r.strike OR r.spare) THEN r.roll1 + r.roll2 + r.roll3
			WHEN r.strike THEN 10 + a.next1 + a.next2 WHEN r.spare THEN 10 + a.next2 ELSE r.roll1 + r.roll2 END AS own
		FROM rolled r JOIN ahead a ON a.game = r.game AND a.frame_number = r.frame_number AND a.place = 1
	)
	-- A frame counts only when all before it were played and count.
	SELECT s.*, CASE WHEN count(own) OVER w = frame_number THEN sum(own) OVER w END::int AS score
	FROM single s WINDOW w AS (PARTITION BY game ORDER BY frame_number);
	CREATE INDEX ON scored (game, frame_number);
	ANALYZE scored;
	-- There are at most 1024 ways for pins to stand.
	CREATE TEMP TABLE leave ON COMMIT DROP AS SELECT standing1, tidegate.bowling_split(standing1) AS split FROM (SELECT DISTINCT standing1 FROM scored) d;
END $$;

-- What the frames of a game say together, one row per game that has any.
CREATE OR REPLACE FUNCTION tidegate.bowling_games_played()
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	CREATE TEMP TABLE summed ON COMMIT DROP AS
	SELECT s.game, count(*)::int AS frames, max(s.score) FILTER (WHERE s.frame_number = 10) AS total, count(*) FILTER (WHERE s.strike)::int AS strikes,
	       count(*) FILTER (WHERE s.spare)::int AS spares, count(*) FILTER (WHERE NOT s.strike AND NOT s.spare)::int AS opens,
	       count(*) FILTER (WHERE m.split)::int AS splits,
	       jsonb_agg(tidegate.bowling_mark(s.roll1)
	       	|| CASE WHEN s.spare THEN '/' WHEN s.roll2 IS NULL THEN '' ELSE tidegate.bowling_mark(s.roll2) END
	       	|| CASE WHEN s.roll3 IS NULL THEN '' WHEN s.strike AND s.roll2 < 10 AND s.roll2 + s.roll3 = 10 THEN '/' ELSE tidegate.bowling_mark(s.roll3) END
	       	ORDER BY s.frame_number) AS preview
	FROM scored s JOIN leave m USING (standing1)
	GROUP BY s.game;

	-- A switch: the ball of a frame is another than that of the frame before, of the game at first. Bonus balls belong to the tenth.
	CREATE TEMP TABLE switched ON COMMIT DROP AS
	SELECT game, jsonb_agg(jsonb_build_object('frame', least(frame_num + 1, 10), 'ballId', b.id, 'ballName', b.name) ORDER BY frame_num) AS switches
	FROM (SELECT p.game, p.frame_num, p.ball, lag(p.ball, 1, CASE WHEN g.ball NOT IN ('0', '-1') THEN g.ball END) OVER (PARTITION BY p.game ORDER BY p.frame_num) AS before
	      FROM played p JOIN src_game g ON g.id = p.game WHERE p.ball NOT IN ('0', '-1')) c
	JOIN ref_ball b ON b.source_id = c.ball
	WHERE c.before IS NOT NULL AND c.ball <> c.before GROUP BY game;
END $$;

CREATE OR REPLACE FUNCTION tidegate.bowling_games(p_space text, p_batch uuid, p_seconds boolean)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	stamp CONSTANT bigint := tidegate.sync_clock('bowling', p_space);
BEGIN
	CREATE TEMP TABLE kept ON COMMIT DROP AS
	SELECT g.*, tidegate.dataset_uuid(p_batch, 'game', g.id) AS game_id, s.frames, s.total, s.strikes, s.spares, s.opens, s.splits, s.preview, w.id AS known_week,
	       row_number() OVER (PARTITION BY w.id ORDER BY g.row_no)::int AS number
	FROM src_game g LEFT JOIN summed s ON s.game = g.id LEFT JOIN src_week w ON w.id = g.week
	WHERE NOT (coalesce(g.score, 0) = 0 AND s.game IS NULL AND tidegate.bowling_text(g.notes) IS NULL AND coalesce(g.lane, 0) = 0);
	CREATE INDEX ON kept (id);
	ANALYZE kept;
	PERFORM tidegate.sqlite_warn('placeholder_game', 'game', (SELECT count(*) FROM src_game) - (SELECT count(*) FROM kept));
	PERFORM tidegate.sqlite_warn('unknown_reference', 'game.week', count(*)) FROM kept WHERE known_week IS NULL AND week NOT IN ('0', '-1');
	PERFORM tidegate.sqlite_warn('score_clamped', 'game.score', count(*)) FROM kept WHERE total IS NULL AND score NOT BETWEEN 0 AND 400;
	PERFORM tidegate.sqlite_warn('score_corrected', 'game.score', count(*)) FROM kept WHERE total <> score;
	PERFORM tidegate.sqlite_warn('handicap_unknown', 'game', 1)
	WHERE EXISTS (SELECT FROM kept k WHERE NOT EXISTS (SELECT FROM src_bj_game_ext x WHERE x.id = k.id AND x.handicap IS NOT NULL));

	INSERT INTO bowling.game (id, sync_scope, server_seq, last_modified_at, device_id, dataset_id, source_id, session_id, league_id, house_id, pattern_id, ball_id, game_number, played_at, total_score,
		declared_score, recomputed, complete, frames_played, strikes, spares, opens, splits, frame_preview, ball_switches, handicap,
		single_pin_spare_score, flags, lane, lane_context, notes, notes_json)
	SELECT k.game_id, p_space, stamp, stamp, 'server', p_batch, k.id,
	       CASE WHEN k.known_week IS NOT NULL THEN tidegate.dataset_uuid(p_batch, 'session', k.known_week) END,
	       CASE WHEN l.id IS NOT NULL THEN tidegate.dataset_uuid(p_batch, 'league', l.id) END, h.id, p.id, b.id, k.number, tidegate.bowling_time(k.date, p_seconds),
	       coalesce(k.total, least(greatest(k.score, 0), 400)), k.score, k.total IS NOT NULL, k.total IS NOT NULL, coalesce(k.frames, 0),
	       coalesce(k.strikes, 0), coalesce(k.spares, 0), coalesce(k.opens, 0), coalesce(k.splits, 0), coalesce(k.preview, '[]'),
	       coalesce(CASE WHEN jsonb_typeof(x.given) = 'array' AND x.given <> '[]' THEN x.given END, w.switches, '[]'), x.handicap,
	       k.single_pin_spare_score, k.flags, CASE WHEN k.lane BETWEEN 1 AND 99 THEN k.lane END, coalesce(x.context, tidegate.bowling_lane(k.lane)),
	       tidegate.bowling_text(k.notes), x.notes
	FROM kept k LEFT JOIN src_league l ON l.id = k.league LEFT JOIN ref_house h ON h.source_id = k.house LEFT JOIN ref_pattern p ON p.source_id = k.pattern
	LEFT JOIN ref_ball b ON b.source_id = k.ball LEFT JOIN switched w ON w.game = k.id
	LEFT JOIN (SELECT id, handicap, tidegate.json_of(ball_switches) AS given, tidegate.json_of(lane_context) AS context, tidegate.json_of(notes_json) AS notes
	           FROM src_bj_game_ext) x ON x.id = k.id;

	INSERT INTO bowling.frame (id, sync_scope, server_seq, last_modified_at, device_id, dataset_id, game_id, frame_number, roll1, roll2, roll3, standing1, standing2, standing3, strike, spare, split, score,
		ball_id, pins, scores, flags, pocket, foot_board, target_board)
	SELECT tidegate.dataset_uuid(p_batch, 'frame', s.game || ':' || s.frame_number), p_space, stamp, stamp, 'server', p_batch, k.game_id,
	       s.frame_number, s.roll1, s.roll2, s.roll3, s.standing1, s.standing2, s.standing3, s.strike, s.spare, m.split, s.score, b.id, s.pins, s.scores,
	       s.flags, s.pocket, s.foot_board, s.target_board
	FROM scored s JOIN kept k ON k.id = s.game
	JOIN leave m USING (standing1)
	LEFT JOIN ref_ball b ON b.source_id = s.ball
	ORDER BY 1; -- its largest index is filled from left to right
END $$;

-- The whole of it. Under the scope of the batch's owner, after sqlite_stage. Returns the counts that the batch shows.
CREATE OR REPLACE FUNCTION tidegate.bowling_refine(p_no bigint, p_profile jsonb)
RETURNS jsonb LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	b tidegate.sqlite_batch;
	seconds boolean;
BEGIN
	SELECT * INTO b FROM tidegate.sqlite_batch WHERE no = p_no;
	-- iOS: its container, or its name for the key.
	seconds := b.format ->> 'container' = 'plist' OR EXISTS (SELECT FROM tidegate.sqlite_table t, jsonb_array_elements(t.columns) AS c
		WHERE t.batch_no = p_no AND lower(t.name) = 'week' AND lower(c ->> 'name') = 'pk');
	PERFORM tidegate.bowling_warn_references();
	PERFORM tidegate.bowling_places(b.space);
	PERFORM tidegate.bowling_balls(b.space, b.id);
	PERFORM tidegate.bowling_sessions(b.space, b.id, seconds, b.timezone_offset);
	PERFORM tidegate.bowling_rolls();
	PERFORM tidegate.bowling_scores();
	PERFORM tidegate.bowling_games_played();
	PERFORM tidegate.bowling_games(b.space, b.id, seconds);
	RETURN jsonb_build_object('houses', (SELECT count(*) FROM src_house), 'patterns', (SELECT count(*) FROM src_pattern), 'balls', (SELECT count(*) FROM src_ball),
		'leagues', (SELECT count(*) FROM src_league), 'weeks', (SELECT count(*) FROM src_week), 'games', (SELECT count(*) FROM src_game),
		'frames', (SELECT count(*) FROM src_frame), 'sessions', (SELECT count(*) FROM bowling.session WHERE sync_scope = b.space AND dataset_id = b.id AND NOT deleted),
		'gamesRefined', (SELECT count(*) FROM kept), 'framesRefined', (SELECT count(*) FROM scored s WHERE EXISTS (SELECT FROM kept k WHERE k.id = s.game)),
		'gamesPatched', (SELECT count(*) FROM kept WHERE total <> score));
END $$;

REVOKE ALL ON FUNCTION tidegate.bowling_places, tidegate.bowling_balls, tidegate.bowling_warn_references, tidegate.bowling_sessions, tidegate.bowling_rolls,
	tidegate.bowling_scores, tidegate.bowling_games_played, tidegate.bowling_games, tidegate.bowling_refine FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.bowling_places, tidegate.bowling_balls, tidegate.bowling_warn_references, tidegate.bowling_sessions, tidegate.bowling_rolls,
	tidegate.bowling_scores, tidegate.bowling_games_played, tidegate.bowling_games, tidegate.bowling_refine TO tidegate_worker;
