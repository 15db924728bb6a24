"""Sync: what clients must not send. Each is a rejected row or a clear refusal; the rest of the push goes through, and nothing is a 500."""
import json

import pytest

from instance import expect_problem
from test_sync import User, change, ids, new_id, now, rejected, tune


@pytest.fixture
def user(gate):
    return User(gate)


def with_data(**data):
    row = tune()
    row["data"].update(data)
    return row


def without(name):
    row = tune()
    del row[name]
    return row


# (what stands there, code)
BAD_ROWS = {
    "forged scope": (lambda: with_data(sync_scope="somebody@else"), "forged_scope"),
    "unknown table": (lambda: change("pg_authid", new_id()), "unknown_table"),
    "table of another app": (lambda: change("lead", new_id()), "unknown_table"),
    "table that is no text": (lambda: {**tune(), "table": 7}, "unknown_table"),
    "prototype as table": (lambda: change("__proto__", new_id()), "unknown_table"),
    "quotes in a table": (lambda: change('tune"; DROP TABLE tunes.tune; --', new_id()), "unknown_table"),
    "unknown column": (lambda: with_data(colour="red"), "unknown_column"),
    "prototype as column": (lambda: with_data(**{"__proto__": {"admin": True}}), "unknown_column"),
    "catalogue": (lambda: {"table": "genre", "rowId": "irish", "data": {"id": "irish", "name": "x"}, "lastModifiedAt": now()}, "read_only"),
    "no key at all": (lambda: without("rowId"), "invalid_row_id"),
    "key that is no uuid": (lambda: {**tune(), "rowId": "1"}, "invalid_row_id"),
    "key as a list": (lambda: {**tune(), "rowId": []}, "invalid_row_id"),
    "composite key as text": (lambda: change("repertoire_tune", "x"), "invalid_row_id"),
    "composite key with a column too many": (lambda: change("repertoire_tune", json.dumps({"repertoire_id": new_id(), "tune_id": new_id(), "x": 1})), "invalid_row_id"),
    "composite key with a column too few": (lambda: change("repertoire_tune", json.dumps({"repertoire_id": new_id()})), "invalid_row_id"),
    "another row's data": (lambda: with_data(id=new_id()), "row_mismatch"),
    "no time": (lambda: without("lastModifiedAt"), "invalid_timestamp"),
    "time as number": (lambda: {**tune(), "lastModifiedAt": 1}, "invalid_timestamp"),
    "thirteenth month": (lambda: tune(at="2026-13-01T00:00:00Z"), "invalid_timestamp"),
    "no data": (lambda: without("data"), "invalid_change"),
    "data as list": (lambda: {**tune(), "data": []}, "invalid_change"),
    "deleted as text": (lambda: {**tune(), "deleted": "yes"}, "invalid_change"),
    "number for a text": (lambda: with_data(title=5), "invalid_value"),
    "object for a text": (lambda: with_data(title={"a": 1}), "invalid_value"),
    "text for a number": (lambda: with_data(release_year="MCM"), "invalid_value"),
    "fraction for a whole number": (lambda: with_data(release_year=1.5), "invalid_value"),
    "2^53+1": (lambda: with_data(release_year=2**53 + 1), "out_of_range"),
    "2^63-1": (lambda: with_data(release_year=2**63 - 1), "out_of_range"),
    "1e300": (lambda: with_data(release_year=1e300), "out_of_range"),
    "past the maximum": (lambda: with_data(release_year=10000), "out_of_range"),
    "NUL in a text": (lambda: with_data(title="a\0b"), "invalid_text"),
    "too long": (lambda: with_data(title="é" * 501), "too_long"),
    "nothing where something must be": (lambda: with_data(title=None), "required"),
    "none of the values": (lambda: change("repertoire", new_id(), name="x", instrument_id=None, genre_default=None, sr_algorithm="guess"), "not_allowed"),
    "a reference to nothing": (lambda: with_data(genre="no such genre"), "parent_missing"),
    "large": (lambda: change("note", new_id(), tune_id=new_id(), note_text="x" * 100001), "too_long"),
    "a change that is a text": (lambda: "DROP TABLE tune", "invalid_change"),
    "a change that is a list": (lambda: [], "invalid_change"),
    "a change that is null": (lambda: None, "invalid_change"),
    "an empty change": (lambda: {}, "unknown_table"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_rejected_and_the_others_are_taken(user, name):
    make, code = BAD_ROWS[name]
    bad, before, after = make(), tune(title="before"), tune(title="after")
    answer = user.sync([before, bad, after])
    assert [r[2] for r in rejected(answer)] == [code], f"expected one rejected row with {code}, got {answer['rejected']}"
    assert user.stored(order="title DESC") == [("before",), ("after",)]


def test_all_bad_rows_at_once(user):
    bad = [make() for make, _ in BAD_ROWS.values()]
    answer = user.sync([*bad, tune(title="good")])
    assert sorted(r[2] for r in rejected(answer)) == sorted(code for _, code in BAD_ROWS.values())
    assert user.stored() == [("good",)]


def test_a_row_that_postgresql_alone_refuses_is_found_among_many(user):
    """Nothing but a constraint of the database knows: the push is halved until the row is alone."""
    user.gate.sql("ALTER TABLE tunes.tune ADD CONSTRAINT test_no_haggis CHECK (title <> 'haggis ' || sync_scope) NOT VALID")
    try:
        rows = [tune(title=f"t{n}") for n in range(40)]
        rows[17]["data"]["title"] = rows[31]["data"]["title"] = f"haggis {user.sub}"
        answer = user.sync(rows)
        assert sorted(rejected(answer)) == sorted(("tune", rows[n]["rowId"], "invalid_value") for n in (17, 31))
        assert len(user.stored()) == 38
        assert "test_no_haggis" not in json.dumps(answer), "names of constraints are nobody's business"
    finally:
        user.gate.sql("ALTER TABLE tunes.tune DROP CONSTRAINT test_no_haggis")


def test_values_that_sqlite_would_store_are_taken(user):
    row = tune(new_id().upper(), "")
    row["data"].update(release_year="1999", composer="\ud83d", device_id="mine", last_modified_at=4, server_seq=5, deleted=0, sync_scope=user.sub)
    user.push(row)
    note = change("note", new_id(), tune_id=row["rowId"].lower(), repertoire_id="", created_at="2026-01-01T00:00:00+02:00", note_text="x", public=True, favorite=0, display_order=2.0)
    user.push(note)
    got = {c["table"]: c["data"] for c in user.sync(device="other")["changes"]}
    assert (got["tune"]["title"], got["tune"]["release_year"], got["tune"]["composer"]) == ("", 1999, "\ufffd")
    wanted = {"repertoire_id": None, "created_at": "2025-12-31T22:00:00.000000Z", "public": 1, "favorite": 0, "display_order": 2}
    assert {name: got["note"][name] for name in wanted} == wanted


def test_columns_left_out_keep_their_values(user):
    row = tune(title="A", at=now(-10))
    row["data"]["composer"] = "Carolan"
    user.push(row)
    answer = user.push(change("tune", row["rowId"], now(-5), title="B"))
    assert answer["changes"][0]["data"]["composer"] == "Carolan" and answer["changes"][0]["data"]["title"] == "B"
    assert user.stored("tune", "title, composer") == [("B", "Carolan")]
    bad = change("tune", new_id(), composer="nobody")
    assert rejected(user.sync([bad])) == [("tune", bad["rowId"], "required")]


@pytest.mark.parametrize("body,status,code", [
    ({"changes": {}}, 400, "invalid_field"), ({"changes": "x"}, 400, "invalid_field"), ({"lastSyncAt": "soon"}, 400, "invalid_field"),
    ({"lastSyncAt": 5}, 400, "invalid_field"), ({"lastSyncAt": "1900-01-01T00:00:00Z"}, 400, "invalid_field"), ({"pageSize": 0}, 400, "invalid_field"),
    ({"pageSize": "all"}, 400, "invalid_field"), ({"schemaVersion": "1"}, 400, "invalid_field"), ({"migration": 1}, 400, "invalid_field"),
    ({"migration": {"from": 9}}, 400, "invalid_field"), ({"deviceId": 5}, 400, "invalid_field"), ({"deviceId": "x" * 256}, 400, "invalid_field"),
    ({"requestId": ["x"]}, 400, "invalid_field"), ({"changes": [{}]}, 400, "invalid_field"), ({"pullCursor": 5}, 400, "invalid_cursor"),
    ({"pullCursor": "x.y"}, 400, "invalid_cursor"), ({"pullCursor": ""}, 400, "invalid_cursor"),
])
def test_calls_that_are_refused(user, body, status, code):
    expect_problem(user.raw(body), status, code)


def test_a_time_in_the_year_9999_means_to_start_anew(user):
    assert user.sync(since="9999-12-31T23:59:59Z")["resync"] is True


@pytest.mark.parametrize("data,code", [
    (b"{", "invalid_json"), (b"[]", "invalid_json"), (b'{"changes":[],"changes":[]}', "invalid_json"), (b'{"a":"\xff"}', "invalid_json"),
    (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "json_too_deep"),
])
def test_bodies_that_are_no_json(user, data, code):
    answer = user.gate.api("POST", "/api/sync?app=tunes", data=data, headers={"Content-Type": "application/json"}, token=user.token)
    expect_problem(answer, 400, code)


NUMBERS = ["1e999", "-1e999", "9" * 20, "-9223372036854775809", "1" * 500, "1" + "0" * 400 + ".5"]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("where", ["release_year", "title", "rowId", "lastModifiedAt", "deleted", "table", "operation"])
def test_a_number_out_of_range_costs_its_row_alone(user, where, number):
    """The body is well-formed JSON, though most parsers, this one's too, refuse all of it for such a number."""
    good, bad = tune(), tune()
    (bad["data"] if where in bad["data"] else bad)[where] = "@"
    if where == "release_year":
        bad["data"][where] = "@"
    text = json.dumps({"changes": [bad, good], "deviceId": "phone"}).replace('"@"', number)
    answer = user.gate.api("POST", "/api/sync?app=tunes", data=text, headers={"Content-Type": "application/json"}, token=user.token)
    assert answer.status_code == 200, f"expected the other row to be taken, got {answer.status_code} {answer.text}"
    codes = [r["code"] for r in answer.json()["rejected"]]
    assert len(codes) == (0 if where == "operation" else 1), f"expected the row to be rejected, got {codes}"
    assert (good["rowId"],) in user.stored("tune", "id::text")


@pytest.mark.parametrize("member", ["pageSize", "schemaVersion", "deviceId", "lastSyncAt"])
def test_a_number_out_of_range_beside_the_rows_is_named(user, member):
    answer = user.gate.api("POST", "/api/sync?app=tunes", data='{"%s": 1e999}' % member, headers={"Content-Type": "application/json"}, token=user.token)
    expect_problem(answer, 400, "invalid_field")
    assert f'"{member}"' in answer.text


def test_50000_rows_are_too_many(user):
    row = {"table": "tune", "rowId": "x", "lastModifiedAt": "x"}
    expect_problem(user.raw({"changes": [row] * 50000, "deviceId": "phone"}), 413, "too_many_changes")


def test_20_megabytes_are_too_many(user):
    data = b'{"changes":[],"x":"' + b"x" * 20_000_000 + b'"}'
    answer = user.gate.raw(b"POST /api/sync?app=tunes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nAuthorization: Bearer "
                           + user.token.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(data) + data[:100000])
    assert answer.status_code == 413 and answer.json()["code"] == "too_large", f"expected 413, got {answer.status_code} {answer.text[:300]}"


def test_5000_rows_fit_and_one_of_them_may_be_bad(user):
    rows = [tune(title=f"t{n:04}") for n in range(5000)]
    for row in rows:
        row["data"] = {"id": row["rowId"], "title": row["data"]["title"]}
    rows[4321]["data"]["title"] = "x" * 501
    answer = user.sync(rows)
    assert rejected(answer) == [("tune", rows[4321]["rowId"], "too_long")]
    assert len(user.stored()) == 4999


def test_a_row_larger_than_a_row_may_be(user):
    place = tune()
    row = change("note", new_id(), tune_id=place["rowId"], note_text="é" * 70000)
    assert rejected(user.sync([place, row])) == [("note", row["rowId"], "row_too_large")]


def test_a_long_chain_of_orphans_is_rejected_whole(user):
    """Every row refers to a row that is rejected because of the next: tune ← tag, tune ← note, tune ← practice records."""
    lost = new_id()
    rows = [change("note", new_id(), tune_id=lost, note_text=str(n)) for n in range(200)]
    answer = user.sync([*rows, tune(title="good")])
    assert len(answer["rejected"]) == 200 and {r[2] for r in rejected(answer)} == {"parent_missing"} and user.stored() == [("good",)]


def test_a_token_that_expires_between_two_pages(user):
    user.push(*[tune() for _ in range(5)])
    page = user.sync(device="other", pageSize=2)
    expect_problem(user.raw({"pullCursor": page["nextCursor"], "deviceId": "other"}, token=user.gate.token("member", user.sub, exp=1)), 401, "token_expired")
    answer = user.raw({"pullCursor": page["nextCursor"], "deviceId": "other", "pageSize": 100})
    assert answer.status_code == 200 and len(ids(answer.json())) == 3, "with a fresh token the page goes on"


def test_a_push_as_large_as_may_be_with_a_row_that_postgresql_alone_refuses(user):
    """Done again with care, the push is written many times over: memory must not add up."""
    user.gate.sql(f"ALTER TABLE tunes.note ADD CONSTRAINT test_no_neeps CHECK (note_text <> 'neeps {user.sub}') NOT VALID")
    try:
        place = tune()
        notes = [change("note", new_id(), tune_id=place["rowId"], note_text=f"{n} " + "x" * 60000) for n in range(64)]
        notes[40]["data"]["note_text"] = f"neeps {user.sub}"
        answer = user.sync([place, *notes])
        assert [r[1] for r in rejected(answer)] == [notes[40]["rowId"]] and len(user.stored("note", "id")) == 63
    finally:
        user.gate.sql("ALTER TABLE tunes.note DROP CONSTRAINT test_no_neeps")


def test_a_push_of_nothing_but_twins(user):
    place = tune()
    tags = [change("tag", new_id(), now(-10), tune_id=place["rowId"], tag_text=f"tag {n}") for n in range(1000)]
    user.push(place, *tags)
    twins = [{**change("tag", new_id(), now(), tune_id=place["rowId"], tag_text=f"tag {n}")} for n in range(1000)]
    answer = user.push(*twins, device="tablet")
    assert [m["mergedInto"] for m in answer["merged"]] == [t["rowId"] for t in tags] and len(user.stored("tag", "id")) == 1000
