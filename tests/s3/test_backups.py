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


def replica_options(store):
    """The options of a first store as those of a second."""
    return {name.replace("storage__", "replica__"): value for name, value in store.options().items()
            if name.split("__")[1] in ("driver", "endpoint", "region", "access_key", "secret_key", "ca_file", "virtual_host")}


@pytest.mark.parametrize("first", ["local", "s3"])
def test_a_second_store(store, request, first):
    """A directory or a bucket first, a bucket second: copies come back byte for byte, by a download, a reconcile and a restore without PostgreSQL."""
    import secrets
    bucket = f"second-{secrets.token_hex(8)}"
    options = {**(store.options() if first == "s3" else {}), **replica_options(store), "replica__bucket": bucket}
    backups = Backups({"shop": 2000, "users": 5}, **options)
    request.node.instances = [backups.instance]
    try:
        wanted = "replica_unavailable"
        backups.run()
        wait_until(lambda: backups.rows("SELECT 1 FROM tidegate.backup_object WHERE replica_error = %s", wanted), 60, "a bucket that is not there to be told of")
        assert backups.object("shop")[3], "the backup is good all the same"
        assert backups.instance.run("store", "setup", "--replica", check=False).returncode in (0, 4, 65)
        backups.rows("UPDATE tidegate.backup_object SET replica_retry_at = NULL RETURNING 1")
        backups.job("backup.replicate")
        backups.wait_copied(2)
        listed = backups.instance.run("store", "list", "--replica").stdout
        key = backups.object("shop")[0]
        assert key in listed and key + ".json" in listed
        good = backups.instance.object(key)
        backups.instance.replace_object(key, None)
        token = backups.instance.token("admin", "admin@ops", space="operations")
        day = str(backups.rows("SELECT (now() AT TIME ZONE 'UTC')::date")[0][0])
        answer = backups.instance.api("GET", f"/backups/download/{day}/shop", token=token)
        assert answer.status_code == 302 and bucket in answer.headers["Location"]
        assert backups.instance.session.get(answer.headers["Location"]).content == good
        place = backups.instance.path("fcgi", "restored.db")
        backups.instance.run("restore", "shop", "--replica", "--to", place)
        sqlite_dumps.same(backups.path("shop"), place)
        backups.job("backup.reconcile")
        assert backups.instance.object(key) == good and backups.object("shop")[3:] == (True, None)
        if first == "s3":
            backups.instance.run("restore", "shop", "--store", "--date", day, "--to", place + "2")
            sqlite_dumps.same(backups.path("shop"), place + "2")
        missing = backups.instance.run("restore", "shop", "--replica", "--date", "2020-01-01", "--to", place + "3", check=False)
        assert missing.returncode == 65 and "There is no backup of shop of 2020-01-01" in missing.stderr
        backups.instance.run("store", "delete", key, "--replica")
        backups.job("backup.reconcile")
        assert backups.rows("SELECT replica_error FROM tidegate.backup_object WHERE key = %s", key) == [("replica_missing",)]
    finally:
        backups.stop()


def test_one_table_of_a_bucket(store, request, tmp_path):
    """Only the frames that hold the table are fetched, and the table is what it was."""
    import sqlite3
    backups = Backups({}, **store.options())
    request.node.instances = [backups.instance]
    try:
        db = sqlite3.connect(backups.path("two"))
        for name in ("first", "second", "third"):
            db.execute(f"CREATE TABLE {name}(x)")
            db.executemany(f"INSERT INTO {name} VALUES(?)", ((f"{name} {i * 7919 % 100003} " * 8,) for i in range(20000)))
        db.commit()
        db.close()
        backups.sources.append({"name": "two", "path": backups.path("two")})
        backups.write_sources()
        backups.open_up()
        backups.run()
        token = backups.instance.token("admin", "admin@ops", space="operations")
        day = str(backups.rows("SELECT (now() AT TIME ZONE 'UTC')::date")[0][0])
        for query, name in (("table=first", "first"), ("table=third", "third"), ("as=sql", "second")):
            answer = backups.instance.api("GET", f"/backups/download/{day}/two?{query}", token=token)
            assert answer.status_code == 302, answer.text
            (tmp_path / "t.sql").write_bytes(backups.instance.session.get(answer.headers["Location"]).content)
            sqlite_dumps.shell(tmp_path / "t.sql", tmp_path / f"{name}.db")
            question = f"SELECT rowid, x FROM {name} ORDER BY rowid"
            assert sqlite3.connect(tmp_path / f"{name}.db").execute(question).fetchall() == sqlite3.connect(backups.path("two")).execute(question).fetchall()
    finally:
        backups.stop()


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


def test_a_differential_backup_in_a_bucket(store, request):
    """Its base is fetched from there to make it, to prove it, to hand it out whole, and to restore it without PostgreSQL."""
    import sqlite3
    backups = Backups({}, **store.options())
    request.node.instances = [backups.instance]
    try:
        backups.add("shop", 3000, differential=True)
        backups.write_sources()
        backups.run()
        with sqlite3.connect(backups.path("shop")) as db:
            db.execute("UPDATE thing SET price = -1 WHERE id % 100 = 0")
        db.close()
        backups.open_up()
        backups.run()
        key, size, _, verified, _ = backups.object("shop")
        assert ".diff." in key and verified and len(backups.instance.object(key)) == size
        place = backups.instance.path("fcgi", "restored")
        backups.instance.run("store", "delete", key.replace(".diff", "") + ".json")
        day = key.split("/")[1]
        backups.instance.run("store", "get", key, place + ".diff.sql.zst")
        backups.instance.run("store", "get", key.replace(".diff", ""), place + ".sql.zst")
        backups.instance.run("restore", place + ".diff.sql.zst", "--base", place + ".sql.zst", "--to", place + ".db")
        sqlite_dumps.same(backups.path("shop"), place + ".db")
        backups.rows("UPDATE tidegate.backup_object SET verified_at = NULL WHERE base_id IS NULL RETURNING 1")
        answer = backups.instance.api("GET", f"/backups/download/{day}/shop", token=backups.instance.token("admin", "admin@ops", space="operations"))
        with open(place + "-whole.sql.zst", "wb") as file:
            file.write(backups.instance.session.get(answer.headers["Location"]).content)
        sqlite_dumps.restore(place + "-whole.sql.zst", place + "-whole.db")
        sqlite_dumps.same(backups.path("shop"), place + "-whole.db")
    finally:
        backups.stop()
