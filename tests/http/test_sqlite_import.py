"""SQLite backups from the upload to refined history: what is read of them, whose data it becomes, and how one goes back."""
import datetime
import hashlib
import os
import sqlite3
import struct

import pytest

import bowling
import pinpal
from instance import expect_problem
from phone import BATCHES, Phone, backup, database

CREATED = """
CREATE TABLE house(_id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE pattern(_id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE ball(_id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE league(_id INTEGER PRIMARY KEY, name TEXT, flags INTEGER);
CREATE TABLE week(_id INTEGER PRIMARY KEY, leagueFk INTEGER, houseFk INTEGER, date REAL, notes TEXT, lane INTEGER);
CREATE TABLE game(_id INTEGER PRIMARY KEY, weekFk INTEGER, leagueFk INTEGER, ballFk INTEGER, score INTEGER, notes TEXT, lane INTEGER);
CREATE TABLE frame(_id INTEGER PRIMARY KEY, gameFk INTEGER, ballFk INTEGER, frameNum INTEGER, pins INTEGER, flags INTEGER);
INSERT INTO ball VALUES(1, 'Zen'), (2, 'Spare'), (3, ' zen ');
INSERT INTO week VALUES(1, -1, 0, 1700000000000.0, 'week note', 7);
"""


@pytest.fixture
def phone(gate):
    return Phone(gate)


def one_game(tmp_path, rows, game="1, 1, -1, 1, 0, '', 0", more=""):
    """A file with one game of these (frameNum, pins, flags[, ball]) rows."""
    frames = "".join(f"INSERT INTO frame VALUES({n + 1}, 1, {row[3] if len(row) > 3 else 1}, {row[0]}, {row[1]}, {row[2]});" for n, row in enumerate(rows))
    return database(CREATED + f"INSERT INTO game VALUES({game});" + frames + more, str(tmp_path / "one.db"))


def refined(phone, data, **fields):
    state = phone.imported(data, **fields)
    games = phone.data(state["batchId"], "game")
    frames = sorted(phone.data(state["batchId"], "frame"), key=lambda frame: (frame["game_id"], frame["frame_number"]))
    return state, games, frames


def warned(state):
    return {(warning["code"], warning["place"]): warning["count"] for warning in state["warnings"]}


# ------------------------------------------------------------------------------------------------------------------- whole files

@pytest.mark.parametrize("ios", [False, True], ids=["android", "ios"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_game_is_what_an_independent_reading_says(phone, tmp_path, ios, seed):
    path = str(tmp_path / "Backup.db")
    state, games, frames = refined(phone, backup(path, games=150, seed=seed, ios=ios))
    wanted = bowling.expected(path, ios)
    assert {game["source_id"] for game in games} == set(wanted)
    by_game = {}
    for frame in frames:
        by_game.setdefault(frame["game_id"], []).append(frame)
    sessions = {session["id"]: session["source_id"] for session in phone.data(state["batchId"], "session")}
    for game in games:
        want, own = wanted[game["source_id"]], by_game.get(game["id"], [])
        got = {"total_score": game["total_score"], "recomputed": game["recomputed"], "strikes": game["strikes"], "spares": game["spares"], "opens": game["opens"],
               "splits": game["splits"], "notes": game["notes"], "lane": game["lane"], "session": sessions[game["session_id"]],
               "frames": {f["frame_number"]: [r for r in (f["roll1"], f["roll2"], f["roll3"]) if r is not None] for f in own},
               "scores": {f["frame_number"]: f["score"] for f in own if f["score"] is not None},
               "switches": [(s["frame"], s["ballName"]) for s in game["ball_switches"]]}
        assert got == want, f"game {game['source_id']}: expected {want}, got {got}"
        assert game["declared_score"] == game["total_score"], f"the generator's own score of game {game['source_id']} differs: {game}"
    counts = state["summary"]["counts"]
    assert (counts["games"], counts["gamesRefined"], counts["frames"], counts["sessions"]) == (150, len(games), 1800, 50)
    assert counts["framesRefined"] == len(frames) and sum(counts["tables"].values()) == counts["rows"]
    assert warned(state).get(("placeholder_game", "game"), 0) == 150 - len(games)
    assert warned(state)[("handicap_unknown", "game")] == 1, "expected one warning of handicaps, however many games"
    assert state["format"]["container"] == ("plist" if ios else "plain") and state["format"]["userVersion"] == 8


def test_what_other_exporters_add_is_kept(phone, tmp_path):
    state, games, _ = refined(phone, backup(str(tmp_path / "a.db"), games=30, seed=5, extensions=True, optional=True))
    with_handicap = [game for game in games if game["handicap"] == 20]
    assert with_handicap and len(with_handicap) < len(games), "expected handicaps where the file tells them"
    assert all(game["lane_context"]["lanePair"] == f"{game['lane']}/{game['lane'] + 1}" for game in games if game["lane"])
    assert {ball["brand"] for ball in phone.data(state["batchId"], "ball")} == {"Storm"}
    assert all(session["notes_json"] == {"text": "ok"} for session in phone.data(state["batchId"], "session"))
    assert "bj_meta" in state["summary"]["counts"]["tables"]


# --------------------------------------------------------------------------------------------------------------------- one frame

@pytest.mark.parametrize("pins,rolls,spare,split", [
    (0, [10, None], False, False), (576, [8, 2], True, True), (65600, [9, 0], False, False), (1027, [8, 1], False, False), (1048575, [0, 0], False, False),
    (1023, [0, 10], True, False), (1 << 6 | 1 << 9 | (1 << 6) << 10, [8, 1], False, True), (0b1000001000 | 0b1000001000 << 10, [8, 0], False, True)])
def test_pins_become_rolls(phone, tmp_path, pins, rolls, spare, split):
    _, _, frames = refined(phone, one_game(tmp_path, [(0, pins, 193 if pins == 0 else 195)]))
    frame = frames[0]
    assert ([frame["roll1"], frame["roll2"]], frame["spare"], frame["split"]) == (rolls, spare, split), f"pins {pins}: got {frame}"
    assert split == bowling.is_split(pins & 1023), "the two readings of splits differ"


def test_splits_for_every_way_pins_can_stand(gate):
    got = dict(gate.sql("SELECT m, tidegate.bowling_split(m) FROM generate_series(0, 1023) m"))
    wrong = [mask for mask in got if got[mask] != bowling.is_split(mask)]
    assert not wrong, f"expected the same of all masks, these differ: {wrong[:20]}"


STRIKES = [(number, 0, 193) for number in range(9)]
FIRST = 0b1  # nine down, the head pin stands


@pytest.mark.parametrize("name,rows,rolls,score", [
    ("perfect", [(9, 0, 193), (10, 0, 193), (11, 0, 193)], [10, 10, 10], 300),
    ("strike, strike, nine", [(9, 0, 193), (10, 0, 193), (11, FIRST | FIRST << 10, 195)], [10, 10, 9], 299),
    ("strike, then a spare in row 10", [(9, 0, 193), (10, FIRST, 195), (11, 1048575, 0)], [10, 9, 1], 289),
    ("strike, then nine and nothing", [(9, 0, 193), (10, FIRST | FIRST << 10, 195)], [10, 9, 0], 288),
    ("spare and a strike", [(9, FIRST, 195), (10, 0, 193)], [9, 1, 10], 279),
    ("spare and nine", [(9, FIRST, 195), (10, FIRST | FIRST << 10, 195)], [9, 1, 9], 278),
    ("open", [(9, FIRST | FIRST << 10, 195)], [9, 0, None], 267)])
def test_the_tenth_frame(phone, tmp_path, name, rows, rolls, score):
    state, games, frames = refined(phone, one_game(tmp_path, STRIKES + rows, game=f"1, 1, -1, 1, {score}, '', 0"))
    assert ([frames[-1][roll] for roll in ("roll1", "roll2", "roll3")], games[0]["total_score"]) == (rolls, score), f"{name}: got {frames[-1]} {games[0]}"
    assert len(frames) == 10 and games[0]["complete"] and ("score_corrected", "game.score") not in warned(state)


def test_a_tenth_without_its_bonus_ball_is_not_complete(phone, tmp_path):
    _, games, frames = refined(phone, one_game(tmp_path, STRIKES + [(9, 0, 193)], game="1, 1, -1, 1, 240, '', 0"))
    assert (games[0]["complete"], games[0]["total_score"], frames[-1]["score"]) == (False, 240, None)


def test_a_ball_switched_in_the_first_frame_is_seen(phone, tmp_path):
    rows = [(0, 0, 193, 2), (1, 0, 193, 2), (2, 0, 193, 1), (9, 0, 193, 1), (10, 0, 193, 2)]
    _, games, _ = refined(phone, one_game(tmp_path, rows))
    assert [(switch["frame"], switch["ballName"]) for switch in games[0]["ball_switches"]] == [(1, "Spare"), (3, "Zen"), (10, "Spare")]


def test_balls_of_one_name_are_one(phone, tmp_path):
    state, _, frames = refined(phone, one_game(tmp_path, [(0, 0, 193, 1), (1, 0, 193, 3)]))
    balls = phone.data(state["batchId"], "ball")
    assert sorted(ball["name"] for ball in balls) == ["Spare", "Zen"] and frames[0]["ball_id"] == frames[1]["ball_id"]


# --------------------------------------------------------------------------------------------------------------- games, sessions

@pytest.mark.parametrize("game,kept", [("1, 1, -1, 1, 0, '', 0", False), ("1, 1, -1, 1, 0, 'sick', 0", True), ("1, 1, -1, 1, 0, '', 4", True), ("1, 1, -1, 1, 90, '', 0", True)])
def test_placeholders_are_skipped(phone, tmp_path, game, kept):
    state, games, _ = refined(phone, one_game(tmp_path, [(0, 1048575, 0)], game=game))
    assert (len(games), ("placeholder_game", "game") in warned(state)) == (int(kept), not kept)


@pytest.mark.parametrize("score,kept,code", [(9999, 400, "score_clamped"), (-5, 0, "score_clamped"), (120, 120, None)])
def test_the_score_of_an_incomplete_game_is_the_files(phone, tmp_path, score, kept, code):
    state, games, _ = refined(phone, one_game(tmp_path, [(0, 0, 193)], game=f"1, 1, -1, 1, {score}, '', 0"))
    assert games[0]["total_score"] == kept and ((code, "game.score") in warned(state)) == (code is not None)


def test_notes_and_lanes_stay_with_what_they_were_said_of(phone, tmp_path):
    state, games, _ = refined(phone, one_game(tmp_path, [(0, 0, 193)], game="1, 1, -1, 1, 10, 'game note', 0"))
    session = phone.data(state["batchId"], "session")[0]
    assert (games[0]["notes"], games[0]["lane_context"], session["notes"]) == ("game note", None, "week note")
    assert session["lane_context"] == {"startingLane": 7, "leftLane": 7, "rightLane": 8, "lanePair": "7/8"} and session["league_id"] is None


def test_references_that_lead_nowhere_are_none_with_a_warning(phone, tmp_path):
    state, games, _ = refined(phone, one_game(tmp_path, [(0, 0, 193, 9)], game="1, 77, 88, 99, 10, '', 0"))
    assert (games[0]["session_id"], games[0]["league_id"], games[0]["ball_id"]) == (None, None, None)
    assert {("unknown_reference", place) for place in ("game.week", "game.ball", "frame.ball")} <= set(warned(state)), state["warnings"]


@pytest.mark.parametrize("ios", [False, True], ids=["android", "ios"])
def test_days_are_those_of_the_place_that_was_played_at(phone, tmp_path, ios):
    """The generator's weeks begin on 12 September 2019, at midnight five hours behind UTC."""
    data = backup(str(tmp_path / "a.db"), games=6, seed=1, ios=ios)
    for fields in ({}, {"timezoneOffsetMinutes": 300}):
        state = phone.imported(data, **fields)
        days = sorted(session["played_on"] for session in phone.data(state["batchId"], "session"))
        assert days == ["2019-09-12", "2019-09-19"], f"{fields}: got {days}"


def test_local_midnight_east_of_greenwich(phone, tmp_path):
    """22:00 UTC is midnight of the next day in Paris in summer, whether or not the phone told its offset."""
    at = int(datetime.datetime(2024, 7, 1, 22, tzinfo=datetime.timezone.utc).timestamp() * 1000)
    data = one_game(tmp_path, [(0, 0, 193)], game="1, 1, -1, 1, 10, '', 0", more=f"UPDATE week SET date = {at};")
    for fields in ({}, {"timezoneOffsetMinutes": -120}):
        state = phone.imported(data, **fields)
        assert phone.data(state["batchId"], "session")[0]["played_on"] == "2024-07-02", f"with {fields}"


def test_warnings_are_grouped_and_said_in_both_languages(phone, tmp_path):
    state = phone.imported(one_game(tmp_path, [(0, 0, 193)], game="1, 1, -1, 1, 10, '', 0", more="".join(
        f"INSERT INTO game VALUES({n}, 1, -1, 1, 0, '', 0);" for n in range(2, 14))))
    said = [next(w["message"] for w in phone.get(state["batchId"], language)["warnings"] if w["code"] == "placeholder_game") for language in ("en", "fr")]
    assert said == ["An empty game was skipped. (x12)", "Une partie vide a été ignorée. (x12)"]


def test_columns_may_be_spelt_in_other_ways(phone, tmp_path):
    script = CREATED.replace("_id INTEGER PRIMARY KEY, weekFk", "ID INTEGER PRIMARY KEY, week_id").replace("gameFk", "GAME_FK").replace("frameNum", "frame_num")
    data = database(script + "INSERT INTO game VALUES(1, 1, -1, 1, 10, '', 0); INSERT INTO frame VALUES(1, 1, 1, 0, 0, 193);", str(tmp_path / "b.db"))
    _, games, frames = refined(phone, data)
    assert games[0]["session_id"] and len(frames) == 1


# ------------------------------------------------------------------------------------------------------------------------ mirror

HOSTILE = [None, 0, -1, 2**63 - 1, -2**63, 9007199254740993, 0.0, -0.0, 0.1, 1e308, 5e-324, float("inf"), float("-inf"), "", "é🎳", "a\x00b", b"", b"\x00\xff", "'\"\n;--"]


def rows_of(path):
    """Everything that the ordinary tables of a database hold, by storage class and to the bit."""
    db = sqlite3.connect(path)
    db.text_factory = bytes
    found = {}
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'").fetchall():
        quoted = '"' + name.decode().replace('"', '""') + '"'
        columns = [row[1].decode() for row in db.execute(f"PRAGMA table_info({quoted})")]
        listed = ", ".join(f'typeof("{c}"), CASE typeof("{c}") WHEN \'text\' THEN CAST("{c}" AS BLOB) ELSE "{c}" END' for c in (c.replace('"', '""') for c in columns))
        found[name] = [tuple(struct.pack("<d", v) if isinstance(v, float) else v for v in row) for row in db.execute(f"SELECT rowid, {listed} FROM {quoted} ORDER BY rowid")]
    db.close()
    return found


def content_hash(path):
    return hashlib.sha256(repr(sorted(rows_of(path).items())).encode()).hexdigest()


def value(kind, cell):
    return {"i": lambda: int(cell), "r": lambda: float(cell), "t": lambda: cell, "b": lambda: bytes.fromhex(cell), "n": lambda: None}[kind]()


def rebuild(phone, state, path):
    """A database made of nothing but what the mirror says."""
    db = sqlite3.connect(path)
    for table in state["progress"]["tables"]:
        items, page = phone.pages(f"{BATCHES}/{state['batchId']}/raw/{requests_quote(table['name'])}", limit=100)
        assert len(items) == table["rows"] == page["rows"]
        quote = lambda name: '"' + name.replace('"', '""') + '"'  # noqa: E731
        columns = [f"{quote(c['name'])} {c['type']}" + (" PRIMARY KEY" if c["primaryKey"] else "") for c in page["columns"]]
        db.execute(f"CREATE TABLE {quote(table['name'])}({', '.join(columns)})")
        for item in items:
            marks, values = [], [int(item["key"])]
            for kind, cell in zip(item["classes"], item["cells"]):
                marks.append("CAST(? AS TEXT)" if kind == "x" else "?")
                values.append(bytes.fromhex(cell) if kind == "x" else value(kind, cell))
            db.execute(f"INSERT INTO {quote(table['name'])}(rowid, {', '.join(quote(c['name']) for c in page['columns'])}) VALUES(?, {', '.join(marks)})", values)
    db.commit()
    db.close()


def requests_quote(name):
    from urllib.parse import quote
    return quote(name, safe="")


def hostile_file(path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE any_class(a, b)")
    db.executemany("INSERT INTO any_class VALUES(?, ?)", [(v, w) for v in HOSTILE for w in (1, v)])
    db.execute("INSERT INTO any_class VALUES(CAST(x'ff00fe' AS TEXT), 1)")
    db.execute("CREATE TABLE typed(id INTEGER PRIMARY KEY, t TEXT, r REAL, n NUMERIC, b BLOB)")
    db.executemany("INSERT INTO typed VALUES(?, ?, ?, ?, ?)", [(n * 7 - 50, str(n), n / 3, n, bytes([n])) for n in range(200)])
    db.execute('CREATE TABLE "we ird""\n/%41\'é"("co""l" TEXT)')
    db.execute('INSERT INTO "we ird""\n/%41\'é" VALUES(\'x\')')
    db.execute("CREATE TABLE empty(a)")
    db.commit()
    db.close()


@pytest.mark.parametrize("make", [hostile_file, lambda path: pinpal.write(path, games=40, seed=9, extensions=True)], ids=["hostile", "pinpal"])
def test_a_database_can_be_rebuilt_from_its_mirror(phone, tmp_path, make):
    original, copy = str(tmp_path / "original.db"), str(tmp_path / "copy.db")
    make(original)
    with open(original, "rb") as file:
        state = phone.imported(file.read(), profile="mirror")
    rebuild(phone, state, copy)
    assert rows_of(copy) == rows_of(original)
    assert content_hash(copy) == content_hash(original)
    assert os.path.getsize(copy) > 0 and state["error"] is None


def test_the_mirror_is_there_in_sql_too(gate, phone, tmp_path):
    state = phone.imported(backup(str(tmp_path / "a.db"), games=9, seed=2))
    rows = gate.sql("""SELECT r.classes, r.cells FROM tidegate.sqlite_row r JOIN tidegate.sqlite_batch b ON b.no = r.batch_no
        JOIN tidegate.sqlite_table t ON t.batch_no = b.no AND t.table_no = r.table_no WHERE b.id = %s AND t.name = 'android_metadata'""", state["batchId"])
    assert rows == [("t", ["en_US"])]


# --------------------------------------------------------------------------------------------------------------- whose data it is

def test_a_newer_backup_replaces_the_older_in_one_step_and_can_be_rolled_back(phone, tmp_path):
    first = phone.imported(backup(str(tmp_path / "a.db"), games=12, seed=1))["batchId"]
    second = phone.imported(backup(str(tmp_path / "b.db"), games=15, seed=2))["batchId"]
    assert [phone.get(batch)["current"] for batch in (first, second)] == [False, True]
    assert phone.data(first, "game"), "expected the rows of the older one to be kept"
    answer = phone.api("POST", f"{BATCHES}/{first}/activate")
    assert answer.status_code == 200 and answer.json()["current"], answer.text
    assert [phone.get(batch)["current"] for batch in (first, second)] == [True, False]
    assert phone.api("POST", f"{BATCHES}/{second}/activate").json()["current"]


def test_a_backup_that_fails_leaves_what_was_there(phone, tmp_path):
    good = phone.imported(backup(str(tmp_path / "a.db"), games=12, seed=1))["batchId"]
    bad = phone.failed(b"nothing of the kind" * 100, "INVALID_SQLITE", "not_a_sqlite_file")["batchId"]
    assert phone.get(good)["current"] and not phone.get(bad)["current"]
    expect_problem(phone.api("POST", f"{BATCHES}/{bad}/activate"), 409, "wrong_state")


def test_profiles_do_not_replace_each_other(phone, tmp_path):
    first = phone.imported(backup(str(tmp_path / "a.db"), games=3, seed=1))["batchId"]
    second = phone.imported(backup(str(tmp_path / "b.db"), games=3, seed=2), profile="mirror")["batchId"]
    assert phone.get(first)["current"] and phone.get(second)["current"]
    expect_problem(phone.api("GET", f"{BATCHES}/{second}/data/game"), 404, "not_found")


def test_houses_and_patterns_are_the_spaces(gate, tmp_path):
    one = Phone(gate)
    other = Phone(gate, space=one.space)
    batches = [(p, p.imported(backup(str(tmp_path / "a.db"), games=3, seed=1))["batchId"]) for p in (one, other)]
    houses = [p.data(batch, "house") for p, batch in batches]
    assert len(houses[0]) == len(pinpal.HOUSES) and houses[0] == houses[1]
    balls = [{ball["id"] for ball in p.data(batch, "ball")} for p, batch in batches]
    assert not balls[0] & balls[1], "expected balls to be each person's own"


def test_what_happens_is_told(gate, phone, tmp_path):
    state = phone.imported(backup(str(tmp_path / "a.db"), games=3, seed=1))
    bad = phone.failed(b"x" * 5000, "INVALID_SQLITE", "not_a_sqlite_file")
    events = {kind: body for kind, body in gate.sql("SELECT type, body::jsonb FROM tidegate.event WHERE space = %s", phone.space)}
    assert events["sqlite.completed"]["data"]["batchId"] == state["batchId"] and events["sqlite.completed"]["data"]["counts"]["games"] == 3
    assert events["sqlite.failed"]["data"]["batchId"] == bad["batchId"] and events["sqlite.failed"]["data"]["error"]["code"] == "not_a_sqlite_file"
