"""The queue's rules (sql/functions/jobs.sql), attacked from many connections at once. Kinds here are unknown to the workers' default queue."""
import concurrent.futures
import threading

import psycopg
import pytest

from instance import unique, wait_until


@pytest.fixture
def queue(gate):
    """A queue of the test's own, so that the instance's workers leave it alone."""
    name = unique("queue")
    gate.queue_name = name
    yield name
    gate.sql("DELETE FROM tidegate.job WHERE queue = %s", name)


def add(gate, queue, count=1, **fields):
    names = ["queue", "kind", *fields]
    values = [queue, "test.kind", *fields.values()]
    marks = ", ".join(["%s"] * len(values))
    gate.sql(f"INSERT INTO tidegate.job ({', '.join(names)}) SELECT {marks} FROM generate_series(1, {count})", *values)


def claim(gate, queue, lease="1 minute", limit=1):
    return gate.sql("SELECT id, token::text, attempt FROM tidegate.job_claim(%s, 'tester', %s, %s)", [queue], lease, limit)


def refused(gate, query, *values):
    try:
        gate.sql(query, *values)
    except psycopg.Error as error:
        return error.sqlstate
    return None


def test_32_claimers_take_each_job_once(gate, queue):
    add(gate, queue, 200)
    barrier = threading.Barrier(32)

    def work(_):
        taken = []
        with psycopg.connect(gate._conninfo("tidegate"), autocommit=True) as connection:
            barrier.wait(20)
            while True:
                rows = connection.execute("SELECT id FROM tidegate.job_claim(%s, 'tester', '1 minute', 1)", ([queue],)).fetchall()
                if not rows:
                    return taken
                taken.append(rows[0][0])

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        taken = [job for part in pool.map(work, range(32)) for job in part]
    assert len(taken) == len(set(taken)) == 200, f"200 jobs must be claimed once each, got {len(taken)} claims of {len(set(taken))} jobs"


def test_priority_then_age(gate, queue):
    add(gate, queue, priority=50)
    add(gate, queue, priority=10)
    add(gate, queue, priority=50)
    order = [claim(gate, queue)[0][0] for _ in range(3)]
    first, second, third = [row[0] for row in gate.sql("SELECT id FROM tidegate.job WHERE queue = %s ORDER BY id", queue)]
    assert order == [second, first, third], "the most urgent comes first, then the oldest"


def test_a_future_job_waits(gate, queue):
    gate.sql("INSERT INTO tidegate.job (queue, kind, run_at) VALUES (%s, 'test.kind', now() + interval '1 hour')", queue)
    assert claim(gate, queue) == [], "a job whose time has not come must not be claimed"


def test_fence_a_lost_token_changes_nothing(gate, queue):
    add(gate, queue)
    job, old, _ = claim(gate, queue, lease="-1 second")[0]
    gate.sql("SELECT * FROM tidegate.job_reap()")
    new = claim(gate, queue)[0]
    assert new[0] == job and new[2] == 2, "an expired lease gives the job to the next claimer, as a new attempt"
    for call in ("job_beat(%s, %s, '1 minute', NULL)", "job_end(%s, %s, 'done')", "job_fail(%s, %s, 'x', false)"):
        assert refused(gate, f"SELECT tidegate.{call}", job, old) == "TGLST", f"{call} with a lost token must raise TGLST"
    gate.sql("SELECT tidegate.job_end(%s, %s, 'done')", job, new[1])
    assert gate.sql("SELECT state FROM tidegate.job_history WHERE id = %s", job) == [("done",)], "what is done moves to the history"


def test_serial_keys_run_one_at_a_time(gate, queue):
    key = unique("serial")
    add(gate, queue, 3, serial_key=key)
    first = claim(gate, queue)
    assert len(first) == 1, f"only one job of a serial key may run, got {len(first)}"
    assert claim(gate, queue) == [], "the next waits for the first to end"
    gate.sql("SELECT tidegate.job_end(%s, %s, 'done')", first[0][0], first[0][1])
    assert len(claim(gate, queue)) == 1, "after it has ended the next may run"


def test_serial_keys_under_many_claimers(gate, queue):
    key = unique("serial")
    add(gate, queue, 20, serial_key=key)

    def work(_):
        try:
            return len(claim(gate, queue))
        except psycopg.errors.UniqueViolation:
            return 0  # the lost race that the worker looks at again later

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(16))) == 1, "16 claimers at once must get one job of a serial key"


def test_dedupe_keys_hold_while_a_job_lives(gate, queue):
    key = unique("dedupe")
    query = "SELECT tidegate.job_enqueue('test.unknown', '{}', '', %s, NULL, now() + interval '1 hour')"
    first = gate.sql(query, key)[0][0]
    assert first is not None and gate.sql(query, key)[0][0] is None, "a second live job of the key must not be made"
    gate.sql("SELECT tidegate.job_cancel(%s)", first)
    again = gate.sql(query, key)[0][0]
    assert again is not None, "after the first has ended the key is free"
    gate.sql("SELECT tidegate.job_cancel(%s)", again)


def test_failures_back_off_and_die(gate, queue):
    add(gate, queue, max_attempts=2)
    job, token, _ = claim(gate, queue)[0]
    assert gate.sql("SELECT tidegate.job_fail(%s, %s, 'boom', false)", job, token)[0][0] == "ready"
    wait = gate.sql("SELECT extract(epoch FROM run_at - now())::float FROM tidegate.job WHERE id = %s", job)[0][0]
    assert 4 <= wait <= 16, f"the second attempt waits 10 s with jitter from half to one and a half, got {wait:.1f} s"
    gate.sql("UPDATE tidegate.job SET run_at = now() WHERE id = %s", job)
    job, token, _ = claim(gate, queue)[0]
    assert gate.sql("SELECT tidegate.job_fail(%s, %s, 'boom', false)", job, token)[0][0] == "failed", "without attempts left a job is a dead letter"
    assert claim(gate, queue) == [], "a dead letter is not claimed"


def test_a_permanent_failure_dies_at_once(gate, queue):
    add(gate, queue)
    job, token, _ = claim(gate, queue)[0]
    assert gate.sql("SELECT tidegate.job_fail(%s, %s, 'no_such_file', true)", job, token)[0][0] == "failed"


def test_a_cron_slot_is_taken_once(gate):
    name = unique("cron")
    query = "SELECT tidegate.cron_take(%s, '2026-01-01', 'test.unknown', '{}')"

    def take(_):
        return gate.sql(query, name)[0][0]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [job for job in pool.map(take, range(8)) if job is not None]
    assert len(jobs) == 1, f"eight schedulers must make one job for a slot, got {len(jobs)}"
    gate.sql("SELECT tidegate.job_cancel(%s)", jobs[0])


def test_an_unknown_kind_ends_as_a_dead_letter(gate):
    job = gate.sql("SELECT tidegate.job_enqueue('test.nobody_knows', '{}', '', NULL, NULL)")[0][0]
    wait_until(lambda: gate.sql("SELECT last_error FROM tidegate.job WHERE id = %s AND state = 'failed'", job) == [("unknown_kind",)], 20,
               "the job of an unknown kind to be a dead letter with its reason")
    gate.sql("SELECT tidegate.job_cancel(%s)", job)
