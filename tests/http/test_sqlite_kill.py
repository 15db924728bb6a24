"""SQLite imports whose processes are killed at every moment, that are cancelled, tried again, gone back on and forgotten: nothing twice, nothing lost."""
import os
import random
import sqlite3
import time

import psycopg
import pytest
from instance import Instance, expect_problem, unique, wait_until
from mirror import nothing_left, raw
from parser import OPTIONS, Parser, chunks_of, tables_of
from patient import asked, delivered
from phone import BATCHES, Phone, backup
from sqlite_files import make, quoted

ROWS = 100_000
QUEUE = "/api/jobs"


class Patient(Phone):
    """A client of a server that dies and comes back: it asks again, as a 503 or a cut connection tells."""

    def api(self, method, path, json=None, **options):
        return asked(lambda: Phone.api(self, method, path, json, **options), f"{method} {path}")

    def uploaded(self, data, name="Backup.db"):
        return delivered(self.gate, self.api("POST", "/api/import/upload-url", {"fileName": name, "fileSize": len(data)}).json(), data)


@pytest.fixture(scope="module")
def shared_frail_gate():
    instance = Instance(fsync="on", worker__reap_s=1, **OPTIONS).start()
    instance.sql("INSERT INTO tidegate.cron_run (name, slot) SELECT 'sqlite.retention', to_timestamp(floor(extract(epoch FROM now()) / 300) * 300 + n * 300) "
                 "FROM generate_series(0, 12) n ON CONFLICT DO NOTHING")  # a run of it happens when a test says so
    yield instance
    instance.stop()


@pytest.fixture
def frail(shared_frail_gate, request):
    """An instance that may be killed; a short lease, a database that writes to disk."""
    request.node.instances = [shared_frail_gate]
    return shared_frail_gate


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A backup with tables beside it, 100 000 rows in all; its path and its bytes."""
    path = str(tmp_path_factory.mktemp("large") / "Backup.db")
    backup(path, games=500, seed=11)
    noise = random.Random(12)
    with sqlite3.connect(path) as db:
        for number, (rows, size) in enumerate([(1, 10), (0, 0), (40_000, 500), (3, 200_000), (25_000, 80), (30_000, 200)]):
            db.execute(f"CREATE TABLE extra{number}(a INTEGER PRIMARY KEY, b, c)")
            db.executemany(f"INSERT INTO extra{number} VALUES(?, ?, ?)", ((3 * n, noise.random(), noise.randbytes(size // 2).hex()) for n in range(rows)))
        assert sum(rows for _, rows in counted(db)) > ROWS
    db.close()
    with open(path, "rb") as file:
        return path, file.read()


def counted(db):
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid")]
    return [(name, db.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0]) for name in names]


def look(gate, batch):
    """(status, rows done, reason), or None while the database is away. Nobody waits for the back-off of a retry here."""
    try:
        gate.sql("UPDATE tidegate.job SET run_at = now() WHERE state = 'ready' AND run_at > now() AND kind = 'sqlite.import'")
        return gate.sql("SELECT status, rows_done, error_code FROM tidegate.sqlite_batch WHERE id = %s", batch)[0]
    except psycopg.OperationalError:
        return None


def end(gate, batch):
    def there():
        found = look(gate, batch)
        assert not found or found[0] != "failed", f"expected a completed batch, got {found}:\n{gate.logs()}"
        return found and found[0] == "completed"
    wait_until(there, 120, "the batch to be completed")


def whole(gate, batch, path):
    """Every row of the file stands in the mirror once, and every game and frame in the refined tables."""
    number = gate.sql("SELECT no FROM tidegate.sqlite_batch WHERE id = %s", batch)[0][0]
    with sqlite3.connect(path) as db:
        wanted = counted(db)
        assert gate.sql("SELECT name, rows FROM tidegate.sqlite_table WHERE batch_no = %s ORDER BY table_no", number) == wanted
        for table, (name, rows) in enumerate(wanted):
            got = gate.sql("SELECT row_no, key, cells FROM tidegate.sqlite_row WHERE batch_no = %s AND table_no = %s ORDER BY row_no", number, table)
            assert [row[0] for row in got] == list(range(1, rows + 1)), f"expected each of {rows} rows of {name} once"
            cells = [(key, [None if value is None else str(value) for value in values]) for key, *values in db.execute(f"SELECT rowid, * FROM {quoted(name)} ORDER BY rowid")]
            for (_, key, found), (rowid, values) in zip(got, cells):
                assert key == rowid and len(found) == len(values)
                assert all(one == other or float(one) == float(other) for one, other in zip(found, values)), f"expected {values} in {name}, got {found}"
        games = dict(db.execute("SELECT 'games', count(*) FROM game"))["games"]
    db.close()
    counts = gate.sql("SELECT counts FROM tidegate.sqlite_batch WHERE id = %s", batch)[0][0]
    found = gate.sql("SELECT count(*), count(DISTINCT source_id) FROM bowling.game WHERE dataset_id = %s", batch)[0]
    assert counts["games"] == games and found == (counts["gamesRefined"],) * 2
    frames = gate.sql("SELECT count(*), count(DISTINCT (game_id, frame_number)) FROM bowling.frame WHERE dataset_id = %s", batch)[0]
    assert frames == (counts["framesRefined"],) * 2 and frames[0] > 4000


KILLS = {
    "work": lambda gate: gate.kill("work"),
    "read": lambda gate: gate.kill("read"),
    "postgres": Instance.restart_postgres,
    "worker and postgres": lambda gate: (gate.kill("work"), gate.restart_postgres()),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("victim", ["work", "postgres", "worker and postgres"])
def test_killed_at_any_moment(frail, large, victim, seed):
    path, data = large
    phone, chance, deaths = Patient(frail), random.Random(f"{victim} {seed}"), 0
    batch = phone.create(data)["batchId"]
    for _ in range(3):
        wait_until(lambda: (look(frail, batch) or [""])[0] not in ("", "queued"), 60, "the import to begin")
        time.sleep(chance.random() * 1.2)  # whenever that is
        if look(frail, batch)[0] == "completed":
            break
        KILLS[victim](frail)
        deaths += 1
    end(frail, batch)
    whole(frail, batch, path)
    assert phone.get(batch)["current"] and deaths <= 3
    frail.sql("SELECT tidegate.sqlite_forget(no) FROM tidegate.sqlite_batch WHERE id = %s", batch)


def test_killed_where_it_counts(frail, large):
    """In the mirror with rows committed, at its end, and while the refined rows are made."""
    path, data = large
    phone, deaths = Patient(frail), 0
    batch = phone.create(data)["batchId"]
    for status, rows in (("parsing", 1), ("parsing", 30_000), ("parsing", 70_000), ("importing", 0)):
        def there(status=status, rows=rows):
            found = look(frail, batch)
            return found and (found[0] not in ("queued", status) or found[0] == status and found[1] >= rows)
        wait_until(there, 60, f"{rows} rows of {status}")
        deaths += look(frail, batch)[0] == status
        frail.kill("work")
    end(frail, batch)
    assert deaths >= 2, f"expected to meet the import under way, killed {deaths} times"
    whole(frail, batch, path)


def test_a_reader_that_is_killed_is_a_failed_batch_that_can_be_tried_again(frail, large):
    path, data = large
    phone = Patient(frail)
    before = phone.imported(backup(path + ".small", games=2))
    batch = phone.create(data)["batchId"]
    wait_until(lambda: look(frail, batch)[1] > 0, 60, "rows of the import")
    frail.kill("read")
    state = phone.wait(batch)
    if state["status"] == "failed":
        assert (state["error"]["code"], state["error"]["reason"]) == ("PARSE_FAILED", "reader_out_of_memory")
        nothing_left(frail, batch)
        assert phone.get(before["batchId"])["current"], "expected a failed import to leave the data as it was"
        assert phone.api("POST", f"{BATCHES}/{batch}/retry").status_code == 202
    end(frail, batch)
    whole(frail, batch, path)


def test_a_parser_elsewhere_whose_batch_is_killed(frail, tmp_path):
    parser, data = Parser(frail, Patient(frail)), backup(str(tmp_path / "a.db"), games=60)
    held = psycopg.connect(frail._conninfo("tidegate"))
    try:
        held.execute("LOCK TABLE tidegate.sqlite_row IN SHARE MODE")  # its rows cannot be written
        batch, chunks = parser.queued(data)["batchId"], chunks_of(tables_of(data), 150)
        for index, chunk in enumerate(chunks):
            parser.chunk(batch, chunk, index, index == len(chunks) - 1)
        wait_until(lambda: look(frail, batch)[0] == "parsing", 30, "the mirror to begin")
        frail.kill("work")
    finally:
        held.close()
    end(frail, batch)
    state = parser.phone.get(batch)
    assert state["summary"]["counts"]["games"] == 60 and state["summary"]["counts"]["tables"]["frame"] == 720
    number = frail.sql("SELECT no FROM tidegate.sqlite_batch WHERE id = %s", batch)[0][0]
    assert frail.sql("SELECT count(*), count(DISTINCT (table_no, row_no)) FROM tidegate.sqlite_row WHERE batch_no = %s", number)[0] == (state["progress"]["done"],) * 2


# ------------------------------------------------------------------------------------------------------------ side by side

def test_a_batch_that_fails_waits_for_nobody_who_writes(frail, tmp_path):
    """To drop its rows would lock the tables of all; others write on two connections, and would wait for themselves."""
    phone, parser = Patient(frail), Parser(frail, Patient(frail))
    batch = parser.queued(make("CREATE TABLE t(a)"))["batchId"]
    with psycopg.connect(frail._conninfo("tidegate")) as writer:
        writer.execute("LOCK TABLE tidegate.sqlite_row IN ROW EXCLUSIVE MODE")  # as a COPY has it to its end
        phone.failed(make("CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"), "INVALID_SCHEMA", "missing_tables")
        parser.stage(batch, "failed", error={"code": "INVALID_ROW"})
        failed = parser.phone.get(batch)
        assert failed["status"] == "failed"
        assert phone.imported(backup(str(tmp_path / "a.db"), games=2))["current"]
        retried = phone.failed(make("CREATE TABLE u(a)"), "INVALID_SCHEMA", "missing_tables")["batchId"]
        phone.api("POST", f"{BATCHES}/{retried}/retry")
        assert phone.wait(retried)["error"]["reason"] == "missing_tables"
        nothing_left(frail, retried)
        writer.rollback()


def test_many_at_once_some_of_which_fail(frail, tmp_path):
    good, bad = backup(str(tmp_path / "a.db"), games=20), make("CREATE TABLE t(a)", fill=lambda db: db.executemany("INSERT INTO t VALUES(?)", ((n,) for n in range(500))))
    phones = [Patient(frail) for _ in range(12)]
    batches = [phone.create(bad if number % 2 else good)["batchId"] for number, phone in enumerate(phones)]
    ends = [phone.wait(batch)["status"] for phone, batch in zip(phones, batches)]
    assert ends == ["completed", "failed"] * 6
    attempts = frail.sql("SELECT DISTINCT attempt FROM tidegate.job_history WHERE args ->> 'id' = ANY (%s) AND state = 'done'", batches)
    assert attempts == [(1,)], f"expected no attempt to be lost to a lock, got {attempts}"


# ------------------------------------------------------------------------------------------- cancel and retry by an administrator

class Admin(Patient):
    def job_of(self, batch):
        return self.gate.sql("SELECT id FROM (SELECT id, args FROM tidegate.job UNION ALL SELECT id, args FROM tidegate.job_history) j WHERE args ->> 'id' = %s ORDER BY id DESC", batch)[0][0]

    def act(self, batch, what, status=202):
        answer = self.api("POST", f"{QUEUE}/{self.job_of(batch)}/{what}", headers={"Idempotency-Key": unique()})
        assert answer.status_code == status, f"expected {status}, got {answer.status_code} {answer.text}"
        return answer.json()


def cancelled(phone, batch):
    state = phone.wait(batch)
    assert (state["status"], state["error"]["code"], state["error"]["reason"]) == ("failed", "INVALID_INPUT", "cancelled")
    nothing_left(phone.gate, batch)
    return state


def test_cancel_and_retry_of_a_batch_that_runs_and_one_that_waits(frail, tmp_path):
    member = Patient(frail)
    admin, stranger = Admin(frail, space=member.space, role="admin"), Admin(frail, role="admin")
    before = member.imported(backup(str(tmp_path / "0.db"), games=1))
    held = psycopg.connect(frail._conninfo("tidegate"))
    try:
        held.execute("LOCK TABLE tidegate.sqlite_row IN SHARE MODE")  # nobody can write a row
        running = member.create(backup(str(tmp_path / "1.db"), games=3, seed=2))["batchId"]
        waiting = member.create(backup(str(tmp_path / "2.db"), games=4, seed=3))["batchId"]
        wait_until(lambda: look(frail, running)[0] == "parsing", 30, "the first to run")
        stranger.act(running, "cancel", 404)
        assert member.api("POST", f"{QUEUE}/{admin.job_of(running)}/cancel").status_code == 403
        admin.act(waiting, "cancel")
        cancelled(member, waiting)
        admin.act(running, "cancel")
    finally:
        held.close()
    cancelled(member, running)
    assert member.get(before["batchId"])["current"], "expected what was cancelled to leave the data as it was"
    for batch, games in ((waiting, 4), (running, 3)):
        assert member.api("POST", f"{BATCHES}/{batch}/retry").status_code == 202
        state = member.wait(batch)
        assert state["status"] == "completed" and state["summary"]["counts"]["games"] == games and state["current"]


def test_a_dead_letter_is_tried_again_by_an_administrator(frail, tmp_path):
    member = Patient(frail)
    admin, stranger = Admin(frail, space=member.space, role="admin"), Admin(frail, role="admin")
    data = backup(str(tmp_path / "a.db"), games=2)
    key = member.uploaded(data)
    place = frail.path("blobs", *key.split("/"))
    os.rename(place, place + ".away")
    batch = member.api("POST", BATCHES, json={"objectKey": key, "fileName": "a.db", "fileSize": len(data)}).json()["batchId"]
    assert member.wait(batch)["error"]["reason"] == "file_gone"
    listed = [job for job in admin.api("GET", f"{QUEUE}?state=dead").json()["items"] if job["kind"] == "sqlite.import"]
    assert len(listed) == 1 and listed[0]["lastError"]["code"] == "file_gone" and listed[0]["lastError"]["message"]
    os.rename(place + ".away", place)
    stranger.act(batch, "retry", 404)
    admin.act(batch, "retry")
    state = member.wait(batch)
    assert state["status"] == "completed" and state["summary"]["counts"]["games"] == 2 and state["error"] is None
    admin.act(batch, "retry", 409)


def test_a_worker_that_dies_too_often(frail, large):
    path, data = large
    phone = Patient(frail)
    batch = phone.create(data)["batchId"]
    wait_until(lambda: look(frail, batch)[1] > 0, 60, "rows of the import")
    frail.sql("UPDATE tidegate.job SET attempt = max_attempts WHERE args ->> 'id' = %s", batch)
    frail.kill("work")
    state = phone.wait(batch)
    assert (state["error"]["code"], state["error"]["reason"]) == ("PARSE_FAILED", "worker_died")
    nothing_left(frail, batch)
    assert phone.api("POST", f"{BATCHES}/{batch}/retry").status_code == 202
    end(frail, batch)
    whole(frail, batch, path)


# ------------------------------------------------------------------------------------------------------- going back, forgetting

def current(phone):
    return [item["batchId"] for item in phone.pages(BATCHES)[0] if item["current"]]


def test_going_back_and_forth(frail, tmp_path):
    phone = Patient(frail)
    first, second = (phone.imported(backup(str(tmp_path / f"{games}.db"), games=games, seed=games))["batchId"] for games in (3, 5))
    assert current(phone) == [second]
    for batch in (first, first, second, first):
        answer = phone.api("POST", f"{BATCHES}/{batch}/activate")
        assert answer.status_code == 200 and answer.json()["current"] and current(phone) == [batch]
    failed = phone.failed(make("CREATE TABLE t(a)"), "INVALID_SCHEMA", "missing_tables")
    assert current(phone) == [first] and not failed["current"]
    expect_problem(phone.api("POST", f"{BATCHES}/{failed['batchId']}/activate"), 409, "wrong_state")
    assert len(phone.data(first, "game")) <= 3 < len(phone.data(second, "game")) <= 5


def retention(gate):
    job = gate.sql("SELECT tidegate.job_enqueue('sqlite.retention', '{}', '', NULL, NULL)")[0][0]
    wait_until(lambda: gate.sql("SELECT count(*) FROM tidegate.job_history WHERE id = %s AND state = 'done'", job)[0][0], 30, "the retention job to end")


def aged(gate, batch, days):
    gate.sql("UPDATE tidegate.sqlite_batch SET created_at = created_at - make_interval(days => %s), completed_at = completed_at - make_interval(days => %s), "
             "replaced_at = replaced_at - make_interval(days => %s) WHERE id = %s", days, days, days, batch)


def test_what_was_replaced_or_failed_goes_and_what_is_current_stays(frail, tmp_path):
    phone = Patient(frail)
    old, middle, now = (phone.imported(backup(str(tmp_path / f"{games}.db"), games=games, seed=games)) for games in (2, 3, 4))
    failed = phone.failed(make("CREATE TABLE t(a)"), "INVALID_SCHEMA", "missing_tables")
    mirrored = phone.imported(make("CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"), "mirror")
    for state in (old, now, failed, mirrored):
        aged(frail, state["batchId"], 31)
    aged(frail, middle["batchId"], 29)
    retention(frail)
    for state, gone in ((old, True), (failed, True), (middle, False), (now, False), (mirrored, False)):
        batch, seen = state["batchId"], phone.get(state["batchId"])
        number = frail.sql("SELECT no FROM tidegate.sqlite_batch WHERE id = %s", batch)[0][0]
        assert (seen["removedAt"] is not None) == gone, f"expected {'no rows' if gone else 'rows'} of {seen}"
        if gone:
            assert frail.sql("SELECT to_regclass(%s)", f"tidegate.sqlite_row_{number}") == [(None,)]
            assert frail.sql("SELECT (SELECT count(*) FROM bowling.game WHERE dataset_id = %s) + (SELECT count(*) FROM bowling.frame WHERE dataset_id = %s)", batch, batch) == [(0,)]
            expect_problem(phone.api("GET", raw(batch, "game")), 409, "wrong_state")
            for what in ("activate", "retry"):
                expect_problem(phone.api("POST", f"{BATCHES}/{batch}/{what}"), 409, "wrong_state")
    expect_problem(phone.api("GET", f"{BATCHES}/{old['batchId']}/data/game"), 409, "wrong_state")
    assert len(phone.data(now["batchId"], "game")) and phone.pages(raw(mirrored["batchId"], "t"))[1]["rows"] == 1
    assert set(current(phone)) == {now["batchId"], mirrored["batchId"]}
    # Gone back to, the one in the middle is kept for good, and the other's time begins.
    phone.api("POST", f"{BATCHES}/{middle['batchId']}/activate")
    aged(frail, middle["batchId"], 400)
    retention(frail)
    assert phone.get(middle["batchId"])["removedAt"] is None and phone.get(now["batchId"])["removedAt"] is None
    # The files of what is gone go with the janitor, and no others.
    keys = [state["objectKey"] for state in (old, failed, middle, now, mirrored)]
    frail.sql("UPDATE tidegate.upload SET stored_at = stored_at - interval '2 days' WHERE object_key = ANY (%s)", keys)
    frail.sql("SELECT tidegate.job_enqueue('system.janitor', '{}', '', NULL, NULL)")
    wait_until(lambda: frail.object(old["objectKey"]) is None and frail.object(failed["objectKey"]) is None, 30, "the files to go")
    assert all(frail.object(state["objectKey"]) for state in (middle, now, mirrored))


def test_history_goes_at_last(frail, tmp_path):
    phone = Patient(frail)
    failed, now = phone.failed(make("CREATE TABLE t(a)"), "INVALID_SCHEMA", "missing_tables")["batchId"], phone.imported(backup(str(tmp_path / "a.db"), games=1))["batchId"]
    aged(frail, failed, 31)
    retention(frail)
    assert phone.get(failed)["removedAt"]
    frail.sql("UPDATE tidegate.sqlite_batch SET rows_gone_at = rows_gone_at - interval '10 years' WHERE id = %s", failed)
    aged(frail, now, 4000)
    retention(frail)
    expect_problem(phone.api("GET", f"{BATCHES}/{failed}"), 404, "not_found")
    assert current(phone) == [now]
