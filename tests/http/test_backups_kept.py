"""What happens over days: the schedule, weekly archives, what retention keeps and removes, and what is missing in the store."""
import io
import json
import os
import re
import subprocess
import tarfile

import pytest
import sqlite_dumps
from backups import making
from instance import BUILD, REPOSITORY, wait_until


make = pytest.fixture(making)


def job(backups, kind):
    """Runs one job of that kind to its end."""
    backups.rows("SELECT tidegate.job_enqueue(%s, '{}', '', %s, NULL)", kind, kind)
    wait_until(lambda: not backups.rows("SELECT 1 FROM tidegate.job WHERE kind = %s AND state <> 'failed'", kind), 30, f"{kind} to end")
    assert not backups.rows("SELECT last_error FROM tidegate.job WHERE kind = %s", kind)


def age(backups, where, days):
    """Makes stored backups older, as if they had been made so many days ago: row, key and object."""
    for id, key, day in backups.rows(f"SELECT id, key, to_char(day - %s, 'YYYY-MM-DD') FROM tidegate.backup_object WHERE {where}", days):
        kind, _, name = key.split("/") if key.count("/") == 2 else (None, None, None)
        new = f"{kind}/{day}/{name}"
        os.makedirs(backups.blob(f"{kind}/{day}"), mode=0o777, exist_ok=True)
        os.chmod(backups.blob(f"{kind}/{day}"), 0o777)
        for suffix in ("", ".json"):
            os.rename(backups.blob(key + suffix), backups.blob(new + suffix))
        backups.rows("UPDATE tidegate.backup_object SET key = %s, day = %s::date, created_at = created_at - make_interval(days => %s), "
                     "verified_at = verified_at - make_interval(days => %s) WHERE id = %s RETURNING id", new, day, days, days, id)


def test_slots(make):
    """The last slot of a time of day, of a weekday, and over the year's end."""
    backups = make({}, worker__processes=0)
    slot = lambda at, weekday, now: str(backups.rows("SELECT tidegate.backup_slot(%s::time, %s, %s::timestamptz) AT TIME ZONE 'UTC'", at, weekday, now)[0][0])
    assert slot("03:00", None, "2026-11-21 02:59:59Z") == "2026-11-20 03:00:00"
    assert slot("03:00", None, "2026-11-21 03:00:00Z") == "2026-11-21 03:00:00"
    assert slot("04:00", 7, "2026-11-22 03:59:59Z") == "2026-11-15 04:00:00"
    assert slot("04:00", 7, "2026-11-22 04:00:00Z") == "2026-11-22 04:00:00"
    assert slot("04:00", 7, "2027-01-02 00:00:00Z") == "2026-12-27 04:00:00"
    assert backups.rows("SELECT to_char('2027-01-01'::date, 'IYYY-\"W\"IW')") == [("2026-W53",)]


def test_schedule(make):
    """A new schedule waits for its next slot; a slot that was missed is made up for once, however often anybody looks."""
    backups = make({"shop": 10})
    job(backups, "backup.tick")
    assert backups.rows("SELECT count(*) FROM tidegate.backup_run") == [(0,)]
    assert {row[0] for row in backups.rows("SELECT name FROM tidegate.backup_schedule")} == {"daily", "weekly", "reconcile", "retention"}
    backups.rows("UPDATE tidegate.backup_schedule SET slot = slot - interval '3 days' WHERE name = 'daily' RETURNING 1")
    job(backups, "backup.tick")
    job(backups, "backup.tick")
    backups.wait_ended()
    assert backups.rows("SELECT trigger, state FROM tidegate.backup_run") == [("scheduled", "completed")]


def test_woken_by_a_timer(make):
    """`tidegate backup wake`, what the timers of systemd call: takes a slot that is due, once, and nothing that is not."""
    backups = make({"shop": 10})
    wake = lambda: backups.instance.run("backup", "wake")
    wake()
    wake()
    assert backups.rows("SELECT count(*) FROM tidegate.backup_run") == [(0,)], "a new schedule waits for its next slot"
    backups.rows("UPDATE tidegate.backup_schedule SET slot = slot - interval '1 day' WHERE name IN ('daily', 'retention') RETURNING 1")
    before = backups.rows("SELECT count(*) FROM tidegate.job_history WHERE kind = 'backup.retention'")[0][0]
    wake()
    wake()
    backups.wait_ended()
    assert backups.rows("SELECT trigger, state FROM tidegate.backup_run") == [("scheduled", "completed")]
    wait_until(lambda: backups.rows("SELECT count(*) FROM tidegate.job_history WHERE kind = 'backup.retention'")[0][0] == before + 1, 30, "the clean-up to have run")
    assert backups.instance.run("backup", "wake", "now", check=False).returncode == 64


def test_timers_are_those_of_the_schedule():
    """The hours of the timers are the defaults of the options."""
    with open(os.path.join(REPOSITORY, "core", "base", "config.def"), encoding="utf-8") as file:
        times = dict(re.findall(r'TIME\(\w+, "backups", "(\w+)_at", "([0-9:]+)"', file.read()))
    assert len(times) == 4
    for option, timer in (("daily", "daily"), ("weekly", "weekly"), ("reconcile", "reconcile"), ("retention", "cleanup")):
        with open(os.path.join(REPOSITORY, "systemd", f"tidegate-backup-{timer}.timer"), encoding="utf-8") as file:
            text = file.read()
        assert f" {times[option]}:00 UTC" in text and ("OnCalendar=Sun " in text) == (option in ("weekly", "reconcile"))


@pytest.mark.parametrize("option,value", [("DAILY_AT", "24:00"), ("DAILY_AT", "3:00"), ("DAILY_AT", ""), ("WEEKLY_AT", "04:60"), ("WEEKLY_AT", "noon"), ("RECONCILE_AT", "05:00:00"), ("RECONCILE_AT", "-5:00"),
                                          ("RETENTION_AT", "05.30"), ("WEEKLY_FORMAT", "zip"), ("WEEKLY_FORMAT", "gz zst"), ("UNTRACKED", ""), ("UNTRACKED", "DELETE")])
def test_options_that_are_refused(option, value):
    """A time that is none, a word that is none: every program says so in one sentence and does not start."""
    for command in ("serve", "work", "backup"):
        done = subprocess.run([os.path.join(BUILD, "tidegate"), command, *(("run",) if command == "backup" else ())], capture_output=True, text=True, timeout=30,
                              env={**os.environ, "TIDEGATE_CONFIG": "/dev/null", f"TIDEGATE_BACKUPS_{option}": value})
        assert done.returncode == 78 and f"backups.{option.lower()} must be" in done.stderr and f'"{value}"' in done.stderr, f"{command}: {done.returncode} {done.stderr}"


@pytest.mark.parametrize("form,unpack", [("gz", "-xzf"), ("zst", "--zstd -xf")])
def test_weekly(make, tmp_path, form, unpack):
    """Seven days of two databases, one day missing of one: the archive holds the stored objects as they are, and says what is missing."""
    backups = make({"shop": 20, "users": 20}, backups__weekly_format=form)
    for days in range(6, -1, -1):
        backups.run(*(("users",) if days == 3 else ()))
        if days:
            age(backups, "created_at > now() - interval '1 hour'", days)
    job(backups, "backup.weekly")
    key, week = backups.rows("SELECT key, database FROM tidegate.backup_object WHERE kind = 'weekly' AND verified_at IS NOT NULL")[0]
    assert key == f"weekly/{week}.tar.{form}" and week == backups.rows("SELECT to_char(now() AT TIME ZONE 'UTC', 'IYYY-\"W\"IW')")[0][0]
    archive = open(backups.blob(key), "rb").read()
    subprocess.run(["tar", *unpack.split(), backups.blob(key), "-C", tmp_path], check=True, capture_output=True)
    with open(tmp_path / "MANIFEST.json", encoding="utf-8") as file:
        manifest = json.load(file)
    assert len(manifest["members"]) == 13 and [m["database"] for m in manifest["missing"]] == ["shop"]
    plain = {"gz": "gzip", "zst": "zstd"}[form]
    with tarfile.open(fileobj=io.BytesIO(subprocess.run([plain, "-dc", backups.blob(key)], check=True, capture_output=True).stdout)) as tar:
        names = tar.getnames()
        assert all(member.mode == 0o600 for member in tar)
    assert names == ["MANIFEST.json"] + [m["name"] for m in manifest["members"]] and [m["database"] for m in manifest["members"]] == ["shop"] * 6 + ["users"] * 7
    for member in manifest["members"]:
        done = subprocess.run(["sha256sum", tmp_path / member["name"]], capture_output=True, text=True, check=True)
        assert done.stdout.split()[0] == member["sha256"]
    sqlite_dumps.restore("users", tmp_path / "users.db", "--from", tmp_path)
    sqlite_dumps.same(backups.path("users"), tmp_path / "users.db")
    job(backups, "backup.weekly")
    assert open(backups.blob(key), "rb").read() == archive, "a week is archived once"
    backups.rows("DELETE FROM tidegate.backup_object WHERE kind = 'weekly' RETURNING 1")
    job(backups, "backup.weekly")
    assert open(backups.blob(key), "rb").read() == archive, "the same members make the same bytes"
    answer = backups.api("GET", f"/backups/weekly/{week}")
    assert answer.status_code == 302 and f"{week}.tar.{form}" in answer.headers["Location"]


def stored(backups):
    return {row[0] for row in backups.rows("SELECT key FROM tidegate.backup_object WHERE state = 'stored' AND kind = 'daily'")}


def test_retention(make):
    """Old dailies go once an archive holds them; the newest good one stays however old it is; a dry run removes nothing."""
    backups = make({"shop": 5, "alone": 5})
    backups.run()
    age(backups, "created_at > now() - interval '1 hour'", 6)
    backups.run("shop")
    job(backups, "backup.weekly")
    backups.rows("UPDATE tidegate.backup_object SET archive_id = NULL WHERE database = 'shop' AND day < current_date - 1 RETURNING 1")
    age(backups, "kind = 'daily'", 30)
    old = backups.rows("SELECT key FROM tidegate.backup_object WHERE database = 'shop' ORDER BY day LIMIT 1")[0][0]
    assert "0 backups" in backups.instance.run("backup", "retention").stdout, "one is in no archive, the others are the newest of their database"
    backups.rows("UPDATE tidegate.backup_object SET archive_id = (SELECT id FROM tidegate.backup_object WHERE kind = 'weekly') WHERE key = %s RETURNING 1", old)
    said = backups.instance.run("backup", "retention", "--dry-run").stdout
    assert old in said and "1 backups" in said and os.path.exists(backups.blob(old)) and old in stored(backups)
    job(backups, "backup.retention")
    assert not os.path.exists(backups.blob(old)) and not os.path.exists(backups.blob(old + ".json"))
    assert len(stored(backups)) == 2
    assert backups.rows("SELECT state FROM tidegate.backup_object WHERE key = %s", old) == [("deleted",)]


def test_retention_after_failed_checks(make):
    """A newer backup that was not proven is no reason to remove an older one that was."""
    backups = make({"shop": 5})
    backups.sources[0]["weekly"] = False
    backups.write_sources()
    backups.run()
    age(backups, "kind = 'daily'", 20)
    backups.run()
    backups.rows("UPDATE tidegate.backup_object SET verified_at = NULL, verify_error = 'restore_failed' WHERE day > current_date - 10 RETURNING 1")
    assert "0 backups" in backups.instance.run("backup", "retention").stdout
    backups.rows("UPDATE tidegate.backup_object SET verified_at = now(), verify_error = NULL WHERE day > current_date - 10 RETURNING 1")
    assert "1 backups" in backups.instance.run("backup", "retention").stdout


def test_killed_between_object_and_row(make):
    """Objects first, rows after: what a dead process left in the state deleting goes at the next run, also when its object is gone already."""
    backups = make({"shop": 5})
    backups.run()
    key = backups.object("shop")[0]
    backups.rows("UPDATE tidegate.backup_object SET state = 'deleting' RETURNING 1")
    os.remove(backups.blob(key))
    job(backups, "backup.retention")
    assert backups.rows("SELECT state FROM tidegate.backup_object") == [("deleted",)]


def test_reconcile(make):
    """What is gone, or has another size, is good no more, and is told once."""
    backups = make({"gone": 5, "cut": 5, "fine": 5})
    backups.run()
    os.remove(backups.blob(backups.object("gone")[0]))
    os.chmod(backups.blob(backups.object("cut")[0]), 0o644)
    os.truncate(backups.blob(backups.object("cut")[0]), 10)
    job(backups, "backup.reconcile")
    job(backups, "backup.reconcile")
    assert [backups.object(name)[3:] for name in ("gone", "cut", "fine")] == [(False, "object_missing"), (False, "object_damaged"), (True, None)]
    assert backups.rows("SELECT count(*) FROM tidegate.event WHERE type = 'backup.failed'") == [(2,)]


def test_absence(make):
    """No verified backup for too long: told once, and again only after it was good in between."""
    backups = make({"shop": 5})
    stale = lambda: backups.rows("SELECT body::json -> 'data' ->> 'database' FROM tidegate.event WHERE type = 'backup.stale'")
    job(backups, "backup.tick")
    assert stale() == [], "what is new has its time"
    backups.rows("UPDATE tidegate.backup_schedule SET since = since - interval '2 days' RETURNING 1")
    backups.rows("SELECT tidegate.backup_absent('operations', '{shop}', 36), tidegate.backup_absent('operations', '{shop}', 36)")
    assert stale() == [("shop",)]
    backups.run()
    backups.rows("SELECT tidegate.backup_absent('operations', '{shop}', 36)")
    backups.rows("UPDATE tidegate.backup_object SET verified_at = now() - interval '40 hours' RETURNING 1")
    backups.rows("SELECT tidegate.backup_absent('operations', '{shop}', 36)")
    assert stale() == [("shop",), ("shop",)]


def test_size_anomaly(make):
    backups = make({"shop": 3000})
    for _ in range(4):
        backups.run()
    anomalies = lambda: backups.rows("SELECT body::json -> 'data' ->> 'database' FROM tidegate.event WHERE type = 'backup.size_anomaly'")
    assert anomalies() == []
    import sqlite3
    with sqlite3.connect(backups.path("shop")) as db:
        db.execute("DELETE FROM thing")
        db.execute("DELETE FROM tag")
    db.close()
    backups.open_up()
    backups.run()
    assert anomalies() == [("shop",)]
