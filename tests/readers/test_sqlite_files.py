"""The SQLite reader on files that are odd, hostile or something else: refused with a code, or read for what can be read; never a crash."""
import os
import random
import re
import sqlite3
import struct
import zipfile
from pathlib import Path

import pinpal
import pytest
import reading
from reading import read
from sqlite_files import check, compare, make, names

REPOSITORY = Path(__file__).resolve().parents[2]
PLAIN = make("CREATE TABLE t(a, b)", fill=lambda db: db.executemany("INSERT INTO t VALUES(?, ?)", ((i, f"text {i}" * 20) for i in range(300))))
VERDICTS = {"ok", "sqlite_damaged", "sqlite_truncated", "sqlite_too_new", "sqlite_too_complex", "sqlite_too_many_columns", "sqlite_bad_name", "not_a_sqlite_file", "sqlite_encrypted"}


def code(data, *options):
    return read(data, *options, kind="sqlite").code


def patched(data, offset, new):
    return data[:offset] + new + data[offset + len(new) :]


# ---- containers ----

def test_only_two_offsets():
    wrapped = pinpal.PLIST.ljust(4096, b"\0") + PLAIN
    result = read(wrapped, kind="sqlite")
    compare(PLAIN, result)
    assert result.meta["container"] == "plist" and result.meta["plist"] == pinpal.PLIST.decode().strip() and result.meta["fileSize"] == len(wrapped)
    compare(PLAIN, read(pinpal.PLIST.ljust(4096, b" ") + PLAIN, kind="sqlite"))
    for head in (b"\0" * 4096, b"\0" * 512, pinpal.PLIST.ljust(4095, b"\0"), pinpal.PLIST.ljust(4097, b"\0"), pinpal.PLIST.ljust(8192, b"\0"), b"\n", b"\xef\xbb\xbf"):
        assert code(head + PLAIN) == "not_a_sqlite_file", head[:10]
    assert code(pinpal.PLIST.ljust(4096, b"\0")) == "sqlite_truncated" and code(pinpal.PLIST.ljust(4096, b"\0") + PLAIN[:-1]) == "sqlite_truncated"


def test_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", random.Random(1).randbytes(8000))
    packed = (tmp_path / "a.zip").read_bytes()
    assert code(b"") == "empty_file"
    for data in (b"a", b"SQLite format 2\0" + PLAIN[16:], b"name;score\nAnn;200\n" * 1000, packed[: len(packed) // 512 * 512], b"\0" * 8192, b"<?xml version='1.0'?><a/>", b"<?xml" + b" " * 9000):
        assert code(data) == "not_a_sqlite_file", data[:20]
    assert code(random.Random(2).randbytes(40960)) == "sqlite_encrypted"
    assert code(random.Random(2).randbytes(40961)) == "not_a_sqlite_file"


@pytest.mark.parametrize("keep", [1, 15, 16, 99, 100, 511, 4096, len(PLAIN) // 2, len(PLAIN) - 1])
def test_cut_off(keep):
    assert code(PLAIN[:keep]) == "sqlite_truncated"


HEADERS = [
    (16, b"\x0f\xff", "sqlite_damaged"), (16, b"\0\0", "sqlite_damaged"), (16, b"\x01\0", "sqlite_damaged"), (16, b"\x02\0", "sqlite_damaged"), (18, b"\3", "sqlite_too_new"),
    (19, b"\3", "sqlite_too_new"), (19, b"\0", "sqlite_damaged"), (18, b"\0", "sqlite_damaged"), (21, b"\x41", "sqlite_damaged"), (22, b"\0", "sqlite_damaged"), (23, b"\x21", "sqlite_damaged"),
    (28, struct.pack(">I", 1), "sqlite_damaged"), (28, struct.pack(">I", 1 << 30), "sqlite_truncated"), (44, struct.pack(">I", 5), "sqlite_too_new"), (44, b"\0\0\0\0", "sqlite_damaged"),
    (56, struct.pack(">I", 4), "sqlite_damaged"), (56, b"\0\0\0\0", "sqlite_damaged"), (24, b"\xff\xff\xff\xff", "ok"), (60, b"\xff\xff\xff\xff", "ok"), (68, b"PinP", "ok"),
    (36, struct.pack(">I", 99), "sqlite_damaged"), (100, b"\7", "sqlite_damaged"), (103, b"\xff\xff", "sqlite_damaged"),
]


@pytest.mark.parametrize("offset, new, expected", HEADERS)
def test_every_field_of_the_header(offset, new, expected):
    assert code(patched(PLAIN, offset, new)) == expected


def test_what_the_header_says():
    data = make("CREATE TABLE t(a)", "PRAGMA user_version = -8", "PRAGMA application_id = 1346458190")
    meta = read(data, kind="sqlite", mode="inspect").meta
    assert (meta["userVersion"], meta["applicationId"], meta["wal"], meta["schemaFormat"], meta["pages"]) == (-8, 1346458190, False, 4, len(data) // 4096)
    assert meta["library"] == int("{}{:03}{:03}".format(*sqlite3.sqlite_version_info))
    bare = read(make("PRAGMA user_version = 3"), kind="sqlite")
    assert bare.code == "ok" and bare.meta["tables"] == [] and bare.meta["userVersion"] == 3


def test_write_ahead_mode_and_planted_journals(tmp_path):
    """A file in WAL mode is read as it stands; what lies beside it is none of our business, though SQLite would replay it."""
    data = make("CREATE TABLE t(a)", "INSERT INTO t VALUES(1)", wal=True)
    assert data[18:20] == b"\2\2"
    assert check(data).meta["wal"]
    path = tmp_path / "Backup.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA cache_spill = 1")
    db.execute("CREATE TABLE t(a)")
    db.execute("INSERT INTO t VALUES('old')")
    before = path.read_bytes()
    db.execute("BEGIN")
    db.execute("UPDATE t SET a = 'new'")
    db.execute("PRAGMA cache_size = 1")
    db.executemany("INSERT INTO t VALUES(?)", (("x" * 3000,) for _ in range(50)))
    journal = Path(f"{path}-journal").read_bytes()
    db.execute("COMMIT")
    db.close()
    assert journal[:4] == b"\xd9\xd5\x05\xf9" and before != path.read_bytes()
    os.rename(path, tmp_path / "hot.db")
    (tmp_path / "hot.db-journal").write_bytes(journal)
    result = read(str(tmp_path / "hot.db"), kind="sqlite")
    compare((tmp_path / "hot.db").read_bytes(), result)
    assert len(result.tables[0].rows) == 51 and (tmp_path / "hot.db-journal").read_bytes() == journal
    db = sqlite3.connect(tmp_path / "hot.db")
    assert db.execute("SELECT * FROM t").fetchall() == [("old",)], "SQLite by itself does replay it"
    db.close()


# ---- schemas ----

def test_what_is_never_queried():
    data = make(
        "CREATE TABLE t(a)", "CREATE VIEW v AS SELECT a, randomblob(1000000000) FROM t", "CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT load_extension('x'); END",
        "CREATE VIRTUAL TABLE words USING fts5(x)", "CREATE VIRTUAL TABLE boxes USING rtree(id, a, b)", "CREATE VIRTUAL TABLE old USING fts4(y)",
        "CREATE TABLE checked(a CHECK(a > length('x')), b COLLATE NOCASE)", "CREATE INDEX i ON t(abs(a)) WHERE a > 3", "INSERT INTO words VALUES('hello')", "INSERT INTO boxes VALUES(1, 2, 3)")
    result = check(data)
    assert result.meta["leftOut"] == [{"name": "v", "type": "view", "reason": "view"}] + [{"name": name, "type": "table", "reason": "virtual_table"} for name in ("words", "boxes", "old")]
    assert {"words_content", "boxes_node", "old_segdir", "checked"} <= set(names(result.meta))
    assert [note for _, note in result.notes] == ["views_left_out", "virtual_tables_left_out"]


def test_generated_columns():
    data = make("CREATE TABLE s(a, b AS (a * 2) STORED, c)", "INSERT INTO s VALUES(1, 3)", "CREATE TABLE plain(a)", "INSERT INTO plain VALUES(9)")
    result = check(data)
    assert [column["hidden"] for column in result.meta["tables"][0]["columns"]] == [0, 3, 0] and result.tables[0].rows[1][1] == [(1, 1), (1, 3)]
    assert [note for _, note in result.notes] == ["generated_columns_left_out"]
    data = make("CREATE TABLE v(a, b INT NOT NULL AS (a + 9223372036854775807) VIRTUAL)", "CREATE TABLE plain(a NOT NULL)", "INSERT INTO v VALUES(-5)", "INSERT INTO plain VALUES('needle')")
    result = check(data)
    assert [(table["checked"], table["cells"]) for table in result.meta["tables"]] == [(False, 1), (True, 1)]
    assert [note for _, note in result.notes] == ["generated_columns_left_out", "tables_not_checked"]
    at = data.rindex(b"needle")
    assert code(patched(data, at - 1, b"\0")) == "sqlite_damaged", "NULL in NOT NULL: other tables are still checked"


def test_collations_of_the_phone():
    """Android's LOCALIZED is not known here; nothing needs it."""
    path = make("CREATE TABLE t(a TEXT COLLATE NOCASE, b)", "CREATE INDEX i ON t(a)", "INSERT INTO t VALUES('x', 1)")
    data = path.replace(b"COLLATE NOCASE", b"COLLATE LOCALE")
    result = read(data, kind="sqlite")
    assert data != path and result.code == "ok" and result.tables[0].rows == {1: (1, [(reading.TEXT, b"x"), (reading.INTEGER, 1)])}


def columns(count):
    return ", ".join(f"c{i}" for i in range(count))


def test_limits_of_the_schema():
    assert check(make(f"CREATE TABLE t({columns(100)})", f"INSERT INTO t VALUES({', '.join('1' * 100)})")).tables[0].cells == 100
    assert code(make("CREATE TABLE small(a)", f"CREATE TABLE t({columns(101)})")) == "sqlite_too_many_columns"
    many = make(*(f"CREATE TABLE t{i}({', '.join(f'c{j} INTEGER NOT NULL' for j in range(20))})" for i in range(300)), before=("PRAGMA page_size = 512",))
    assert len(check(many).meta["tables"]) == 300
    assert code(make(*(f"CREATE TABLE t{i}(a)" for i in range(1001)), before=("PRAGMA page_size = 512",))) == "sqlite_too_many_tables"
    assert code(make("CREATE TABLE t(a CHECK(" + " AND ".join(["a > 1"] * 60) + "))")) == "ok"
    assert code(make("CREATE TABLE t(a CHECK(" + " AND ".join(["a > 1"] * 200) + "))")) == "sqlite_too_complex"
    assert code(make("CREATE TABLE t(a DEFAULT '" + "x" * 100_000 + "')")) == "sqlite_too_complex"
    long_names = [f"CREATE TABLE t{i}({', '.join(f'c{j}{i}' + 'x' * 500 for j in range(60))})" for i in range(60)]
    assert code(make(*long_names)) == "sqlite_too_complex"


def rewritten(new, where, *statements):
    """A database whose sqlite_schema was tampered with."""
    def tamper(db):
        db.execute("PRAGMA writable_schema = ON")
        db.execute(f"UPDATE sqlite_schema SET {new} WHERE {where}")

    return make("CREATE TABLE t(a)", "CREATE TABLE u(a)", "INSERT INTO t VALUES(1)", *statements, fill=tamper)


@pytest.mark.parametrize("new, where", [
    ("sql = 'CREATE VIEW t AS SELECT randomblob(100000000)'", "name = 't'"), ("sql = 'CREATE VIRTUAL TABLE t USING fts5(a)'", "name = 't'"),
    ("sql = 'CREATE TABLE t AS SELECT 1'", "name = 't'"), ("rootpage = 1", "name = 't'"), ("rootpage = 900", "name = 't'"), ("rootpage = -2", "name = 'nobody' OR rootpage = 2"),
    ("rootpage = 3", "name = 't'"), ("sql = NULL", "name = 't'"), ("sql = 'DROP TABLE t'", "name = 't'"), ("sql = 'CREATE TABLE t('", "name = 't'"), ("name = 'v'", "name = 't'"),
    ("name = X'ff'", "name = 't'"), ("type = 'view'", "name = 't'"), ("rootpage = 'x'", "name = 't'"), ("rootpage = 9999999999999", "name = 't'"),
    ("sql = 'CREATE TABLE t(a, b AS (randomblob(100000000)) NOT NULL)'", "name = 't'"), ("name = 'sqlite_schema'", "name = 't'"), ("name = 'pragma_table_list'", "name = 't'"),
])
def test_schemas_that_lie(new, where):
    result = read(rewritten(new, where), kind="sqlite")
    assert result.code in VERDICTS
    if result.code == "ok":
        for table in result.tables.values():
            assert all(cell in ((reading.INTEGER, 1), (reading.NULL, None)) for _, row in table.rows.values() for cell in row)
        assert len(result.tables) + len(result.meta["leftOut"]) == 2


def test_names_that_are_no_text():
    assert code(PLAIN.replace(b"t(a, b)", b"t(\xff, b)")) == "sqlite_bad_name"


def test_another_dialect_is_read_like_any_other(tmp_path):
    pinpal.scorer(tmp_path / "Backup.db")
    assert names(check((tmp_path / "Backup.db").read_bytes()).meta) == ["T_Games", "T_Event"]


# ---- damage ----

@pytest.mark.parametrize("seed", range(8))
def test_flipped_bits(seed):
    rand = random.Random(seed)
    files = [PLAIN, make("CREATE TABLE t(k TEXT PRIMARY KEY, v) WITHOUT ROWID", "CREATE TABLE u(a INTEGER PRIMARY KEY, b TEXT NOT NULL, c AS (b || 'x'))", "CREATE INDEX i ON u(b)",
                         before=("PRAGMA page_size = 512", f"PRAGMA auto_vacuum = {seed % 3}"),
                         fill=lambda db: [db.execute("INSERT INTO t VALUES(?, ?)", (f"key {i}", rand.randbytes(i * 7 % 900))) and db.execute("INSERT INTO u VALUES(?, ?)", (i, "b" * i)) for i in range(80)])]
    seen = set()
    for turn in range(40):
        data = bytearray(rand.choice(files))
        for _ in range(rand.choice([1, 1, 2, 8, 64])):
            at = rand.choice([rand.randrange(len(data)), rand.randrange(600), rand.randrange(len(data) // 512) * 512 + rand.randrange(12)])
            data[at] ^= 1 << rand.randrange(8)
        seen.add(code(bytes(data)))
    assert seen <= VERDICTS and "sqlite_damaged" in seen, seen


def test_pages_in_each_others_place():
    size, rand = 4096, random.Random(5)
    for _ in range(20):
        pages = [PLAIN[at : at + size] for at in range(0, len(PLAIN), size)]
        a, b = rand.sample(range(1, len(pages)), 2)
        pages[a] = pages[b]
        assert code(b"".join(pages)) in ("sqlite_damaged", "ok")
        pages[a] = b"\0" * size
        assert code(b"".join(pages)) in VERDICTS


def test_too_little_memory_is_not_damage():
    """The sanitizer's build has no limit of its address space."""
    data = make("CREATE TABLE t(a)", fill=lambda db: db.executemany("INSERT INTO t VALUES(?)", ((i,) for i in range(200_000))))
    seen = {code(data, "--max-memory", str(size << 20)) for size in (1, 2, 3)}
    assert seen <= {"ok", "sqlite_too_complex", "died with 70"}, seen


# ---- what is written about it ----

def test_every_code_is_explained():
    rows = re.findall(r'^FAILURE\("(\w+)", "(.*?)", "(.*?)"\)', (REPOSITORY / "readers" / "sqlite_failures.def").read_text(encoding="utf-8"), re.M)
    text = (REPOSITORY / "docs" / "sqlite.md").read_text(encoding="utf-8")
    assert len(rows) > 10
    for row in rows:
        assert f"| `{row[0]}` | {row[1]} | {row[2]} |" in text, f"expected {row[0]} in docs/sqlite.md as the table has it"
