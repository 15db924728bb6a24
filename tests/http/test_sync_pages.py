"""Sync: pages, cursors, walls between scopes, catalogues, and answers of any size."""
import base64
import json
import threading

import psycopg
import pytest

from instance import expect_problem, unique, wait_until
from test_sync import User, change, full_note, ids, new_id, now, tune
from test_walls import as_role


@pytest.fixture
def user(gate):
    return User(gate)


def pages(user, size, since=None, between=lambda: None):
    """All changes of all pages, and the last answer."""
    answer = user.sync(device="other", since=since, pageSize=size)
    found = list(answer["changes"])
    while answer["hasMore"]:
        assert answer["timestamp"] == (since or "1970-01-01T00:00:00.000000Z"), "the time does not move before the last page"
        between()
        answer = user.sync(device="other", since=since, pageSize=size, pullCursor=answer["nextCursor"])
        found += answer["changes"]
    return found, answer


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_pages_give_every_row_once_parents_first(user, size):
    places = [tune(title=f"t{n}") for n in range(9)]
    notes = [full_note(new_id(), place["rowId"]) for place in places for _ in range(2)]
    user.push(*notes, *places)
    found, last = pages(user, size)
    assert sorted(c["rowId"] for c in found) == sorted(r["rowId"] for r in places + notes)
    tables = [c["table"] for c in found]
    assert tables == sorted(tables, reverse=True), "all tunes come before all notes"
    assert user.sync(since=last["timestamp"])["changes"] == []


def test_rows_written_while_a_client_pages_come_with_its_next_sync(user):
    user.push(*[tune(title=f"t{n}") for n in range(10)])
    late = []

    def write():
        late.append(tune(title="late"))
        user.push(late[-1], device="writer")
    found, last = pages(user, 3, between=write)
    assert not {c["rowId"] for c in found} & {r["rowId"] for r in late}, "a page goes up to where the first one went"
    assert sorted(ids(user.sync(since=last["timestamp"]))) == sorted(r["rowId"] for r in late)


def test_a_row_edited_between_two_pages_is_not_lost(user):
    rows = [tune(title=f"t{n}") for n in range(6)]
    user.push(*rows)
    edited = iter(rows)
    found, last = pages(user, 2, between=lambda: user.push(tune(next(edited)["rowId"], "edited", now(5)), device="writer"))
    content = {c["rowId"]: c["data"]["title"] for c in found + user.sync(since=last["timestamp"])["changes"]}
    assert content == {r[0]: r[1] for r in user.stored("tune", "id::text, title")}


def test_a_push_can_come_with_a_page(user):
    user.push(*[tune() for _ in range(5)])
    page = user.sync(device="other", pageSize=2)
    row = tune(title="pushed with a page")
    answer = user.sync([row], device="other", pullCursor=page["nextCursor"], pageSize=10)
    assert len(answer["changes"]) == 3 and ("pushed with a page",) in user.stored()
    assert ids(user.sync(device="other", since=answer["timestamp"])) == [row["rowId"]]


def forge(cursor, **members):
    payload, mac = cursor.split(".")
    body = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    body.update(members)
    return base64.urlsafe_b64encode(json.dumps(body, separators=(",", ":")).encode()).rstrip(b"=").decode() + "." + mac


def test_cursors_are_bound_to_user_and_content(gate, user):
    user.push(*[tune() for _ in range(5)])
    cursor = user.sync(device="other", pageSize=2)["nextCursor"]
    other = User(gate)
    for who, text in ((other, cursor), (user, forge(cursor, scope=other.sub)), (user, forge(cursor, bound=2**60)), (user, cursor[:-2]), (user, cursor + "AA"),
                      (user, cursor.split(".")[0]), (user, "." + cursor.split(".")[1]), (user, cursor.replace(".", ""))):
        expect_problem(who.raw({"pullCursor": text, "deviceId": "other"}), 400, "invalid_cursor")
    same = user.gate.token("member", user.sub, space="another space")
    assert user.raw({"pullCursor": cursor, "deviceId": "other"}, token=same).status_code == 200, "the space of the token has no part in an app of users"


def test_many_losers_come_in_pages(user):
    rows = [tune(title="winner " + "x" * 400) for _ in range(1500)]
    for chunk in range(0, 1500, 500):
        user.push(*rows[chunk:chunk + 500])
    for row in rows:
        row["data"]["incipit"] = "y" * 3000
    newer = [{**row, "lastModifiedAt": now(10)} for row in rows]
    user.push(*newer[:750])
    user.push(*newer[750:])
    seen = user.sync(pageSize=1)["timestamp"]
    last = user.gate.sql("SELECT version FROM tidegate.sync_scope WHERE app = 'tunes' AND scope = %s", user.sub)[0][0]
    at = user.gate.api("GET", "/api/sync/check?app=tunes", token=user.token).json()["timestamp"]
    assert seen != at and last > 0
    losers = [tune(row["rowId"], "loser", "2026-01-01T00:00:00Z") for row in rows]
    answer = user.push(*losers, since=at, device="late")
    told = list(answer["changes"])
    while answer["hasMore"]:
        answer = user.sync(device="late", since=at, pullCursor=answer["nextCursor"])
        told += answer["changes"]
    titles = {c["rowId"]: c["data"]["title"] for c in told}
    assert len(titles) == 1500 and not [t for t in titles.values() if not t.startswith("winner")], "every loser is told its winner"


def test_a_large_first_sync_in_pages_of_bounded_size(user):
    place = tune()
    user.push(place)
    for _ in range(3):
        user.push(*[full_note(new_id(), place["rowId"], text="n" * 60000) for _ in range(60)])
    answer = user.gate.api("POST", "/api/sync?app=tunes", json={"pageSize": 2000}, token=user.token)
    assert answer.json()["hasMore"] is True and len(answer.content) < 4_000_000, f"a page ends early when it is large, got {len(answer.content)} bytes"
    found, _ = pages(user, 2000)
    assert len(found) == 181 and len({c["rowId"] for c in found}) == 181


# ---------------------------------------------------------------------------------------------------------------- walls

def test_a_user_sees_and_changes_nothing_of_another(gate, user):
    row = tune(title="mine", at=now(-100))
    user.push(row)
    other = User(gate)
    assert other.sync()["changes"] == []
    other.push(tune(row["rowId"], "theirs", now(10)))
    assert user.stored() == [("mine",)] and other.stored() == [("theirs",)], "the same id of two users is two rows"
    note = full_note(new_id(), row["rowId"])
    user.push(note)
    stranger = User(gate)
    assert [r["code"] for r in stranger.sync([full_note(new_id(), row["rowId"])])["rejected"]] == ["parent_missing"], "no reference into another scope"


@pytest.mark.parametrize("table", ["tunes.tune", "tidegate.sync_scope", "tidegate.sync_request"])
def test_row_level_security_is_the_second_wall(gate, user, table):
    user.push(tune(), requestId=new_id())
    own = as_role(gate, "tidegate_api", user.sub, f"SELECT count(*) FROM {table}")
    other = as_role(gate, "tidegate_api", unique("stranger"), f"SELECT count(*) FROM {table}")
    assert own[0][0] == 1 and other[0][0] == 0, f"expected one row for its owner and none for others, got {own} and {other}"


@pytest.mark.parametrize("query", [
    "UPDATE tunes.tune SET sync_scope = 'elsewhere' RETURNING 1", "DELETE FROM tunes.tune RETURNING 1", "INSERT INTO tunes.genre (id, name) VALUES ('x', 'x') RETURNING 1",
    "UPDATE tunes.genre SET name = 'x' RETURNING 1", "UPDATE tidegate.sync_catalogue SET version = 0 RETURNING 1", "DELETE FROM tidegate.sync_scope RETURNING 1",
])
def test_the_request_role_may_not(gate, user, query):
    user.push(tune())
    assert as_role(gate, "tidegate_api", user.sub, query) == "42501"


# ----------------------------------------------------------------------------------------------------------- catalogues

def add_genre(gate, name):
    genre = unique("genre")
    gate.sql("INSERT INTO tunes.genre (id, name) VALUES (%s, %s)", genre, name)
    return genre


def test_a_catalogue_reaches_everybody_with_edits_and_deletes(own_instance):
    gate = own_instance()  # everybody on it gets what is in a catalogue
    user = User(gate)
    genre = add_genre(gate, "Irish")
    first = user.sync()
    assert [c["data"]["name"] for c in first["changes"] if c["rowId"] == genre] == ["Irish"]
    gate.sql("UPDATE tunes.genre SET name = 'Irish Traditional' WHERE id = %s", genre)
    second = user.sync(since=first["timestamp"])
    assert [c["data"]["name"] for c in second["changes"] if c["rowId"] == genre] == ["Irish Traditional"]
    row = tune()
    row["data"]["genre"] = genre
    user.push(row)
    gate.sql("DELETE FROM tunes.genre WHERE id = %s", genre)
    third = user.sync(since=second["timestamp"])
    assert [(c["rowId"], c["deleted"]) for c in third["changes"] if c["table"] == "genre" and c["rowId"] == genre] == [(genre, True)]


def test_a_change_of_a_catalogue_is_never_missed_by_a_sync_that_runs_meanwhile(own_instance):
    """The change has its number before it is committed; a sync that came in between waits for it."""
    gate = own_instance()
    user = User(gate)
    seen = user.sync()["timestamp"]
    with psycopg.connect(gate._conninfo("tidegate")) as connection:
        genre = unique("slow")
        connection.execute("INSERT INTO tunes.genre (id, name) VALUES (%s, 'Slow air')", (genre,))
        answers = []
        thread = threading.Thread(target=lambda: answers.append(user.sync([tune()], since=seen)))
        thread.start()
        thread.join(0.5)
        assert answers == [], "a sync waits while a catalogue is being changed"
        connection.commit()
        thread.join(30)
    told = [c["rowId"] for c in answers[0]["changes"] if c["table"] == "genre"]
    assert genre in told and answers[0]["timestamp"] > seen


# ------------------------------------------------------------------------------------------------------ many at a time

def test_a_reader_misses_no_row_of_many_writers(gate):
    """Eight devices push at once while another one asks again and again with the time it last got."""
    user = User(gate)
    wrote, stop, seen, failures = [], threading.Event(), [], []

    def write(n):
        try:
            for _ in range(25):
                row = tune()
                answer = user.gate.session.post(user.gate.url + "/api/sync?app=tunes", json={"changes": [row], "deviceId": f"d{n}"},
                                                headers={"Authorization": f"Bearer {user.token}"}, timeout=30)
                assert answer.status_code == 200, answer.text
                wrote.append(row["rowId"])
        except AssertionError as error:
            failures.append(error)

    def read():
        since = None
        while True:
            last = stop.is_set()
            answer = user.sync(since=since, device="reader")
            seen.extend(ids(answer))
            since = answer["timestamp"]
            if last:
                return
    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert not failures, failures[0]
    assert sorted(seen) == sorted(wrote) and len(wrote) == 200, f"expected every row exactly once, got {len(seen)} of {len(wrote)}"


def test_pushes_of_the_same_rows_at_once_neither_fail_nor_differ(gate):
    user = User(gate)
    rows = [new_id() for _ in range(50)]
    failures, winners = [], {}

    def write(n):
        for turn in range(4):
            order = rows if n % 2 else rows[::-1]
            at = f"2026-05-01T00:00:{turn:02}.{n:06}Z"
            answer = user.sync([tune(row, f"{turn}-{n}", at) for row in order], device=f"d{n}")
            failures.extend(answer["rejected"])
    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = {title for (title,) in user.stored()}
    assert not failures and winners == {"3-5"}, f"expected the newest write everywhere, got {winners} {failures[:3]}"


def test_a_revoked_row_is_taken_from_its_clients(gate, user):
    row = tune()
    user.push(row)
    seen = user.sync()["timestamp"]
    heir = User(gate)
    heir.sync()
    gate.sql("SELECT tidegate.sync_move('tunes', 'tune', jsonb_build_object('id', %s::text), %s, %s)", row["rowId"], user.sub, heir.sub)
    told = user.sync(since=seen)["changes"]
    assert [(c["table"], c["rowId"], c["deleted"], c["data"]) for c in told] == [("tune", row["rowId"], True, {"id": row["rowId"]})]
    assert ids(heir.sync()) == [row["rowId"]] and user.stored() == []


def test_a_revocation_takes_descendants_along_and_can_be_taken_back(gate, user):
    place = tune()
    note = full_note(new_id(), place["rowId"])
    tag = change("tag", new_id(), tune_id=place["rowId"], tag_text="x")
    user.push(place, note, tag)
    seen = user.sync()["timestamp"]
    heir = User(gate)
    first = heir.sync()["timestamp"]
    key = json.dumps({"id": place["rowId"]})
    gate.sql("SELECT tidegate.sync_move('tunes', 'tune', %s::jsonb, %s, %s)", key, user.sub, heir.sub)
    gone = user.sync(since=seen, pageSize=2)
    rest = user.sync(since=seen, pageSize=2, pullCursor=gone["nextCursor"])
    assert sorted(c["table"] for c in gone["changes"] + rest["changes"]) == ["note", "tag", "tune"]
    assert sorted(c["table"] for c in heir.sync(since=first)["changes"]) == ["note", "tag", "tune"]
    gate.sql("SELECT tidegate.sync_move('tunes', 'tune', %s::jsonb, %s, %s)", key, heir.sub, user.sub)
    back = {c["rowId"]: c["deleted"] for c in user.sync(since=rest["timestamp"])["changes"]}
    assert back == {place["rowId"]: False, note["rowId"]: False, tag["rowId"]: False}
    assert gate.sql("SELECT count(*) FROM tidegate.sync_revoked WHERE scope = %s", user.sub) == [(0,)]


def test_old_tombstones_go_and_raise_the_floor(gate, user):
    row, kept = tune(), tune()
    user.push(row, kept, full_note(new_id(), kept["rowId"]))
    before = user.sync()["timestamp"]
    for gone in (row, kept):
        user.push({"table": "tune", "rowId": gone["rowId"], "data": {}, "deleted": True, "lastModifiedAt": now(1)})
    # As if it had been long ago; the scope's clock stays where it is.
    gate.sql("UPDATE tunes.tune SET server_seq = 1000 WHERE sync_scope = %s AND deleted", user.sub)
    gate.sql("SELECT tidegate.job_enqueue('sync.retention', '{}', '', NULL, NULL)")
    wait_until(lambda: gate.sql("SELECT count(*) FROM tunes.tune WHERE id = %s", row["rowId"]) == [(0,)], 60, "the old tombstone to be removed")
    assert gate.sql("SELECT count(*) FROM tunes.tune WHERE id = %s", kept["rowId"]) == [(1,)], "a tombstone that a row refers to stays"
    assert gate.sql("SELECT floor >= 1000 FROM tidegate.sync_scope WHERE app = 'tunes' AND scope = %s", user.sub) == [(True,)]
    assert user.sync(since=before)["resync"] is False, "who has synced since then goes on"


def test_a_scope_that_is_held_for_too_long_is_told_to_come_back(own_instance):
    """Never a 500: the client tries again later, with the same requestId."""
    gate = own_instance(database__lock_timeout_ms=200)
    user = User(gate)
    user.push(tune())
    with psycopg.connect(gate._conninfo("tidegate")) as connection:
        connection.execute("SELECT 1 FROM tidegate.sync_scope WHERE scope = %s FOR UPDATE", (user.sub,))
        answer = user.raw({"changes": [tune()], "deviceId": "phone"})
        expect_problem(answer, 504, "timeout")
        assert int(answer.headers["Retry-After"]) > 0
        assert user.sync()["resync"] is False, "a pull waits for nobody"
    user.push(tune())
    assert len(user.stored()) == 2
