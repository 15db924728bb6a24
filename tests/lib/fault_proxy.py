"""A proxy on loopback between a client and an HTTP server that does to chosen requests what networks and overloaded servers do.

    with FaultProxy(store.endpoint) as proxy:          # sign for proxy.url: the server sees the Host that the client sent
        proxy.inject(unavailable(retry_after=1), times=2, method="PUT")
        ...
        assert proxy.count("unavailable") == 2

Without a fault a request passes as it is; only "Connection: close" is added, so every request is a connection of its own. A
client that waits for "100 Continue" gets it from here. Bodies are streamed, never kept whole.
"""
import dataclasses
import email.utils
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse

BLOCK = 65536


@dataclasses.dataclass
class Fault:
    kind: str
    after: int = 0         # bytes of a body that pass before it happens
    upload: bool = False   # the body of the request, not of the answer
    rate: int = 0          # bytes per second
    seconds: int = 0
    answer: bytes = b""    # instead of the server's


def error_document(code):
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>by the fault proxy</Message></Error>'.encode()


def respond(status, body, *headers):
    head = "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/xml", f"Content-Length: {len(body)}", "Connection: close",
                        f"Date: {email.utils.formatdate(usegmt=True)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


def unavailable(retry_after=1, code="SlowDown"):
    """503 with Retry-After; the server is not asked."""
    return Fault("unavailable", answer=respond("503 Service Unavailable", error_document(code), f"Retry-After: {retry_after}"))


def error_in_200(code="InternalError"):
    """200 whose body says that it failed, as CompleteMultipartUpload and copies may; the server is not asked."""
    return Fault("error_in_200", answer=respond("200 OK", error_document(code)))


def reset(after=0, upload=False):
    """The connection is reset after so many bytes of the answer's body, or of the request's: then the server sees a body that ends early."""
    return Fault("reset", after=after, upload=upload)


def stall(after=None):
    """Silence, until release(): after so many bytes of the answer's body, or (None) instead of any answer; the server is not asked then."""
    return Fault("stall", after=-1 if after is None else after)


def slow(rate, upload=False):
    """The body of the answer, or of the request, passes at so many bytes a second."""
    return Fault("slow", rate=rate, upload=upload)


def drop_answer():
    """The server does its work and answers; the client sees its connection closed instead."""
    return Fault("drop_answer")


def shift_date(seconds):
    """The Date of the answer is that much later (earlier when negative), as of a server or client whose clock is wrong."""
    return Fault("shift_date", seconds=seconds)


class Ended(Exception):
    """The other side is gone, or the fault has done its work."""


class Stream:
    """One connection, read by lines of a head first and then by bodies."""

    def __init__(self, connection):
        self.connection, self.buffer = connection, b""

    def fill(self):
        block = self.connection.recv(BLOCK)
        self.buffer += block
        return bool(block)

    def head(self):
        """The head with its empty line, or b"" at the end."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                return b""
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def take(self, most):
        """Up to so many bytes; b"" at the end."""
        if not self.buffer and not self.fill():
            return b""
        block, self.buffer = self.buffer[:most], self.buffer[most:]
        return block

    def line(self):
        while b"\n" not in self.buffer:
            if not self.fill():
                raise Ended()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def exactly(self, count):
        while count > 0:
            block = self.take(min(count, BLOCK))
            if not block:
                raise Ended()
            count -= len(block)
            yield block

    def chunks(self):
        """A chunked body as it stands."""
        while True:
            line = self.line()
            size = int(line.split(b";")[0], 16)
            yield line
            if size == 0:
                break
            yield from self.exactly(size + 2)
        while True:  # trailers and the empty line
            line = self.line()
            yield line
            if line in (b"\r\n", b"\n"):
                return

    def to_the_end(self):
        while block := self.take(BLOCK):
            yield block


def header(head, name):
    found = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*([^\r\n]*)", head)
    return found.group(1).decode("latin-1").strip() if found else None


def with_header(head, name, value):
    """The head with this header in place of every other of its name; None leaves it out."""
    head = re.sub(rb"(?im)^" + name.encode() + rb":[^\r\n]*\r\n", b"", head)
    return head if value is None else head[:-2] + f"{name}: {value}\r\n\r\n".encode("latin-1")


class FaultProxy:
    def __init__(self, target, ca_file=None, certificate=None):
        """target: origin of the server. ca_file: whom to trust for it. certificate: (certificate, key), to speak TLS with clients."""
        parts = urllib.parse.urlsplit(target)
        self._target = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        self._to_server = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._to_client = None
        if certificate:
            self._to_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._to_client.load_cert_chain(*certificate)
        self._lock, self._released, self._closing = threading.Lock(), threading.Event(), False
        self._faults, self._open, self._threads = [], set(), []
        self.log = []  # (method, target as sent, kind of the fault or None) of every request, in the order of their heads

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if self._to_client else 'http'}://localhost:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._closing = True
        self._released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            self._shut(connection)
        for thread in self._threads:
            thread.join()

    # ------------------------------------------------------------------------------------------------------- faults

    def inject(self, fault, times=1, method=None, path=None):
        """The next so many requests (None: all) of that method, whose target holds path, meet the fault. First injected, first met."""
        with self._lock:
            self._faults.append([fault, times, method, path])

    def clear(self):
        with self._lock:
            self._faults.clear()

    def release(self):
        """Stalled connections are closed; later stalls hold no more."""
        self._released.set()

    def count(self, kind=None):
        """Requests that met this fault (None: none)."""
        with self._lock:
            return sum(1 for _, _, met in self.log if met == kind)

    def _take(self, method, target):
        with self._lock:
            found = next((entry for entry in self._faults if entry[2] in (None, method) and (entry[3] or "") in target), None)
            self.log.append((method, target, found[0].kind if found else None))
            if not found:
                return Fault("none")
            if found[1] is not None:
                found[1] -= 1
                if found[1] == 0:
                    self._faults.remove(found)
            return found[0]

    # -------------------------------------------------------------------------------------------------- connections

    def _accept(self):
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _keep(self, connection):
        with self._lock:
            self._open.add(connection)
        return connection

    def _shut(self, connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _close(self, connection):
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def _serve(self, connection):
        self._keep(connection)
        try:
            if self._to_client:
                with self._lock:
                    self._open.discard(connection)
                connection = self._keep(self._to_client.wrap_socket(connection, server_side=True))
            self._request(Stream(connection))
        except (OSError, Ended, ValueError):
            pass  # one of the three is gone, or speaks no HTTP
        finally:
            self._close(connection)

    def _body(self, client, head):
        if (header(head, "Transfer-Encoding") or "").lower() == "chunked":
            return client.chunks()
        return client.exactly(int(header(head, "Content-Length") or 0))

    def _request(self, client):
        head = client.head()
        if not head:
            return
        method, target, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ", 2)
        fault = self._take(method, target)
        if (header(head, "Expect") or "").lower() == "100-continue":
            head = with_header(head, "Expect", None)
            client.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._body(client, head)
        if fault.answer or (fault.kind == "stall" and fault.after < 0):
            for _ in body:
                pass
            if not fault.answer:
                self._released.wait()
                return
            client.connection.sendall(fault.answer)
            return
        server = self._keep(socket.create_connection(self._target, timeout=120))
        try:
            if self._to_server:
                with self._lock:
                    self._open.discard(server)
                server = self._keep(self._to_server.wrap_socket(server, server_hostname=self._target[0]))
            self._pass(client, server, with_header(head, "Connection", "close"), body, method, fault)
        finally:
            self._close(server)

    def _pass(self, client, server, head, body, method, fault):
        server.sendall(head)
        try:
            for block in self._meet(body, fault, client) if fault.upload else body:
                server.sendall(block)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server has answered before it read all: its answer is what counts
        stream = Stream(server)
        answer = stream.head()
        while answer.startswith(b"HTTP/1.1 100"):
            answer = stream.head()
        if not answer:
            return
        if fault.kind == "drop_answer":
            for _ in stream.to_the_end():
                pass
            return
        if fault.kind == "shift_date":
            then = email.utils.parsedate_to_datetime(header(answer, "Date")).timestamp() + fault.seconds
            answer = with_header(answer, "Date", email.utils.formatdate(then, usegmt=True))
        client.connection.sendall(with_header(answer, "Connection", "close"))
        blocks = stream.to_the_end() if method != "HEAD" else ()
        for block in blocks if fault.upload else self._meet(blocks, fault, client):
            client.connection.sendall(block)

    def _meet(self, blocks, fault, client):
        """The blocks of a body, as the fault lets them pass."""
        passed, begun = 0, time.monotonic()
        for block in blocks:
            if fault.kind == "slow":
                step = max(1, fault.rate // 20)
                for start in range(0, len(block), step):
                    piece = block[start:start + step]
                    passed += len(piece)
                    if self._released.wait(max(0, begun + passed / fault.rate - time.monotonic())) and self._closing:
                        raise Ended()
                    yield piece
                continue
            if fault.kind in ("reset", "stall") and passed + len(block) >= fault.after:
                yield block[:fault.after - passed]
                passed = fault.after
                break
            passed += len(block)
            yield block
        if fault.kind == "reset":
            client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Ended()
        if fault.kind == "stall":
            self._released.wait()
            raise Ended()
