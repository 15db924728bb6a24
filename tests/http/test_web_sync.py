"""web/sync, the module for browsers: outbox, pages, hints, elections and every kind of trouble, on SQLite WASM against a real server."""
import uuid

import pytest

from instance import unique, wait_until
from sync_client import Device
from web_device import Failed, WebDevice


@pytest.fixture
def person(gate):
    sub, space = unique("sub"), unique("space")

    def token(**claims):
        return gate.token(role="member", sub=sub, space=space, **claims)
    token.gate, token.sub = gate, sub
    return token


@pytest.fixture
def tab(person):
    made = []

    def make(**arguments):
        made.append(WebDevice(person.gate, person(), **arguments))
        return made[-1]
    yield make
    for device in made:
        device.__exit__()


def tune(title):
    return f"INSERT INTO tune (id, title) VALUES ('{uuid.uuid4()}', '{title}')"


def titles(device):
    return sorted(title for (title,) in device.sql("SELECT title FROM tune"))


def test_a_tab_and_a_phone_come_to_the_same(person, tab):
    web, phone = tab().start(pageSize=50), Device(person.gate, person())
    for n in range(120):
        web.run(tune(f"w{n}"))
    phone.db.execute(tune("phone"))
    web.sync()
    phone.sync()
    web.sync()
    assert titles(web) == sorted(title for (title,) in phone.sql("SELECT title FROM tune")) and len(titles(web)) == 121
    web.run("UPDATE tune SET title = 'edited' WHERE title = 'phone'; DELETE FROM tune WHERE title = 'w7'")
    web.sync()
    phone.sync()
    assert phone.sql("SELECT count(*) FROM tune WHERE title IN ('edited')") == [(1,)] and not phone.sql("SELECT 1 FROM tune WHERE title = 'w7'")
    assert web.call("check") is True
    web.call("run", sql="UPDATE sync_control SET disabled = 1; DELETE FROM tune WHERE title = 'w8'; UPDATE sync_control SET disabled = 0")
    assert web.call("check") is False, "expected the checksums to tell that a row is missing"


def test_edits_are_pushed_together_soon_after_the_last(person, tab):
    web = tab().start(debounceMs=100)
    wait_until(lambda: "synced" in web.states(), 20, "the first sync")
    for n in range(3):
        web.run(tune(f"t{n}"))
        web.call("changed")
    wait_until(lambda: web.sql("SELECT count(*) FROM sync_outbox") == [[0]], 20, "the edits to be pushed")
    assert [len(body["changes"]) for body in web.pushes()] == [3]


def test_without_a_network_edits_wait(person, tab):
    web = tab().start()
    web.sync()  # the one that a start brings is over
    web.run(tune("later"))
    web.call("faults", list=["down"])
    with pytest.raises(Failed):
        web.sync()
    status = web.seen()["statuses"][-1]
    assert (status["state"], status["pending"]) == ("offline", 1)
    web.call("online")
    wait_until(lambda: web.sql("SELECT count(*) FROM sync_outbox") == [[0]], 20, "the edit to be pushed once the device is online")


def test_an_answer_that_was_lost_is_asked_for_again(person, tab):
    web = tab().start()
    web.sync()
    web.run(tune("once"))
    web.call("faults", list=["lost"])
    with pytest.raises(Failed):
        web.sync()
    web.run(tune("meanwhile"))
    web.sync()
    bodies = web.pushes()
    assert bodies[0] == bodies[1] and bodies[0]["requestId"] != bodies[2]["requestId"], f"expected the same request again, got {bodies}"
    other = tab().start()
    other.sync()
    assert titles(other) == ["meanwhile", "once"]


def test_a_row_edited_while_its_sync_is_under_way_is_not_overwritten(person, tab):
    web, other = tab().start(), tab().start()
    web.run(tune("first"))
    web.sync()
    other.sync()
    other.run("UPDATE tune SET title = 'from the other'")
    other.sync()
    web.call("atAnswer", sql="UPDATE tune SET title = 'mine, newer'")
    web.sync()
    assert titles(web) == ["mine, newer"]
    other.sync()
    assert titles(other) == ["mine, newer"]


def test_rejected_rows_are_undone_and_told(person, tab):
    web = tab().start()
    web.run(tune("good"))
    web.run(f"INSERT INTO tune (id, title) VALUES ('{uuid.uuid4()}', '{'x' * 600}')")
    web.sync()
    assert titles(web) == ["good"] and [r["code"] for r in web.seen()["rejected"]] == ["too_long"]
    assert web.sql("SELECT count(*) FROM sync_outbox") == [[0]]


def test_a_client_from_before_starts_anew_and_keeps_what_it_made(person, tab):
    web, other = tab().start(), tab().start()
    web.run(tune("shared"))
    web.sync()
    other.sync()
    web.run("UPDATE tune SET title = 'too old to count'")
    web.run(tune("mine"))
    other.run("UPDATE tune SET title = 'newer'")
    other.sync()
    person.gate.sql("UPDATE tidegate.sync_scope SET floor = version WHERE scope = %s", person.sub)
    web.sync()
    assert titles(web) == ["mine", "newer"]
    other.sync()
    assert titles(other) == ["mine", "newer"]


def test_tokens_are_renewed_once(person, tab):
    web = tab().start()
    web.sync()
    web.call("tokens", now=person(exp=1), renewedBy=person())
    web.sync()
    web.call("tokens", now=person(exp=1), renewedBy=person(exp=1))
    with pytest.raises(Failed, match="401"):
        web.sync()
    assert web.states()[-1] == "unauthorized"


def test_a_start_without_a_network(person, tab):
    web = tab()
    web.call("faults", list=["down"])
    with pytest.raises(Failed):
        web.start()
    web.start()
    web.call("stop", client=1)
    web.call("faults", list=["down"] * 3)
    web.start()  # it has met the server before
    web.run(tune("offline"))
    assert titles(web) == ["offline"]


def test_a_push_that_is_too_large_is_halved(own_instance):
    gate = own_instance(sync__max_changes=10)
    with WebDevice(gate, gate.token(role="member", sub=unique("sub"))) as web:
        web.start()
        web.run(";".join(tune(f"t{n:02}") for n in range(35)))  # at once: the first sync is under way
        web.sync()
        assert web.sql("SELECT count(*) FROM sync_outbox") == [[0]]
        sizes = [len(body["changes"]) for body in web.pushes()]
        assert sizes[0] == 35 and max(sizes[-3:]) <= 10, f"expected smaller and smaller pushes, got {sizes}"


def test_hints_are_heard_also_while_a_sync_is_under_way(person, tab):
    web = tab().start(hints=True)
    wait_until(lambda: web.seen()["sources"], 20, "a stream of events")
    count = lambda: sum(r["url"].find("/api/sync?") > 0 for r in web.seen()["requests"])  # noqa: E731
    wait_until(lambda: web.states()[-1] == "synced", 20, "the first sync")
    before = count()
    web.call("opened")  # whoever has just connected may have missed something
    wait_until(lambda: count() > before, 20, "a sync after the connection")
    wait_until(lambda: web.states()[-1] == "synced", 20, "its end")
    before, own = count(), web.sql("SELECT device_id FROM sync_control")[0][0]
    web.call("hint", data={"app": "tunes", "device": own})
    web.call("hint", data={"app": "other"})
    web.call("hint", data={"app": "tunes", "device": "another"})
    web.call("hint", data={"app": "tunes", "device": "another"})  # while the first is being followed, or together with it
    wait_until(lambda: count() > before, 20, "a sync after a hint")
    web.call("broken")
    wait_until(lambda: len(web.seen()["sources"]) == 2, 20, "a new connection with a ticket of its own")
    sources = web.seen()["sources"]
    assert sources[0]["closed"] and [source["url"].rpartition("=")[2] for source in sources] == ["ticket-0", "ticket-1"]


def test_one_of_several_tabs_syncs(person, tab):
    web = tab().start()
    web.start()  # a second client on the same database
    wait_until(lambda: "synced" in web.states(), 20, "the first one to sync")
    web.run(tune("from the second"))
    web.call("changed", client=1)
    wait_until(lambda: web.sql("SELECT count(*) FROM sync_outbox") == [[0]], 20, "the leader to push what the other wrote")
    web.call("stop", client=0)
    web.run(tune("after the leader"))
    web.call("changed", client=1)
    wait_until(lambda: web.sql("SELECT count(*) FROM sync_outbox") == [[0]], 20, "the second one to take over")
