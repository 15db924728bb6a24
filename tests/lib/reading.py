"""Runs `tidegate read FORMAT` on a file as its parent would, and decodes the frames it answers with (readers/frame.h)."""
import json
import os
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

BUILD = Path(os.environ.get("TIDEGATE_BUILD", Path(__file__).resolve().parents[2] / "build"))
META, ROWS, NOTE, END, FAIL = range(1, 6)
NO_CELL = 0xFFFFFFFF
FLAGS = ["short_row", "long_row", "invalid_bytes", "mixed_encoding", "nul_removed", "field_too_long", "unclosed_quote", "record_too_long"]


@dataclass
class Reading:
    """What a reader said: rows is {number: cells}, a cell that is not there None; fail is None or (code, message)."""

    meta: dict = None
    rows: dict = field(default_factory=dict)
    flags: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    end: dict = None
    fail: tuple = None
    status: int = 0

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


def take_frame(reading, kind, payload):
    assert reading.end is None and reading.fail is None, "nothing follows END or FAIL"
    assert (kind == META) == (reading.meta is None) or kind == FAIL, "META comes first, once"
    if kind == META:
        reading.meta = json.loads(payload)
    elif kind == ROWS:
        take_rows(reading, payload)
    elif kind == NOTE:
        reading.notes.append((struct.unpack_from("<Q", payload)[0], payload[8:].decode()))
    elif kind == END:
        reading.end = dict(zip(("rows", "empty", "records", "bytes", "notes"), struct.unpack("<5Q", payload)))
        assert reading.end["rows"] == len(reading.rows)
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
