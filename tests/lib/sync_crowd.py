"""Many devices that edit at random, offline for a while, with clocks that are wrong, over a network that loses and repeats.

At the end, when the network is good again, all must agree with the server, and every write that was acknowledged must be there or have been overwritten
by a newer one.
"""
import json
import os
import random
import subprocess
import time
import uuid

import requests

from sync_client import Device, Refused

WORDS = ["reel", "jig", "hornpipe", "slide", "air"]
TEN_MINUTES = 600_000_000


class Lost(Exception):
    """No answer came."""


class Wanderer(Device):
    """A device whose calls get lost on the way there or back, or arrive twice."""

    def __init__(self, gate, token, random_source, faults=0.15, path=":memory:"):
        self.random, self.faults, self.acknowledged = random_source, faults, {}
        self.sent = {}  # when a change was first sent
        super().__init__(gate, token, skew_us=random_source.choice([0, 0, TEN_MINUTES, -TEN_MINUTES, random_source.randint(-TEN_MINUTES, TEN_MINUTES)]),
                         page_size=random_source.choice([None, 1, 3, 20, 200]), batch=random_source.choice([1, 5, 50, 200]), path=path)

    def post(self, body):
        fate = self.random.random() if self.faults else 1
        if fate < self.faults / 3:
            raise Lost
        for change in body["changes"]:
            self.sent.setdefault((change["table"], change["rowId"], self.microseconds(change["lastModifiedAt"])), time.time_ns() // 1000)
        answer = self._send(body)
        if fate < self.faults * 2 / 3:
            raise Lost
        if fate < self.faults:
            again = self._send(body)  # the network repeated it
            answer = again if self.random.random() < 0.5 else answer
        self._note(body, answer)
        return answer

    def _send(self, body):
        try:
            answer = self.gate.session.post(f"{self.gate.url}/api/sync?app=tunes", json=body, headers={"Authorization": f"Bearer {self.token()}"}, timeout=30)
        except requests.RequestException:
            raise Lost from None
        if answer.status_code in (502, 503, 504):
            raise Lost
        if answer.status_code != 200:
            raise Refused(answer)
        return answer.json()

    def _note(self, body, answer):
        """What the server has said it took: (time that is stored at least, deleted)."""
        if answer["resync"]:
            return
        refused = {(r["table"], r["rowId"]) for r in answer["rejected"]} | {(m["table"], m["rowId"]) for m in answer["merged"]}
        for change in body["changes"]:
            name = change["table"], change["rowId"]
            if name in refused:
                continue
            at = (self._least(change), change["deleted"])
            self.acknowledged[name] = max(self.acknowledged.get(name, at), at)

    def _least(self, change):
        """A time in the future is cut to a minute after the push; of a push that was repeated, the first one counts."""
        at = self.microseconds(change["lastModifiedAt"])
        return min(at, self.sent[change["table"], change["rowId"], at] + 60_000_000)

    def try_to_sync(self):
        try:
            self.sync()
            return True
        except Lost:
            return False

    # ------------------------------------------------------------------------------------------------------------ edits

    def pick(self, table):
        names = ", ".join(f'"{name}"' for name in self.tables[table]["key"])
        rows = self.sql(f'SELECT {names} FROM "{table}" ORDER BY {names}')
        return self.random.choice(rows) if rows else None

    def edit(self):
        choice = self.random.choice
        getattr(self, choice(["add_tune", "add_tune", "change_tune", "change_tune", "remove_tune", "add_note", "change_note", "remove_note", "add_tag", "add_tag",
                              "remove_tag", "add_instrument", "add_repertoire", "add_to_repertoire", "change_in_repertoire", "remove_from_repertoire"]))()

    def add_tune(self):
        self.sql("INSERT INTO tune (id, title) VALUES (?, ?)", str(uuid.UUID(int=self.random.getrandbits(128), version=4)), f"tune {self.random.random()}")

    def change_tune(self):
        if row := self.pick("tune"):
            self.sql("UPDATE tune SET title = ?, composer = ? WHERE id = ?", f"tune {self.random.random()}", self.random.choice([None, "é", "O'Carolan"]), *row)

    def remove_tune(self):
        if self.random.random() < 0.4 and (row := self.pick("tune")):
            self.sql("DELETE FROM tune WHERE id = ?", *row)

    def add_note(self):
        if row := self.pick("tune"):
            self.sql("INSERT INTO note (id, tune_id, note_text) VALUES (?, ?, ?)", str(uuid.UUID(int=self.random.getrandbits(128), version=4)), *row, "note \u2028 \U0001f3bb")

    def change_note(self):
        if row := self.pick("note"):
            self.sql("UPDATE note SET note_text = ?, favorite = 1 - favorite WHERE id = ?", f"note {self.random.random()}", *row)

    def remove_note(self):
        if row := self.pick("note"):
            self.sql("DELETE FROM note WHERE id = ?", *row)

    def add_tag(self):
        """Two devices may well give one tune the same tag."""
        if row := self.pick("tune"):
            word = self.random.choice(WORDS)
            if not self.sql("SELECT 1 FROM tag WHERE tune_id = ? AND tag_text = ?", *row, word):
                self.sql("INSERT INTO tag (id, tune_id, tag_text) VALUES (?, ?, ?)", str(uuid.UUID(int=self.random.getrandbits(128), version=4)), *row, word)

    def remove_tag(self):
        if row := self.pick("tag"):
            self.sql("DELETE FROM tag WHERE id = ?", *row)

    def add_instrument(self):
        name = self.random.choice(["fiddle", "flute", "pipes"])
        if not self.sql("SELECT 1 FROM instrument WHERE name = ?", name):
            self.sql("INSERT INTO instrument (id, name) VALUES (?, ?)", str(uuid.UUID(int=self.random.getrandbits(128), version=4)), name)

    def add_repertoire(self):
        row = self.pick("instrument")
        self.sql("INSERT INTO repertoire (id, name, instrument_id) VALUES (?, ?, ?)", str(uuid.UUID(int=self.random.getrandbits(128), version=4)), "all", row[0] if row else None)

    def add_to_repertoire(self):
        tune, repertoire = self.pick("tune"), self.pick("repertoire")
        if tune and repertoire:
            self.sql("INSERT OR IGNORE INTO repertoire_tune (repertoire_id, tune_id, goal) VALUES (?, ?, 'recall')", *repertoire, *tune)

    def change_in_repertoire(self):
        if row := self.pick("repertoire_tune"):
            self.sql("UPDATE repertoire_tune SET goal = ?, learned = '2026-01-02T03:04:05.000000Z' WHERE repertoire_id = ? AND tune_id = ?", f"{self.random.random()}", *row)

    def remove_from_repertoire(self):
        if row := self.pick("repertoire_tune"):
            self.sql("DELETE FROM repertoire_tune WHERE repertoire_id = ? AND tune_id = ?", *row)


class Commanded(Wanderer):
    """A device whose database is synced by `tidegate sync`, which is killed now and then."""

    def __init__(self, gate, token, random_source, folder):
        self.token_file = os.path.join(folder, "token")
        super().__init__(gate, token, random_source, path=os.path.join(folder, "device.sqlite"))

    def sync(self):
        with open(self.token_file, "w", encoding="utf-8") as file:
            file.write(self.token() + "\n")
        command = [self.gate.path("bin", "tidegate"), "sync", "--db", os.path.join(os.path.dirname(self.token_file), "device.sqlite"), "--app", "tunes", "--url", self.gate.url,
                   "--token-file", self.token_file, "--cacert", self.gate.path("cert.pem")]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.faults and self.random.random() < 0.3:
            time.sleep(self.random.random() * 0.05)
            running.kill()
        _, said = running.communicate(timeout=120)
        if running.returncode in (-9, 69):
            raise Lost
        assert running.returncode in (0, 3), f"expected tidegate sync to end well, got {running.returncode} {said}"


class Crowd:
    """The devices of one user. folder: where one more keeps its database, which the command syncs."""

    def __init__(self, gate, token, sub, count, seed, folder=None):
        self.gate, self.sub, self.seed = gate, sub, seed
        self.random = random.Random(seed)
        self.devices = [Wanderer(gate, token, random.Random(self.random.random())) for _ in range(count)]
        if folder:
            self.devices.append(Commanded(gate, token, random.Random(self.random.random()), folder))
        self.patience = {device: self.random.choice([1, 2, 5, 20]) for device in self.devices}

    def step(self):
        """One device edits a little, and now and then syncs; some do so rarely."""
        device = self.random.choice(self.devices)
        for _ in range(self.random.randint(0, 6)):
            device.edit()
        if self.random.randint(1, self.patience[device]) == 1:
            device.try_to_sync()

    def settle(self):
        """The network is good again: everybody syncs until nobody has anything to tell."""
        for device in self.devices:
            device.faults = 0
        for _ in range(20):
            calls = [device.try_to_sync() for device in self.devices]
            if all(calls) and not any(device.pending() for device in self.devices):
                before = [device.content() for device in self.devices]
                again = [device.try_to_sync() for device in self.devices]
                if all(again) and before == [device.content() for device in self.devices] and not any(device.pending() for device in self.devices):
                    return
        raise AssertionError(f"the devices did not come to rest (seed {self.seed})")

    def verify(self):
        first = self.devices[0]
        server = first.check()
        assert server["tables"] == first.checksums(), f"checksums of server and first device differ (seed {self.seed}): {server['tables']} {first.checksums()}"
        for number, device in enumerate(self.devices):
            ours, theirs = device.content(), first.content()
            for table in theirs:
                assert ours[table] == theirs[table], f"{table} of device {number} and device 0 differ (seed {self.seed})"
        self._nothing_lost()

    def _nothing_lost(self):
        stored = {}
        for table in self.devices[0].tables.values():
            if table["readOnly"]:
                continue
            names = ", ".join(f'"{name}"::text' for name in table["key"])
            for *key, modified, deleted, device in self.gate.sql(f'SELECT {names}, last_modified_at, deleted, device_id FROM tunes."{table["name"]}" WHERE sync_scope = %s', self.sub):
                row_id = key[0] if len(key) == 1 else json.dumps(dict(zip(table["key"], key)), separators=(",", ":"))
                stored[table["name"], row_id] = (modified, deleted, device)
        for device in self.devices:
            for name, (modified, deleted) in device.acknowledged.items():
                if deleted and name not in stored:
                    continue  # a delete of a row whose parents never came here
                assert name in stored, f"an acknowledged write is gone: {name} (seed {self.seed})"
                assert stored[name][0] >= modified, f"an acknowledged write was lost to an older one: {name} {stored[name]} {modified} (seed {self.seed})"
                if deleted and not stored[name][1]:
                    # Devices that have seen the same time ahead of their clocks go on from it alike: of equal times the higher device wins.
                    won = (stored[name][0], stored[name][2]) > (modified, device.device)
                    assert won, f"a deleted row came back by itself: {name} {stored[name]} {modified} {device.device} (seed {self.seed})"

    def close(self):
        for device in self.devices:
            device.close()
