"""A private, complete Tidegate for tests: PostgreSQL, `tidegate pool` and nginx with the shipped configuration.

Everything an instance makes stands in one folder under /tmp and runs in processes of its own; stop() ends and removes
all of it, and the kernel ends the servers should the test process die without calling it. As root the servers run as
the users they have in production (postgres, www-data), otherwise as ourselves.
"""
import base64
import ctypes
import glob
import hashlib
import hmac
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import uuid

import psycopg
import requests
import urllib3

import openapi
from namespace import HERE

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(REPOSITORY, os.environ.get("TIDEGATE_BUILD", "build"))

with open(os.path.join(BUILD, "tidegate"), "rb") as program:
    SANITIZED = b"__asan_init" in program.read()
ROOT = os.geteuid() == 0
NCHAN = os.path.exists("/usr/lib/nginx/modules/ngx_nchan_module.so")
PR_SET_PDEATHSIG = 1


def newest_postgres():
    def version(folder):
        return int("".join(c for c in folder.split("/")[-2] if c.isdigit()) or 0)
    return max(glob.glob("/usr/lib/postgresql/*/bin"), key=version)


PG_BIN = newest_postgres()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def wait_until(condition, seconds, what):
    """Polls until condition() is true; what says what was expected."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"expected within {seconds} s: {what}"
        time.sleep(0.03)


class Raw:
    """The answer to a hand-written HTTP/1.1 request: status, headers (lower case), body."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status_code = int(lines[0].split()[1]) if lines[0].startswith("HTTP/") else 0
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.text = self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)


class Reaching(requests.adapters.HTTPAdapter):
    """Makes its connections inside a network namespace."""

    def __init__(self, namespace):
        self.namespace = namespace
        super().__init__()

    def init_poolmanager(self, *arguments, **options):
        super().init_poolmanager(*arguments, **options)
        namespace, connection, pool = self.namespace, urllib3.connection.HTTPSConnection, urllib3.connectionpool.HTTPSConnectionPool

        class Connection(connection):
            def _new_conn(self):
                with namespace.entered():
                    return super()._new_conn()
        self.poolmanager.pool_classes_by_scheme = {"https": type("Pool", (pool,), {"ConnectionCls": Connection})}


class Instance:
    def __init__(self, rate="5000r/s", burst=10000, fsync="off", beside=None, namespace=HERE, redis="", pages="", **options):
        """options: section__name=value of tidegate.ini. fsync="on": PostgreSQL as it must be where it is killed and counted.

        beside: another instance, whose database, secrets and bucket this one uses. namespace: where its servers run. redis: address that hints go through.
        pages: folder of static pages that nginx serves at /app/."""
        self.rate, self.burst, self.fsync, self.namespace, self.redis, self.pages = rate, burst, fsync, namespace, redis, pages
        self.database = beside or self
        self.folder = tempfile.mkdtemp(prefix="tidegate-test-", dir="/tmp")
        self.port = free_port() if namespace is HERE else 8443
        self.url = f"https://localhost:{self.port}"
        self.secret = beside.secret if beside else secrets.token_hex(32)
        self.password = beside.password if beside else secrets.token_hex(16)
        self.bucket = beside.bucket if beside else f"test-{secrets.token_hex(8)}"
        self.options = options
        self.database_user = "postgres" if ROOT else None
        self.service_user = "www-data" if ROOT else None
        self.processes = {}
        self.session = self.new_session()

    def new_session(self):
        """A client that reaches this instance, and other servers as we do."""
        session = requests.Session()
        session.trust_env, session.verify = False, self.path("cert.pem")
        if self.namespace is not HERE:
            session.mount(self.url, Reaching(self.namespace))
        return session

    # ------------------------------------------------------------------------------------------------ start and stop

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def start(self):
        return self._try(lambda: (self._make_files(), self.database is self and self._set_up(), self.serve()))

    def start_database(self):
        """No more than the others that stand beside it share."""
        return self._try(lambda: (self._make_files(), self._set_up()))

    def serve(self):
        """Starts pool and nginx."""
        self.start_pool()
        self.start_nginx()
        wait_until(self._answers, 30, "a healthy instance")

    def _set_up(self):
        self._make_cluster()
        self.start_postgres()
        self._make_database()
        if self.options["storage__driver"] == "s3":
            self.run("store", "setup", check=False)  # the bucket; not every store takes CORS rules

    def _try(self, start):
        try:
            start()
        except BaseException as error:
            logs = self.logs()
            self.stop()
            raise RuntimeError(f"the test instance did not start: {error}\n{logs}") from error
        return self

    def stop(self):
        for name, number in (("nginx", signal.SIGTERM), ("pool", signal.SIGTERM), ("postgres", signal.SIGINT)):
            self._end(name, number)
        self.session.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, name, number, seconds=20):
        process = self.processes.get(name)
        if not process:
            return
        try:
            process.send_signal(number)
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        # What is left of its session: orphans of a main process that was killed, or one that did not listen.
        for pid, _ in list(self._session(name)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
        del self.processes[name]

    def _chown(self, path, user):
        if user:
            entry = pwd.getpwnam(user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _make_folder(self, name, mode, user=None):
        os.makedirs(self.path(name), exist_ok=True)
        os.chmod(self.path(name), mode)
        self._chown(self.path(name), user)

    def _make_files(self):
        os.chmod(self.folder, 0o755)
        for name in ("bin", "log", "run", "nginx", "nginx/temp"):
            self._make_folder(name, 0o755)
        for name in ("spool", "blobs", "fcgi"):
            self._make_folder(name, 0o700, self.service_user)
        self._make_folder("events", 0o750, self.service_user)
        self._make_folder("pg", 0o700, self.database_user)
        self._make_folder("pgsocket", 0o755, self.database_user)
        shutil.copy(os.path.join(BUILD, "tidegate"), self.path("bin"))
        shutil.copytree(os.path.join(REPOSITORY, "schema"), self.path("schema"))
        if self.pages:
            shutil.copytree(self.pages, self.path("pages"))
            os.chmod(self.path("pages"), 0o755)
        self._make_certificate()
        self.write_ini()

    def _make_certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", self.path("key.pem"), "-out", self.path("cert.pem")], check=True, capture_output=True)

    def write_ini(self):
        options = {
            "server__public_url": self.url,
            "server__metrics_file": self.path("fcgi", "metrics"),
            "auth__jwt_secret": self.secret,
            "storage__driver": "local",
            "storage__root": self.folder,
            "storage__secret_key": secrets.token_hex(32),
            "schema__dir": self.path("schema"),
            "events__publisher": self.path("events", "sock") if NCHAN else "",
            "worker__poll_ms": 100,
            "worker__reap_s": 1,
            "worker__lease_s": 5,
        }
        for role in ("api", "worker", "owner"):
            options[f"database__{role}"] = f"host={self.database.path('pgsocket')} dbname=tidegate user=tidegate_{role}"
            options[f"database__{role}_password"] = self.password
        options.update(json.loads(os.environ.get("TIDEGATE_TEST_STORE", "{}")))
        options.update(self.options)
        if options["storage__driver"] == "s3":
            options.setdefault("storage__bucket", self.bucket)
        self.options = options  # a second call keeps the storage key
        sections = {}
        for key, value in options.items():
            section, name = key.split("__", 1)
            sections.setdefault(section, []).append(f"{name} = {value}")
        with open(self.path("tidegate.ini"), "w", encoding="utf-8") as file:
            for section, lines in sections.items():
                file.write(f"[{section}]\n" + "\n".join(lines) + "\n")
        os.chmod(self.path("tidegate.ini"), 0o600)
        self._chown(self.path("tidegate.ini"), self.service_user)

    def _as(self, user):
        """Arguments of Popen that make a process somebody's."""
        if not user:
            return {}
        entry = pwd.getpwnam(user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid)}

    def _launch(self, name, arguments, user=None, death_signal=signal.SIGKILL):
        prctl = ctypes.CDLL(None).prctl
        with open(self.path("log", f"{name}.log"), "ab") as log, self.namespace.entered():
            self.processes[name] = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.path("run"), start_new_session=True,
                preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, death_signal), **self._as(user))

    def _alive(self, name):
        process = self.processes[name]
        assert process.poll() is None, f"{name} ended with {process.returncode}:\n{self.logs()}"
        return True

    def _make_cluster(self):
        password = self.path("run", "password")
        with open(password, "w", encoding="utf-8") as file:
            file.write(self.password)
        os.chmod(password, 0o600)
        self._chown(password, self.database_user)
        subprocess.run(
            [f"{PG_BIN}/initdb", "--pgdata", self.path("pg"), "--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256",
             "--locale=C.UTF-8", "--encoding=UTF8", "--no-sync", "--no-instructions"],
            check=True, capture_output=True, cwd=self.path("run"), **self._as(self.database_user))
        os.remove(password)

    def start_postgres(self):
        self._launch("postgres", [
            f"{PG_BIN}/postgres", "-D", self.path("pg"), "-k", self.path("pgsocket"), "-c", "listen_addresses=",
            "-c", f"fsync={self.fsync}", "-c", "shared_buffers=64MB", "-c", "max_connections=60", "-c", "jit=off", "-c", "log_error_verbosity=terse"],
            self.database_user, signal.SIGQUIT)
        wait_until(lambda: self._alive("postgres") and self._connects(), 60, "PostgreSQL to accept connections")

    def _connects(self):
        try:
            self.sql("SELECT 1", database="postgres")
            return True
        except psycopg.OperationalError:
            return False

    def _make_database(self):
        roles = self.run("roles").stdout
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(roles)
            for role in ("api", "worker", "owner"):
                connection.execute(f"ALTER ROLE tidegate_{role} PASSWORD '{self.password}'")
            connection.execute("CREATE DATABASE tidegate OWNER tidegate_owner")
        self.run("migrate")

    def start_pool(self):
        self._launch("pool", [self.path("bin", "tidegate"), "--config", self.path("tidegate.ini"), "pool", "--socket", self.path("fcgi", "sock")],
                     self.service_user, signal.SIGTERM)

    def start_nginx(self):
        if os.path.exists(self.path("events", "sock")):
            os.remove(self.path("events", "sock"))  # left by one that was killed
        subprocess.run(
            [os.path.join(REPOSITORY, "scripts", "nginx.sh"), self.path("nginx"), f"LISTEN=listen 127.0.0.1:{self.port} ssl http2 backlog=4096;",
             f"USER={'user www-data;' if ROOT else ''}", f"SOCKET={self.path('fcgi', 'sock')}", f"STORAGE={self.folder}", f"STATE={self.folder}",
             f"CERTIFICATE={self.path('cert.pem')}", f"KEY={self.path('key.pem')}", f"ACCESS_LOG={self.path('log', 'access.log')}",
             f"RATE={self.rate}", f"BURST={self.burst}", "PEER_CONNECTIONS=512",
             f"EVENTS={self.options['events__publisher']}", f"REDIS={self.redis}", "PEER_STREAMS=512",
             f"PAGES={self.path('pages') if self.pages else ''}"], check=True)
        self._launch("nginx", ["/usr/sbin/nginx", "-p", self.path("nginx") + "/", "-c", self.path("nginx", "nginx.conf"),
                               "-e", self.path("log", "nginx-error.log")], death_signal=signal.SIGTERM)

    def _answers(self):
        for name in self.processes:
            self._alive(name)
        try:
            return self.session.get(self.url + "/api/health", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    # ---------------------------------------------------------------------------------------------- the program itself

    def run(self, *arguments, check=True):
        """Runs a tidegate command with this instance's configuration; returns the finished process."""
        with self.namespace.entered():
            done = subprocess.run([self.path("bin", "tidegate"), "--config", self.path("tidegate.ini"), *arguments],
                                  capture_output=True, text=True, cwd=self.path("run"), stdin=subprocess.DEVNULL, **self._as(self.service_user))
        assert not check or done.returncode == 0, f"tidegate {' '.join(arguments)} ended with {done.returncode}: {done.stderr or done.stdout}"
        return done

    def pids(self, kind):
        """Processes of the pool by subcommand: serve, work or read."""
        return sorted(pid for pid, words in self._session("pool") if kind.encode() in words[1:4])

    def _session(self, name):
        """(pid, arguments) of every process in the session that the main process of that name leads or led."""
        for folder in glob.glob("/proc/[0-9]*"):
            try:
                with open(folder + "/stat", encoding="latin-1") as file:
                    session = int(file.read().rpartition(")")[2].split()[3])
                if session != self.processes[name].pid:
                    continue
                with open(folder + "/cmdline", "rb") as file:
                    yield int(folder[6:]), file.read().split(b"\0")
            except (OSError, ValueError, IndexError):
                continue  # ended meanwhile

    def kill(self, kind, number=signal.SIGKILL):
        """Signals every process of that kind: serve, work, read (by pid), nginx, postgres or pool (the main process)."""
        if kind in self.processes:
            process = self.processes[kind]
            process.send_signal(number)
            if number == signal.SIGKILL:
                process.wait()
                if kind != "postgres":
                    self._end(kind, number, 0)  # its orphans too; PostgreSQL's end by themselves
            return
        for pid in self.pids(kind):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def restart_postgres(self):
        """kill -9 (unless that was done before) and a new start over what it left."""
        self.kill("postgres")
        # Its children end in a moment; until then the shared memory is in use and the server refuses to start.
        wait_until(lambda: not self._postgres_children(), 30, "PostgreSQL's children to end")
        self.start_postgres()

    def _postgres_children(self):
        found = []
        for folder in glob.glob("/proc/[0-9]*"):
            try:
                if os.readlink(folder + "/cwd") == self.path("pg"):
                    found.append(folder)
            except OSError:
                continue
        return found

    # --------------------------------------------------------------------------------------------------------- objects

    def object(self, key):
        """The bytes of a stored object, wherever it is; None when there is none."""
        if self.options["storage__driver"] == "local":
            path = self.path("blobs", *key.split("/"))
            return open(path, "rb").read() if os.path.exists(path) else None
        path = self.path("fcgi", f"object-{secrets.token_hex(8)}")
        done = self.run("store", "get", key, path, check=False)
        assert done.returncode == 0 or "NoSuchKey" in done.stderr, f"expected the object or that there is none, got {done.stderr}"
        if done.returncode:
            return None
        with open(path, "rb") as file:
            return file.read()

    def replace_object(self, key, data):
        """Puts other bytes in the place of a stored object, past the application; None removes it."""
        path = self.path("blobs", *key.split("/"))
        remote = self.options["storage__driver"] != "local"
        if remote and data is None:
            self.run("store", "delete", key)
        elif data is None:
            os.remove(path)
        else:
            place = self.path("fcgi", f"object-{secrets.token_hex(8)}") if remote else path
            with open(place, "wb") as file:
                file.write(data)
            if remote:
                self._chown(place, self.service_user)
                self.run("store", "put", place, key)
            else:
                os.chmod(path, 0o644)

    # -------------------------------------------------------------------------------------------------------- database

    def _conninfo(self, database):
        return f"host={self.database.path('pgsocket')} user=postgres password={self.password} dbname={database}"

    def sql(self, query, *values, database="tidegate"):
        """Runs one statement as the superuser; its rows, or None."""
        with psycopg.connect(self._conninfo(database), autocommit=True) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else None

    # ------------------------------------------------------------------------------------------------------------ HTTP

    def token(self, role="admin", sub="admin@test", space="test", secret=None, header=None, **claims):
        """A token made here, not by the program under test. Claims given as None are left out."""
        now = int(time.time())
        body = {"sub": sub, "role": role, "space": space, "iat": now, "exp": now + 3600, **claims}
        body = {name: value for name, value in body.items() if value is not None}
        head = {"alg": "HS256", "typ": "JWT"} if header is None else header
        signed = base64url(json.dumps(head).encode()) + "." + base64url(json.dumps(body).encode())
        key = self.secret if secret is None else secret
        return signed + "." + base64url(hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest())

    def api(self, method, path, json=None, token="admin", headers=None, data=None, timeout=30):
        """One request. token: a role (a fresh token of that role), a token's text, or None."""
        headers = dict(headers or {})
        if token in ("admin", "member"):
            token = self.token(token, f"{token}@test")
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = path if path.startswith("https://") else self.url + path
        answer = self.session.request(method, url, json=json, data=data, headers=headers, timeout=timeout, allow_redirects=False)
        if url.startswith(self.url):
            kind = answer.headers.get("Content-Type", "")
            openapi.check(method, url[len(self.url):], answer.status_code, kind, answer.json() if "json" in kind and answer.content else None)
        return answer

    def raw(self, request, timeout=20):
        """Sends bytes as they are over TLS and reads until the server closes."""
        context = ssl.create_default_context(cafile=self.path("cert.pem"))
        received = b""
        with self.namespace.entered():
            plain = socket.create_connection(("localhost", self.port), timeout=timeout)
        with plain:
            with context.wrap_socket(plain, server_hostname="localhost") as stream:
                try:
                    stream.sendall(request)
                except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                    pass  # refused before all of it was sent: the answer is there already
                try:
                    while chunk := stream.recv(65536):
                        received += chunk
                except (ConnectionResetError, ssl.SSLError):
                    pass
        assert received, "expected an HTTP answer, got a closed connection"
        return Raw(received)

    def upload_url(self, data, name="leads.csv", checksum=True, token="admin"):
        body = {"fileName": name, "fileSize": len(data)}
        if checksum:
            body["checksum"] = hashlib.sha256(data).hexdigest()
        answer = self.api("POST", "/api/import/upload-url", json=body, token=token)
        assert answer.status_code == 200, f"expected an upload URL, got {answer.status_code} {answer.text}"
        return answer.json()

    def put(self, issued, data, headers=None):
        return self.session.put(issued["uploadUrl"], data=data, headers={**issued["headers"], **(headers or {})}, timeout=60)

    def upload(self, data, name="leads.csv", checksum=True, token="admin"):
        """Uploads a file whole; returns its object key."""
        issued = self.upload_url(data, name, checksum, token)
        answer = self.put(issued, data)
        assert answer.status_code in (200, 201), f"expected 200 or 201 for the PUT, got {answer.status_code} {answer.text}"
        return issued["objectKey"]

    def create_job(self, data, name="leads.csv", token="admin", **fields):
        """Uploads and creates an import; returns its id."""
        key = self.upload(data, name, token=token)
        answer = self.api("POST", "/api/import/jobs", json={"objectKey": key, "fileName": name, "fileSize": len(data), **fields}, token=token)
        assert answer.status_code == 201, f"expected 201 for the job, got {answer.status_code} {answer.text}"
        return answer.json()["id"]

    def wait_for(self, job, status, seconds=60, token="admin"):
        """Polls an import until it has that status (or one of several); any other final state fails at once."""
        wanted = (status,) if isinstance(status, str) else tuple(status)

        def look():
            answer = self.api("GET", f"/api/import/jobs/{job}", token=token)
            if answer.status_code in (502, 503, 504):
                return None  # a server is being killed by the test
            assert answer.status_code == 200, f"expected the job, got {answer.status_code} {answer.text}"
            state = answer.json()
            if state["status"] in wanted:
                return state
            assert state["status"] not in ("failed", "cancelled", "completed"), f"expected {' or '.join(wanted)}, got {answer.text}"
            return None
        return wait_until(look, seconds, f"import {job} to be {' or '.join(wanted)}")

    # ------------------------------------------------------------------------------------------------------------ logs

    def logs(self, lines=25):
        """The ends of all logs, for failures."""
        parts = []
        for name in ("pool", "nginx-error", "nginx", "access", "postgres"):
            try:
                with open(self.path("log", f"{name}.log"), encoding="utf-8", errors="replace") as file:
                    tail = file.readlines()[-lines:]
            except OSError:
                continue
            if tail:
                parts.append(f"--- {name}.log\n" + "".join(tail))
        return "".join(parts)

    def log_text(self, name):
        with open(self.path("log", f"{name}.log"), encoding="utf-8", errors="replace") as file:
            return file.read()


def unique(prefix="t"):
    """A name no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def expect_problem(answer, status, code):
    """Asserts that an answer is a complete problem document and returns it."""
    assert answer.status_code == status, f"expected {status} {code}, got {answer.status_code} {answer.text[:500]}"
    kind = answer.headers.get("content-type", "")
    assert kind.startswith("application/problem+json"), f"expected application/problem+json, got {kind!r}: {answer.text[:500]}"
    body = answer.json()
    assert body["status"] == status and body["code"] == code, f"expected {status} {code}, got {answer.text[:500]}"
    assert body["type"] == f"urn:tidegate:problem:{code}" and body["title"] and body["detail"] and body["requestId"], f"an incomplete problem: {body}"
    return body
