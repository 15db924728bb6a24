"""What our driver sends and how it takes odd answers, before a server that says whatever the test wants."""
import base64
import contextlib
import datetime
import email.utils
import hashlib
import http.server
import threading
import types

import pytest

from bucket import Bucket

LIST = b"<?xml version='1.0'?><ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><IsTruncated>false</IsTruncated></ListBucketResult>"


def error(code, message="no"):
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


@contextlib.contextmanager
def answering(*answers):
    """A server that gives these answers in turn, the last one again and again: (status, body, headers). Yields it with the requests it got."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append(types.SimpleNamespace(method=self.command, path=self.path, headers=self.headers, body=body))
            status, content, headers = (list(answers[min(len(seen), len(answers)) - 1]) + [{}])[:3]
            self.send_response_only(status)
            for name, value in {"Date": email.utils.formatdate(usegmt=True), "Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    port = server.server_address[1]
    endpoint = types.SimpleNamespace(endpoint=f"http://127.0.0.1:{port}", region="us-east-1", access_key="key", secret_key="secret", ca_file=None, port=port)
    try:
        yield endpoint, seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def signed_at(request):
    return datetime.datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_a_clock_that_differs_is_corrected(ahead):
    theirs = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=ahead)
    with answering((403, error("RequestTimeTooSkewed"), {"Date": email.utils.format_datetime(theirs, usegmt=True)}), (200, LIST)) as (server, seen), \
            Bucket(server, bucket="bucket") as bucket:
        bucket.run("list")
        assert len(seen) == 2
        assert abs((signed_at(seen[1]) - signed_at(seen[0])).total_seconds() - ahead) < 60, "expected the second signature by the server's clock"


def test_a_clock_is_corrected_once():
    with answering((403, error("RequestTimeTooSkewed"))) as (server, seen), Bucket(server, bucket="bucket") as bucket:
        assert "RequestTimeTooSkewed" in bucket.run("list", status=65)
        assert len(seen) == 2


@pytest.mark.parametrize("status, code", [(400, "ExpiredToken"), (403, "InvalidAccessKeyId"), (403, "AccessDenied"), (404, "NoSuchBucket"), (501, "NotImplemented"),
                                          (301, "PermanentRedirect"), (307, "TemporaryRedirect")])
def test_what_cannot_get_better_is_not_tried_again(status, code):
    with answering((status, error(code), {"Location": "http://127.0.0.1:1/elsewhere"} if status in (301, 307) else {})) as (server, seen), \
            Bucket(server, bucket="bucket") as bucket:
        assert code in bucket.run("list", status=65)
        assert len(seen) == 1


@pytest.mark.parametrize("status, code", [(500, "InternalError"), (502, ""), (503, "SlowDown"), (504, ""), (429, ""), (408, "RequestTimeout"), (400, "RequestTimeout"),
                                          (409, "OperationAborted")])
def test_what_may_get_better_is(status, code):
    with answering((status, error(code) if code else b"gateway"), (200, LIST)) as (server, seen), Bucket(server, bucket="bucket") as bucket:
        bucket.run("list")
        assert len(seen) == 2
        assert seen[0].headers["Authorization"] and seen[1].headers["Authorization"]


def test_a_damaged_body_is_read_and_sent_once_more():
    with answering((400, error("BadDigest"))) as (server, seen), Bucket(server, bucket="bucket") as bucket:
        assert "BadDigest" in bucket.put("key", b"x", status=65)
        assert [request.method for request in seen] == ["PUT", "PUT"]


def test_what_a_put_carries():
    with answering((200, b"")) as (server, seen), Bucket(server, bucket="bucket", session_token="a/session+token=") as bucket:
        bucket.put("été", b"Welcome to Amazon S3.")
        request = seen[0]
        assert request.path == "/bucket/%C3%A9t%C3%A9"
        assert request.headers["x-amz-content-sha256"] == "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
        assert request.headers["Content-MD5"] == base64.b64encode(hashlib.md5(b"Welcome to Amazon S3.").digest()).decode()
        assert request.headers["x-amz-security-token"] == "a/session+token="
        assert request.headers["Content-Length"] == "21" and "Expect" not in request.headers and "Transfer-Encoding" not in request.headers
        names = request.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        assert names == sorted(names) and {"host", "content-md5", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-meta-sha256"} <= set(names)


def test_the_bucket_in_the_host_name():
    with answering((200, LIST)) as (server, seen):
        server.endpoint = f"http://localhost:{server.port}"
        with Bucket(server, bucket="bucket", virtual_host="true") as bucket:
            bucket.run("list", "a/b c")
            assert seen[0].headers["Host"] == f"bucket.localhost:{server.port}"
            assert seen[0].path == "/?list-type=2&prefix=a%2Fb%20c"


@pytest.mark.parametrize("body", [
    b"", b"not xml", b"<ListBucketResult>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><ListBucketResult><IsTruncated>&b;</IsTruncated></ListBucketResult>",
    b"<a>" * 20 + b"</a>" * 20, b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    b"<ListBucketResult><Contents><Size>-1</Size></Contents></ListBucketResult>", b"<ListBucketResult><Contents></Contents></ListBucketResult>"])
def test_lists_that_are_none(body):
    with answering((200, body)) as (server, _), Bucket(server, bucket="bucket") as bucket:
        bucket.run("list", status=65)


def test_an_answer_without_end_is_cut():
    with answering((200, b"x" * (9 << 20))) as (server, _), Bucket(server, bucket="bucket") as bucket:
        assert "larger than allowed" in bucket.run("list", status=65)


def test_a_range_that_is_ignored_begins_anew(tmp_path):
    """The first answer breaks off; the second is the whole object although a range was asked for."""
    whole = b"0123456789" * 1000
    with answering((200, whole[:5000], {"Content-Length": "10000", "ETag": '"a"', "Connection": "close"}), (200, whole, {"ETag": '"a"'})) as (server, seen), \
            Bucket(server, bucket="bucket", deadline_s=20) as bucket:
        assert bucket.get("key") == whole
        assert seen[1].headers["Range"] == "bytes=5000-" and seen[1].headers["If-Match"] == '"a"'


def test_a_wrong_range_is_not_taken():
    whole = b"0123456789" * 1000
    with answering((200, whole[:5000], {"Content-Length": "10000", "ETag": '"a"', "Connection": "close"}),
                   (206, whole[4000:], {"Content-Range": "bytes 4000-9999/10000", "ETag": '"a"'}),
                   (206, whole[5000:], {"Content-Range": "bytes 5000-9999/10000", "ETag": '"a"'})) as (server, _), \
            Bucket(server, bucket="bucket", deadline_s=20) as bucket:
        assert bucket.get("key") == whole


@pytest.mark.parametrize("options, words", [
    ({"endpoint": "ftp://x"}, "storage.endpoint"), ({"endpoint": "https://x/path"}, "storage.endpoint"), ({"bucket": "a/b"}, "storage.bucket"),
    ({"access_key": ""}, "storage.access_key"), ({"driver": "tape"}, "storage.driver")])
def test_a_configuration_that_cannot_work(options, words):
    server = types.SimpleNamespace(endpoint="http://127.0.0.1:1", region="r", access_key="k", secret_key="s", ca_file=None)
    endpoint = options.pop("endpoint", None)
    with Bucket(server, endpoint, **{"bucket": "bucket", **options}) as made:
        assert words in made.run("list", status=78)


def test_plain_http_only_to_ourselves():
    server = types.SimpleNamespace(endpoint="http://192.0.2.1", region="r", access_key="k", secret_key="s", ca_file=None)
    with Bucket(server, bucket="bucket", deadline_s=5) as bucket:
        assert "may not be reached" in bucket.run("list", status=65)
