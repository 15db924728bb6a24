"""Network namespaces: machines of their own, as far as addresses and ports go, that share only the file system with us.

    with Namespace() as namespace:
        with namespace.entered():            # this thread only; sockets made and processes started here belong to it for good
            listener = socket.create_server(("127.0.0.1", 80))
        connection, _ = listener.accept()    # a socket works from anywhere

    HERE.entered()                           # the same for code that does not care: nothing changes
"""
import contextlib
import ctypes
import fcntl
import glob
import os
import signal
import socket
import struct
import threading
import time

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(LIBC, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


class Here:
    """Where we are."""

    @contextlib.contextmanager
    def entered(self):
        yield


HERE = Here()


class Namespace:
    """One with nothing in it but a loopback interface of its own. It lasts until close() and the end of the last process in it."""

    def __init__(self):
        self._failure = self._file = None
        maker = threading.Thread(target=self._make)  # a thread that stays there, so that ours need not come back from nowhere
        maker.start()
        maker.join()
        if self._failure:
            raise RuntimeError(f"this machine does not let us make network namespaces ({self._failure}): the tests of several hosts need root "
                               "with CAP_SYS_ADMIN and CAP_NET_ADMIN (in a container: --cap-add)") from self._failure

    def _make(self):
        try:
            call("unshare", CLONE_NEWNET)
            self._file = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            with socket.socket() as probe:
                fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
            self._inode = os.fstat(self._file).st_ino
        except OSError as error:
            self._failure = error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @contextlib.contextmanager
    def entered(self):
        if self._file is None:
            raise ConnectionError("the namespace is gone")
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            call("setns", self._file, CLONE_NEWNET)
            try:
                yield
            finally:
                call("setns", home, CLONE_NEWNET)
        finally:
            os.close(home)

    def pids(self):
        """Every process in it, ourselves never."""
        for folder in glob.glob("/proc/[0-9]*"):
            try:
                if os.stat(folder + "/ns/net").st_ino == self._inode and int(folder[6:]) != os.getpid():
                    yield int(folder[6:])
            except OSError:
                continue  # ended meanwhile

    def signal(self, number):
        """To every process in it, until none is left that has not got it."""
        reached = set()
        while fresh := set(self.pids()) - reached:
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            reached |= fresh

    def kill(self):
        """kill -9 of everything in it; returns when nothing runs any more."""
        self.signal(signal.SIGKILL)
        end = time.monotonic() + 30
        while any(self._runs(pid) for pid in self.pids()):
            assert time.monotonic() < end, "expected every process of the namespace to be gone"
            time.sleep(0.01)

    @staticmethod
    def _runs(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
                return file.read().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    def close(self):
        if self._file is not None:
            os.close(self._file)
            self._file = None
