"""A person with a phone: uploads SQLite databases and looks at what becomes of them."""
import hashlib
import json
import sqlite3
import time
import uuid

import pinpal
from instance import base64url, unique, wait_until

BATCHES = "/api/import/sqlite"
PATIENCE = 120


def database(script, path):
    """A database made by SQL, as bytes."""
    with sqlite3.connect(path) as db:
        db.executescript(script)
    db.close()
    with open(path, "rb") as file:
        return file.read()


class Phone:
    def __init__(self, gate, sub=None, space=None, role="member"):
        self.gate, self.sub, self.space = gate, sub or unique("user"), space or unique("space")
        self.token = gate.token(sub=self.sub, space=self.space, role=role)

    def api(self, method, path, json=None, **options):
        return self.gate.api(method, path, json=json, token=self.token, **options)

    def uploaded(self, data, name="Backup.db"):
        return self.gate.upload(data, name, token=self.token)

    def create(self, data, name="Backup.db", status=202, **fields):
        """A batch of this file; the answer."""
        body = {"objectKey": self.uploaded(data, name), "fileName": name, "fileSize": len(data), **fields}
        answer = self.api("POST", BATCHES, json=body)
        assert answer.status_code == status, f"expected {status}, got {answer.status_code} {answer.text}"
        return answer.json()

    def get(self, batch, language="en"):
        answer = self.api("GET", f"{BATCHES}/{batch}", headers={"Accept-Language": language})
        assert answer.status_code == 200, f"expected the batch {batch}, got {answer.status_code} {answer.text}"
        return answer.json()

    def wait(self, batch, seconds=PATIENCE):
        return wait_until(lambda: (lambda state: state if state["status"] in ("completed", "failed") else None)(self.get(batch)), seconds, f"the batch {batch} to end")

    def imported(self, data, profile="bowling", **fields):
        """All the way; the completed batch."""
        state = self.wait(self.create(data, profile=profile, **fields)["batchId"])
        assert state["status"] == "completed", f"expected a completed batch, got {state}"
        return state

    def failed(self, data, code, reason, profile="bowling", **fields):
        """The batch fails for this reason and says so in both languages."""
        batch = self.create(data, profile=profile, **fields)["batchId"]
        state = self.wait(batch)
        assert state["status"] == "failed", f"expected {reason}, got {state}"
        said = [self.get(batch, language)["error"] for language in ("en", "fr")]
        assert [(error["code"], error["reason"]) for error in said] == [(code, reason)] * 2, f"expected {code} {reason}, got {said}"
        assert said[0]["message"] != said[1]["message"], f"expected a sentence in each language, got {said}"
        return state

    def pages(self, path, limit=500):
        """All items of a list, page after page, and its last page."""
        items, cursor = [], None
        while True:
            page = self.api("GET", f"{path}?limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
            assert page.status_code == 200, f"expected a page of {path}, got {page.status_code} {page.text}"
            page = page.json()
            items += page["items"]
            cursor = page["nextCursor"]
            if not cursor:
                return items, page

    def data(self, batch, table):
        return self.pages(f"{BATCHES}/{batch}/data/{table}")[0]


def backup(path, **options):
    """A PinPal backup, as bytes."""
    pinpal.write(path, **options)
    with open(path, "rb") as file:
        return file.read()
