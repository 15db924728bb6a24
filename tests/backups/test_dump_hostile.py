"""Every awkward value in every kind of table, in every encoding and journal mode: restored by the stock sqlite3 shell it is the same database."""
import random
import sqlite3
import struct

import pytest
import sqlite_dumps
from sqlite_dumps import dump, quoted, restore, round_trip, shell, tidegate

INTEGERS = [-(2**63), 2**63 - 1, 2**53 + 1, 0, -1]
REALS = [1.0, -0.0, 0.1, 1e15, 1e300, -1e-300, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, float("inf"), float("-inf"), 9223372036854775808.0, 1 / 3, 1e-290, 123456789.123456789]
TEXTS = ["", "'", "''", "a\0b", "\0", "\r\n", "a\rb", "\n", ".quit", "-- no", "/* no", "*/", "é€😀", "\ufeffmark", "x'ff'", "1e3", "9" * 30, " 12 ", "unistr('\\u0041')", ";\n", "COMMIT;", "-- Content hash: " + "0" * 64,
         "\n-- Table: t\n", "a" * 100000, "long\0" * 30000, "'" * 70000, "é" * 300000]
BLOBS = [b"", b"\0", b"\xff\xfe", b"blob", b"\x80" * 95000, bytes(range(256)) * 2000]
KINDS = {
    "rowid": "CREATE TABLE t(k, v)",
    "integer key": "CREATE TABLE t(k INTEGER PRIMARY KEY, v)",
    "descending key": "CREATE TABLE t(k INTEGER PRIMARY KEY DESC, v)",
    "autoincrement": "CREATE TABLE t(k INTEGER PRIMARY KEY AUTOINCREMENT, v)",
    "without rowid": "CREATE TABLE t(k, v, PRIMARY KEY(k, v)) WITHOUT ROWID",
    "strict": "CREATE TABLE t(k INTEGER, v ANY) STRICT",
    "typed": "CREATE TABLE t(k INT PRIMARY KEY, v NUMERIC)",
    "text": "CREATE TABLE t(k, v TEXT COLLATE NOCASE)",
    "real": "CREATE TABLE t(k, v REAL)",
    "generated": "CREATE TABLE t(k, v, g AS (typeof(v)) STORED, h AS (length(v)))",
    "shadowed rowid": "CREATE TABLE t(rowid, v, _rowid_ DEFAULT 1)",
    "names": 'CREATE TABLE t("k ""q""\n[b]", "select")',
}


def all_values():
    numbers = random.Random(7)
    reals = [struct.unpack("<d", numbers.randbytes(8))[0] for _ in range(300)]
    return INTEGERS + REALS + [value for value in reals if value == value] + TEXTS + BLOBS + [None]


def make(path, create, encoding="UTF-8", journal="DELETE"):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA encoding = '{encoding}'")
    db.execute(f"PRAGMA journal_mode = {journal}")
    db.execute(create)
    first, second = [quoted(row[1]) for row in db.execute("PRAGMA table_xinfo(t)") if row[6] == 0][:2]
    db.execute("BEGIN")
    for number, value in enumerate(all_values()):
        db.execute(f"INSERT OR IGNORE INTO t({first}, {second}) VALUES(?, ?)", (number * 10 + 10, value))
    for number, raw in enumerate(("ff", "c3", "6100ff00", "eda080", "f4908080", "d800", "00d8", "00d86100")):
        db.execute(f"INSERT OR IGNORE INTO t({first}, {second}) VALUES(?, CAST(X'{raw}' AS TEXT))", (100000 - number, ))
    db.execute("COMMIT")
    db.execute("DELETE FROM t WHERE " + first + " IN (20, 40)")
    return db


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_in_tables(tmp_path, kind, encoding):
    make(tmp_path / "a.db", KINDS[kind], encoding).close()
    round_trip(tmp_path / "a.db", tmp_path)


@pytest.mark.parametrize("journal", ["DELETE", "TRUNCATE", "PERSIST", "WAL"])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16be"])
def test_journal_modes(tmp_path, journal, encoding):
    """The writer still has it open: with WAL, everything is in the log and nothing in the file."""
    db = make(tmp_path / "a.db", KINDS["rowid"], encoding, journal)
    text = round_trip(tmp_path / "a.db", tmp_path)
    assert f"Journal mode of the source: {'wal' if journal == 'WAL' else 'delete'}\n".encode() in text, "which is what a file knows of it"
    db.close()


def test_values_put_together(tmp_path):
    """Values longer than one statement may be: written empty and lengthened, in every kind of table that can find its rows."""
    for number, kind in enumerate(("rowid", "integer key", "without rowid", "strict", "shadowed rowid")):
        for encoding in ("UTF-8", "UTF-16be"):
            folder = tmp_path / f"{number}{encoding}"
            folder.mkdir()
            make(folder / "a.db", KINDS[kind], encoding).close()
            text = round_trip(folder / "a.db", folder, "--value-bytes", 3000)
            assert text.count(b"\nUPDATE ") > 100 or kind == "without rowid"


def test_stock_dump_loses(tmp_path):
    """What this is for: the shell's own .dump of the same values gives another database."""
    make(tmp_path / "a.db", KINDS["rowid"]).close()
    import subprocess
    sql = subprocess.run(["/usr/bin/sqlite3", tmp_path / "a.db", ".dump"], capture_output=True, timeout=60).stdout
    (tmp_path / "stock.sql").write_bytes(sql)
    shell(tmp_path / "stock.sql", tmp_path / "stock.db")
    ours, theirs = sqlite_dumps.content(tmp_path / "a.db")["table t"][1], sqlite_dumps.content(tmp_path / "stock.db")["table t"][1]
    assert [row[0] for row in ours] != [row[0] for row in theirs], "rowids are numbered anew"
    lost = {kind for (_, a), (_, b) in zip(ours, theirs) for (kind, _) in [a[1]] if a != b}
    assert "text" in lost and "real" in lost, "texts with NUL or CR, and -0.0 or small numbers"


OBJECTS = """
CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent(id) ON DELETE CASCADE, n INT CHECK (n > 0), d DEFAULT 'a;b -- c');
CREATE TABLE a_ring(x REFERENCES z_ring(x)); CREATE TABLE z_ring(x PRIMARY KEY REFERENCES a_ring(x));
CREATE TABLE sqlitedata(x); CREATE TABLE xcfdata(x); CREATE TABLE _cf_mine(x); CREATE TABLE "table"("group" TEXT, "or""der" BLOB);
CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT, autoincrement_ TEXT); CREATE TABLE "AUTOINCREMENT"(x);
CREATE INDEX partial ON child(n) WHERE n > 5; CREATE UNIQUE INDEX expression ON child(n + 1, lower(d) DESC);
CREATE VIEW "v 1" AS SELECT p.name, count(*) AS n FROM parent p JOIN child c ON c.parent = p.id GROUP BY 1;
CREATE VIEW broken AS SELECT * FROM nowhere; CREATE VIEW a_first AS SELECT * FROM "v 1";
CREATE VIEW open_comment AS SELECT 1 /* never closed
;
"""
AFTER = """
CREATE TRIGGER log AFTER INSERT ON child BEGIN INSERT INTO xcfdata VALUES('fired; twice'); SELECT CASE WHEN new.n > 3 THEN 1 END; END;
CREATE TRIGGER instead INSTEAD OF INSERT ON "v 1" BEGIN DELETE FROM parent; END;
CREATE TABLE last(x) -- a comment without an end
;
INSERT INTO parent VALUES(1, 'p'), (7, 'q;'); INSERT INTO child VALUES(1, 1, 10, 'd'), (2, 7, 4, NULL), (3, 99, 1, 'orphan');
INSERT INTO counted(id) VALUES(41); DELETE FROM counted; INSERT INTO sqlitedata VALUES(1); INSERT INTO _cf_mine VALUES(2); INSERT INTO "table" VALUES('g', X'00');
INSERT INTO a_ring VALUES(1); INSERT INTO z_ring VALUES(1);
PRAGMA user_version = -5; PRAGMA application_id = 77; ANALYZE;
"""


def make_objects(path, page=4096, vacuum=0):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA page_size = {page}")
    db.execute(f"PRAGMA auto_vacuum = {vacuum}")
    for statement in (OBJECTS + AFTER).split(";\n"):
        if "TRIGGER" in statement or "open_comment" in statement or "comment without" in statement:
            for part in [statement] if "open_comment" in statement else [statement + ";"]:
                db.executescript(part)
        else:
            db.executescript(statement + ";")
    return db


@pytest.mark.parametrize("page,vacuum", [(4096, 0), (512, 1), (65536, 2)])
def test_objects(tmp_path, page, vacuum):
    db = make_objects(tmp_path / "a.db", page, vacuum)
    names = {row[0] for row in db.execute("SELECT name FROM sqlite_schema")}
    assert {"open_comment", "log", "instead", "expression", "last", "broken", "_cf_mine", "sqlitedata"} <= names
    db.close()
    text = round_trip(tmp_path / "a.db", tmp_path).decode()
    assert text.index('DROP TABLE IF EXISTS "child"') < text.index('DROP TABLE IF EXISTS "parent"'), "children go first"
    assert text.index("-- Table: parent\n-- Rows: 2\n") < text.index("-- Table: child\n"), "parents come first"
    restored = sqlite3.connect(tmp_path / "by_shell.db")
    assert restored.execute("SELECT seq FROM sqlite_sequence WHERE name = 'counted'").fetchone() == (41,)
    assert restored.execute("SELECT count(*) FROM xcfdata").fetchone() == (3,), "triggers fired in the source only"
    assert restored.execute("SELECT count(*) FROM sqlite_stat1").fetchone()[0] > 0
    restored.execute("INSERT INTO counted(autoincrement_) VALUES('x')")
    assert restored.execute("SELECT id FROM counted").fetchone() == (42,)


def test_virtual_tables(tmp_path):
    db = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    db.executescript("""
        CREATE TABLE doc(id INTEGER PRIMARY KEY, body); INSERT INTO doc VALUES(10, 'ten words here'), (20, 'twenty more words');
        CREATE VIRTUAL TABLE own USING fts5(body, tokenize = 'porter unicode61'); INSERT INTO own(rowid, body) SELECT * FROM doc; DELETE FROM own WHERE rowid = 10;
        CREATE VIRTUAL TABLE external USING fts5(body, content = 'doc', content_rowid = 'id'); INSERT INTO external(external) VALUES('rebuild');
        CREATE VIRTUAL TABLE old USING fts4(body); INSERT INTO old VALUES('four words of text');
        CREATE VIRTUAL TABLE place USING rtree(id, x0, x1, y0, y1); INSERT INTO place VALUES(1, 0, 1, 0, 1), (7, 5, 6, 5, 6);
        CREATE VIRTUAL TABLE vocabulary USING fts5vocab('own', 'row');
        CREATE TABLE own_data_of_mine(x); INSERT INTO own_data_of_mine VALUES('mine')""")
    db.close()
    round_trip(tmp_path / "a.db", tmp_path)
    for path in ("by_shell.db", "by_tidegate.db"):
        db = sqlite3.connect(tmp_path / path)
        assert db.execute("SELECT rowid FROM own WHERE own MATCH 'words'").fetchall() == [(20,)]
        assert db.execute("SELECT body FROM external WHERE external MATCH 'ten'").fetchall() == [("ten words here",)]
        assert db.execute("SELECT count(*) FROM old WHERE old MATCH 'four'").fetchone() == (1,)
        assert db.execute("SELECT id FROM place WHERE x0 > 3").fetchall() == [(7,)]
        db.execute("INSERT INTO own(own) VALUES('integrity-check')")
        db.execute("INSERT INTO external(external) VALUES('integrity-check')")
        assert db.execute("SELECT rtreecheck('place')").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM vocabulary").fetchone()[0] > 0


def test_empty_and_wide(tmp_path):
    db = sqlite3.connect(tmp_path / "a.db")
    columns = ", ".join(f"c{i}" for i in range(990))
    db.execute(f"CREATE TABLE wide({columns})")
    db.execute(f"INSERT INTO wide VALUES({', '.join('?' * 990)})", list(range(990)))
    db.execute("CREATE TABLE hollow(x)")
    db.commit()
    round_trip(tmp_path / "a.db", tmp_path)


def test_statement_sizes(tmp_path):
    """At most 1000 rows and 90 000 bytes a statement, but for a row that is longer by itself."""
    db = sqlite3.connect(tmp_path / "a.db")
    db.execute("CREATE TABLE t(a, b)")
    db.executemany("INSERT INTO t VALUES(?, ?)", ((i, "x" * (i % 700)) for i in range(7000)))
    db.execute("INSERT INTO t VALUES(1, ?)", ("y" * 200000,))
    db.executemany("INSERT INTO t VALUES(?, 1)", ((i,) for i in range(2500)))
    db.commit()
    text = round_trip(tmp_path / "a.db", tmp_path)
    statements = text.split(b";\n")
    inserts = [s for s in statements if b"INSERT INTO" in s]
    assert sum(len(s) > 90000 for s in inserts) == 1 and max(s.count(b"\n(") for s in inserts) == 1000
    assert len(inserts) < 60


def test_random_pages(tmp_path):
    """Pages overwritten at random: a dump of what can still be read whole, or a refusal and no file, but never half of it."""
    numbers, refused = random.Random(3), 0
    make(tmp_path / "good.db", KINDS["rowid"]).close()
    good = (tmp_path / "good.db").read_bytes()
    for attempt in range(30):
        bad = bytearray(good)
        at = numbers.randrange(1, len(bad) // 4096) * 4096
        bad[at : at + numbers.choice((1, 8, 4096))] = numbers.randbytes(numbers.choice((1, 8, 4096)))[: 4096]
        path, to = tmp_path / f"{attempt}.db", tmp_path / f"{attempt}.sql"
        path.write_bytes(bad)
        try:
            dump(path, to, "--zstd", 0)
        except AssertionError as error:
            refused += 1
            assert "source_" in str(error) and not to.exists()
            continue
        shell(to, tmp_path / f"{attempt}.restored")
        sqlite_dumps.same(path, tmp_path / f"{attempt}.restored")
    assert refused > 5
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob("*.copy"))


def refused(path, code, tmp_path):
    said = dump(path, tmp_path / "out.sql", status=65)
    assert code in said and not (tmp_path / "out.sql").exists()


def test_bad_sources(tmp_path):
    refused(tmp_path / "nowhere.db", "source_missing", tmp_path)
    (tmp_path / "text.db").write_text("hello " * 1000)
    refused(tmp_path / "text.db", "source_not_sqlite", tmp_path)
    (tmp_path / "empty.db").write_bytes(b"")
    refused(tmp_path / "empty.db", "source_not_sqlite", tmp_path)
    refused(tmp_path, "source_not_sqlite", tmp_path)
    db = make(tmp_path / "cut.db", KINDS["rowid"])
    db.close()
    (tmp_path / "cut.db").write_bytes((tmp_path / "cut.db").read_bytes()[:40960])
    refused(tmp_path / "cut.db", "source_corrupt", tmp_path)
    db = sqlite3.connect(tmp_path / "collation.db")
    db.create_collation("mine", lambda a, b: (a > b) - (a < b))
    db.execute("CREATE TABLE t(x TEXT PRIMARY KEY COLLATE mine) WITHOUT ROWID")
    db.execute("INSERT INTO t VALUES('a'), ('b')")
    db.commit()
    refused(tmp_path / "collation.db", "source_needs_extension", tmp_path)


def test_locked_for_ever(tmp_path):
    db = make(tmp_path / "a.db", KINDS["rowid"])
    db.execute("BEGIN EXCLUSIVE")
    said = dump(tmp_path / "a.db", tmp_path / "out.sql", "--wait-ms", 300, status=65)
    assert "source_locked" in said
    db.execute("COMMIT")
    dump(tmp_path / "a.db", tmp_path / "out.sql", "--wait-ms", 300)


def test_writers_meanwhile(tmp_path):
    """Transfers between accounts while dumps are made: every dump is of one moment, so its sum is whole."""
    import threading
    for journal in ("DELETE", "WAL"):
        folder = tmp_path / journal
        folder.mkdir()
        db = sqlite3.connect(folder / "a.db")
        db.execute(f"PRAGMA journal_mode = {journal}")
        db.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, amount INT, note)")
        db.executemany("INSERT INTO account VALUES(?, 100, ?)", ((i, "n" * 500) for i in range(5000)))
        db.commit()
        stop, moved = threading.Event(), []

        def write():
            numbers, mine = random.Random(1), sqlite3.connect(folder / "a.db", timeout=30)
            while not stop.is_set():
                a, b = numbers.randrange(5000), numbers.randrange(5000)
                with mine:
                    mine.execute("UPDATE account SET amount = amount - 1 WHERE id = ?", (a,))
                    mine.execute("UPDATE account SET amount = amount + 1 WHERE id = ?", (b,))
                moved.append(a)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for attempt in range(4):
                dump(folder / "a.db", folder / f"{attempt}.sql", "--zstd", 0)
        finally:
            stop.set()
            writer.join()
        assert moved
        for attempt in range(4):
            restore(folder / f"{attempt}.sql", folder / f"{attempt}.db")
            assert sqlite3.connect(folder / f"{attempt}.db").execute("SELECT sum(amount), count(*) FROM account").fetchone() == (500000, 5000)


def test_lost_on_purpose(tmp_path):
    """What a dump cannot carry is said."""
    db = sqlite3.connect(tmp_path / "a.db")
    db.execute("CREATE TABLE t(rowid, _rowid_, oid)")
    db.execute("INSERT INTO t VALUES(1, 2, 3)")
    db.commit()
    assert "rowid_lost" in dump(tmp_path / "a.db", tmp_path / "a.sql")
    db.execute("DROP TABLE t")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT)")
    db.execute("INSERT INTO t VALUES(9)")
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE t(id INTEGER PRIMARY KEY)' WHERE name = 't'")
    db.commit()
    db.close()
    assert "sequence_lost" in dump(tmp_path / "a.db", tmp_path / "b.sql")
    assert "content verified" in restore(tmp_path / "b.sql", tmp_path / "b.db")


def test_usage(tmp_path):
    make(tmp_path / "a.db", KINDS["rowid"]).close()
    (tmp_path / "there.sql").write_text("mine")
    dump(tmp_path / "a.db", tmp_path / "there.sql", status=73)
    assert (tmp_path / "there.sql").read_text() == "mine"
    dump(tmp_path / "a.db", tmp_path / "new.sql", "--recipients", "age1nonsense", status=64)
    dump(tmp_path / "a.db", tmp_path / "new.sql", "--recipients", " ", status=64)
    dump(tmp_path / "a.db", tmp_path / "new.sql", "--zstd", 77, status=64)
    dump(tmp_path / "a.db", tmp_path / "nowhere/new.sql", status=73)
    tidegate("backup", "nonsense", status=64)
    assert not (tmp_path / "new.sql").exists()
