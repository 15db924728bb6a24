"""Rewrapping: stored backups become readable with other keys, payload untouched, and whatever stops it the old object is good until the new one is proven."""
import json
import os
import subprocess

import pytest
import sqlite_dumps
from backups import keys, making
from instance import wait_until


make = pytest.fixture(making)


def payload(path):
    data = open(path, "rb").read()
    return data[data.index(b"\n", data.index(b"\n---")  + 1) + 1:]


def change_keys(backups, public):
    backups.instance.options["backups__recipients"] = public
    backups.instance.write_ini()


def rewrap(backups, key, *arguments, status=0):
    place = backups.instance.path("fcgi", "key.txt")
    with open(place, "wb") as file:
        file.write(open(key, "rb").read())
    done = backups.instance.run("backup", "rewrap", "--identity", place, *arguments, check=False)
    os.remove(place)
    assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def opens(path, key):
    return subprocess.run(["age", "-d", "-i", key, path], capture_output=True).returncode == 0


def test_rotation(make, tmp_path):
    """From two keys to one new one: the same payload, a restore with the new key alone, copies in both stores, and the old objects go."""
    operator, escrow, new = keys(tmp_path, "operator", "escrow", "new")
    backups = make({"shop": 3000, "users": 5}, postgresql=True, replica=True, backups__recipients=f"{operator} {escrow}")
    backups.run()
    backups.wait_copied(3)
    old = {name: backups.object(name)[0] for name in ("shop", "users", "tidegate")}
    before = {name: payload(backups.blob(key)) for name, key in old.items()}
    change_keys(backups, new)
    said = rewrap(backups, tmp_path / "operator", "--dry-run")
    assert "3 backups are encrypted to other keys" in said and all(key in said for key in old.values())
    assert {name: backups.object(name)[0] for name in old} == old
    said = rewrap(backups, tmp_path / "operator")
    assert "3 backups are for the present keys now, 0 stayed" in said
    for name, key in old.items():
        path = backups.blob(backups.object(name)[0])
        assert backups.object(name)[0].startswith(key.split(".")[0] + "~") and payload(path) == before[name]
        assert os.path.exists(backups.blob(key)), "until retention removes it"
        assert opens(path, tmp_path / "new") and not opens(path, tmp_path / "operator") and not opens(path, tmp_path / "escrow")
        assert subprocess.run(["sha256sum", path], capture_output=True, text=True).stdout.split()[0] == backups.object(name)[2]
        with open(path + ".json", encoding="utf-8") as file:
            manifest = json.load(file)
        assert manifest["recipients"] == [new] and manifest["key"] == backups.object(name)[0] and manifest["sha256"] == backups.object(name)[2] and "content" not in manifest
    assert backups.object("shop")[3] and not backups.object("tidegate")[3], "PostgreSQL's was read to its end, not restored"
    kept = backups.rows("SELECT recipients, manifest -> 'content' ->> 'rows', manifest ->> 'sha256' = sha256 FROM tidegate.backup_object WHERE database = 'shop' AND state = 'stored'")
    assert kept == [([new], "6000", True)]
    backups.wait_copied(3)
    backups.instance.run("backup", "retention")
    for key in old.values():
        for path in (backups.blob(key), backups.copy(key), backups.blob(key + ".json"), backups.copy(key + ".json")):
            assert not os.path.exists(path)
    sqlite_dumps.restore("shop", tmp_path / "b.db", "--from", backups.instance.path("blobs"), "--identity", tmp_path / "new")
    sqlite_dumps.same(backups.path("shop"), tmp_path / "b.db")
    assert "0 backups are for" in rewrap(backups, tmp_path / "new"), "nothing is left to do"
    assert backups.spool() == []


def test_wrong_key_and_wrong_recipients(make, tmp_path):
    operator, new, stranger = keys(tmp_path, "operator", "new", "stranger")
    backups = make({"shop": 20, "users": 5}, backups__recipients=operator)
    backups.run()
    old = backups.object("shop")
    change_keys(backups, new)
    said = rewrap(backups, tmp_path / "stranger", "shop", status=4)
    assert "no key to read it" in said and backups.object("shop") == old and os.listdir(os.path.dirname(backups.blob(old[0]))).count("shop.sql.zst.age") == 1
    with open(backups.blob(backups.object("users")[0]), "rb") as file:
        good = file.read()
    backups.instance.replace_object(backups.object("users")[0], good[:-1] + bytes([good[-1] ^ 1]))
    said = rewrap(backups, tmp_path / "operator", status=3)
    assert "1 backups are for the present keys now, 1 stayed" in said and "users.sql.zst.age  stayed as it was" in said
    for public in ("", "age1nonsense"):
        change_keys(backups, public)
        rewrap(backups, tmp_path / "operator", status=78)
    rewrap(backups, backups.instance.path("cert.pem"), status=64)
    assert backups.instance.run("backup", "rewrap", check=False).returncode == 64
    assert not backups.rows("SELECT 1 FROM tidegate.backup_object WHERE state = 'making'") and backups.spool() == []


POINTS = {
    "announced": ("INSERT", "NEW.state = 'making'"),
    "made": ("DELETE", "OLD.state = 'making'"),
    "swapped": ("UPDATE", "NEW.key <> OLD.key"),
    "old one noted": ("INSERT", "NEW.state = 'deleting'"),
}


@pytest.mark.parametrize("point", POINTS)
def test_kill_at(make, tmp_path, point):
    """kill -9 at each point: the inventory's object is there, is whole and is what it says; the second attempt ends well, and what was left over goes."""
    import psycopg
    operator, new = keys(tmp_path, "operator", "new")
    backups = make({"shop": 100}, backups__recipients=operator)
    backups.run()
    old = backups.object("shop")
    change_keys(backups, new)
    event, condition = POINTS[point]
    backups.rows("CREATE FUNCTION public.stand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(4714); RETURN NULL; END $$")
    backups.rows(f"CREATE TRIGGER stand AFTER {event} ON tidegate.backup_object FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION public.stand()")
    place = backups.instance.path("fcgi", "key.txt")
    with open(place, "wb") as file:
        file.write((tmp_path / "operator").read_bytes())
    with psycopg.connect(backups.instance._conninfo("tidegate"), autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(4714)")
        running = subprocess.Popen([backups.instance.path("bin", "tidegate"), "--config", backups.instance.path("tidegate.ini"), "backup", "rewrap", "--identity", place],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **backups.instance._as(backups.instance.service_user))
        wait_until(lambda: backups.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4714 AND NOT granted"), 30, "it to stand there")
        running.kill()
        running.wait()
        backups.rows("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4714 AND NOT granted")
    assert backups.object("shop") == old and opens(backups.blob(old[0]), tmp_path / "operator")
    backups.rows("DROP TRIGGER stand ON tidegate.backup_object")
    rewrap(backups, tmp_path / "operator")
    key = backups.object("shop")[0]
    assert key != old[0] and backups.object("shop")[3]
    sqlite_dumps.restore(backups.blob(key), tmp_path / "b.db", "--identity", tmp_path / "new")
    sqlite_dumps.same(backups.path("shop"), tmp_path / "b.db")
    backups.rows("UPDATE tidegate.backup_object SET created_at = created_at - interval '2 days' WHERE state = 'making' RETURNING 1")
    backups.instance.run("backup", "retention")
    left = [name for name in os.listdir(os.path.dirname(backups.blob(key))) if name.startswith("shop")]
    assert sorted(left) == sorted([os.path.basename(key), os.path.basename(key) + ".json"]), "what nobody owns is gone"
