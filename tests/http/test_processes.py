"""Processes that are replaced, restarted and killed while requests run."""
import os
import signal
import subprocess
import threading
import time

import pytest
import requests

from instance import REPOSITORY, unique, wait_until
from space import Space, people


class Load:
    """Clients that ask without a pause; statuses counts the answers, and a broken connection counts as 0."""

    def __init__(self, gate, clients=4):
        self.gate, self.statuses, self.stopping = gate, {}, False
        self.token = gate.token()
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self):
        session = requests.Session()
        session.trust_env, session.verify = False, self.gate.path("cert.pem")
        while not self.stopping:
            try:
                status = session.get(self.gate.url + "/api/import/jobs", headers={"Authorization": f"Bearer {self.token}"}, timeout=30).status_code
            except requests.RequestException:
                status = 0
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def test_a_rolling_restart_fails_no_request(fresh_gate):
    before = fresh_gate.pids("serve")
    with Load(fresh_gate) as load:
        for _ in range(2):
            old = set(fresh_gate.pids("serve") + fresh_gate.pids("work"))
            fresh_gate.kill("pool", signal.SIGHUP)
            wait_until(lambda old=old: not old & set(fresh_gate.pids("serve") + fresh_gate.pids("work")), 30, "every child to be replaced")
    assert set(load.statuses) == {200}, f"expected 200 only, got {load.statuses}"
    wait_until(lambda: len(fresh_gate.pids("serve")) == len(before), 10, "as many processes as before")


def test_processes_that_have_served_enough_are_replaced_without_a_failure(make_gate):
    gate = make_gate(server__max_requests=20)
    with Load(gate) as load:
        time.sleep(4)
    assert set(load.statuses) == {200}, f"expected 200 only, got {load.statuses}"


def test_a_storm_of_sigterm_fails_no_request(fresh_gate):
    with Load(fresh_gate) as load:
        for _ in range(12):
            for pid in fresh_gate.pids("serve")[:2]:
                try:
                    os.kill(pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
            time.sleep(0.3)
    assert set(load.statuses) == {200}, f"expected 200 only, got {load.statuses}"


def test_killed_processes_come_back(fresh_gate):
    for kind in ("serve", "work"):
        before = fresh_gate.pids(kind)
        assert before, f"expected {kind} processes"
        fresh_gate.kill(kind)
        wait_until(lambda kind=kind, before=before: len(set(fresh_gate.pids(kind)) - set(before)) == len(before), 60, f"new {kind} processes")
    wait_until(lambda: fresh_gate.api("GET", "/api/import/jobs").status_code == 200, 15, "an answer")


def test_children_do_not_outlive_a_killed_pool(fresh_gate):
    children = fresh_gate.pids("serve") + fresh_gate.pids("work")
    fresh_gate.processes["pool"].kill()
    fresh_gate.processes["pool"].wait()
    wait_until(lambda: not [pid for pid in children if os.path.exists(f"/proc/{pid}")], 20, "the children to end")
    fresh_gate.start_pool()
    wait_until(lambda: fresh_gate._answers(), 20, "a new pool on the same socket")


def test_the_pool_ends_with_all_its_children(fresh_gate):
    children = fresh_gate.pids("serve") + fresh_gate.pids("work")
    fresh_gate.kill("pool", signal.SIGTERM)
    assert fresh_gate.processes["pool"].wait(20) == 0
    assert not [pid for pid in children if os.path.exists(f"/proc/{pid}")]


def test_uploads_survive_kills(fresh_gate):
    """Whatever dies in between: a 201 means the file is there, and nothing but a 201 stores it."""
    data = os.urandom(400_000)
    stored = []
    for round_number in range(8):
        issued = fresh_gate.upload_url(data, unique(), checksum=False)
        killer = threading.Timer(0.004 * round_number, lambda: fresh_gate.kill("serve"))
        killer.start()
        try:
            status = fresh_gate.put(issued, data).status_code
        except requests.RequestException:
            status = 0
        killer.join()
        wait_until(lambda: fresh_gate.api("GET", "/api/health", token=None).status_code == 200, 15, "the application to be back")
        if status != 201:
            status = fresh_gate.put(issued, data).status_code
            assert status in (201, 403), f"expected the file to be taken now or before, got {status}"
        stored.append(issued["objectKey"])
    for key in stored:
        assert fresh_gate.sql("SELECT state FROM tidegate.upload WHERE object_key = %s", key) == [("stored",)]
        with open(fresh_gate.path("blobs", *key.split("/")), "rb") as file:
            assert file.read() == data


@pytest.mark.parametrize("victim", ["nginx", "postgres"])
def test_a_killed_server_can_be_started_again(fresh_gate, victim):
    key = fresh_gate.upload(b"data", unique())
    if victim == "postgres":
        fresh_gate.restart_postgres()
    else:
        fresh_gate.kill("nginx")
        fresh_gate.start_nginx()
    wait_until(lambda: fresh_gate._answers() and fresh_gate.api("GET", "/api/import/jobs").status_code == 200, 20, "answers again")
    assert fresh_gate.sql("SELECT state FROM tidegate.upload WHERE object_key = %s", key) == [("stored",)]


def test_systemd_units_are_valid(tmp_path):
    """What `make install` puts there, as systemd reads it; where there is no systemd there is nothing to check."""
    subprocess.run([os.path.join(REPOSITORY, "scripts", "install.sh"), "/usr/local", str(tmp_path)], check=True, capture_output=True, cwd=REPOSITORY)
    units = tmp_path / "etc/systemd/system"
    for unit in units.iterdir():
        unit.write_text(unit.read_text().replace("/usr/local/bin/tidegate", str(tmp_path / "usr/local/bin/tidegate")))
    if not os.path.exists("/usr/bin/systemd-analyze"):
        return
    names = sorted(unit.name.replace("@.", "@1.") for unit in units.iterdir())
    assert len(names) == 12, f"expected 12 units, got {names}"
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True,
                          env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:/usr/lib/systemd/system"})
    ours = [line for line in done.stderr.splitlines() if "tidegate" in line]
    assert done.returncode == 0 and not ours, f"systemd-analyze verify: {done.stderr}"


def test_without_a_spool_nothing_is_lost_but_time(fresh_gate):
    """The disk that files pass through is not there: health says so, workers take no job and spoil none, and all goes on when it is back."""
    space = Space(fresh_gate)
    job = space.create(people(3))
    space.wait(job, "mapping")
    os.rename(fresh_gate.path("spool"), fresh_gate.path("away"))
    answer = fresh_gate.api("GET", "/api/health", token=None)
    assert (answer.status_code, answer.json()["status"], answer.json()["checks"]["storage"]) == (503, "down", "unavailable")
    wait_until(lambda: fresh_gate.log_text("pool").count("worker_unfit") == len(fresh_gate.pids("work")), 30, "every worker to say that it takes nothing")
    space.call(job, "parse")
    assert space.get(job)["status"] == "queued"
    os.rename(fresh_gate.path("away"), fresh_gate.path("spool"))
    assert space.wait(job, "ready")["counts"]["valid"] == 3
    assert fresh_gate.api("GET", "/api/health", token=None).status_code == 200
    attempts = fresh_gate.sql("SELECT kind, attempt FROM tidegate.job_history WHERE args->>'id' = %s ORDER BY id", job)
    assert attempts == [("import.inspect", 1), ("import.parse", 1)], f"expected no attempt to be spent, got {attempts}"
