"""Real S3 servers for tests, from Debian's packages (scripts/packages.sh s3): OpenStack Swift with s3api, and Ceph's radosgw.

    with Swift() as store:                  # or Radosgw(), or either with tls=True
        bucket = store.bucket()             # a fresh one
        url = store.sign("PUT", f"/{bucket}/key")

Each instance has its own folder under /tmp and its own free ports on loopback, so that tests may run side by side. The kernel
ends its processes should the test process die. One node, memory or one folder: neither quorum nor replication is tried here.
The two differ (tests/s3/test_servers.py says where); what must hold with every store is tried with both.
"""
import ctypes
import getpass
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
import uuid

from sigv4 import presign

PR_SET_PDEATHSIG = 1
PYTHON = "/usr/bin/python3"
PORTS = range(20000, 32000, 16)  # windows under the range that the kernel gives to outgoing connections


def make_certificate(folder, name="server"):
    """A certificate of localhost that is its own authority; paths of certificate and key."""
    certificate, key = os.path.join(folder, f"{name}-cert.pem"), os.path.join(folder, f"{name}-key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


class Window:
    """Sixteen ports of loopback that nobody listens on and that no other Window has, in any process, until it is closed."""

    def __init__(self):
        for first in random.SystemRandom().sample(PORTS, len(PORTS)):
            # Abstract sockets are gone with their process, however it ends.
            self._claim = socket.socket(socket.AF_UNIX)
            try:
                self._claim.bind(f"\0tidegate-test-ports-{first}")
                for port in range(first, first + PORTS.step):
                    with socket.socket() as probe:
                        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        probe.bind(("127.0.0.1", port))
                self.first = first
                return
            except OSError:
                self._claim.close()
        raise RuntimeError("no sixteen free ports in a row")

    def close(self):
        self._claim.close()


class ObjectServer:
    """What both have in common. endpoint, region, access_key, secret_key, ca_file (None without TLS); processes by name."""

    region = "us-east-1"
    name = None

    def __init__(self, tls=False):
        self.tls = tls
        self.folder = self.window = self.ca_file = None
        self.processes, self._commands = {}, {}

    # ------------------------------------------------------------------------------------------------ start and stop

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="tidegate-s3-", dir="/tmp")
        os.chmod(self.folder, 0o755)
        os.mkdir(self.path("log"))
        try:
            self.window = Window()
            certificate, key = make_certificate(self.folder) if self.tls else (None, None)
            self.ca_file = certificate
            self.endpoint = f"{'https' if self.tls else 'http'}://localhost:{self.window.first}"
            self._start(self.window.first, certificate, key)
            self._wait(self.answers, 60, f"{self.name} to answer")
        except BaseException as error:
            logs = self.logs()
            self.__exit__()
            raise RuntimeError(f"{self.name} did not start: {error}\n{logs}") from error
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        end = time.monotonic() + 2  # an OSD takes its time, and nothing of it is needed any more
        for process in self.processes.values():
            try:
                process.wait(max(0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        if self.window:
            self.window.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text).lstrip())
        return self.path(name)

    def _launch(self, name, command, user=None):
        prctl = ctypes.CDLL(None).prctl
        entry = pwd.getpwnam(user) if user else None
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []} if entry else {}
        self._commands[name] = command, user
        with open(self.path("log", name), "ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL), **who)

    def _run(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, timeout=120, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def _wait(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended with {process.returncode}")
            if time.monotonic() > end:
                raise RuntimeError(f"expected within {seconds} s: {what}")
            time.sleep(0.05)

    def logs(self, lines=15):
        parts = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if folder.endswith("/log") or name.endswith(".log"):
                    with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                        parts.append(f"--- {name}\n" + "".join(file.readlines()[-lines:]))
        return "".join(parts)

    def options(self):
        """How an Instance keeps its objects here."""
        return {"storage__driver": "s3", "storage__endpoint": self.endpoint, "storage__region": self.region, "storage__access_key": self.access_key,
                "storage__secret_key": self.secret_key, "storage__conditional_put": "false" if self.name == "swift" else "true"}

    # ------------------------------------------------------------------------------------------------------- faults

    def freeze(self, name):
        """SIGSTOP: connections to it are accepted by the kernel and never answered."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name):
        self.processes[name].send_signal(signal.SIGCONT)

    def kill(self, name):
        """SIGKILL."""
        self.processes[name].kill()
        self.processes[name].wait()

    def restart(self, name):
        """Starts one that was killed anew and waits until the whole answers."""
        self._launch(name, *self._commands[name])
        self._wait(self.answers, 60, f"{self.name} to answer again")

    # ------------------------------------------------------------------------------------------------------ requests

    def sign(self, method, path, headers=None, **options):
        """A presigned URL of this server. path is not encoded yet; options: those of sigv4.presign."""
        options.setdefault("region", self.region)
        return presign(options.pop("origin", self.endpoint), path, method, self.access_key, self.secret_key, headers, **options)

    def request(self, method, path, data=None, headers=None, url=None, timeout=30, **options):
        """One signed request, or one to a url as it is: (status, headers, body)."""
        context = ssl.create_default_context(cafile=self.ca_file) if self.tls else None
        asked = urllib.request.Request(url or self.sign(method, path, headers, **options), data, {"Content-Type": "application/octet-stream", **(headers or {})}, method=method)
        handlers = [urllib.request.ProxyHandler({})] + ([urllib.request.HTTPSHandler(context=context)] if context else [])
        try:
            with urllib.request.build_opener(*handlers).open(asked, timeout=timeout) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.headers, answer.read()

    def bucket(self):
        """The name of a fresh bucket."""
        name = f"bucket-{uuid.uuid4().hex[:16]}"
        for _ in range(20):
            status, _, body = self.request("PUT", f"/{name}")
            if status != 503:
                break
            time.sleep(0.5)  # busy with what another test left it
        assert status == 200, f"expected a bucket, got {status} {body[:300]}"
        return name


class Swift(ObjectServer):
    """Swift with s3api and tempauth. Processes: memcached, object, container, account, proxy. Refuses If-None-Match on PUT with 501."""

    name = "swift"
    access_key = "tests:writer"  # a colon, as Swift's keys have

    def __init__(self, tls=False):
        super().__init__(tls)
        self.secret_key = secrets.token_hex(16)

    def _start(self, port, certificate, key):
        os.mkdir(self.path("etc"))
        os.makedirs(self.path("srv", "d1"))
        common = f"[DEFAULT]\nbind_ip = 127.0.0.1\nworkers = 0\nuser = {getpass.getuser()}\nswift_dir = {self.path('etc')}\n"
        kinds = ("object", "container", "account")
        for number, kind in enumerate(kinds, 1):
            self.write(f"etc/{kind}.conf", common + f"bind_port = {port + number}\n" + textwrap.dedent(f"""
                devices = {self.path('srv')}
                mount_check = false
                fallocate_reserve = 0
                recon_cache_path = {self.folder}
                [pipeline:main]
                pipeline = {kind}-server
                [app:{kind}-server]
                use = egg:swift#{kind}
                """))
        filters = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in
                          ("catch_errors", "gatekeeper", "healthcheck", "listing_formats", "bulk", "copy", "slo", "dlo", "symlink"))
        tls = f"cert_file = {certificate}\nkey_file = {key}\n" if certificate else ""
        self.write("etc/proxy.conf", common + f"bind_port = {port}\n" + tls + textwrap.dedent("""
            [pipeline:main]
            pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo symlink proxy-server
            [app:proxy-server]
            use = egg:swift#proxy
            account_autocreate = true
            error_suppression_interval = 1
            """) + filters + textwrap.dedent(f"""
            [filter:s3api]
            use = egg:swift#s3api
            location = {self.region}
            [filter:tempauth]
            use = egg:swift#tempauth
            user_tests_writer = {self.secret_key} .admin
            [filter:cache]
            use = egg:swift#memcache
            memcache_servers = 127.0.0.1:{port + 4}
            """))
        self._run(PYTHON, "-c", textwrap.dedent("""
            import sys
            from swift.common.ring import RingBuilder
            for number, kind in enumerate(("object", "container", "account"), 1):
                ring = RingBuilder(4, 1, 0)
                ring.add_dev(dict(id=0, region=1, zone=1, ip="127.0.0.1", port=int(sys.argv[2]) + number, device="d1", weight=1, meta=""))
                ring.rebalance()
                ring.get_ring().save(f"{sys.argv[1]}/{kind}.ring.gz")
            """), self.path("etc"), str(port))
        self._launch("memcached", ["memcached", "-l", "127.0.0.1", "-p", str(port + 4), "-U", "0", "-m", "16"], "nobody" if os.geteuid() == 0 else None)
        for kind in (*kinds, "proxy"):
            self._launch(kind, [PYTHON, f"/usr/bin/swift-{kind}-server", self.path("etc", f"{kind}.conf")])

    def answers(self):
        """Not only the proxy: all of them are needed for a list of buckets."""
        try:
            return self.request("GET", "/", timeout=5)[0] == 200
        except OSError:
            return False


class Radosgw(ObjectServer):
    """Ceph's radosgw on one monitor and one OSD that keeps its data in memory. Processes: mon, osd, radosgw."""

    name = "radosgw"
    access_key = "TESTKEY0001"
    secret_key = "testSecret/key+0001"  # characters that must be encoded somewhere

    def _start(self, port, certificate, key):
        fsid, osd, monitor = uuid.uuid4(), uuid.uuid4(), f"[v2:127.0.0.1:{port + 1}/0]"
        for name in ("mon", "osd", "rgw"):
            os.mkdir(self.path(name))
        listen = f"ssl_endpoint=127.0.0.1:{port} ssl_certificate={certificate} ssl_private_key={key}" if certificate else f"endpoint=127.0.0.1:{port}"
        conf = self.write("ceph.conf", f"""
            [global]
            fsid = {fsid}
            mon_host = {monitor}
            auth_cluster_required = none
            auth_service_required = none
            auth_client_required = none
            ms_bind_ipv6 = false
            ms_bind_msgr1 = false
            public_addr = 127.0.0.1
            cluster_addr = 127.0.0.1
            ms_bind_port_min = {port + 2}
            ms_bind_port_max = {port + 15}
            osd_pool_default_size = 1
            osd_pool_default_min_size = 1
            osd_pool_default_pg_num = 4
            osd_pool_default_pgp_num = 4
            osd_pool_default_pg_autoscale_mode = off
            osd_crush_chooseleaf_type = 0
            mon_allow_pool_size_one = true
            mon_data_avail_crit = 1
            mon_max_pg_per_osd = 1000
            paxos_propose_interval = 0.05
            run_dir = {self.folder}
            admin_socket = {self.folder}/$name.asok
            log_file = {self.folder}/$name.log
            pid_file = {self.folder}/$name.pid
            crash_dir = {self.folder}
            host = localhost
            [mon.a]
            mon_data = {self.path('mon')}
            [osd.0]
            osd_data = {self.path('osd')}
            osd_objectstore = memstore
            memstore_device_bytes = 2147483648
            [client.rgw.lab]
            rgw_frontends = beast {listen}
            rgw_data = {self.path('rgw')}
            ms_mon_client_mode = crc
            """)
        self._run("monmaptool", "--create", "--fsid", str(fsid), "--addv", "a", monitor, self.path("monmap"))
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", self.path("monmap"), "-c", conf)
        self._launch("mon", ["ceph-mon", "-f", "-i", "a", "-c", conf])
        self._run("ceph", "-c", conf, "--connect-timeout", "30", "osd", "new", str(osd))
        self._run("ceph-osd", "-i", "0", "-c", conf, "--mkfs", "--osd-uuid", str(osd))
        self._launch("osd", ["ceph-osd", "-f", "-i", "0", "-c", conf])
        self._wait(lambda: "1 up" in self._run("ceph", "-c", conf, "osd", "stat"), 60, "the OSD to be up")
        self._run("radosgw-admin", "-c", conf, "user", "create", "--uid=tests", "--display-name=tests", f"--access-key={self.access_key}",
                  f"--secret-key={self.secret_key}")
        self._launch("radosgw", ["radosgw", "-f", "-c", conf, "-n", "client.rgw.lab"])

    answers = Swift.answers


SERVERS = {"swift": Swift, "radosgw": Radosgw}
