"""Two hosts on one database and one object store: whoever is asked, the answer is the same, and either goes on alone."""
import contextlib
import csv
import io
import os
import pwd
import subprocess
import threading

import psycopg
import pytest
import requests

from hosts import Hosts
from instance import BUILD, SANITIZED, expect_problem, unique, wait_until
from object_servers import SERVERS
from parts import begin, complete, send
from patient import Client, content, end, look, reach
from space import JOBS, Space, people, table

PART, ROWS = 5 << 20, 20_000
URLS_NEW, URLS_REUSED = 'tidegate_upload_urls_total{reused="false"}', 'tidegate_upload_urls_total{reused="true"}'
JOBS_LOST = 'tidegate_jobs_total{result="lease_lost"}'


@pytest.fixture(scope="module", params=SERVERS)
def object_store(request):
    return request.getfixturevalue(f"shared_{request.param}")


@pytest.fixture(scope="module")
def shared_hosts(object_store):
    with Hosts(object_store, 2, fsync="on", import__batch_rows=100, import__slice_rows=500, worker__lease_s=5, worker__reap_s=1, storage__part_bytes=PART,
               storage__multipart_bytes=PART, server__processes=3, database__idle_in_transaction_timeout_ms=3000,
               database__worker_statement_timeout_ms=120_000 if SANITIZED else 20_000) as hosts:
        yield hosts


@pytest.fixture
def hosts(shared_hosts, request):
    """Both, alive and well; a test that stops one starts it again."""
    request.node.instances = shared_hosts
    return shared_hosts


@pytest.fixture(scope="module")
def sample():
    return subprocess.run([os.path.join(BUILD, "sample"), str(ROWS), "3"], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def undisturbed(shared_hosts, sample):
    """The same file imported in peace: the space to compare with, and its counts."""
    space = Client(shared_hosts[0])
    return space, space.imported(sample)["counts"]


def spaces(hosts, kind=Space):
    """The same person at each host."""
    first = kind(hosts[0])
    return [first] + [kind(host, first.sub, first.name) for host in hosts[1:]]


def at_once(*calls):
    """The results of calls made at the same time, in their order."""
    results, ready = [None] * len(calls), threading.Barrier(len(calls))

    def run(index, call):
        ready.wait()
        results[index] = call()
    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# ------------------------------------------------------------------------------------------------------------- one service

def test_an_import_that_is_handed_from_host_to_host(hosts, object_store):
    (a, b), data = spaces(hosts), table([["Prénom", "Nom", "Email", "Société"]] + [["Ana", f"Durand{n}", f"p{n}@example.com", "SNCF"] for n in range(300)]
                                        + [["Bob", "", "not an address", ""], ["Cid", "Petit", "p7@example.com", "RATP"]]).encode()
    issued = a.gate.upload_url(data, token=a.token)
    assert issued["uploadUrl"].startswith(object_store.endpoint + "/"), f"expected a URL of the store, got {issued['uploadUrl'].partition('?')[0]}"
    assert requests.put(issued["uploadUrl"], data=data, headers=issued["headers"], timeout=60).status_code == 200
    answer = b.api("POST", JOBS, {"objectKey": issued["objectKey"], "fileName": "leads.csv", "fileSize": len(data)})
    assert answer.status_code == 201, f"expected B to find what A has handed out, got {answer.text}"
    job = answer.json()["id"]
    assert [column["field"] for column in a.wait(job, "mapping")["columns"]] == ["firstName", "lastName", "email", "company"]
    a.call(job, "mapping", 200, "PUT", {"columns": {"3": None}})
    assert b.get(job)["columns"][3]["field"] is None, "expected B to show what was set at A"
    a.call(job, "parse")
    b.wait(job, "ready")
    b.call(job, "commit", json={"duplicates": {"strategy": "skip"}})
    a.wait(job, "completed")
    counts = a.ledger(job)["counts"]
    assert b.ledger(job)["counts"] == counts
    assert (counts["total"], counts["invalid"], counts["inserted"], counts["skipped"]) == (302, 1, 300, 1), f"expected 300 leads, got {counts}"
    assert len(b.leads()) == 300
    reports = [space.report(job)[0].content for space in (a, b)]
    assert reports[0] == reports[1], "expected one report whoever is asked"
    rows = list(csv.reader(io.StringIO(reports[0].decode("utf-8-sig"), newline="")))
    assert [row for row in rows[1:] if "not an address" in row], f"expected the invalid row in the report, got {rows}"


def test_the_same_file_asked_for_at_the_other_host_has_the_same_url(hosts):
    a, b = spaces(hosts)
    before = [(space.gate.metric(URLS_NEW), space.gate.metric(URLS_REUSED)) for space in (a, b)]
    data, name = people(3).encode(), unique()
    first, second = (space.gate.upload_url(data, name, token=space.token) for space in (a, b))
    assert (first["reused"], second["reused"]) == (False, True)
    assert {**first, "reused": True} == second, "expected the very same URL, key, headers and end"
    after = [(space.gate.metric(URLS_NEW), space.gate.metric(URLS_REUSED)) for space in (a, b)]
    assert [(new - n, reused - r) for (new, reused), (n, r) in zip(after, before)] == [(1, 0), (0, 1)], "expected A to count a new URL and B one handed out again"
    assert a.gate.upload_url(data + b"\n", name, token=a.token)["uploadUrl"] != first["uploadUrl"], "expected another file to have a URL of its own"


def test_double_taps_on_both_hosts_get_one_url(hosts):
    pair = spaces(hosts)
    before = sum(space.gate.metric(URLS_NEW) for space in pair), sum(space.gate.metric(URLS_REUSED) for space in pair)
    for _ in range(8):
        name = unique()
        answers = at_once(*[lambda space=space: space.api("POST", "/api/import/upload-url", {"fileName": name, "fileSize": 77}) for space in pair * 3])
        assert [answer.status_code for answer in answers] == [200] * 6, [answer.text for answer in answers]
        assert len({answer.json()["uploadUrl"] for answer in answers}) == 1, "expected one URL for all taps"
        assert sorted(answer.json()["reused"] for answer in answers) == [False] + [True] * 5
    after = sum(space.gate.metric(URLS_NEW) for space in pair), sum(space.gate.metric(URLS_REUSED) for space in pair)
    assert (after[0] - before[0], after[1] - before[1]) == (8, 40)


def test_an_idempotency_key_has_one_effect_over_both_hosts(hosts):
    a, b = spaces(hosts)
    for together in (False, True):
        data, key = people(2, start=10 * together).encode(), unique()
        body = {"objectKey": a.gate.upload(data, unique(), token=a.token), "fileName": "a.csv", "fileSize": len(data)}

        def create(space, body=body, key=key):
            return wait_until(lambda: next((answer for answer in [space.api("POST", JOBS, body, headers={"Idempotency-Key": key})]
                                            if answer.status_code != 409), None), 60, "an answer that is not `busy`")
        answers = at_once(*[lambda space=space: create(space) for space in (a, b) * 3]) if together else [create(a), create(b)]
        assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {(201, answers[0].json()["id"])}, [answer.text for answer in answers]
        made = a.gate.sql("SELECT count(*) FROM tidegate.import_job WHERE object_key = %s", body["objectKey"])
        assert made == [(1,)], f"expected one import, got {made}"
        expect_problem(b.api("POST", JOBS, {**body, "fileName": "b.csv"}, headers={"Idempotency-Key": key}), 422, "idempotency_mismatch")


def test_an_upload_in_parts_goes_on_at_the_other_host(hosts):
    a, b = spaces(hosts)
    data, name = people(190_000).encode(), unique() + ".csv"
    assert PART < len(data) <= 2 * PART, f"expected a file of two parts, got {len(data)} bytes"
    upload = begin(a.gate, data, name, a.token)
    assert send(a.gate, upload, data, upload["parts"][1]).status_code == 200
    again = begin(b.gate, data, name, b.token)
    assert (again["uploadId"], again["objectKey"], again["reused"], again["partsReceived"]) == (upload["uploadId"], upload["objectKey"], True, 1)
    assert [part["number"] for part in again["parts"]] == [1], "expected only what is missing"
    assert expect_problem(complete(b.gate, upload, b.token), 409, "upload_not_finished")["missingParts"] == "1"
    assert send(b.gate, again, data, again["parts"][0]).status_code == 200
    answers = at_once(*[lambda space=space: complete(space.gate, upload, space.token) for space in (a, b)])
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
    assert a.gate.object(upload["objectKey"]) == data and b.gate.object(upload["objectKey"]) == data
    answer = b.api("POST", JOBS, {"objectKey": upload["objectKey"], "fileName": name, "fileSize": len(data)})
    assert answer.status_code == 201, answer.text
    assert a.wait(answer.json()["id"], "mapping")["columns"][2]["field"] == "email"


# ------------------------------------------------------------------------------------------------------------ a host is lost

@contextlib.contextmanager
def met(hosts, space, job, phase):
    """The host whose worker has the import in hand, and the other. The worker stands still in the middle of a transaction, because
    nobody can renew its lease until this is over: its data is written and not committed."""
    assert reach(space, job, phase, ROWS // 10), f"expected to meet the import while {phase}"
    with psycopg.connect(hosts[0]._conninfo("tidegate")) as connection:
        found = connection.execute("SELECT worker FROM tidegate.job WHERE state = 'running' AND args->>'id' = %s FOR UPDATE", [job]).fetchall()
        assert found, f"expected to meet the import while {phase}"
        wait_until(lambda: hosts[0].sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'tidegate_worker'") != [(0,)], 30,
                   "the worker at the end of its batch")
        victim = next(host for host in hosts if host.works(found[0][0]))
        yield victim, hosts[1 - hosts.index(victim)]


class Busy:
    """Clients of each host that make small imports until told to stop. One whose host is gone goes to the other with the same key."""

    def __init__(self, hosts):
        self.hosts, self.space, self.stopping = hosts, unique("space"), threading.Event()
        self.acknowledged, self.failures = [], []
        self.threads = [threading.Thread(target=self._make, args=(index,)) for index in range(len(hosts))]

    def _make(self, index):
        try:
            count = 0
            while not self.stopping.is_set():
                count += 1
                self._one(index, people(1, count, f"host{index}.example.com").encode())
        except BaseException as error:  # told by __exit__
            self.failures.append(error)

    def _one(self, index, data):
        body = self._ask(index, "/api/import/upload-url", {"fileName": unique(), "fileSize": len(data)}, 200)
        assert requests.put(body["uploadUrl"], data=data, headers=body["headers"], timeout=60).status_code == 200
        made = self._ask(index, JOBS, {"objectKey": body["objectKey"], "fileName": "a.csv", "fileSize": len(data)}, 201)
        self.acknowledged.append(made["id"])

    def _ask(self, index, path, body, status):
        key, turn = unique(), [index]

        def attempt():
            host = self.hosts[turn[0] % len(self.hosts)]
            try:
                with host.new_session() as session:
                    answer = session.post(host.url + path, json=body, timeout=5, headers={
                        "Authorization": f"Bearer {host.token(sub='busy@test', space=self.space)}", "Idempotency-Key": key})
            except (requests.RequestException, OSError):
                turn[0] += 1
                return None
            if answer.status_code in (502, 503, 504) or answer.status_code == 409 and answer.json()["code"] == "busy":
                turn[0] += 1
                return None
            assert answer.status_code == status, f"expected {status} of {path}, got {answer.status_code} {answer.text}"
            return answer.json()
        return wait_until(attempt, 60, f"an answer to {path}")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, f"expected every call to be answered by one host or the other, got {self.failures}"

    def check(self, host):
        """Every import that was acknowledged is there, once, and is inspected."""
        for job in self.acknowledged:
            wait_until(lambda job=job: host.sql("UPDATE tidegate.job SET run_at = now() WHERE state = 'ready' AND run_at > now()") is None
                       and host.sql("SELECT status FROM tidegate.import_job WHERE id = %s", job) == [("mapping",)], 120, f"{job} to be inspected")
        there = host.sql("SELECT id::text FROM tidegate.import_job WHERE space = %s", self.space)
        assert sorted(row[0] for row in there) == sorted(self.acknowledged), f"expected {len(self.acknowledged)} imports, got {len(there)}"


def handed_on(host, job, kind):
    """(event, worker) of the job of an import that has changed hands."""
    return host.sql("SELECT e.event, e.worker FROM tidegate.job_event e JOIN tidegate.job_history h ON h.id = e.job_id WHERE h.kind = %s AND h.args->>'id' = %s "
                    "ORDER BY e.id", kind, job)


PHASES = (("parse", "parsing", "ready"), ("commit", "importing", "completed"))


def test_a_host_that_dies_in_parse_and_commit(hosts, sample, undisturbed):
    """kill -9 of nginx, request processes, workers and network, under load: the other host finishes, and nothing acknowledged is lost."""
    pair = dict(zip(hosts, spaces(hosts, Client)))
    job = pair[hosts[0]].inspected(sample)["id"]
    with Busy(hosts) as busy:
        for step, phase, status in PHASES:
            pair[hosts[0]].call(job, step)
            with met(hosts, pair[hosts[0]], job, phase) as (victim, survivor):
                victim.die()
            try:
                with pytest.raises((requests.RequestException, OSError)):
                    victim.new_session().get(victim.url + "/api/health", timeout=5)
                assert survivor.session.get(survivor.url + "/api/health", timeout=30).status_code == 200, "expected the other to go on"
                end(pair[survivor], job, status)
                events = handed_on(survivor, job, f"import.{step}")
                assert [event for event, _ in events] == ["lease_expired", "done"], f"expected the job to be taken over once, got {events}"
                assert survivor.works(events[-1][1]) and not survivor.works(events[0][1]), f"expected it to change hosts, got {events}"
            finally:
                victim.come_back()
    counts = pair[hosts[1]].ledger(job)["counts"]
    assert counts == undisturbed[1], f"expected the counts of an undisturbed import, got {counts}"
    assert content(pair[hosts[0]]) == content(undisturbed[0]), "expected what an undisturbed import makes, each lead once"
    assert busy.acknowledged
    busy.check(hosts[0])


def test_a_host_that_hangs_and_wakes_up_too_late(hosts, sample, undisturbed):
    """It holds its connections and its transaction, and goes on when the other has long finished: the fence keeps it out."""
    pair = dict(zip(hosts, spaces(hosts, Client)))
    job = pair[hosts[0]].inspected(sample)["id"]
    for step, phase, status in PHASES:
        pair[hosts[0]].call(job, step)
        with met(hosts, pair[hosts[0]], job, phase) as (victim, survivor):
            lost = victim.metric(JOBS_LOST)
            victim.freeze()
        try:
            end(pair[survivor], job, status)
            events = handed_on(survivor, job, f"import.{step}")
            assert [event for event, _ in events] == ["lease_expired", "done"], f"expected the job to be taken over once, got {events}"
            assert survivor.works(events[-1][1]) and victim.works(events[0][1]), f"expected the other host to finish, got {events}"
        finally:
            victim.thaw()
        wait_until(lambda: victim.metric(JOBS_LOST) > lost, 60, "the worker that woke up to learn that it has lost its job")
        wait_until(lambda: not victim.pids("read"), 60, "the reader of the lost job to end")
    assert pair[hosts[0]].ledger(job)["counts"] == undisturbed[1]
    assert content(pair[hosts[1]]) == content(undisturbed[0]), "expected what an undisturbed import makes, each lead once"


# ------------------------------------------------------------------------------------------------------------------- spool

@contextlib.contextmanager
def spool_gone(host):
    os.rename(host.path("spool"), host.path("spool.away"))
    try:
        yield
    finally:
        os.rename(host.path("spool.away"), host.path("spool"))


@contextlib.contextmanager
def spool_full(host):
    """A small disk of its own in the place of the spool, and little room left on it."""
    owner = pwd.getpwnam(host.service_user)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=24m,mode=700,uid={owner.pw_uid},gid={owner.pw_gid}", "tidegate-test", host.path("spool")], check=True)
    try:
        with open(host.path("spool", "other"), "wb") as file:
            file.write(bytes(12 << 20))
        yield
    finally:
        subprocess.run(["umount", "-l", host.path("spool")], check=True)


def health(host):
    answer = host.api("GET", "/api/health", token=None)
    return answer.status_code, answer.json()["status"], answer.json()["checks"]["storage"]


@pytest.mark.parametrize("broken, said", [(spool_gone, "unavailable"), (spool_full, "full")])
def test_a_host_without_a_spool_says_so_and_leaves_the_work_to_the_other(hosts, broken, said):
    a, b = spaces(hosts)
    assert [health(host)[0] for host in hosts] == [200, 200]
    with broken(a.gate):
        assert health(a.gate) == (503, "down", said)
        assert health(b.gate)[:2] == (200, "ok")
        wait_until(lambda: "worker_unfit" in a.gate.log_text("pool"), 30, "the workers of A to say why they take nothing")
        imports = [b.imported(people(3, 10 * n))["id"] for n in range(6)]
        assert health(a.gate)[0] == 503
    assert health(a.gate)[0] == 200
    ran = b.gate.sql("SELECT e.event, e.worker FROM tidegate.job_event e JOIN tidegate.job_history h ON h.id = e.job_id WHERE h.args->>'id' = ANY(%s)", imports)
    assert len(ran) == 18 and all(event == "done" and b.gate.works(worker) for event, worker in ran), f"expected B to do all of it at once, got {ran}"
    assert len(b.leads()) == 18


# ---------------------------------------------------------------------------------------------------------------- schedules

def test_schedules_run_once_over_all_hosts(hosts):
    """The slots of all schedules are made free again and again: each time the workers of both hosts compete for them."""
    sql = hosts[0].sql
    wait_until(lambda: "import.retention" in (names := {row[0] for row in sql("SELECT name FROM tidegate.cron_run")}) and "janitor" in names, 60, "the schedules to be taken")
    names, taken = sql("SELECT DISTINCT name FROM tidegate.cron_run ORDER BY name"), []

    def settled():
        return sql("SELECT DISTINCT name FROM tidegate.cron_run ORDER BY name") == names and \
            sql("SELECT count(*) FROM tidegate.job WHERE id IN (SELECT job_id FROM tidegate.cron_run)") == [(0,)]
    for _ in range(6):
        wait_until(settled, 60, "every schedule to be taken and its job to end")
        taken += sql("DELETE FROM tidegate.cron_run RETURNING job_id")
    wait_until(settled, 60, "every schedule to be taken and its job to end")
    slots = {row[0] for row in taken + sql("SELECT job_id FROM tidegate.cron_run") if row[0]}
    ran = [row[0] for row in sql("SELECT id FROM tidegate.job_history WHERE kind IN ('system.janitor', 'import.retention')")]
    assert len(ran) >= 14, f"expected a job of both kinds each time, got {len(ran)}"
    assert len(set(ran)) == len(ran) and set(ran) <= slots, f"expected one job for each slot that was taken, got {len(ran)} jobs for {len(slots)} slots"
