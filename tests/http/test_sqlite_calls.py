"""Parsers that run elsewhere: what they send becomes what our own reader makes of the same file; everything else about their calls is refused."""
import concurrent.futures
import json
import re
import sqlite3
import time
import uuid

import pytest

import parser
from instance import expect_problem, unique
from mirror import mirror_of, nothing_left
from parser import CALLBACK, KEYS, NEXT, QUEUE, Parser, chunks_of, tables_of
from phone import BATCHES, Phone, backup
from sqlite_files import make

CLASSES = ("INVALID_INPUT", "INVALID_SQLITE", "INVALID_SCHEMA", "INVALID_ROW", "PARSE_FAILED", "PARSER_INIT_FAILED")
ONE = {"tables": [{"name": "t", "columns": ["a"], "rows": [[1]], "rowIds": [7]}]}
TWO = {"tables": [{"name": "t", "columns": ["a"], "rows": [[2]], "rowIds": [8]}]}


@pytest.fixture
def elsewhere(own_instance):
    return Parser(own_instance(**parser.OPTIONS))


def small(value=1):
    return make("CREATE TABLE t(a)", f"INSERT INTO t VALUES({value})")


@pytest.fixture
def batch(elsewhere):
    """A batch of the profile mirror that waits for its parser."""
    return elsewhere.queued(small(), profile="mirror")["batchId"]


def chunks_in(gate, batch):
    return gate.sql("SELECT count(*) FROM tidegate.sqlite_chunk WHERE batch_no = (SELECT no FROM tidegate.sqlite_batch WHERE id = %s)", batch)[0][0]


# ------------------------------------------------------------------------------------------------------------- all the way

def every_kind(db):
    """Cells that are easily lost on the way."""
    db.execute('CREATE TABLE "every ""kind"" / é"(a, b)')
    values = [0, 1, -1, 2 ** 53, 2 ** 53 + 1, -2 ** 53 - 1, 2 ** 63 - 1, -2 ** 63, 2 ** 62 + 1, 0.1, -0.0, 0.0, 5.0, 1e22, 1e-7, 5e-324, 2.2250738585072014e-308,
              1.7976931348623157e308, float("inf"), float("-inf"), 1 / 3, 123456789.987654321, "", "é", "\U0001f3b3", "line\nline\ttab", '"quoted"', "NULL", "null",
              "{}", "\ufeffmark", "\ufffd", b"", b"\0", bytes(range(256)), None]
    db.executemany('INSERT INTO "every ""kind"" / é" VALUES(?, ?)', [(value, index) for index, value in enumerate(values)])
    for text in (b"a\0b", b"\0", b"\xff", b"\xc3\x28 \xed\xa0\x80", b"\x80ok"):
        db.execute('INSERT INTO "every ""kind"" / é"(a, rowid) VALUES(CAST(? AS TEXT), ?)', (text, 1000 + text[0] * 2 ** 40))
    db.execute("CREATE TABLE empty(a, b, c)")


@pytest.fixture
def phone_file(tmp_path):
    def write(**options):
        data = backup(str(tmp_path / "b.db"), **options)
        head = data[:parser.CONTAINER] if options.get("ios") else b""
        with open(tmp_path / "c.db", "wb") as file:
            file.write(data[len(head):])
        with sqlite3.connect(tmp_path / "c.db") as db:
            every_kind(db)
        db.close()
        with open(tmp_path / "c.db", "rb") as file:
            return head + file.read()
    return write


@pytest.mark.parametrize("options", [{"games": 40, "seed": 5, "extensions": True, "optional": True}, {"games": 25, "seed": 6}], ids=["extensions", "plain"])
def test_a_parser_elsewhere_makes_what_our_own_reader_makes(elsewhere, phone_file, options):
    data = phone_file(**options)
    theirs = elsewhere.parsed(data, timezoneOffsetMinutes=-120)
    phone = Phone(elsewhere.gate, space=elsewhere.phone.space)
    ours = phone.imported(data, timezoneOffsetMinutes=-120)
    assert theirs["parserVersion"] == "tests 1" and theirs["parser"] == "external" and ours["parser"] == "internal"
    assert mirror_of(elsewhere.phone, theirs) == mirror_of(phone, ours)
    assert theirs["summary"] == ours["summary"] and theirs["warnings"] == ours["warnings"]
    assert theirs["summary"]["counts"]["games"] == options["games"] and theirs["current"]

    def refined(who, state, table):
        """Without the ids, which are of a batch."""
        rows = [{name: value for name, value in row.items() if not re.search(r"(^|_)id$", name) or name == "source_id"} for row in who.data(state["batchId"], table)]
        return sorted(json.dumps(row, sort_keys=True).replace(state["batchId"], "") for row in rows)
    for table in ("ball", "league", "session", "frame"):
        assert refined(elsewhere.phone, theirs, table) == refined(phone, ours, table), f"expected the same rows of {table}"
    games = [[(row["source_id"], row["total_score"], row["frame_preview"], row["strikes"]) for row in sorted(who.data(state["batchId"], "game"), key=lambda row: row["source_id"])]
             for who, state in ((elsewhere.phone, theirs), (phone, ours))]
    assert games[0] == games[1] and len(games[0]) > 20


def test_a_file_of_ios(elsewhere, phone_file):
    data = phone_file(games=10, seed=2, ios=True)
    theirs, phone = elsewhere.parsed(data, rows=50), Phone(elsewhere.gate)
    ours = phone.imported(data)
    assert mirror_of(elsewhere.phone, theirs) == mirror_of(phone, ours)
    days = [sorted(row["played_on"] for row in who.data(state["batchId"], "session")) for who, state in ((elsewhere.phone, theirs), (phone, ours))]
    assert days[0] == days[1]


def test_our_own_workers_on_behalf_of_the_queue(elsewhere, tmp_path):
    answer = elsewhere.queued(backup(str(tmp_path / "a.db"), games=3), parser="internal")
    assert "downloadUrl" not in answer
    state = elsewhere.phone.wait(answer["batchId"])
    assert state["status"] == "completed" and state["summary"]["counts"]["games"] == 3
    for body in ({"stage": "parsing"}, {"stage": "failed", "error": {"code": "PARSE_FAILED"}}, {"parserVersion": "x", "snapshot": ONE}):
        expect_problem(elsewhere.call(CALLBACK, {"batchId": answer["batchId"], **body}), 409, "wrong_state")
    assert elsewhere.phone.get(state["batchId"]) == state


@pytest.mark.parametrize("path", [QUEUE, CALLBACK])
def test_both_keys_count(elsewhere, path):
    batch = str(uuid.uuid4())
    elsewhere.works(QUEUE, {"batchId": batch, "userId": elsewhere.phone.sub, "r2Key": elsewhere.phone.uploaded(small(), "a.db"), "profile": "mirror"},
                    key=NEXT[QUEUE] if path == QUEUE else None)
    elsewhere.works(CALLBACK, {"batchId": batch, "stage": "parsing"}, key=NEXT[CALLBACK] if path == CALLBACK else None)
    assert elsewhere.phone.get(batch)["status"] == "parsing"


# -------------------------------------------------------------------------------------------------------------- the signature

FORGED = {
    "another secret": (dict(key="nobody's secret"), 401, "call_unsigned"),
    "the secret of the queue": (dict(key=KEYS[QUEUE]), 401, "call_unsigned"),
    "five minutes late": (dict(at=-310), 401, "call_expired"),
    "five minutes early": (dict(at=310), 401, "call_expired"),
    "no time": ({"x-import-ts": None}, 401, "call_unsigned"),
    "another time": ({"x-import-ts": "1700000000"}, 401, "call_expired"),
    "a time that is none": ({"x-import-ts": "soon"}, 401, "call_unsigned"),
    "milliseconds": ({"x-import-ts": str(int(time.time() * 1000))}, 401, "call_expired"),
    "no nonce": ({"x-import-nonce": None}, 401, "call_unsigned"),
    "another nonce": ({"x-import-nonce": "0123456789abcdef"}, 401, "call_unsigned"),
    "15 characters of nonce": (dict(nonce="0123456789abcde"), 401, "call_unsigned"),
    "129 characters of nonce": (dict(nonce="n" * 129), 401, "call_unsigned"),
    "a blank in the nonce": (dict(nonce="0123456789 abcdef"), 401, "call_unsigned"),
    "no signature": ({"x-import-signature": None}, 401, "call_unsigned"),
    "an empty signature": ({"x-import-signature": ""}, 401, "call_unsigned"),
    "capitals": ({"x-import-signature": "A" * 64}, 401, "call_unsigned"),
    "zeros": ({"x-import-signature": "0" * 64}, 401, "call_unsigned"),
    "too long": ({"x-import-signature": "0" * 65}, 401, "call_unsigned"),
    "a bearer token instead": ({"x-import-signature": None, "Authorization": "Bearer x"}, 401, "call_unsigned"),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged(elsewhere, batch, case):
    signing, status, code = FORGED[case]
    expect_problem(elsewhere.call(CALLBACK, {"batchId": batch, "stage": "parsing"}, **signing), status, code)
    assert elsewhere.phone.get(batch)["status"] == "queued"


@pytest.mark.parametrize("nonce", ["0123456789abcdef", "~!@#$%^&*()_+={}[]|", "n" * 128])
def test_shapes_of_nonces(elsewhere, batch, nonce):
    nonce = (unique() + nonce)[:128]
    elsewhere.works(CALLBACK, {"batchId": batch, "stage": "parsing"}, nonce=nonce)
    expect_problem(elsewhere.call(CALLBACK, {"batchId": batch, "stage": "parsing"}, nonce=nonce), 409, "call_replayed")


def test_signed_for_something_else(elsewhere, batch):
    body = json.dumps({"batchId": batch, "stage": "failed", "error": {"code": "PARSE_FAILED"}}).encode()
    for data, headers in ((body + b" ", elsewhere.headers(CALLBACK, body)), (body.replace(b"failed", b"parsing"), elsewhere.headers(CALLBACK, body)),
                          (body, elsewhere.headers(QUEUE, body)), (body, elsewhere.headers(QUEUE, body, key=KEYS[CALLBACK])),
                          (body, elsewhere.headers(CALLBACK + "/", body, key=KEYS[CALLBACK]))):
        expect_problem(elsewhere.send(CALLBACK, data, headers), 401, "call_unsigned")
    expect_problem(elsewhere.call(QUEUE, {"batchId": batch}, key=KEYS[CALLBACK]), 401, "call_unsigned")
    assert elsewhere.phone.get(batch)["status"] == "queued"


def test_too_large(elsewhere, batch):
    snapshot = {"tables": [{"name": "t", "columns": ["a"], "rows": [["x" * (1 << 20)]]}]}
    answer = elsewhere.call(CALLBACK, {"batchId": batch, "parserVersion": "1", "snapshot": snapshot})
    assert answer.status_code == 413, f"expected 413, got {answer.status_code}"
    assert chunks_in(elsewhere.gate, batch) == 0


def test_nobody_may_call_where_there_is_no_key(gate):
    for path in (QUEUE, CALLBACK):
        expect_problem(Parser(gate).call(path, {"batchId": str(uuid.uuid4()), "stage": "parsing"}), 403, "calls_disabled")


def test_one_key_opens_one_address(make_gate):
    gate = make_gate(server__processes=1, worker__processes=1, parser__queue_next_key=NEXT[QUEUE])
    caller = Parser(gate)
    caller.works(QUEUE, {"batchId": str(uuid.uuid4()), "userId": caller.phone.sub, "r2Key": caller.phone.uploaded(small(), "a.db")}, key=NEXT[QUEUE])
    expect_problem(caller.call(QUEUE, {"batchId": str(uuid.uuid4())}), 401, "call_unsigned")
    expect_problem(caller.call(CALLBACK, {"batchId": str(uuid.uuid4()), "stage": "parsing"}), 403, "calls_disabled")


def test_replayed(elsewhere, batch):
    data = json.dumps({"batchId": batch, "parserVersion": "1", "snapshot": ONE, "chunk": {"index": 0, "last": False}}).encode()
    headers = elsewhere.headers(CALLBACK, data)
    assert elsewhere.send(CALLBACK, data, headers).status_code == 200
    for _ in range(3):
        expect_problem(elsewhere.send(CALLBACK, data, headers), 409, "call_replayed")
    assert chunks_in(elsewhere.gate, batch) == 1


def test_the_same_call_twenty_times_at_once(elsewhere):
    key = elsewhere.phone.uploaded(small(), "a.db")
    made = json.dumps({"batchId": str(uuid.uuid4()), "userId": elsewhere.phone.sub, "r2Key": key, "profile": "mirror"}).encode()
    told = {"batchId": json.loads(made)["batchId"], "parserVersion": "1", "snapshot": ONE}
    for path, data, good in ((QUEUE, made, 202), (CALLBACK, json.dumps(told).encode(), 200)):
        headers = elsewhere.headers(path, data)
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: elsewhere.send(path, data, headers), range(20)))
        assert sorted(answer.status_code for answer in answers) == [good] + [409] * 19, [answer.text for answer in answers]
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"call_replayed"}
    state = elsewhere.phone.wait(told["batchId"])
    assert state["status"] == "completed" and state["progress"]["done"] == 1
    assert elsewhere.gate.sql("SELECT count(*) FROM tidegate.sqlite_batch WHERE object_key = %s", key) == [(1,)]


def test_the_same_chunk_signed_anew_many_times_at_once(elsewhere, batch):
    body = {"batchId": batch, "parserVersion": "1", "snapshot": ONE}
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: elsewhere.call(CALLBACK, body), range(12)))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert elsewhere.phone.wait(batch)["progress"]["done"] == 1


# ------------------------------------------------------------------------------------------------------------- whose is it

def test_a_file_of_somebody_else(elsewhere):
    other = Phone(elsewhere.gate, space=elsewhere.phone.space)
    key = other.uploaded(small(), "a.db")
    for user in (elsewhere.phone.sub, other.sub + "x", other.sub[:-1], "", "../" + other.sub, "%", "é"):
        answer = elsewhere.call(QUEUE, {"batchId": str(uuid.uuid4()), "userId": user, "r2Key": key})
        expect_problem(answer, 400, "invalid_field")
    assert other.api("GET", BATCHES).json()["items"] == []


def test_unknown_files_and_batches(elsewhere):
    user = elsewhere.phone.sub
    for key in (f"imports/{user}/{uuid.uuid4()}.db", f"imports/{user}/../{user}/a.db"):
        expect_problem(elsewhere.call(QUEUE, {"batchId": str(uuid.uuid4()), "userId": user, "r2Key": key}), 404, "not_found")
    for key in (f"imports/{user}/a.csv", f"imports/{user}", "a.db", f"/imports/{user}/a.db", f"imports/{user}2/a.db", f"backups/{user}/a.db"):
        expect_problem(elsewhere.call(QUEUE, {"batchId": str(uuid.uuid4()), "userId": user, "r2Key": key}), 400, "invalid_field")
    for body in ({"stage": "parsing"}, {"parserVersion": "1", "snapshot": ONE}):
        expect_problem(elsewhere.call(CALLBACK, {"batchId": str(uuid.uuid4()), **body}), 404, "not_found")


def test_a_batch_id_is_for_one_file(elsewhere, batch):
    phone, other = elsewhere.phone, Phone(elsewhere.gate)
    expect_problem(elsewhere.call(QUEUE, {"batchId": batch, "userId": phone.sub, "r2Key": phone.uploaded(small(2), "b.db"), "profile": "mirror"}), 409, "batch_conflict")
    expect_problem(elsewhere.call(QUEUE, {"batchId": batch, "userId": other.sub, "r2Key": other.uploaded(small(3), "b.db"), "profile": "mirror"}), 403, "user_mismatch")
    key = phone.get(batch)["objectKey"]
    expect_problem(elsewhere.call(QUEUE, {"batchId": str(uuid.uuid4()), "userId": phone.sub, "r2Key": key, "profile": "mirror"}), 409, "batch_conflict")
    again = elsewhere.works(QUEUE, {"batchId": batch, "userId": phone.sub, "r2Key": key, "profile": "mirror"})
    assert again["batchId"] == batch and again["deduplicated"] is True and again["downloadUrl"]
    expect_problem(elsewhere.call(QUEUE, {"batchId": batch, "userId": phone.sub, "r2Key": key, "profile": "bowling"}), 409, "batch_conflict")


QUEUE_BODIES = {
    "no batch": dict(batchId=None), "a batch that is no UUID": dict(batchId="batch_0001"), "a number": dict(batchId=7), "no user": dict(userId=None),
    "a user that is a list": dict(userId=[]), "no file": dict(r2Key=None), "a file that is an object": dict(r2Key={}), "a profile": dict(profile="chess"),
    "an offset": dict(timezoneOffsetMinutes=841), "an offset as text": dict(timezoneOffsetMinutes="60"), "a parser": dict(parser="mine"), "a name": dict(fileName="n" * 256),
}


@pytest.mark.parametrize("case", QUEUE_BODIES)
def test_wrong_fields_of_the_queue(elsewhere, case):
    body = {"batchId": str(uuid.uuid4()), "userId": elsewhere.phone.sub, "r2Key": f"imports/{elsewhere.phone.sub}/x.db", **QUEUE_BODIES[case]}
    body = {name: value for name, value in body.items() if value is not None}
    problem = expect_problem(elsewhere.call(QUEUE, body), 400, "invalid_field")
    assert problem["errors"][0]["field"] in QUEUE_BODIES[case]


# ------------------------------------------------------------------------------------------------------------------ chunks

def test_chunks_in_disorder(elsewhere, batch):
    def put(snapshot, index, last=False):
        return elsewhere.call(CALLBACK, {"batchId": batch, "parserVersion": "1", "snapshot": snapshot, "chunk": {"index": index, "last": last}})
    expect_problem(put(ONE, 1), 409, "chunk_conflict")
    assert put(ONE, 0).status_code == 200
    assert put(ONE, 0).status_code == 200, "expected the same chunk again to change nothing"
    expect_problem(put(TWO, 0), 409, "chunk_conflict")
    expect_problem(put(ONE, 0, True), 409, "chunk_conflict")
    expect_problem(put(TWO, 2, True), 409, "chunk_conflict")
    assert put(TWO, 1, True).status_code == 200
    state = elsewhere.phone.wait(batch)
    assert state["status"] == "completed" and mirror_of(elsewhere.phone, state) == {"t": (["a"], [("7", "i", ["1"]), ("8", "i", ["2"])])}
    assert put(TWO, 1, True).status_code == 200, "expected the last chunk again, its answer lost, to change nothing"
    expect_problem(put(ONE, 1, True), 409, "chunk_conflict")
    assert put(ONE, 2, True).status_code == 409
    assert elsewhere.phone.get(batch) == state


@pytest.mark.parametrize("chunk", [[], 1, "0", {"index": -1}, {"index": "0"}, {"index": 0, "last": "yes"}, {"last": True}, {"index": 1.5}, {"index": 1000000}])
def test_wrong_chunks(elsewhere, batch, chunk):
    problem = expect_problem(elsewhere.call(CALLBACK, {"batchId": batch, "parserVersion": "1", "snapshot": ONE, "chunk": chunk}), 400, "invalid_field")
    assert problem["errors"][0]["field"] in ("chunk", "index", "last", "chunk.index")


def test_other_columns_in_a_later_chunk(elsewhere, batch):
    elsewhere.chunk(batch, ONE, 0, False)
    elsewhere.chunk(batch, {"tables": [{"name": "t", "columns": ["b"], "rows": [[1]]}]}, 1)
    state = elsewhere.phone.wait(batch)
    assert (state["status"], state["error"]["code"], state["error"]["reason"]) == ("failed", "INVALID_ROW", "parser_inconsistent")
    nothing_left(elsewhere.gate, batch)


def test_row_ids_in_some_chunks_only(elsewhere, batch):
    elsewhere.chunk(batch, ONE, 0, False)
    elsewhere.chunk(batch, {"tables": [{"name": "t", "columns": ["a"], "rows": [[1]]}]}, 1)
    assert elsewhere.phone.wait(batch)["error"]["reason"] == "parser_inconsistent"


def test_an_empty_snapshot(elsewhere, batch):
    elsewhere.chunk(batch, {"tables": []})
    state = elsewhere.phone.wait(batch)
    assert state["status"] == "completed" and state["progress"]["tables"] == []


def test_a_table_twice_in_a_chunk_and_interleaved(elsewhere, batch):
    def some(name, *values):
        return {"name": name, "columns": ["a"], "rows": [[value] for value in values]}
    elsewhere.chunk(batch, {"tables": [some("a", 1, 2), some("b", 10), some("a", 3)]}, 0, False)
    elsewhere.chunk(batch, {"tables": [some("b", 11), some("a", 4), some("c")]}, 1, False)
    elsewhere.chunk(batch, {"tables": [some("a", 5)]}, 2)
    state = elsewhere.phone.wait(batch)
    found = {name: [cells[0] for _, _, cells in rows] for name, (_, rows) in mirror_of(elsewhere.phone, state).items()}
    assert found == {"a": ["1", "2", "3", "4", "5"], "b": ["10", "11"], "c": []} and state["progress"]["done"] == 7


SHAPES = {
    "null": (None, "snapshot"), "a text": ("x", "snapshot"), "a list": ([], "snapshot"), "no tables": ({}, "snapshot.tables"), "tables as object": ({"tables": {}}, "snapshot.tables"),
    "1001 tables": ({"tables": [{"name": f"t{n}", "columns": ["a"], "rows": []} for n in range(1001)]}, "snapshot.tables"),
}
TABLES = {
    "a number": (1, "name"), "null": (None, "name"), "a list": ([], "name"), "no name": ({"columns": ["a"], "rows": []}, "name"),
    "an empty name": ({"name": "", "columns": ["a"], "rows": []}, "name"), "a name that is a number": ({"name": 1, "columns": ["a"], "rows": []}, "name"),
    "a long name": ({"name": "n" * 1001, "columns": ["a"], "rows": []}, "name"), "no columns": ({"name": "t", "rows": []}, "columns"),
    "an empty list of columns": ({"name": "t", "columns": [], "rows": []}, "columns"), "columns as text": ({"name": "t", "columns": "a", "rows": []}, "columns"),
    "101 columns": ({"name": "t", "columns": [f"c{n}" for n in range(101)], "rows": []}, "columns"),
    "a column that is a number": ({"name": "t", "columns": ["a", 1], "rows": []}, "columns[1]"), "a column without a name": ({"name": "t", "columns": [{"type": "TEXT"}], "rows": []}, "columns[0]"),
    "an empty column": ({"name": "t", "columns": [""], "rows": []}, "columns[0]"), "no rows": ({"name": "t", "columns": ["a"]}, "rows"),
    "rows as object": ({"name": "t", "columns": ["a"], "rows": {}}, "rows"), "a row that is no list": ({"name": "t", "columns": ["a"], "rows": [[1], {"a": 1}]}, "rows[1]"),
    "too many cells": ({"name": "t", "columns": ["a"], "rows": [[1, 2]]}, "rows[0]"), "too few cells": ({"name": "t", "columns": ["a", "b"], "rows": [[1, 2], [1]]}, "rows[1]"),
    "ids that are no list": ({"name": "t", "columns": ["a"], "rows": [[1]], "rowIds": 1}, "rowIds"), "too few ids": ({"name": "t", "columns": ["a"], "rows": [[1]], "rowIds": []}, "rowIds"),
    "an id that is a text": ({"name": "t", "columns": ["a"], "rows": [[1], [2]], "rowIds": [1, "2"]}, "rowIds[1]"),
}
CELLS = [True, False, [], {}, {"x": 1}, {"integer": 1}, {"integer": "9223372036854775808"}, {"integer": "-9223372036854775809"}, {"integer": "1.0"}, {"integer": ""},
         {"integer": "0x10"}, {"integer": " 1"}, {"real": 1.5}, {"real": "NaN"}, {"real": "nan"}, {"real": ""}, {"real": " 1.5"}, {"real": "\v1.5"}, {"real": "1.5 "},
         {"real": "1,5"}, {"real": "1e400"}, {"real": "-1e400"}, {"real": "one"}, {"blob": "?"}, {"blob": 1}, {"blob": "AA="}, {"blob": "A"}, {"text": "é"},
         {"text": None}, {"integer": "1", "real": "1"}, {"blob": "AA==", "x": 1}]
TABLES.update({f"the cell {json.dumps(cell)}": ({"name": "t", "columns": ["a"], "rows": [["fine"], [cell]]}, "rows[1][0]") for cell in CELLS})


@pytest.mark.parametrize("case", SHAPES)
def test_wrong_snapshots(elsewhere, batch, case):
    snapshot, place = SHAPES[case]
    refuses(elsewhere, batch, snapshot, place)


def test_wrong_tables(elsewhere, batch):
    good = {"name": "good", "columns": ["a"], "rows": [[1]]}
    for case, (table, place) in TABLES.items():
        refuses(elsewhere, batch, {"tables": [good, table]}, f"snapshot.tables[1].{place}", case)


def refuses(elsewhere, batch, snapshot, place, case=""):
    problem = expect_problem(elsewhere.call(CALLBACK, {"batchId": batch, "parserVersion": "1", "snapshot": snapshot}), 400, "invalid_field")
    assert problem["errors"][0]["field"].startswith(place), f"{case}: expected {place} to be named, got {problem['errors']}"
    assert chunks_in(elsewhere.gate, batch) == 0


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"batchId": "a", "batchId": "b"}', b'{"snapshot": {"tables": [{"rows": [[1e999]]}]}}',
                                  b'{"snapshot": {"tables": [{"rows": [[9223372036854775808]]}]}}', b'{"batchId": "\\u0000"}', b'{"batchId": "\\ud800"}', b"[" * 5000])
def test_bodies_that_are_no_calls(elsewhere, data):
    for path in (QUEUE, CALLBACK):
        answer = elsewhere.send(path, data, elsewhere.headers(path, data))
        assert 400 <= answer.status_code < 500 and answer.json()["code"], f"expected a refusal, got {answer.status_code} {answer.text}"


# ------------------------------------------------------------------------------------------------------------------ stages

@pytest.mark.parametrize("code", CLASSES)
def test_the_parser_fails(elsewhere, batch, code):
    elsewhere.stage(batch, "parsing")
    elsewhere.chunk(batch, ONE, 0, False)
    state = elsewhere.stage(batch, "failed", error={"code": code})
    assert state["status"] == "failed" and state["error"]["code"] == code
    said = {language: elsewhere.phone.get(batch, language)["error"]["message"] for language in ("en", "fr")}
    assert said["en"] and said["fr"] and said["en"] != said["fr"]
    assert elsewhere.stage(batch, "failed", error={"code": "PARSE_FAILED"})["error"]["code"] == code, "expected the first reason to stay"
    nothing_left(elsewhere.gate, batch)
    for body in ({"stage": "parsing"}, {"stage": "importing"}, {"parserVersion": "1", "snapshot": ONE}):
        expect_problem(elsewhere.call(CALLBACK, {"batchId": batch, **body}), 409, "wrong_state")
    assert elsewhere.phone.get(batch)["status"] == "failed"
    assert elsewhere.phone.api("POST", f"{BATCHES}/{batch}/retry").status_code == 409


def test_a_failed_file_may_be_tried_again(elsewhere, batch):
    elsewhere.stage(batch, "failed", error={"code": "PARSER_INIT_FAILED"})
    key = elsewhere.phone.get(batch)["objectKey"]
    again = elsewhere.works(QUEUE, {"batchId": str(uuid.uuid4()), "userId": elsewhere.phone.sub, "r2Key": key, "profile": "mirror"})
    assert again["batchId"] != batch and not again["deduplicated"]
    elsewhere.chunk(again["batchId"], ONE)
    assert elsewhere.phone.wait(again["batchId"])["status"] == "completed"


def test_stages_out_of_order(elsewhere, batch):
    assert elsewhere.stage(batch, "importing")["status"] == "importing"
    expect_problem(elsewhere.call(CALLBACK, {"batchId": batch, "stage": "parsing"}), 409, "wrong_state")
    assert elsewhere.stage(batch, "importing")["status"] == "importing"
    elsewhere.chunk(batch, ONE)
    state = elsewhere.phone.wait(batch)
    assert state["status"] == "completed"
    for body in ({"stage": "importing"}, {"stage": "failed", "error": {"code": "PARSE_FAILED"}}):
        expect_problem(elsewhere.call(CALLBACK, {"batchId": batch, **body}), 409, "wrong_state")
    assert elsewhere.phone.get(batch) == state


@pytest.mark.parametrize("body, field", [
    ({"stage": "completed"}, "stage"), ({"stage": "queued"}, "stage"), ({"stage": ""}, "stage"), ({"stage": 1}, "stage"), ({}, "stage"), ({"stage": "parsing", "snapshot": ONE}, "stage"),
    ({"stage": "failed"}, "error.code"), ({"stage": "failed", "error": "no"}, "error.code"), ({"stage": "failed", "error": {"code": "parse_failed"}}, "error.code"),
    ({"stage": "failed", "error": {"code": 7}}, "error.code"), ({"snapshot": ONE}, "parserVersion"), ({"snapshot": ONE, "parserVersion": ""}, "parserVersion"),
    ({"snapshot": ONE, "parserVersion": "v" * 101}, "parserVersion"), ({"snapshot": ONE, "parserVersion": 1}, "parserVersion")], ids=str)
def test_wrong_stages(elsewhere, batch, body, field):
    problem = expect_problem(elsewhere.call(CALLBACK, {"batchId": batch, **body}), 400, "invalid_field")
    assert problem["errors"][0]["field"] == field
    assert elsewhere.phone.get(batch)["status"] == "queued" and chunks_in(elsewhere.gate, batch) == 0


def test_a_silent_parser(elsewhere, batch):
    gate, talking = elsewhere.gate, elsewhere.queued(small(4), profile="mirror")["batchId"]
    elsewhere.stage(batch, "parsing")
    elsewhere.chunk(batch, ONE, 0, False)
    gate.sql("UPDATE tidegate.sqlite_batch SET heard_at = now() - interval '2 hours' WHERE id IN (%s, %s)", batch, talking)
    elsewhere.stage(talking, "parsing")
    gate.sql("SELECT tidegate.job_enqueue('sqlite.retention', '{}', '', NULL, NULL)")
    state = elsewhere.phone.wait(batch)
    assert (state["error"]["code"], state["error"]["reason"]) == ("PARSER_INIT_FAILED", "parser_silent")
    nothing_left(gate, batch)
    assert elsewhere.phone.get(talking)["status"] == "parsing"
    expect_problem(elsewhere.call(CALLBACK, {"batchId": batch, "parserVersion": "1", "snapshot": TWO, "chunk": {"index": 1}}), 409, "wrong_state")


def test_a_slow_parser_does_not_undo_a_later_import(elsewhere):
    slow, phone = elsewhere.queued(small(6), profile="mirror")["batchId"], elsewhere.phone
    later = phone.imported(small(7), "mirror")["batchId"]
    elsewhere.chunk(slow, ONE)
    state = phone.wait(slow)
    assert state["status"] == "completed" and not state["current"] and phone.get(later)["current"]
    assert phone.api("POST", f"{BATCHES}/{slow}/activate").json()["current"] and not phone.get(later)["current"]
    assert phone.imported(small(8), "mirror")["current"]


def test_the_wrong_file_says_so(elsewhere):
    batch = elsewhere.queued(small(5))["batchId"]
    elsewhere.chunk(batch, chunks_of(tables_of(small(5)), 10)[0])
    state = elsewhere.phone.wait(batch)
    assert (state["error"]["code"], state["error"]["reason"]) == ("INVALID_SCHEMA", "missing_tables")
    assert set(state["error"]["detail"]["tables"]) == {"house", "pattern", "ball", "league", "week", "game", "frame"}
    nothing_left(elsewhere.gate, batch)
