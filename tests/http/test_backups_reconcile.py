"""Objects that the inventory does not know: found whatever their number, told, taken in or deleted only where somebody says so, and never while they may be on their way."""
import json
import os
import shutil
import time

import pytest
from backups import keys, making

make = pytest.fixture(making)
OLD = 100 * 3600


def lay(backups, key, data=b"somebody's", age_s=OLD):
    """An object that nobody made a row for."""
    path = backups.blob(key)
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    while folder != backups.instance.path("blobs"):
        os.chmod(folder, 0o777)
        folder = os.path.dirname(folder)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o644)
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


def reconcile(backups, *options):
    return backups.instance.run("backup", "reconcile", *options).stdout


def forget(backups, database="shop", day=None):
    """The inventory loses a row; its object and manifest are older than the grace time. The key."""
    key = backups.object(database)[0]
    if day:
        with open(backups.blob(key + ".json"), encoding="utf-8") as file:
            manifest = json.load(file)
        new = f"daily/{day}/{key.split('/')[2]}"
        lay(backups, new, open(backups.blob(key), "rb").read())
        lay(backups, new + ".json", json.dumps({**manifest, "key": new, "date": day}).encode())
        os.remove(backups.blob(key))
        os.remove(backups.blob(key + ".json"))
    backups.rows("DELETE FROM tidegate.backup_object WHERE key = %s RETURNING 1", key)
    key = new if day else key
    for suffix in ("", ".json"):
        os.utime(backups.blob(key + suffix), (time.time() - OLD, time.time() - OLD))
    return key


def test_more_than_a_page(make):
    """2 300 objects, of which the inventory knows one backup: every other is found once, told once per reconcile, and stays."""
    backups = make({"shop": 5})
    backups.run()
    known = backups.object("shop")[0]
    for suffix in ("", ".json"):
        os.utime(backups.blob(known + suffix), (time.time() - OLD, time.time() - OLD))
    for n in range(2300):
        lay(backups, f"daily/2020-01-{n % 28 + 1:02}/thing-{n}.sql")
    lay(backups, "weekly/2020-W01.tar.gz", b"x" * 100)
    lay(backups, "daily/stray")
    lay(backups, "elsewhere/stray")
    backups.job("backup.reconcile")
    told = backups.told("backup.untracked")
    assert [(event["count"], event["bytes"], len(event["keys"])) for event in told] == [(2302, 2301 * 10 + 100, 20)]
    said = reconcile(backups)
    assert said.count("untracked  ") == 2302 and known not in said and "elsewhere" not in said and "0 lost, 2302 untracked (23110 bytes), 0 adopted, 0 deleted" in said
    assert os.path.exists(backups.blob("daily/stray")) and len(os.listdir(backups.blob("daily/2020-01-01"))) == 83
    assert len(backups.told("backup.untracked")) == 1, "who asks by hand reads the answer"


def test_grace(make):
    """What is young may be on its way; what was deleted from the inventory and is there again is not known."""
    backups = make({"shop": 5})
    backups.run()
    key = backups.object("shop")[0]
    young = lay(backups, "daily/2020-01-01/young.sql", age_s=3600)
    backups.rows("DELETE FROM tidegate.backup_object RETURNING 1")
    for options in ((), ("--untracked", "adopt"), ("--untracked", "delete")):
        assert "0 untracked" in reconcile(backups, *options)
    assert os.path.exists(young) and os.path.exists(backups.blob(key))
    os.utime(young, (time.time() - OLD, time.time() - OLD))
    assert "1 deleted" in reconcile(backups, "--untracked", "delete") and not os.path.exists(young)


def test_deleted_only_where_said(make):
    """By the option, of the command or of the configuration; names that are no key are told and left alone."""
    backups = make({"shop": 5}, backups__untracked="delete")
    backups.run()
    good = backups.object("shop")[0]
    for suffix in ("", ".json"):
        os.utime(backups.blob(good + suffix), (time.time() - OLD, time.time() - OLD))
    stray, odd = lay(backups, "daily/2020-01-01/gone.sql"), lay(backups, "daily/2020-01-01/odd name\u00e9.sql")
    today = lay(backups, f"daily/{good.split('/')[1]}/mine.sql")
    os.symlink("/etc/passwd", backups.blob("daily/2020-01-01/link"))
    assert "3 untracked" in reconcile(backups) and os.path.exists(stray)
    backups.job("backup.reconcile")
    assert not os.path.exists(stray) and os.path.exists(odd) and os.path.exists(today), "the day's keys are those of runs"
    assert os.path.exists(backups.blob(good)) and backups.object("shop")[3] and os.path.islink(backups.blob("daily/2020-01-01/link"))
    told = backups.told("backup.untracked")[0]
    assert told["count"] == 2 and "daily/2020-01-01/odd?name??.sql" in told["keys"]


def test_nothing_goes_while_a_run_is_under_way(make):
    backups = make({"shop": 5}, worker__processes=0)
    stray = lay(backups, "daily/2020-01-01/gone.sql")
    backups.run("--no-wait")
    assert "1 untracked" in reconcile(backups, "--untracked", "delete") and os.path.exists(stray)
    backups.rows("DELETE FROM tidegate.job WHERE kind = 'backup.database' RETURNING 1")
    backups.rows("SELECT tidegate.backup_reap()")
    assert "1 deleted" in reconcile(backups, "--untracked", "delete") and not os.path.exists(stray)


def test_adopted(make, tmp_path):
    """A backup whose row is lost comes back by its manifest, is tested, and is as old as it was; the dump of PostgreSQL too."""
    backups = make({"shop": 50}, postgresql=True)
    backups.run()
    key, dump = forget(backups, day="2026-01-02"), forget(backups, "tidegate", day="2026-01-02")
    said = reconcile(backups, "--untracked", "adopt")
    assert "2 adopted" in said and "0 untracked" in said
    from instance import wait_until
    wait_until(lambda: not backups.rows("SELECT 1 FROM tidegate.job WHERE kind = 'backup.verify'"), 30, "the test restores to end")
    assert backups.object("shop")[0] == key and backups.object("shop")[3:] == (True, None)
    assert backups.object("tidegate")[0] == dump and backups.object("tidegate")[3:] == (False, None)
    day, rows, tables, age = backups.rows("SELECT day::text, row_count, table_count, extract(epoch FROM now() - created_at) FROM tidegate.backup_object WHERE key = %s", key)[0]
    assert (day, rows, tables) == ("2026-01-02", 100, 2) and OLD <= age < OLD + 600
    assert "0 untracked" in reconcile(backups, "--untracked", "adopt")
    listed = backups.api("GET", "/backups/list?db=shop").json()["items"]
    assert [item["date"] for item in listed] == ["2026-01-02"]


@pytest.mark.parametrize("spoil", ["bytes", "no manifest", "manifest of another", "database unknown", "manifest is no JSON", "encrypted", "wrong day"])
def test_not_adopted(make, spoil, tmp_path):
    """What cannot be compared with anything, or is not what its manifest says, is told and stays out."""
    options = {"backups__recipients": keys(tmp_path, "k")[0]} if spoil == "encrypted" else {}
    backups = make({"shop": 50}, **options)
    backups.run()
    key = forget(backups, day="2026-01-02")
    beside = backups.blob(key + ".json")
    with open(beside, encoding="utf-8") as file:
        manifest = json.load(file)
    if spoil == "bytes":
        data = bytearray(open(backups.blob(key), "rb").read())
        data[20] ^= 1
        lay(backups, key, bytes(data))
    elif spoil == "no manifest":
        os.remove(beside)
    elif spoil == "manifest is no JSON":
        lay(backups, key + ".json", b"{")
    elif spoil != "encrypted":
        changes = {"manifest of another": {"key": "daily/2026-01-02/other.sql.zst"}, "database unknown": {"database": "nobody"}, "wrong day": {"date": "2026-01-03"}}
        lay(backups, key + ".json", json.dumps({**manifest, **changes[spoil]}).encode())
    said = reconcile(backups, "--untracked", "adopt")
    assert "0 adopted" in said and key in said and backups.object("shop") is None and os.path.exists(backups.blob(key))


def test_a_store_that_cannot_be_listed(make):
    """Says nothing: no object is lost or gone because of it, and the job is tried again."""
    backups = make({"shop": 5})
    backups.run()
    shutil.move(backups.instance.path("blobs"), backups.instance.path("blobs.away"))
    with open(backups.instance.path("blobs"), "w", encoding="utf-8") as file:
        file.write("no folder")
    done = backups.instance.run("backup", "reconcile", "--untracked", "delete", check=False)
    os.remove(backups.instance.path("blobs"))
    shutil.move(backups.instance.path("blobs.away"), backups.instance.path("blobs"))
    assert done.returncode != 0 and backups.object("shop")[3:] == (True, None)
    assert backups.instance.run("backup", "reconcile", "--untracked", "perhaps", check=False).returncode == 64
