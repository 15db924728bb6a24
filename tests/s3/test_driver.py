"""Our driver against real stores: what it writes others read, what others write it reads, and no fault of the network is believed."""
import hashlib
import os
import random
import subprocess
import threading

import pytest

from bucket import Bucket
from fault_proxy import FaultProxy, drop_answer, error_in_200, reset, slow, stall, unavailable
from object_servers import SERVERS

PART = 5 << 20
PARTS = {"part_bytes": PART, "multipart_bytes": PART}
AWKWARD = ["plain", "with space", "plus+plus", "per%cent", "per%20cent", "tilde~tilde", "été/Noël.csv", "a//b", "emoji-🎳", "quote'\"&<>", "semi;colon=equals?query#hash",
           "back\\slash", "star*star", "[brackets]{braces}", "trailing.", "ünïcode/日本語"]


def content(size, seed=1):
    return random.Random(seed).randbytes(size)


@pytest.fixture
def bucket(store):
    with Bucket(store) as made:
        yield made


@pytest.fixture
def proxied(store):
    """A bucket behind a proxy: (bucket, proxy)."""
    with FaultProxy(store.endpoint) as proxy, Bucket(store, proxy.url, deadline_s=30, **PARTS) as made:
        yield made, proxy


# ------------------------------------------------------------------------------------------------------------------ what it is

@pytest.mark.parametrize("size", [0, 1, 4096, 262_143, 262_145, 3 << 20])
def test_an_object_comes_back_the_same(bucket, store, size):
    data = content(size)
    bucket.put("some/key", data)
    assert bucket.get("some/key") == data
    status, headers, body = store.request("GET", f"/{bucket.name}/some/key")
    assert (status, body) == (200, data)
    assert headers["x-amz-meta-sha256"] == hashlib.sha256(data).hexdigest()
    assert headers["ETag"].strip('"') == hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("key", AWKWARD)
def test_awkward_keys_both_ways(bucket, store, key):
    bucket.put(key, b"ours")
    assert store.request("GET", f"/{bucket.name}/{key}")[::2] == (200, b"ours"), "expected an independent signer to find what we wrote"
    assert store.request("PUT", f"/{bucket.name}/x{key}", b"theirs")[0] == 200
    assert bucket.get("x" + key) == b"theirs"
    assert sorted(bucket.list()) == sorted([(key, 4), ("x" + key, 6)])
    bucket.run("delete", key, "x" + key)
    assert bucket.list() == []


@pytest.mark.parametrize("size", [PART + 1, 2 * PART, 2 * PART + 1, 3 * PART - 1])
def test_parts(store, size):
    data = content(size)
    with Bucket(store, **PARTS) as bucket:
        bucket.put("big", data)
        assert bucket.get("big") == data
        status, headers, body = store.request("GET", f"/{bucket.name}/big")
        assert (status, hashlib.sha256(body).digest()) == (200, hashlib.sha256(data).digest())
        parts = [data[start:start + PART] for start in range(0, size, PART)]
        wanted = f"{hashlib.md5(b''.join(hashlib.md5(part).digest() for part in parts)).hexdigest()}-{len(parts)}"
        assert headers["ETag"].strip('"') == wanted, "expected equal parts, the last one shorter"


def test_lists_of_more_than_a_page_and_deletes_of_more_than_a_call(bucket, store):
    keys = [f"many/{number:04d}" for number in range(1100)]
    work = list(keys)

    def fill():
        while work:
            try:
                key = work.pop()
            except IndexError:
                return
            assert store.request("PUT", f"/{bucket.name}/{key}", b"x")[0] == 200
    threads = [threading.Thread(target=fill) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.request("PUT", f"/{bucket.name}/other", b"x")[0] == 200
    assert bucket.list("many/") == [(key, 1) for key in keys]
    assert len(bucket.list()) == 1101
    bucket.run("delete", *keys)
    assert bucket.list() == [("other", 1)]


def test_a_delete_of_what_is_not_there_is_fine(bucket):
    bucket.run("delete", "nothing")


def test_only_new(bucket, store):
    if store.name == "swift":
        assert "NotImplemented" in bucket.put("key", b"first", "--only-new", status=65)
        return
    bucket.put("key", b"first", "--only-new")
    assert "PreconditionFailed" in bucket.put("key", b"second", "--only-new", status=65)
    assert bucket.get("key") == b"first"


def test_check_and_setup(store):
    with Bucket(store, bucket="made-by-setup-" + os.urandom(4).hex(), conditional_put="false" if store.name == "swift" else "true") as bucket:
        assert "NoSuchBucket" in bucket.run("check", status=4)
        text = bucket.run("setup", status=65 if store.name == "swift" else 0)
        assert f"made the bucket {bucket.name}" in text
        text = bucket.run("check")
        for line in ("endpoint, bucket and credentials", "clock agrees", "come back the same", "signed URLs", "uploads in parts"):
            assert any(line in found and found.startswith("ok") for found in text.splitlines()), f"expected ok for {line}:\n{text}"
        assert ("lacks  pages of https://app.example.com" in text) == (store.name == "swift"), text
        assert bucket.list() == [], "expected the check to leave nothing"


def test_check_says_what_a_store_lacks(shared_swift):
    with Bucket(shared_swift) as bucket:
        assert "set storage.conditional_put = false" in bucket.run("check", status=4)


def test_s3cmd_reads_and_writes_the_same(bucket, store, tmp_path):
    host = store.endpoint.split("://")[1]
    common = ["s3cmd", "--no-ssl", f"--host={host}", f"--host-bucket={host}", f"--access_key={store.access_key}", f"--secret_key={store.secret_key}",
              "--region=us-east-1", "--config=/dev/null", "--no-progress", "--multipart-chunk-size-mb=5"]
    data = content(12 << 20, 7)
    (tmp_path / "theirs").write_bytes(data)
    subprocess.run([*common, "put", str(tmp_path / "theirs"), f"s3://{bucket.name}/été/theirs"], check=True, capture_output=True)
    assert bucket.get("été/theirs") == data
    bucket.put("été/ours", data[:99999])
    subprocess.run([*common, "get", f"s3://{bucket.name}/été/ours", str(tmp_path / "ours")], check=True, capture_output=True)
    assert (tmp_path / "ours").read_bytes() == data[:99999]


# ------------------------------------------------------------------------------------------------------------------ who may

@pytest.mark.parametrize("options, code", [
    ({"secret_key": "wrong-" + "x" * 30}, "SignatureDoesNotMatch"), ({"bucket": "not-there-at-all"}, "NoSuchBucket")])
def test_what_is_refused_is_said(store, options, code):
    with Bucket(store, **options) as made:
        assert code in made.put("key", b"x", status=65)
        assert code in made.run("list", status=65)


def test_an_unknown_key_is_refused(store):
    with Bucket(store, access_key="nobody:nobody") as bucket:
        assert ("SignatureDoesNotMatch" if store.name == "swift" else "InvalidAccessKeyId") in bucket.run("list", status=65)


def test_get_of_nothing_leaves_no_file(bucket):
    assert "NoSuchKey" in bucket.run("get", "nothing", bucket.path("out"), status=65)
    assert not os.path.exists(bucket.path("out"))


@pytest.mark.parametrize("name", SERVERS)
def test_tls_with_an_authority_of_ones_own(name):
    with SERVERS[name](tls=True) as server:
        with Bucket(server) as bucket:
            bucket.put("key", b"over tls")
            assert bucket.get("key") == b"over tls"
        with Bucket(server, bucket="any-bucket", ca_file="/etc/ssl/certs/ca-certificates.crt", deadline_s=5) as stranger:
            assert "certificate" in stranger.run("list", status=69).lower()


# ------------------------------------------------------------------------------------------------------------------ faults

def test_an_overloaded_store_is_asked_again(proxied):
    bucket, proxy = proxied
    proxy.inject(unavailable(retry_after=1), times=2, method="PUT")
    bucket.put("key", b"in the end")
    assert proxy.count("unavailable") == 2
    proxy.inject(unavailable(retry_after=0), times=2, method="GET")
    assert bucket.get("key") == b"in the end"


def test_a_store_that_stays_overloaded_is_given_up(proxied):
    bucket, proxy = proxied
    proxy.inject(unavailable(retry_after=0), times=None)
    assert "SlowDown" in bucket.put("key", b"x", status=69)
    assert proxy.count("unavailable") == 6, "expected six attempts"


def test_a_put_whose_answer_is_lost_is_not_sent_again(proxied):
    bucket, proxy = proxied
    proxy.inject(drop_answer(), method="PUT")
    bucket.put("key", b"once")
    assert [method for method, _, _ in proxy.log] == ["PUT", "HEAD"], "expected a look instead of a second PUT"
    assert bucket.get("key") == b"once"


def test_a_put_cut_in_its_body_is_sent_again(proxied):
    bucket, proxy = proxied
    data = content(3 << 20)
    proxy.inject(reset(after=1 << 20, upload=True), method="PUT")
    bucket.put("key", data)
    assert bucket.get("key") == data


def test_only_new_after_a_lost_answer_is_our_own(shared_radosgw):
    with FaultProxy(shared_radosgw.endpoint) as proxy, Bucket(shared_radosgw, proxy.url) as bucket:
        proxy.inject(drop_answer(), method="PUT")
        bucket.put("key", b"mine", "--only-new")
        assert bucket.get("key") == b"mine"


@pytest.mark.parametrize("breaks", [1, 3])
def test_a_get_that_breaks_goes_on_where_it_stopped(proxied, breaks):
    bucket, proxy = proxied
    data = content(4 << 20)
    bucket.put("key", data)
    proxy.inject(reset(after=1 << 20), times=breaks, method="GET")
    assert bucket.get("key") == data
    assert proxy.count("reset") == breaks


def test_a_get_goes_on_only_with_the_same_object(store):
    """Between two attempts the key gets another object: what arrives is one of the two, whole."""
    first, second = content(4 << 20, 1), content(5 << 20, 2)
    with FaultProxy(store.endpoint) as proxy, Bucket(store, proxy.url, multipart_bytes=64 << 20) as bucket:
        bucket.put("key", first)
        proxy.inject(reset(after=1 << 20), method="GET")
        proxy.inject(unavailable(retry_after=2), method="GET")
        done = []
        thread = threading.Thread(target=lambda: done.append(bucket.get("key")))
        thread.start()
        while proxy.count("unavailable") == 0:
            assert thread.is_alive()
        assert store.request("PUT", f"/{bucket.name}/key", second)[0] == 200
        thread.join()
        assert done and done[0] == second


def test_parts_survive_faults(proxied):
    bucket, proxy = proxied
    data = content(3 * PART - 5)
    proxy.inject(drop_answer(), method="PUT", path="partNumber=2")
    proxy.inject(unavailable(retry_after=0), method="PUT", path="partNumber=3")
    bucket.put("big", data)
    assert bucket.get("big") == data


def test_an_error_in_a_200_is_an_error(proxied):
    bucket, proxy = proxied
    data = content(2 * PART)
    proxy.inject(error_in_200(), method="POST", path="uploadId=")
    bucket.put("big", data)
    assert proxy.count("error_in_200") == 1
    assert bucket.get("big") == data


def test_a_completion_whose_answer_is_lost(proxied):
    bucket, proxy = proxied
    data = content(2 * PART)
    proxy.inject(drop_answer(), method="POST", path="uploadId=")
    bucket.put("big", data)
    assert bucket.get("big") == data


def test_nothing_is_left_of_parts_that_failed(proxied, store):
    bucket, proxy = proxied
    proxy.inject(unavailable(retry_after=0), times=None, method="PUT", path="partNumber=2")
    bucket.put("big", content(3 * PART), status=69)
    proxy.clear()
    assert bucket.list() == []
    status, _, body = store.request("GET", f"/{bucket.name}", query={"uploads": ""})
    assert status == 200 and b"<UploadId>" not in body, f"expected no unfinished upload, got {body[:500]}"


@pytest.mark.parametrize("fault", [stall(), stall(after=1000), slow(500)])
def test_a_store_that_does_not_answer_ends_with_the_deadline(store, fault):
    with Bucket(store) as direct:
        direct.put("key", content(1 << 20))
        with FaultProxy(store.endpoint) as proxy, Bucket(store, proxy.url, bucket=direct.name, deadline_s=3) as bucket:
            proxy.inject(fault, times=None, method="GET")
            assert "imeout" in bucket.run("get", "key", bucket.path("out"), status=69)
            assert not os.path.exists(bucket.path("out"))


def test_a_cap_on_the_bandwidth_holds_both_ways(shared_swift):
    """4 MB at 200 kB/s cannot be through within the deadline; without the cap they are."""
    data = content(4 << 20)
    with Bucket(shared_swift, deadline_s=3) as free, Bucket(shared_swift, bucket=free.name, deadline_s=3, bandwidth=200_000) as capped:
        free.put("key", data)
        assert free.get("key") == data
        assert "imeout" in capped.put("other", data, status=69)
        assert "imeout" in capped.run("get", "key", capped.path("out"), status=69)


def test_an_endpoint_that_nobody_listens_on(store):
    with Bucket(store, "http://127.0.0.1:1", bucket="any-bucket", deadline_s=3) as bucket:
        assert "connect" in bucket.run("list", status=69).lower()


def test_a_frozen_storage_daemon_is_waited_for():
    with SERVERS["swift"]() as server, Bucket(server, deadline_s=60) as bucket:
        bucket.put("before", b"x")
        server.freeze("object")
        timer = threading.Timer(3, server.thaw, ["object"])
        timer.start()
        bucket.put("key", b"through")
        timer.join()
        assert bucket.get("key") == b"through"


def test_a_killed_proxy_server_that_comes_back():
    with SERVERS["swift"]() as server, Bucket(server, deadline_s=60) as bucket:
        bucket.put("before", b"x")
        server.kill("proxy")
        bucket.put("key", b"y", status=69)
        server.restart("proxy")
        bucket.put("key", b"y")
        assert (bucket.get("before"), bucket.get("key")) == (b"x", b"y")


def test_a_frozen_osd_ends_with_the_deadline():
    with SERVERS["radosgw"]() as server, Bucket(server, deadline_s=4) as bucket:
        bucket.put("before", b"x")
        server.freeze("osd")
        bucket.put("key", b"y", status=69)
        server.thaw("osd")
        assert bucket.get("before") == b"x"
