"""Runs `tidegate read FORMAT` on a file as its parent would, and decodes the frames it answers with (readers/frame.h)."""
import json
import os
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

BUILD = Path(os.environ.get("TIDEGATE_BUILD", Path(__file__).resolve().parents[2] / "build"))
META, ROWS, NOTE, END, FAIL, TABLE, VALUES, TABLE_END = range(1, 9)
INTEGER, REAL, TEXT, BLOB, NULL, TEXT_UTF16 = range(1, 7)
NO_CELL = 0xFFFFFFFF
FLAGS = ["short_row", "long_row", "invalid_bytes", "mixed_encoding", "nul_removed", "field_too_long", "unclosed_quote", "record_too_long"]


@dataclass
class Table:
    """Rows of one table: {number: (key, [(class, value)])}; notes as [(number, code)]. ended is (rows, left out) once it is."""

    index: int
    cells: int
    rows: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    ended: tuple = None


@dataclass
class Reading:
    """What a reader said: rows is {number: cells}, a cell that is not there None; fail is None or (code, message).
    tables is {index: Table} for a file of typed values."""

    meta: dict = None
    rows: dict = field(default_factory=dict)
    flags: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    end: dict = None
    fail: tuple = None
    status: int = 0
    tables: dict = field(default_factory=dict)
    open_table: "Table" = None

    @property
    def code(self):
        """ok, the code of FAIL, or what went wrong with the process."""
        if self.fail:
            return self.fail[0]
        return "ok" if self.end and self.status == 0 else f"died with {self.status}"


def take_rows(reading, payload):
    (count,), at = struct.unpack_from("<I", payload), 4
    for _ in range(count):
        number, _offset, flags, cells = struct.unpack_from("<QQII", payload, at)
        lengths = struct.unpack_from(f"<{cells}I", payload, at + 24)
        at += 24 + 4 * cells
        row = []
        for length in lengths:
            row.append(None if length == NO_CELL else payload[at : at + length].decode("utf-8"))
            at += 0 if length == NO_CELL else length
        assert number > max(reading.rows, default=0), "row numbers rise"
        reading.rows[number] = row
        reading.flags[number] = [name for bit, name in enumerate(FLAGS) if flags >> bit & 1]
    assert at == len(payload)


def take_cell(payload, at):
    kind = payload[at]
    if kind == NULL:
        return (kind, None), at + 1
    if kind in (INTEGER, REAL):
        return (kind, struct.unpack_from("<q" if kind == INTEGER else "<d", payload, at + 1)[0]), at + 9
    assert kind in (TEXT, BLOB, TEXT_UTF16)
    (length,) = struct.unpack_from("<I", payload, at + 1)
    assert at + 5 + length <= len(payload)
    return (kind, payload[at + 5 : at + 5 + length]), at + 5 + length


def take_values(table, payload):
    (count, cells), at = struct.unpack_from("<II", payload), 8
    assert count and cells == table.cells
    last = max(table.rows, default=0)
    for _ in range(count):
        number, key = struct.unpack_from("<Qq", payload, at)
        at += 16
        row = []
        for _ in range(cells):
            cell, at = take_cell(payload, at)
            row.append(cell)
        assert number > last, "row numbers rise"
        last = number
        table.rows[number] = (key, row)
    assert at == len(payload)


def take_table_frame(reading, kind, payload):
    if kind == TABLE:
        assert reading.open_table is None
        index, cells = struct.unpack("<II", payload)
        assert index > max(reading.tables, default=-1), "indexes of tables rise"
        reading.tables[index] = reading.open_table = Table(index, cells)
    elif kind == VALUES:
        take_values(reading.open_table, payload)
    else:
        index, *ended = struct.unpack("<IQQ", payload)
        table, reading.open_table = reading.open_table, None
        assert table.index == index and ended[0] == len(table.rows)
        table.ended = tuple(ended)


def take_frame(reading, kind, payload):
    assert reading.end is None and reading.fail is None, "nothing follows END or FAIL"
    assert (kind == META) == (reading.meta is None) or kind == FAIL, "META comes first, once"
    if kind == META:
        reading.meta = json.loads(payload)
    elif kind == ROWS:
        take_rows(reading, payload)
    elif kind in (TABLE, VALUES, TABLE_END):
        take_table_frame(reading, kind, payload)
    elif kind == NOTE and reading.open_table:
        reading.open_table.notes.append((struct.unpack_from("<Q", payload)[0], payload[8:].decode()))
    elif kind == NOTE:
        reading.notes.append((struct.unpack_from("<Q", payload)[0], payload[8:].decode()))
    elif kind == END:
        reading.end = dict(zip(("rows", "empty", "records", "bytes", "notes"), struct.unpack("<5Q", payload)))
        assert reading.end["rows"] == len(reading.rows) + sum(len(table.rows) for table in reading.tables.values())
        assert reading.open_table is None
    elif kind == FAIL:
        (length,) = struct.unpack_from("<I", payload)
        reading.fail = (payload[4 : 4 + length].decode(), payload[4 + length :].decode())
    else:
        raise AssertionError(f"a frame of type {kind}")


def decode(output):
    reading, at = Reading(), 0
    while at < len(output):
        magic, kind, _zeros, length = struct.unpack_from("<4sB3sI", output, at)
        assert magic == b"TGF1" and at + 12 + length <= len(output)
        take_frame(reading, kind, output[at + 12 : at + 12 + length])
        at += 12 + length
    return reading


def read(data, *options, kind="xlsx", mode="rows", scratch=None):
    """data: the file's bytes, or its path. scratch: size of a scratch file that the reader gets as descriptor 3."""
    command = [str(BUILD / "tidegate"), "read", kind, "--mode", mode, *options]
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as spill:
        if isinstance(data, bytes):
            file.write(data)
            file.seek(0)
            source = file.fileno()
        else:
            source = os.open(data, os.O_RDONLY)
        if scratch:
            # The shell puts the scratch file where the reader looks for it, whatever number it has here.
            command = ["/bin/sh", "-c", f'exec "$@" 3<>/proc/self/fd/{spill.fileno()}', "sh", *command, "--scratch", str(scratch)]
        # Looking for leaks takes calls that the sandbox kills for; the fuzz targets look for them.
        done = subprocess.run(command, env={"ASAN_OPTIONS": "detect_leaks=0"}, stdin=source, capture_output=True, timeout=120, pass_fds=[spill.fileno()], check=False)
        if source != file.fileno():
            os.close(source)
    reading = decode(done.stdout)
    reading.status = done.returncode
    return reading
