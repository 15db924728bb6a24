"""Endpoints of webhooks as clients see them: who may, what is refused, what is never shown, and the wall behind it in the database."""
import concurrent.futures
import uuid

import pytest

import receiver as answers
from instance import expect_problem, unique, wait_until
from receiver import HOOKS
from test_walls import as_role
from webhooks import Hooks

URL = "https://receiver.invalid/hook"  # a name that leads nowhere


@pytest.fixture
def hooks(gate):
    """A space on the common instance, whose webhooks reach nothing but the public internet; nothing here is to be delivered."""
    return Hooks(gate)


def add(hooks, **fields):
    body = {"url": URL, "events": ["import.ready"], **fields}
    return hooks.hook("POST", json={name: value for name, value in body.items() if value is not None}, status=201)


# ------------------------------------------------------------------------------------------------------------------ create, read, change

def test_create_read_change_delete(hooks):
    made = add(hooks, description="to the warehouse", events=["import.*", "backup.stale"], headers={"X-Key": "v"})
    assert made["secret"].startswith("whsec_") and made["enabled"] and made["headerNames"] == ["X-Key"] and made["createdBy"] == hooks.sub
    secret = made.pop("secret")
    assert hooks.endpoint(made) == made, "the same without the secret"
    changed = hooks.hook("PATCH", f"/{made['id']}", {"description": None, "events": ["*"]})
    assert (changed["description"], changed["events"], changed["url"], changed["headerNames"]) == (None, ["*"], URL, ["X-Key"])
    changed = hooks.hook("PATCH", f"/{made['id']}", {"headers": {"A": "1", "B": "2"}, "url": "https://example.org/"})
    assert (sorted(changed["headerNames"]), changed["url"], changed["events"]) == (["A", "B"], "https://example.org/", ["*"])
    assert hooks.hook("PATCH", f"/{made['id']}", {})["updatedAt"] >= changed["updatedAt"]
    assert secret not in hooks.api("GET", HOOKS).text
    hooks.hook("DELETE", f"/{made['id']}", status=204)
    hooks.hook_refused("DELETE", f"/{made['id']}", None, 404, "not_found")


def test_created_disabled(hooks):
    made = add(hooks, enabled=False)
    assert (made["enabled"], made["disabledReason"]) == (False, "manual") and made["disabledMessage"]
    for path, body in (("test", {}), ("replay", {"since": "2026-01-01T00:00:00Z"})):
        hooks.hook_refused("POST", f"/{made['id']}/{path}", body, 409, "webhook_disabled")


def test_list_in_pages(hooks):
    made = [add(hooks, description=str(n))["id"] for n in range(5)]
    found, cursor = [], ""
    while cursor is not None:
        page = hooks.hook("GET", f"?limit=2{'&cursor=' + cursor if cursor else ''}")
        assert len(page["items"]) <= 2
        found += [item["id"] for item in page["items"]]
        cursor = page["nextCursor"]
    assert found == made[::-1], "each once, newest first"
    for query in ("limit=0", "limit=501", "limit=x"):
        hooks.hook_refused("GET", f"?{query}", None, 400, "invalid_field")
    hooks.hook_refused("GET", "?cursor=nonsense", None, 400, "invalid_cursor")


def test_deliveries_in_pages(hooks):
    made = add(hooks, events=["*"])
    hooks.gate.sql("UPDATE tidegate.webhook_endpoint SET paused_until = now() + interval '1 day' WHERE id = %s", made["id"])
    ids = hooks.emit(count=7)
    found, cursor = [], ""
    while cursor is not None:
        page = hooks.hook("GET", f"/{made['id']}/deliveries?limit=3{'&cursor=' + cursor if cursor else ''}")
        found += [item["webhookId"] for item in page["items"]]
        cursor = page["nextCursor"]
    assert sorted(found) == sorted(ids) and len(found) == 7
    assert len(hooks.deliveries(made, "pending")) == 7 and hooks.deliveries(made, "failed") == [] and hooks.deliveries(made, "succeeded") == []
    hooks.hook_refused("GET", f"/{made['id']}/deliveries?status=lost", None, 400, "invalid_field")


LONG = "https://example.com/" + "a" * 2029
BAD = [
    ({"url": None}, 400, "invalid_field"), ({"url": ""}, 400, "invalid_field"), ({"url": 7}, 400, "invalid_field"), ({"url": LONG}, 400, "invalid_field"),
    ({"url": "example.com"}, 422, "webhook_url"), ({"url": "http://example.com/"}, 422, "webhook_url"), ({"url": "ftp://example.com/"}, 422, "webhook_url"),
    ({"url": "https://user:pw@example.com/"}, 422, "webhook_url"), ({"url": "https://example.com/#x"}, 422, "webhook_url"), ({"url": "https://exa mple.com/"}, 422, "webhook_url"),
    ({"url": "https://example.com/\r\nHost: x"}, 400, "invalid_field"), ({"url": "https://exämple.com/"}, 422, "webhook_url"), ({"url": "http://127.0.0.1/"}, 422, "webhook_url"),
    ({"url": "https://example.com:8443/"}, 422, "webhook_port"), ({"url": "https://example.com:22/"}, 422, "webhook_port"),
    ({"events": None}, 400, "invalid_field"), ({"events": []}, 400, "invalid_field"), ({"events": "*"}, 400, "invalid_field"), ({"events": [7]}, 400, "invalid_field"),
    ({"events": ["*"] * 33}, 400, "invalid_field"), ({"events": ["import.readi"]}, 422, "webhook_event"), ({"events": ["nothing.*"]}, 422, "webhook_event"),
    ({"events": ["import.*", "im*"]}, 422, "webhook_event"), ({"events": ["IMPORT.READY"]}, 400, "invalid_field"), ({"events": [""]}, 400, "invalid_field"), ({"events": ["import"]}, 422, "webhook_event"),
    ({"headers": []}, 422, "webhook_header"), ({"headers": {"X": 7}}, 422, "webhook_header"), ({"headers": {"X": ""}}, 422, "webhook_header"),
    ({"headers": {"webhook-id": "x"}}, 422, "webhook_header"), ({"headers": {"Webhook-Signature": "x"}}, 422, "webhook_header"), ({"headers": {"HOST": "x"}}, 422, "webhook_header"),
    ({"headers": {"Content-Length": "5"}}, 422, "webhook_header"), ({"headers": {"Content-Type": "text/plain"}}, 422, "webhook_header"), ({"headers": {"Transfer-Encoding": "chunked"}}, 422, "webhook_header"),
    ({"headers": {"X": "a\r\nY: b"}}, 422, "webhook_header"), ({"headers": {"X\r\nY": "b"}}, 422, "webhook_header"), ({"headers": {"X": "a\u0001"}}, 422, "webhook_header"),
    ({"headers": {"X": "é"}}, 422, "webhook_header"), ({"headers": {"X": " a"}}, 422, "webhook_header"), ({"headers": {"X Y": "a"}}, 422, "webhook_header"), ({"headers": {"": "a"}}, 422, "webhook_header"),
    ({"headers": {"X": "a" * 1025}}, 422, "webhook_header"), ({"headers": {"X" * 65: "a"}}, 422, "webhook_header"), ({"headers": {"X-A": "1", "x-a": "2"}}, 422, "webhook_header"),
    ({"headers": {f"X-{n}": "1" for n in range(11)}}, 422, "webhook_header"),
    ({"description": "x" * 201}, 400, "invalid_field"), ({"description": "a\nb"}, 400, "invalid_field"), ({"description": 7}, 400, "invalid_field"), ({"enabled": "yes"}, 400, "invalid_field"),
]


@pytest.mark.parametrize("change,status,code", BAD, ids=[str(number) for number in range(len(BAD))])
def test_what_is_refused(hooks, change, status, code):
    body = {name: value for name, value in {"url": URL, "events": ["*"], **change}.items() if value is not None}
    problem = hooks.hook_refused("POST", "", body, status, code)
    field = next(iter(change))
    assert problem["errors"][0]["field"] == field and problem["errors"][0]["message"]
    if None not in change.values():
        made = add(hooks)
        hooks.hook_refused("PATCH", f"/{made['id']}", change, status, code)
        left = hooks.endpoint(made)
        assert (left["url"], left["events"], left["headerNames"], left["enabled"]) == (URL, ["import.ready"], [], True)


# Every way to write an address that is none of the public internet. Names are judged when they are used.
@pytest.mark.parametrize("host", [
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0x0.0x0.0x1", "0177.0.0.1", "017700000001", "127.0.0.0x1", "0", "0.0.0.0", "10.0.0.1",
    "10.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "2852039166", "0xa9fea9fe", "100.64.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "[::]", "[::1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:a9fe:a9fe]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::169.254.169.254]", "[64:ff9b:1::1]", "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]", "[2001:0:a9fe::1]", "[fd00::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[100::1]",
])
def test_addresses_that_are_refused(hooks, host):
    hooks.hook_refused("POST", "", {"url": f"https://{host}/", "events": ["*"]}, 422, "webhook_address")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "x.localhost"])
def test_names_that_lead_to_such_an_address(hooks, host):
    made = add(hooks, url=f"https://{host}/")
    delivery = hooks.attempted(made, hooks.test(made))
    assert delivery["error"]["code"] in ("address_denied", "name_not_found") and delivery["statusCode"] is None
    if host.lower() == "localhost":
        assert delivery["error"]["code"] == "address_denied"


def test_an_address_that_was_allowed_once(hooks):
    """The operator has closed what was open: the URL is judged again before it is used."""
    made = add(hooks)
    hooks.gate.sql("UPDATE tidegate.webhook_endpoint SET url = 'https://10.0.0.1:8443/' WHERE id = %s", made["id"])
    delivery = hooks.attempted(made, hooks.test(made))
    assert delivery["error"]["code"] == "url_not_allowed" and delivery["status"] == "pending"


def test_as_many_as_there_may_be(hooks):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda n: hooks.gate.session.post(hooks.gate.url + HOOKS, json={"url": URL, "events": ["*"]},
                                                                   headers={"Authorization": f"Bearer {hooks.token}"}, timeout=30).status_code, range(28)))
    assert sorted(statuses) == [201] * 20 + [409] * 8, f"expected 20 of 28 to be taken, got {sorted(statuses)}"
    hooks.hook_refused("POST", "", {"url": URL, "events": ["*"]}, 409, "webhook_limit")
    hooks.hook("DELETE", "/" + hooks.hook("GET")["items"][0]["id"], status=204)
    add(hooks)


@pytest.mark.parametrize("since", [None, "", "yesterday", "2026-11-21", 7, "infinity", "2026-11-21 08:00:00"])
def test_times_that_are_none(hooks, since):
    made = add(hooks)
    hooks.hook_refused("POST", f"/{made['id']}/replay", {"since": since} if since is not None else {}, 400, "invalid_field")


# ------------------------------------------------------------------------------------------------------------------- double taps

def test_idempotency_keys(hooks):
    key, body = {"Idempotency-Key": unique()}, {"url": URL, "events": ["*"]}
    first = hooks.api("POST", HOOKS, json=body, headers=key)
    again = hooks.api("POST", HOOKS, json=body, headers=key)
    assert again.json() == first.json() and again.headers["Idempotency-Replayed"] == "true", "a lost answer can be asked for: the secret too"
    assert len(hooks.hook("GET")["items"]) == 1
    expect_problem(hooks.api("POST", HOOKS, json={**body, "events": ["import.*"]}, headers=key), 422, "idempotency_mismatch")
    made = first.json()
    for path, sent in (("rotate", {}), ("test", {}), ("replay", {"since": "2020-01-01T00:00:00Z"})):
        key = {"Idempotency-Key": unique()}
        once = hooks.api("POST", f"{HOOKS}/{made['id']}/{path}", json=sent, headers=key)
        twice = hooks.api("POST", f"{HOOKS}/{made['id']}/{path}", json=sent, headers=key)
        assert once.json() == twice.json() and twice.headers["Idempotency-Replayed"] == "true" and once.status_code == twice.status_code
    assert len(hooks.deliveries(made)) == 1
    delivery, key = hooks.deliveries(made)[0], {"Idempotency-Key": unique()}
    replays = [hooks.api("POST", f"{HOOKS}/{made['id']}/deliveries/{delivery['id']}/replay", json={}, headers=key).json()["id"] for _ in range(2)]
    assert replays[0] == replays[1]


# ------------------------------------------------------------------------------------------------------------------- who may

def routes(endpoint, delivery):
    return [("GET", "", None), ("POST", "", {"url": URL, "events": ["*"]}), ("GET", f"/{endpoint}", None), ("PATCH", f"/{endpoint}", {"enabled": False}),
            ("POST", f"/{endpoint}/rotate", {}), ("POST", f"/{endpoint}/test", {}), ("POST", f"/{endpoint}/replay", {"since": "2020-01-01T00:00:00Z"}),
            ("GET", f"/{endpoint}/deliveries", None), ("POST", f"/{endpoint}/deliveries/{delivery}/replay", {}), ("DELETE", f"/{endpoint}", None)]


def test_who_may(hooks):
    made = add(hooks)
    delivery = hooks.test(made)
    member = hooks.gate.token(role="member", sub=unique(), space=hooks.name)
    stranger = Hooks(hooks.gate)
    for method, path, body in routes(made["id"], delivery["id"]):
        expect_problem(hooks.gate.api(method, HOOKS + path, json=body, token=member), 403, "forbidden")
        expect_problem(hooks.gate.api(method, HOOKS + path, json=body, token=None), 401, "unauthorized")
        if path:
            stranger.hook_refused(method, path, body, 404, "not_found")
    assert stranger.hook("GET")["items"] == []
    other = add(stranger)
    stranger.hook_refused("POST", f"/{other['id']}/deliveries/{delivery['id']}/replay", {}, 404, "not_found")
    own = add(hooks)
    hooks.hook_refused("POST", f"/{own['id']}/deliveries/{delivery['id']}/replay", {}, 404, "not_found")
    assert hooks.endpoint(made)["enabled"] and hooks.endpoint(made)["previousSecretUntil"] is None, "nobody has changed anything"


def test_ids_that_are_none(hooks):
    for method, path, body in routes("nothing", "nothing") + routes(uuid.uuid4(), uuid.uuid4()):
        if path:
            hooks.hook_refused(method, path, body, 404, "not_found")
    expect_problem(hooks.api("PUT", HOOKS, json={}), 405, "method_not_allowed")


def test_the_wall_behind(hooks):
    made = add(hooks, headers={"X-Key": "v"})
    delivery = hooks.test(made)
    own, stranger = hooks.name, unique("stranger")
    for table in ("webhook_endpoint", "webhook_delivery", "event"):
        assert as_role(hooks.gate, "tidegate_api", own, f"SELECT count(id) FROM tidegate.{table}")[0][0] >= 1
        assert as_role(hooks.gate, "tidegate_api", stranger, f"SELECT count(id) FROM tidegate.{table}") == [(0,)]
        assert as_role(hooks.gate, "tidegate_api", "", f"SELECT count(id) FROM tidegate.{table}") == [(0,)]
    for query in ("SELECT secret FROM tidegate.webhook_endpoint", "SELECT headers FROM tidegate.webhook_endpoint", "SELECT previous_secret FROM tidegate.webhook_endpoint",
                  "SELECT body FROM tidegate.event", "UPDATE tidegate.webhook_endpoint SET enabled = true RETURNING 1", "UPDATE tidegate.webhook_endpoint SET secret = 'x' RETURNING 1",
                  "UPDATE tidegate.webhook_endpoint SET space = 'x' RETURNING 1", "UPDATE tidegate.webhook_delivery SET state = 'failed' RETURNING 1",
                  "DELETE FROM tidegate.webhook_delivery RETURNING 1", "DELETE FROM tidegate.event RETURNING 1",
                  f"INSERT INTO tidegate.webhook_delivery (space, endpoint_id, event_id) VALUES ('{own}', '{made['id']}', gen_random_uuid()) RETURNING 1",
                  "SELECT tidegate.webhook_record(gen_random_uuid(), 'failed', NULL, 1, '', 1, '', 0, NULL, 1, NULL, 1, NULL)", "SELECT tidegate.event_write('x', 'y', '{}')",
                  f"SELECT tidegate.webhook_send('{own}', '{made['id']}', gen_random_uuid())", "SELECT tidegate.webhook_run_end(1, gen_random_uuid())"):
        assert as_role(hooks.gate, "tidegate_api", own, query) == "42501", f"tidegate_api must be refused: {query}"
    for query in (f"SELECT tidegate.event_emit('{own}', 'backup.stale', '{{}}')", f"SELECT tidegate.webhook_disable('{made['id']}', 'gone')"):
        assert as_role(hooks.gate, "tidegate_api", stranger, query) == "42501", f"another space must be refused: {query}"
    for query in (f"SELECT tidegate.webhook_test('{made['id']}')", f"SELECT tidegate.webhook_replay('{delivery['id']}')",
                  f"SELECT tidegate.webhook_replay_since('{made['id']}', now(), 1)"):
        assert as_role(hooks.gate, "tidegate_api", stranger, query) == "TG404", f"another space must find nothing: {query}"
    before = hooks.gate.sql("SELECT secret, enabled FROM tidegate.webhook_endpoint WHERE id = %s", made["id"])
    as_role(hooks.gate, "tidegate_api", stranger, f"SELECT tidegate.webhook_rotate('{made['id']}', 'x'), tidegate.webhook_enable('{made['id']}')")
    assert hooks.gate.sql("SELECT secret, enabled FROM tidegate.webhook_endpoint WHERE id = %s", made["id"]) == before
    assert as_role(hooks.gate, "tidegate_worker", "", "SELECT tidegate.webhook_test(gen_random_uuid())") == "42501"


def test_unknown_types_are_a_mistake_of_ours(hooks):
    assert as_role(hooks.gate, "tidegate_api", hooks.name, f"SELECT tidegate.event_emit('{hooks.name}', 'import.unheard', '{{}}')") == "23503"
