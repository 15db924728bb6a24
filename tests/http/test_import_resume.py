"""A commit that was stopped and goes on after another one has written the same records: nobody may be there twice."""
import psycopg

from instance import unique, wait_until

ROWS = 6000


def ready(gate, data, token):
    job = gate.create_job(data, token=token, allowDuplicate=True)
    gate.wait_for(job, "mapping", token=token)
    gate.api("POST", f"/api/import/jobs/{job}/parse", json={}, token=token)
    gate.wait_for(job, "ready", token=token)
    return job


def post(gate, job, what, token):
    answer = gate.api("POST", f"/api/import/jobs/{job}/{what}", json={}, token=token)
    assert answer.status_code == 202, f"expected 202 for {what}, got {answer.status_code} {answer.text}"


def counts(gate, job, status, token):
    return gate.wait_for(job, status, token=token)["counts"]


def test_a_resumed_commit_meets_what_others_wrote(make_gate):
    gate = make_gate(import__slice_rows=100)
    space = unique("resume")
    token = gate.token(sub=space, space=space)
    data = ("email;nom\n" + "".join(f"p{i}@example.org;N{i}\n" for i in range(ROWS))).encode()
    first, second = ready(gate, data, token), ready(gate, data, token)
    post(gate, first, "commit", token)
    wait_until(lambda: gate.sql("SELECT phase_done > 0 FROM tidegate.import_job WHERE id = %s", first) == [(True,)], 30, "the first slice of the commit")
    with psycopg.connect(gate._conninfo("tidegate")) as connection:
        connection.execute("LOCK TABLE crm.lead IN SHARE MODE")  # no slice passes while the cancel is asked for
        post(gate, first, "cancel", token)
    stopped = counts(gate, first, "cancelled", token)
    assert 0 < stopped["inserted"] < ROWS, f"expected the cancel to stop the commit half-way, got {stopped}"
    post(gate, second, "commit", token)
    done = counts(gate, second, "completed", token)
    assert (done["inserted"], done["skipped"]) == (ROWS - stopped["inserted"], stopped["inserted"]), f"expected the second to add the rest, got {done}"
    post(gate, first, "retry", token)
    again = counts(gate, first, "completed", token)
    leads, people = gate.sql("SELECT count(*), count(DISTINCT email) FROM crm.lead WHERE space = %s", space)[0]
    assert (leads, people) == (ROWS, ROWS), f"expected each of {ROWS} people once, got {leads} leads of {people} people; the retried import: {again}"
    assert again["inserted"] + again["skipped"] == again["total"] == ROWS, f"expected the ledger of the retried import to add up, got {again}"
