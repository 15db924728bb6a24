"""GET /api/events: who hears of a push, tickets, what could kill a worker of nginx, and streams that end."""
import os
import signal
import subprocess
import time
import uuid

import pytest

from events import Stream, made, opened, sealed, ticket
from instance import NCHAN, expect_problem, free_port, unique, wait_until
from phone import BATCHES, Phone, backup
from space import Space, people
from sync_apps import Declarations, club
from sync_client import Device
from web_device import WebDevice

pytestmark = pytest.mark.skipif(not NCHAN, reason="nginx's module nchan is not installed (scripts/packages.sh run)")


@pytest.fixture(scope="module")
def declarations():
    found = Declarations()
    found.write(club())
    yield found
    found.remove()


@pytest.fixture
def clubs(own_instance, declarations):
    """An instance with a second app, whose tables belong to spaces."""
    return own_instance(schema__dir=declarations.folder)


@pytest.fixture
def redis(tmp_path):
    """A Redis of the test's own, which keeps nothing."""
    port = free_port()
    process = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(tmp_path)],
                               stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


def member(gate, sub=None, space=None, **claims):
    return gate.token(role="member", sub=sub or unique("sub"), space=space or unique("space"), **claims)


def add(device, title="Kesh"):
    device.db.execute(f"INSERT INTO tune (id, title) VALUES ('{uuid.uuid4()}', '{title}')")
    device.sync()


def listen(gate, token, app="tunes", **more):
    return Stream(gate, ticket(gate, token, app), app, **more)


def workers(gate):
    """Pids of nginx's workers."""
    return sorted(pid for pid, words in gate._session("nginx") if b"worker process" in words[0])


def restart_workers(gate):
    """nginx reads its configuration again; connections end."""
    old = workers(gate)
    gate.processes["nginx"].send_signal(signal.SIGHUP)
    wait_until(lambda: not set(workers(gate)) & set(old), 60, "the old workers to go")


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_a_push_is_heard_by_the_other_devices_and_names_its_own(gate, http):
    token = member(gate)
    phone = Device(gate, token)
    with listen(gate, token, http=http) as one, listen(gate, token, http=http) as two:
        add(phone)
        expected = [{"app": "tunes", "device": phone.device}]
        assert one.hear() == expected and two.hear() == expected
        assert any(line.startswith(f"HTTP/{http} 200") for line in one.lines)
        tablet = Device(gate, token)
        add(tablet)
        assert [hint["device"] for hint in one.hear(2)] == [phone.device, tablet.device]


def test_nobody_else_hears_it(clubs):
    """Other users, spaces and apps: the first thing each of them hears is the push made for it, after all the others."""
    a, b, here, there = unique("a"), unique("b"), unique("space"), unique("space")
    tokens = {"a": member(clubs, a, here), "b": member(clubs, b, here), "c": member(clubs, unique("c"), there)}
    with listen(clubs, tokens["a"]) as tunes_a, listen(clubs, tokens["b"]) as tunes_b, listen(clubs, tokens["a"], "club") as club_a, \
            listen(clubs, tokens["b"], "club") as club_b, listen(clubs, tokens["c"], "club") as club_c:
        add(Device(clubs, tokens["a"], device="a-tunes"))
        add(Device(clubs, tokens["b"], device="b-tunes"))
        for name in ("a", "c"):
            device = Device(clubs, tokens[name], app="club", device=f"{name}-club")
            device.db.execute("INSERT INTO team (id, name) VALUES (1, 'Reds')")
            device.sync()
        heard = [[hint["device"] for hint in stream.hear()] for stream in (tunes_a, tunes_b, club_a, club_b, club_c)]
        assert heard == [["a-tunes"], ["b-tunes"], ["a-club"], ["a-club"], ["c-club"]]


def test_the_scope_of_a_person_is_the_same_in_every_space(gate):
    sub = unique("sub")
    with listen(gate, member(gate, sub, "one")) as stream:
        add(Device(gate, member(gate, sub, "other"), device="elsewhere"))
        assert stream.hear()[0]["device"] == "elsewhere"


def test_only_what_changed_something_is_told(gate):
    token = member(gate)
    phone = Device(gate, token)
    change = {"table": "tune", "rowId": str(uuid.uuid4()), "deleted": False, "lastModifiedAt": phone.iso(time.time_ns() // 1000)}
    columns = [column["name"] for table in phone.schema["tables"] if table["name"] == "tune" for column in table["columns"]]
    change["data"] = {**dict.fromkeys(columns), "id": change["rowId"], "title": "Kesh"}
    body = {"deviceId": "first", "requestId": "r1", "changes": [change]}
    with listen(gate, token) as stream:
        phone.post(body)
        phone.post(body)  # asked again
        phone.post({**body, "deviceId": "a-loser", "requestId": "r2", "changes": [{**change, "lastModifiedAt": "2020-01-01T00:00:00Z"}]})
        phone.post({**body, "deviceId": "refused", "requestId": "r3", "changes": [{**change, "table": "nothing"}]})
        phone.post({"changes": [], "deviceId": "pull"})
        phone.post({**body, "deviceId": "resync", "requestId": "r4", "lastSyncAt": "2100-01-01T00:00:00Z"})
        add(Device(gate, token, device="last"))
        assert [hint["device"] for hint in stream.hear(2)] == ["first", "last"]


# ------------------------------------------------------------------------------------------------------------- tickets


def refused(gate, ticket, status=401, code="ticket_invalid", app="tunes", method="GET", **headers):
    answer = gate.api(method, f"/api/events?app={app}&ticket={ticket}", token=None, headers={"Accept": "text/event-stream", **headers})
    return expect_problem(answer, status, code)


def test_a_ticket_is_good_once(gate):
    token = member(gate)
    one = ticket(gate, token)
    with Stream(gate, one):
        refused(gate, one)
    refused(gate, one)
    with listen(gate, token):
        pass  # a refusal spoils nothing for the next


def test_a_ticket_says_nothing_about_its_user(gate):
    sub = unique("sub")
    said = opened(ticket(gate, member(gate, sub)))
    assert sorted(said) == ["app", "channel", "expires", "id"] and sub not in str(said) and said["expires"] <= time.time() + 31


def test_tickets_that_were_not_made_here_or_are_over(gate, clubs):
    good = ticket(gate, member(gate))
    payload, _, signature = good.partition(".")
    with Stream(gate, made(gate)):
        pass  # what is made like this is accepted, so that what follows is refused for what it is
    for wrong in ("", "x", ".", "a.b.c", "%00", "%zz", "a" * 5000, payload, payload + ".", "." + signature, payload + "." + signature[:-1],
                  good[:-2] + ("AA" if good[-2:] != "AA" else "BB"), "A" + good[1:], sealed(gate, []), sealed(gate, {}), made(gate, expires=int(time.time()) - 1),
                  made(gate, expires="9999999999"), made(clubs), member(gate)):
        refused(gate, wrong)
    refused(gate, good, app="club")
    refused(gate, good, app="..%2f")
    with Stream(gate, good):
        pass  # all of this has not spent it


def test_tickets_are_for_those_who_may_sync(gate, clubs):
    for token in (None, "nonsense", member(gate, exp=1)):
        assert gate.api("POST", "/api/events/tickets", json={"app": "tunes"}, token=token).status_code == 401
    assert gate.api("POST", "/api/events/tickets", json={"app": "tunes"}, token=gate.token(role="guest")).status_code == 403
    expect_problem(gate.api("POST", "/api/events/tickets", json={"app": "nothing"}, token=member(gate)), 404, "unknown_app")
    expect_problem(gate.api("POST", "/api/events/tickets", json={"app": 7}, token=member(gate)), 400, "invalid_field")
    held = member(clubs, app="club")
    expect_problem(clubs.api("POST", "/api/events/tickets", json={"app": "tunes"}, token=held), 404, "unknown_app")
    assert opened(clubs.api("POST", "/api/events/tickets", token=held).json()["ticket"])["app"] == "club"


def test_pages_of_strangers_get_no_stream(gate):
    one = ticket(gate, member(gate))
    refused(gate, one, 403, "forbidden", Origin="https://elsewhere.example")
    with Stream(gate, one, headers=[f"Origin: {gate.url}"]) as stream:
        assert f"Access-Control-Allow-Origin: {gate.url}" in stream.lines


# ---------------------------------------------------------------------------------------------------------------- jobs

def jobs_of(gate, who):
    return listen(gate, who.token, app="")


def test_the_states_of_an_import_are_told_to_its_user_alone(gate):
    space = Space(gate)
    others = [gate.token(role="admin", sub=unique("sub"), space=space.name), gate.token(role="admin", sub=space.sub, space=unique("space"))]
    with jobs_of(gate, space) as stream, jobs_of(gate, space) as second, listen(gate, others[0], app="") as other, listen(gate, others[1], app="") as elsewhere, \
            listen(gate, space.token) as app:
        job = space.imported(people(3))
        job = job["id"] if isinstance(job, dict) else job
        heard = lambda: [hint["status"] for hint in stream.heard]  # noqa: E731
        wait_until(lambda: "completed" in heard(), 60, f"the states of the import, of which {stream.heard} came")
        assert {hint["job"] for hint in stream.heard} == {job} and {(hint["kind"], *sorted(hint)) for hint in stream.heard} == {("import", "job", "kind", "status")}
        assert {"mapping", "parsing", "ready", "importing"} <= set(heard()) and heard()[-1] == "completed", f"expected every state that it went through, got {heard()}"
        wait_until(lambda: second.heard == stream.heard, 20, "the same on every stream of the user")
        assert not other.heard and not elsewhere.heard and not app.heard


def test_the_states_of_a_database_are_told_and_devices_hear_of_its_rows(gate, tmp_path):
    phone = Phone(gate)
    device = gate.token(role="member", sub=unique("sub"), space=phone.space)
    with jobs_of(gate, phone) as stream, listen(gate, device, app="bowling") as hints, listen(gate, device, app="venue") as others:
        good = phone.imported(backup(str(tmp_path / "a.db"), games=3, seed=1))["batchId"]
        bad = phone.failed(b"x" * 5000, "INVALID_SQLITE", "not_a_sqlite_file")["batchId"]
        wait_until(lambda: {"job": bad, "kind": "sqlite", "status": "failed"} in stream.heard, 20, "the failure")
        assert [hint["status"] for hint in stream.heard if hint["job"] == good] == ["parsing", "importing", "completed"]
        assert hints.hear() == [{"app": "bowling", "device": "server"}] and not others.heard


def test_what_is_rolled_back_is_not_told(gate, tmp_path):
    phone = Phone(gate)
    first = phone.imported(backup(str(tmp_path / "a.db"), games=3, seed=1))["batchId"]
    second = phone.imported(backup(str(tmp_path / "b.db"), games=3, seed=2))["batchId"]
    third = phone.imported(backup(str(tmp_path / "c.db"), games=3, seed=3))["batchId"]
    gate.sql("SELECT tidegate.sqlite_forget(no) FROM tidegate.sqlite_batch WHERE id = %s", first)
    with listen(gate, phone.token, app="bowling") as hints:
        assert phone.api("POST", f"{BATCHES}/{first}/activate").status_code == 409
        assert phone.api("POST", f"{BATCHES}/{second}/activate").status_code == 200
        hints.hear()
        assert phone.api("POST", f"{BATCHES}/{third}/activate").status_code == 200
        assert len(hints.hear(2)) == 2, "expected one for each that had an effect"


def test_tickets_of_jobs_and_of_apps_open_no_other_stream(gate):
    token = member(gate)
    jobs, app = ticket(gate, token, app=""), ticket(gate, token)
    assert opened(jobs)["app"] == "" and opened(jobs)["channel"] != opened(app)["channel"]
    refused(gate, jobs)
    for one, name in ((jobs, ""), (app, "tunes")):
        with Stream(gate, one, app=name):
            pass
    expect_problem(gate.api("POST", "/api/events/tickets", json={}, token=gate.token(role="guest")), 403, "forbidden")


def test_an_import_does_not_need_the_signal(own_instance):
    gate = own_instance(server__processes=1)
    socket = gate.path("events", "sock")
    os.rename(socket, socket + ".away")
    try:
        space = Space(gate)
        space.imported(people(3))
        assert len(space.leads()) == 3
    finally:
        os.rename(socket + ".away", socket)


# --------------------------------------------------------------------------------------------------------------- nginx

IDS = ["0:0", "1:0", "1:-1", f"{int(time.time()) - 5}:0", "99999999999:0", "1:0,[1]", "-1:-1", "x", "1:0,1:0", "18446744073709551615:32767", "1500000000:[0],0"]


@pytest.mark.parametrize("through_redis", [False, True], ids=["alone", "redis"])
def test_event_ids_are_never_read(make_gate, redis, through_redis):
    """Every way of telling nchan where to go on is refused or not read, and no worker ends."""
    gate = make_gate(redis=redis if through_redis else "")
    token = member(gate)
    phone = Device(gate, token)
    before = workers(gate)
    with listen(gate, token) as stream:
        add(phone)
        stream.hear()
        real = next(line[4:] for line in stream.lines if line.startswith("id: "))
        for event in [*IDS, real]:
            for refusing in ({"If-None-Match": event}, {"If-Modified-Since": "Sat, 21 Nov 2026 10:00:00 GMT"}, {"If-Modified-Since": event, "If-None-Match": event}):
                refused(gate, ticket(gate, token), 400, "invalid_request", **refusing)
            with listen(gate, token, headers=[f"Last-Event-ID: {event}"], query=f"&last_event_id={event.translate({91: None, 93: None})}") as other:
                assert not other.heard, "expected that nothing is sent again"
        add(phone)
        assert len(stream.hear(2)) == 2 and not stream.closed()
    assert workers(gate) == before, "expected the workers of nginx to live"


def test_other_methods_and_kinds(gate):
    one = ticket(gate, member(gate))
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        refused(gate, one, 405, "method_not_allowed", method=method)
    refused(gate, one, 400, "invalid_request", Accept="application/json")
    answer = gate.api("POST", "/publish?channel=x", token=None, data="x")
    assert answer.status_code == 404, "expected that only serve can publish"
    with Stream(gate, one):
        pass


def accepted(gate, ticket):
    try:
        with Stream(gate, ticket):
            return True
    except AssertionError:
        return False


def test_streams_have_a_limit_of_their_own(own_instance):
    gate = own_instance()
    token, file = member(gate), gate.path("nginx", "snippets", "events.conf")
    with open(file, encoding="utf-8") as source:
        text = source.read()
    assert "limit_conn tidegate_stream_peer 512;" in text
    with open(file, "w", encoding="utf-8") as changed:
        changed.write(text.replace("limit_conn tidegate_stream_peer 512;", "limit_conn tidegate_stream_peer 2;"))
    try:
        restart_workers(gate)
        third = ticket(gate, token)
        with listen(gate, token) as one, listen(gate, token, http="2"):
            refused(gate, third, 503, "unavailable")
            add(Device(gate, token))
            one.hear()
        wait_until(lambda: accepted(gate, third), 20, "a place, once the others are gone; the refusal has not spent the ticket")
    finally:
        with open(file, "w", encoding="utf-8") as original:
            original.write(text)
        restart_workers(gate)


def test_where_there_is_no_nchan_everything_else_works(own_instance):
    gate = own_instance(events__publisher="")
    token = member(gate)
    expect_problem(gate.api("POST", "/api/events/tickets", json={"app": "tunes"}, token=token), 404, "events_disabled")
    expect_problem(gate.api("GET", "/api/events?app=tunes&ticket=x", token=None, headers={"Accept": "text/event-stream"}), 404, "events_disabled")
    add(Device(gate, token))


def counted(gate, outcome):
    for line in gate.session.get(gate.url + "/metrics").text.splitlines():
        if line.startswith(f'tidegate_hints_total{{outcome="{outcome}"}}'):
            return int(line.split()[1])
    raise AssertionError("expected the counter of hints")


def test_a_push_does_not_need_the_signal(own_instance):
    gate = own_instance(server__processes=1)
    token, socket = member(gate), gate.path("events", "sock")
    phone = Device(gate, token)
    add(phone)
    lost = counted(gate, "lost")
    os.rename(socket, socket + ".away")
    restart_workers(gate)  # the connection that serve kept ends too
    add(phone, "unheard")
    assert counted(gate, "lost") > lost
    os.rename(socket + ".away", socket)
    with listen(gate, token) as stream:
        add(phone, "heard")
        assert stream.hear()[0]["device"] == phone.device
    other = Device(gate, token)
    other.sync()
    assert sorted(title for (title,) in other.sql("SELECT title FROM tune")) == ["Kesh", "heard", "unheard"]


def test_after_a_reload_of_nginx_browsers_come_back(own_instance):
    """No timer of the client is at work: what one device changes shows on the other because of the stream alone."""
    gate = own_instance()
    token = member(gate)
    with WebDevice(gate, token) as web:
        web.start(hints="real", intervalMs=10**9)
        titles = lambda: sorted(title for (title,) in web.sql("SELECT title FROM tune"))  # noqa: E731
        opened_streams = lambda: sum(source["opened"] for source in web.seen()["sources"])  # noqa: E731
        wait_until(lambda: opened_streams() == 1 and web.states()[-1] == "synced", 30, "a stream")
        phone = Device(gate, token)
        add(phone, "one")
        wait_until(lambda: titles() == ["one"], 30, "what the phone changed")
        gate.processes["nginx"].send_signal(signal.SIGHUP)
        wait_until(lambda: opened_streams() == 2 and web.states()[-1] == "synced", 60, "a second stream")
        add(phone, "two")
        wait_until(lambda: titles() == ["one", "two"], 30, "what the phone changed after the reload")


# -------------------------------------------------------------------------------------------------------- more than one host

def test_a_push_on_one_host_is_heard_on_the_others(make_gate, redis):
    """Two nginx, two pools, one PostgreSQL, one Redis."""
    secret = "s" * 64
    one = make_gate(redis=redis, storage__secret_key=secret)
    other = make_gate(redis=redis, beside=one, storage__secret_key=secret)
    token = member(one)
    phone, desk = Device(one, token), Device(other, token)
    desk.sync()
    with listen(other, token) as stream, listen(one, member(one)) as stranger:
        add(phone)
        wait_until(lambda: stream.heard, 20, "the hint on the other host")
        assert stream.heard[0]["device"] == phone.device
        assert not stranger.heard
    desk.sync()
    assert desk.sql("SELECT title FROM tune") == [("Kesh",)]
