"""Differential backups: what changed since one full backup, published only when both together give the same content; what is handed out and restored is always the whole."""
import json
import os
import random
import sqlite3
import subprocess
import tarfile

import psycopg
import pytest
import sqlite_dumps
from backups import SPACE, keys, making
from instance import wait_until


make = pytest.fixture(making)

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE person(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, mail TEXT COLLATE NOCASE, score REAL, born INT, note TEXT);
CREATE TABLE loose(a, b);
CREATE TABLE pair(a TEXT COLLATE NOCASE, b, c, PRIMARY KEY(a, b)) WITHOUT ROWID;
CREATE TABLE made(x INT, twice AS (x * 2) STORED, y);
CREATE TABLE strict(a INT PRIMARY KEY, b BLOB) STRICT;
CREATE TABLE "odd ""; --"("x y", 'z');
CREATE TABLE child(id INTEGER PRIMARY KEY, person REFERENCES person(id) ON DELETE CASCADE);
CREATE TABLE log(what);
CREATE UNIQUE INDEX strict_part ON strict(b) WHERE b IS NOT NULL;
CREATE INDEX person_score ON person(score, name);
CREATE VIEW adults AS SELECT * FROM person WHERE born < 2000;
CREATE TRIGGER person_log AFTER UPDATE ON person BEGIN INSERT INTO log VALUES('update; ' || new.id); END;
CREATE TRIGGER loose_log AFTER INSERT ON loose BEGIN INSERT INTO log VALUES('insert'); DELETE FROM person WHERE id = -1; END;
CREATE TRIGGER gone_log BEFORE DELETE ON loose BEGIN INSERT INTO log VALUES('delete'); END;
CREATE VIRTUAL TABLE words USING fts5(word, tag);
PRAGMA user_version = 3;
"""


def make_rich(path, rows=2000):
    db = sqlite3.connect(path)
    db.executescript(SCHEMA)
    db.executemany("INSERT INTO person(name, mail, score, born, note) VALUES(?, ?, ?, ?, ?)", ((f"p{i}", f"M{i}@x", i / 7, 1950 + i % 70, f"note {i * 7919 % 9973} " * 6) for i in range(rows)))
    db.executemany("INSERT INTO loose VALUES(?, ?)", ((i, b"blob" * (i % 9)) for i in range(rows)))
    db.executemany("INSERT INTO pair VALUES(?, ?, ?)", ((f"K{i}", i % 3, None if i % 5 else i / 3) for i in range(rows)))
    db.executemany("INSERT INTO made(x, y) VALUES(?, ?)", ((i, str(i)) for i in range(300)))
    db.executemany("INSERT INTO strict VALUES(?, ?)", ((i, str(i).encode()) for i in range(300)))
    db.executemany("""INSERT INTO "odd ""; --" VALUES(?, ?)""", ((i, f"v; '{i}") for i in range(300)))
    db.executemany("INSERT INTO child(person) VALUES(?)", ((i + 1,) for i in range(200)))
    db.executemany("INSERT INTO words VALUES(?, ?)", ((f"word{i} number", "t") for i in range(300)))
    db.execute("DELETE FROM log")
    db.commit()
    db.close()


CHANGES = [
    "UPDATE person SET score = -0.0, note = 'x' || char(13) || char(0) || 'y' WHERE id % 97 = 0",
    "UPDATE person SET name = name || 'x' WHERE id BETWEEN 100 AND 120",
    "UPDATE person SET name = 'aside' WHERE id = 10",
    "UPDATE person SET name = 'p9' WHERE id = 11",
    "UPDATE person SET name = 'p10' WHERE id = 10",  # two that changed places under a unique index
    "UPDATE person SET mail = lower(mail) WHERE id = 7",
    "DELETE FROM loose WHERE rowid % 53 = 0",
    "INSERT INTO loose VALUES(1e-310, 9e999), (9223372036854775807, 1.0), (1, 1), ('1', x'')",
    "UPDATE loose SET a = CAST(a AS REAL) WHERE rowid BETWEEN 60 AND 70",
    "UPDATE pair SET a = lower(a) WHERE a = 'k77'",
    "UPDATE pair SET c = 'é' || char(9) WHERE b = 2 AND a LIKE 'K1%'",
    "DELETE FROM pair WHERE a IN ('K5', 'K50', 'K500')",
    "INSERT INTO pair VALUES('new', x'00ff', -1)",
    "UPDATE made SET x = x + 1 WHERE x > 290",
    "UPDATE strict SET b = NULL WHERE a IN (3, 4)",
    "UPDATE strict SET b = CAST('4' AS BLOB) WHERE a = 3",
    """DELETE FROM "odd ""; --" WHERE "x y" = 5""",
    """INSERT INTO "odd ""; --" VALUES(NULL, 'n')""",
    "DELETE FROM person WHERE id IN (500, 2000)",
    "INSERT INTO words VALUES('fresh', 'u')",
    "DELETE FROM words WHERE rowid = 17",
    "PRAGMA user_version = 4",
]


def change(path, seed=None):
    db = sqlite3.connect(path)
    db.execute("PRAGMA foreign_keys = OFF")
    for sql in CHANGES if seed is None else []:
        db.execute(sql)
    if seed is not None:
        numbers = random.Random(seed)
        for _ in range(40):
            i = numbers.randrange(1, 2000)
            db.execute(numbers.choice(["UPDATE person SET score = random() WHERE id = ?", "DELETE FROM person WHERE id = ?", "UPDATE loose SET b = randomblob(?) WHERE rowid = 9",
                                       "DELETE FROM loose WHERE rowid = ?", "UPDATE pair SET c = random() WHERE a = 'K' || ?", "DELETE FROM pair WHERE a = 'K' || ?",
                                       "INSERT INTO loose VALUES(?, 'new')", "INSERT INTO words VALUES('w' || ?, 'x')"]), (i,))
    db.commit()
    db.close()


def prepared(make, tmp_path=None, encrypted=False, rows=2000, **options):
    if encrypted:
        public = keys(tmp_path, "operator")[0]
        options["backups__recipients"] = public
    backups = make({}, **options)
    if encrypted:
        place = backups.instance.path("fcgi", "identity.txt")
        with open(place, "wb") as file:
            file.write((tmp_path / "operator").read_bytes())
        backups.instance.options["backups__identity_file"] = place
        restart(backups)
    make_rich(backups.path("rich"), rows)
    backups.open_up()
    backups.sources.append({"name": "rich", "path": backups.path("rich"), "differential": True})
    backups.write_sources()
    return backups


def restart(backups):
    backups.instance.write_ini()
    backups.instance._end("pool", 15)
    backups.instance.start_pool()
    wait_until(backups.instance._answers, 30, "the pool to be back")


def step(backups, seed=None):
    change(backups.path("rich"), seed)
    backups.open_up()
    backups.run()
    return backups.object("rich")[0]


def age(backups, days):
    """Older by days: rows, keys and objects."""
    for id, key, day in backups.rows("SELECT id, key, to_char(day - %s, 'YYYY-MM-DD') FROM tidegate.backup_object WHERE state = 'stored' AND kind = 'daily'", days):
        new = f"daily/{day}/{key.split('/')[2]}"
        os.makedirs(backups.blob(f"daily/{day}"), mode=0o777, exist_ok=True)
        os.chmod(backups.blob(f"daily/{day}"), 0o777)
        for suffix in ("", ".json"):
            os.rename(backups.blob(key + suffix), backups.blob(new + suffix))
        backups.rows("UPDATE tidegate.backup_object SET key = %s, day = %s::date, created_at = created_at - make_interval(days => %s) WHERE id = %s RETURNING id", new, day, days, id)


def api(backups, method, path, **options):
    return backups.instance.api(method, path, token=backups.instance.token("admin", "admin@ops", space=SPACE), **options)


def today(backups):
    return str(backups.rows("SELECT (now() AT TIME ZONE 'UTC')::date")[0][0])


def base_of(backups, key):
    return backups.rows("SELECT b.key FROM tidegate.backup_object o JOIN tidegate.backup_object b ON b.id = o.base_id WHERE o.key = %s", key)[0][0]


@pytest.mark.parametrize("form", ["sql", "zst", "age"])
def test_changes_of_every_kind(make, tmp_path, form):
    """One full backup, then differential ones, each on that one: small, proven, and whole by our restore, by a download, and by hand."""
    backups = prepared(make, tmp_path, form == "age", backups__zstd_level=0 if form == "sql" else 3)
    identity = ("--identity", tmp_path / "operator") if form == "age" else ()
    backups.run()
    full = backups.object("rich")
    for number in range(3):
        key = step(backups, None if number == 0 else number)
        assert ".diff.sql" in key and backups.object("rich")[3] and base_of(backups, key) == full[0], "never a chain"
        assert backups.object("rich")[1] < full[1] / 3
        sqlite_dumps.restore(backups.blob(key), tmp_path / f"{number}.db", *identity)
        sqlite_dumps.same(backups.path("rich"), tmp_path / f"{number}.db")
    item = api(backups, "GET", "/backups/list?db=rich").json()["items"][0]
    assert item["differential"] and item["rows"] == sum(t["rows"] for t in backups.rows("SELECT manifest -> 'content' -> 'tables' FROM tidegate.backup_object WHERE key = %s", key)[0][0])
    backups.rows("UPDATE tidegate.backup_object SET verified_at = NULL WHERE key <> %s RETURNING 1", key)
    answer = api(backups, "GET", f"/backups/download/{today(backups)}/rich")
    assert answer.status_code == 302, answer.text
    end = {"sql": ".sql", "zst": ".sql.zst", "age": ".sql.zst.age"}[form]
    (tmp_path / ("whole" + end)).write_bytes(backups.instance.session.get(answer.headers["Location"]).content)
    read = {"sql": "cat {0}", "zst": "zstd -dc {0}", "age": f"age -d -i {tmp_path / 'operator'} {{0}} | zstd -d"}[form].format(tmp_path / ("whole" + end))
    subprocess.run(["bash", "-o", "pipefail", "-c", f"{read} | sqlite3 -bail {tmp_path}/hand.db"], check=True)
    sqlite_dumps.same(backups.path("rich"), tmp_path / "hand.db")
    link = api(backups, "POST", "/backups/links", json={"path": f"/backups/download/{today(backups)}/rich", "expiresIn": 7200}).json()["url"]
    (tmp_path / ("linked" + end)).write_bytes(backups.instance.session.get(link).content)
    sqlite_dumps.restore(tmp_path / ("linked" + end), tmp_path / "linked.db", *identity)
    sqlite_dumps.same(backups.path("rich"), tmp_path / "linked.db")
    plain = backups.instance.session.get(api(backups, "GET", f"/backups/download/{today(backups)}/rich?as=sql").headers["Location"]).content
    (tmp_path / "plain.sql").write_bytes(plain)
    sqlite_dumps.restore(tmp_path / "plain.sql", tmp_path / "plain.db")
    sqlite_dumps.same(backups.path("rich"), tmp_path / "plain.db")
    assert api(backups, "GET", f"/backups/download/{today(backups)}/rich?table=person").json()["code"] == "backup_not_divisible"
    assert backups.spool() == []


def test_nothing_changed(make):
    backups = prepared(make)
    backups.run()
    backups.run()
    key, size, _, verified, _ = backups.object("rich")
    assert ".diff." in key and verified and size < 2000


def test_when_it_is_a_full_one(make, tmp_path):
    """Not wanted; another schema; too much has changed; a base that is too old, not proven, damaged, or of other recipients; another packing; a table whose rows have no name."""
    backups = prepared(make)
    backups.run()

    def sql(text):
        db = sqlite3.connect(backups.path("rich"))
        db.executescript(text)
        db.close()
        backups.open_up()
        backups.run()
        key = backups.object("rich")[0]
        assert backups.object("rich")[3]
        return ".diff." not in key

    assert not sql("UPDATE person SET score = 1 WHERE id = 1")
    assert sql("CREATE TABLE another(x)")
    assert not sql("INSERT INTO another VALUES(1)")
    assert sql("UPDATE person SET note = hex(randomblob(200))"), "too much"
    assert not sql("INSERT INTO another VALUES(2)")
    backups.rows("UPDATE tidegate.backup_object SET day = day - 7 WHERE base_id IS NULL RETURNING 1")
    assert sql("INSERT INTO another VALUES(3)"), "the bases are too old"
    backups.rows("UPDATE tidegate.backup_object SET verified_at = NULL WHERE base_id IS NULL RETURNING 1")
    assert sql("INSERT INTO another VALUES(4)"), "no base is proven"
    newest = backups.object("rich")[0]
    good = open(backups.blob(newest), "rb").read()
    backups.instance.replace_object(newest, good[:-20] + bytes([good[-20] ^ 1]) + good[-19:])
    assert sql("INSERT INTO another VALUES(5)"), "the base is damaged"
    backups.sources[0]["differential"] = False
    backups.write_sources()
    assert sql("INSERT INTO another VALUES(6)"), "nobody asked"
    backups.sources[0]["differential"] = True
    backups.write_sources()
    backups.instance.options["backups__zstd_level"] = 0
    restart(backups)
    assert sql("INSERT INTO another VALUES(7)"), "packed otherwise"
    assert not sql("INSERT INTO another VALUES(8)")
    backups.instance.options["backups__recipients"] = keys(tmp_path, "operator")[0]
    restart(backups)
    assert sql("INSERT INTO another VALUES(9)") and sql("INSERT INTO another VALUES(10)"), "no key on this server opens the base"
    backups.instance.options["backups__recipients"] = ""
    restart(backups)
    assert sql("CREATE TABLE hidden(rowid, _rowid_, oid); INSERT INTO hidden VALUES(1, 2, 3)") and sql("INSERT INTO hidden VALUES(4, 5, 6)")
    with open(backups.instance.path("sources.json"), "w", encoding="utf-8") as file:
        json.dump([{"name": "x", "path": "/x", "differential": "yes"}], file)
    backups.run(status=78)


def test_retention_keeps_the_base(make):
    """A base stays while a differential one stands on it, however old it is; both go once something newer is good."""
    backups = prepared(make)
    backups.sources[0]["weekly"] = False
    backups.write_sources()
    backups.run()
    step(backups)
    age(backups, 5)
    step(backups, 1)
    age(backups, 6)
    base, first, second = [row[0] for row in backups.rows("SELECT key FROM tidegate.backup_object ORDER BY created_at")]
    assert base_of(backups, first) == base_of(backups, second) == base
    backups.job("backup.retention")
    left = [row[0] for row in backups.rows("SELECT key FROM tidegate.backup_object WHERE state = 'stored' ORDER BY created_at")]
    assert left == [base, second], "the oldest differential one has gone, its base is needed by the newest"
    sqlite_dumps.restore(backups.blob(second), backups.instance.path("b.db"), "--base", backups.blob(base))
    sqlite_dumps.same(backups.path("rich"), backups.instance.path("b.db"))
    backups.sources[0]["differential"] = False
    backups.write_sources()
    backups.rows("UPDATE tidegate.backup_object SET day = day - 10, created_at = created_at - interval '10 days' RETURNING 1")
    backups.job("backup.retention")
    assert len(backups.rows("SELECT key FROM tidegate.backup_object WHERE state = 'stored'")) == 2, "the newest that is good stays, and so does what it stands on"
    backups.run()
    backups.job("backup.retention")
    backups.job("backup.retention")
    assert len(backups.rows("SELECT key FROM tidegate.backup_object WHERE state = 'stored'")) == 1


def test_a_base_that_is_used_meanwhile_is_not_removed(make):
    """Retention looked, then a differential backup took the base, then retention wants to mark it: it does not."""
    backups = prepared(make)
    backups.sources[0]["weekly"] = False
    backups.write_sources()
    backups.run()
    age(backups, 20)
    backups.sources[0]["differential"] = False
    backups.write_sources()
    backups.run()
    base = backups.rows("SELECT id FROM tidegate.backup_object ORDER BY created_at LIMIT 1")[0][0]
    with psycopg.connect(backups.instance._conninfo("tidegate")) as retention, psycopg.connect(backups.instance._conninfo("tidegate")) as maker:
        assert retention.execute("SELECT count(*) FROM tidegate.backup_expired('operations', 7, 12, '{}')").fetchone() == (1,)
        maker.execute("UPDATE tidegate.backup_object SET based_at = clock_timestamp() WHERE id = %s AND state = 'stored'", [base])
        maker.commit()
        marked = retention.execute("UPDATE tidegate.backup_object SET state = 'deleting' WHERE id = %s AND state = 'stored' AND (based_at IS NULL OR based_at < now())", [base]).rowcount
        assert marked == 0


def test_a_lost_base(make, tmp_path):
    """Found by the reconcile: what stands on it is no good any more, is told of, and the next backup is a full one. A copy in the second store saves both."""
    backups = prepared(make, replica=True)
    backups.run()
    base = backups.object("rich")[0]
    key = step(backups)
    backups.wait_copied(2)
    os.remove(backups.blob(base))
    sqlite_dumps.restore("rich", tmp_path / "copy.db", "--from", backups.instance.path("replica", "blobs"), "--date", today(backups))
    answer = api(backups, "GET", f"/backups/download/{today(backups)}/rich")
    assert answer.status_code == 302
    backups.job("backup.reconcile")
    assert os.path.exists(backups.blob(base)) and backups.object("rich")[3]
    os.remove(backups.blob(base))
    os.remove(backups.copy(base))
    backups.job("backup.reconcile")
    assert dict(backups.rows("SELECT key, verify_error FROM tidegate.backup_object WHERE kind = 'daily'")) == {base: "object_missing", key: "base_lost"}
    assert api(backups, "GET", f"/backups/download/{today(backups)}/rich").status_code == 410
    assert api(backups, "GET", "/backups/list?db=rich").json()["items"][0]["error"]["code"] == "base_lost"
    said = sqlite_dumps.restore(backups.blob(key), tmp_path / "no.db", status=65)
    assert "stands on" in said and base in said
    assert ".diff." not in step(backups, 1) and backups.object("rich")[3]


def test_verify_again(make, tmp_path):
    backups = prepared(make, tmp_path, encrypted=True)
    backups.run()
    base = backups.object("rich")[0]
    key = step(backups)

    def verify():
        backups.rows("UPDATE tidegate.backup_object SET verified_at = NULL, verify_error = NULL WHERE key = %s RETURNING 1", key)
        id = backups.rows("SELECT id FROM tidegate.backup_object WHERE key = %s", key)[0][0]
        backups.job("backup.verify", id=str(id))
        return backups.rows("SELECT verified_at IS NOT NULL, verify_error FROM tidegate.backup_object WHERE key = %s", key)[0]

    assert verify() == (True, None)
    good = open(backups.blob(key), "rb").read()
    backups.instance.replace_object(key, good[:-1] + bytes([good[-1] ^ 1]))
    assert verify() == (False, "object_damaged")
    backups.instance.replace_object(key, good)
    os.remove(backups.blob(base))
    assert verify() == (False, "base_lost")


def test_archive_and_restore_from_places(make, tmp_path):
    """The weekly archive holds the base too, also one of the week before; a restore finds it in a directory, beside a file, or where it is told."""
    backups = prepared(make)
    backups.instance.options["backups__full_days"] = 30
    restart(backups)
    backups.run()
    age(backups, 9)
    key = step(backups)
    backups.job("backup.weekly")
    archive = backups.rows("SELECT key FROM tidegate.backup_object WHERE kind = 'weekly'")[0][0]
    with tarfile.open(backups.blob(archive)) as tar:
        names = tar.getnames()
        tar.extractall(tmp_path / "week")
    base = base_of(backups, key)
    assert [name for name in names if name != "MANIFEST.json"] == [base[6:], key[6:]]
    sqlite_dumps.restore("rich", tmp_path / "a.db", "--from", tmp_path / "week")
    sqlite_dumps.restore(tmp_path / "week" / key[6:], tmp_path / "b.db")
    (tmp_path / "loose.zst").write_bytes(open(backups.blob(key), "rb").read())
    assert "--base" in sqlite_dumps.restore(tmp_path / "loose.zst", tmp_path / "c.db", status=65)
    sqlite_dumps.restore(tmp_path / "loose.zst", tmp_path / "c.db", "--base", backups.blob(base))
    for name in "abc":
        sqlite_dumps.same(backups.path("rich"), tmp_path / f"{name}.db")
    other = prepared(make, rows=50)
    other.run()
    said = sqlite_dumps.restore(tmp_path / "loose.zst", tmp_path / "d.db", "--base", other.blob(other.object("rich")[0]), status=65)
    assert "content_differs" in said and not (tmp_path / "d.db").exists()
    backups.instance.run("restore", "rich", "--store", "--to", backups.instance.path("fcgi", "e.db"))
    sqlite_dumps.same(backups.path("rich"), backups.instance.path("fcgi", "e.db"))


def test_rewrapped(make, tmp_path):
    """Base and differential one for another key: both open with it, and the restore finds the base under its new name."""
    backups = prepared(make, tmp_path, encrypted=True)
    backups.run()
    step(backups)
    new = keys(tmp_path, "new")[0]
    backups.instance.options["backups__recipients"] = new
    backups.instance.write_ini()
    place = backups.instance.path("fcgi", "identity.txt")
    assert "2 backups are for the present keys now, 0 stayed" in backups.instance.run("backup", "rewrap", "--identity", place).stdout
    backups.instance.run("backup", "retention")
    assert all("~" in name for name in os.listdir(backups.blob("daily/" + today(backups))))
    sqlite_dumps.restore(backups.blob(backups.rows("SELECT key FROM tidegate.backup_object WHERE base_id IS NOT NULL AND state = 'stored'")[0][0]), tmp_path / "b.db", "--identity", tmp_path / "new")
    sqlite_dumps.same(backups.path("rich"), tmp_path / "b.db")


POINTS = {
    "dumping": ("NEW.phase = 'dump'", "backup_result"),
    "based": ("NEW.based_at IS NOT NULL", "backup_object"),
    "stands": ("NEW.base_id IS NOT NULL AND NEW.verified_at IS NULL", "backup_object"),
    "proving": ("NEW.phase = 'prove'", "backup_result"),
    "verified": ("NEW.base_id IS NOT NULL AND NEW.verified_at IS NOT NULL", "backup_object"),
}


@pytest.mark.parametrize("point", POINTS)
def test_kill_at(make, tmp_path, point):
    """kill -9 of every worker at each point: nothing is called verified that was not proven, and the run ends well by itself."""
    backups = prepared(make, worker__lease_s=5, worker__reap_s=1)
    backups.run()
    full = backups.object("rich")[0]
    change(backups.path("rich"))
    backups.open_up()
    condition, table = POINTS[point]
    backups.rows("CREATE FUNCTION public.stand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(4715); RETURN NULL; END $$")
    backups.rows(f"CREATE TRIGGER stand AFTER INSERT OR UPDATE ON tidegate.{table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION public.stand()")
    with psycopg.connect(backups.instance._conninfo("tidegate"), autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(4715)")
        backups.run("--no-wait")
        wait_until(lambda: backups.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4715 AND NOT granted"), 30, "a worker to stand there")
        backups.instance.kill("work")
        assert backups.rows("SELECT key FROM tidegate.backup_object WHERE verified_at IS NOT NULL") == [(full,)]
    backups.rows("DROP TRIGGER stand ON tidegate." + table)
    backups.wait_ended()
    key, _, _, verified, error = backups.object("rich")
    assert ".diff." in key and verified and error is None
    sqlite_dumps.restore(backups.blob(key), tmp_path / "b.db")
    sqlite_dumps.same(backups.path("rich"), tmp_path / "b.db")
    assert backups.rows("SELECT state FROM tidegate.backup_run ORDER BY started_at DESC LIMIT 1") == [("completed",)]
