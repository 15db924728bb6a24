"""Uploads in parts: what a browser needs to send a large file over a bad line and go on later."""
import glob
import hashlib
import os
import re
import subprocess
import threading

import pytest
import requests

from instance import BUILD, expect_problem, unique, wait_until
from parts import CREATE, abort, begin, complete, send, upload_in_parts
from sigv4 import presign
from space import Space

PART, ROWS = 5 << 20, 70_000


@pytest.fixture
def gate(own_instance):
    return own_instance(storage__part_bytes=PART, storage__multipart_bytes=PART)


@pytest.fixture(scope="module")
def data():
    """Leads of a little more than two parts."""
    text = subprocess.run([os.path.join(BUILD, "sample"), str(ROWS), "5"], check=True, capture_output=True).stdout
    assert 2 * PART < len(text) < 3 * PART, f"expected a file of three parts, got {len(text)} bytes"
    return text


def spooled(gate):
    return glob.glob(gate.path("spool", "*.parts"))


def unfinished(gate):
    """Uploads that have begun, as the store itself knows them."""
    if gate.options["storage__driver"] == "local":
        return set(spooled(gate))
    store = gate.options
    url = presign(store["storage__endpoint"], f"/{store['storage__bucket']}", "GET", store["storage__access_key"], store["storage__secret_key"],
                  region=store["storage__region"], query={"uploads": ""})
    return set(re.findall("<UploadId>([^<]+)", requests.get(url, timeout=30).text))


def test_a_file_in_parts_is_imported_like_any_other(gate, data):
    space = Space(gate)
    key = upload_in_parts(gate, data, unique() + ".csv", token=space.token)
    assert gate.object(key) == data
    answer = space.api("POST", "/api/import/jobs", {"objectKey": key, "fileName": "a.csv", "fileSize": len(data)})
    assert answer.status_code == 201, answer.text
    assert answer.json()["fileHash"] == hashlib.sha256(data).hexdigest(), "expected the hash of a file of this size at once"
    space.wait(answer.json()["id"], ("mapping",))
    assert space.parse(answer.json()["id"])["counts"]["total"] == ROWS


def test_what_the_answer_says(gate, data):
    name = unique()
    upload = begin(gate, data, name)
    assert (upload["partSize"], upload["partCount"], upload["partsReceived"], upload["reused"]) == (PART, 3, 0, False)
    assert [(part["number"], part["size"]) for part in upload["parts"]] == [(1, PART), (2, PART), (3, len(data) - 2 * PART)]
    assert upload["objectKey"].startswith("imports/admin%40test/")


def test_going_on_after_a_stop(gate, data):
    name = unique()
    upload = begin(gate, data, name)
    assert send(gate, upload, data, upload["parts"][1]).status_code == 200
    again = begin(gate, data, name)
    assert (again["uploadId"], again["objectKey"], again["reused"], again["partsReceived"]) == (upload["uploadId"], upload["objectKey"], True, 1)
    assert [part["number"] for part in again["parts"]] == [1, 3], "expected only what is missing"
    problem = expect_problem(complete(gate, upload), 409, "upload_not_finished")
    assert problem["missingParts"] == "1,3"
    for part in again["parts"]:
        assert send(gate, again, data, part).status_code == 200
    assert complete(gate, again).status_code == 200
    assert gate.object(upload["objectKey"]) == data


def test_a_part_may_be_sent_twice_the_last_counts(gate, data):
    upload = begin(gate, data, unique())
    assert send(gate, upload, data, upload["parts"][0], b"x" * PART).status_code == 200
    for part in upload["parts"]:
        assert send(gate, upload, data, part).status_code == 200
    assert complete(gate, upload).status_code == 200
    assert hashlib.sha256(gate.object(upload["objectKey"])).digest() == hashlib.sha256(data).digest()


def test_parts_at_the_same_time(gate, data):
    upload = begin(gate, data, unique())
    results = []
    threads = [threading.Thread(target=lambda part=part: results.append(
        requests.put(part["uploadUrl"], data=data[(part["number"] - 1) * PART:][:part["size"]], verify=gate.path("cert.pem"), timeout=60).status_code))
        for part in upload["parts"] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 6
    assert complete(gate, upload).status_code == 200
    assert gate.object(upload["objectKey"]) == data


def test_complete_and_abort_can_be_repeated(gate, data):
    key = unique()
    upload = begin(gate, data, key)
    for part in upload["parts"]:
        send(gate, upload, data, part)
    first, second = complete(gate, upload), complete(gate, upload)
    assert (first.status_code, second.status_code) == (200, 200) and first.json() == second.json()
    expect_problem(abort(gate, upload), 403, "upload_used")
    other = begin(gate, data, unique())
    assert send(gate, other, data, other["parts"][0]).status_code == 200
    before = unfinished(gate)
    assert abort(gate, other).status_code == 204
    assert len(before) - len(unfinished(gate)) == 1, "expected what had arrived to be removed"
    expect_problem(abort(gate, other), 404, "not_found")
    expect_problem(complete(gate, other), 404, "not_found")
    assert send(gate, other, data, other["parts"][1]).status_code in (403, 404)
    assert begin(gate, data, unique())["uploadId"] != other["uploadId"]


def test_complete_before_the_row_says_so(gate, data):
    """The files were put together, and the process died before the row was committed."""
    upload = begin(gate, data, unique())
    for part in upload["parts"]:
        send(gate, upload, data, part)
    assert complete(gate, upload).status_code == 200
    gate.sql("UPDATE tidegate.upload SET state = 'issued', stored_at = NULL WHERE id = %s", upload["uploadId"])
    assert complete(gate, upload).status_code == 200
    assert gate.sql("SELECT state FROM tidegate.upload WHERE id = %s", upload["uploadId"]) == [("stored",)]


@pytest.mark.parametrize("change, code", [
    (lambda part: part["uploadUrl"].replace("partNumber=1", "partNumber=2"), "signature_invalid"),
    (lambda part: part["uploadUrl"].replace("uploadId=", "uploadId=0"), "signature_invalid"),
    (lambda part: part["uploadUrl"].split("?")[0], "signature_invalid"),
    (lambda part: part["uploadUrl"].replace("X-Amz-Signature=", "X-Amz-Signature=0"), "signature_invalid")])
def test_a_url_is_for_one_part(gate, data, change, code):
    upload = begin(gate, data, unique())
    part = {**upload["parts"][0], "uploadUrl": change(upload["parts"][0])}
    answer = send(gate, upload, data, part)
    assert answer.status_code in (400, 403), f"expected the URL to be refused, got {answer.status_code}"
    if part["uploadUrl"].startswith(gate.url):
        expect_problem(answer, 403, code)


def test_a_part_of_another_size_is_refused(gate, data):
    upload = begin(gate, data, unique())
    for body in (b"", b"x" * (PART - 1), b"x" * (PART + 1)):
        answer = send(gate, upload, data, upload["parts"][0], body)
        assert answer.status_code in (400, 403, 411), f"expected a refusal of {len(body)} bytes, got {answer.status_code}"
    assert begin(gate, data, upload["objectKey"])["partsReceived"] == 0


def test_files_of_usual_size_have_one_url_all_the_same(gate):
    answer = gate.api("POST", CREATE, {"fileName": unique(), "fileSize": PART, "parts": True})
    assert answer.status_code == 200 and "uploadUrl" in answer.json() and "parts" not in answer.json()


def test_the_same_file_both_ways(gate, data):
    name = unique()
    upload = begin(gate, data, name)
    answer = gate.api("POST", CREATE, {"fileName": name, "fileSize": len(data)})
    assert answer.status_code == 200 and answer.json()["objectKey"] != upload["objectKey"]


def test_fields_are_checked(gate):
    problem = expect_problem(gate.api("POST", CREATE, {"fileName": "a", "fileSize": 9, "parts": 3}), 400, "invalid_field")
    assert [error["field"] for error in problem["errors"]] == ["parts"]


def test_more_than_one_put_can_carry_must_be_sent_in_parts(own_instance):
    instance = own_instance(storage__part_bytes=PART, storage__upload_max_bytes=6 << 30)
    expect_problem(instance.api("POST", CREATE, {"fileName": "a", "fileSize": (5 << 30) + 1}), 422, "parts_required")
    answer = instance.api("POST", CREATE, {"fileName": "a", "fileSize": 6 << 30, "parts": True})
    assert answer.status_code == 200 and answer.json()["partCount"] == -(-(6 << 30) // PART)
    assert len(answer.json()["parts"]) == 500, "expected the first URLs only"


def test_uploads_of_others_are_not_there(gate, data):
    upload = begin(gate, data, unique())
    other = gate.token("admin", "other@test")
    for call in (complete, abort):
        expect_problem(call(gate, upload, other), 404, "not_found")
    expect_problem(gate.api("POST", "/api/import/uploads/nonsense/complete"), 404, "not_found")
    expect_problem(complete(gate, upload, None), 401, "unauthorized")


def test_double_taps_begin_one_upload(gate, data):
    name, results = unique(), []
    threads = [threading.Thread(target=lambda: results.append(requests.post(
        gate.url + CREATE, json={"fileName": name, "fileSize": len(data), "parts": True}, timeout=60, verify=gate.path("cert.pem"),
        headers={"Authorization": f"Bearer {gate.token('admin', 'admin@test')}"}).json()["uploadId"])) for _ in range(8)]
    before = len(unfinished(gate))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1 and len(unfinished(gate)) == before + 1, f"expected one upload, got {results}"


@pytest.mark.own_objects
def test_an_upload_that_was_never_finished_is_swept(gate, data):
    upload = begin(gate, data, unique())
    send(gate, upload, data, upload["parts"][0])
    young = begin(gate, data, unique())
    send(gate, young, data, young["parts"][0])
    old = [folder for folder in spooled(gate) if os.stat(folder).st_mtime < os.stat(max(spooled(gate), key=os.path.getmtime)).st_mtime]
    assert old
    for folder in old:
        os.utime(folder, (0, 0))
    gate.sql("SELECT tidegate.job_enqueue('system.janitor', '{}', '', NULL, NULL)")
    wait_until(lambda: not any(os.path.exists(folder) for folder in old), 30, "the old upload to be swept")
    assert spooled(gate), "expected the young one to stay"
