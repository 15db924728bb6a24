"""Imports whose processes are killed at every moment: what was acknowledged is there, and nothing is there twice."""
import os
import pathlib
import shutil
import signal
import subprocess
import threading

import psycopg
import pytest
import requests

from instance import BUILD, SANITIZED, Instance, unique
from patient import Client, content, end, look, reach
from space import JOBS, Space, people

ROWS = 40_000
MOMENTS = (0, 0.4, 0.9)  # share of the rows that is done when somebody dies


@pytest.fixture(scope="module")
def shared_frail_gate():
    instance = Instance(fsync="on", import__batch_rows=100, import__slice_rows=500, worker__lease_s=5, worker__reap_s=1).start()
    yield instance
    instance.stop()


@pytest.fixture
def frail(shared_frail_gate, request):
    """An instance that may be killed; small steps, a short lease, a database that writes to disk."""
    request.node.instances = [shared_frail_gate]
    return shared_frail_gate


@pytest.fixture(scope="module")
def sample():
    return subprocess.run([os.path.join(BUILD, "sample"), str(ROWS), "3"], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def undisturbed(shared_frail_gate, sample):
    """The same file imported in peace: the space to compare with, and its counts."""
    space = Client(shared_frail_gate)
    return space, space.imported(sample)["counts"]


def seed(space, undisturbed):
    """Every second lead is there before the import, without what the file will add."""
    space.gate.sql("INSERT INTO crm.lead (space, external_id, email, phone, last_name, company) SELECT %s, external_id, email, phone, last_name, 'before' "
                   "FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM crm.lead WHERE space = %s) l WHERE n %% 2 = 0", space.name, undisturbed[0].name)
    return len(space.leads())


def kill_lane(gate):
    """One of the processes that commit together, not the worker itself."""
    workers = gate.pids("work")
    for pid in workers:
        try:
            with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            if parent in workers:
                os.kill(pid, signal.SIGKILL)
                return True
        except (OSError, ValueError):
            pass
    return False


def kill_nginx_worker(gate):
    for pid, words in list(gate._session("nginx")):
        if b"worker" in words[0]:
            os.kill(pid, signal.SIGKILL)
            return


def kill_everything(gate):
    for kind in ("postgres", "pool", "nginx"):
        gate.processes[kind].kill()
    for kind in ("pool", "nginx"):
        gate.kill(kind)


def start_everything(gate):
    gate.restart_postgres()
    gate.start_pool()
    gate.start_nginx()


def all_over_again(gate):
    kill_everything(gate)
    start_everything(gate)


KILLS = {"work": lambda gate: gate.kill("work"), "postgres": Instance.restart_postgres, "everything": all_over_again, "serve": lambda gate: gate.kill("serve"),
         "nginx worker": kill_nginx_worker}


# ------------------------------------------------------------------------------------------------------------------ kill -9

@pytest.mark.parametrize("victim", KILLS)
def test_killed_in_parse_and_commit(frail, sample, undisturbed, victim):
    space = Client(frail)
    there_before = seed(space, undisturbed)
    job = space.inspected(sample)["id"]
    deaths = 0
    for phase, status, body in (("parsing", "ready", None), ("importing", "completed", {"duplicates": {"strategy": "update"}})):
        space.call(job, "parse" if phase == "parsing" else "commit", json=body)
        for moment in MOMENTS:
            if reach(space, job, phase, int(ROWS * moment)):
                KILLS[victim](frail)
                deaths += 1
        end(space, job, status)
    assert deaths >= 4, f"expected to meet the import under way, killed {deaths} times"
    counts, peace = space.ledger(job)["counts"], undisturbed[1]
    assert (counts["total"], counts["invalid"], counts["skipped"]) == (ROWS, peace["invalid"], peace["skipped"])
    assert (counts["updated"], counts["inserted"]) == (there_before, peace["inserted"] - there_before)
    assert content(space) == content(undisturbed[0]), "expected what an undisturbed import makes, each lead once"
    images = frail.sql("SELECT count(*), count(DISTINCT lead_id) FROM crm.lead_history WHERE job_id = %s AND event_type = 'updated' "
                       "AND before_data->>'company' = 'before' AND before_data->>'first_name' IS NULL", job)[0]
    assert images == (there_before,) * 2, f"expected one before-image of each of {there_before} leads, got {images}"


def test_what_a_crash_leaves_misleads_no_plan(frail, sample, undisturbed):
    """Marks that were taken back make the partition of outcomes look empty however full it gets: no join may go through it per row."""
    space = Client(frail)
    there_before = seed(space, undisturbed)
    job = space.inspected(sample)["id"]
    space.call(job, "parse")
    assert reach(space, job, "parsing", 1)
    with psycopg.connect(frail._conninfo("tidegate")) as crashed:
        crashed.execute("INSERT INTO tidegate.import_outcome (job_no, row_no, action) SELECT %s, n, 7 FROM generate_series(1, %s) AS n", [space.number(job), ROWS])
        crashed.rollback()
    end(space, job, "ready")
    assert space.ledger(space.commit(job, "update")["id"])["counts"]["updated"] == there_before


def test_a_killed_lane_is_done_again(frail, sample, undisturbed):
    space = Client(frail)
    job = space.parsed(sample)["id"]
    space.call(job, "commit")
    deaths = 0
    for moment in (0.1, 0.5):
        if reach(space, job, "importing", int(ROWS * moment)):
            deaths += kill_lane(frail)
    end(space, job, "completed")
    assert deaths, "expected a second process at work on a large commit"
    assert space.ledger(job)["counts"]["inserted"] == undisturbed[1]["inserted"]
    assert content(space) == content(undisturbed[0])


def test_a_killed_reader_is_a_failed_import_that_goes_on(frail, sample, undisturbed):
    space = Client(frail)
    job = space.inspected(sample)["id"]
    kept = {}
    space.call(job, "parse")
    for moment in (0.1, 0.5, 0.8):
        assert reach(space, job, "parsing", int(ROWS * moment)), "expected to meet the reader at work"
        frail.kill("read")
        found = space.soon(lambda: (look(space, job) or [""])[0] not in ("queued", "parsing") and look(space, job), "the import to stop")
        if found[0] == "ready":
            break  # all had been read
        assert (found[0], found[2]) == ("failed", "reader_out_of_memory"), f"expected a failed import with a reason, got {found}"
        state = space.get(job)
        assert state["error"]["message"] and not space.leads()
        rows = dict(frail.sql("SELECT row_no, row_id FROM tidegate.import_row WHERE job_no = %s", space.number(job)))
        assert len(rows) == state["counts"]["total"] >= ROWS * moment, "expected the rows up to the checkpoint to be kept"
        assert all(rows[number] == identifier for number, identifier in kept.items()), "expected no row to be read again"
        kept = rows
        space.call(job, "retry")
    assert kept
    end(space, job, "ready")
    assert space.commit(job)["counts"]["total"] == ROWS
    assert content(space) == content(undisturbed[0])


def test_a_worker_that_dies_too_often_fails_the_import_and_retry_goes_on(frail, sample, undisturbed):
    space = Client(frail)
    job = space.inspected(sample)["id"]
    for step, phase, status in (("parse", "parsing", "ready"), ("commit", "importing", "completed")):
        space.call(job, step)
        assert reach(space, job, phase, 4000)
        frail.sql("UPDATE tidegate.job SET attempt = max_attempts WHERE args->>'id' = %s", job)
        frail.kill("work")
        space.soon(lambda: (look(space, job) or [""])[0] == "failed", "the import to be given up")
        state = space.get(job)
        assert state["error"]["code"] == "worker_died" and 4000 <= state["progress"]["done"] < ROWS
        space.ledger(job)
        space.call(job, "retry")
        end(space, job, status)
    assert space.ledger(job)["counts"]["cancelled"] == 0
    assert content(space) == content(undisturbed[0])


def test_what_was_acknowledged_survives_the_death_of_everything(frail):
    space = Client(frail)
    data = people(500)
    uploaded = space.upload(data.encode(), unique())
    kill_everything(frail)
    start_everything(frail)
    assert frail.sql("SELECT state FROM tidegate.upload WHERE object_key = %s", uploaded) == [("stored",)]
    with open(frail.path("blobs", *uploaded.split("/")), encoding="utf-8", newline="") as file:
        assert file.read() == data
    answer = space.api("POST", JOBS, json={"objectKey": uploaded, "fileName": "a.csv", "fileSize": len(data.encode())})
    kill_everything(frail)
    assert answer.status_code == 201
    start_everything(frail)
    job = answer.json()["id"]
    end(space, job, "mapping")
    space.call(job, "parse")
    kill_everything(frail)
    start_everything(frail)
    end(space, job, "ready")
    space.call(job, "commit")
    kill_everything(frail)
    start_everything(frail)
    end(space, job, "completed")
    assert space.ledger(job)["counts"]["inserted"] == 500


def test_inspections_survive_too(frail, sample):
    spaces = [Client(frail) for _ in range(4)]
    jobs = [space.create(sample) for space in spaces]
    frail.kill("work")
    for space, job in zip(spaces, jobs):
        end(space, job, "mapping")
        assert [column["field"] for column in space.get(job)["columns"]][:5] == ["externalId", "firstName", "lastName", "email", "phone"]


# ------------------------------------------------------------------------------------------------------------ orderly ends

@pytest.mark.parametrize("how", ["SIGTERM to workers", "rolling restart"])
def test_an_orderly_end_loses_no_attempt_and_no_request(frail, sample, undisturbed, how):
    space = Client(frail)
    job = space.inspected(sample)["id"]
    statuses, stopping = [], threading.Event()

    def ask():
        session = requests.Session()
        session.trust_env, session.verify = False, frail.path("cert.pem")
        while not stopping.is_set():
            statuses.append(session.get(f"{frail.url}{JOBS}/{job}", headers={"Authorization": f"Bearer {space.token}"}, timeout=30).status_code)
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for step, phase, status in (("parse", "parsing", "ready"), ("commit", "importing", "completed")):
            space.call(job, step)
            assert reach(space, job, phase, ROWS // 4), f"expected to meet the import while {phase}"
            if how == "rolling restart":
                frail.kill("pool", signal.SIGHUP)
            else:
                frail.kill("work", signal.SIGTERM)
            end(space, job, status)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}, f"expected no failed request, got {set(statuses)}"
    space.ledger(job)
    assert content(space) == content(undisturbed[0])
    attempts = frail.sql("SELECT kind, attempt FROM tidegate.job_history WHERE args->>'id' = %s ORDER BY id", job)
    assert attempts == [("import.inspect", 1), ("import.parse", 1), ("import.commit", 1)], f"expected jobs to be handed on, not to fail, got {attempts}"


# ------------------------------------------------------------------------------------------------------ a reader that misbehaves

@pytest.fixture(scope="module")
def shared_misled_gate():
    """An instance whose reader does what a file says."""
    instance = Instance(import__reader_silence_s=2, import__reader_cpu_s=1)
    instance.misdeed, program = pathlib.Path(instance.path("misdeed")), pathlib.Path(instance.path("reader"))
    instance.options["import__reader_program"] = program
    shutil.copy(os.path.join(BUILD, "tests", "misreader"), instance.path("misreader"))
    # Started as PROGRAM read csv …: the shell drops these two and names the misdeed instead.
    program.write_text(f'#!/bin/sh\nread -r misdeed <{instance.misdeed}\nshift 2\nexec env {QUIET} {instance.path("misreader")} read "$misdeed" "$@"\n')
    program.chmod(0o755)
    instance.misdeed.write_text("csv\n")
    yield instance.start()
    instance.stop()


@pytest.fixture
def misled(shared_misled_gate, request):
    request.node.instances = [shared_misled_gate]
    yield shared_misled_gate
    shared_misled_gate.misdeed.write_text("csv\n")


# Sanitizers need an address space without limit and want to handle crashes themselves: not in the process that is to misbehave.
QUIET = "UBSAN_OPTIONS= ASAN_OPTIONS=detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_abort=0"
SANDBOX, PROTOCOL, BUSY = "reader_killed_by_sandbox", "reader_protocol_error", ("reader_cpu_limit", "reader_timeout")
MISDEEDS = {
    "open_file": SANDBOX, "old_open": SANDBOX, "socket": SANDBOX, "fork": SANDBOX, "exec": SANDBOX, "kill_parent": SANDBOX, "kill": SANDBOX, "map_code": SANDBOX,
    "map_input": SANDBOX, "ptrace": SANDBOX, "allocate": BUSY if SANITIZED else "reader_out_of_memory", "spin": BUSY, "silent": "reader_timeout", "crash": "reader_crashed",
    "abort": "reader_crashed", "garbage": PROTOCOL, "too_long": PROTOCOL, "lie_in_row": PROTOCOL, "lie_in_count": PROTOCOL, "end_early": PROTOCOL, "cut_frame": PROTOCOL,
    "rows_before_meta": PROTOCOL, "endless": BUSY, "slow": (*BUSY, PROTOCOL), "leave": PROTOCOL, "descriptors": PROTOCOL,
}


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_misdeed(misled, misdeed):
    """At the inspection and at the parse: a failed import with its reason, and a worker that goes on with the next."""
    space = Space(misled)
    misled.misdeed.write_text(misdeed + "\n")
    job = space.create(people(3))
    space.failed(job, MISDEEDS[misdeed])
    misled.misdeed.write_text("csv\n")
    space.call(job, "retry")
    space.wait(job, "mapping")
    misled.misdeed.write_text(misdeed + "\n")
    space.call(job, "parse")
    state = space.failed(job, MISDEEDS[misdeed])
    assert state["counts"]["total"] == 0
    misled.misdeed.write_text("csv\n")
    space.call(job, "retry")
    space.wait(job, "ready")
    assert space.commit(job)["counts"]["inserted"] == 3
    assert misled.pids("read") == [], "expected no reader to be left behind"


def test_a_reader_that_cannot_be_started(make_gate):
    space = Space(make_gate(import__reader_program="/nowhere/reader"))
    space.failed(space.create(people(1)), "reader_crashed")
