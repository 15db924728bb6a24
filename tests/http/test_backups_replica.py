"""The second store: copies are read back before they count, a store that fails is told of and tried again, and what the first one lost comes back."""
import os
import shutil
import subprocess

import pytest
import sqlite_dumps
from backups import SPACE, making
from instance import wait_until


make = pytest.fixture(making)


def api(backups, method, path, **options):
    return backups.instance.api(method, path, token=backups.instance.token("admin", "admin@ops", space=SPACE), **options)


def today(backups):
    return str(backups.rows("SELECT (now() AT TIME ZONE 'UTC')::date")[0][0])


def listed(backups, database):
    return api(backups, "GET", f"/backups/list?db={database}").json()["items"][0]


def retry_now(backups):
    backups.rows("UPDATE tidegate.backup_object SET replica_retry_at = NULL WHERE replica_error IS NOT NULL RETURNING 1")
    backups.job("backup.replicate")


def told(backups):
    return [row[0] for row in backups.rows("SELECT body::json -> 'data' ->> 'error' FROM tidegate.event WHERE type = 'backup.replica_failed' ORDER BY created_at")]


def test_copies(make, tmp_path):
    """Every backup, PostgreSQL's and the weekly archive too, with its manifest, byte for byte; a restore needs nothing of the first store."""
    backups = make({"shop": 2000, "empty": 0}, postgresql=True, replica=True)
    backups.run()
    backups.wait_copied(3)
    backups.job("backup.weekly")
    backups.wait_copied(4)
    for key, in backups.rows("SELECT key FROM tidegate.backup_object"):
        assert open(backups.copy(key), "rb").read() == open(backups.blob(key), "rb").read()
        if key.startswith("daily/"):
            assert open(backups.copy(key + ".json"), "rb").read() == open(backups.blob(key + ".json"), "rb").read()
    assert os.listdir(backups.instance.path("replica", "spool")) == [] and backups.spool() == []
    assert listed(backups, "shop")["replicatedAt"] and listed(backups, "shop")["replicaError"] is None
    assert api(backups, "GET", "/backups/status").json()["replica"] == {"copied": 4, "pending": 0, "failed": 0, "oldestPendingSeconds": None}
    shutil.rmtree(backups.blob("daily"))
    done = backups.instance.run("restore", "shop", "--replica", "--to", backups.instance.path("fcgi", "b.db"))
    assert "content verified" in done.stdout
    sqlite_dumps.same(backups.path("shop"), backups.instance.path("fcgi", "b.db"))
    done = backups.instance.run("restore", "shop", "--store", "--to", backups.instance.path("fcgi", "c.db"), check=False)
    assert done.returncode == 65 and "There is no backup of shop" in done.stderr
    sqlite_dumps.restore("shop", tmp_path / "d.db", "--from", backups.instance.path("replica", "blobs"))
    sqlite_dumps.same(backups.path("shop"), tmp_path / "d.db")


def test_no_second_store(make):
    backups = make({"shop": 5})
    backups.run()
    assert listed(backups, "shop")["replicatedAt"] is None and api(backups, "GET", "/backups/status").json()["replica"] is None
    assert not backups.rows("SELECT 1 FROM tidegate.job_history WHERE kind = 'backup.replicate'")
    for arguments in (("restore", "shop", "--replica", "--to", "/tmp/x.db"), ("store", "check", "--replica")):
        assert backups.instance.run(*arguments, check=False).returncode == 78
    assert backups.instance.run("restore", "shop", "--replica", "--store", "--to", "/tmp/x.db", check=False).returncode == 64


def test_failure_fails_no_backup(make):
    """A second store that is not there: the run is completed, the failure is told once, seen in status and list, and made good later."""
    backups = make({"shop": 50, "users": 5}, replica=True)
    away = backups.instance.path("away")
    os.rename(backups.instance.path("replica"), away)
    assert "completed" in backups.run()
    wait_until(lambda: told(backups), 30, "the failure to be told")
    assert backups.object("shop")[3] and backups.object("users")[3]
    retry_now(backups)
    retry_now(backups)
    assert told(backups) == ["replica_unavailable"], "once, however often it fails"
    state = api(backups, "GET", "/backups/status").json()["replica"]
    assert state["pending"] == 2 and state["failed"] >= 1 and state["oldestPendingSeconds"] >= 0
    codes = [listed(backups, name)["replicaError"] for name in ("shop", "users")]
    assert {"code": "replica_unavailable", "message": "The second store did not take the copy, or did not give it back."} in codes
    assert not os.path.exists(backups.instance.path("replica")), "a disk that is not mounted is not made up for"
    os.rename(away, backups.instance.path("replica"))
    retry_now(backups)
    backups.wait_copied(2)
    assert api(backups, "GET", "/backups/status").json()["replica"]["failed"] == 0
    assert backups.rows("SELECT count(*) FROM tidegate.event WHERE type = 'backup.failed'") == [(0,)]


def test_what_the_first_store_lost(make):
    """Gone or cut in the first store: a download, a reconcile and a test restore bring it back from the second, byte for byte."""
    backups = make({"shop": 500}, replica=True)
    backups.run()
    backups.wait_copied(1)
    key = backups.object("shop")[0]
    good = open(backups.blob(key), "rb").read()
    address = f"/backups/download/{today(backups)}/shop"

    def lose():
        os.remove(backups.blob(key))

    def cut():
        backups.instance.replace_object(key, good[:100])

    def flip():
        backups.instance.replace_object(key, good[:50] + bytes([good[50] ^ 1]) + good[51:])

    for harm in (lose, cut):
        harm()
        answer = api(backups, "GET", address)
        assert answer.status_code == 302 and backups.instance.session.get(answer.headers["Location"]).content == good
        harm()
        link = api(backups, "POST", "/backups/links", json={"path": address, "expiresIn": 60}).json()["url"]
        assert backups.instance.session.get(link).content == good
        harm()
        backups.job("backup.reconcile")
        assert open(backups.blob(key), "rb").read() == good and backups.object("shop")[3:] == (True, None)
    for harm in (lose, cut, flip):
        harm()
        assert api(backups, "POST", f"/backups/verify/{today(backups)}/shop", json={}).status_code == 202
        wait_until(lambda: not backups.rows("SELECT 1 FROM tidegate.job WHERE kind = 'backup.verify'"), 30, "the test restore to end")
        assert open(backups.blob(key), "rb").read() == good and backups.object("shop")[3:] == (True, None)
    assert backups.rows("SELECT count(*) FROM tidegate.event WHERE type = 'backup.failed'") == [(0,)]


def test_lost_in_both(make):
    backups = make({"shop": 50}, replica=True)
    backups.run()
    backups.wait_copied(1)
    key = backups.object("shop")[0]
    os.remove(backups.blob(key))
    backups.instance.replace_object(f"../replica/blobs/{key}", b"other bytes")
    answer = api(backups, "GET", f"/backups/download/{today(backups)}/shop")
    assert answer.status_code == 410 and answer.json()["code"] == "backup_lost"
    backups.job("backup.reconcile")
    assert backups.object("shop")[3:] == (False, "object_missing")
    assert not os.path.exists(backups.blob(key)), "bytes of another hash are never put back"


def test_the_copy_is_lost(make):
    """What is gone or cut in the second store is found by the reconcile, told, and copied again; a first store with other bytes copies nothing."""
    backups = make({"shop": 500}, replica=True)
    backups.run()
    backups.wait_copied(1)
    key = backups.object("shop")[0]
    good = open(backups.blob(key), "rb").read()
    for code, harm in (("replica_missing", lambda: os.remove(backups.copy(key))), ("replica_damaged", lambda: os.truncate(backups.copy(key), 9))):
        harm()
        backups.job("backup.reconcile")
        assert listed(backups, "shop")["replicaError"]["code"] == code and listed(backups, "shop")["replicatedAt"] is None
        retry_now(backups)
        assert open(backups.copy(key), "rb").read() == good
    assert told(backups) == ["replica_missing", "replica_damaged"]
    os.remove(backups.copy(key))
    backups.instance.replace_object(key, bytes([good[0] ^ 1]) + good[1:])
    backups.job("backup.reconcile")
    retry_now(backups)
    assert backups.object("shop")[3:] == (False, "object_damaged") and not os.path.exists(backups.copy(key))


def test_retention_removes_from_both(make):
    backups = make({"shop": 5}, replica=True)
    backups.sources[0]["weekly"] = False
    backups.write_sources()
    backups.run()
    backups.wait_copied(1)
    old = backups.object("shop")[0]
    backups.rows("UPDATE tidegate.backup_object SET day = day - 20, created_at = created_at - interval '20 days' RETURNING 1")
    backups.run()
    backups.wait_copied(2)
    assert os.path.exists(backups.copy(old))
    away = backups.instance.path("away")
    os.rename(backups.instance.path("replica"), away)
    backups.job("backup.retention")
    os.rename(away, backups.instance.path("replica"))
    backups.job("backup.retention")
    for suffix in ("", ".json"):
        assert not os.path.exists(backups.blob(old + suffix)) and not os.path.exists(backups.copy(old + suffix))
    assert backups.rows("SELECT state FROM tidegate.backup_object WHERE key = %s", old) == [("deleted",)]


def test_another_second_store_begins_anew(make):
    backups = make({"shop": 5}, replica=True)
    backups.run()
    backups.wait_copied(1)
    for name in ("other", "other/spool", "other/blobs"):
        backups.instance._make_folder(name, 0o700, backups.instance.service_user)
    backups.instance.options["replica__root"] = backups.instance.path("other")
    backups.instance.write_ini()
    backups.instance._end("pool", 15)
    backups.instance.start_pool()
    wait_until(backups.instance._answers, 30, "the pool to be back")
    assert api(backups, "GET", "/backups/status").json()["replica"]["pending"] == 1
    backups.job("backup.replicate")
    key = backups.object("shop")[0]
    assert open(backups.instance.path("other", "blobs", key), "rb").read() == open(backups.blob(key), "rb").read()
    assert subprocess.run(["sha256sum", backups.instance.path("other", "blobs", key)], capture_output=True, text=True, check=True).stdout.split()[0] == backups.object("shop")[2]


def test_killed_between_copy_and_row(make):
    """A worker that dies with the copy made and not recorded: it is made again."""
    backups = make({"shop": 50}, replica=True, worker__lease_s=5, worker__reap_s=1)
    backups.rows("""CREATE FUNCTION public.stand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(4713); RETURN NEW; END $$""")
    backups.rows("CREATE TRIGGER stand BEFORE UPDATE ON tidegate.backup_object FOR EACH ROW WHEN (NEW.replicated_at IS NOT NULL) EXECUTE FUNCTION public.stand()")
    import psycopg
    with psycopg.connect(backups.instance._conninfo("tidegate"), autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(4713)")
        backups.run()
        key = backups.object("shop")[0]
        wait_until(lambda: backups.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4713 AND NOT granted"), 30, "a worker to stand there")
        assert os.path.exists(backups.copy(key)) and listed(backups, "shop")["replicatedAt"] is None
        backups.instance.kill("work")
        wait_until(lambda: not backups.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4713 AND NOT granted AND pid NOT IN (SELECT pid FROM pg_stat_activity)"), 10, "no ghost")
    backups.wait_copied(1)
    assert open(backups.copy(key), "rb").read() == open(backups.blob(key), "rb").read()


def test_a_disk_that_is_not_mounted(make):
    """It says nothing: no copy is called lost, and no backup either."""
    backups = make({"shop": 5}, replica=True)
    backups.run()
    backups.wait_copied(1)
    away = backups.instance.path("away")
    os.rename(backups.instance.path("replica"), away)
    backups.job("backup.reconcile")
    assert told(backups) == [] and listed(backups, "shop")["replicatedAt"]
    key = backups.object("shop")[0]
    os.remove(backups.blob(key))
    backups.rows("SELECT tidegate.job_enqueue('backup.reconcile', '{}', '', 'backup.reconcile', NULL)")
    wait_until(lambda: backups.rows("SELECT 1 FROM tidegate.job WHERE kind = 'backup.reconcile' AND attempt > 0 AND state = 'ready'"), 30, "it to be tried again later")
    assert backups.object("shop")[3:] == (True, None)
    os.rename(away, backups.instance.path("replica"))
    backups.rows("UPDATE tidegate.job SET run_at = now() WHERE kind = 'backup.reconcile' RETURNING 1")
    wait_until(lambda: os.path.exists(backups.blob(key)), 30, "the object to be back")
