"""Every fault of the proxy does what it says, in front of real stores: what the client sees, and what the server has by then."""
import http.client
import os
import subprocess
import threading
import time
import urllib.error
from email.utils import parsedate_to_datetime

import pytest

from fault_proxy import FaultProxy, drop_answer, error_in_200, reset, shift_date, slow, stall, unavailable
from object_servers import make_certificate

DATA = os.urandom(400_000)


class Client:
    """Requests about one object, by way of the proxy or (direct) past it."""

    def __init__(self, store, proxy):
        self.store, self.proxy, self.path = store, proxy, f"/{store.bucket()}/a b+é"

    def __call__(self, method, data=None, **options):
        return self.store.request(method, self.path, data, origin=self.proxy.url, **options)

    def direct(self, method="GET", data=None):
        return self.store.request(method, self.path, data)[::2]

    def url(self, method="GET"):
        return self.store.sign(method, self.path, origin=self.proxy.url)


@pytest.fixture
def ask(store):
    with FaultProxy(store.endpoint) as proxy:
        yield Client(store, proxy)


def test_without_a_fault_everything_passes(ask):
    assert ask("PUT", DATA)[0] == 200 and ask.direct() == (200, DATA)
    status, headers, body = ask("GET")
    assert (status, body, headers["Content-Length"]) == (200, DATA, str(len(DATA)))
    assert ask("GET", headers={"range": "bytes=5-9"})[::2] == (206, DATA[5:10])
    assert ask("HEAD")[::2] == (200, b"") and ask("DELETE")[0] == 204 and ask("GET")[0] == 404
    assert [(method, fault) for method, _, fault in ask.proxy.log] == [(method, None) for method in ("PUT", "GET", "GET", "HEAD", "DELETE", "GET")]


def test_a_client_that_expects_100_continue(ask, tmp_path):
    (tmp_path / "data").write_bytes(DATA)
    done = subprocess.run(["curl", "-sS", "-T", str(tmp_path / "data"), "-H", "Expect: 100-continue", "--expect100-timeout", "60", "-o", "/dev/null", "-w", "%{http_code}", ask.url("PUT")],
                          capture_output=True, text=True, timeout=50)
    assert done.stdout == "200", f"expected the proxy to say 100, got {done}"
    assert ask.direct() == (200, DATA)


def test_unavailable_so_many_times(ask):
    ask.proxy.inject(unavailable(retry_after=7), times=2, method="PUT")
    for _ in range(2):
        status, headers, body = ask("PUT", DATA)
        assert (status, headers["Retry-After"]) == (503, "7") and b"<Code>SlowDown</Code>" in body
        assert ask("GET")[0] == 404, "expected the server not to have been asked, and another method to pass"
    assert ask("PUT", DATA)[0] == 200 and ask.direct() == (200, DATA)
    assert ask.proxy.count("unavailable") == 2 and ask.proxy.count() == 3


def test_faults_are_met_in_order_and_only_where_they_are_meant(ask):
    ask.proxy.inject(unavailable(code="InternalError"), path="uploads")
    ask.proxy.inject(error_in_200(), times=None)
    assert ask("GET")[0] == 200 and ask("GET")[0] == 200
    assert b"InternalError" in ask("POST", b"", query={"uploads": ""})[2]
    ask.proxy.clear()
    assert ask("GET")[0] == 404
    assert [fault for _, _, fault in ask.proxy.log] == ["error_in_200", "error_in_200", "unavailable", None]


def test_an_error_in_a_200(ask):
    ask.proxy.inject(error_in_200("ServiceUnavailable"))
    status, _, body = ask("PUT", DATA)
    assert status == 200 and body.startswith(b"<?xml") and b"<Error><Code>ServiceUnavailable</Code>" in body
    assert ask.direct()[0] == 404, "expected the server not to have been asked"


def test_a_reset_in_the_middle_of_an_answer(ask):
    ask("PUT", DATA)
    ask.proxy.inject(reset(after=1000))
    connection = http.client.HTTPConnection("localhost", ask.proxy.port, timeout=30)
    connection.request("GET", ask.url().partition(ask.proxy.url)[2], headers={"Host": f"localhost:{ask.proxy.port}"})
    answer = connection.getresponse()
    assert answer.status == 200 and int(answer.headers["Content-Length"]) == len(DATA)
    received = b""
    with pytest.raises(ConnectionResetError):
        while block := answer.read1(400):
            received += block
    connection.close()
    assert received == DATA[:len(received)] and len(received) <= 1000
    assert ask("GET")[2] == DATA


def test_a_reset_in_the_middle_of_an_upload(ask):
    ask.proxy.inject(reset(after=100_000, upload=True))
    with pytest.raises((OSError, urllib.error.URLError)):
        ask("PUT", DATA)
    assert ask.direct()[0] == 404, "expected nothing to be stored of a body that ended early"
    assert ask("PUT", DATA)[0] == 200 and ask.direct() == (200, DATA)


@pytest.mark.parametrize("after", [None, 1000])
def test_a_stall(ask, after):
    ask("PUT", DATA)
    ask.proxy.inject(stall(after))
    with pytest.raises(TimeoutError):
        ask("GET", timeout=2)
    ended = []

    def wait():
        try:
            ended.append(ask("GET", timeout=60)[2] == DATA)
        except (http.client.HTTPException, OSError) as error:
            ended.append(type(error))
    ask.proxy.inject(stall(after))
    waiting = threading.Thread(target=wait)
    waiting.start()
    while ask.proxy.count("stall") < 2:
        time.sleep(0.01)
    assert not ended
    ask.proxy.release()
    waiting.join(30)
    assert ended and ended[0] is not True, f"expected a stalled answer to end without its end, got {ended}"
    assert ask("GET")[2] == DATA


@pytest.mark.parametrize("upload", [False, True])
def test_slow_bodies(ask, tmp_path, upload):
    """A client that gives up under 150 000 bytes a second over two seconds."""
    (tmp_path / "data").write_bytes(DATA)
    impatient = ["curl", "-sS", "--speed-limit", "150000", "--speed-time", "2", "-o", str(tmp_path / "received"), "-w", "%{http_code}",
                 *(["-T", str(tmp_path / "data")] if upload else [])]
    method = "PUT" if upload else "GET"
    ask("PUT", DATA)
    ask.proxy.inject(slow(50_000, upload), method=method)
    done = subprocess.run([*impatient, ask.url(method)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 28, f"expected a client that gives up (28), got {done}"
    ask.proxy.inject(slow(400_000, upload), method=method)
    done = subprocess.run([*impatient, ask.url(method)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "200"), f"expected all of it at a better rate, got {done}"
    assert ask.direct() == (200, DATA) and (upload or (tmp_path / "received").read_bytes() == DATA)


def test_an_answer_that_is_lost_after_the_server_took_it(ask):
    ask.proxy.inject(drop_answer(), method="PUT")
    with pytest.raises(http.client.RemoteDisconnected):
        ask("PUT", DATA)
    assert ask.direct() == (200, DATA), "expected the server to have stored what it was never seen to acknowledge"
    assert ask.proxy.count("drop_answer") == 1


@pytest.mark.parametrize("seconds", [-3600, 1200])
def test_a_date_that_is_wrong(ask, seconds):
    ask("PUT", b"x")
    ask.proxy.inject(shift_date(seconds))
    shifted, right = (parsedate_to_datetime(ask("GET")[1]["Date"]) for _ in range(2))
    off = (shifted - right).total_seconds() - seconds
    assert -60 < off <= 0, f"expected a Date that is off by {seconds} s, got {shifted} and {right}"


def test_tls_on_both_sides(shared_swift, tmp_path):
    """The proxy before itself: the inner one speaks TLS for a server that does not."""
    certificate = make_certificate(str(tmp_path))
    with FaultProxy(shared_swift.endpoint, certificate=certificate) as inner, FaultProxy(inner.url, ca_file=certificate[0], certificate=certificate) as outer:
        url = shared_swift.sign("PUT", f"/{shared_swift.bucket()}/k", origin=outer.url)
        words = ["curl", "-sS", "-X", "PUT", "-d", "over tls", "-H", "Content-Type: text/plain", "-o", "/dev/null", "-w", "%{http_code}", url]
        assert subprocess.run([*words, "--cacert", certificate[0]], capture_output=True, text=True).stdout == "200"
        outer.inject(unavailable())
        assert subprocess.run([*words, "--cacert", certificate[0]], capture_output=True, text=True).stdout == "503"
        assert (inner.count(), outer.count(), outer.count("unavailable")) == (1, 1, 1)


def test_a_server_that_is_not_there():
    with FaultProxy("http://localhost:1") as proxy:
        connection = http.client.HTTPConnection("localhost", proxy.port, timeout=30)
        connection.request("GET", "/")
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()
        connection.close()
