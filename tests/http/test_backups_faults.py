"""Runs while something breaks: sources that are written to, damaged or taken away, a full disk, a store that is down, kill -9 in the middle of an archive. No published lie, no lost good backup."""
import json
import os
import random
import sqlite3
import subprocess
import threading

import psycopg
import pytest
import sqlite_dumps
from backups import making
from instance import wait_until

LOCK = 4713
make = pytest.fixture(making)


class Standing:
    """Whoever makes a row of that table fulfil the condition stands still in its transaction until the block ends."""

    def __init__(self, backups, table, condition):
        self.backups, self.table, self.condition = backups, table, condition

    def __enter__(self):
        self.backups.rows(f"""CREATE OR REPLACE FUNCTION public.backup_stand() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
            BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NULL; END $$""")
        self.backups.rows(f"CREATE TRIGGER stand AFTER INSERT OR UPDATE ON tidegate.{self.table} FOR EACH ROW WHEN ({self.condition}) EXECUTE FUNCTION public.backup_stand()")
        self.guard = psycopg.connect(self.backups.instance._conninfo("tidegate"), autocommit=True)
        self.guard.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        return self

    def reached(self):
        return bool(self.backups.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", LOCK))

    def wait(self):
        wait_until(self.reached, 30, f"somebody to stand at {self.condition}")

    def __exit__(self, *_):
        self.guard.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        self.backups.rows(f"DROP TRIGGER stand ON tidegate.{self.table}")
        self.guard.close()


def soon(backups):
    """Nobody waits for the back-off of the queue."""
    backups.rows("UPDATE tidegate.job SET run_at = now() WHERE state = 'ready' AND run_at > now() RETURNING 1")
    return not backups.rows("SELECT 1 FROM tidegate.backup_run WHERE state = 'running'")


def restored(backups, key, to, *options):
    sqlite_dumps.restore(backups.blob(key), to, *options)
    return to


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_written_to_during_runs(make, tmp_path, journal):
    """Transfers between accounts all the time: each backup is of one moment, verified, and nobody who writes is turned away."""
    backups = make({})
    backups.add("bank", rows=10)
    path = backups.path("bank")
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA journal_mode = {journal}")
    db.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, amount INT, note)")
    db.executemany("INSERT INTO account VALUES(?, 100, ?)", ((i, "n" * 300) for i in range(3000)))
    db.commit()
    backups.open_up()
    backups.write_sources()
    stop, moved, failed = threading.Event(), [], []

    def write():
        numbers, mine = random.Random(1), sqlite3.connect(path, timeout=30)
        while not stop.is_set():
            a, b = numbers.randrange(3000), numbers.randrange(3000)
            try:
                with mine:
                    mine.execute("UPDATE account SET amount = amount - 1 WHERE id = ?", (a,))
                    mine.execute("UPDATE account SET amount = amount + 1 WHERE id = ?", (b,))
                moved.append(a)
            except sqlite3.Error as error:
                failed.append(error)
        mine.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            backups.run()
    finally:
        stop.set()
        writer.join()
    assert moved and not failed
    found = backups.rows("SELECT key, verified_at IS NOT NULL, content_hash FROM tidegate.backup_object ORDER BY created_at")
    assert len(found) == 3 and all(verified for _, verified, _ in found) and len({content for _, _, content in found}) == 3
    for number, (key, _, _) in enumerate(found):
        made = sqlite3.connect(restored(backups, key, tmp_path / f"{number}.db"))
        assert made.execute("SELECT sum(amount), count(*) FROM account").fetchone() == (300000, 3000)
        made.close()


def test_pages_that_went_bad(make, tmp_path):
    """A source is damaged after a good backup: the run fails and says so, the good backup stays, is still the one that is handed out, and outlives retention."""
    backups = make({"shop": 3000, "users": 10})
    backups.sources[0]["weekly"] = False
    backups.write_sources()
    backups.run()
    good, path = backups.object("shop"), backups.path("shop")
    whole = restored(backups, good[0], tmp_path / "before.db")
    sqlite_dumps.same(path, whole)
    numbers = random.Random(5)
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        for page in numbers.sample(range(2, size // 4096), 6):
            file.seek(page * 4096)
            file.write(numbers.randbytes(4096))
    backups.run(status=3)
    assert backups.rows("SELECT error FROM tidegate.backup_result WHERE database = 'shop' ORDER BY started_at DESC LIMIT 1") == [("source_corrupt",)]
    assert backups.object("shop") == good
    assert backups.told("backup.failed")[0]["failures"] == [{"database": "shop", "error": "source_corrupt", "inARow": 1}]
    assert backups.api("GET", "/backups/health", role=None).json()["status"] == "degraded"
    backups.rows("UPDATE tidegate.backup_object SET day = day - 60, created_at = created_at - interval '60 days' WHERE key = %s RETURNING 1", good[0])
    assert "0 backups" in backups.instance.run("backup", "retention").stdout
    sqlite_dumps.same(whole, restored(backups, good[0], tmp_path / "after.db"))
    assert backups.spool() == []


def test_a_source_that_vanishes(make):
    """Between the claim of the job and its snapshot."""
    backups = make({"shop": 10, "users": 10})
    with Standing(backups, "backup_result", "NEW.state = 'running' AND NEW.phase = 'snapshot' AND NEW.database = 'shop'") as point:
        backups.run("--no-wait")
        point.wait()
        os.remove(backups.path("shop"))
        for suffix in ("-wal", "-shm"):
            if os.path.exists(backups.path("shop") + suffix):
                os.remove(backups.path("shop") + suffix)
    backups.wait_ended()
    assert dict(backups.rows("SELECT database, coalesce(error, 'ok') FROM tidegate.backup_result")) == {"shop": "source_missing", "users": "ok"}
    assert backups.object("shop") is None and backups.spool() == []


def worker(backups, blocks):
    """A worker that may write no file larger than so many KiB: a disk that is full."""
    instance = backups.instance
    return subprocess.Popen(["bash", "-c", f"ulimit -S -f {blocks}; trap '' XFSZ; exec {instance.path('bin', 'tidegate')} --config {instance.path('tidegate.ini')} work"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=instance.path("run"), **instance._as(instance.service_user))


@pytest.mark.parametrize("where,blocks", [("snapshot", 200), ("dump", 1500)])
def test_disk_full(make, tmp_path, where, blocks):
    """No room for the copy, or for its dump: that database has failed, the others are backed up, nothing is left behind, and there is no half object."""
    backups = make({"small": 10}, worker__processes=0, backups__zstd_level=0)
    db = sqlite3.connect(backups.path("large"))
    db.execute("CREATE TABLE b(x BLOB)")
    db.executemany("INSERT INTO b VALUES(?)", ((os.urandom(100_000),) for _ in range(10)))  # 1 MB, of which the dump is 2
    db.commit()
    db.close()
    backups.sources.append({"name": "large", "path": backups.path("large")})
    backups.write_sources()
    backups.open_up()
    backups.run("--no-wait")
    process = worker(backups, blocks)
    try:
        wait_until(lambda: soon(backups), 60, "the run to end")
    finally:
        process.terminate()
        process.wait()
    results = {name: (error, phase) for name, error, phase in backups.rows("SELECT database, coalesce(error, 'ok'), phase FROM tidegate.backup_result")}
    assert results == {"small": ("ok", "done"), "large": ("disk_full", where)}
    assert backups.object("large") is None and backups.spool() == [] and backups.told("backup.failed")[0]["failures"][0]["error"] == "disk_full"
    assert sorted(os.listdir(backups.blob(os.path.dirname(backups.object("small")[0])))) == ["small.sql", "small.sql.json"]
    restored(backups, backups.object("small")[0], tmp_path / "small.db")


def test_the_store_is_away_for_a_while(make, tmp_path):
    """It is not there when the object is to be placed: nothing is published, the queue tries again, and the run ends well once it is back."""
    backups = make({"shop": 50})
    backups.run()
    first = backups.object("shop")
    blobs = backups.instance.path("blobs")
    with Standing(backups, "backup_result", "NEW.phase = 'upload'") as point:
        backups.run("--no-wait")
        point.wait()
        os.rename(blobs, blobs + ".away")
    wait_until(lambda: backups.rows("SELECT 1 FROM tidegate.job WHERE kind = 'backup.database' AND last_error = 'store_unavailable'"), 30, "the attempt to fail")
    assert backups.object("shop") == first and backups.rows("SELECT state FROM tidegate.backup_run ORDER BY started_at DESC LIMIT 1") == [("running",)]
    os.rename(blobs + ".away", blobs)
    wait_until(lambda: soon(backups), 60, "the run to end")
    second = backups.object("shop")
    assert second[0] != first[0] and second[3:] == (True, None)
    for number, key in enumerate((first[0], second[0])):
        sqlite_dumps.same(backups.path("shop"), restored(backups, key, tmp_path / f"{number}.db"))


def test_the_store_stays_away(make):
    """A bucket that nobody answers for: the run fails by its deadline and is told; what is in the inventory stays as it is."""
    backups = make({"shop": 5}, storage__driver="s3", storage__endpoint="http://127.0.0.1:9", storage__bucket="b", storage__deadline_s=1, backups__deadline_s=10)
    backups.run("--no-wait")
    wait_until(lambda: soon(backups), 120, "the run to end")
    error = backups.rows("SELECT error FROM tidegate.backup_result")[0][0]
    assert error in ("store_unavailable", "deadline") and backups.object("shop") is None
    assert backups.told("backup.failed")[0]["failures"][0]["error"] == error and backups.spool() == []
    done = backups.instance.run("backup", "reconcile", check=False)
    assert done.returncode != 0, "a store that does not answer says nothing"


ARCHIVE = {
    "stored": ("backup_object", "NEW.kind = 'weekly'"),
    "held": ("backup_object", "NEW.archive_id IS NOT NULL"),
    "ended": ("job_history", "NEW.kind = 'backup.weekly'"),
}


@pytest.mark.parametrize("point", ARCHIVE)
def test_kill_during_an_archive(make, tmp_path, point):
    """kill -9 of every worker while a weekly archive is being published: it is made again, the same, and its members know that it holds them."""
    backups = make({"shop": 30, "users": 30}, fsync="on", worker__lease_s=5, worker__reap_s=1)
    backups.run()
    with Standing(backups, *ARCHIVE[point]) as stand:
        backups.rows("SELECT tidegate.job_enqueue('backup.weekly', '{}', '', 'backup.weekly', NULL)")
        stand.wait()
        backups.instance.kill("work")
        wait_until(lambda: not backups.rows("SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.objid = %s AND NOT l.granted AND a.state <> 'active'", LOCK),
                   10, "no ghost")

    def done():
        backups.rows("UPDATE tidegate.job SET run_at = now() WHERE state = 'ready' AND run_at > now() RETURNING 1")
        return not backups.rows("SELECT 1 FROM tidegate.job WHERE kind = 'backup.weekly'")
    wait_until(done, 60, "the archive to be made")
    found = backups.rows("SELECT key, size, sha256, verified_at IS NOT NULL, id FROM tidegate.backup_object WHERE kind = 'weekly'")
    assert len(found) == 1 and found[0][3]
    key, size, sha256, _, archive = found[0]
    assert os.path.getsize(backups.blob(key)) == size and subprocess.run(["sha256sum", backups.blob(key)], capture_output=True, text=True, check=True).stdout.split()[0] == sha256
    assert backups.rows("SELECT count(*) FROM tidegate.backup_object WHERE kind = 'daily' AND archive_id = %s", archive) == [(2,)]
    subprocess.run(["tar", "-xzf", backups.blob(key), "-C", tmp_path], check=True)
    with open(tmp_path / "MANIFEST.json", encoding="utf-8") as file:
        assert [member["database"] for member in json.load(file)["members"]] == ["shop", "users"]


@pytest.mark.parametrize("recipients", ["age1nonsense", "nonsense", "AGE-SECRET-KEY-1QQQQ", "{good} {good}", "{good} age1", "{good}x", "ssh-ed25519 AAAA", "age1{upper}"])
def test_recipients_that_do_not_parse(make, tmp_path, recipients):
    """One that is none among good ones, or twice the same: nothing is stored, neither encrypted for fewer nor plain; the run says why."""
    from backups import keys
    good = keys(tmp_path, "k")[0]
    backups = make({"shop": 3}, backups__recipients=recipients.format(good=good, upper=good[4:].upper()))
    said = backups.run(status=4)
    assert "bad_recipient" in said and backups.object("shop") is None and not os.path.exists(backups.blob("daily")) and backups.spool() == []
    assert backups.told("backup.failed")[0]["failures"][0]["error"] == "bad_recipient"
