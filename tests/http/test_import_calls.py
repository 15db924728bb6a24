"""The external queue: signed calls do what the session addresses do, once; everything else about them is refused."""
import base64
import concurrent.futures
import hashlib
import hmac
import json
import time

import pytest

from instance import base64url, expect_problem, unique, wait_until
from space import JOBS, Space, people

CURRENT, NEXT = "sig_current_of_the_tests", "sig_next"  # shorter than 32 bytes: the queue chooses them
PARSE, COMMIT, REPORT = "/api/import/parse", "/api/import/commit", "/api/import/error-report"


@pytest.fixture
def queue(own_instance):
    return Queue(own_instance(queue__current_key=CURRENT, queue__next_key=NEXT))


class Queue:
    """Signs and sends as the queue does, with anything about a call made wrong on demand."""

    def __init__(self, gate):
        self.gate = gate

    def sign(self, path, data, key=CURRENT, header=None, pad=True, **claims):
        now = int(time.time())
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
        values = {"iss": "Upstash", "sub": self.gate.url + path, "exp": now + 300, "nbf": now, "iat": now, "jti": unique("jwt"),
                  "body": digest if pad else digest.rstrip("="), **claims}
        values = {name: value for name, value in values.items() if value is not None}
        text = ".".join(base64url(json.dumps(part).encode()) for part in (header or {"alg": "HS256", "typ": "JWT"}, values))
        return text + "." + base64url(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest())

    def send(self, path, body, token=None, message=None, headers=None, method="POST"):
        headers = {"Content-Type": "application/json", **(headers or {})}
        if token:
            headers["Upstash-Signature"] = token
        if message:
            headers["Upstash-Message-Id"] = message
        return self.gate.api(method, path, token=None, data=body, headers=headers)

    def call(self, path, fields, message=None, **signing):
        body = json.dumps(fields).encode()
        return self.send(path, body, self.sign(path, body, **signing), message)


def works(answer, status=202):
    assert answer.status_code == status, f"expected {status}, got {answer.status_code} {answer.text}"
    return answer.json()


def jobs_of(gate, number):
    """How many jobs of the queue an import has had, by kind."""
    return dict(gate.sql("SELECT kind, count(*) FROM (SELECT kind, args FROM tidegate.job UNION ALL SELECT kind, args FROM tidegate.job_history) j "
                         "WHERE (args ->> 'no')::bigint = %s GROUP BY 1", number))


def test_a_whole_import_driven_by_the_queue(queue):
    space = Space(queue.gate)
    job = space.inspected(people(3) + "Zoé,Petit,pas un mail,SNCF\n")["id"]
    answer = works(queue.call(PARSE, {"jobId": job}))
    assert answer["id"] == job and answer["status"] in ("queued", "parsing", "ready")
    assert set(answer) == set(space.get(job)), "expected the answer of the session address"
    space.wait(job, "ready")
    works(queue.call(COMMIT, {"jobId": job, "duplicates": {"strategy": "update", "fields": ["email"]}, "defaults": {"source": "File"}}, key=NEXT))
    state = space.wait(job, "completed")
    assert state["counts"]["inserted"] == 3 and state["duplicates"] == {"strategy": "update", "fields": ["email"]}
    assert space.leads("source") == [("File",)] * 3
    report = works(queue.call(REPORT, {"jobId": job}, pad=False), 200)
    assert set(report) == {"downloadUrl", "expiresAt", "rows"} and report["rows"] == 1
    assert "pas un mail" in queue.gate.session.get(report["downloadUrl"], timeout=30).text
    actor = queue.gate.sql("SELECT DISTINCT actor_id FROM crm.lead_history WHERE job_id = %s", job)
    assert actor == [(space.sub,)], f"expected the import's own user as actor, got {actor}"


@pytest.mark.parametrize("key", [CURRENT, NEXT])
def test_both_keys_count(queue, key):
    space = Space(queue.gate)
    works(queue.call(PARSE, {"jobId": space.inspected(people(1))["id"]}, key=key))


def test_the_same_refusals_as_for_a_session(queue):
    space = Space(queue.gate)
    job = space.inspected(people(1))["id"]
    body = expect_problem(queue.call(COMMIT, {"jobId": job}), 409, "wrong_state")
    assert body["state"] == "mapping"
    expect_problem(queue.call(REPORT, {"jobId": job}), 409, "report_not_ready")
    space.parse(job)
    expect_problem(queue.call(COMMIT, {"jobId": job, "duplicates": {"strategy": "x"}}), 400, "invalid_field")
    expect_problem(queue.call(COMMIT, {"jobId": job, "assignment": {"mode": "single", "userId": "nobody"}}), 422, "assignee_unknown")
    unmapped = space.inspected("Couleur,Taille\nbleu,3\n")["id"]
    expect_problem(queue.call(PARSE, {"jobId": unmapped}), 422, "mapping_incomplete")


# ------------------------------------------------------------------------------------------------------- repeated calls

def test_a_replay_gets_the_first_answer_and_does_nothing(queue):
    space = Space(queue.gate)
    job = space.inspected(people(1))["id"]
    body = json.dumps({"jobId": job}).encode()
    token = queue.sign(PARSE, body)
    first = queue.send(PARSE, body, token)
    works(first)
    space.wait(job, "ready")
    again = queue.send(PARSE, body, token)
    assert works(again) == first.json() and again.headers["idempotency-replayed"] == "true"
    assert space.get(job)["status"] == "ready" and jobs_of(queue.gate, space.number(job))["import.parse"] == 1
    # The message id is no part of what is signed: another one makes the token no fresher.
    expect_problem(queue.send(PARSE, body, token, message=unique("msg")), 409, "call_replayed")
    assert jobs_of(queue.gate, space.number(job))["import.parse"] == 1


def test_a_retry_of_the_message_gets_the_first_answer(queue):
    # The answer was lost: the queue delivers the message again, signed anew.
    space = Space(queue.gate)
    job, message = space.parsed(people(2))["id"], unique("msg")
    first = works(queue.call(COMMIT, {"jobId": job}, message))
    space.wait(job, "completed")
    again = queue.call(COMMIT, {"jobId": job}, message)
    assert works(again) == first and again.headers["idempotency-replayed"] == "true"
    expect_problem(queue.call(COMMIT, {"jobId": job}, unique("msg")), 409, "wrong_state")
    assert space.ledger(job)["counts"]["inserted"] == 2


def test_a_refused_call_can_be_sent_again_as_it_is(queue):
    space = Space(queue.gate)
    job = space.inspected("Couleur,Courrier\nbleu,a@example.com\n")["id"]
    space.call(job, "mapping", 200, "PUT", {"columns": {"0": None, "1": None}})
    body = json.dumps({"jobId": job}).encode()
    token, message = queue.sign(PARSE, body), unique("msg")
    expect_problem(queue.send(PARSE, body, token, message), 422, "mapping_incomplete")
    space.call(job, "mapping", 200, "PUT", {"columns": {"1": "email"}})
    works(queue.send(PARSE, body, token, message))


def test_the_same_call_twenty_times_at_once(queue):
    space = Space(queue.gate)
    job = space.inspected(people(1))["id"]
    body = json.dumps({"jobId": job}).encode()
    token = queue.sign(PARSE, body)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: queue.send(PARSE, body, token), range(20)))
    assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers if answer.status_code != 202][:3]
    assert len({answer.text for answer in answers}) == 1
    assert jobs_of(queue.gate, space.number(job))["import.parse"] == 1


def test_a_report_link_needs_a_token_of_its_own(queue):
    space = Space(queue.gate)
    job, message = space.parsed(people(1))["id"], unique("msg")
    body = json.dumps({"jobId": job}).encode()
    token = queue.sign(REPORT, body)
    works(queue.send(REPORT, body, token, message), 200)
    expect_problem(queue.send(REPORT, body, token, message), 409, "call_replayed")
    works(queue.call(REPORT, {"jobId": job}, message), 200)


def test_ids_of_old_calls_are_forgotten(queue):
    gate, old, young = queue.gate, unique("jwt"), unique("jwt")
    gate.sql("INSERT INTO tidegate.signed_call VALUES (%s, now() - interval '3 minutes'), (%s, now() - interval '1 minute')", old, young)
    gate.sql("SELECT tidegate.job_enqueue('system.janitor', '{}', '', NULL, NULL)")
    left = lambda: {jti for jti, in gate.sql("SELECT jti FROM tidegate.signed_call WHERE jti = ANY(%s)", [old, young])}  # noqa: E731
    wait_until(lambda: left() == {young}, 20, "the janitor to forget what has run out, and nothing else")


# ------------------------------------------------------------------------------------------------------------- forgeries

NOW = int(time.time())
FORGED = {
    "a key of somebody else": {"key": "sig_other"},
    "an empty key": {"key": ""},
    "alg none": {"header": {"alg": "none", "typ": "JWT"}},
    "alg HS512": {"header": {"alg": "HS512", "typ": "JWT"}},
    "a key id": {"header": {"alg": "HS256", "kid": CURRENT}},
    "another issuer": {"iss": "upstash"},
    "no issuer": {"iss": None},
    "another host": {"sub": "https://example.com" + PARSE},
    "no subject": {"sub": None},
    "another body": {"body": base64url(hashlib.sha256(b"{}").digest())},
    "no body": {"body": None},
    "no id": {"jti": None},
    "no end": {"exp": None},
    "not yet": {"nbf": NOW + 3600},
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_call_is_refused(queue, name):
    space = Space(queue.gate)
    job = space.inspected(people(1))["id"]
    answer = queue.call(PARSE, {"jobId": job}, **FORGED[name])
    expect_problem(answer, 401, "call_unsigned")
    assert answer.headers["www-authenticate"] == "Upstash-Signature"
    assert space.get(job)["status"] == "mapping"


def test_what_was_signed_is_what_is_called(queue):
    space = Space(queue.gate)
    job = space.parsed(people(1))["id"]
    body = json.dumps({"jobId": job}).encode()
    for path, signed in ((COMMIT, PARSE), (PARSE + "?x=1", PARSE), (PARSE, PARSE + "?x=1"), (PARSE, PARSE + "/")):
        expect_problem(queue.send(path, body, queue.sign(signed, body)), 401, "call_unsigned")
    expect_problem(queue.send(PARSE, body + b" ", queue.sign(PARSE, body)), 401, "call_unsigned")
    expect_problem(queue.send(PARSE, b"", queue.sign(PARSE, body)), 401, "call_unsigned")
    expect_problem(queue.call(PARSE, {"jobId": job}, exp=NOW - 120, nbf=NOW - 420, iat=NOW - 420), 401, "call_expired")
    assert space.get(job)["status"] == "ready"


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c.d", "..", "." * 4000, "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_is_refused(queue, token):
    expect_problem(queue.send(PARSE, b'{"jobId":"x"}', token), 401, "call_unsigned")


def test_tokens_of_people_do_not_open_these_addresses(queue):
    for path in (PARSE, COMMIT, REPORT):
        expect_problem(queue.gate.api("POST", path, json={"jobId": unique()}), 401, "call_unsigned")


def test_signed_calls_open_nothing_else(queue):
    body = b"{}"
    path = "/api/import/jobs"
    expect_problem(queue.send(path, body, queue.sign(path, body)), 401, "unauthorized")


# ---------------------------------------------------------------------------------------------------------- bad requests

@pytest.mark.parametrize("fields, status, code", [
    ({}, 400, "invalid_field"), ({"jobId": None}, 400, "invalid_field"), ({"jobId": 7}, 400, "invalid_field"), ({"jobId": "x" * 65}, 400, "invalid_field"),
    ({"jobId": "x"}, 404, "not_found"), ({"jobId": "00000000-0000-4000-8000-000000000000"}, 404, "not_found")])
def test_which_import(queue, fields, status, code):
    for path in (PARSE, COMMIT, REPORT):
        expect_problem(queue.call(path, fields), status, code)


def test_bodies_that_are_signed_and_wrong(queue):
    for body, status, code in ((b"[]", 400, "invalid_json"), (b"{", 400, "invalid_json"), (b"", 415, "unsupported_media_type")):
        headers = {"Content-Type": "" if body == b"" else "application/json"}
        expect_problem(queue.send(PARSE, body, queue.sign(PARSE, body), headers=headers), status, code)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_other_methods(queue, method):
    answer = queue.send(PARSE, b"", method=method)
    expect_problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["allow"].split(", ")


def test_without_keys_there_are_no_such_calls(gate):
    queue = Queue(gate)
    job = Space(gate).inspected(people(1))["id"]
    for key in ("", "x"):
        expect_problem(queue.call(PARSE, {"jobId": job}, key=key), 403, "calls_disabled")
    for language, word in (("fr", "appels signés"), ("en", "Signed calls")):
        answer = queue.send(PARSE, b"{}", headers={"Accept-Language": language})
        assert word in expect_problem(answer, 403, "calls_disabled")["detail"]


def test_refusals_in_both_languages(queue):
    for language, word in (("fr", "signature"), ("en", "signature")):
        answer = queue.send(PARSE, b"{}", headers={"Accept-Language": language})
        assert word in expect_problem(answer, 401, "call_unsigned")["detail"] and answer.headers["content-language"] == language


def test_the_keys_are_never_shown(queue):
    shown = queue.gate.run("config", "--print").stdout
    assert "queue.current_key = (set)" in shown and CURRENT not in shown and NEXT not in shown + queue.gate.log_text("pool")


def test_nobody_reads_the_calls(queue):
    """The request role may enter an import only by the function that spends a token."""
    gate = queue.gate
    rights = gate.sql("SELECT has_table_privilege('tidegate_api', 'tidegate.signed_call', 'SELECT, INSERT, UPDATE, DELETE'), "
                      "has_function_privilege('tidegate_worker', 'tidegate.signed_call_enter(text, bigint, uuid)', 'EXECUTE'), "
                      "has_function_privilege('public', 'tidegate.signed_call_enter(text, bigint, uuid)', 'EXECUTE')")
    assert rights == [(False, False, False)]
