"""What can go wrong between a client, a store that tells nobody, and an import."""
import pytest
import requests

from instance import Instance, expect_problem, unique
from space import JOBS, Space, people

LARGE = 65 << 20  # more than is read when an import is created


@pytest.fixture(scope="module")
def shared_gates(shared_swift, shared_radosgw):
    made = {}
    try:
        for server in (shared_swift, shared_radosgw):
            made[server.name] = Instance(**{**server.options(), "storage__deadline_s": 60}).start()
        yield made
    finally:
        for instance in made.values():
            instance.stop()


@pytest.fixture
def space(store, shared_gates, request):
    request.node.instances = [shared_gates[store.name]]
    return Space(shared_gates[store.name])


def issue(space, data, name=None, **fields):
    answer = space.api("POST", "/api/import/upload-url", {"fileName": name or unique() + ".csv", "fileSize": len(data), **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def put(issued, data):
    return requests.put(issued["uploadUrl"], data=data, headers=issued["headers"], timeout=60)


def create(space, issued, data, **fields):
    return space.api("POST", JOBS, {"objectKey": issued["objectKey"], "fileName": "a.csv", "fileSize": len(data), **fields})


def test_nothing_has_arrived(space):
    data = people(2).encode()
    issued = issue(space, data)
    expect_problem(create(space, issued, data), 409, "upload_not_finished")
    assert put(issued, data).status_code == 200
    assert create(space, issued, data).status_code == 201


@pytest.mark.parametrize("other", [people(1).encode(), people(3).encode(), b""])
def test_another_size_is_refused_by_the_store(space, other):
    data = people(2).encode()
    issued = issue(space, data)
    assert put(issued, other).status_code in (400, 403)
    expect_problem(create(space, issued, data), 409, "upload_not_finished")


def test_another_checksum_is_refused(space):
    data = people(2).encode()
    issued = issue(space, data, checksum="0" * 64)
    answer = put(issued, data)
    if answer.status_code == 200:  # neither store looks at x-amz-checksum-sha256
        expect_problem(create(space, issued, data), 422, "checksum_mismatch")
    else:
        expect_problem(create(space, issued, data), 409, "upload_not_finished")


@pytest.mark.parametrize("change", [lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"), lambda url: url.replace("X-Amz-Expires=900", "X-Amz-Expires=901"),
                                    lambda url: url.replace("/imports/", "/reports/"), lambda url: url.split("?")[0]])
def test_an_altered_url_is_refused(space, change):
    data = people(2).encode()
    issued = issue(space, data)
    assert put({**issued, "uploadUrl": change(issued["uploadUrl"])}, data).status_code in (400, 403)


def test_a_url_that_is_used_again(space, store):
    """Where the store can, it works once; where it cannot, an import does not take what came later for what was declared."""
    data = people(2).encode()
    other = data.replace(b"Durand", b"Martin")
    issued = issue(space, data)
    assert put(issued, data).status_code == 200
    job = create(space, issued, data).json()["id"]
    space.wait(job, "mapping")
    again = put(issued, other)
    if store.name == "radosgw":
        assert again.status_code == 412
        space.parse(job)
        return
    assert again.status_code == 200
    space.call(job, "parse")
    space.failed(job, "file_changed")


def test_an_object_that_is_gone(space):
    data = people(2).encode()
    issued = issue(space, data)
    assert put(issued, data).status_code == 200
    job = create(space, issued, data).json()["id"]
    space.wait(job, "mapping")
    space.gate.replace_object(issued["objectKey"], None)
    space.call(job, "parse")
    space.failed(job, "file_gone")


def test_the_same_file_twice(space):
    """Small files are known at once, large ones when they are inspected, unless their checksum was declared."""
    small = people(5).encode()
    for number in range(2):
        issued = issue(space, small)
        assert put(issued, small).status_code == 200
        answer = create(space, issued, small)
        assert answer.status_code == (201, 409)[number], answer.text
    large = b"Nom,Email\n" + b"Durand,a@example.com\n" * (LARGE // 21 + 1)
    for number, status in enumerate(("mapping", "failed")):
        issued = issue(space, large)
        assert put(issued, large).status_code == 200
        answer = create(space, issued, large)
        assert answer.status_code == 201 and answer.json()["fileHash"] is None, answer.text
        state = space.wait(answer.json()["id"], status)
        assert (state["error"] or {}).get("code") == (None, "duplicate_file")[number]
        assert state["fileHash"], "expected the hash to be known once the file was read"


def test_a_store_that_is_away_is_503():
    nobody = {"storage__driver": "s3", "storage__endpoint": "http://127.0.0.1:1", "storage__access_key": "k", "storage__secret_key": "s", "storage__region": "r",
              "storage__deadline_s": 5}
    instance = Instance(**nobody).start()
    try:
        space = Space(instance)
        issued = issue(space, b"x")
        expect_problem(create(space, issued, b"x"), 503, "unavailable")
        assert "store_failed" in instance.log_text("pool")
        assert "X-Amz-Signature" not in instance.log_text("pool"), "expected no signed URL in the log"
    finally:
        instance.stop()
