"""Webhooks while processes die, receivers hang and transactions overlap: every committed event arrives, at least once, under one id."""
import signal
import threading
import time

import psycopg
import pytest

import receiver as answers
from instance import Instance, wait_until
from receiver import verify
from space import people
from webhooks import OPEN, PATIENCE, Hooks, without_schedule

LOCK = 4712


def start(**options):
    instance = Instance(**{**OPEN, **options})
    instance.options["webhooks__ca_file"] = instance.path("cert.pem")
    return instance.start()


@pytest.fixture(scope="module")
def shared_frail_hook_gate():
    instance = start(fsync="on", webhooks__timeout_s=5)
    without_schedule(instance)
    instance.sql(f"""CREATE FUNCTION public.failpoint() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NULL; END $$""")
    yield instance
    instance.stop()


@pytest.fixture
def frail(shared_frail_hook_gate, request):
    """A space on an instance that may be killed; short lease, a database that writes to disk."""
    request.node.instances = [shared_frail_hook_gate]
    space = Hooks(shared_frail_hook_gate)
    yield space
    space.stop()


def soon(gate):
    """Nobody waits for the back-off of the queue here."""
    try:
        gate.sql("UPDATE tidegate.job SET run_at = now() WHERE state = 'ready' AND run_at > now()")
        return True
    except psycopg.OperationalError:
        return False


def arrive(space, receiver, ids):
    def there():
        soon(space.gate)
        return set(ids) <= set(receiver.ids())
    wait_until(there, PATIENCE, f"every event to come, {len(set(ids) - set(receiver.ids()))} of {len(ids)} are missing:\n{space.gate.logs(8)}")


def recorded(space, endpoint):
    def there():
        soon(space.gate)
        return not space.gate.sql("SELECT count(*) FROM tidegate.webhook_delivery WHERE endpoint_id = %s AND state = 'pending'", endpoint["id"])[0][0]
    wait_until(there, PATIENCE, "every delivery to be recorded")


# --------------------------------------------------------------------------------------------------------------------- kill -9

def test_killed_between_the_answer_and_the_commit(frail):
    """The receiver has the event, the database does not know it: it comes once more, under the same id."""
    receiver = frail.receiver()
    made = frail.add(receiver)
    gate = frail.gate
    gate.sql(f"CREATE TRIGGER failpoint AFTER UPDATE ON tidegate.webhook_delivery FOR EACH ROW WHEN (NEW.state = 'succeeded' AND NEW.endpoint_id = '{made['id']}') "
             "EXECUTE FUNCTION public.failpoint()")
    try:
        with psycopg.connect(gate._conninfo("tidegate"), autocommit=True) as held:
            held.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
            delivery = frail.test(made)
            wait_until(lambda: gate.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s", LOCK)[0][0], PATIENCE,
                       "the sender to stand between the answer and its commit")
            assert receiver.ids() == [delivery["webhookId"]]
            gate.kill("work")
    finally:
        gate.sql("DROP TRIGGER failpoint ON tidegate.webhook_delivery")
    wait_until(lambda: soon(gate) and len(receiver.calls) > 1, PATIENCE, "the event to come again")
    recorded(frail, made)
    assert set(receiver.ids()) == {delivery["webhookId"]} and {call.body for call in receiver.calls} == {receiver.calls[0].body}
    for call in receiver.calls:
        verify(made["secret"], call.headers, call.body)
    assert frail.delivery(made, delivery)["attempts"] == 1, "an attempt that nobody could note does not count"


@pytest.mark.parametrize("victim", ["work", "everything"])
def test_killed_while_many_are_under_way(frail, victim):
    receiver = frail.receiver(answers.slowly(0.3))
    made = frail.add(receiver)
    sent = frail.emit(count=40)
    for share in (2, 12):
        wait_until(lambda share=share: len(receiver.calls) > share, PATIENCE, "some to be under way")
        if victim == "work":
            frail.gate.kill("work")
        else:
            for kind in ("postgres", "pool"):
                frail.gate.processes[kind].kill()
            frail.gate.kill("pool")
            frail.gate.restart_postgres()
            frail.gate.start_pool()
    receiver.answer = answers.ok
    receiver.released.set()
    arrive(frail, receiver, sent)
    recorded(frail, made)
    assert set(receiver.ids()) == set(sent)


def test_no_event_of_a_committed_change_is_lost_with_postgresql(frail):
    receiver = frail.receiver()
    made = frail.add(receiver)
    gate, committed, uncertain, ending = frail.gate, [], [], threading.Event()

    def write():
        while not ending.is_set():
            try:
                with psycopg.connect(gate._conninfo("tidegate")) as connection:
                    while not ending.is_set():
                        event = connection.execute("SELECT 'evt_' || replace(tidegate.event_emit(%s, 'backup.completed', '{}')::text, '-', '')", (frail.name,)).fetchone()[0]
                        uncertain.append(event)
                        connection.commit()
                        committed.append(event)
            except psycopg.Error:
                time.sleep(0.05)
    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(3):
            at_least = len(committed) + 20
            wait_until(lambda at_least=at_least: len(committed) >= at_least, PATIENCE, "more events")
            gate.restart_postgres()
    finally:
        ending.set()
        for writer in writers:
            writer.join()
    assert len(committed) >= 60
    arrive(frail, receiver, committed)
    recorded(frail, made)
    assert set(receiver.ids()) <= set(uncertain), "nothing comes that was not written"


def test_an_import_that_ends_while_postgresql_dies_is_told_once_it_has_ended(frail):
    from patient import Client, end
    receiver = frail.receiver()
    frail.add(receiver, ["import.completed"])
    space = Client(frail.gate, sub=frail.sub, name=frail.name)
    job = space.parsed(people(400))["id"]
    space.call(job, "commit", json={})
    frail.gate.restart_postgres()
    end(space, job, "completed")
    wait_until(lambda: soon(frail.gate) and receiver.calls, PATIENCE, "the event")
    assert {call.event["data"]["id"] for call in receiver.calls} == {job} and len(set(receiver.ids())) == 1


def test_an_orderly_end_loses_nothing(frail):
    receiver = frail.receiver(answers.slowly(0.2))
    made = frail.add(receiver)
    sent = frail.emit(count=30)
    for share in (1, 10):
        wait_until(lambda share=share: len(receiver.calls) > share, PATIENCE, "some to be under way")
        frail.gate.kill("work", signal.SIGTERM)
    arrive(frail, receiver, sent)
    recorded(frail, made)
    assert len(receiver.ids()) == len(set(receiver.ids())) == 30, "and repeats nothing: what was under way was waited for"


# ------------------------------------------------------------------------------------------------------- nobody holds up anybody

@pytest.fixture(scope="module")
def shared_slow_gate():
    """Two workers, and receivers that may take as long as in production."""
    instance = start(webhooks__timeout_s=30, webhooks__schedule_percent=100, worker__processes=2)
    without_schedule(instance)
    yield instance
    instance.stop()


@pytest.fixture
def slow(shared_slow_gate, request):
    request.node.instances = [shared_slow_gate]
    space = Hooks(shared_slow_gate)
    yield space
    space.stop()


def test_receivers_that_hang_hold_up_neither_others_nor_imports(slow):
    hanging = [slow.receiver(answers.never) for _ in range(6)]
    for receiver in hanging:
        slow.add(receiver, ["backup.*"])
    slow.emit("backup.stale", 10)
    wait_until(lambda: all(receiver.calls for receiver in hanging), PATIENCE, "every receiver to hang")
    quick, other = slow.receiver(), Hooks(slow.gate)
    made = other.add(quick, ["*"])
    for _ in range(3):
        other.ended(made, other.test(made))
    job = other.imported(people(50))["id"]
    wait_until(lambda: {"import.ready", "import.completed"} <= set(quick.types()), PATIENCE, "the events of the import")
    assert other.get(job)["status"] == "completed"
    assert all(receiver.busy and len(receiver.calls) == 2 for receiver in hanging), "the others hang still, each with no more than its window"
    ended = slow.gate.sql("SELECT count(*) FROM tidegate.webhook_delivery WHERE space = %s AND attempts > 0", slow.name)[0][0]
    assert ended == 0, "none of them has ended"


def test_no_more_at_once_than_the_window(slow):
    receiver = slow.receiver(answers.slowly(0.05))
    made = slow.add(receiver)
    sent = slow.emit(count=150)
    slow.came(receiver, sent)
    recorded(slow, made)
    window = slow.gate.sql("SELECT send_window FROM tidegate.webhook_endpoint WHERE id = %s", made["id"])[0][0]
    assert 2 < window <= 20 and receiver.most_busy <= 20, f"expected a window between 2 and 20, got {window} and {receiver.most_busy} at once"
    assert len(receiver.ids()) == 150, "each once"


# --------------------------------------------------------------------------------------------------------- writers that overlap

def emit(connection, space):
    return connection.execute("SELECT 'evt_' || replace(tidegate.event_emit(%s, 'backup.stale', '{}')::text, '-', '')", (space.name,)).fetchone()[0]


def test_a_writer_that_commits_after_the_run_that_could_not_see_it(slow):
    """The run at hand ends while a writer is still open: without a schedule, only the rules of the locks bring its event out."""
    receiver = slow.receiver()
    made = slow.add(receiver)
    with psycopg.connect(slow.gate._conninfo("tidegate")) as connection:
        with psycopg.connect(slow.gate._conninfo("tidegate"), autocommit=True) as first:
            seen = emit(first, slow)
            late = emit(connection, slow)
        slow.came(receiver, [seen])
        recorded_runs = "SELECT count(*) FROM tidegate.job_history WHERE kind = 'webhook.deliver'"
        before = slow.gate.sql(recorded_runs)[0][0]
        wait_until(lambda: slow.gate.sql(recorded_runs)[0][0] >= before + 2, PATIENCE, "runs that find nothing while the writer is open")
        assert receiver.ids() == [seen]
        connection.commit()
    slow.came(receiver, [late])
    wait_until(lambda: not slow.deliveries(made, "pending"), PATIENCE, "it to be recorded")


def test_writers_do_not_wait_for_each_other(slow):
    slow.add(slow.receiver())
    with psycopg.connect(slow.gate._conninfo("tidegate")) as one, psycopg.connect(slow.gate._conninfo("tidegate")) as two:
        two.execute("SET lock_timeout = '2s'")
        for _ in range(3):
            emit(one, slow)
            emit(two, slow)  # would raise
        two.commit()
        one.commit()


def test_many_writers_at_once(slow):
    receiver = slow.receiver()
    made = slow.add(receiver)
    ids, lock = [], threading.Lock()

    def write(number):
        with psycopg.connect(slow.gate._conninfo("tidegate")) as connection:
            for n in range(15):
                event = emit(connection, slow)
                time.sleep(0.01 * ((number + n) % 5))
                if n % 4 == 3:
                    connection.rollback()
                else:
                    connection.commit()
                    with lock:
                        ids.append(event)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    slow.came(receiver, ids)
    wait_until(lambda: not slow.deliveries(made, "pending"), PATIENCE, "all to be recorded")
    assert sorted(receiver.ids()) == sorted(ids), "each once, and nothing that was rolled back"


def test_the_schedule_finds_what_nobody_saw_to(make_gate):
    gate = make_gate(**OPEN, webhooks__ca_file="", worker__reap_s=1)
    space = Hooks(gate)
    receiver = space.receiver(tls=False)
    made = space.add(receiver)
    space.ended(made, space.test(made))
    with psycopg.connect(gate._conninfo("tidegate"), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('tidegate.webhook_wake', 0))")  # as if somebody else saw to it
        [event] = space.emit()
    gate.sql("DELETE FROM tidegate.cron_run WHERE name = 'webhook.deliver'")  # the next slot, now
    space.came(receiver, [event])
    space.stop()
