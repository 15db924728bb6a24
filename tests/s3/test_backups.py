"""Backups in Swift and radosgw: the proof is of what the store gives back; a store that is down fails nothing for good and loses nothing."""
import pytest
import sqlite_dumps
from backups import Backups, keys
from instance import wait_until


@pytest.fixture
def backups(store, request, tmp_path):
    made = Backups({"shop": 2000, "users": 5}, postgresql=True, backups__recipients=keys(tmp_path, "operator")[0], **{**store.options(), "storage__deadline_s": 20})
    request.node.instances = [made.instance]
    yield made
    made.stop()


def fetch(backups, key, to):
    to.write_bytes(backups.instance.object(key))
    return to


def test_run_restore_and_retention(backups, tmp_path):
    backups.run()
    for name in ("shop", "users"):
        key, size, _, verified, error = backups.object(name)
        assert verified and error is None
        path = fetch(backups, key, tmp_path / f"{name}.sql.zst.age")
        assert path.stat().st_size == size and backups.instance.object(key + ".json").startswith(b'{"version":1')
        sqlite_dumps.restore(path, tmp_path / f"{name}.db", "--identity", tmp_path / "operator")
        sqlite_dumps.same(backups.path(name), tmp_path / f"{name}.db")
    backups.rows("SELECT tidegate.job_enqueue('backup.weekly', '{}', '', 'backup.weekly', NULL)")
    found = wait_until(lambda: backups.rows("SELECT key, size FROM tidegate.backup_object WHERE kind = 'weekly' AND verified_at IS NOT NULL"), 60, "the archive")
    assert len(backups.instance.object(found[0][0])) == found[0][1]
    old = backups.object("users")[0]
    backups.run("users")
    backups.rows("UPDATE tidegate.backup_object SET day = day - 30, created_at = created_at - interval '30 days' WHERE key = %s RETURNING 1", old)
    assert "1 backups" in backups.instance.run("backup", "retention").stdout
    assert backups.instance.object(old) is None and backups.instance.object(old + ".json") is None
    lost = backups.object("shop")[0]
    backups.instance.replace_object(lost, None)
    backups.rows("SELECT tidegate.job_enqueue('backup.reconcile', '{}', '', 'backup.reconcile', NULL)")
    wait_until(lambda: backups.object("shop")[4] == "object_missing", 60, "the loss to be seen")


def test_untracked(backups):
    """More objects than a page of the store holds: each is found; those that are deleted by the option are gone, the inventory's own stay."""
    backups.run("users")
    mine = backups.object("users")[0]
    strays = [f"daily/2020-01-01/stray-{n}.sql" for n in range(1100)]
    for key in strays:
        backups.instance.replace_object(key, b"x")
    young = backups.instance.run("backup", "reconcile", "--untracked", "delete").stdout
    assert "0 untracked" in young, "they may be on their way"
    backups.rows("CREATE OR REPLACE FUNCTION tidegate.backup_is_old(p_modified bigint, p_hours int) RETURNS boolean LANGUAGE sql AS 'SELECT true'")  # five days later
    assert "1100 untracked" in backups.instance.run("backup", "reconcile").stdout
    assert "1100 deleted" in backups.instance.run("backup", "reconcile", "--untracked", "delete").stdout
    assert backups.instance.object(strays[0]) is None and backups.instance.object(strays[-1]) is None and backups.instance.object(mine)
