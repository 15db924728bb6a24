"""A parser that runs elsewhere: signs its calls, reads a database with Python's sqlite3, and sends what is in it."""
import base64
import hashlib
import hmac
import json
import os
import sqlite3
import tempfile
import time
import uuid

from phone import Phone
from sqlite_files import quoted

QUEUE, CALLBACK = "/api/import/queue", "/api/import/callback"
KEYS = {QUEUE: "the secret of the queue, current 000", CALLBACK: "the secret of callbacks, current 000"}
NEXT = {QUEUE: "the secret of the queue, next 000000", CALLBACK: "the secret of callbacks, next 000000"}
OPTIONS = {"parser__queue_key": KEYS[QUEUE], "parser__queue_next_key": NEXT[QUEUE], "parser__callback_key": KEYS[CALLBACK],
           "parser__callback_next_key": NEXT[CALLBACK]}
CONTAINER = 4096


def cell(kind, value):
    """A value as a snapshot has it. value: TEXT and BLOB as bytes."""
    if kind == "blob":
        return {"blob": base64.b64encode(value).decode()}
    if kind == "real" and value in (float("inf"), float("-inf")):
        return {"real": "Infinity" if value > 0 else "-Infinity"}
    if kind == "integer" and abs(value) > 2 ** 53 and value % 2:
        return {"integer": str(value)}
    if kind == "text":
        try:
            if b"\0" not in value:
                return value.decode()
        except UnicodeDecodeError:
            pass
        return {"text": base64.b64encode(value).decode()}
    return value


def tables_of(data):
    """The tables of a database in either container, as a snapshot has them."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.db")
        with open(path, "wb") as file:
            file.write(data[CONTAINER:] if data.startswith(b"<?xml") else data)
        db = sqlite3.connect(path)
        db.text_factory = bytes
        found = []
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY rowid").fetchall():
            name = name.decode()
            columns = [{"name": row[1].decode(), "type": row[2].decode()} for row in db.execute(f"PRAGMA table_info({quoted(name)})")]
            parts = ", ".join(f"typeof({quoted(column['name'])}), {quoted(column['name'])}" for column in columns)
            table = {"name": name, "columns": columns, "rows": [], "rowIds": []}
            for key, *cells in db.execute(f"SELECT rowid, {parts} FROM {quoted(name)} ORDER BY rowid"):
                table["rowIds"].append(key)
                table["rows"].append([cell(kind.decode(), value) for kind, value in zip(cells[::2], cells[1::2])])
            found.append(table)
        db.close()
    return found


def chunks_of(tables, rows):
    """Snapshots of so many rows of every table."""
    most = max((len(table["rows"]) for table in tables), default=0)
    return [{"tables": [{**table, "rows": table["rows"][at:at + rows], "rowIds": table["rowIds"][at:at + rows]} for table in tables
                        if at == 0 or len(table["rows"]) > at]} for at in range(0, max(most, 1), rows)]


class Parser:
    """With a phone whose files it reads."""

    def __init__(self, gate, phone=None):
        self.gate, self.phone = gate, phone or Phone(gate)

    def headers(self, path, data, key=None, at=0, nonce=None, **changed):
        stamp, nonce = str(int(time.time()) + at), nonce or uuid.uuid4().hex
        message = f"POST\n{path}\n{stamp}\n{nonce}\n{hashlib.sha256(data).hexdigest()}"
        signature = hmac.new((key or KEYS[path]).encode(), message.encode(), hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "x-import-ts": stamp, "x-import-nonce": nonce, "x-import-signature": signature, **changed}
        return {name: value for name, value in headers.items() if value is not None}

    def send(self, path, data, headers):
        return self.gate.api("POST", path, token=None, data=data, headers=headers)

    def call(self, path, body, **signing):
        data = json.dumps(body).encode()
        return self.send(path, data, self.headers(path, data, **signing))

    def works(self, path, body, status=None, **signing):
        answer, status = self.call(path, body, **signing), status or (202 if path == QUEUE else 200)
        assert answer.status_code == status, f"expected {status}, got {answer.status_code} {answer.text}"
        return answer.json()

    def queued(self, data, name="Backup.db", batch=None, **fields):
        """A batch of this file, asked for by the queue; the answer."""
        batch = batch or str(uuid.uuid4())
        return self.works(QUEUE, {"batchId": batch, "userId": self.phone.sub, "r2Key": self.phone.uploaded(data, name), "fileName": name, **fields})

    def stage(self, batch, stage, **fields):
        return self.works(CALLBACK, {"batchId": batch, "stage": stage, **fields})

    def chunk(self, batch, snapshot, index=0, last=True):
        return self.works(CALLBACK, {"batchId": batch, "parserVersion": "tests 1", "snapshot": snapshot, "chunk": {"index": index, "last": last}})

    def parsed(self, data, rows=200, **fields):
        """All the way, as a parser does it; the completed batch."""
        answer = self.queued(data, **fields)
        file = self.gate.session.get(answer["downloadUrl"], timeout=60).content
        assert file == data, "expected the parser to get the file as it was uploaded"
        batch = answer["batchId"]
        self.stage(batch, "parsing")
        chunks = chunks_of(tables_of(file), rows)
        for index, chunk in enumerate(chunks):
            self.chunk(batch, chunk, index, index == len(chunks) - 1)
        state = self.phone.wait(batch)
        assert state["status"] == "completed", f"expected a completed batch, got {state}"
        return state
