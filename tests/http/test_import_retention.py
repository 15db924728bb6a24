"""What ended long ago goes by itself, whole, and nothing else does."""
import itertools
import os
import re

import pytest

from instance import expect_problem, wait_until
from space import JOBS, Space, people

numbers = itertools.count(1000, 10)  # no two files are the same
BAD = "Zoé,Petit,pas un mail,SNCF\n"


@pytest.fixture
def space(gate):
    # The schedule's own runs of the next hour count as done: a run happens when a test says so.
    gate.sql("INSERT INTO tidegate.cron_run (name, slot) SELECT 'import.retention', to_timestamp(floor(extract(epoch FROM now()) / 600) * 600 + n * 600) "
             "FROM generate_series(0, 6) n ON CONFLICT DO NOTHING")
    wait_until(lambda: not gate.sql("SELECT count(*) FROM tidegate.job WHERE kind = 'import.retention'")[0][0], 20, "a run that had begun to end")
    return Space(gate)


def age(gate, job, days):
    gate.sql("UPDATE tidegate.import_job SET created_at = created_at - make_interval(days => %s), completed_at = completed_at - make_interval(days => %s), "
             "updated_at = updated_at - make_interval(days => %s) WHERE id = %s", days, days, days, job)


def things(gate, job):
    """Where everything of an import is: files, tables of rows, upload."""
    number, object_key, report_key = gate.sql("SELECT no, object_key, report_key FROM tidegate.import_job WHERE id = %s", job)[0]
    return {"number": number, "object": object_key, "files": [gate.path("blobs", key) for key in (object_key, report_key) if key]}


def left(gate, what):
    tables = [name for name in ("import_row", "import_outcome") if gate.sql("SELECT to_regclass(%s) IS NOT NULL", f"tidegate.{name}_{what['number']}")[0][0]]
    uploads = gate.sql("SELECT count(*) FROM tidegate.upload WHERE object_key = %s", what["object"])[0][0]
    jobs = gate.sql("SELECT count(*) FROM tidegate.import_job WHERE no = %s", what["number"])[0][0]
    return tables + [path for path in what["files"] if os.path.exists(path)] + ["upload"] * uploads + ["import"] * jobs


def run(gate):
    """One run of the schedule, to its end."""
    job = gate.sql("SELECT tidegate.job_enqueue('import.retention', '{}', '', NULL, NULL)")[0][0]
    wait_until(lambda: gate.sql("SELECT count(*) FROM tidegate.job_history WHERE id = %s AND state = 'done'", job)[0][0], 20, "the retention job to end")


def removed(gate):
    found = re.search(r"^tidegate_imports_expired_total (\d+)$", gate.api("GET", "/metrics", token=None).text, re.M)
    return int(found.group(1))


def ended(space, how):
    """An import in an end state, with a report and everything."""
    job = space.parsed(people(2, next(numbers)) + BAD)["id"]
    if how == "completed":
        space.commit(job)
    elif how == "cancelled":
        space.call(job, "cancel")
    else:
        space.gate.sql("UPDATE tidegate.import_job SET status = %s, completed_at = now() WHERE id = %s", how, job)
    return job


@pytest.mark.parametrize("how", ["completed", "cancelled", "failed", "undone"])
def test_an_old_import_goes_with_everything_but_its_records(space, gate, how):
    job = ended(space, how)
    what, leads = things(gate, job), space.leads("id")
    assert len(what["files"]) == 2 and all(os.path.exists(path) for path in what["files"]), "expected the file and the report"
    age(gate, job, 91)
    before = removed(gate)
    run(gate)
    expect_problem(space.api("GET", f"{JOBS}/{job}"), 404, "not_found")
    wait_until(lambda: not left(gate, what), 20, f"nothing of the import to be left, there is {left(gate, what)}")
    assert removed(gate) == before + 1
    assert space.leads("id") == leads and (how != "completed" or len(leads) == 2)


@pytest.mark.parametrize("how", ["completed", "cancelled", "failed"])
def test_a_young_one_stays(space, gate, how):
    job = ended(space, how)
    what = things(gate, job)
    age(gate, job, 89)
    all_of_it = left(gate, what)
    run(gate)
    assert left(gate, what) == all_of_it and space.get(job)["status"] == how


def test_what_has_not_ended_stays_whatever_its_age(space, gate):
    old = {"mapping": space.inspected(people(2, 10))["id"], "ready": space.parsed(people(2, 20))["id"]}
    for status in ("pending", "inspecting", "queued", "parsing", "importing", "undoing"):
        old[status] = space.parsed(people(2, 30 + len(old) * 10))["id"]
        gate.sql("UPDATE tidegate.import_job SET status = %s WHERE id = %s", status, old[status])
    for job in old.values():
        gate.sql("UPDATE tidegate.import_job SET completed_at = now() WHERE id = %s", job)  # as an import that was retried might have it
        age(gate, job, 4000)
    before = {job: left(gate, things(gate, job)) for job in old.values()}
    run(gate)
    assert {job: left(gate, things(gate, job)) for job in old.values()} == before
    for status, job in old.items():
        gate.sql("UPDATE tidegate.import_job SET status = 'cancelled', completed_at = now() WHERE id = %s", job)
        assert space.get(job)["status"] == "cancelled", status


def test_an_import_in_use_is_passed_over(space, gate):
    import psycopg
    job = ended(space, "completed")
    what = things(gate, job)
    age(gate, job, 100)
    with psycopg.connect(gate._conninfo("tidegate")) as connection:
        connection.execute("SELECT 1 FROM tidegate.import_job WHERE id = %s FOR UPDATE", (job,))
        run(gate)
        assert "import" in left(gate, what)
    run(gate)
    wait_until(lambda: not left(gate, what), 20, "the import to go once nobody uses it")


def test_the_same_file_may_come_again(space, gate):
    data = people(3)
    job = space.imported(data)["id"]
    space_of = {"objectKey": gate.upload(data.encode(), token=space.token), "fileName": "leads.csv", "fileSize": len(data.encode())}
    expect_problem(space.api("POST", JOBS, json=space_of), 409, "duplicate_file")
    age(gate, job, 91)
    run(gate)
    assert space.api("POST", JOBS, json=space_of).status_code == 201


def test_dry_run_lists_and_changes_nothing(space, gate):
    old, young = ended(space, "completed"), ended(space, "cancelled")
    age(gate, old, 91)
    before = left(gate, things(gate, old)), removed(gate)
    said = gate.run("retention", "--dry-run").stdout
    line = next(line for line in said.splitlines() if old in line)
    assert "completed" in line and space.name in line and "leads.csv" in line and "3 rows" in line and "lead" in line
    assert young not in said and "would go" in said.splitlines()[-1]
    assert (left(gate, things(gate, old)), removed(gate)) == before and space.get(old)["status"] == "completed"


def test_by_hand(space, gate):
    old, young = ended(space, "failed"), ended(space, "failed")
    what = things(gate, old)
    age(gate, old, 91)
    said = gate.run("retention").stdout
    assert old in said and young not in said and "removed" in said
    wait_until(lambda: not left(gate, what), 20, "the import to be gone")
    assert space.get(young)["status"] == "failed"
    assert gate.run("retention").stdout.startswith("0 imports removed")


def test_arguments_nobody_knows(gate):
    assert gate.run("retention", "--all", check=False).returncode == 64


def test_kept_for_ever(make_gate):
    gate = make_gate(import__retention_days=0)
    space = Space(gate)
    job = ended(space, "completed")
    age(gate, job, 4000)
    run(gate)
    assert space.get(job)["status"] == "completed" and "for ever" in gate.run("retention").stdout
    space.call(job, "", 204, "DELETE")


def test_other_spaces_and_times_each_by_themselves(make_gate):
    gate = make_gate(import__retention_days=7)
    spaces = [Space(gate) for _ in range(3)]
    jobs = [(space, ended(space, "completed")) for space in spaces]
    for days, (_, job) in zip((6, 8, 400), jobs):
        age(gate, job, days)
    run(gate)
    assert [space.api("GET", f"{JOBS}/{job}").status_code for space, job in jobs] == [200, 404, 404]
