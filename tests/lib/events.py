"""Streams of GET /api/events as curl hears them, over HTTP/1.1 or HTTP/2, and tickets that the server did not make."""
import base64
import hashlib
import hmac
import json
import subprocess
import threading
import time
import uuid

from instance import base64url, wait_until


def ticket(gate, token, app="tunes"):
    """A ticket for an app's stream; with app "" for that of the user's jobs."""
    answer = gate.api("POST", "/api/events/tickets", json={"app": app} if app else None, token=token)
    assert answer.status_code == 200, f"expected a ticket, got {answer.status_code} {answer.text}"
    return answer.json()["ticket"]


def sealed(gate, payload):
    """A text signed as the server signs its tickets."""
    purpose = b"tidegate events ticket\0"
    one, other = (hmac.new(secret.encode(), purpose, hashlib.sha256).digest() for secret in (gate.secret, gate.options["storage__secret_key"]))
    key, text = bytes(a ^ b for a, b in zip(one, other)), json.dumps(payload).encode()
    return base64url(text) + "." + base64url(hmac.new(key, text, hashlib.sha256).digest())


def opened(text):
    """What a ticket says."""
    body = text.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def made(gate, **changes):
    """A ticket made here, for a channel nobody uses."""
    return sealed(gate, {"id": str(uuid.uuid4()), "app": "tunes", "channel": "0" * 64, "expires": int(time.time()) + 30, **changes})


class Stream:
    """One connection. heard: its hints, in order."""

    def __init__(self, gate, ticket, app="tunes", http="1.1", headers=(), query=""):
        command = ["curl", "-sSiN", f"--http{http}", "--noproxy", "*", "--cacert", gate.path("cert.pem"), "-H", "Accept: text/event-stream"]
        for header in headers:
            command += ["-H", header]
        self.process = subprocess.Popen([*command, f"{gate.url}/api/events?app={app}&ticket={ticket}{query}"], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.lines, self.heard = [], []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("data: "):
                self.heard.append(json.loads(line[6:]))

    def __enter__(self):
        wait_until(lambda: ": hi" in self.lines or self.closed(), 20, "a stream")
        if self.closed():
            self.__exit__()
            raise AssertionError(f"expected a stream, got {self.lines}")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.reader.join()
        self.process.stdout.close()

    def closed(self):
        return self.process.poll() is not None

    def hear(self, count=1):
        """The hints, once there are so many."""
        return wait_until(lambda: len(self.heard) >= count and self.heard, 20, f"{count} hints, of which {self.heard} came; the stream: {self.lines}")
