"""Bad input at the doors of backups: ranges of downloads, addresses, and sources that do not fit on the disk or vanish under the run."""
import os
import subprocess

import pytest
from backups import SPACE, Backups, make_database, making
from instance import ROOT


make = pytest.fixture(making)


@pytest.fixture(scope="module")
def made():
    backups = Backups({"shop": 50})
    backups.run()
    yield backups
    backups.stop()


@pytest.fixture
def backups(made, request):
    request.node.instances = [made.instance]
    return made


def api(backups, path, **options):
    return backups.instance.api("GET", path, token=backups.instance.token("admin", "admin@ops", space=SPACE), **options)


def today(backups):
    return str(backups.rows("SELECT (now() AT TIME ZONE 'UTC')::date")[0][0])


@pytest.mark.parametrize("header,status,part", [
    ("bytes=0-9", 206, slice(0, 10)), ("bytes=5-", 206, slice(5, None)), ("bytes=-7", 206, slice(-7, None)), ("bytes=0-999999999", 206, slice(0, None)),
    ("bytes=99999999-", 416, None), ("bytes=9-5", 416, None), ("bytes=-0", 416, None), ("bytes=a-b", 416, None), ("lines=1-2", 200, slice(0, None)),
    ("bytes=99999999999999999999999-", 416, None)])
def test_ranges(backups, header, status, part):
    """Of the object behind the redirect: the part, or 416, never other bytes."""
    location = api(backups, f"/backups/download/{today(backups)}/shop").headers["Location"]
    data = open(backups.blob(backups.object("shop")[0]), "rb").read()
    answer = backups.instance.session.get(location, headers={"Range": header})
    assert answer.status_code == status, answer.text[:200]
    if part:
        assert answer.content == data[part]
    else:
        assert data not in answer.content
    assert api(backups, f"/backups/download/{today(backups)}/shop", headers={"Range": header}).status_code == 302, "the redirect itself has no parts"


@pytest.mark.parametrize("path", ["/backups/download/../../etc/passwd", "/backups/download/2026-01-01/..%2f..%2fetc%2fpasswd", "/backups/download/2026-01-01/%2e%2e%2fshop",
                                  "/backups/download/2026-01-01%2Fshop", "/backups/download/2026-01-01/shop/", "/backups/download//shop", "/backups/weekly/%2e%2e%2f2026-W01",
                                  "/backups/weekly/2026-W01%00", "/backups/download/2026-01-01/shop.sql.zst", "/backups/download/2026-01-01/" + "x" * 3000,
                                  "/backups/download/2026-01-01/shop?table=../../x", "/backups/download/2026-01-01/shop?table=%00", "/backups/restore-guide/..%2F"])
def test_addresses(backups, path):
    """As they are written: a client that tidies them up is not in between."""
    token = backups.instance.token("admin", "admin@ops", space=SPACE)
    answer = backups.instance.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode())
    assert answer.status_code in (400, 404, 414), answer.text
    assert "root:" not in answer.text


def test_what_exists_is_said(backups):
    day = today(backups)
    assert api(backups, "/backups/download/2020-01-01/shop").json()["available"] == day
    assert api(backups, f"/backups/download/{day}/x").json()["available"] == "shop"
    assert api(backups, f"/backups/download/{day}/shop?table=x").json()["available"] == "thing, tag"
    assert api(backups, "/backups/weekly/2020-W01").json()["available"] == ""
    assert api(backups, f"/backups/compare/shop?from=2020-01-01&to={day}").json()["available"] == day


def test_larger_than_the_disk(make):
    """The spool is a disk of 40 MB: what fits is backed up, what does not is told of, and nothing of it is left."""
    if not ROOT:
        pytest.skip("mounts a disk of its own, which takes root")
    backups = make({"small": 5})
    disk = backups.instance.path("disk")
    os.mkdir(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk], check=True)
    try:
        for name in ("disk", "disk/spool", "disk/blobs"):
            backups.instance._make_folder(name, 0o700, backups.instance.service_user)
        backups.instance.options["storage__root"] = disk
        backups.instance.write_ini()
        backups.instance._end("pool", 15)
        backups.instance.start_pool()
        make_database(backups.path("huge"), 0)
        subprocess.run(["sqlite3", backups.path("huge"), "CREATE TABLE x(a); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 6000) INSERT INTO x SELECT randomblob(10000) FROM n"], check=True)
        backups.sources.append({"name": "huge", "path": backups.path("huge")})
        backups.open_up()
        backups.write_sources()
        backups.run(status=3)
        assert dict(backups.rows("SELECT database, coalesce(error, 'ok') FROM tidegate.backup_result")) == {"small": "ok", "huge": "disk_full"}
        assert os.listdir(os.path.join(disk, "spool")) == [] and backups.object("huge") is None
        with open(os.path.join(disk, "fill"), "wb") as file:
            file.write(b"x" * 10000000)
        backups.run("small")
    finally:
        backups.instance._end("pool", 15)
        subprocess.run(["umount", "-l", disk], check=True)


def test_sources_that_vanish(make):
    """Between two runs: the file, its folder, the right to read it, the file to a folder. The run ends, says which, and the next one is good again."""
    backups = make({"shop": 20, "users": 5})
    path = backups.path("shop")

    def swapped(away, put, back):
        away()
        put()
        backups.run(status=3)
        code = backups.rows("SELECT error FROM tidegate.backup_result WHERE database = 'shop' ORDER BY started_at DESC LIMIT 1")[0][0]
        back()
        return code

    def hide():
        os.rename(path, path + ".away")

    def show():
        os.rename(path + ".away", path)

    assert swapped(hide, lambda: None, show) == "source_missing"
    assert swapped(hide, lambda: os.mkdir(path), lambda: (os.rmdir(path), show())) in ("source_not_sqlite", "source_unreadable")
    assert swapped(hide, lambda: os.symlink("/nowhere/at/all", path), lambda: (os.remove(path), show())) == "source_missing"
    if ROOT:
        assert swapped(lambda: None, lambda: os.chmod(path, 0), lambda: os.chmod(path, 0o666)) == "source_unreadable"
    assert "completed" in backups.run()
