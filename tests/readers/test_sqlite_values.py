"""The SQLite reader against Python's sqlite3: every cell of every kind of file, with its storage class and its bytes."""
import struct

import pinpal
import pytest
import reading
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import read
from sqlite_files import check, compare, make, names, quoted

ODD = [-(2**63), 2**63 - 1, 0, -1, 127, 128, 2**15, 2**23, 2**31, 2**47, 0.0, -0.0, 0.1, 1e308, -1e308, 5e-324, 2.2250738585072014e-308, float("inf"), float("-inf"),
       float("nan"), 1e15, 9007199254740993.0, None, "", "é€😀", "a\0b", b"", b"\0", b"\xff" * 1000, "x" * 5000, "1", "1e3", " 2 "]


def fill_odd(db):
    for affinity in ("", "INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC"):
        db.executemany(f"INSERT INTO t(id, {affinity or 'none'}_) VALUES(NULL, ?)", ((value,) for value in ODD))
    for raw in ("ff", "c3", "6100ff00", "eda080", "f4908080", "00"):
        db.execute(f"INSERT INTO t(none_, TEXT_) VALUES(CAST(X'{raw}' AS TEXT), CAST(X'{raw}' AS TEXT))")


ODD_TABLE = "CREATE TABLE t(id INTEGER PRIMARY KEY, none_, INTEGER_ INTEGER, REAL_ REAL, TEXT_ TEXT, BLOB_ BLOB, NUMERIC_ NUMERIC)"


def test_every_storage_class():
    result = check(make(ODD_TABLE, fill=fill_odd))
    cells = [row[1][1] for row in result.tables[0].rows.values()]
    assert (reading.INTEGER, -(2**63)) in cells and (reading.INTEGER, 2**63 - 1) in cells and (reading.REAL, float("inf")) in cells
    assert any(kind == reading.REAL and struct.pack("<d", value) == b"\0" * 7 + b"\x80" for kind, value in cells), "-0.0 keeps its sign"
    assert cells[ODD.index(5e-324)] == (reading.REAL, 5e-324), "denormals keep their bits"
    assert cells[19] == (reading.NULL, None), "SQLite has no NaN"
    assert (reading.TEXT, b"a\0b") in cells and (reading.TEXT, b"\xff") in cells and (reading.TEXT, b"\xed\xa0\x80") in cells


@pytest.mark.parametrize("page", [512, 1024, 4096, 32768, 65536])
@pytest.mark.parametrize("vacuum", [0, 1, 2])
def test_page_sizes_and_overflow(page, vacuum):
    def fill(db):
        db.executemany("INSERT INTO t VALUES(?, ?)", ((i, bytes([i % 256]) * (i * 997 % 20000)) for i in range(200)))

    result = check(make("CREATE TABLE t(a, b)", fill=fill, before=(f"PRAGMA page_size = {page}", f"PRAGMA auto_vacuum = {vacuum}")))
    assert result.meta["pageSize"] == page and result.meta["autoVacuum"] == (vacuum > 0)


def test_megabytes():
    """A MiB fits. What does not fit in a frame is left out by name, and everything behind it comes."""
    sizes = [10, 1 << 20, 1_099_000, 1_114_080, 1_200_000, 20, 30_000_000, 30]
    data = make("CREATE TABLE t(a, b NOT NULL)", "CREATE TABLE u(k TEXT PRIMARY KEY, b) WITHOUT ROWID", "CREATE TABLE wide(a, b, c)",
                fill=lambda db: (db.executemany("INSERT INTO t VALUES(?, zeroblob(?))", enumerate(sizes, 1)),
                                 db.executemany("INSERT INTO u VALUES(?, zeroblob(?))", enumerate(sizes, 1)),
                                 db.executemany("INSERT INTO wide VALUES(zeroblob(?1), zeroblob(?1), zeroblob(?1))", [(400_000,), (10,), (350_000,)])))
    result = read(data, kind="sqlite")
    assert result.code == "ok"
    for table in (result.tables[0], result.tables[1]):
        assert {number: len(row[1][1][1]) for number, row in table.rows.items()} == {1: 10, 2: 1 << 20, 3: 1_099_000, 6: 20, 8: 30}
        assert table.notes == [(4, "row_too_large"), (5, "row_too_large"), (7, "row_too_large")] and table.ended == (5, 3)
    assert list(result.tables[2].rows) == [2, 3] and result.tables[2].ended == (2, 1)
    assert result.end["notes"] == 7 and result.end["rows"] == 12 and result.end["records"] == 19


def test_a_row_of_more_than_the_library_may_hold():
    columns = ", ".join(f"c{i}" for i in range(60))
    data = make(f"CREATE TABLE t({columns})", fill=lambda db: [db.execute(f"INSERT INTO t VALUES({', '.join(f'zeroblob({size})' for _ in range(60))})") for size in (10, 1_000_000, 20, 900_000, 30)])
    table = read(data, kind="sqlite").tables[0]
    assert {number: len(row[1][59][1]) for number, row in table.rows.items()} == {1: 10, 3: 20, 5: 30}
    assert table.notes == [(2, "row_too_large"), (4, "row_too_large")] and table.ended == (3, 2)


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_utf16(encoding):
    data = make('CREATE TABLE "näme"("é" TEXT PRIMARY KEY, v) WITHOUT ROWID', ODD_TABLE, before=(f"PRAGMA encoding = '{encoding}'",),
                fill=lambda db: (db.executemany("INSERT INTO t(none_) VALUES(?)", ((value,) for value in ODD)), db.execute('INSERT INTO "näme" VALUES(?, 1)', ("é😀",))))
    assert check(data).meta["encoding"] == encoding


@pytest.mark.parametrize("encoding, order", [("UTF-16le", "little"), ("UTF-16be", "big")])
def test_utf16_that_is_not_well_formed(encoding, order):
    """Text that UTF-8 cannot say comes as it is stored."""
    units = [[0xD800], [0xDC00, 0x61], [0x61, 0xDBFF], [0xD83D, 0xDE00], [0x61]]
    raw = [b"".join(unit.to_bytes(2, order) for unit in text) for text in units]
    data = make("CREATE TABLE t(a)", before=(f"PRAGMA encoding = '{encoding}'",), fill=lambda db: [db.execute(f"INSERT INTO t VALUES(CAST(X'{text.hex()}' AS TEXT))") for text in raw])
    cells = [row[1][0] for row in read(data, kind="sqlite").tables[0].rows.values()]
    assert cells == [(reading.TEXT_UTF16, text) for text in raw[:3]] + [(reading.TEXT, "😀".encode()), (reading.TEXT, b"a")]


def test_keys_and_names():
    data = make(
        "CREATE TABLE plain(a)", "CREATE TABLE aliased(a, id INTEGER PRIMARY KEY)", "CREATE TABLE descending(id INTEGER PRIMARY KEY DESC, a)",
        "CREATE TABLE shadow1(ROWID TEXT)", "CREATE TABLE shadow2(rowid, _Rowid_)", "CREATE TABLE shadow3(rowid, _rowid_, oid)", "CREATE TABLE oid(oid INTEGER PRIMARY KEY, rowid, _rowid_)",
        "CREATE TABLE pairs(b, a, PRIMARY KEY(b DESC, a)) WITHOUT ROWID", "CREATE TABLE folded(a TEXT COLLATE NOCASE PRIMARY KEY) WITHOUT ROWID",
        'CREATE TABLE "a ""quoted"" name; DROP"("x y", "tick`", "a""b", "[c]", \'q\', "é")', "CREATE TABLE [Été 😀](a)", 'CREATE TABLE "select"("from", "where")', 'CREATE TABLE ""("")',
        "CREATE TABLE indexed(a, b)", "CREATE INDEX by_a ON indexed(a, b)", "CREATE TABLE numbered(id INTEGER PRIMARY KEY AUTOINCREMENT, a)", "CREATE TABLE empty(a, b)",
        fill=lambda db: [db.execute(f"INSERT INTO {quoted(name)} VALUES({', '.join(str((i * 7 + j * 3 + k) % 5) for k in range(cells))})") for name, cells, count in (
            ("plain", 1, 5), ("shadow1", 1, 3), ("shadow2", 2, 3), ("shadow3", 3, 3), ("indexed", 2, 9), ("Été 😀", 1, 2), ("select", 2, 2), ("", 1, 2),
            ('a "quoted" name; DROP', 6, 3)) for i in range(count) for j in [i]] + [db.execute("INSERT INTO numbered(a) VALUES('x')"), db.execute("INSERT INTO aliased VALUES('a', -5), ('b', 9)"),
            db.execute("INSERT INTO descending VALUES(7, 'a'), (-7, 'b')"), db.execute("INSERT INTO pairs VALUES(1, 'x'), (2, 'a'), (2, 'b')"),
            db.execute("INSERT INTO folded VALUES('b'), ('A'), ('C')"), db.execute("INSERT INTO oid VALUES(4, 1, 2)")])
    meta = check(data).meta
    kinds = {table["name"]: table["key"] for table in meta["tables"]}
    assert kinds["shadow2"] == "rowid" and kinds["shadow3"] == "hidden_rowid" and kinds["oid"] == "hidden_rowid" and kinds["pairs"] == "primary_key"
    assert "sqlite_sequence" in kinds and kinds[""] == "rowid"
    [pairs] = [table for table in meta["tables"] if table["name"] == "pairs"]
    assert [(column["name"], column["primaryKey"], column["notNull"]) for column in pairs["columns"]] == [("b", 1, True), ("a", 2, True)]
    assert all(table["exact"] and table["estimatedRows"] < 10 for table in meta["tables"])


def test_columns_added_later():
    data = make("CREATE TABLE t(a)", "INSERT INTO t VALUES(1)", "ALTER TABLE t ADD COLUMN b TEXT NOT NULL DEFAULT 'dé''f'", "ALTER TABLE t ADD COLUMN c REAL DEFAULT 7", "INSERT INTO t VALUES(2, 'x', 8)")
    result = check(data)
    assert [column.get("default") for column in result.meta["tables"][0]["columns"]] == [None, "'dé''f'", "7"]


def test_resume_and_one_table():
    data = make(*(f"CREATE TABLE t{i}(a)" for i in range(64)), fill=lambda db: [db.execute(f"INSERT INTO t{i} VALUES({j})") for i in range(64) for j in range(i)])
    whole = check(data)
    assert len(whole.tables) == 64 and whole.tables[0].rows == {}
    rest = read(data, "--from-table", "60", "--skip-rows", "58", kind="sqlite")
    assert sorted(rest.tables) == [60, 61, 62, 63] and rest.tables[60].rows == {59: whole.tables[60].rows[59], 60: whole.tables[60].rows[60]}
    assert rest.tables[60].ended == (2, 0) and rest.tables[61].rows == whole.tables[61].rows
    assert read(data, "--from-table", "64", kind="sqlite").tables == {} and read(data, "--from-table", "3", "--skip-rows", "900", kind="sqlite").tables[3].ended == (0, 0)
    one = read(data, "--table", "T7", kind="sqlite")
    assert list(one.tables) == [7] and one.tables[7].rows == whole.tables[7].rows and len(one.meta["tables"]) == 64
    assert read(data, "--table", "t64", kind="sqlite").code == "table_not_found"
    inspected = read(data, kind="sqlite", mode="inspect")
    assert inspected.meta == whole.meta and inspected.tables == {} and inspected.end["rows"] == 0


def test_estimate():
    data = make("CREATE TABLE t(a, b)", fill=lambda db: db.executemany("INSERT INTO t VALUES(?, ?)", ((i, "x" * 100) for i in range(50_000))))
    [table] = read(data, kind="sqlite", mode="inspect").meta["tables"]
    assert not table["exact"] and 20_000 < table["estimatedRows"] < 100_000


@pytest.mark.parametrize("options", [{}, {"ios": True}, {"extensions": True, "optional": True}])
def test_backups_of_pinpal(tmp_path, options):
    path = tmp_path / "Backup.db"
    pinpal.write(path, games=60, seed=3, **options)
    data = path.read_bytes()
    pinpal.write(path, games=60, seed=3, **options)
    assert path.read_bytes() == data, "the same seed makes the same file"
    result = read(data, kind="sqlite")
    ios = "ios" in options
    compare(data[4096:] if ios else data, result)
    assert (result.meta["container"], result.meta["offset"], result.meta["userVersion"]) == (("plist", 4096, 8) if ios else ("plain", 0, 8))
    assert result.meta.get("plist", "").startswith("<?xml") == ios
    frame = names(result.meta).index("frame")
    assert len(result.tables[frame].rows) == 60 * 12
    pins = [row[1][6][1] for row in result.tables[frame].rows.values()]
    assert max(pins) == ((1 << 30) - 1 if ios else (1 << 20) - 1)


# ---- any schema, any values ----

NAMES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=12)
VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(st.characters(blacklist_categories=("Cs",)), max_size=300), st.binary(max_size=3000))
COLUMN_TYPES = st.sampled_from(["", "INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC", "VARCHAR(20)", "DATE", "ANY thing"])


@st.composite
def databases(draw):
    statements, rows = [], []
    for table in draw(st.lists(NAMES.filter(lambda name: not name.lower().startswith("sqlite_")), min_size=1, max_size=4, unique_by=lambda name: name.casefold())):
        columns = draw(st.lists(st.tuples(NAMES, COLUMN_TYPES), min_size=1, max_size=6, unique_by=lambda column: column[0].casefold()))
        statements.append(f"CREATE TABLE {quoted(table)}({', '.join(f'{quoted(name)} {kind}' for name, kind in columns)})")
        for values in draw(st.lists(st.tuples(*(VALUES for _ in columns)), max_size=12)):
            rows.append((f"INSERT INTO {quoted(table)} VALUES({', '.join('?' * len(columns))})", values))
    before = (f"PRAGMA page_size = {draw(st.sampled_from([512, 4096, 65536]))}", f"PRAGMA encoding = '{draw(st.sampled_from(['UTF-8', 'UTF-16le', 'UTF-16be']))}'")
    return make(*statements, before=before, fill=lambda db: [db.execute(sql, values) for sql, values in rows])


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(databases())
def test_any_database(data):
    check(data)
