"""The object stores that the tests use are real: they take what S3 takes and refuse what it refuses, and can be broken at will."""
import concurrent.futures
import hashlib
import html
import os
import re
import signal
import subprocess
import sys
import urllib.parse

import pytest

from object_servers import SERVERS, Radosgw, Swift

AWKWARD = ["plain", "two words", "a+b", "100%", "a%20b", "tilde~", "été à Noël", "emoji 😀", "semi;colon", "que?stion", "ha#sh", "amp&er=sand", "quo'te \"double\"", "a//b",
           "folder/under/one more", "star*(paren)", "comma,at@", "dollar$", "^caret`", "…"]
MIB = 1 << 20
PART = 5 * MIB


@pytest.fixture
def bucket(store):
    return store.bucket()


@pytest.fixture
def s3cmd(store, tmp_path):
    """s3cmd(words…): its standard output; it must succeed unless status says otherwise."""
    host = store.endpoint.partition("://")[2]
    config = tmp_path / "s3cfg"
    config.write_text(f"[default]\naccess_key = {store.access_key}\nsecret_key = {store.secret_key}\nhost_base = {host}\nhost_bucket = {host}\n"
                      f"use_https = {store.tls}\nbucket_location = {store.region}\nsignature_v2 = False\ncheck_ssl_certificate = True\n"
                      + (f"ca_certs_file = {store.ca_file}\n" if store.tls else ""))

    def run(*words, status=0):
        done = subprocess.run(["s3cmd", "-c", str(config), "--no-progress", *map(str, words)], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "LC_ALL": "C.UTF-8", "no_proxy": "localhost"}, stdin=subprocess.DEVNULL)
        assert done.returncode == status, f"expected s3cmd to end with {status}, got {done.returncode}: {done.stdout} {done.stderr}"
        return done.stdout
    return run


def text(body, name):
    found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), body)
    return found and html.unescape(found.group(1).decode())


def code(answer):
    """(status, code of the error document)."""
    return answer[0], text(answer[2], "Code")


# ------------------------------------------------------------------------------------------------------------------ objects

@pytest.mark.parametrize("key", AWKWARD)
def test_awkward_keys(store, bucket, key):
    data = key.encode() * 10
    path = f"/{bucket}/{key}"
    assert store.request("PUT", path, data)[0] == 200
    assert store.request("GET", path)[::2] == (200, data)
    status, _, body = store.request("GET", f"/{bucket}", query={"list-type": "2", "encoding-type": "url"})
    assert status == 200 and urllib.parse.unquote_plus(text(body, "Key")) == key, f"expected the key back in a list, got {body}"
    assert store.request("HEAD", path)[1]["ETag"].strip('"') == hashlib.md5(data).hexdigest()
    assert store.request("DELETE", path)[0] == 204 and store.request("GET", path)[0] == 404


def test_s3cmd_puts_lists_gets_and_removes(store, bucket, s3cmd, tmp_path):
    data = os.urandom(100_000)
    (tmp_path / "sent").write_bytes(data)
    for key in ("plain", "two words", "a+b 100% ~é😀"):
        s3cmd("put", tmp_path / "sent", f"s3://{bucket}/{key}")
        s3cmd("get", "--force", f"s3://{bucket}/{key}", tmp_path / "received")
        assert (tmp_path / "received").read_bytes() == data
        assert store.request("GET", f"/{bucket}/{key}")[2] == data, "expected what s3cmd signs by headers and what is presigned to name the same object"
    listed = s3cmd("ls", f"s3://{bucket}/")
    assert [line.partition(f"s3://{bucket}/")[2] for line in listed.splitlines()] == ["a+b 100% ~é😀", "plain", "two words"]
    s3cmd("del", f"s3://{bucket}/two words")
    assert "two words" not in s3cmd("ls", f"s3://{bucket}/")


def test_s3cmd_in_parts(bucket, s3cmd, tmp_path):
    data = os.urandom(2 * PART + 12345)
    (tmp_path / "sent").write_bytes(data)
    s3cmd("put", "--multipart-chunk-size-mb=5", tmp_path / "sent", f"s3://{bucket}/large")
    s3cmd("get", f"s3://{bucket}/large", tmp_path / "received")
    assert (tmp_path / "received").read_bytes() == data


@pytest.mark.parametrize("wanted, first, last", [("bytes=0-9", 0, 9), ("bytes=990-", 990, 999), ("bytes=-10", 990, 999), ("bytes=500-5000", 500, 999)])
def test_ranges(store, bucket, wanted, first, last):
    data = os.urandom(1000)
    store.request("PUT", f"/{bucket}/k", data)
    status, headers, body = store.request("GET", f"/{bucket}/k", headers={"range": wanted})
    assert (status, body, headers["Content-Range"]) == (206, data[first:last + 1], f"bytes {first}-{last}/1000")


def test_a_range_past_the_end(store, bucket):
    store.request("PUT", f"/{bucket}/k", b"x" * 10)
    assert code(store.request("GET", f"/{bucket}/k", headers={"range": "bytes=10-20"})) == (416, "InvalidRange")


def test_what_is_not_there(store, bucket):
    assert code(store.request("GET", f"/{bucket}/none")) == (404, "NoSuchKey")
    assert code(store.request("GET", "/no-such-bucket/none")) == (404, "NoSuchBucket")


# -------------------------------------------------------------------------------------------------------------------- parts

def begin(store, path):
    status, _, body = store.request("POST", path, b"", query={"uploads": ""})
    assert status == 200, f"expected an upload to begin, got {status} {body}"
    return text(body, "UploadId")


def put_part(store, path, upload, number, data):
    status, headers, body = store.request("PUT", path, data, query={"partNumber": str(number), "uploadId": upload})
    assert status == 200, f"expected part {number} to be taken, got {status} {body}"
    return headers["ETag"].strip('"')


def complete(store, path, upload, parts):
    document = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return store.request("POST", path, f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>".encode(), query={"uploadId": upload})


def test_an_object_in_parts(store, bucket):
    path, pieces = f"/{bucket}/large é", [os.urandom(PART), os.urandom(PART), os.urandom(777)]
    upload = begin(store, path)
    parts = [(number, put_part(store, path, upload, number, piece)) for number, piece in enumerate(pieces, 1)]
    assert [etag for _, etag in parts] == [hashlib.md5(piece).hexdigest() for piece in pieces]
    assert store.request("GET", path)[0] == 404, "expected nothing to be there before the upload is complete"
    assert complete(store, path, upload, parts)[0] == 200
    assert store.request("GET", path)[2] == b"".join(pieces)
    digests = b"".join(hashlib.md5(piece).digest() for piece in pieces)
    assert store.request("HEAD", path)[1]["ETag"].strip('"') == f"{hashlib.md5(digests).hexdigest()}-3"


def test_wrong_parts_are_refused(store, bucket):
    path = f"/{bucket}/k"
    upload = begin(store, path)
    good = put_part(store, path, upload, 1, b"a" * PART)
    for parts in ([(1, "0" * 32)], [(2, good)]):
        status, _, body = complete(store, path, upload, parts)
        assert status == 400 or text(body, "Code"), f"expected {parts} to be refused, got {status} {body}"
    assert store.request("GET", path)[0] == 404


def test_parts_that_are_too_small(store, bucket):
    path = f"/{bucket}/k"
    upload = begin(store, path)
    parts = [(number, put_part(store, path, upload, number, b"a" * 1000)) for number in (1, 2)]
    assert text(complete(store, path, upload, parts)[2], "Code") == "EntityTooSmall"


def test_an_upload_that_is_aborted(store, bucket):
    path = f"/{bucket}/k"
    upload = begin(store, path)
    put_part(store, path, upload, 1, b"a" * 1000)
    listed = store.request("GET", f"/{bucket}", query={"uploads": ""})[2]
    assert text(listed, "UploadId") == upload
    assert store.request("DELETE", path, query={"uploadId": upload})[0] == 204
    assert text(store.request("GET", f"/{bucket}", query={"uploads": ""})[2], "UploadId") is None


# --------------------------------------------------------------------------------------------------------- conditions, refusals

def test_if_none_match_on_swift(shared_swift):
    path = f"/{shared_swift.bucket()}/k"
    assert code(shared_swift.request("PUT", path, b"x", headers={"if-none-match": "*"})) == (501, "NotImplemented")
    assert shared_swift.request("GET", path)[0] == 404


def test_if_none_match_on_radosgw(shared_radosgw):
    path = f"/{shared_radosgw.bucket()}/k"

    def write(number):
        return shared_radosgw.request("PUT", path, b"%d" % number, headers={"if-none-match": "*"})
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(write, range(16)))
    winners = [number for number, answer in enumerate(answers) if answer[0] == 200]
    assert len(winners) == 1, f"expected one winner of 16 writers, got {[answer[0] for answer in answers]}"
    assert all(code(answer) == (412, "PreconditionFailed") for number, answer in enumerate(answers) if number not in winners)
    assert shared_radosgw.request("GET", path)[2] == b"%d" % winners[0]


def test_altered_signatures_are_refused(store, bucket):
    store.request("PUT", f"/{bucket}/k", b"kept")
    url = store.sign("GET", f"/{bucket}/k")
    assert store.request("GET", "", url=url)[0] == 200
    last = url[-1]
    altered = {
        "signature": url[:-1] + ("0" if last != "0" else "1"), "path": url.replace("/k?", "/l?"), "life": url.replace("Expires=900", "Expires=901"),
        "query": url.replace("?", "?response-content-type=text%2Fhtml&"), "date": re.sub(r"(X-Amz-Date=\d{8}T\d{5})\d", lambda m: m.group(1) + "x", url)}
    for what, wrong in altered.items():
        assert wrong != url and store.request("GET", "", url=wrong)[0] in (400, 403), f"expected another {what} to be refused"
    assert store.request("DELETE", "", url=url)[0] == 403, "expected another method to be refused"
    assert store.request("PUT", "", b"overwritten", url=url)[0] == 403
    assert store.request("GET", f"/{bucket}/k")[2] == b"kept"


@pytest.mark.parametrize("options", [{"age": 1000}, {"life": 604801}])
def test_expired_or_endless_signatures_are_refused(store, bucket, options):
    assert store.request("GET", f"/{bucket}/k", **options)[0] in (400, 403)


def test_wrong_keys_are_refused(store, bucket):
    for name in ("access_key", "secret_key"):
        stranger = type(store)()
        stranger.endpoint, stranger.access_key, stranger.secret_key = store.endpoint, store.access_key, store.secret_key
        setattr(stranger, name, "nobody:nothing")
        assert stranger.request("GET", f"/{bucket}")[0] == 403


def test_a_body_that_is_not_the_signed_one(store, bucket):
    """Content-MD5, signed with the request."""
    digest = "1B2M2Y8AsgTpgAmY7PhCfg=="  # of nothing
    answer = store.request("PUT", f"/{bucket}/k", b"something", headers={"content-md5": digest})
    assert code(answer) == (400, "BadDigest") and store.request("GET", f"/{bucket}/k")[0] == 404


# ----------------------------------------------------------------------------------------------------------- TLS, life and death

@pytest.mark.parametrize("name", SERVERS)
def test_tls_with_an_authority_of_ones_own(name):
    with SERVERS[name](tls=True) as server:
        path = f"/{server.bucket()}/k"
        assert server.request("PUT", path, b"over tls")[0] == 200 and server.request("GET", path)[2] == b"over tls"
        trusting = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", server.sign("GET", path)]
        assert subprocess.run([*trusting, "--cacert", server.ca_file], capture_output=True, text=True).stdout == "200"
        assert subprocess.run(trusting, capture_output=True).returncode == 60, "expected a client that does not know the authority to refuse"


def test_two_of_a_kind_do_not_know_each_other():
    with Swift() as one, Swift() as other:
        bucket = one.bucket()
        assert one.request("PUT", f"/{bucket}/k", b"x")[0] == 200
        assert other.request("GET", f"/{bucket}/k")[0] in (403, 404)
        assert one.folder != other.folder and one.endpoint != other.endpoint


def test_a_frozen_osd_holds_requests_and_loses_none():
    with Radosgw() as server:
        path = f"/{server.bucket()}/k"
        assert server.request("PUT", path, b"before")[0] == 200
        server.freeze("osd")
        with pytest.raises(TimeoutError):
            server.request("PUT", path, b"meanwhile", timeout=2)
        server.thaw("osd")
        assert server.request("PUT", path, b"after")[0] == 200 and server.request("GET", path)[2] == b"after"


def test_a_killed_object_server_is_a_503_until_it_is_back():
    with Swift() as server:
        path = f"/{server.bucket()}/k"
        assert server.request("PUT", path, b"kept")[0] == 200
        server.kill("object")
        assert server.request("PUT", path, b"lost")[0] == 503
        server.restart("object")

        def back():
            return server.request("GET", path)[::2] == (200, b"kept")
        server._wait(back, 60, "the object to be served again")


@pytest.mark.parametrize("name", SERVERS)
def test_nothing_outlives_the_test_process(name):
    program = f"import sys; sys.path[:0] = {sys.path!r}\nfrom object_servers import SERVERS\nwith SERVERS[{name!r}]() as server:\n" \
              "    print(server.folder, *(p.pid for p in server.processes.values()), flush=True)\n    sys.stdin.read()\n"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        folder, *pids = child.stdout.readline().split()
        assert len(pids) == {"swift": 5, "radosgw": 3}[name]
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert all(subprocess.run(["tail", "--pid", pid, "-f", "/dev/null"], timeout=30).returncode == 0 for pid in pids)
    subprocess.run(["rm", "-r", folder], check=True)
