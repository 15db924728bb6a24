"""Dumps and restores as a person makes them, and what is in a database, read by Python's sqlite3: the judge that shares no code with ours."""
import os
import sqlite3
import struct
import subprocess
from pathlib import Path

BUILD = Path(os.environ.get("TIDEGATE_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
TIDEGATE = BUILD / "tidegate"


def tidegate(*arguments, status=0):
    done = subprocess.run([TIDEGATE, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def dump(source, to, *options, status=0):
    return tidegate("backup", "dump", source, "--to", to, *options, status=status)


def restore(source, to, *options, status=0):
    return tidegate("restore", source, "--to", to, *options, status=status)


def shell(sql, to):
    """The stock shell reads the dump, and stops at the first thing it does not like."""
    with open(sql, "rb") as file:
        done = subprocess.run(["/usr/bin/sqlite3", "-bail", to], stdin=file, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def cell(value, kind):
    """A value with its class: floats by their bits, texts by their bytes in the encoding of the database."""
    return (kind.decode(), struct.pack("<d", value) if isinstance(value, float) else value)


def table_rows(db, name, without_rowid):
    columns = [row[1].decode() for row in db.execute(f"PRAGMA table_xinfo({quoted(name)})") if row[6] != 1]
    aliases = [alias for alias in ("rowid", "_rowid_", "oid") if alias not in [c.lower() for c in columns]]
    head = [aliases[0]] if aliases and not without_rowid else ["NULL"]
    select = ", ".join(head + [f"CASE typeof({quoted(c)}) WHEN 'text' THEN CAST({quoted(c)} AS BLOB) ELSE {quoted(c)} END, typeof({quoted(c)})" for c in columns])
    rows = []
    for row in db.execute(f"SELECT {select} FROM {quoted(name)} NOT INDEXED"):
        rows.append((row[0], [cell(row[i], row[i + 1]) for i in range(1, len(row), 2)]))
    return columns, rows


def content(path):
    """Everything that a restore has to bring back: schema, settings, rows with their classes and bytes."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    db.text_factory = bytes
    encoding = db.execute("PRAGMA encoding").fetchone()[0]
    result = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id", "page_size", "auto_vacuum")}
    result["encoding"] = encoding
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == b"ok"
    listed = {row[1].decode(): row for row in db.execute("PRAGMA table_list") if row[0] == b"main"}
    result["schema"] = sorted((t.decode(), n.decode(), closed(s.decode(errors="replace"))) for t, n, s in db.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"))
    for name, row in listed.items():
        if row[2] in (b"table", b"shadow") and not name.startswith("sqlite_"):
            columns, rows = table_rows(db, name, row[4])
            result[f"table {name}"] = (columns, rows)
    if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").fetchone():
        result["sequence"] = sorted(db.execute("SELECT name, seq FROM sqlite_sequence"))
    db.close()
    return result


def closed(sql):
    """A statement whose last comment is open cannot be stored again as it is: its end is added."""
    sql = sql.replace("\r\n", "\n")
    return sql if sqlite3.complete_statement(sql + ";") or sqlite3.complete_statement(sql + "\n;") else sql + "*/"


def same(a, b):
    a, b = content(a), content(b)
    assert a.keys() == b.keys()
    for key in a:
        assert a[key] == b[key], key


def round_trip(source, folder, *options):
    """Through the sqlite3 shell and through our own restore; returns the dump."""
    sql = folder / "dump.sql"
    dump(source, sql, "--zstd", 0, *options)
    shell(sql, folder / "by_shell.db")
    same(source, folder / "by_shell.db")
    restore(sql, folder / "by_tidegate.db")
    same(source, folder / "by_tidegate.db")
    return sql.read_bytes()
