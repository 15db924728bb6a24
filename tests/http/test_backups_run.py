"""Runs: what is stored is proven by a restore, one failure does not stop the others, and a worker that is killed loses and publishes nothing wrong."""
import json
import os
import sqlite3
import subprocess

import psycopg
import pytest
import sqlite_dumps
from backups import Backups, keys, making
from instance import wait_until

LOCK = 4712


make = pytest.fixture(making)


def day_of(backups):
    return str(backups.rows("SELECT (now() AT TIME ZONE 'UTC')::date")[0][0])


def restored_is(backups, key, source, to, *options):
    sqlite_dumps.restore(backups.blob(key), to, *options)
    sqlite_dumps.same(source, to)


def test_a_run(make, tmp_path):
    """Three databases and Tidegate's own; every object restores to its source, with our program and with the stock ones."""
    backups = make({"shop": 3000, "users": 10, "empty": 0}, postgresql=True)
    said = backups.run()
    assert "completed" in said and "shop" in said
    day = day_of(backups)
    for name in ("shop", "users", "empty"):
        key, size, sha256, verified, error = backups.object(name)
        assert key == f"daily/{day}/{name}.sql.zst" and verified and error is None
        assert os.path.getsize(backups.blob(key)) == size
        assert subprocess.run(["sha256sum", backups.blob(key)], capture_output=True, text=True).stdout.split()[0] == sha256
        restored_is(backups, key, backups.path(name), tmp_path / f"{name}.db")
        with open(backups.blob(key + ".json"), encoding="utf-8") as file:
            manifest = json.load(file)
        assert manifest["sha256"] == sha256 and manifest["verifiedAt"] and manifest["content"]["rows"] == sum(t["rows"] for t in manifest["content"]["tables"])
        for table in manifest["content"]["tables"]:
            plain = subprocess.run(["zstd", "-dc", backups.blob(key)], capture_output=True, check=True).stdout
            assert plain[table["offset"]:].startswith(f"-- Table: {table['name']}\n-- Rows: {table['rows']}\n".encode())
    subprocess.run(f"zstd -dc {backups.blob(f'daily/{day}/shop.sql.zst')} | sqlite3 -bail {tmp_path}/hand.db", shell=True, check=True)
    sqlite_dumps.same(backups.path("shop"), tmp_path / "hand.db")
    key, _, _, verified, _ = backups.object("tidegate")
    assert key == f"daily/{day}/tidegate.pgdump" and not verified, "it was read to its end, not restored"
    listed = subprocess.run(["pg_restore", "--list", backups.blob(key)], capture_output=True, text=True, check=True).stdout
    assert "TABLE DATA tidegate backup_run" in listed
    assert backups.spool() == []


def test_encrypted(make, tmp_path):
    public = keys(tmp_path, "operator", "escrow")
    backups = make({"shop": 200}, postgresql=True, backups__recipients=" ".join(public))
    backups.run()
    key, _, _, verified, _ = backups.object("shop")
    assert key.endswith("shop.sql.zst.age") and verified
    for name in ("operator", "escrow"):
        restored_is(backups, key, backups.path("shop"), tmp_path / f"{name}.db", "--identity", tmp_path / name)
    with open(backups.blob(key + ".json"), encoding="utf-8") as file:
        manifest = json.load(file)
    assert manifest["recipients"] == public and "content" not in manifest, "nothing of the plain text is told beside it"
    kept = backups.rows("SELECT manifest -> 'content' ->> 'rows', recipients FROM tidegate.backup_object WHERE database = 'shop'")[0]
    assert kept == ("400", public)
    head = open(backups.blob(key), "rb").read(2000)
    assert head.count(b"-> X25519 ") == 3, "the third recipient was made for the proof and is gone"
    plain = subprocess.run(["age", "-d", "-i", tmp_path / "operator", backups.blob(backups.object("tidegate")[0])], capture_output=True, check=True).stdout
    assert plain.startswith(b"PGDMP")


def test_bad_recipient_stores_nothing(make):
    backups = make({"shop": 5}, backups__recipients="age1nonsense")
    assert "bad_recipient" in backups.run(status=4)
    assert backups.object("shop") is None and not os.path.exists(backups.blob("daily"))


def test_one_failure_stops_nobody(make, tmp_path):
    """Sources that are gone, no database, damaged, or locked: each has its own code, the others are backed up."""
    backups = make({"good": 50, "locked": 50, "cut": 3000}, backups__lock_wait_s=1)
    backups.sources.append({"name": "gone", "path": backups.path("gone")})
    with open(backups.path("text"), "w", encoding="utf-8") as file:
        file.write("no database " * 500)
    backups.sources.append({"name": "text", "path": backups.path("text")})
    with open(backups.path("cut"), "r+b") as file:
        file.truncate(40960)
    backups.write_sources()
    db = sqlite3.connect(backups.path("locked"), isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("BEGIN EXCLUSIVE")
    db.execute("INSERT INTO thing(name) VALUES('x')")
    backups.open_up()
    backups.run(status=3)
    results = dict(backups.rows("SELECT database, coalesce(error, 'ok') FROM tidegate.backup_result"))
    assert results == {"good": "ok", "gone": "source_missing", "text": "source_not_sqlite", "cut": "source_corrupt", "locked": "source_locked"}
    assert backups.rows("SELECT state FROM tidegate.backup_run") == [("partial",)]
    assert backups.rows("SELECT type, (body::json -> 'data' ->> 'failed')::int FROM tidegate.event WHERE type LIKE 'backup.%%'") == [("backup.failed", 4)]
    db.execute("ROLLBACK")
    db.close()
    backups.sources = [source for source in backups.sources if source["name"] in ("good", "locked")]
    backups.write_sources()
    backups.run()
    assert backups.spool() == []


def test_all_failed_is_failed(make):
    backups = make({})
    backups.run(status=78)
    backups.sources = [{"name": "a", "path": "/nowhere/a.db"}, {"name": "b", "path": "/nowhere/b.db"}]
    backups.write_sources()
    backups.run(status=4)
    assert backups.rows("SELECT state FROM tidegate.backup_run") == [("failed",)]
    backups.run("nonsense", status=64)
    backups.sources = [{"name": "../a", "path": "/nowhere/a.db"}]
    backups.write_sources()
    backups.run(status=78)


def test_a_good_backup_is_never_written_over(make, tmp_path):
    """The second run of a day has keys of its own; a source that went bad meanwhile takes nothing away."""
    backups = make({"shop": 30})
    backups.run()
    first = backups.object("shop")
    before = open(backups.blob(first[0]), "rb").read()
    db = sqlite3.connect(backups.path("shop"))
    db.execute("DELETE FROM tag")
    db.commit()
    db.close()
    backups.open_up()
    backups.run()
    second = backups.object("shop")
    assert second[0] != first[0] and second[0].startswith(f"daily/{day_of(backups)}/shop-") and second[3]
    restored_is(backups, second[0], backups.path("shop"), tmp_path / "b.db")
    with open(backups.path("shop"), "r+b") as file:
        file.seek(0)
        file.write(b"not a database any more")
    backups.run(status=4)
    assert open(backups.blob(first[0]), "rb").read() == before and backups.object("shop") == second


def test_runs_of_one_second(make):
    """However many runs a second sees, each has a key of its own."""
    backups = make({"shop": 1})
    for _ in range(6):
        backups.run()
    found = backups.rows("SELECT key, verified_at IS NOT NULL FROM tidegate.backup_object")
    assert len(found) == 6 and all(verified for _, verified in found) and all(os.path.exists(backups.blob(key)) for key, _ in found)


def test_what_the_store_gives_back_is_what_counts(make):
    """The stored bytes are changed between upload and proof: the backup is there, and never called verified."""
    backups = make({"shop": 500})
    with failpoint(backups, "NEW.phase = 'prove'", "backup_result") as point:
        point.wait()
        key = f"daily/{day_of(backups)}/shop.sql.zst"
        data = bytearray(open(backups.blob(key), "rb").read())
        data[len(data) // 2] ^= 1
        os.chmod(backups.blob(key), 0o644)
        with open(backups.blob(key), "wb") as file:
            file.write(data)
    backups.wait_ended()
    assert backups.object("shop")[3:] == (False, "object_damaged")
    assert backups.rows("SELECT state, error FROM tidegate.backup_result") == [("failed", "object_damaged")]


class failpoint:
    """A run that stands still inside the transaction that makes a row fulfil the condition."""

    def __init__(self, backups, condition, table, start=True):
        self.backups, self.condition, self.table = backups, condition, table

    def __enter__(self):
        self.backups.rows(f"""CREATE OR REPLACE FUNCTION public.backup_failpoint() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
            BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NULL; END $$""")
        self.backups.rows(f"CREATE TRIGGER failpoint AFTER INSERT OR UPDATE ON tidegate.{self.table} FOR EACH ROW WHEN ({self.condition}) EXECUTE FUNCTION public.backup_failpoint()")
        self.guard = psycopg.connect(self.backups.instance._conninfo("tidegate"), autocommit=True)
        self.guard.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        self.backups.run("--no-wait")
        return self

    def wait(self):
        wait_until(lambda: self.backups.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", LOCK), 30, f"a worker to stand at {self.condition}")

    def __exit__(self, *_):
        # The statement that waits goes on as soon as it may; the trigger can be dropped only then, or once its transaction is gone.
        self.guard.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        self.backups.rows(f"DROP TRIGGER failpoint ON tidegate.{self.table}")
        self.guard.close()


POINTS = {
    "taken": ("NEW.phase = 'snapshot' AND NEW.state = 'running'", "backup_result"),
    "dumping": ("NEW.phase = 'dump'", "backup_result"),
    "uploading": ("NEW.phase = 'upload'", "backup_result"),
    "stored": ("NEW.state = 'stored' AND NEW.verified_at IS NULL", "backup_object"),
    "proving": ("NEW.phase = 'prove'", "backup_result"),
    "verified": ("NEW.verified_at IS NOT NULL", "backup_object"),
    "ended": ("NEW.state = 'succeeded'", "backup_result"),
    "run ended": ("NEW.state = 'completed'", "backup_run"),
}


@pytest.fixture(scope="module")
def frail():
    backups = Backups({"shop": 300}, fsync="on", worker__lease_s=5, worker__reap_s=1)
    yield backups
    backups.stop()


@pytest.mark.parametrize("point", POINTS)
def test_kill_at(frail, point, tmp_path, request):
    """kill -9 of every worker, at each point: the run goes on by itself and ends well, and what is verified restores."""
    request.node.instances = [frail.instance]
    condition, table = POINTS[point]
    before = {row[0] for row in frail.rows("SELECT key FROM tidegate.backup_object WHERE verified_at IS NOT NULL")}
    with failpoint(frail, condition, table) as stand:
        stand.wait()
        frail.instance.kill("work")
        # What it had begun is rolled back before anything else goes on.
        wait_until(lambda: frail.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE state <> 'active')", LOCK)[0][0] == 0, 10, "no ghost")
    frail.wait_ended()
    state = frail.rows("SELECT state FROM tidegate.backup_run ORDER BY started_at DESC LIMIT 1")[0][0]
    assert state == "completed"
    key, _, _, verified, error = frail.object("shop")
    assert verified and error is None and key not in before
    restored_is(frail, key, frail.path("shop"), tmp_path / "b.db")
    still = {row[0] for row in frail.rows("SELECT key FROM tidegate.backup_object WHERE verified_at IS NOT NULL")}
    assert before < still, "nothing that was good is gone"


def test_a_worker_that_dies_every_time(make):
    """A run never stays under way: when its attempts are used up it has failed, and says so."""
    backups = make({"shop": 10})
    backups.rows("ALTER TABLE tidegate.job ALTER max_attempts SET DEFAULT 1")
    with failpoint(backups, "NEW.phase = 'dump'", "backup_result") as point:
        point.wait()
        backups.instance.kill("work")
        backups.wait_ended()
    assert backups.rows("SELECT state, error FROM tidegate.backup_result") == [("failed", "worker_died")]
    assert backups.rows("SELECT count(*) FROM tidegate.event WHERE type = 'backup.failed'") == [(1,)]


def test_a_cancelled_job_fails_its_run(make):
    backups = make({"shop": 10}, worker__processes=0)
    backups.run("--no-wait")
    backups.rows("DELETE FROM tidegate.job WHERE kind = 'backup.database'")
    backups.rows("SELECT tidegate.backup_reap()")
    assert backups.rows("SELECT state, error FROM tidegate.backup_result") == [("failed", "cancelled")]
    assert backups.rows("SELECT state FROM tidegate.backup_run") == [("failed",)]


def test_a_second_run_joins(make):
    backups = make({"shop": 10, "users": 10}, worker__processes=0)
    first = backups.run("--no-wait").split()[1]
    assert backups.run("shop", "--no-wait") == f"run {first} joined\n"
    assert backups.rows("SELECT count(*) FROM tidegate.backup_result") == [(2,)]
