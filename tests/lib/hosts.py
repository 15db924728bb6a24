"""Several hosts of one Tidegate: each with a network, a folder, nginx, request processes and workers of its own.

What they share is what hosts share in production: PostgreSQL (its socket is a file), the secrets, and the object store, which
each reaches at the same address, 127.0.0.1 of its own network, by a Forwarder.

    with Hosts(store, 2, worker__lease_s=5) as (a, b):
        a.die()             # kill -9 of everything it runs, its network gone
        a.come_back()
"""
import signal
import urllib.parse

from forwarder import Forwarder
from instance import Instance, wait_until
from namespace import Namespace


class Host(Instance):
    """All hosts have the same public address: only who connects inside the namespace tells them apart."""

    def __init__(self, base, store, **options):
        super().__init__(beside=base, namespace=Namespace(), **options)
        self.store_port = urllib.parse.urlsplit(store.endpoint).port
        self._plug_in()

    def _plug_in(self):
        self.forwarder = Forwarder(self.namespace, self.store_port, ("127.0.0.1", self.store_port))

    def stop(self):
        self.namespace.signal(signal.SIGCONT)
        super().stop()
        self._unplug()

    def _unplug(self):
        self.forwarder.stop()
        self.namespace.close()

    def die(self):
        self.namespace.kill()
        self._unplug()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()
        self.session.close()

    def come_back(self):
        """Starts again over what stands in its folder."""
        self.namespace = Namespace()
        self._plug_in()
        self.session = self.new_session()
        self.serve()

    def freeze(self):
        """It does nothing any more, and nobody is told: its connections stay."""
        self.namespace.signal(signal.SIGSTOP)

    def thaw(self):
        self.namespace.signal(signal.SIGCONT)
        wait_until(self._answers, 60, "the host to answer again")

    def metric(self, name):
        """One figure of this host's own."""
        for line in self.session.get(self.url + "/metrics", timeout=30).text.splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"expected the metric {name}")

    def works(self, worker):
        """Is that worker, as the queue names it (host:pid), one of ours?"""
        return int(worker.rpartition(":")[2]) in self.pids("work")


class Hosts:
    def __init__(self, store, count, fsync="off", **options):
        options = {**store.options(), **options}
        self.all = []
        self.base = Instance(fsync=fsync, **options)
        try:
            self.base.start_database()
            for _ in range(count):
                self.all.append(Host(self.base, store, **options))
            for host in self.all:
                host.start()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for host in self.all:
            host.stop()
        self.base.stop()

    def __enter__(self):
        return self.all

    def __exit__(self, *_):
        self.stop()
