"""SQLite imports of what is damaged, hostile, odd or somebody else's: a reason in both languages and nothing left, or all of it and a warning."""
import concurrent.futures
import json
import os
import random
import sqlite3
import struct
import uuid

import pinpal
import pytest
from instance import expect_problem, unique
from mirror import mirror_of, nothing_left, raw
from phone import BATCHES, Phone, backup, database
from sqlite_files import make, quoted

CLASSES = {"INVALID_INPUT", "INVALID_SQLITE", "INVALID_SCHEMA", "INVALID_ROW", "PARSE_FAILED", "PARSER_INIT_FAILED"}
TABLES = {"house", "pattern", "ball", "league", "week", "game", "frame"}
PAGE = 4096
TREE = make("CREATE TABLE t(a, b)", fill=lambda db: db.executemany("INSERT INTO t VALUES(?, ?)", ((i, f"text {i}" * 20) for i in range(300))))
CHAIN = make("CREATE TABLE t(a)", fill=lambda db: db.execute("INSERT INTO t VALUES(?)", (b"\1" * 20000,)))


@pytest.fixture
def phone(gate):
    return Phone(gate)


def patched(data, offset, new):
    return data[:offset] + new + data[offset + len(new):]


def refused(phone, data, code, reason, profile="mirror", **fields):
    state = phone.failed(data, code, reason, profile, **fields)
    assert state["error"]["code"] in CLASSES and not state["current"] and state["summary"]["counts"] == {} and state["progress"]["tables"] == []
    nothing_left(phone.gate, state["batchId"])
    expect_problem(phone.api("GET", raw(state["batchId"], "t")), 409, "wrong_state")
    expect_problem(phone.api("POST", f"{BATCHES}/{state['batchId']}/activate"), 409, "wrong_state")
    return state


# ------------------------------------------------------------------------------------------------------------ damaged files

def number(value):
    return struct.pack(">I", value)


FILES = {
    "not SQLite": (b"name;score\nAnn;200\n" * 1000, "not_a_sqlite_file"),
    "a page of HTML": (b"<?xml version='1.0'?><html/>", "not_a_sqlite_file"),
    "noise": (random.Random(2).randbytes(40960), "sqlite_encrypted"),
    "one byte": (b"S", "sqlite_truncated"),
    "the magic alone": (TREE[:16], "sqlite_truncated"),
    "half of it": (TREE[:len(TREE) // 2], "sqlite_truncated"),
    "all but a byte": (TREE[:-1], "sqlite_truncated"),
    "a list of properties alone": (pinpal.PLIST.ljust(PAGE, b"\0"), "sqlite_truncated"),
    "a database behind something else": (b"\0" * PAGE + TREE, "not_a_sqlite_file"),
    "a page size of 4095": (patched(TREE, 16, b"\x0f\xff"), "sqlite_damaged"),
    "a page size of 0": (patched(TREE, 16, b"\0\0"), "sqlite_damaged"),
    "another page size": (patched(TREE, 16, b"\x10\1"), "sqlite_damaged"),
    "a header of the write-ahead log of the future": (patched(TREE, 18, b"\3\3"), "sqlite_too_new"),
    "payload fractions": (patched(TREE, 21, b"\x41"), "sqlite_damaged"),
    "10 GB announced": (patched(TREE, 28, number(10 * 2 ** 30 // PAGE)), "sqlite_truncated"),
    "a cell of 4 GB": (patched(CHAIN, PAGE + struct.unpack(">H", CHAIN[PAGE + 8:PAGE + 10])[0], b"\x90\x80\x80\x80\x00"), "sqlite_damaged"),
    "a tree that contains itself": (patched(TREE, PAGE + 8, number(2)), "sqlite_damaged"),
    "a tree that leads outside": (patched(TREE, PAGE + 8, number(1 << 30)), "sqlite_damaged"),
    "an overflow chain that loops": (patched(CHAIN, 2 * PAGE, number(3)), "sqlite_damaged"),
    "an overflow chain that ends early": (patched(CHAIN, 2 * PAGE, number(0)), "sqlite_damaged"),
    "an overflow chain through the schema": (patched(CHAIN, 2 * PAGE, number(1)), "sqlite_damaged"),
    "a page of zeros": (patched(TREE, PAGE, b"\0" * PAGE), "sqlite_damaged"),
    "a page of noise": (patched(TREE, 2 * PAGE, random.Random(3).randbytes(PAGE)), "sqlite_damaged"),
    "too many columns": (make("CREATE TABLE t(" + ", ".join(f"c{n}" for n in range(101)) + ")"), "sqlite_too_many_columns"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_cannot_be_read(phone, case):
    data, reason = FILES[case]
    refused(phone, data, "INVALID_SQLITE", reason)


def test_an_empty_file(phone):
    issued = phone.api("POST", "/api/import/upload-url", json={"fileName": "Backup.db", "fileSize": 0})
    assert expect_problem(issued, 422, "empty_file")["errors"][0]["field"] == "fileSize"


def test_a_list_of_properties_with_odd_bytes(phone, tmp_path):
    """NUL, quotes and what is no UTF-8 before a database that is good."""
    plain = backup(str(tmp_path / "a.db"), games=3, ios=True)[PAGE:]
    for head in (b"<?xml \0 \1 \x1f \"'\\ \\u0000 ?>", b"<?xml \xff\xfe\xed\xa0\x80", b"<?xml\r\n\t\xef\xbf\xbf" + b"x" * 4000):
        state = phone.imported(head.ljust(PAGE, b"\0") + plain)
        assert state["summary"]["counts"]["games"] == 3 and state["format"]["container"] == "plist"


def test_a_file_in_write_ahead_mode(phone, tmp_path):
    data = backup(str(tmp_path / "a.db"), games=3)
    assert phone.imported(patched(data, 18, b"\2\2"))["summary"]["counts"]["games"] == 3


def test_little_that_becomes_much(phone):
    """A column that was added later has its default in every row of before: 400 KB of file stand for gigabytes of cells."""
    data = make("CREATE TABLE t(a)", fill=lambda db: db.executemany("INSERT INTO t VALUES(?)", ((None,) for _ in range(60_000))))
    with_default = grown(data, "ALTER TABLE t ADD COLUMN b DEFAULT '" + "x" * 90_000 + "'")
    assert len(with_default) < 1 << 20
    refused(phone, with_default, "PARSE_FAILED", "reader_output_limit")


def grown(data, *statements):
    """The same database after these statements."""
    path = f"/tmp/{unique('grown')}.db"
    try:
        with open(path, "wb") as file:
            file.write(data)
        with sqlite3.connect(path) as db:
            for statement in statements:
                db.execute(statement)
        db.close()
        with open(path, "rb") as file:
            return file.read()
    finally:
        os.remove(path)


def test_too_many_rows(make_gate):
    gate = make_gate(server__processes=1, sqlite__max_rows=299)
    refused(Phone(gate), TREE, "INVALID_INPUT", "too_many_rows")


# ------------------------------------------------------------------------------------------------------------------ schemas

def test_missing_tables_are_named(phone, tmp_path):
    data = backup(str(tmp_path / "a.db"), games=2)
    state = refused(phone, grown(data, "DROP TABLE frame", "DROP TABLE ball"), "INVALID_SCHEMA", "missing_tables", "bowling")
    assert set(state["error"]["detail"]["tables"]) == {"frame", "ball"}
    state = refused(phone, make("CREATE TABLE x(a)"), "INVALID_SCHEMA", "missing_tables", "bowling")
    assert set(state["error"]["detail"]["tables"]) == TABLES


def test_missing_columns_are_named(phone, tmp_path):
    data = backup(str(tmp_path / "a.db"), games=2)
    state = refused(phone, grown(data, "ALTER TABLE frame DROP COLUMN pins", "ALTER TABLE game DROP COLUMN weekFk"), "INVALID_SCHEMA", "missing_columns", "bowling")
    assert set(state["error"]["detail"]["columns"]) == {"frame.pins", "game.week"}


def test_the_backup_of_another_program(phone, tmp_path):
    path = str(tmp_path / "Backup.db")
    pinpal.scorer(path)
    with open(path, "rb") as file:
        data = file.read()
    state = refused(phone, data, "INVALID_SCHEMA", "other_program", "bowling")
    assert state["error"]["detail"]["program"] == "bowling_scorer"
    assert phone.imported(data, "mirror")["progress"]["done"] == 11


@pytest.mark.parametrize("what", ["CREATE VIEW frame AS SELECT 1 AS gameFk, 2 AS frameNum, 3 AS pins FROM hidden", "CREATE VIRTUAL TABLE frame USING fts5(gameFk, frameNum, pins)",
                                  "CREATE VIRTUAL TABLE frame USING rtree(gameFk, frameNum, pins)"])
def test_what_only_looks_like_a_table(phone, tmp_path, what):
    data = grown(backup(str(tmp_path / "a.db"), games=2), "ALTER TABLE frame RENAME TO hidden", what)
    state = refused(phone, data, "INVALID_SCHEMA", "missing_tables", "bowling")
    assert state["error"]["detail"]["tables"] == ["frame"]
    state = phone.imported(data, "mirror")
    assert state["warnings"] == [{"code": "view_left_out" if "VIEW" in what else "virtual_table_left_out", "place": "frame", "count": 1, "message": state["warnings"][0]["message"]}]
    assert expect_problem(phone.api("GET", raw(state["batchId"], "frame")), 404, "not_found")
    assert len(mirror_of(phone, state)["hidden"][1]) == 24


def test_full_text_tables(phone):
    data = make("CREATE VIRTUAL TABLE notes USING fts5(body)", "INSERT INTO notes VALUES('a note of a strike')", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)")
    found = mirror_of(phone, phone.imported(data, "mirror"))
    assert set(found) == {"t", "notes_data", "notes_idx", "notes_content", "notes_docsize", "notes_config"}
    assert found["notes_content"][1] == [("1", "it", ["1", "a note of a strike"])]


NAMES = ['quo"ted', "apo'strophe", "new\nline", "tab\t", "a/b", "/", "100%", "%2F", "%00", "a b", " lead", "a?b&c=d#e", "..x", "...", "back\\slash", "semi;--", "é ü ß", "\U0001f3b3",
         "DROP TABLE x", "n" * 500, "ﬀ", "İ", "a+b", "{batchId}", "$1", "NULL", "_", "\x7f", "\x01"]


def test_names_that_are_awkward(phone):
    def fill(db):
        for index, name in enumerate(NAMES):
            db.execute(f"CREATE TABLE {quoted(name)}({quoted('column ' + name)}, {quoted(name)})")
            db.execute(f"INSERT INTO {quoted(name)} VALUES(?, ?)", (index, name))
    found = mirror_of(phone, phone.imported(make(fill=fill), "mirror"))
    assert found == {name: (["column " + name, name], [("1", "it", [str(index), name])]) for index, name in enumerate(NAMES)}


def test_no_table_of_that_name(phone):
    batch = phone.imported(make("CREATE TABLE t(a)", 'CREATE TABLE "a/b"(a)'), "mirror")["batchId"]
    for name in ("T", "t ", "a", "sqlite_schema", "sqlite_batch", "x" * 5000, "'; DROP TABLE t; --", "\ufffe"):
        expect_problem(phone.api("GET", raw(batch, name)), 404, "not_found")
    for path in ("raw/%ff", "raw/%00", "raw/%", "raw/", "raw/t/x", "raw/a/b", "data/t", "data/sqlite_batch"):
        answer = phone.api("GET", f"{BATCHES}/{batch}/{path}")
        assert answer.status_code in (400, 404) and answer.json()["code"], f"expected no such table for {path}, got {answer.status_code} {answer.text}"


def test_rows_are_pages_of_bounded_size(phone):
    blobs = [bytes([n]) * 900_000 for n in range(9)]
    data = make("CREATE TABLE t(a)", fill=lambda db: db.executemany("INSERT INTO t VALUES(?)", ((blob,) for blob in blobs)))
    state = phone.imported(data, "mirror")
    page = phone.api("GET", raw(state["batchId"], "t") + "?limit=500")
    assert len(page.content) < 4_000_000 and 1 <= len(page.json()["items"]) < 9
    assert [cells for _, _, cells in mirror_of(phone, state)["t"][1]] == [[blob.hex()] for blob in blobs]


def test_rows_that_are_too_large(phone):
    data = make("CREATE TABLE t(a)", fill=lambda db: db.executemany("INSERT INTO t VALUES(?)", ((size and b"x" * size,) for size in (0, 2_000_000, 5, 3_000_000))))
    state = phone.imported(data, "mirror")
    assert [(warning["code"], warning["place"], warning["count"]) for warning in state["warnings"]] == [("row_too_large", "t", 2)]
    table = state["progress"]["tables"][0]
    assert (table["rows"], table["leftOut"]) == (2, 2)
    items, page = phone.pages(raw(state["batchId"], "t"))
    assert [item["row"] for item in items] == [1, 3] and page["leftOut"] == 2


# ------------------------------------------------------------------------------------------- what no phone would have written

LONG = random.Random(4).randbytes(9000).hex()
ODD = {
    "null": None, "a word": "x", "an empty text": "", "digits": "12", "wide blanks and digits": "\u20035", "other digits": "٣", "digits and a line": "5\n", "NUL": b"a\0b", "no UTF-8": b"\xff\xfe",
    "a blob": bytes(range(20)), "the largest": 2 ** 63 - 1, "the smallest": -2 ** 63, "beyond 32 bits": 2 ** 40, "minus two": -2, "a fraction": 0.5, "huge": 1e300, "tiny": 5e-324,
    "infinite": float("inf"), "minus infinite": float("-inf"), "not a number": "NaN", "a long text": LONG, "a long number": "9" * 30, "JSON": '{"a": "\\u0000"}', "deep JSON": "[" * 40_000 + "]" * 40_000,
    "JSON of a size": "[1e999999]", "half a pair": '"\\ud800"', "JSON null": "null",
}


def loosened(path, value, every):
    """A backup whose columns, keys too, have no type, and this value in every column of some rows."""
    data = backup(path, games=6, seed=9, extensions=True, optional=True)
    with sqlite3.connect(path) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({quoted(table)})")]
            db.execute(f"ALTER TABLE {quoted(table)} RENAME TO old")
            db.execute(f"CREATE TABLE {quoted(table)}({', '.join(columns)})")
            db.execute(f"INSERT INTO {quoted(table)} SELECT * FROM old")
            db.execute("DROP TABLE old")
            for place, column in enumerate(columns):
                text = "CAST(? AS TEXT)" if isinstance(value, bytes) and len(value) < 5 else "?"
                db.execute(f"UPDATE {quoted(table)} SET {quoted(column)} = {text} WHERE (rowid + {place}) % {every} = 0", (value,))
    db.close()
    with open(path, "rb") as file:
        assert file.read(16) == data[:16]
        file.seek(0)
        return file.read()


@pytest.mark.parametrize("case", ODD)
def test_odd_values_in_every_column(phone, tmp_path, case):
    for every in (7, 1):
        data = loosened(str(tmp_path / f"{every}.db"), ODD[case], every)
        state = phone.imported(data)
        assert state["warnings"] and all(warning["message"] and warning["count"] > 0 for warning in state["warnings"])
        assert state["summary"]["counts"]["tables"]["frame"] == 72 and state["progress"]["done"] == state["progress"]["total"]
        for table in ("house", "pattern", "ball", "league", "session", "game", "frame"):
            phone.data(state["batchId"], table)


# ----------------------------------------------------------------------------------------------------------- whose batch is it

def test_batches_of_others(gate, phone, tmp_path):
    state = phone.imported(backup(str(tmp_path / "a.db"), games=2))
    failed = phone.failed(make("CREATE TABLE x(a)"), "INVALID_SCHEMA", "missing_tables")
    others = (Phone(gate, space=phone.space), Phone(gate, space=phone.space, role="admin"), Phone(gate, sub=phone.sub), Phone(gate, role="admin"))
    for other in others:
        for batch in (state["batchId"], failed["batchId"], str(uuid.uuid4())):
            for method, path in (("GET", ""), ("GET", "/raw/game"), ("GET", "/data/game"), ("POST", "/activate"), ("POST", "/retry")):
                expect_problem(other.api(method, f"{BATCHES}/{batch}{path}"), 404, "not_found")
        assert other.api("GET", BATCHES).json() == {"items": [], "nextCursor": None}
        if other.sub != phone.sub:
            expect_problem(other.api("POST", BATCHES, json={"objectKey": state["objectKey"], "fileName": "Backup.db", "fileSize": state["fileSize"]}), 404, "not_found")
    assert phone.get(state["batchId"]) == state and phone.get(failed["batchId"]) == failed
    for token in (None, "nonsense"):
        assert gate.api("GET", f"{BATCHES}/{state['batchId']}", token=token).status_code == 401


def test_lists(phone):
    made = [phone.create(make(f"CREATE TABLE t{n}(a)"), profile="mirror")["batchId"] for n in range(5)]
    for batch in made:
        phone.wait(batch)
    assert [item["batchId"] for item in phone.pages(BATCHES, 2)[0]] == made[::-1]
    assert phone.api("GET", f"{BATCHES}?status=failed").json()["items"] == []
    for query in ("limit=0", "limit=501", "limit=x", "limit=-1", "limit=1.5", "status=lost", "cursor=x", "cursor=" + "A" * 300):
        expect_problem(phone.api("GET", f"{BATCHES}?{query}"), 400, "invalid_cursor" if query.startswith("cursor") else "invalid_field")


def test_bad_cursors_and_limits(phone, tmp_path):
    batch = phone.imported(backup(str(tmp_path / "a.db"), games=2))["batchId"]
    for path in ("raw/game", "data/game"):
        for query in ("limit=0", "limit=501", "limit=x", "cursor=x", "cursor=-1", "cursor=1.0", "cursor=9223372036854775808", "cursor=%00"):
            answer = phone.api("GET", f"{BATCHES}/{batch}/{path}?{query}")
            assert answer.status_code == 400 and answer.json()["code"], f"expected 400 for {path}?{query}, got {answer.status_code} {answer.text}"
    assert phone.api("GET", f"{BATCHES}/{batch}/raw/game?cursor=9223372036854775807").json()["items"] == []
    assert phone.api("GET", f"{BATCHES}/{batch}/data/game?cursor=ffffffff-ffff-ffff-ffff-ffffffffffff").json()["items"] == []
    for name in ("game_pkey", "game_dataset", "house_name", "Game", "game ", "x", "pg_class", "n" * 300, '"', "a.b", "lead", "%22"):
        expect_problem(phone.api("GET", f"{BATCHES}/{batch}/data/{name}"), 404, "not_found")
    for other in ("x", "0" * 36, batch + "0"):
        assert phone.api("GET", f"{BATCHES}/{other}").status_code in (400, 404)


# ------------------------------------------------------------------------------------------------------------------- bodies

BODIES = {
    "objectKey": [None, 1, "", [], "x" * 600, {"a": 1}], "fileName": [None, 1, "", [], "n" * 256], "fileSize": [None, "1", -1, 1.5, [], 2 ** 63],
    "checksum": ["x", 1, "0" * 63, "G" * 64], "profile": ["", "chess", 1, [], "Bowling"], "timezoneOffsetMinutes": [841, -841, "60", 1.5, [], True],
    "idempotencyKey": ["short", "k" * 129, 1, [], None],
}


def test_bodies_of_wrong_types(phone):
    good = {"objectKey": phone.uploaded(TREE), "fileName": "Backup.db", "fileSize": len(TREE)}
    for field, values in BODIES.items():
        for value in values:
            body = {**good, "profile": "mirror", field: value}
            answer = phone.api("POST", BATCHES, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
            assert answer.status_code == 400, f"expected {field} = {value!r} to be refused, got {answer.status_code} {answer.text}"
            if answer.json()["code"] == "invalid_field":
                assert answer.json()["errors"][0]["field"] == field
    for field in good:
        body = {name: value for name, value in good.items() if name != field}
        assert expect_problem(phone.api("POST", BATCHES, json=body), 400, "invalid_field")["errors"][0]["field"] == field
    for data in (b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff"):
        answer = phone.api("POST", BATCHES, data=data, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), f"expected {data} to be refused, got {answer.status_code}"
    assert phone.api("GET", BATCHES).json()["items"] == []



def test_a_file_that_is_another(phone):
    good = {"objectKey": phone.uploaded(TREE), "fileName": "Backup.db", "fileSize": len(TREE), "profile": "mirror"}
    expect_problem(phone.api("POST", BATCHES, json={**good, "fileSize": 1}), 422, "size_mismatch")
    expect_problem(phone.api("POST", BATCHES, json={**good, "checksum": "0" * 64}), 422, "checksum_mismatch")
    expect_problem(phone.api("POST", BATCHES, json={**good, "objectKey": good["objectKey"][:-3]}), 404, "not_found")
    issued = phone.gate.upload_url(TREE + b"x", "never.db", token=phone.token)
    expect_problem(phone.api("POST", BATCHES, json={**good, "objectKey": issued["objectKey"], "fileSize": len(TREE) + 1}), 409, "upload_not_finished")


def test_the_file_goes_before_it_is_read(phone):
    key = phone.uploaded(TREE)
    phone.gate.replace_object(key, None)
    batch = phone.api("POST", BATCHES, json={"objectKey": key, "fileName": "a.db", "fileSize": len(TREE), "profile": "mirror"}).json()["batchId"]
    state = phone.wait(batch)
    assert (state["error"]["code"], state["error"]["reason"]) == ("INVALID_INPUT", "file_gone")
    nothing_left(phone.gate, batch)


# ------------------------------------------------------------------------------------------------------------ twice the same

def test_idempotency_keys(phone):
    key = unique("key")
    body = {"objectKey": phone.uploaded(TREE), "fileName": "Backup.db", "fileSize": len(TREE), "profile": "mirror", "idempotencyKey": key}
    first = phone.api("POST", BATCHES, json=body).json()
    assert first["deduplicated"] is False
    again = phone.api("POST", BATCHES, json=body)
    assert again.status_code == 202 and again.json()["batchId"] == first["batchId"] and again.json()["deduplicated"] is True
    header = {name: value for name, value in body.items() if name != "idempotencyKey"}
    assert phone.api("POST", BATCHES, json=header, headers={"Idempotency-Key": key}).json()["batchId"] == first["batchId"]
    other = phone.uploaded(CHAIN)
    for change in ({"objectKey": other, "fileSize": len(CHAIN)}, {"profile": "bowling"}, {"timezoneOffsetMinutes": 60}, {"fileName": "Other.db"}, {"fileSize": 1}):
        expect_problem(phone.api("POST", BATCHES, json={**body, **change}), 422, "idempotency_mismatch")
    stranger = Phone(phone.gate, space=phone.space)
    mine = {"objectKey": stranger.uploaded(TREE), "fileName": "Backup.db", "fileSize": len(TREE), "profile": "mirror", "idempotencyKey": key}
    assert stranger.api("POST", BATCHES, json=mine).json()["batchId"] != first["batchId"], "expected a key to be its owner's alone"
    assert len(phone.pages(BATCHES)[0]) == 1


def test_the_same_file_again(phone):
    body = {"objectKey": phone.uploaded(TREE), "fileName": "Backup.db", "fileSize": len(TREE), "profile": "mirror"}
    first = phone.api("POST", BATCHES, json=body).json()
    assert phone.api("POST", BATCHES, json={**body, "fileName": "Renamed.db"}).json()["batchId"] == first["batchId"]
    assert phone.api("POST", BATCHES, json={**body, "idempotencyKey": unique("key")}).json()["batchId"] == first["batchId"]
    expect_problem(phone.api("POST", BATCHES, json={**body, "profile": "bowling"}), 409, "batch_conflict")
    expect_problem(phone.api("POST", BATCHES, json={**body, "profile": "bowling", "idempotencyKey": unique("key")}), 409, "batch_conflict")


@pytest.mark.parametrize("keyed", [False, True])
def test_double_taps(phone, keyed):
    body = {"objectKey": phone.uploaded(TREE), "fileName": "Backup.db", "fileSize": len(TREE), "profile": "mirror", **({"idempotencyKey": unique("key")} if keyed else {})}
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: phone.api("POST", BATCHES, json=body), range(12)))
    assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers]
    assert len({answer.json()["batchId"] for answer in answers}) == 1 and sum(not answer.json()["deduplicated"] for answer in answers) == 1
    batch = answers[0].json()["batchId"]
    assert phone.wait(batch)["progress"]["done"] == 300
    kinds = phone.gate.sql("SELECT count(*) FROM (SELECT args FROM tidegate.job UNION ALL SELECT args FROM tidegate.job_history) j WHERE args ->> 'id' = %s", batch)
    assert kinds == [(1,)], f"expected one job, got {kinds}"


def test_an_upload_is_for_one_kind_of_import(gate):
    phone = Phone(gate, role="admin")
    data = b"Nom;Email\nDurand;a@example.com\n"
    key = phone.uploaded(data, "leads.csv")
    sheet, file = {"objectKey": key, "fileName": "leads.csv", "fileSize": len(data)}, {"objectKey": key, "fileName": "leads.csv", "fileSize": len(data), "profile": "mirror"}
    assert phone.api("POST", "/api/import/jobs", json=sheet).status_code == 201
    expect_problem(phone.api("POST", BATCHES, json=file), 409, "upload_already_imported")
    key = phone.uploaded(TREE, "Backup.db")
    assert phone.api("POST", BATCHES, json={**file, "objectKey": key, "fileSize": len(TREE)}).status_code == 202
    expect_problem(phone.api("POST", "/api/import/jobs", json={**sheet, "objectKey": key, "fileSize": len(TREE)}), 409, "upload_already_imported")
    failed = phone.failed(CHAIN, "INVALID_SCHEMA", "missing_tables")
    assert phone.api("POST", "/api/import/jobs", json={**sheet, "objectKey": failed["objectKey"], "fileSize": len(CHAIN)}).status_code == 201
    expect_problem(phone.api("POST", f"{BATCHES}/{failed['batchId']}/retry"), 409, "batch_conflict")


def test_two_kinds_of_import_at_once(gate):
    phone = Phone(gate, role="admin")
    for _ in range(6):
        key = phone.uploaded(TREE)
        body = {"objectKey": key, "fileName": "Backup.db", "fileSize": len(TREE)}
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda n, body=body: phone.api("POST", "/api/import/jobs" if n % 2 else BATCHES, json={**body, **({"allowDuplicate": True} if n % 2 else {"profile": "mirror"})}), range(6)))
        taken = {n % 2 for n, answer in enumerate(answers) if answer.status_code in (201, 202)}
        assert len(taken) == 1, f"expected the file to go to one kind of import, got {[(answer.status_code, answer.text[:80]) for answer in answers]}"
        assert {answer.status_code for answer in answers} <= {201, 202, 409}


def test_a_failed_file_may_be_tried_again(phone):
    failed = phone.failed(TREE, "INVALID_SCHEMA", "missing_tables")
    body = {"objectKey": failed["objectKey"], "fileName": "Backup.db", "fileSize": len(TREE), "profile": "mirror"}
    again = phone.api("POST", BATCHES, json=body).json()
    assert again["batchId"] != failed["batchId"] and phone.wait(again["batchId"])["status"] == "completed"
    expect_problem(phone.api("POST", f"{BATCHES}/{failed['batchId']}/retry"), 409, "batch_conflict")
    expect_problem(phone.api("POST", f"{BATCHES}/{again['batchId']}/retry"), 409, "wrong_state")
    assert phone.get(failed["batchId"]) == failed


def test_retry_of_a_file_that_is_no_better(phone):
    failed = phone.failed(TREE, "INVALID_SCHEMA", "missing_tables")
    assert phone.api("POST", f"{BATCHES}/{failed['batchId']}/retry").status_code == 202
    state = phone.wait(failed["batchId"])
    assert state["error"] == failed["error"]
    nothing_left(phone.gate, failed["batchId"])


def test_made_by_sql(phone, tmp_path):
    data = database("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT) WITHOUT ROWID; INSERT INTO t VALUES(2, 'b'), (1, 'a');", str(tmp_path / "a.db"))
    assert mirror_of(phone, phone.imported(data, "mirror")) == {"t": (["a", "b"], [("0", "it", ["1", "a"]), ("0", "it", ["2", "b"])])}
