"""The gate itself: health, problems, languages, tokens, hostile bodies and headers. What comes from nginx and what comes from
the application must look the same to a client."""
import json
import time

import pytest
import requests

from instance import base64url, expect_problem, unique, wait_until

CREATE = "/api/import/upload-url"


# ------------------------------------------------------------------------------------------------------------------ health

def test_health(gate):
    answer = gate.api("GET", "/api/health", token=None)
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "ok" and body["checks"]["database"] == "ok" and body["version"] and body["time"].endswith("Z")
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["x-request-id"]
    assert "strict-transport-security" not in answer.headers, "HSTS on localhost would follow the developer everywhere"


def test_head_has_the_headers_and_no_body(gate):
    get, head = gate.api("GET", "/api/health", token=None), gate.api("HEAD", "/api/health", token=None)
    assert head.status_code == 200 and head.content == b"" and head.headers["content-type"] == get.headers["content-type"]
    assert int(head.headers["content-length"]) > 0


def test_health_tells_and_heals_when_the_database_is_gone(fresh_gate):
    assert fresh_gate.api("GET", "/api/import/jobs").status_code == 200
    fresh_gate.kill("postgres")
    answer = fresh_gate.api("GET", "/api/import/jobs")
    expect_problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert fresh_gate.api("GET", "/api/health", token=None).json()["checks"]["database"] != "ok"
    fresh_gate.restart_postgres()
    wait_until(lambda: fresh_gate.api("GET", "/api/import/jobs").status_code == 200, 20, "the application to connect again")


def test_metrics(gate):
    answer = gate.api("GET", "/metrics", token=None)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    assert "\n# TYPE tidegate_" in "\n" + answer.text


# ------------------------------------------------------------------------------------------------- addresses and methods

@pytest.mark.parametrize("path", ["/", "/nope", "/api", "/objects", "/api/", "/api/nope", "/api/health/", "/api/import/jobs/x/y/z", "/index.html"])
def test_unknown_paths_are_404(gate, path):
    expect_problem(gate.api("GET", path), 404, "not_found")


@pytest.mark.parametrize("path", [
    "/_internal/object-auth", "/_internal/events-auth", "/_events_auth", "/publish", "/_internal/object", "/_object_auth", "/_problem", "/_files/", "/_files/imports/x",
    "/api/%2e%2e/_internal/object", "/api/..%2f_internal/object-auth", "/_internal%2fobject", "//_internal/object", "/objects/../_internal/object"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_inner_addresses_cannot_be_reached(gate, path, method):
    request = f"{method} {path} HTTP/1.1\r\nHost: localhost:{gate.port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    expect_problem(gate.raw(request.encode()), 404, "not_found")


@pytest.mark.parametrize("path", ["/api/%00", "/api/%zz", "/api/health?a=%", "/api/%ff%fe"])
def test_broken_escapes_are_400(gate, path):
    request = f"GET {path} HTTP/1.1\r\nHost: localhost:{gate.port}\r\nConnection: close\r\n\r\n"
    expect_problem(gate.raw(request.encode()), 400, "invalid_request")


def test_wrong_method_names_the_right_ones(gate):
    answer = gate.api("DELETE", "/api/health")
    expect_problem(answer, 405, "method_not_allowed")
    assert {"GET", "HEAD", "OPTIONS"} <= set(answer.headers["allow"].split(", ")) and "DELETE" not in answer.headers["allow"]


@pytest.mark.parametrize("method, path", [("DELETE", "/objects/imports/x"), ("POST", "/objects/imports/x"), ("TRACE", "/api/health"), ("BREW", "/api/health")])
def test_methods_nobody_knows_are_405(gate, method, path):
    answer = gate.api(method, path)
    expect_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


def test_options_lists_the_methods(gate):
    answer = gate.api("OPTIONS", "/api/import/jobs", token=None)
    assert answer.status_code == 204 and {"GET", "POST", "OPTIONS"} <= set(answer.headers["allow"].split(", "))
    assert "access-control-allow-origin" not in answer.headers


def test_cors_is_for_configured_origins_only(make_gate):
    gate = make_gate(auth__cors_origins="https://app.example https://other.example")
    preflight = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
    for path in ("/api/import/jobs", "/objects/imports/x"):
        answer = gate.api("OPTIONS", path, token=None, headers={"Origin": "https://app.example", **preflight})
        assert answer.status_code == 204, f"expected 204 for {path}, got {answer.status_code} {answer.text}"
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "Authorization" in answer.headers["access-control-allow-headers"] and answer.headers["vary"] == "Origin"
        stranger = gate.api("OPTIONS", path, token=None, headers={"Origin": "https://evil.example", **preflight})
        assert "access-control-allow-origin" not in stranger.headers
    answer = gate.api("GET", "/api/import/jobs", token=None, headers={"Origin": "https://app.example"})
    expect_problem(answer, 401, "unauthorized")
    assert answer.headers["access-control-allow-origin"] == "https://app.example", "a page must be able to read why"


# --------------------------------------------------------------------------------------------- languages and request ids

@pytest.mark.parametrize("accept, language", [
    ("fr", "fr"), ("fr-FR,fr;q=0.9,en;q=0.8", "fr"), ("en-GB,en;q=0.9,fr;q=0.5", "en"), ("de", "en"), ("", "en"), ("de,fr;q=0.5", "fr")])
@pytest.mark.parametrize("path", ["/nope", "/api/nope"])
def test_languages_agree_between_nginx_and_the_application(gate, path, accept, language):
    answer = gate.api("GET", path, headers={"Accept-Language": accept})
    body = expect_problem(answer, 404, "not_found")
    assert answer.headers["content-language"] == language
    assert body["detail"] == {"en": "There is nothing here, or it is not yours.",
                              "fr": "Il n’y a rien ici, ou cela ne vous appartient pas."}[language]


def test_request_ids_reach_every_log_line(gate):
    answer = gate.api("GET", "/api/import/jobs", token="not.a.token")
    identifier = expect_problem(answer, 401, "unauthorized")["requestId"]
    assert answer.headers["x-request-id"] == identifier
    for log in ("access", "pool"):
        wait_until(lambda log=log: identifier in gate.log_text(log), 5, f"the request id in {log}.log")
    for line in gate.log_text("pool").splitlines():
        json.loads(line)
    for line in gate.log_text("access").splitlines():
        json.loads(line)


def test_problems_of_nginx_carry_the_logged_request_id(gate):
    identifier = expect_problem(gate.api("GET", "/nope"), 404, "not_found")["requestId"]
    wait_until(lambda: identifier in gate.log_text("access"), 5, "the request id in access.log")


# ------------------------------------------------------------------------------------------------------------------ tokens

def test_the_programs_own_tokens_are_good(gate):
    token = gate.run("token", "--role", "admin", "--sub", "cli@test", "--space", "test").stdout.strip()
    assert gate.api("GET", "/api/import/jobs", token=token).status_code == 200


def test_members_may_not_do_what_admins_do(gate):
    expect_problem(gate.api("GET", "/api/import/jobs", token="member"), 403, "forbidden")
    assert gate.api("POST", CREATE, token="member", json={"fileName": unique(), "fileSize": 1}).status_code == 200


def forgeries(gate):
    now = int(time.time())
    good = gate.token()
    head, body, signature = good.split(".")
    none = base64url(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    hs512 = base64url(json.dumps({"alg": "HS512", "typ": "JWT"}).encode())
    return {
        "no token": (None, "unauthorized"),
        "empty": (" ", "unauthorized"),
        "words": ("let me in", "unauthorized"),
        "expired": (gate.token(exp=now - 120), "token_expired"),
        "without exp": (gate.token(exp=None), "unauthorized"),
        "exp as text": (gate.token(exp=str(now + 600)), "unauthorized"),
        "huge exp": (gate.token(exp=10 ** 30), "unauthorized"),
        "not yet": (gate.token(nbf=now + 600), "unauthorized"),
        "other secret": (gate.token(secret="x" * 64), "unauthorized"),
        "empty secret": (gate.token(secret=""), "unauthorized"),
        "no signature": (f"{head}.{body}.", "unauthorized"),
        "two parts": (f"{head}.{body}", "unauthorized"),
        "four parts": (f"{good}.{signature}", "unauthorized"),
        "cut signature": (good[:-4], "unauthorized"),
        "other signature": (f"{head}.{body}.{signature[::-1]}", "unauthorized"),
        "alg none": (f"{none}.{body}.", "unauthorized"),
        "alg none with signature": (f"{none}.{body}.{signature}", "unauthorized"),
        "alg HS512": (f"{hs512}.{body}.{signature}", "unauthorized"),
        "alg HS512 signed": (gate.token(header={"alg": "HS512", "typ": "JWT"}), "unauthorized"),
        "crit": (gate.token(header={"alg": "HS256", "typ": "JWT", "crit": ["exp"]}), "unauthorized"),
        "without sub": (gate.token(sub=None), "unauthorized"),
        "empty sub": (gate.token(sub=""), "unauthorized"),
        "long sub": (gate.token(sub="s" * 256), "unauthorized"),
        "padded": (good + "=", "unauthorized"),
    }


def test_forged_tokens(gate):
    for name, (token, code) in forgeries(gate).items():
        answer = gate.api("GET", "/api/import/jobs", token=token)
        assert answer.status_code == 401, f"{name}: expected 401, got {answer.status_code} {answer.text}"
        expect_problem(answer, 401, code)
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("role", [None, "", "root", "ADMIN", ["admin"], {"admin": True}, True])
def test_roles_that_are_none(gate, role):
    answer = gate.api("GET", "/api/import/jobs", token=gate.token(role=role))
    assert answer.status_code in (401, 403), f"expected 401 or 403 for role {role!r}, got {answer.status_code} {answer.text}"


def test_tokens_never_reach_the_logs(gate):
    token = gate.token(sub=unique())
    gate.api("GET", "/api/import/jobs", token=token)
    gate.api("GET", "/api/import/jobs", token=token[:-2])
    assert token[:-2] not in gate.log_text("pool") + gate.log_text("access") + gate.log_text("nginx-error")


# -------------------------------------------------------------------------------------------------------- hostile requests

def post(gate, body, headers=None):
    return gate.api("POST", CREATE, data=body, headers={"Content-Type": "application/json", **(headers or {})})


@pytest.mark.parametrize("body, status, code", [
    (b"", 400, "invalid_json"),
    (b"{", 400, "invalid_json"),
    (b"[]", 400, "invalid_json"),
    (b"null", 400, "invalid_json"),
    (b'"text"', 400, "invalid_json"),
    (b'{"fileName":"a","fileSize":1}x', 400, "invalid_json"),
    (b'{"fileName":"a","fileSize":1,"fileSize":2}', 400, "invalid_json"),
    (b'{"fileName":"\xff\xfe","fileSize":1}', 400, "invalid_json"),
    (b'{"fileName":"a\\u0000b","fileSize":1}', 400, "invalid_json"),
    (b'{"a":' * 200 + b"1" + b"}" * 200, 400, "json_too_deep"),
    (b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}", 400, "json_too_deep"),
    (b'{"fileName":"a","fileSize":99999999999999999999999}', 400, None),
    (b'{"fileName":"a","fileSize":1e400}', 400, None),
], ids=["empty", "cut", "array", "null", "text", "more after it", "duplicate key", "not UTF-8", "NUL", "deep", "very deep", "huge number", "infinite"])
def test_bad_json(gate, body, status, code):
    answer = post(gate, body)
    expect_problem(answer, status, code or answer.json()["code"])


def test_wide_json_is_refused_or_answered(gate):
    """Many members within the size limit: memory stays bounded and an answer comes."""
    body = json.dumps({f"k{i}": i for i in range(60000)}).encode()
    answer = post(gate, body)
    assert 400 <= answer.status_code < 500, f"expected a refusal, got {answer.status_code} {answer.text[:300]}"


def test_only_json_is_taken(gate):
    expect_problem(gate.api("POST", CREATE, data=b"a=b", headers={"Content-Type": "application/x-www-form-urlencoded"}), 415, "unsupported_media_type")
    expect_problem(gate.api("POST", CREATE, data=b"{}"), 415, "unsupported_media_type")
    answer = post(gate, b'{"fileName":"charset.csv","fileSize":1}', {"Content-Type": "Application/JSON; charset=utf-8"})
    assert answer.status_code == 200


def test_oversized_bodies_are_413(gate):
    expect_problem(post(gate, b" " * 1_500_000), 413, "too_large")
    request = f"POST {CREATE} HTTP/1.1\r\nHost: localhost:{gate.port}\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n"
    expect_problem(gate.raw(request.encode()), 413, "too_large")


def test_chunked_json_is_fine(gate):
    answer = gate.api("POST", CREATE, data=iter([b'{"fileName":"', unique().encode(), b'","fileSize":1}']), headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, f"expected 200, got {answer.status_code} {answer.text}"


def test_a_body_that_ends_early_has_no_effect(gate):
    name = unique()
    body = json.dumps({"fileName": name, "fileSize": 1})
    head = f"POST {CREATE} HTTP/1.1\r\nHost: localhost:{gate.port}\r\nAuthorization: Bearer {gate.token()}\r\n" \
           f"Content-Type: application/json\r\nContent-Length: {len(body) + 10}\r\n\r\n"
    with pytest.raises((AssertionError, TimeoutError, OSError)):
        gate.raw((head + body).encode(), timeout=2)
    assert gate.sql("SELECT count(*) FROM tidegate.upload WHERE file_name = %s", name) == [(0,)]


@pytest.mark.parametrize("size", [9_000, 40_000, 1_000_000])
def test_oversized_headers_are_431(gate, size):
    request = f"GET /api/health HTTP/1.1\r\nHost: localhost:{gate.port}\r\nX-Big: {'a' * size}\r\nConnection: close\r\n\r\n"
    expect_problem(gate.raw(request.encode()), 431, "too_large")


def test_many_headers_are_431(gate):
    lines = "".join(f"X-{i}: {'b' * 100}\r\n" for i in range(5000))
    expect_problem(gate.raw(f"GET /api/health HTTP/1.1\r\nHost: localhost\r\n{lines}Connection: close\r\n\r\n".encode()), 431, "too_large")


def test_oversized_addresses_are_414(gate):
    expect_problem(gate.raw(f"GET /api/{'a' * 20000} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()), 414, "too_large")


@pytest.mark.parametrize("request_line", ["GARBAGE", "GET /api/health HTTP/1.1\r\nHost: a\r\nHost: b", "GET /api/health HTTP/1.1",
                                          "POST /api/health HTTP/1.1\r\nHost: a\r\nContent-Length: x",
                                          "POST /api/health HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"])
def test_what_is_no_http_is_400(gate, request_line):
    expect_problem(gate.raw(f"{request_line}\r\n\r\n".encode()), 400, "invalid_request")


def test_plain_http_on_the_tls_port_is_400(gate):
    answer = requests.get(f"http://localhost:{gate.port}/api/health", timeout=5)
    expect_problem(answer, 400, "invalid_request")


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=abc", "limit=99999999999999999999", "cursor=%21%21", "cursor=" + "A" * 3000])
def test_bad_list_parameters_are_400(gate, query):
    answer = gate.api("GET", f"/api/import/jobs?{query}")
    assert answer.status_code == 400, f"expected 400, got {answer.status_code} {answer.text}"
    expect_problem(answer, 400, answer.json()["code"])


def test_headers_cannot_speak_for_nginx(gate):
    """Parameters of ours have no HTTP_ prefix, so no client header can become one."""
    answer = gate.api("GET", "/api/health", token=None, headers={"Request-Id": "deadbeef" * 4, "X-Accel-Redirect": "/_files/", "Proxy": "http://evil"})
    assert answer.status_code == 200 and answer.headers["x-request-id"] != "deadbeef" * 4


# ------------------------------------------------------------------------------------------------------- idempotency keys

def test_a_key_gets_the_first_answer_again(gate):
    key, body = unique(), {"fileName": unique(), "fileSize": 10}
    first = gate.api("POST", CREATE, json=body, headers={"Idempotency-Key": key})
    second = gate.api("POST", CREATE, json=body, headers={"Idempotency-Key": key})
    assert first.status_code == second.status_code == 200 and first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers


def test_a_key_with_another_body_is_422(gate):
    key = unique()
    assert gate.api("POST", CREATE, json={"fileName": key, "fileSize": 10}, headers={"Idempotency-Key": key}).status_code == 200
    expect_problem(gate.api("POST", CREATE, json={"fileName": key, "fileSize": 11}, headers={"Idempotency-Key": key}), 422, "idempotency_mismatch")


def test_a_key_belongs_to_its_user(gate):
    key, body = unique(), {"fileName": unique(), "fileSize": 10}
    first = gate.api("POST", CREATE, json=body, headers={"Idempotency-Key": key}, token="admin")
    other = gate.api("POST", CREATE, json=body, headers={"Idempotency-Key": key}, token="member")
    assert other.status_code == 200 and other.json()["objectKey"] != first.json()["objectKey"]


def test_a_refused_request_does_not_use_up_its_key(gate):
    key = unique()
    expect_problem(gate.api("POST", CREATE, json={"fileName": "", "fileSize": 1}, headers={"Idempotency-Key": key}), 400, "invalid_field")
    assert gate.api("POST", CREATE, json={"fileName": key, "fileSize": 1}, headers={"Idempotency-Key": key}).status_code == 200


# ------------------------------------------------------------------------------------------------------- nginx at its limits

def test_too_many_requests_are_429(make_gate):
    gate = make_gate(rate="5r/s", burst=5)
    answers = [gate.api("GET", "/api/health", token=None, headers={"Accept-Language": "fr"}) for _ in range(40)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert limited, "expected at least one 429 among 40 quick requests"
    body = expect_problem(limited[0], 429, "limited")
    assert int(limited[0].headers["retry-after"]) > 0 and body["detail"].startswith("Trop de requêtes")


def test_without_the_application_there_are_problems_too(fresh_gate):
    issued = fresh_gate.upload_url(b"data")
    fresh_gate.kill("pool")
    answer = fresh_gate.api("GET", "/api/health", token=None)
    expect_problem(answer, 502, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    answer = fresh_gate.put(issued, b"data")
    expect_problem(answer, 503, "unavailable")
    fresh_gate.start_pool()
    wait_until(lambda: fresh_gate.api("GET", "/api/health", token=None).status_code == 200, 15, "the application to answer again")
    assert fresh_gate.put(issued, b"data").status_code == 201, "expected the same URL to work after the outage"
    assert "X-Amz-Signature" not in fresh_gate.log_text("nginx-error") + fresh_gate.log_text("access") + fresh_gate.log_text("pool")
