"""POST /api/sync: the contract, one rule after another, with calls made by hand."""
import datetime
import uuid

import pytest

from instance import expect_problem, unique
from sync_client import Device

EARLIER = "2026-01-01T00:00:00.000000Z"


def new_id():
    return str(uuid.uuid4())


def now(seconds=0):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class User:
    """Somebody with devices of their own."""

    def __init__(self, gate, app="tunes", **claims):
        self.gate, self.app, self.sub = gate, app, unique("user")
        self.token = gate.token("member", self.sub, **({"space": self.sub} | claims))

    def raw(self, body, app=None, token=None):
        return self.gate.api("POST", f"/api/sync?app={app or self.app}", json=body, token=token or self.token)

    def sync(self, changes=(), since=None, device="phone", status=200, **more):
        answer = self.raw({"changes": list(changes), "lastSyncAt": since, "schemaVersion": 1, "deviceId": device, **more})
        assert answer.status_code == status, f"expected {status}, got {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def push(self, *changes, **more):
        """A push of which every row must be taken."""
        answer = self.sync(changes, **more)
        assert answer["rejected"] == [], f"expected every row to be taken, got {answer['rejected']}"
        return answer

    def stored(self, table="tune", columns="title", order="id"):
        return self.gate.sql(f"SELECT {columns} FROM tunes.{table} WHERE sync_scope = %s AND NOT deleted ORDER BY {order}", self.sub)


def change(table, row_id, at=None, deleted=False, **data):
    key = {} if table == "repertoire_tune" else {"id": row_id}
    return {"table": table, "rowId": row_id, "data": {**key, **data}, "deleted": deleted, "lastModifiedAt": at or now()}


def tune(row_id=None, title="The Morning Dew", at=None, **data):
    return change("tune", row_id or new_id(), at, title=title, id_foreign=None, primary_origin=None, type=None, structure=None, mode=None, incipit=None,
                  genre=None, composer=None, artist=None, release_year=None, **data)


def ids(answer, table="tune"):
    return [c["rowId"] for c in answer["changes"] if c["table"] == table]


def rejected(answer):
    return [(r["table"], r["rowId"], r["code"]) for r in answer["rejected"]]


@pytest.fixture
def user(gate):
    return User(gate)


# -------------------------------------------------------------------------------------------------------- push and pull

def test_a_row_travels_from_one_device_to_the_other(user):
    row = tune(title="Kesh Jig")
    first = user.push(row)
    assert first["changes"] == [], "a row that was taken as it came is not sent back"
    assert first["timestamp"] == first["syncedAt"] and first["hasMore"] is False and first["nextCursor"] is None and first["resync"] is False
    second = user.sync(device="tablet")
    assert ids(second) == [row["rowId"]]
    got = second["changes"][0]
    assert got["data"]["title"] == "Kesh Jig" and got["deleted"] is False and got["lastModifiedAt"] == row["lastModifiedAt"] and got["serverSeq"] > 0
    assert user.sync(device="tablet", since=second["timestamp"])["changes"] == []


def test_timestamps_rise_and_have_six_decimals(user):
    times = [user.push(tune())["timestamp"] for _ in range(5)] + [user.sync()["timestamp"]]
    assert times == sorted(times) and len(set(times[:5])) == 5, f"expected rising times, got {times}"
    for time in times:
        assert len(time) == 27 and time.endswith("Z") and time[19] == ".", f"expected six decimals, got {time}"
    assert abs(datetime.datetime.fromisoformat(times[-1][:-1] + "+00:00") - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=5)


def test_an_edit_made_long_before_it_was_pushed_is_seen(user):
    """The time of an edit says who wins, never who has seen it."""
    user.push(tune(title="first"))
    seen = user.sync(device="tablet")["timestamp"]
    old = tune(title="made offline", at=EARLIER)
    user.push(old)
    assert ids(user.sync(device="tablet", since=seen)) == [old["rowId"]], "an old edit that came late must reach a device that has synced meanwhile"


def test_a_device_that_was_installed_again_gets_its_own_rows(user):
    row = tune()
    user.push(row, device="phone")
    assert ids(user.sync(device="phone")) == [row["rowId"]]


def test_deletes_travel(user):
    row = tune()
    user.push(row)
    seen = user.sync(device="tablet")["timestamp"]
    user.push({"table": "tune", "rowId": row["rowId"], "data": {"id": row["rowId"]}, "deleted": True, "lastModifiedAt": now()})
    got = user.sync(device="tablet", since=seen)["changes"]
    assert [(c["rowId"], c["deleted"], c["data"]) for c in got] == [(row["rowId"], True, {"id": row["rowId"]})]
    assert user.gate.sql("SELECT title FROM tunes.tune WHERE id = %s", row["rowId"]) == [(None,)], "a tombstone keeps nothing of what it was"


def test_operation_delete_means_deleted(user):
    row = tune()
    user.push(row)
    user.push({"table": "tune", "rowId": row["rowId"], "operation": "DELETE", "lastModifiedAt": now()})
    assert user.stored() == []


def test_a_delete_of_a_row_that_the_server_never_had_keeps_an_older_insert_away(user):
    row_id = new_id()
    user.push({"table": "tune", "rowId": row_id, "data": None, "deleted": True, "lastModifiedAt": now()})
    answer = user.push(tune(row_id, at=EARLIER))
    assert [(c["rowId"], c["deleted"]) for c in answer["changes"]] == [(row_id, True)], "the newer delete must win and be told"


def test_an_empty_push_and_an_empty_body(user):
    assert user.sync()["changes"] == []
    answer = user.gate.api("POST", "/api/sync?app=tunes", json={}, token=user.token)
    assert answer.status_code == 200 and answer.json()["changes"] == []


def test_what_clients_of_the_original_send_besides_is_not_looked_at(user):
    row = tune()
    answer = user.push(row, syncStartedAt="x", initialPageCount=4, collectionsOverride={"a": 1}, rpcParamOverrides={}, pullTables=["note"], diagnostics=True)
    assert answer["rejected"] == [] and len(user.stored()) == 1


# ------------------------------------------------------------------------------------------------------------ who wins

@pytest.mark.parametrize("first,second,winner", [
    (("phone", 0), ("tablet", 1), "second"),
    (("phone", 1), ("tablet", 0), "first"),
    (("phone", 0), ("tablet", 0), "second"),  # equal times: the higher device id, whoever comes first
    (("tablet", 0), ("phone", 0), "first"),
])
def test_the_last_write_wins_not_the_last_arrival(user, first, second, winner):
    base = datetime.datetime(2026, 5, 1, tzinfo=datetime.timezone.utc)
    at = [(base + datetime.timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ") for _, s in (first, second)]
    row_id = new_id()
    user.push(tune(row_id, "first", at[0]), device=first[0])
    later = user.sync()["timestamp"]
    answer = user.push(tune(row_id, "second", at[1]), device=second[0], since=later)
    assert user.stored() == [(winner,)]
    told = [(c["rowId"], c["data"]["title"]) for c in answer["changes"]]
    assert told == ([] if winner == "second" else [(row_id, "first")]), "the loser must be told the winner, however old it is"


def test_an_older_delete_does_not_win(user):
    row = tune()
    user.push(row)
    answer = user.push({"table": "tune", "rowId": row["rowId"], "data": {}, "deleted": True, "lastModifiedAt": EARLIER})
    assert ids(answer) == [row["rowId"]] and len(user.stored()) == 1


def test_a_clock_that_is_ahead_does_not_win_for_ever(user):
    ahead = tune(title="from the future", at="9999-12-31T23:59:59.999999Z")
    answer = user.push(ahead)
    told = answer["changes"]
    assert ids(answer) == [ahead["rowId"]], "a row whose time was cut is sent back with its new time"
    assert told[0]["lastModifiedAt"] < now(120), f"expected a time at most a minute ahead, got {told[0]['lastModifiedAt']}"
    user.push(tune(ahead["rowId"], "edited later", now(90)), device="tablet")
    assert user.stored() == [("edited later",)]


def test_a_server_clock_that_stepped_back_gives_rising_times_all_the_same(user):
    first = user.push(tune())["timestamp"]
    user.gate.sql("UPDATE tidegate.sync_scope SET version = version + 3600000000 WHERE scope = %s RETURNING 1", user.sub)  # the clock was an hour ahead, and was set right
    ahead = user.sync(since=first)["timestamp"]
    row = tune(title="after the step")
    pushed = user.push(row, since=ahead)["timestamp"]
    assert first < ahead < pushed, f"expected rising times, got {first}, {ahead}, {pushed}"
    assert ids(user.sync(since=ahead, device="tablet")) == [row["rowId"]], "who had synced before the step must not miss what came after it"


def test_a_clock_that_is_far_behind_loses_to_what_is_there_but_can_insert(user):
    row = tune(title="1900", at="1900-01-01T00:00:00Z")
    user.push(row)
    assert user.stored() == [("1900",)]
    user.push(tune(row["rowId"], "1899", at="1899-01-01T00:00:00Z"), device="zzz")
    assert user.stored() == [("1900",)]


def test_a_row_that_stands_twice_in_a_push_counts_once(user):
    row_id = new_id()
    answer = user.push(tune(row_id, "older", now(-10)), tune(row_id, "newer", now(-5)), tune(row_id, "oldest", now(-20)))
    assert user.stored() == [("newer",)] and answer["rejected"] == []


def test_a_repeated_push_changes_nothing_and_echoes_nothing(user):
    row = tune()
    user.push(row)
    before = user.gate.sql("SELECT server_seq FROM tunes.tune WHERE id = %s", row["rowId"])
    seen = user.sync()["timestamp"]
    assert user.push(row, since=seen)["changes"] == []
    assert user.gate.sql("SELECT server_seq FROM tunes.tune WHERE id = %s", row["rowId"]) == before


# --------------------------------------------------------------------------------------------------------- lost answers

def test_a_request_that_was_answered_is_answered_again_and_not_applied_again(user):
    bad, good, request = tune(at="yesterday"), tune(), new_id()
    first = user.sync([good, bad], requestId=request)
    user.push(tune(good["rowId"], "edited elsewhere", now(5)), device="tablet")
    again = user.sync([good, bad], requestId=request)
    assert rejected(again) == rejected(first) == [("tune", bad["rowId"], "invalid_timestamp")]
    assert [c["data"]["title"] for c in again["changes"] if c["rowId"] == good["rowId"]][-1] == "edited elsewhere"
    assert user.stored() == [("edited elsewhere",)]


def test_a_replay_tells_what_was_merged(user):
    place, request = tune(), new_id()
    user.push(place)
    kept = change("tag", new_id(), tune_id=place["rowId"], tag_text="reel")
    user.push(kept)
    twin = change("tag", new_id(), tune_id=place["rowId"], tag_text="reel")
    first = user.push(twin, requestId=request, device="tablet")
    again = user.push(twin, requestId=request, device="tablet")
    assert first["merged"] == again["merged"] == [{"table": "tag", "rowId": twin["rowId"], "mergedInto": kept["rowId"]}]


def test_a_request_id_with_another_body_is_refused(user):
    request = new_id()
    user.push(tune(), requestId=request)
    expect_problem(user.raw({"changes": [tune()], "deviceId": "phone", "requestId": request}), 422, "idempotency_mismatch")
    assert len(user.stored()) == 1


def test_the_same_request_id_of_another_device_is_another_request(user):
    request = new_id()
    user.push(tune(), requestId=request, device="phone")
    user.push(tune(), requestId=request, device="tablet")
    assert len(user.stored()) == 2


# -------------------------------------------------------------------------------------------------------------- parents

def test_parents_and_children_may_come_in_any_order(user):
    place, note = tune(), new_id()
    user.push(change("note", note, tune_id=place["rowId"], repertoire_id=None, created_at=None, note_text="x", public=0, favorite=1, display_order=3), place)
    assert user.stored("note", "note_text, public, favorite, display_order") == [("x", False, True, 3)]
    assert [c["table"] for c in user.sync(device="tablet")["changes"]] == ["tune", "note"], "parents come first"


def full_note(row_id, tune_id, at=None, text="x"):
    return change("note", row_id, at, tune_id=tune_id, repertoire_id=None, created_at=None, note_text=text, public=0, favorite=0, display_order=0)


def test_a_missing_parent_rejects_that_row_and_no_other(user):
    place, orphan, fine = tune(), new_id(), new_id()
    answer = user.sync([full_note(orphan, new_id()), place, full_note(fine, place["rowId"])])
    assert rejected(answer) == [("note", orphan, "parent_missing")]
    assert user.stored("note", "id::text") == [(fine,)]


def test_what_refers_to_a_rejected_row_is_rejected_with_it(user):
    place, note = tune(title="x" * 501), new_id()
    answer = user.sync([place, full_note(note, place["rowId"])])
    assert sorted(rejected(answer)) == sorted([("tune", place["rowId"], "too_long"), ("note", note, "parent_missing")])


def test_a_rejected_edit_leaves_the_row_for_its_children(user):
    place, note = tune(), new_id()
    user.push(place)
    answer = user.sync([tune(place["rowId"], "x" * 501), full_note(note, place["rowId"])])
    assert rejected(answer) == [("tune", place["rowId"], "too_long")]
    assert user.stored("note", "id::text") == [(note,)]


def test_a_child_of_a_tombstone_is_taken(user):
    place, note = tune(), new_id()
    user.push(place)
    user.push({"table": "tune", "rowId": place["rowId"], "data": {}, "deleted": True, "lastModifiedAt": now(1)})
    user.push(full_note(note, place["rowId"]), device="tablet")


def test_a_delete_of_what_cannot_exist_is_done_already(user):
    key = f'{{"repertoire_id":"{new_id()}","tune_id":"{new_id()}"}}'
    assert user.push({"table": "repertoire_tune", "rowId": key, "data": None, "deleted": True, "lastModifiedAt": now()}, tune())["rejected"] == []
    assert len(user.stored()) == 1


# ---------------------------------------------------------------------------------------------------------- natural keys

def test_two_rows_with_one_natural_key_become_one(user):
    place = tune()
    user.push(place)
    a = change("tag", new_id(), now(-10), tune_id=place["rowId"], tag_text="jig")
    b = change("tag", new_id(), now(-5), tune_id=place["rowId"], tag_text="jig")
    user.push(a, device="phone")
    seen = user.sync(device="phone")["timestamp"]
    answer = user.push(b, tune(title="another"), device="tablet")
    assert answer["merged"] == [{"table": "tag", "rowId": b["rowId"], "mergedInto": a["rowId"]}]
    told = {c["rowId"]: c["deleted"] for c in answer["changes"] if c["table"] == "tag"}
    assert told == {a["rowId"]: False, b["rowId"]: True}
    assert user.stored("tag", "id::text, device_id") == [(a["rowId"], "tablet")], "the id that was there first, with the newer values"
    other = {c["rowId"]: c["deleted"] for c in user.sync(device="phone", since=seen)["changes"] if c["table"] == "tag"}
    assert other == {a["rowId"]: False, b["rowId"]: True}
    assert len(user.stored()) == 2, "the rest of the push must be there"


def test_an_older_twin_leaves_the_values_alone(user):
    place = tune()
    user.push(place)
    repertoire = change("repertoire", new_id(), name="all", instrument_id=None, genre_default=None, sr_algorithm="fsrs")
    user.push(repertoire)

    def practice(at, quality):
        data = dict.fromkeys("easiness difficulty stability interval step repetitions lapses elapsed_days state due backup_practiced goal technique".split())
        return change("practice_record", new_id(), at, repertoire_id=repertoire["rowId"], tune_id=place["rowId"], practiced="2026-05-01T10:00:00Z", quality=quality, **data)
    kept, late = practice(now(-1), 5), practice(now(-100), 1)
    user.push(kept)
    answer = user.push(late, device="tablet")
    assert answer["merged"][0]["mergedInto"] == kept["rowId"]
    assert user.stored("practice_record", "id::text, quality") == [(kept["rowId"], 5)]


def test_twins_in_one_push_become_one(user):
    place = tune()
    a, b = (change("tag", new_id(), tune_id=place["rowId"], tag_text="polka") for _ in range(2))
    answer = user.push(place, a, b)
    assert len(answer["merged"]) == 1 and len(user.stored("tag", "id")) == 1


def test_a_natural_key_is_free_again_after_a_delete(user):
    place = tune()
    a = change("tag", new_id(), now(-10), tune_id=place["rowId"], tag_text="waltz")
    user.push(place, a)
    user.push({"table": "tag", "rowId": a["rowId"], "data": {}, "deleted": True, "lastModifiedAt": now(-5)})
    answer = user.push(change("tag", new_id(), tune_id=place["rowId"], tag_text="waltz"))
    assert answer["merged"] == [] and len(user.stored("tag", "id")) == 1


# --------------------------------------------------------------------------------------------------------------- resync

def test_a_client_from_before_the_floor_starts_anew_and_nothing_of_it_is_applied(user):
    row = tune()
    user.push(row)
    old = user.sync()["timestamp"]
    user.push(tune())
    user.gate.sql("UPDATE tidegate.sync_scope SET floor = version WHERE app = 'tunes' AND scope = %s", user.sub)
    answer = user.sync([tune(title="resurrected")], since=old)
    assert answer["resync"] is True and answer["changes"] == [] and answer["timestamp"] == old
    assert len(user.stored()) == 2, "nothing of an old client may be applied before it has started anew"
    assert user.sync(since=old)["resync"] is True, "a pull is told the same"
    assert user.sync()["resync"] is False and len(ids(user.sync())) == 2


def test_a_time_that_was_never_given_out_means_to_start_anew(user):
    """The server was restored from a backup, or this is another one."""
    user.push(tune())
    assert user.sync(since=now(3600))["resync"] is True
    assert user.sync([tune()], since=now(3600))["resync"] is True
    assert User(user.gate).sync(since=now(-3600))["resync"] is True, "a scope that has just been made has no past"


# -------------------------------------------------------------------------------------------------------------- answers

@pytest.mark.parametrize("language,word", [("en", "access token"), ("fr", "jeton")])
def test_reasons_are_told_in_both_languages(user, language, word):
    body = {"changes": [tune(sync_scope="somebody else")], "deviceId": "phone"}
    answer = user.gate.api("POST", "/api/sync?app=tunes", json=body, token=user.token, headers={"Accept-Language": language}).json()
    assert answer["rejected"][0]["code"] == "forged_scope" and word in answer["rejected"][0]["message"]


def test_the_app_must_be_known(user):
    expect_problem(user.raw({"changes": []}, app="nowhere"), 404, "unknown_app")
    expect_problem(user.raw({"changes": []}, app="crm"), 404, "unknown_app")


def test_a_token_can_name_the_app(user):
    token = user.gate.token("member", user.sub, space=user.sub, app="tunes")
    assert user.gate.api("POST", "/api/sync", json={}, token=token).status_code == 200
    assert user.raw({"changes": []}, token=token).status_code == 200
    for claim in ("nowhere", "crm"):
        expect_problem(user.raw({"changes": []}, token=user.gate.token("member", user.sub, app=claim)), 404, "unknown_app")


@pytest.mark.parametrize("version,code", [(0, "schema_too_old"), (-1, "schema_too_old"), (2, "schema_too_new"), (2**53 + 1, "schema_too_new")])
def test_versions_that_do_not_fit_are_refused(user, version, code):
    expect_problem(user.raw({"changes": [], "schemaVersion": version}), 409, code)


@pytest.mark.parametrize("path", ["/api/sync?app=tunes", "/api/sync/schema?app=tunes", "/api/sync/check?app=tunes"])
def test_a_token_is_needed(gate, path):
    method = "POST" if path.startswith("/api/sync?") else "GET"
    expect_problem(gate.api(method, path, json={} if method == "POST" else None, token=None), 401, "unauthorized")
    expect_problem(gate.api(method, path, json={} if method == "POST" else None, token=gate.token(exp=1)), 401, "token_expired")


def test_checksums_agree_with_sqlite(gate, user):
    device = Device(gate, user.token)
    for n in range(20):
        device.sql("INSERT INTO tune (id, title) VALUES (?, ?)", new_id(), f"tune {n}")
    device.sql("INSERT INTO repertoire (id, name) VALUES (?, 'é à 音楽')", new_id())
    device.sql("INSERT INTO repertoire_tune (repertoire_id, tune_id) SELECT repertoire.id, tune.id FROM tune, repertoire LIMIT 7")
    device.sql("DELETE FROM tune WHERE title = 'tune 19'")
    device.sync()
    check = device.check()
    assert check["upToDate"] is True and check["tables"] == device.checksums()
    assert check["tables"]["repertoire_tune"]["rows"] == 7 and check["tables"]["tune"]["rows"] == 19
    device.sql("UPDATE tune SET title = 'other' WHERE title = 'tune 3'")
    assert device.checksums()["tune"] != check["tables"]["tune"], "an edit must change the checksum"
    user.push(tune())
    assert device.check()["upToDate"] is False


def test_two_devices_with_the_sqlite_client_agree(gate, user):
    phone, tablet = Device(gate, user.token), Device(gate, user.token, page_size=7)
    first = new_id()
    phone.sql("INSERT INTO tune (id, title) VALUES (?, 'from the phone')", first)
    for n in range(30):
        phone.sql("INSERT INTO note (id, tune_id, note_text) VALUES (?, ?, ?)", new_id(), first, f"note {n}")
    phone.sync()
    assert tablet.sync() > 3, "expected several pages"
    assert tablet.content() == phone.content()
    tablet.sql("UPDATE tune SET title = 'from the tablet'")
    tablet.sql("DELETE FROM note WHERE note_text = 'note 3'")
    tablet.sync()
    phone.sync()
    assert phone.content() == tablet.content() and phone.sql("SELECT title FROM tune") == [("from the tablet",)]
    assert len(phone.content()["note"]) == 29 and phone.rejected == tablet.rejected == []
