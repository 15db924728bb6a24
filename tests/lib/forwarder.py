"""A port of one network namespace that leads to a port of ours: what a host without a network needs to reach a server.

Connections are passed on as they come, both ways at once, block by block; the end of one direction is passed on as such.
"""
import contextlib
import socket
import struct
import threading

BLOCK = 65536


class Forwarder:
    """Listens on 127.0.0.1:port inside the namespace until stop(), which cuts what is under way as a dead machine does."""

    def __init__(self, namespace, port, target):
        self.target = target
        self._open, self._lock, self._stopped = set(), threading.Lock(), False
        with namespace.entered():
            self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # stopped
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client):
        try:
            server = socket.create_connection(self.target)
        except OSError:
            client.close()  # nobody there: the client sees its connection closed
            return
        pair = (client, server)
        with self._lock:
            if self._stopped:
                client.close()
                server.close()
                return
            self._open.add(pair)
        answers = threading.Thread(target=self._copy, args=(server, client), daemon=True)
        answers.start()
        self._copy(client, server)
        answers.join()
        with self._lock:
            self._open.discard(pair)
        client.close()
        server.close()

    @staticmethod
    def _copy(source, target):
        with contextlib.suppress(OSError):
            while block := source.recv(BLOCK):
                target.sendall(block)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def stop(self):
        with self._lock:
            self._stopped = True
            for pair in self._open:
                for end in pair:
                    with contextlib.suppress(OSError):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no orderly end
                        end.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join()
