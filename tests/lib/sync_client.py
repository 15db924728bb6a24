"""A small client of POST /api/sync on a real SQLite database, written from docs/sync.md alone: what an app on a phone would do.

The tables, triggers and the query of checksums are those that the server hands out.
"""
import json
import sqlite3
import uuid


class Refused(Exception):
    """The server answered with a problem document."""

    def __init__(self, answer):
        self.answer = answer
        super().__init__(f"{answer.status_code} {answer.text[:300]}")


class Device:
    def __init__(self, gate, token, app="tunes", skew_us=0, page_size=None, path=":memory:", device=None, batch=200):
        """skew_us: how far the clock of this device is ahead. token: text, or a function that gives one."""
        self.gate, self.app, self.page_size, self.batch = gate, app, page_size, batch
        self.token = token if callable(token) else lambda: token
        self.device = device or f"device-{uuid.uuid4().hex[:8]}"
        self.schema = self._get(f"/api/sync/schema?app={app}")
        self.tables = {table["name"]: table for table in self.schema["tables"]}
        self.db = sqlite3.connect(path, isolation_level=None)
        self.rejected, self.merged = [], []
        self.seen = {}  # serverSeq of each row as an answer showed it last: reads never go back
        self.open(skew_us)

    def open(self, skew_us=0):
        self.db.execute("BEGIN IMMEDIATE")
        for statement in self.schema["sqlite"]["statements"]:
            self.db.execute(statement)
        self.db.execute("INSERT OR IGNORE INTO sync_control (id, app, schema_version, device_id, clock_offset) VALUES (1, ?, ?, ?, ?)",
                        (self.app, self.schema["version"], self.device, skew_us))
        self.db.execute("COMMIT")

    def close(self):
        self.db.close()

    # ------------------------------------------------------------------------------------------------------------ calls

    def _get(self, path):
        answer = self.gate.api("GET", path, token=self.token())
        if answer.status_code != 200:
            raise Refused(answer)
        return answer.json()

    def post(self, body):
        """One call; what the tests of lost answers replace."""
        answer = self.gate.api("POST", f"/api/sync?app={self.app}", json=body, token=self.token())
        if answer.status_code != 200:
            raise Refused(answer)
        return answer.json()

    # ------------------------------------------------------------------------------------------------------------- rows

    def sql(self, query, *values):
        return self.db.execute(query, values).fetchall()

    def control(self, column):
        return self.sql(f"SELECT {column} FROM sync_control")[0][0]

    def key_of(self, table, row_id):
        names = self.tables[table]["key"]
        types = {column["name"]: column["type"] for column in self.tables[table]["columns"]}
        values = json.loads(row_id) if len(names) > 1 else {names[0]: row_id}
        return {name: int(values[name]) if types[name] in ("integer", "bigint") else values[name] for name in names}

    def _where(self, key):
        return " AND ".join(f'"{name}" = ?' for name in key), list(key.values())

    def _change(self, seq, table, row_id, operation, changed_at):
        key = self.key_of(table, row_id)
        where, values = self._where(key)
        names = [column["name"] for column in self.tables[table]["columns"]]
        rows = self.sql(f'SELECT {", ".join(chr(34) + n + chr(34) for n in names)}, last_modified_at FROM "{table}" WHERE {where}', *values)
        deleted = not rows
        data = key if deleted else dict(zip(names, rows[0]))
        return {"table": table, "rowId": row_id, "data": data, "deleted": deleted, "lastModifiedAt": self.iso(changed_at if deleted else rows[0][-1])}

    @staticmethod
    def iso(us):
        # Not datetime: years beyond its reach are to be tried, too.
        return sqlite3.connect(":memory:").execute("SELECT strftime('%Y-%m-%dT%H:%M:%S', ?, 'unixepoch') || printf('.%06dZ', ?)",
                                                   (us // 1000000, us % 1000000)).fetchone()[0]

    def pending(self):
        """Entries of the outbox, parents before children, deletes after everything else and children first."""
        order = {name: n for n, name in enumerate(self.tables)}
        entries = self.sql("SELECT seq, table_name, row_id, operation, changed_at FROM sync_outbox ORDER BY seq")
        return sorted(entries, key=lambda e: (e[3] == "DELETE", -order[e[1]] if e[3] == "DELETE" else order[e[1]], e[0]))

    # ------------------------------------------------------------------------------------------------------------- sync

    def sync(self):
        """Pushes everything and pulls everything. Returns the number of calls."""
        calls = 0
        while True:
            pushed = self.pending()[:self.batch]
            body = {"changes": [self._change(*entry) for entry in pushed], "lastSyncAt": self.control("last_sync_at"), "schemaVersion": self.schema["version"],
                    "deviceId": self.device, "requestId": str(uuid.uuid4())}
            if self.page_size:
                body["pageSize"] = self.page_size
            answer = self.post(body)
            calls += 1
            if answer["resync"]:
                self.start_anew()
                continue
            self.apply(answer, pushed)
            while answer["hasMore"]:
                answer = self.post({"changes": [], "lastSyncAt": body["lastSyncAt"], "schemaVersion": self.schema["version"], "deviceId": self.device,
                                    "pullCursor": answer["nextCursor"], **({"pageSize": self.page_size} if self.page_size else {})})
                calls += 1
                self.apply(answer)
            self.db.execute("UPDATE sync_control SET last_sync_at = ?", (answer["timestamp"],))
            if not self.pending():
                return calls

    def apply(self, answer, pushed=()):
        """One page, in one transaction. A row with a change that has not been pushed yet is left alone."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            self.db.execute("UPDATE sync_control SET disabled = 1")
            for seq, *_ in pushed:
                self.db.execute("DELETE FROM sync_outbox WHERE seq = ?", (seq,))
            refused = {(r["table"], r["rowId"]) for r in answer["rejected"]}
            self.rejected += answer["rejected"]
            self.merged += answer["merged"]
            for table, row_id in refused:
                self._drop_refused(table, row_id)
            for change in answer["changes"]:
                self._apply_one(change)
            self.db.execute("UPDATE sync_control SET disabled = 0")
            for merge in answer["merged"]:
                self._repoint(merge)
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise

    def _is_pending(self, table, row_id):
        return bool(self.sql("SELECT 1 FROM sync_outbox WHERE table_name = ? AND row_id = ?", table, row_id))

    def _apply_one(self, change):
        table, row_id = change["table"], change["rowId"]
        if table not in self.tables:
            return
        at = self.control("clock")
        stamp = self.microseconds(change["lastModifiedAt"])
        self.db.execute("UPDATE sync_control SET clock = ?", (max(at, stamp),))
        assert change["serverSeq"] >= self.seen.get((table, row_id), 0), f"{table} {row_id} went back in time: {change}, seen {self.seen[table, row_id]}"
        self.seen[table, row_id] = change["serverSeq"]
        if self._is_pending(table, row_id):
            return
        key = self.key_of(table, row_id)
        where, values = self._where(key)
        if change["deleted"]:
            self.db.execute(f'DELETE FROM "{table}" WHERE {where}', values)
            return
        known = {column["name"] for column in self.tables[table]["columns"]}
        data = {name: value for name, value in change["data"].items() if name in known}
        names = [*data, "last_modified_at"]
        quoted = ", ".join(f'"{name}"' for name in names)
        self.db.execute(f'INSERT OR REPLACE INTO "{table}" ({quoted}) VALUES ({", ".join("?" * len(names))})', [*data.values(), stamp])

    def _drop_refused(self, table, row_id):
        """This client gives up a change that the server will not take, unless it has been changed since: what is stored, if anything, is in the answer."""
        if table in self.tables and not self._is_pending(table, row_id):
            where, values = self._where(self.key_of(table, row_id))
            self.db.execute(f'DELETE FROM "{table}" WHERE {where}', values)

    def _repoint(self, merge):
        """Rows of ours that refer to the row that went into another one follow it."""
        old, new = self.key_of(merge["table"], merge["rowId"]), self.key_of(merge["table"], merge["mergedInto"])
        for table in self.tables.values():
            for reference in table["references"]:
                if reference["table"] != merge["table"]:
                    continue
                where = " AND ".join(f'"{name}" = ?' for name in reference["columns"])
                change = ", ".join(f'"{name}" = ?' for name in reference["columns"])
                self.db.execute(f'UPDATE OR IGNORE "{table["name"]}" SET {change} WHERE {where}', [*new.values(), *old.values()])

    def start_anew(self):
        """Fresh tables; what was not pushed yet is kept as it is: new rows, and changes of rows, but no deletes of what is gone."""
        self.db.execute("BEGIN IMMEDIATE")
        self.db.execute("UPDATE sync_control SET disabled = 1, last_sync_at = NULL")
        self.db.execute("DELETE FROM sync_outbox WHERE operation <> 'INSERT'")
        for name in self.tables:
            kept = [self._where(self.key_of(name, row_id)) for (row_id,) in self.sql("SELECT row_id FROM sync_outbox WHERE table_name = ?", name)]
            condition = " AND ".join(f"NOT ({where})" for where, _ in kept) or "1"
            self.db.execute(f'DELETE FROM "{name}" WHERE {condition}', [value for _, values in kept for value in values])
        self.db.execute("UPDATE sync_control SET disabled = 0")
        self.db.execute("COMMIT")

    @staticmethod
    def microseconds(text):
        seconds, fraction = text.rstrip("Z").split(".")
        return int(sqlite3.connect(":memory:").execute("SELECT CAST(strftime('%s', ?) AS INTEGER)", (seconds,)).fetchone()[0]) * 1000000 + int(fraction)

    # ---------------------------------------------------------------------------------------------------------- content

    def content(self):
        """{table: {row id: row}} of everything that is here."""
        found = {}
        for name, table in self.tables.items():
            names = [column["name"] for column in table["columns"]] + ["last_modified_at"]
            rows = self.sql(f'SELECT {", ".join(chr(34) + n + chr(34) for n in names)} FROM "{name}"')
            found[name] = {tuple(row[names.index(key)] for key in table["key"]): dict(zip(names, row)) for row in rows}
        return found

    def checksums(self):
        return {name: {"rows": rows, "checksum": checksum} for name, rows, checksum in self.sql(self.schema["sqlite"]["check"])}

    def check(self):
        """What the server says of its tables now."""
        return self._get(f"/api/sync/check?app={self.app}&at={self.control('last_sync_at') or ''}")
