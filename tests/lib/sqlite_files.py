"""SQLite databases for tests, as bytes; what Python's own sqlite3 reads from them, and what our reader says, in one shape."""
import os
import sqlite3
import tempfile

import reading

TYPES = {"integer": reading.INTEGER, "real": reading.REAL, "text": reading.TEXT, "blob": reading.BLOB, "null": reading.NULL}


def make(*statements, fill=None, before=(), wal=False):
    """The bytes of a database: `before` runs before there is a table (page_size, encoding), fill(db) after the statements.
    wal: leave the file as a copy taken while a writer had it open, after a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.db")
        db = sqlite3.connect(path, isolation_level=None)
        for statement in (*before, *statements):
            db.execute(statement)
        if fill:
            db.execute("BEGIN")
            fill(db)
            db.execute("COMMIT")
        if wal:
            assert db.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
            db.execute("CREATE TABLE IF NOT EXISTS wal_probe(a)")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            db.close()
        with open(path, "rb") as file:
            data = file.read()
        db.close()
    return data


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def expected(data, table, columns, rowid="rowid"):
    """[(key, [(class, value)])] as Python's sqlite3 has it; TEXT and BLOB as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.db")
        with open(path, "wb") as file:
            file.write(data)
        db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        db.text_factory = bytes
        parts = ", ".join(f"typeof({quoted(name)}), {quoted(name)}" for name in columns)
        rows = []
        for key, *cells in db.execute(f"SELECT {rowid or 0}, {parts} FROM {quoted(table)} NOT INDEXED"):
            rows.append((key, [(TYPES[kind.decode()], value) for kind, value in zip(cells[::2], cells[1::2])]))
        db.close()
    return rows


def bits(rows):
    """The same rows with every REAL as its bits, so that -0.0 is not 0.0."""
    return [(key, [(kind, value.hex() if kind == reading.REAL else value) for kind, value in cells]) for key, cells in rows]


def names(meta):
    return [table["name"] for table in meta["tables"]]


def compare(data, result):
    """Every table of the reading holds what Python's sqlite3 finds there."""
    assert result.code == "ok", result.fail
    assert sorted(result.tables) == list(range(len(result.meta["tables"])))
    for index, table in enumerate(result.meta["tables"]):
        columns = [column["name"] for column in table["columns"] if column["hidden"] == 0]
        taken = {column["name"].lower() for column in table["columns"]}
        rowid = next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None) if table["key"] == "rowid" else None
        said = result.tables[index]
        assert said.cells == len(columns) == table["cells"]
        assert list(said.rows) == list(range(1, len(said.rows) + 1)) and said.ended == (len(said.rows), 0)
        assert bits(said.rows.values()) == bits(expected(data, table["name"], columns, rowid)), table["name"]


def check(data, *options):
    """Reads the file whole, compares, returns what the reader said."""
    result = reading.read(data, *options, kind="sqlite")
    compare(data, result)
    return result
