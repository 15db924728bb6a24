"""Imports that stop in the middle: progress, rows that the database refuses, cancel, retry."""
import os
import subprocess

import psycopg
import pytest

from instance import BUILD
from space import JOBS, Space, people, table


@pytest.fixture
def space(gate):
    return Space(gate)


@pytest.fixture
def fine(own_instance):
    """A space where an import takes many small steps, so that it can be met in the middle of one."""
    return Space(own_instance(import__batch_rows=20, import__slice_rows=100))


@pytest.fixture(scope="module")
def sample():
    """20 000 rows, some invalid and some repeated."""
    return subprocess.run([os.path.join(BUILD, "sample"), "20000", "7"], check=True, capture_output=True).stdout


# ------------------------------------------------------------------------------------------------------------------ progress

def test_progress_moves_and_ends(fine, sample):
    job = fine.inspected(sample)["id"]
    for step, phase, end in (("parse", "parsing", "ready"), ("commit", "importing", "completed")):
        seen = []

        def look():
            state = fine.get(job)
            assert state["status"] not in ("failed", "cancelled"), f"expected {end}, got {state}"
            if state["status"] == phase:
                assert state["phase"] == phase
                seen.append(state["progress"])
            return state["status"] == end
        fine.call(job, step)
        fine.soon(look, f"{step} to end")
        assert len(seen) > 2, f"expected to see the {step} under way"
        done = [progress["done"] for progress in seen]
        assert done == sorted(done) and len(set(done)) > 2, f"expected progress to move and never back, got {done}"
        assert all(0 <= p["percent"] <= 100 and p["done"] <= p["total"] for p in seen), f"expected percents in range, got {seen}"
        assert any(p["rowsPerSecond"] > 0 and p["etaSeconds"] is not None for p in seen), f"expected a rate and a remaining time, got {seen}"
        last = fine.get(job)["progress"]
        assert (last["done"], last["total"], last["percent"]) == (20000, 20000, 100), f"expected all rows done, got {last}"
        assert last["rowsPerSecond"] > 0 and last["etaSeconds"] is None
    fine.ledger(job)


# ------------------------------------------------------------------------------------------------------------------ refused

def test_rows_that_the_database_refuses_fail_alone(space):
    """A rule of the table that no check of ours knows: here a unique index."""
    index = f"lead_test_{space.name.replace('-', '_')}"
    space.gate.sql(f"CREATE UNIQUE INDEX {index} ON crm.lead (city) WHERE space = '{space.name}'")
    try:
        job = space.parsed(table([["Nom", "Email", "Ville"]] + [[f"D{n}", f"d{n}@example.com", "Lyon" if n % 10 == 0 else f"V{n}"] for n in range(100)]))["id"]
        counts = space.commit(job)["counts"]
        assert (counts["inserted"], counts["failed"]) == (91, 9), f"expected nine rows to fail for the city of the first, got {counts}"
        failed = space.rows(job, "failed")
        assert [row["rowNumber"] for row in failed] == list(range(12, 102, 10)) and {row["reason"] for row in failed} == {"database_refused"}
        assert space.get(job)["reportRows"] == 9
    finally:
        space.gate.sql(f"DROP INDEX crm.{index}")


def test_a_table_that_refuses_everything_stops_the_commit(space):
    index = f"lead_test_{space.name.replace('-', '_')}"
    space.gate.sql(f"CREATE UNIQUE INDEX {index} ON crm.lead (city) WHERE space = '{space.name}'")
    try:
        job = space.parsed(table([["Nom", "Email", "Ville"]] + [[f"D{n}", f"d{n}@example.com", "Lyon"] for n in range(1200)]))["id"]
        space.call(job, "commit")
        state = space.wait(job, "failed")
        assert state["error"]["code"] == "too_many_refused"
        counts = space.ledger(job)["counts"]
        assert counts["inserted"] == 1 and counts["failed"] == 1000 and counts["cancelled"] == 199, f"expected to stop after 1000, got {counts}"
        space.call(job, "retry")
        space.wait(job, "completed")
        counts = space.ledger(job)["counts"]
        assert (counts["inserted"], counts["failed"], counts["cancelled"]) == (1, 1199, 0)
    finally:
        space.gate.sql(f"DROP INDEX crm.{index}")


# ----------------------------------------------------------------------------------------------------------- cancel and retry

def test_cancel_while_nothing_runs_is_at_once(space):
    job = space.inspected(people(3))["id"]
    assert space.call(job, "cancel")["status"] == "cancelled"
    assert space.call(job, "retry")["status"] == "mapping"
    space.parse(job)
    assert space.call(job, "cancel")["status"] == "cancelled"
    assert space.ledger(job)["counts"]["cancelled"] == 3, "expected the rows of a cancelled import to end as cancelled"
    assert space.call(job, "retry")["status"] == "ready", "expected an import that was ready to be ready again"
    assert space.commit(job)["counts"]["inserted"] == 3


def test_a_mapping_by_hand_survives_cancel_and_retry(space):
    job = space.inspected(table([["A", "B"], ["Durand", "ana@example.com"]]))["id"]
    space.call(job, "mapping", 200, "PUT", {"columns": {"0": "lastName", "1": "email"}})
    space.call(job, "cancel")
    space.call(job, "retry")
    assert [column["field"] for column in space.wait(job, "mapping")["columns"]] == ["lastName", "email"], "expected retry to go on where it stopped"


def under_way(space, job, phase, rows):
    """Waits until so many rows of a phase are done; the phase must not be over by then."""
    def look():
        state = space.get(job)
        assert state["status"] in ("queued", phase), f"expected to meet the import while {phase}, got {state['status']}"
        return state["status"] == phase and state["progress"]["done"] >= rows
    space.soon(look, f"{rows} rows of {phase}")


def test_a_parse_is_cancelled_and_goes_on(fine, sample):
    job = fine.inspected(sample)["id"]
    fine.call(job, "parse")
    under_way(fine, job, "parsing", 2000)
    fine.call(job, "cancel")
    state = fine.wait(job, "cancelled")
    assert 2000 <= state["counts"]["total"] < 20000, f"expected the parse to stop in the middle, got {state['counts']}"
    before = fine.gate.sql("SELECT row_no, row_id FROM tidegate.import_row WHERE job_no = %s", fine.number(job))
    assert len(before) == state["counts"]["total"] and not fine.leads()
    fine.ledger(job)
    fine.call(job, "retry")
    fine.wait(job, "ready")
    after = dict(fine.gate.sql("SELECT row_no, row_id FROM tidegate.import_row WHERE job_no = %s", fine.number(job)))
    assert all(after[number] == identifier for number, identifier in before), "expected the rows of the first try to be kept, not read again"
    assert fine.commit(job)["counts"]["total"] == 20000


def test_a_commit_is_cancelled_and_goes_on(fine, sample):
    job = fine.parsed(sample)["id"]
    fine.call(job, "commit")
    under_way(fine, job, "importing", 1000)
    fine.call(job, "cancel")
    state = fine.wait(job, "cancelled")
    counts = fine.ledger(job)["counts"]
    assert counts["cancelled"] > 0 and counts["inserted"] > 0, f"expected the commit to stop in the middle, got {counts}"
    assert state["completedAt"]
    kept = {identifier for identifier, in fine.leads("id")}
    fine.call(job, "retry")
    fine.wait(job, "completed")
    counts = fine.ledger(job)["counts"]
    assert counts["cancelled"] == 0 and counts["total"] == 20000
    assert kept <= {identifier for identifier, in fine.leads("id")}, "expected the leads of the first try to stay"


def test_deleting_a_cancelled_commit_leaves_what_came_in(fine, sample):
    job = fine.parsed(sample)["id"]
    fine.call(job, "commit")
    under_way(fine, job, "importing", 500)
    fine.refused(job, "", 409, "wrong_state", "DELETE")
    fine.call(job, "cancel")
    inserted = fine.wait(job, "cancelled")["counts"]["inserted"]
    fine.call(job, "", 204, "DELETE")
    assert len(fine.leads()) == inserted


def test_cancel_at_any_moment_leaves_a_true_ledger(fine):
    """Whichever side wins, a cancelled import tells the truth and can go on."""
    for turn in range(5):
        space = Space(fine.gate)
        job = space.parsed(people(900, turn * 1000))["id"]
        space.call(job, "commit")
        space.soon(lambda: space.get(job)["progress"]["done"] >= turn * 180, "some rows")
        answer = space.api("POST", f"{JOBS}/{job}/cancel")
        assert answer.status_code in (202, 409), f"expected 202 or, when it was over, 409, got {answer.status_code} {answer.text}"
        state = space.wait(job, ("cancelled", "completed"))
        assert state["status"] == "cancelled" or answer.status_code == 409 or space.ledger(job)["counts"]["inserted"] == 900
        space.ledger(job)
        if state["status"] == "cancelled":
            space.call(job, "retry")
            space.wait(job, "completed")
            assert space.ledger(job)["counts"]["inserted"] == 900


def test_a_cancel_while_duplicates_are_searched_counts(fine):
    job = fine.inspected(people(50))["id"]
    with psycopg.connect(fine.gate._conninfo("tidegate")) as wall:
        wall.execute("LOCK TABLE crm.lead")
        fine.call(job, "parse")
        fine.soon(lambda: fine.get(job)["progress"]["done"] == 50, "all rows to be read")
        fine.call(job, "cancel")
    assert fine.wait(job, ("cancelled", "ready"))["status"] == "cancelled", "expected a cancel that came after the last row to count"
    fine.call(job, "retry")
    fine.wait(job, "ready")
    assert fine.commit(job)["counts"]["inserted"] == 50


def test_a_cancel_before_the_first_slice_counts(fine):
    job = fine.parsed(people(250))["id"]
    with psycopg.connect(fine.gate._conninfo("tidegate")) as wall:
        wall.execute("LOCK TABLE crm.lead_history")
        fine.call(job, "commit")
        fine.soon(lambda: fine.gate.sql("SELECT planned FROM tidegate.import_job WHERE id = %s", job) == [(True,)], "the plan to be made")
        fine.call(job, "cancel")
    counts = fine.wait(job, "cancelled")["counts"]
    assert (counts["inserted"], counts["cancelled"]) == (100, 150), f"expected one slice and no more, got {counts}"
    fine.ledger(job)
    fine.call(job, "retry")
    fine.wait(job, "completed")
    assert fine.ledger(job)["counts"]["inserted"] == 250


def test_a_cancelled_inspection_stays_cancelled(fine, sample):
    job = fine.create(sample)
    answer = fine.api("POST", f"{JOBS}/{job}/cancel")
    assert answer.status_code == 202, f"expected 202, got {answer.status_code} {answer.text}"
    state = fine.wait(job, ("cancelled", "mapping"))
    if state["status"] == "cancelled":
        fine.call(job, "retry")
        fine.wait(job, "mapping")
    assert fine.parse(job)["counts"]["total"] == 20000
