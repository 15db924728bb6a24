"""Signed URLs and what arrives through them."""
import base64
import hashlib
import os
import threading
from urllib.parse import urlsplit

import pytest

from instance import expect_problem, unique, wait_until
from sigv4 import presign

CREATE = "/api/import/upload-url"
DATA = b"Email;Nom\nzoe@example.org;Zo\xc3\xa9\n"


def own_url(gate, key, size, **options):
    """Signed here with the instance's own secret."""
    return presign(gate.url, f"/objects/{key}", "PUT", "tidegate", gate.options["storage__secret_key"], {"content-length": str(size)}, **options)


def stored_file(gate, key):
    return gate.path("blobs", *key.split("/"))


def is_stored(gate, key):
    return gate.sql("SELECT state FROM tidegate.upload WHERE object_key = %s", key) == [("stored",)]


# ---------------------------------------------------------------------------------------------------------- asking for one

def test_what_an_upload_url_looks_like(gate):
    issued = gate.upload_url(DATA, "Prospects été.CSV")
    assert issued["objectKey"] == issued["r2Key"] and issued["method"] == "PUT" and issued["reused"] is False
    assert issued["objectKey"].startswith("imports/admin%40test/") and issued["objectKey"].endswith(".csv")
    assert issued["uploadUrl"].startswith(gate.url + "/objects/") and issued["expiresAt"].endswith("Z")
    assert issued["headers"] == {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(DATA).digest()).decode()}


@pytest.mark.parametrize("body, field", [
    ({"fileSize": 1}, "fileName"), ({"fileName": "", "fileSize": 1}, "fileName"), ({"fileName": 7, "fileSize": 1}, "fileName"),
    ({"fileName": "a\nb", "fileSize": 1}, "fileName"), ({"fileName": "a" * 256, "fileSize": 1}, "fileName"),
    ({"fileName": "a"}, "fileSize"), ({"fileName": "a", "fileSize": -1}, "fileSize"), ({"fileName": "a", "fileSize": "1"}, "fileSize"),
    ({"fileName": "a", "fileSize": 1.5}, "fileSize"), ({"fileName": "a", "fileSize": True}, "fileSize"),
    ({"fileName": "a", "fileSize": 1, "checksum": "abc"}, "checksum"), ({"fileName": "a", "fileSize": 1, "checksum": "g" * 64}, "checksum"),
    ({"fileName": "a", "fileSize": 1, "userId": 5}, "userId")])
def test_fields_are_checked(gate, body, field):
    problem = expect_problem(gate.api("POST", CREATE, json=body), 400, "invalid_field")
    assert [error["field"] for error in problem["errors"]] == [field]


def test_a_file_over_the_limit_is_413(gate):
    expect_problem(gate.api("POST", CREATE, json={"fileName": "a.csv", "fileSize": 2147483649}), 413, "file_too_large")
    assert gate.api("POST", CREATE, json={"fileName": unique(), "fileSize": 2147483648}).status_code == 200


def test_the_user_is_the_tokens(gate):
    expect_problem(gate.api("POST", CREATE, json={"fileName": "a.csv", "fileSize": 1, "userId": "somebody@else"}), 403, "user_mismatch")
    assert gate.api("POST", CREATE, json={"fileName": unique(), "fileSize": 1, "userId": "admin@test"}).status_code == 200


@pytest.mark.parametrize("sub", ["../../etc", "a/b", ".", "..", "é" * 100, "x" * 255, "a b%2f", "-"])
def test_a_users_name_cannot_leave_its_folder(gate, sub):
    token = gate.token(sub=sub)
    key = gate.upload(DATA, unique(), token=token)
    assert key.count("/") == 2 and ".." not in key.split("/") and os.path.isfile(stored_file(gate, key))


def test_asking_again_gets_the_same_url(gate):
    name = unique()
    first, second = gate.upload_url(DATA, name), gate.upload_url(DATA, name)
    assert second["uploadUrl"] == first["uploadUrl"] and second["reused"] is True
    assert gate.upload_url(DATA, name, checksum=False)["uploadUrl"] != first["uploadUrl"]
    assert gate.upload_url(DATA + b"x", name)["uploadUrl"] != first["uploadUrl"]
    assert gate.upload_url(DATA, name, token="member")["uploadUrl"] != first["uploadUrl"]


def test_double_taps_get_one_url(gate):
    name, urls = unique(), []
    taps = [threading.Thread(target=lambda: urls.append(gate.upload_url(DATA, name)["uploadUrl"])) for _ in range(12)]
    for tap in taps:
        tap.start()
    for tap in taps:
        tap.join()
    assert len(urls) == 12 and len(set(urls)) == 1, f"expected one URL for 12 taps, got {len(set(urls))}"


def test_a_url_near_its_end_is_replaced(gate):
    name = unique()
    first = gate.upload_url(DATA, name)
    gate.sql("UPDATE tidegate.upload SET expires_at = now() + interval '200 seconds' WHERE object_key = %s", first["objectKey"])
    second = gate.upload_url(DATA, name)
    assert second["uploadUrl"] != first["uploadUrl"] and second["reused"] is False


def test_after_the_upload_there_is_a_new_url(gate):
    name = unique()
    first = gate.upload(DATA, name)
    assert gate.upload_url(DATA, name)["objectKey"] != first


# -------------------------------------------------------------------------------------------------------------------- PUT

@pytest.mark.parametrize("checksum", [True, False])
def test_a_file_arrives_whole(gate, checksum):
    data = os.urandom(3_000_000)
    key = gate.upload(data, unique(), checksum)
    with open(stored_file(gate, key), "rb") as file:
        assert file.read() == data
    assert gate.sql("SELECT state, sha256 FROM tidegate.upload WHERE object_key = %s", key) == [("stored", hashlib.sha256(data).hexdigest())]
    wait_until(lambda: not [files for _, _, files in os.walk(gate.path("spool")) if files], 5, "an empty spool")


def test_an_empty_file_is_refused_at_once(gate):
    expect_problem(gate.api("POST", CREATE, json={"fileName": "a.csv", "fileSize": 0}), 422, "empty_file")


def test_a_url_works_once(gate):
    issued = gate.upload_url(DATA, unique())
    assert gate.put(issued, DATA).status_code == 201
    expect_problem(gate.put(issued, DATA), 403, "upload_used")


def test_of_many_puts_at_once_one_wins(gate):
    data = os.urandom(200_000)
    issued, statuses = gate.upload_url(data, unique()), []
    puts = [threading.Thread(target=lambda: statuses.append(gate.put(issued, data).status_code)) for _ in range(6)]
    for put in puts:
        put.start()
    for put in puts:
        put.join()
    assert statuses.count(201) == 1 and set(statuses) <= {201, 403}, f"expected one 201 and otherwise 403, got {sorted(statuses)}"
    with open(stored_file(gate, issued["objectKey"]), "rb") as file:
        assert file.read() == data


def test_an_expired_row_is_403(gate):
    issued = gate.upload_url(DATA, unique())
    gate.sql("UPDATE tidegate.upload SET expires_at = now() - interval '1 second' WHERE object_key = %s", issued["objectKey"])
    expect_problem(gate.put(issued, DATA), 403, "upload_used")


def test_our_own_signer_agrees(gate):
    key = gate.upload_url(DATA, unique(), checksum=False)["objectKey"]
    answer = gate.session.put(own_url(gate, key, len(DATA)), data=DATA)
    assert answer.status_code == 201, f"expected 201, got {answer.status_code} {answer.text}"


@pytest.mark.parametrize("options, code", [
    ({"age": 901}, "signature_expired"), ({"age": 100, "life": 60}, "signature_expired"), ({"age": -3600}, "signature_invalid"),
    ({"life": 10 ** 9}, "signature_invalid"), ({"region": "elsewhere"}, "signature_invalid")])
def test_signatures_out_of_time_or_place(gate, options, code):
    key = gate.upload_url(DATA, unique(), checksum=False)["objectKey"]
    answer = gate.session.put(own_url(gate, key, len(DATA), **options), data=DATA)
    expect_problem(answer, 403, code)
    assert not is_stored(gate, key)


def test_a_key_that_was_never_issued_is_403(gate):
    answer = gate.session.put(own_url(gate, "imports/admin%40test/invented.csv", len(DATA)), data=DATA)
    expect_problem(answer, 403, "upload_used")


def altered(issued, how):
    url = issued["uploadUrl"]
    parts = urlsplit(url)
    return {
        "signature": url[:-1] + ("0" if url[-1] != "0" else "1"),
        "no signature": url.rpartition("&X-Amz-Signature=")[0],
        "no query": url.partition("?")[0],
        "path": url.replace(".csv", ".txt"),
        "longer life": url.replace("X-Amz-Expires=900", "X-Amz-Expires=3600"),
        "another parameter": url + "&x=1",
        "twice": url + "&X-Amz-Signature=" + "0" * 64,
        "access key": url.replace("Credential=tidegate", "Credential=somebody"),
        "case": url.replace("/objects/imports/", "/objects/Imports/"),
        "dots": url.replace("/objects/imports/", "/objects/x/../imports/"),
        "host": parts._replace(netloc=parts.netloc.replace("localhost", "127.0.0.1")).geturl(),
    }[how]


@pytest.mark.parametrize("how", ["signature", "no signature", "no query", "path", "longer life", "another parameter", "twice", "access key", "case", "dots", "host"])
def test_an_altered_url_is_403(gate, how):
    issued = gate.upload_url(DATA, unique() + ".csv", checksum=False)
    changed = altered(issued, how)
    assert changed != issued["uploadUrl"]
    path = changed[changed.index("/", 8):]
    host = urlsplit(changed).netloc
    answer = gate.raw(f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(DATA)}\r\nConnection: close\r\n\r\n".encode() + DATA)
    expect_problem(answer, 403, "signature_invalid")
    assert not is_stored(gate, issued["objectKey"])


def test_the_method_is_signed(gate):
    issued = gate.upload_url(DATA, unique(), checksum=False)
    expect_problem(gate.session.get(issued["uploadUrl"]), 403, "signature_invalid")


@pytest.mark.parametrize("change", [b"", b"more"], ids=["shorter", "longer"])
def test_another_size_is_403(gate, change):
    issued = gate.upload_url(DATA, unique(), checksum=False)
    expect_problem(gate.put(issued, DATA + change if change else DATA[:-1]), 403, "signature_invalid")
    assert not is_stored(gate, issued["objectKey"])


def test_other_bytes_are_403(gate):
    issued = gate.upload_url(DATA, unique())
    expect_problem(gate.put(issued, DATA[::-1]), 403, "upload_checksum")
    assert not is_stored(gate, issued["objectKey"]) and not os.path.exists(stored_file(gate, issued["objectKey"]))
    assert gate.put(issued, DATA).status_code == 201, "expected the right bytes to be taken after the wrong ones"


def test_another_checksum_header_is_403(gate):
    issued = gate.upload_url(DATA, unique())
    other = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    expect_problem(gate.put(issued, DATA, {"x-amz-checksum-sha256": other}), 403, "signature_invalid")
    expect_problem(gate.session.put(issued["uploadUrl"], data=DATA), 403, "signature_invalid")


def test_a_length_must_be_announced(gate):
    issued = gate.upload_url(DATA, unique(), checksum=False)
    expect_problem(gate.put(issued, iter([DATA])), 411, "length_required")
    assert not is_stored(gate, issued["objectKey"])


def test_nginx_refuses_what_is_too_large_before_reading(gate):
    issued = gate.upload_url(DATA, unique(), checksum=False)
    path = issued["uploadUrl"][len(gate.url):]
    answer = gate.raw(f"PUT {path} HTTP/1.1\r\nHost: localhost:{gate.port}\r\nContent-Length: 5000000000\r\nConnection: close\r\n\r\n".encode())
    expect_problem(answer, 413, "too_large")


def test_a_body_that_ends_early_leaves_nothing(gate):
    data = os.urandom(500_000)
    issued = gate.upload_url(data, unique(), checksum=False)
    path = issued["uploadUrl"][len(gate.url):]
    head = f"PUT {path} HTTP/1.1\r\nHost: localhost:{gate.port}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode()
    with pytest.raises((AssertionError, TimeoutError, OSError)):
        gate.raw(head + data[:300_000], timeout=1)
    assert not is_stored(gate, issued["objectKey"])
    assert gate.put(issued, data).status_code == 201, "expected the same URL to take the file after a cut connection"


def test_signed_urls_never_reach_the_logs(gate):
    issued = gate.upload_url(DATA, unique())
    gate.put(issued, DATA)
    gate.put(issued, DATA)
    signature = issued["uploadUrl"].rpartition("X-Amz-Signature=")[2]
    for log in ("access", "nginx-error", "pool"):
        assert signature not in gate.log_text(log), f"expected no signed URL in {log}.log"


# ------------------------------------------------------------------------------------------------------- whose file it is

def test_another_users_file_is_404(gate):
    key = gate.upload(DATA, unique(), token=gate.token(sub="owner@test"))
    body = {"objectKey": key, "fileName": "leads.csv", "fileSize": len(DATA)}
    expect_problem(gate.api("POST", "/api/import/jobs", json=body, token=gate.token(sub="thief@test")), 404, "not_found")


def test_a_file_that_never_came_is_409(gate):
    issued = gate.upload_url(DATA, unique())
    body = {"objectKey": issued["objectKey"], "fileName": "leads.csv", "fileSize": len(DATA)}
    expect_problem(gate.api("POST", "/api/import/jobs", json=body), 409, "upload_not_finished")


def test_a_job_is_checked_against_what_came(gate):
    data = DATA + unique().encode()
    key = gate.upload(data, unique())
    body = {"objectKey": key, "fileName": "leads.csv", "fileSize": len(data)}
    expect_problem(gate.api("POST", "/api/import/jobs", json={**body, "fileSize": len(data) + 1}), 422, "size_mismatch")
    expect_problem(gate.api("POST", "/api/import/jobs", json={**body, "checksum": "0" * 64}), 422, "checksum_mismatch")
    expect_problem(gate.api("POST", "/api/import/jobs", json={**body, "target": "nothing"}), 422, "unknown_target")
    assert gate.api("POST", "/api/import/jobs", json={**body, "checksum": hashlib.sha256(data).hexdigest()}).status_code == 201
