"""
kill -9 at named points of an import's way. A point is a change of the import's own row: a trigger makes the worker wait there,
in the middle of its transaction, until it has been killed. What follows must be what an undisturbed import makes.
"""
import os
import subprocess
import time

import psycopg
import pytest

from instance import BUILD, Instance
from patient import Client, end

ROWS, LOCK = 6000, 4711
POINTS = {
    "inspected": ("inspecting", "NEW.status = 'mapping'"),
    "first batch of the parse": ("parsing", "NEW.parsed_to > 0 AND OLD.parsed_to = 0"),
    "a later batch of the parse": ("parsing", "NEW.parsed_to > 3000 AND OLD.parsed_to <= 3000"),
    "marks of duplicates": ("parsing", "NEW.parsed AND NOT OLD.parsed"),
    "ready": ("parsing", "NEW.status = 'ready'"),
    "plan": ("importing", "NEW.planned AND NOT OLD.planned"),
    "first slice": ("importing", "NEW.phase_done > 0 AND OLD.phase_done = 0"),
    "a later slice": ("importing", "NEW.phase_done > 3000 AND OLD.phase_done <= 3000"),
    "last slice": ("importing", "NEW.phase_done = NEW.rows_total AND OLD.phase_done < NEW.rows_total"),
    "completed": ("importing", "NEW.status = 'completed'"),
    "plan of the undo": ("undoing", "NEW.undo_planned AND NOT OLD.undo_planned"),
    "a slice of the undo": ("undoing", "NEW.rows_reversed > 3000 AND OLD.rows_reversed <= 3000"),
    "undone": ("undoing", "NEW.status = 'undone'"),
}
KILLS = {"work": lambda gate: gate.kill("work"), "postgres": Instance.restart_postgres}


@pytest.fixture(scope="module")
def shared_frail_gate():
    instance = Instance(fsync="on", import__batch_rows=500, import__slice_rows=500, import__lanes=1, worker__lease_s=5, worker__reap_s=1).start()
    instance.sql(f"""CREATE FUNCTION public.failpoint() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NULL; END $$""")
    yield instance
    instance.stop()


@pytest.fixture
def space(shared_frail_gate, request):
    request.node.instances = [shared_frail_gate]
    return Client(shared_frail_gate)


@pytest.fixture(scope="module")
def sample():
    return subprocess.run([os.path.join(BUILD, "sample"), str(ROWS), "11"], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def peace(shared_frail_gate, sample):
    """The counts of the same file in peace."""
    return Client(shared_frail_gate).imported(sample)["counts"]


def kill_at(space, condition, phase, start, kill):
    """Starts a phase, waits until its worker stands at the point, kills. The trigger is gone before anything goes on."""
    gate = space.gate
    gate.sql(f"CREATE OR REPLACE TRIGGER failpoint AFTER UPDATE ON tidegate.import_job FOR EACH ROW WHEN (NEW.space = '{space.name}' AND OLD.status = '{phase}' AND "
             f"{condition}) EXECUTE FUNCTION public.failpoint()")
    with psycopg.connect(gate._conninfo("tidegate"), autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        job = start()
        space.soon(lambda: gate.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", LOCK), f"the worker to stand at {condition}")
        if kill is KILLS["work"]:
            kill(gate)
    if kill is not KILLS["work"]:
        kill(gate)
    # The backend of a killed worker may still hold the import: dropping the trigger waits for it.
    space.soon(lambda: dropped(gate), "the failpoint to be taken away")
    return job


def dropped(gate):
    try:
        gate.sql("DROP TRIGGER IF EXISTS failpoint ON tidegate.import_job")
        return True
    except psycopg.Error:
        time.sleep(0.2)
        return False


@pytest.mark.parametrize("victim", KILLS)
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(space, sample, peace, point, victim):
    phase, condition = POINTS[point]
    job = None

    def ask(what, json=None):
        space.call(job, what, json=json)
        return job
    for name, start, status in (("inspecting", lambda: space.create(sample), "mapping"), ("parsing", lambda: ask("parse"), "ready"),
                                ("importing", lambda: ask("commit"), "completed"), ("undoing", lambda: ask("undo"), "undone")):
        if name == "undoing" and phase != "undoing":
            break
        job = kill_at(space, condition, phase, start, KILLS[victim]) if name == phase else start()
        end(space, job, status)
    if phase != "undoing":
        counts = space.ledger(job)["counts"]
        assert counts == peace, f"expected the counts of an undisturbed import {peace}, got {counts}"
    else:
        counts = space.get(job)["counts"]
        assert (counts["reversed"], counts["kept"], counts["errored"]) == (peace["inserted"] + peace["updated"], 0, 0), f"got {counts}"
        assert not space.leads(), "expected no lead to be left"
