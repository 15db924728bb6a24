"""/api/jobs: who sees which jobs, dead letters brought back and dismissed, waiting and running ones cancelled, and what the imports behind them make of it."""
import concurrent.futures
import os
import re
import subprocess

import psycopg
import pytest

from instance import BUILD, expect_problem, unique, wait_until
from space import JOBS, Space, people

QUEUE = "/api/jobs"
ELSEWHERE = "test.elsewhere"  # a kind of a queue that no worker of these instances looks at


@pytest.fixture
def space(gate):
    return Space(gate)


@pytest.fixture
def fine(own_instance):
    """A space where an import takes many small steps and a dead worker is soon missed."""
    return Space(own_instance(import__batch_rows=50, import__slice_rows=100, worker__reap_s=1))


@pytest.fixture(scope="module")
def sample():
    return subprocess.run([os.path.join(BUILD, "sample"), "20000", "11"], check=True, capture_output=True).stdout


def add(space, kind=ELSEWHERE, state="ready", **fields):
    """A job of the space in a queue of nobody; its id."""
    values = {"queue": "elsewhere", "kind": kind, "space": space.name, "state": state, **fields}
    return space.gate.sql(f"INSERT INTO tidegate.job ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))}) RETURNING id", *values.values())[0][0]


def jobs(space, **query):
    """Every job of a list, page after page."""
    found, cursor = [], None
    while True:
        page = space.api("GET", QUEUE + "?" + "&".join(f"{name}={value}" for name, value in {**query, "cursor": cursor}.items() if value is not None))
        assert page.status_code == 200, f"expected a page, got {page.status_code} {page.text}"
        found += page.json()["items"]
        cursor = page.json()["nextCursor"]
        if cursor is None:
            return found


def look(space, job):
    answer = space.api("GET", f"{QUEUE}/{job}")
    assert answer.status_code == 200, f"expected the job, got {answer.status_code} {answer.text}"
    return answer.json()


def act(space, job, what, status=202, code=None, **options):
    answer = space.api("POST", f"{QUEUE}/{job}/{what}", **options)
    if code:
        return expect_problem(answer, status, code)
    assert answer.status_code == status, f"expected {status} for {what}, got {answer.status_code} {answer.text}"
    return answer.json()


def events(state):
    return [event["event"] for event in state["events"]]


def job_of(space, identifier, kind):
    """The id of the job of that kind about an import."""
    found = [job["id"] for job in jobs(space, kind=kind) if job["subject"] == identifier]
    assert len(found) == 1, f"expected one {kind} of the import, got {found}"
    return found[0]


def failed_import(space):
    """An import whose inspection finds nothing: a dead letter with a reason."""
    identifier = space.create("Email\n")
    assert space.wait(identifier, "failed")["error"]["code"] == "no_rows"
    return identifier, job_of(space, identifier, "import.inspect")


# ------------------------------------------------------------------------------------------------------------- what is seen

def test_states_and_kinds(space):
    made = {
        "ready": add(space), "scheduled": add(space, run_at="2099-01-01"), "running": add(space, state="running", kind="test.running"),
        "dead": add(space, state="failed", last_error="io", attempt=3)}
    for state, job in made.items():
        assert [item["id"] for item in jobs(space, state=state)] == [job], f"expected the one job that is {state}"
        assert look(space, job)["state"] == state
    assert [item["id"] for item in jobs(space)] == sorted(made.values(), reverse=True), "expected all of them, newest first"
    assert [item["id"] for item in jobs(space, kind="test.running")] == [made["running"]]
    assert jobs(space, kind="test.running", state="dead") == [] and jobs(space, state="done") == []
    dead = look(space, made["dead"])
    assert (dead["attempt"], dead["maxAttempts"], dead["runAt"], dead["endedAt"]) == (3, 8, None, None)
    assert dead["lastError"] == {"code": "io", "message": None} and look(space, made["ready"])["lastError"] is None
    assert look(space, made["scheduled"])["runAt"] == "2099-01-01T00:00:00Z"
    for state, job in (("cancelled", made["ready"]), ("cancelled", made["dead"])):
        act(space, job, "cancel")
        assert look(space, job)["state"] == state and look(space, job)["endedAt"]
    assert {item["id"] for item in jobs(space, state="cancelled")} == {made["ready"], made["dead"]}
    space.gate.sql("DELETE FROM tidegate.job WHERE space = %s", space.name)


def test_a_finished_import_shows_its_jobs(space):
    identifier = space.imported(people(3))["id"]
    found = jobs(space, state="done")
    assert [(job["kind"], job["subject"], job["attempt"]) for job in found] == [(f"import.{kind}", identifier, 1) for kind in ("commit", "parse", "inspect")]
    state = look(space, found[0]["id"])
    assert events(state) == ["done"] and state["createdAt"] <= state["startedAt"] <= state["endedAt"] and state["events"][0]["attempt"] == 1


def test_pages(space):
    made = [add(space, run_at="2099-01-01") for _ in range(7)]
    for job in made[::2]:
        act(space, job, "cancel")
    for limit in (1, 2, 3, 7, 500):
        assert [item["id"] for item in jobs(space, limit=limit)] == made[::-1], f"expected every job once by pages of {limit}"
    assert len(space.api("GET", f"{QUEUE}?limit=3").json()["items"]) == 3
    assert [item["id"] for item in jobs(space, state="cancelled", limit=3)] == made[::2][::-1]
    space.gate.sql("DELETE FROM tidegate.job WHERE space = %s", space.name)


@pytest.mark.parametrize("query, code", [
    ("limit=0", "invalid_field"), ("limit=501", "invalid_field"), ("limit=x", "invalid_field"), ("state=failed", "invalid_field"), ("state=DEAD", "invalid_field"),
    ("kind=" + "k" * 65, "invalid_field"), ("cursor=x", "invalid_cursor"), ("cursor=0", "invalid_cursor"), ("cursor=-1", "invalid_cursor"),
    ("cursor=9223372036854775808", "invalid_cursor"), ("cursor=1%2C2", "invalid_cursor")])
def test_wrong_queries(space, query, code):
    expect_problem(space.api("GET", f"{QUEUE}?{query}"), 400, code)


@pytest.mark.parametrize("identifier", ["0", "-1", "x", "1x", "1.5", "9223372036854775808", "%00", "%20", "00000000-0000-0000-0000-000000000000", "9223372036854775807"])
def test_what_is_no_job_is_not_found(space, identifier):
    status, code = (400, "invalid_request") if identifier == "%00" else (404, "not_found")
    for method, what in (("GET", ""), ("POST", "/retry"), ("POST", "/cancel")):
        expect_problem(space.api(method, f"{QUEUE}/{identifier}{what}"), status, code)


def test_another_space_sees_and_changes_nothing(space):
    waiting, dead = add(space), add(space, state="failed")
    stranger = Space(space.gate)
    assert jobs(stranger) == []
    for job in (waiting, dead):
        expect_problem(stranger.api("GET", f"{QUEUE}/{job}"), 404, "not_found")
        for what in ("retry", "cancel"):
            act(stranger, job, what, 404, "not_found")
    assert (look(space, waiting)["state"], look(space, dead)["state"]) == ("ready", "dead")
    space.gate.sql("DELETE FROM tidegate.job WHERE space = %s", space.name)


def test_jobs_of_the_system_are_nobodys(space):
    job = space.gate.sql("INSERT INTO tidegate.job (queue, kind, state) VALUES ('elsewhere', %s, 'failed') RETURNING id", ELSEWHERE)[0][0]
    expect_problem(space.api("GET", f"{QUEUE}/{job}"), 404, "not_found")
    act(space, job, "retry", 404, "not_found")
    assert space.gate.sql("SELECT tidegate.job_cancel(%s)", job) == [(True,)], "expected whoever keeps the database to be able to dismiss it"


@pytest.mark.parametrize("role, status, code", [("member", 403, "forbidden"), (None, 401, "unauthorized")])
def test_only_administrators(space, role, status, code):
    job = add(space, state="failed")
    token = space.gate.token(role, space.sub, space.name) if role else None
    for method, path in (("GET", QUEUE), ("GET", f"{QUEUE}/{job}"), ("POST", f"{QUEUE}/{job}/retry"), ("POST", f"{QUEUE}/{job}/cancel")):
        expect_problem(space.gate.api(method, path, token=token), status, code)
    assert look(space, job)["state"] == "dead"
    space.gate.sql("DELETE FROM tidegate.job WHERE space = %s", space.name)


# ---------------------------------------------------------------------------------------------------- retry and cancel as such

def test_a_dead_letter_comes_back_with_all_its_attempts(space):
    job = add(space, state="failed", attempt=8, last_error="io", cancel_requested=True)
    state = act(space, job, "retry")
    assert (state["state"], state["attempt"], state["cancelRequested"]) == ("ready", 0, False) and events(state) == ["redriven"]
    assert state["events"][0]["actor"] == space.sub
    said = act(space, job, "retry", 409, "job_wrong_state")
    assert said["state"] == "ready"
    act(space, job, "cancel")
    for what in ("retry", "cancel"):
        assert act(space, job, what, 409, "job_wrong_state")["state"] == "cancelled"


def test_refusals_are_said_in_both_languages(space):
    job = add(space)
    said = {language: act(space, job, "retry", 409, "job_wrong_state", headers={"Accept-Language": language})["detail"] for language in ("fr", "en")}
    assert "tâche" in said["fr"] and "job" in said["en"]
    act(space, job, "cancel")


def test_a_retried_job_is_taken_and_its_events_tell_the_tale(space):
    """Of a kind that nobody knows: it dies again, and says so."""
    job = space.gate.sql("SELECT tidegate.job_enqueue('test.nobody_knows', '{}', %s, NULL, NULL)", space.name)[0][0]
    wait_until(lambda: look(space, job)["state"] == "dead", 60, "the job to be given up")
    act(space, job, "retry")
    wait_until(lambda: look(space, job)["state"] == "dead", 60, "the job to be given up again")
    state = look(space, job)
    assert [(event["event"], event["attempt"]) for event in state["events"]] == [("dead", 1), ("redriven", None), ("dead", 1)]
    assert state["events"][0]["error"]["code"] == "unknown_kind" == state["lastError"]["code"]
    assert events(act(space, job, "cancel"))[-1] == "cancelled"


def test_many_retries_at_once_have_one_effect(space):
    job = add(space, state="failed")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [answer.status_code for answer in pool.map(lambda _: Space(space.gate, space.sub, space.name).api("POST", f"{QUEUE}/{job}/retry"), range(8))]
    assert sorted(answers) == [202] + [409] * 7, f"expected one retry to have an effect, got {answers}"
    assert events(look(space, job)) == ["redriven"]
    act(space, job, "cancel")


def test_an_idempotency_key_gives_the_first_answer_again(space):
    job, other = add(space, state="failed"), add(space, state="failed")
    key = {"Idempotency-Key": unique()}
    first = space.api("POST", f"{QUEUE}/{job}/retry", headers=key)
    again = space.api("POST", f"{QUEUE}/{job}/retry", headers=key)
    assert (first.status_code, again.status_code, again.headers["idempotency-replayed"]) == (202, 202, "true") and again.json() == first.json()
    act(space, other, "retry", 422, "idempotency_mismatch", headers=key)
    assert look(space, other)["state"] == "dead" and events(look(space, job)) == ["redriven"]
    space.gate.sql("DELETE FROM tidegate.job WHERE space = %s", space.name)


def test_a_running_job_is_asked_to_stop(space):
    job = add(space, state="running", lease_until="2099-01-01")
    state = act(space, job, "cancel")
    assert (state["state"], state["cancelRequested"], events(state)) == ("running", True, ["cancel_requested"])
    space.gate.sql("DELETE FROM tidegate.job WHERE id = %s", job)


@pytest.mark.parametrize("kind", ["import.remove", "import.review"])
@pytest.mark.parametrize("state", ["ready", "failed"])
def test_jobs_that_others_rely_on_are_not_cancelled(space, kind, state):
    job = add(space, kind=kind, state=state)
    act(space, job, "cancel", 409, "job_needed")
    if state == "failed":
        assert act(space, job, "retry")["state"] == "ready"
    space.gate.sql("DELETE FROM tidegate.job WHERE id = %s", job)


def test_a_dead_letter_whose_work_is_asked_for_again_comes_back_as_itself(gate):
    key = unique("slot")
    query = "SELECT tidegate.job_enqueue(%s, %s, '', %s, NULL, now() + interval '1 hour')"
    first = gate.sql(query, ELSEWHERE, '{"n": 1}', key)[0][0]
    gate.sql("UPDATE tidegate.job SET state = 'failed', attempt = 8 WHERE id = %s", first)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = [row[0][0] for row in pool.map(lambda _: gate.sql(query, ELSEWHERE, '{"n": 2}', key), range(8))]
    assert [job for job in made if job] == [first], f"expected the one dead letter back and nothing beside it, got {made}"
    assert gate.sql("SELECT state, attempt, args FROM tidegate.job WHERE id = %s", first) == [("ready", 0, {"n": 2})]
    gate.sql("SELECT tidegate.job_cancel(%s)", first)


# -------------------------------------------------------------------------------------------------------------------- imports

def die(space, identifier, phase):
    """The worker of an import dies once too often while it is in that phase. The id of the dead letter."""
    def there():
        state = space.get(identifier)
        assert state["status"] in ("queued", phase), f"expected to meet the import while {phase}, got {state['status']}"
        return state["status"] == phase and state["progress"]["done"] >= 1000
    space.soon(there, f"rows of {phase}")
    space.gate.sql("UPDATE tidegate.job SET attempt = max_attempts WHERE args->>'id' = %s", identifier)
    space.gate.kill("work")
    assert space.wait(identifier, "failed")["error"]["code"] == "worker_died"
    dead = [job for job in jobs(space, state="dead") if job["subject"] == identifier]
    assert len(dead) == 1, f"expected one dead letter, got {dead}"
    return dead[0]["id"]


def test_dead_letters_made_by_kill_are_redriven_to_completion(fine, sample):
    identifier = fine.inspected(sample)["id"]
    for step, phase, end in (("parse", "parsing", "ready"), ("commit", "importing", "completed")):
        fine.call(identifier, step)
        job = die(fine, identifier, phase)
        state = look(fine, job)
        assert events(state)[-2:] == ["lease_expired", "dead"] and state["lastError"]["code"] == "worker_died" and state["lastError"]["message"]
        done = fine.get(identifier)["progress"]["done"]
        assert act(fine, job, "retry")["state"] == "ready"
        fine.wait(identifier, end)
        assert done >= 1000 and look(fine, job)["state"] == "done", "expected the dead letter itself to have done the work"
        assert events(look(fine, job))[-2:] == ["redriven", "done"]
    assert fine.ledger(identifier)["counts"]["total"] == 20000
    assert jobs(fine, state="dead") == []


def test_the_retry_of_an_import_takes_its_dead_letter(space):
    identifier, job = failed_import(space)
    space.call(identifier, "retry")
    space.wait(identifier, "failed")
    assert events(look(space, job)) == ["dead", "redriven", "dead"], "expected one dead letter, however often it is retried and by which address"
    assert [item["id"] for item in jobs(space, state="dead")] == [job]
    act(space, job, "retry")
    space.wait(identifier, "failed")
    space.call(identifier, "mapping", 202, "PUT", {"headerRow": 0})
    space.wait(identifier, "mapping")
    assert look(space, job)["state"] == "done" and jobs(space, state="dead") == []
    assert act(space, job, "retry", 409, "job_wrong_state")["state"] == "done"


def test_retries_by_both_addresses_at_once_have_one_effect(space):
    identifier, job = failed_import(space)
    paths = [f"{QUEUE}/{job}/retry", f"{JOBS}/{identifier}/retry"] * 3
    with psycopg.connect(space.gate._conninfo("tidegate")) as wall:
        wall.execute("SELECT FROM tidegate.import_job WHERE id = %s FOR UPDATE", [identifier])  # all of them arrive before one may go on
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(Space(space.gate, space.sub, space.name).api, "POST", path) for path in paths]
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'tidegate' AND wait_event_type = 'Lock'"
            wait_until(lambda: space.gate.sql(waiting)[0][0] >= 2, 20, "retries that wait for the import")
            wall.commit()
            answers = sorted(answer.result().status_code for answer in asked)
    assert answers.count(202) >= 1 and set(answers) <= {202, 409}
    space.wait(identifier, "failed")
    found = look(space, job)
    assert events(found).count("redriven") == answers.count(202), f"expected an effect for every acceptance and for nothing else, got {answers}, {events(found)}"
    assert len(jobs(space, kind="import.inspect")) == 1


def test_a_dead_letter_that_is_dismissed_leaves_the_import_failed(space):
    identifier, job = failed_import(space)
    assert act(space, job, "cancel")["state"] == "cancelled"
    assert space.get(identifier)["status"] == "failed" and jobs(space, state="dead") == []
    space.call(identifier, "retry")
    space.wait(identifier, "failed")
    assert [item["state"] for item in jobs(space, kind="import.inspect")] == ["dead", "cancelled"], "expected another job to do what was dismissed"


def test_dismissing_and_retrying_at_once_never_leaves_an_import_without_a_job(space):
    for turn in range(6):
        identifier, job = failed_import(Space(space.gate, space.sub, space.name))
        other = Space(space.gate, space.sub, space.name)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            dismissed = pool.submit(other.api, "POST", f"{QUEUE}/{job}/cancel")
            retried = pool.submit(space.api, "POST", f"{JOBS}/{identifier}/retry" if turn % 2 else f"{QUEUE}/{job}/retry")
        answers = dismissed.result().status_code, retried.result().status_code
        assert set(answers) <= {202, 409} and 202 in answers, f"expected at least one of the two to be done, got {answers}"
        space.wait(identifier, ("failed", "cancelled"))
        space.call(identifier, "", 204, "DELETE")


def test_deleting_a_failed_import_dismisses_its_dead_letter(space):
    identifier, job = failed_import(space)
    space.call(identifier, "", 204, "DELETE")
    assert look(space, job)["state"] == "cancelled" and jobs(space, state="dead") == []


def test_cancelling_a_running_job_cancels_its_import(fine, sample):
    identifier = fine.inspected(sample)["id"]
    fine.call(identifier, "parse")
    fine.soon(lambda: fine.get(identifier)["progress"]["done"] >= 500, "some rows")
    job = job_of(fine, identifier, "import.parse")
    state = act(fine, job, "cancel")
    assert state["state"] == "running" and state["cancelRequested"]
    assert fine.wait(identifier, "cancelled")["counts"]["total"] < 20000
    wait_until(lambda: look(fine, job)["state"] == "cancelled", 30, "the job to have ended as cancelled")
    fine.ledger(identifier)
    fine.call(identifier, "retry")
    fine.wait(identifier, "ready")


def test_cancelling_a_waiting_job_cancels_its_import(fine):
    identifier = fine.parsed(people(40))["id"]
    serial = fine.gate.sql("INSERT INTO tidegate.job (queue, kind, state, serial_key) VALUES ('elsewhere', 'test.wall', 'running', %s) RETURNING id",
                           f"import.commit:{fine.name}")[0][0]
    fine.call(identifier, "commit")
    job = job_of(fine, identifier, "import.commit")
    assert act(fine, job, "cancel")["state"] == "cancelled"
    assert fine.get(identifier)["status"] == "cancelled"
    assert fine.ledger(identifier)["counts"]["cancelled"] == 40
    fine.gate.sql("DELETE FROM tidegate.job WHERE id = %s", serial)
    fine.call(identifier, "retry")
    fine.wait(identifier, "completed")


# ----------------------------------------------------------------------------------------------------- the walls, the metrics

def scoped(space, query, *values):
    """As the request role in the scope of the space; rows, or the SQLSTATE of the refusal."""
    with psycopg.connect(space.gate._conninfo("tidegate")) as connection:
        connection.execute("SELECT set_config('tidegate.space', %s, true), set_config('tidegate.sub', %s, true)", (space.name, space.sub))
        connection.execute("SET LOCAL ROLE tidegate_api")
        try:
            return connection.execute(query, values).fetchall()
        except psycopg.Error as error:
            return error.sqlstate


def test_the_second_wall(space):
    stranger = Space(space.gate)
    dead, waiting = add(space, state="failed"), add(space)
    ended = add(space)
    act(space, ended, "cancel")
    for table, job in (("job", waiting), ("job_history", ended)):
        query = f"SELECT count(*) FROM tidegate.{table} WHERE id = %s"
        assert scoped(space, query, job) == [(1,)] and scoped(stranger, query, job) == [(0,)]
    query = "SELECT count(*) FROM tidegate.job_event WHERE job_id = %s"
    assert scoped(space, query, ended) == [(1,)] and scoped(stranger, query, ended) == [(0,)]
    for call, job in (("job_retry_own(%s)", dead), ("job_cancel_own(%s, true)", dead), ("job_cancel_own(%s, false)", waiting)):
        assert scoped(stranger, f"SELECT tidegate.{call}", job) == [(False,)], f"expected {call} to do nothing to a job of another space"
    for call, job in (("job_cancel_own(%s, false)", dead), ("job_cancel_own(%s, true)", waiting)):
        assert scoped(space, f"SELECT tidegate.{call}", job) == [(False,)], f"expected {call} to take a dead letter for one and a waiting job for one"
    for call in ("job_cancel(%s)", "job_cancel_live(%s)", "job_discard(%s, 'ready')", "job_note(%s, 'x')"):
        assert scoped(space, f"SELECT tidegate.{call}", waiting) == "42501", f"expected {call} to be refused to the request role"
    assert (look(space, dead)["state"], look(space, waiting)["state"]) == ("dead", "ready")
    space.gate.sql("DELETE FROM tidegate.job WHERE space = %s", space.name)


def figures(gate):
    text = gate.api("GET", "/metrics", token=None).text
    return {name: int(value) for name, value in re.findall(r"^(tidegate_queue\S+) (-?\d+)$", text, re.M)}, text


def test_metrics_count_the_jobs_of_all_spaces(make_gate):
    gate = make_gate(server__processes=2, worker__processes=1)
    gate.kill("work", 19)  # stopped: nothing is taken while it is counted
    space, other = Space(gate), Space(gate)
    before, _ = figures(gate)
    add(space, run_at="2020-01-01")
    add(other, run_at="2099-01-01")
    add(other, state="running", lease_until="2099-01-01")
    for owner in (space, other):
        add(owner, state="failed", kind='odd "kind"\n')
    after, text = figures(gate)
    grown = {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}
    oldest = grown.pop("tidegate_queue_oldest_ready_seconds")
    assert oldest > 86400 * 365, f"expected the age of the oldest job that is due, got {oldest}"
    assert grown == {
        'tidegate_queue_jobs{state="ready"}': 1, 'tidegate_queue_jobs{state="scheduled"}': 1, 'tidegate_queue_jobs{state="running"}': 1,
        'tidegate_queue_jobs{state="dead"}': 2, f'tidegate_queue_jobs_by_kind{{kind="{ELSEWHERE}",state="ready"}}': 1,
        f'tidegate_queue_jobs_by_kind{{kind="{ELSEWHERE}",state="scheduled"}}': 1, f'tidegate_queue_jobs_by_kind{{kind="{ELSEWHERE}",state="running"}}': 1,
        'tidegate_queue_jobs_by_kind{kind="other",state="dead"}': 2}
    assert 'result="failed"' in text and all(line.startswith(("#", "tidegate_")) for line in text.splitlines()), "expected nothing but metrics"
    assert gate.api("GET", "/api/health", token=None).json()["checks"]["queue"] == "late", "expected health to see a job of any space that waits"
    gate.kill("work", 18)


def test_metrics_name_no_more_than_forty_kinds(make_gate):
    gate = make_gate(server__processes=1, worker__processes=1)
    gate.sql("INSERT INTO tidegate.job (queue, kind, state) SELECT 'elsewhere', 'test.kind_' || n, 'failed' FROM generate_series(1, 100) AS n")
    found, _ = figures(gate)
    kinds = {name for name in found if "by_kind" in name and 'state="dead"' in name}
    assert len(kinds) <= 41 and found['tidegate_queue_jobs{state="dead"}'] == 100
    assert sum(found[name] for name in kinds) == 100, "expected every job to be counted under some kind"
