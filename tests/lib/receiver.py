"""Receivers of webhooks: HTTPS servers on 127.0.0.1 that answer as told, and a verifier of signatures that shares no code with the sender."""
import base64
import hashlib
import hmac
import http.server
import json
import socket
import ssl
import struct
import threading
import time

HOOKS = "/api/webhooks"
TOLERANCE = 300


def verify(secret, headers, body, now=None):
    """Standard Webhooks, as a receiver writes it down: the parsed body, or an AssertionError that says what is wrong."""
    assert secret.startswith("whsec_"), f"expected a secret, got {secret[:6]}"
    key = base64.b64decode(secret[6:], validate=True)
    stamp = headers["webhook-timestamp"]
    assert abs((now or time.time()) - int(stamp)) <= TOLERANCE, f"expected a timestamp of now, got {stamp}"
    assert "." not in headers["webhook-id"], "an id must not hold a dot"
    wanted = base64.b64encode(hmac.new(key, f"{headers['webhook-id']}.{stamp}.".encode() + body, hashlib.sha256).digest()).decode()
    given = [part.split(",", 1) for part in headers["webhook-signature"].split(" ")]
    assert any(version == "v1" and hmac.compare_digest(text, wanted) for version, text in given), f"expected {wanted} among {given}"
    return json.loads(body)


class Call:
    """One request as it came."""

    def __init__(self, handler, body):
        self.method, self.path, self.body = handler.command, handler.path, body
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.names = [name.lower() for name in handler.headers.keys()]
        self.at = time.monotonic()

    @property
    def id(self):
        return self.headers["webhook-id"]

    @property
    def event(self):
        return json.loads(self.body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        call = Call(self, body)
        with receiver.lock:
            receiver.calls.append(call)
            number = len(receiver.calls)
            receiver.busy += 1
            receiver.most_busy = max(receiver.most_busy, receiver.busy)
        try:
            receiver.answer(self, call, number)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass  # the sender did not want the rest
        finally:
            with receiver.lock:
                receiver.busy -= 1

    do_GET = do_PUT = do_POST

    def log_message(self, *_):
        pass

    def say(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass

    def finish_request(self, request, client_address):
        if self.context:
            request.settimeout(30)
            request = self.context.wrap_socket(request, server_side=True)  # in the thread of the connection
        super().finish_request(request, client_address)


class Receiver:
    """answer(handler, call, number of the call) says what to do; ok, status() … below make such functions."""

    def __init__(self, gate, answer=None, tls=True, certificate=None):
        self.answer = answer or ok
        self.calls, self.lock, self.busy, self.most_busy = [], threading.Lock(), 0, 0
        self.released = threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.receiver, self.server.context = self, None
        if tls:
            self.server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.server.context.load_cert_chain(*(certificate or (gate.path("cert.pem"), gate.path("key.pem"))))
        self.port = self.server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def ids(self):
        with self.lock:
            return [call.id for call in self.calls]

    def types(self):
        with self.lock:
            return [call.event["type"] for call in self.calls]


# ------------------------------------------------------------------------------------------------------------------ answers

def ok(handler, call, number):
    handler.say(200, b"taken")


def status(code, body=b"", **headers):
    return lambda handler, call, number: handler.say(code, body, **headers)


def first(count, answer, then=ok):
    """The first calls get one answer, the others another one."""
    return lambda handler, call, number: (answer if number <= count else then)(handler, call, number)


def never(handler, call, number):
    """Nothing, until the receiver is stopped (or its test says so)."""
    handler.server.receiver.released.wait(60)
    handler.close_connection = True


def slowly(seconds):
    def answer(handler, call, number):
        handler.server.receiver.released.wait(seconds)
        handler.say(200, b"at last")
    return answer


def megabytes(handler, call, number):
    handler.send_response(200)
    handler.send_header("Content-Length", str(8 << 20))
    handler.end_headers()
    for _ in range(8 << 4):
        handler.wfile.write(b"m" * (64 << 10))


def garbage(handler, call, number):
    handler.wfile.write(b"\x00\x01 this is not HTTP \xff\xfe\r\n\r\n")
    handler.close_connection = True


def reset(handler, call, number):
    plain = handler.connection
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    socket.socket.close(plain)
