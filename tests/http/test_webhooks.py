"""Webhooks from end to end: what happens reaches real receivers, signed, whatever they answer."""
import datetime
import subprocess

import psycopg
import pytest

import receiver as answers
from instance import expect_problem, free_port, wait_until
from receiver import HOOKS, verify
from space import people
from webhooks import Hooks


def parsed(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


# ------------------------------------------------------------------------------------------------------- what is told, and to whom

def test_an_import_tells_what_happens_to_it(hooks):
    receiver = hooks.receiver()
    made = hooks.add(receiver, ["import.*"])
    job = hooks.imported(people(3) + "Zoé,Petit,pas un mail,SNCF\n")["id"]
    hooks.undo(job)
    wait_until(lambda: len(receiver.calls) == 3, 30, f"three events, got {receiver.types()}")
    assert sorted(receiver.types()) == ["import.completed", "import.ready", "import.undone"]
    for call in receiver.calls:
        event = verify(made["secret"], call.headers, call.body)
        assert list(event) == ["type", "timestamp", "data"] and event["timestamp"].endswith("Z")
        assert event["data"]["id"] == job and event["data"]["fileName"] == "leads.csv" and event["data"]["error"] is None
        assert call.method == "POST" and call.headers["content-type"] == "application/json" and call.headers["user-agent"].startswith("Tidegate/")
    by_type = {call.event["type"]: call.event["data"] for call in receiver.calls}
    assert by_type["import.ready"]["counts"]["valid"] == 3 and by_type["import.ready"]["counts"]["invalid"] == 1
    assert by_type["import.completed"]["counts"]["inserted"] == 3 and by_type["import.completed"]["status"] == "completed"
    assert by_type["import.undone"]["counts"]["reversed"] == 3
    assert len(set(receiver.ids())) == 3, "each event has an id of its own"


def test_a_failed_import_says_why(hooks):
    receiver = hooks.receiver()
    hooks.add(receiver, ["import.failed"])
    job = hooks.create(b"PK\x03\x04 no workbook", "x.xlsx")
    state = hooks.wait(job, "failed")
    wait_until(lambda: receiver.calls, 30, "the event")
    data = receiver.calls[0].event["data"]
    assert data["error"] == {"code": state["error"]["code"]} and data["failedIn"] == "inspecting" and data["status"] == "failed"


def test_filters(hooks):
    wanted = {"exact": ["offline.conflict"], "group": ["backup.*"], "all": ["*"], "several": ["offline.conflict", "backup.stale"], "none of it": ["import.ready"]}
    receivers = {name: hooks.receiver() for name in wanted}
    for name, events in wanted.items():
        hooks.add(receivers[name], events)
    for kind in ("offline.conflict", "backup.stale", "backup.failed"):
        hooks.emit(kind)
    expected = {"exact": ["offline.conflict"], "group": ["backup.failed", "backup.stale"], "all": ["backup.failed", "backup.stale", "offline.conflict"],
                "several": ["backup.stale", "offline.conflict"], "none of it": []}
    wait_until(lambda: {name: sorted(r.types()) for name, r in receivers.items()} == expected, 30, f"{expected}")


def test_what_is_rolled_back_was_never_told(hooks):
    receiver = hooks.receiver()
    hooks.add(receiver)
    with psycopg.connect(hooks.gate._conninfo("tidegate")) as connection:
        connection.execute("SELECT tidegate.event_emit(%s, 'backup.stale', '{}')", (hooks.name,))
        connection.rollback()
    told = hooks.emit()
    hooks.came(receiver, told)
    assert receiver.ids() == told and hooks.gate.sql("SELECT count(*) FROM tidegate.event WHERE space = %s", hooks.name) == [(1,)]


def test_a_large_event_is_told_by_its_id(hooks):
    receiver = hooks.receiver()
    made = hooks.add(receiver)
    small, large = hooks.emit(more="x" * 15000), hooks.emit(more="x" * 25000)
    hooks.came(receiver, small + large)
    by_id = {call.id: verify(made["secret"], call.headers, call.body) for call in receiver.calls}
    assert len(by_id[small[0]]["data"]["more"]) == 15000
    assert by_id[large[0]]["data"] == {"id": "1", "truncated": True}


def test_a_test_goes_to_one_endpoint_alone(hooks):
    receiver, other = hooks.receiver(), hooks.receiver()
    made = hooks.add(receiver, ["import.ready"])
    hooks.add(other, ["*"])
    delivery = hooks.test(made)
    assert delivery["eventType"] == "webhook.test" and delivery["status"] == "pending"
    done = hooks.ended(made, delivery)
    assert (done["attempts"], done["statusCode"], done["response"], done["error"], done["nextAttemptAt"]) == (1, 200, "taken", None, None)
    assert done["durationMs"] >= 0 and done["webhookId"] == receiver.calls[0].id and receiver.calls[0].event["data"] == {"endpointId": made["id"]}
    after = hooks.emit()
    hooks.came(other, after)
    assert other.ids() == after, "expected no test at another endpoint"


def test_headers_of_ones_own(hooks):
    receiver = hooks.receiver()
    made = hooks.add(receiver, headers={"Authorization": "Bearer s3cret-value", "X-Own": "1"})
    assert sorted(made["headerNames"]) == ["Authorization", "X-Own"]
    hooks.ended(made, hooks.test(made))
    call = receiver.calls[0]
    assert call.headers["authorization"] == "Bearer s3cret-value" and call.headers["x-own"] == "1"
    assert len(call.names) == len(set(call.names)), f"expected each header once, got {call.names}"
    hooks.hook("PATCH", f"/{made['id']}", {"headers": None})
    hooks.ended(made, hooks.test(made))
    assert "authorization" not in receiver.calls[1].headers


# ------------------------------------------------------------------------------------------------------------ what receivers answer

def test_a_failure_and_then_a_success(hooks):
    receiver = hooks.receiver(answers.first(2, answers.status(500, b"not now")))
    made = hooks.add(receiver)
    delivery = hooks.test(made)
    first = hooks.attempted(made, delivery)
    assert first["statusCode"] in (500, 200)
    done = hooks.ended(made, delivery)
    assert done["attempts"] == 3 and len(receiver.calls) == 3 and set(receiver.ids()) == {delivery["webhookId"]}, "the same id every time"
    for call in receiver.calls:
        verify(made["secret"], call.headers, call.body)
    assert {call.body for call in receiver.calls} == {receiver.calls[0].body}
    assert hooks.endpoint(made)["failingSince"] is None


@pytest.mark.parametrize("answer,status,code", [
    (answers.status(500, b"broken"), 500, "http_status"), (answers.status(404), 404, "http_status"), (answers.status(199), None, "timeout"),
    (answers.status(304), 304, "redirect"), (answers.garbage, None, "not_http"), (answers.reset, None, "connection_failed"),
    (answers.never, None, "timeout"), (answers.slowly(20), None, "timeout"),
], ids=["500", "404", "an interim answer alone", "304", "garbage", "reset", "never", "slowly"])
def test_answers_that_are_no_success(hooks, answer, status, code):
    receiver = hooks.receiver(answer)
    made = hooks.add(receiver)
    delivery = hooks.attempted(made, hooks.test(made))
    assert (delivery["statusCode"], delivery["error"]["code"]) == (status, code) and delivery["status"] == "pending" and delivery["nextAttemptAt"]
    assert hooks.endpoint(made)["failingSince"]
    said = {language: next(item for item in hooks.api("GET", f"{HOOKS}/{made['id']}/deliveries", headers={"Accept-Language": language}).json()["items"])["error"]["message"]
            for language in ("fr", "en")}
    assert said["fr"] != said["en"]


def test_slow_but_in_time(hooks):
    receiver = hooks.receiver(answers.slowly(1))
    made = hooks.add(receiver)
    done = hooks.ended(made, hooks.test(made))
    assert done["attempts"] == 1 and done["durationMs"] >= 1000 and done["response"] == "at last"


def test_megabytes_are_cut(hooks):
    made = hooks.add(hooks.receiver(answers.megabytes))
    done = hooks.ended(made, hooks.test(made))
    assert done["response"] == "m" * 2048 and done["attempts"] == 1


def test_bytes_that_are_no_text(hooks):
    made = hooks.add(hooks.receiver(answers.status(200, b"\x00\xff\xc3\xa9 <b>\x1b")))
    assert hooks.ended(made, hooks.test(made))["response"] == "\ufffd\ufffdé <b>\ufffd"


def test_a_redirect_is_not_followed(hooks):
    target = hooks.receiver()
    plain = hooks.receiver(tls=False)
    for where in (target.url, plain.url, "https://169.254.169.254/latest/"):
        receiver = hooks.receiver(answers.status(302, Location=where))
        made = hooks.add(receiver)
        delivery = hooks.attempted(made, hooks.test(made))
        assert delivery["statusCode"] == 302 and delivery["error"]["code"] == "redirect"
        hooks.hook("DELETE", f"/{made['id']}", status=204)
    assert not target.calls and not plain.calls, "expected nobody to be called by way of a redirect"


def test_gone_disables_at_once_and_tells_the_others(hooks):
    receiver, other = hooks.receiver(answers.status(410)), hooks.receiver()
    made, watch = hooks.add(receiver, ["offline.conflict"]), hooks.add(other, ["webhook.disabled"])
    hooks.emit()
    wait_until(lambda: not hooks.endpoint(made)["enabled"], 30, "the endpoint to be disabled")
    state = hooks.endpoint(made)
    assert state["disabledReason"] == "gone" and state["disabledAt"] and state["disabledMessage"]
    assert hooks.deliveries(made)[0]["error"]["code"] == "gone" and hooks.deliveries(made)[0]["status"] == "failed"
    wait_until(lambda: other.calls, 30, "the notice")
    assert verify(watch["secret"], other.calls[0].headers, other.calls[0].body)["data"] == {"id": made["id"], "reason": "gone", "failingSince": other.calls[0].event["data"]["failingSince"]}
    hooks.emit()
    hooks.ended(watch, hooks.test(watch))
    assert len(receiver.calls) == 1 and len(hooks.deliveries(made)) == 1, "expected nothing more for a disabled endpoint"
    expect_problem(hooks.api("POST", f"{HOOKS}/{made['id']}/test", json={}), 409, "webhook_disabled")


def test_retry_after_is_honoured(hooks):
    receiver = hooks.receiver(answers.first(1, answers.status(429, Retry_After="4")))
    made = hooks.add(receiver)
    delivery = hooks.test(made)
    waiting = hooks.attempted(made, delivery)
    if waiting["status"] == "pending":
        assert (parsed(waiting["nextAttemptAt"]) - parsed(waiting["lastAttemptAt"])).total_seconds() >= 3.9
    other = hooks.emit()[0]  # the endpoint is left alone, not only that delivery
    done = hooks.ended(made, delivery)
    hooks.came(receiver, [other])
    assert done["attempts"] == 2
    assert min(call.at for call in receiver.calls[1:]) - receiver.calls[0].at >= 3.5, "expected nothing before the receiver was ready"


@pytest.mark.parametrize("asked", ["99999999", "Fri, 31 Dec 2099 23:59:59 GMT"])
def test_retry_after_has_a_limit(hooks, asked):
    made = hooks.add(hooks.receiver(answers.status(503, Retry_After=asked)))
    delivery = hooks.attempted(made, hooks.test(made))
    assert 3590 <= (parsed(delivery["nextAttemptAt"]) - parsed(delivery["lastAttemptAt"])).total_seconds() <= 3610
    assert parsed(hooks.endpoint(made)["pausedUntil"]) <= parsed(delivery["lastAttemptAt"]) + datetime.timedelta(seconds=3610)


def test_abort_message_stops_retries_of_that_event(hooks):
    receiver = hooks.receiver(answers.first(1, answers.status(422, webhook_delivery="abort-message")))
    made = hooks.add(receiver)
    done = hooks.ended(made, hooks.test(made), "failed")
    assert (done["attempts"], done["error"]["code"], done["statusCode"]) == (1, "aborted", 422)
    state = hooks.endpoint(made)
    assert state["enabled"] and state["failingSince"] is None, "it says nothing about the endpoint"
    assert hooks.ended(made, hooks.test(made))["attempts"] == 1


def test_ways_not_to_connect(hooks, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=stranger",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")], check=True, capture_output=True)
    stranger = hooks.receiver(certificate=(str(tmp_path / "cert"), str(tmp_path / "key")))
    plain = hooks.receiver(tls=False)
    urls = {stranger.url: "tls_failed", plain.url.replace("http:", "https:"): "tls_failed", f"https://127.0.0.1:{free_port()}/": "connection_failed",
            "https://nowhere.invalid/": "name_not_found"}
    for url, code in urls.items():
        made = hooks.add(url)
        delivery = hooks.attempted(made, hooks.test(made))
        assert delivery["error"]["code"] == code and delivery["statusCode"] is None, f"expected {code} for {url}, got {delivery}"
    assert not stranger.calls and not plain.calls


def test_plain_http_on_this_machine(hooks):
    receiver = hooks.receiver(tls=False)
    made = hooks.add(receiver)
    hooks.ended(made, hooks.test(made))
    verify(made["secret"], receiver.calls[0].headers, receiver.calls[0].body)


# ------------------------------------------------------------------------------------------------------------- the end of patience

def test_the_last_attempt_fails_for_good_and_can_be_replayed(hooks):
    receiver = hooks.receiver(answers.first(1, answers.status(500)))
    made = hooks.add(receiver)
    hooks.gate.sql("UPDATE tidegate.webhook_endpoint SET paused_until = now() + interval '1 hour' WHERE id = %s", made["id"])
    delivery = hooks.test(made)
    hooks.gate.sql("UPDATE tidegate.webhook_delivery SET attempts = 9 WHERE id = %s", delivery["id"])
    hooks.now(made)
    dead = hooks.ended(made, delivery, "failed")
    assert dead["attempts"] == 10 and dead["error"]["code"] == "http_status" and dead["nextAttemptAt"] is None and dead["endedAt"]
    again = hooks.hook("POST", f"/{made['id']}/deliveries/{delivery['id']}/replay", {}, status=202)
    assert again["id"] != delivery["id"] and again["webhookId"] == delivery["webhookId"] and again["attempts"] == 0
    hooks.ended(made, again)
    assert receiver.ids() == [delivery["webhookId"]] * 2 and hooks.delivery(made, delivery)["status"] == "failed", "the log keeps what was"


def test_an_endpoint_that_only_fails_is_left_alone_and_then_tried_with_one(hooks):
    receiver = hooks.receiver(answers.first(5, answers.status(500)))
    made = hooks.add(receiver)
    sent = hooks.emit(count=12)
    wait_until(lambda: hooks.endpoint(made)["pausedUntil"] or len(receiver.calls) > 6, 30, "the endpoint to be left alone")
    hooks.came(receiver, sent)
    wait_until(lambda: not hooks.deliveries(made, "pending"), 60, "every event to be delivered once it answers")
    failures, window = hooks.gate.sql("SELECT failures, send_window FROM tidegate.webhook_endpoint WHERE id = %s", made["id"])[0]
    assert failures == 0 and window > 2, f"expected a window that grows with success, got {window}"
    order = hooks.gate.sql("SELECT count(*) FROM tidegate.webhook_delivery WHERE endpoint_id = %s AND attempts > 1", made["id"])[0][0]
    assert order >= 1


def test_after_days_of_nothing_but_failure_it_is_disabled(hooks):
    receiver, other = hooks.receiver(answers.status(500)), hooks.receiver()
    made = hooks.add(receiver, ["offline.conflict"])
    hooks.add(other, ["webhook.*"])
    hooks.emit(count=3)
    wait_until(lambda: hooks.endpoint(made)["failingSince"], 30, "a failure")
    hooks.gate.sql("UPDATE tidegate.webhook_endpoint SET failing_since = now() - interval '119 hours' WHERE id = %s", made["id"])
    calls = len(receiver.calls)
    hooks.now(made)
    wait_until(lambda: len(receiver.calls) > calls, 30, "another try")
    assert hooks.endpoint(made)["enabled"], "five days have not passed yet"
    hooks.gate.sql("UPDATE tidegate.webhook_endpoint SET failing_since = now() - interval '121 hours' WHERE id = %s", made["id"])
    hooks.now(made)
    wait_until(lambda: not hooks.endpoint(made)["enabled"], 30, "the endpoint to be disabled")
    assert hooks.endpoint(made)["disabledReason"] == "failing"
    wait_until(lambda: other.calls, 30, "the notice")
    assert other.calls[0].event["type"] == "webhook.disabled" and other.calls[0].event["data"]["reason"] == "failing" and other.calls[0].event["data"]["failingSince"]
    assert {item["status"] for item in hooks.deliveries(made)} == {"failed"}
    assert "endpoint_disabled" in {item["error"]["code"] for item in hooks.deliveries(made)}


# ------------------------------------------------------------------------------------------------------ disabling, replays, rotation

def test_disabled_by_hand_and_enabled_again(hooks):
    receiver = hooks.receiver(answers.never)
    made = hooks.add(receiver)
    waiting = hooks.test(made)
    state = hooks.hook("PATCH", f"/{made['id']}", {"enabled": False})
    assert (state["enabled"], state["disabledReason"]) == (False, "manual")
    done = hooks.delivery(made, waiting)
    assert done["status"] == "failed" and done["error"]["code"] == "endpoint_disabled"
    missed = hooks.emit(count=3)
    assert hooks.hook("PATCH", f"/{made['id']}", {"enabled": False})["enabled"] is False
    receiver.answer = answers.ok
    receiver.released.set()
    state = hooks.hook("PATCH", f"/{made['id']}", {"enabled": True})
    assert (state["enabled"], state["disabledReason"], state["disabledAt"], state["failingSince"], state["pausedUntil"]) == (True, None, None, None, None)
    since = hooks.hook("POST", f"/{made['id']}/replay", {"since": made["createdAt"]}, status=202)
    assert since == {"events": 3, "nextSince": None}, f"expected the three events and no test, got {since}"
    hooks.came(receiver, missed)


def test_replay_since_repeats_what_the_filter_names(hooks):
    receiver = hooks.receiver()
    made = hooks.add(receiver, ["backup.*"])
    kept = hooks.emit("backup.failed", 2)
    hooks.emit("offline.conflict")
    hooks.came(receiver, kept)
    wait_until(lambda: not hooks.deliveries(made, "pending"), 30, "the first deliveries to be recorded")
    assert hooks.hook("POST", f"/{made['id']}/replay", {"since": "2000-01-01T00:00:00Z"}, status=202)["events"] == 2
    wait_until(lambda: sorted(receiver.ids()) == sorted(kept * 2), 30, "both once more, under the same ids")
    assert hooks.hook("POST", f"/{made['id']}/replay", {"since": "2100-01-01T00:00:00+01:00"}, status=202)["events"] == 0


def test_replay_since_in_pieces(hooks):
    made = hooks.add(hooks.receiver(answers.never), enabled=True)
    hooks.gate.sql("UPDATE tidegate.webhook_endpoint SET paused_until = now() + interval '1 hour' WHERE id = %s", made["id"])
    ids = [hooks.emit()[0] for _ in range(5)]
    with psycopg.connect(hooks.gate._conninfo("tidegate")) as connection:
        connection.execute("SELECT set_config('tidegate.space', %s, false)", (hooks.name,))
        since, seen = "2000-01-01", 0
        for _ in range(3):
            count, since = connection.execute("SELECT * FROM tidegate.webhook_replay_since(%s, %s, 2)", (made["id"], since)).fetchone()
            seen += count
        assert seen == 5 and since is None
    assert len(hooks.deliveries(made, "pending")) == len(ids), "what is under way is not doubled"


def test_a_pending_delivery_is_replayed_by_trying_it_now(hooks):
    receiver = hooks.receiver(answers.first(1, answers.status(503, Retry_After="3000")))
    made = hooks.add(receiver)
    delivery = hooks.test(made)
    hooks.attempted(made, delivery)
    hooks.gate.sql("UPDATE tidegate.webhook_endpoint SET paused_until = NULL WHERE id = %s", made["id"])
    again = hooks.hook("POST", f"/{made['id']}/deliveries/{delivery['id']}/replay", status=202)
    assert again["id"] == delivery["id"]
    assert hooks.ended(made, delivery)["attempts"] == 2


def test_rotation(hooks):
    receiver = hooks.receiver()
    made = hooks.add(receiver)
    rotated = hooks.hook("POST", f"/{made['id']}/rotate")
    assert rotated["secret"] != made["secret"] and rotated["previousSecretUntil"]
    assert 23 < (parsed(rotated["previousSecretUntil"]) - parsed(rotated["updatedAt"])).total_seconds() / 3600 <= 24.01
    hooks.ended(made, hooks.test(made))
    for secret in (rotated["secret"], made["secret"]):
        verify(secret, receiver.calls[0].headers, receiver.calls[0].body)
    hooks.gate.sql("UPDATE tidegate.webhook_endpoint SET previous_until = now() WHERE id = %s", made["id"])
    hooks.ended(made, hooks.test(made))
    verify(rotated["secret"], receiver.calls[1].headers, receiver.calls[1].body)
    with pytest.raises(AssertionError, match="expected .* among"):
        verify(made["secret"], receiver.calls[1].headers, receiver.calls[1].body)
    assert hooks.endpoint(made)["previousSecretUntil"] is None


def test_another_address_starts_afresh(hooks):
    broken, good = hooks.receiver(answers.status(500)), hooks.receiver()
    made = hooks.add(broken)
    hooks.emit(count=8)
    wait_until(lambda: hooks.endpoint(made)["pausedUntil"], 30, "the endpoint to be left alone")
    state = hooks.hook("PATCH", f"/{made['id']}", {"url": good.url})
    assert state["pausedUntil"] is None and state["failingSince"] is None and state["url"] == good.url
    hooks.now(made)
    wait_until(lambda: not hooks.deliveries(made, "pending"), 60, "all that waited to be delivered")
    assert len(set(good.ids())) == 8


def test_a_deleted_endpoint_gets_nothing_more(hooks):
    receiver = hooks.receiver(answers.first(1, answers.slowly(1)))
    made = hooks.add(receiver)
    hooks.emit(count=10)
    wait_until(lambda: receiver.calls, 30, "the first call")
    hooks.hook("DELETE", f"/{made['id']}", status=204)
    expect_problem(hooks.api("GET", f"{HOOKS}/{made['id']}"), 404, "not_found")
    assert hooks.gate.sql("SELECT count(*) FROM tidegate.webhook_delivery WHERE endpoint_id = %s", made["id"]) == [(0,)]
    other = Hooks(hooks.gate)
    watch = hooks.receiver()
    alive = other.add(watch)
    other.ended(alive, other.test(alive))  # the sender goes on


def test_what_cannot_be_sent_stops_nobody_else(hooks):
    broken, receiver = hooks.add(hooks.receiver()), hooks.receiver()
    made = hooks.add(receiver)
    hooks.gate.sql("UPDATE tidegate.webhook_endpoint SET secret = 'whsec_' WHERE id = %s", broken["id"])
    for _ in range(2):
        delivery = hooks.attempted(broken, hooks.test(broken))
        assert delivery["error"]["code"] == "not_sent" and delivery["statusCode"] is None
        hooks.ended(made, hooks.test(made))
    assert not hooks.receivers[0].calls
