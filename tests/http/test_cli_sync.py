"""`tidegate sync`: the C client on a real SQLite database, alone and together with the independent one in Python."""
import json
import sqlite3
import subprocess
import uuid

import pytest

from instance import unique
from sync_client import Device
from test_sync import User, change, new_id, now, tune

DONE, PARTIAL, USAGE, REFUSED, UNREACHABLE = 0, 3, 64, 65, 69


class Phone:
    """A database that `tidegate sync` keeps."""

    def __init__(self, gate, user, folder):
        self.gate, self.file, self.token = gate, folder / f"{unique('db')}.sqlite", folder / unique("token")
        self.token.write_text(user.token + "\n")

    def run(self, *words, status=DONE, app="tunes", url=None):
        done = subprocess.run([self.gate.path("bin", "tidegate"), "sync", "--db", str(self.file), "--app", app, "--url", url or self.gate.url, "--token-file", str(self.token),
                               "--cacert", self.gate.path("cert.pem"), *words], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        assert done.returncode == status, f"expected the exit status {status}, got {done.returncode}: {done.stdout} {done.stderr}"
        return done

    def sync(self, **options):
        return json.loads(self.run("--json", "--check", **options).stdout)

    def sql(self, query, *values):
        with sqlite3.connect(self.file) as db:
            return db.execute(query, values).fetchall()


@pytest.fixture
def user(gate):
    return User(gate)


@pytest.fixture
def phone(gate, user, tmp_path):
    return Phone(gate, user, tmp_path)


def test_a_database_is_made_and_filled(phone, user):
    user.push(*[tune(title=f"t{n}") for n in range(2500)])
    assert phone.sync() == {"sent": 0, "received": 2500, "rejected": 0, "merged": 0}
    assert phone.sql("SELECT count(*), count(DISTINCT title) FROM tune") == [(2500, 2500)]
    assert phone.sync()["received"] == 0


def test_changes_go_both_ways_with_the_client_in_python(gate, user, phone, tmp_path):
    other, tablet = Phone(gate, user, tmp_path), Device(gate, user.token)
    phone.sync()
    first = new_id()
    phone.sql("INSERT INTO tune (id, title, composer, release_year) VALUES (?, 'Ünïcode \u2028 \U0001f3bb', 'O''Carolan', 1700)", first)
    phone.sql("INSERT INTO repertoire (id, name) VALUES ('11111111-1111-4111-8111-111111111111', 'all')")
    phone.sql("INSERT INTO repertoire_tune (repertoire_id, tune_id, goal) SELECT repertoire.id, tune.id, 'recall' FROM tune, repertoire")
    phone.sql("INSERT INTO practice_record (id, repertoire_id, tune_id, practiced, easiness) SELECT ?, repertoire.id, tune.id, '2026-01-01T00:00:00Z', 0.1 FROM tune, repertoire", new_id())
    assert phone.sync()["sent"] == 4
    tablet.sync()
    assert tablet.sql("SELECT title, release_year FROM tune") == [("Ünïcode \u2028 \U0001f3bb", 1700)] and tablet.sql("SELECT easiness FROM practice_record") == [(0.1,)]
    tablet.sql("UPDATE tune SET title = 'edited'")
    tablet.sql("DELETE FROM repertoire_tune")
    tablet.sync()
    assert other.sync()["received"] >= 3
    phone.sync()
    for database in (phone, other):
        assert database.sql("SELECT title FROM tune") == [("edited",)] and database.sql("SELECT count(*) FROM repertoire_tune") == [(0,)]
    phone.sql("DELETE FROM practice_record")
    phone.sync()
    tablet.sync()
    assert tablet.checksums() == tablet.check()["tables"]


def test_many_rows_go_in_batches(phone):
    phone.sync()
    with sqlite3.connect(phone.file) as db:
        db.executemany("INSERT INTO tune (id, title) VALUES (?, ?)", [(str(uuid.uuid4()), f"t{n}") for n in range(3500)])
    assert phone.sync()["sent"] == 3500
    assert phone.sql("SELECT count(*) FROM sync_outbox") == [(0,)]


def test_a_rejected_row_is_told_and_undone(phone, user):
    row = tune(title="good")
    user.push(row)
    phone.sync()
    phone.sql("UPDATE tune SET title = ?", "x" * 600)
    phone.sql("INSERT INTO note (id, tune_id, note_text) VALUES (?, ?, 'orphan')", new_id(), new_id())
    done = phone.run("--json", "--check", status=PARTIAL)
    assert json.loads(done.stdout)["rejected"] == 2 and "too_long" in done.stderr and "parent_missing" in done.stderr
    assert phone.sql("SELECT title FROM tune") == [("good",)] and phone.sql("SELECT count(*) FROM note") == [(0,)]


def test_twins_are_merged_and_what_refers_to_them_follows(phone, user):
    phone.sync()
    ours, theirs = new_id(), new_id()
    phone.sql("INSERT INTO instrument (id, name) VALUES (?, 'fiddle')", ours)
    phone.sql("INSERT INTO repertoire (id, name, instrument_id) VALUES (?, 'all', ?)", new_id(), ours)
    user.push(change("instrument", theirs, now(-100), name="fiddle", genre_default=None, description=None), device="elsewhere")
    assert phone.sync()["merged"] == 1
    assert phone.sql("SELECT id FROM instrument") == [(theirs,)] and phone.sql("SELECT instrument_id FROM repertoire") == [(theirs,)]


def test_a_client_that_was_away_too_long_starts_anew_and_keeps_what_it_made(phone, user):
    user.push(tune(title="old"))
    phone.sync()
    mine = new_id()
    phone.sql("INSERT INTO tune (id, title) VALUES (?, 'made offline')", mine)
    user.push(tune(title="meanwhile"))
    user.gate.sql("UPDATE tidegate.sync_scope SET floor = version WHERE app = 'tunes' AND scope = %s", user.sub)
    phone.sync()
    assert sorted(phone.sql("SELECT title FROM tune")) == [("made offline",), ("meanwhile",), ("old",)]


def test_an_edit_made_while_it_syncs_is_not_overwritten(phone, user):
    row = tune(title="theirs", at=now(-50))
    user.push(row)
    phone.sync()
    user.push(tune(row["rowId"], "theirs again", now(-40)))
    phone.sql("UPDATE tune SET title = 'mine'")
    phone.sync()
    assert phone.sql("SELECT title FROM tune") == [("mine",)] and user.stored() == [("mine",)]


@pytest.mark.parametrize("words,status,part", [
    (["--every", "0"], USAGE, "--every"), (["--what"], USAGE, "--help"), (["surplus"], USAGE, "--help"),
])
def test_wrong_usage(phone, words, status, part):
    assert part in phone.run(*words, status=status).stderr


def test_refusals(gate, user, phone, tmp_path):
    assert "no such app" in phone.run(app="nowhere", status=REFUSED).stderr
    phone.sync()
    phone.sql("UPDATE sync_control SET app = 'other'")
    assert "another app" in phone.run(status=REFUSED).stderr
    phone.token.write_text("x.y.z")
    assert "token" in Phone(gate, user, tmp_path).run("--token-file", str(phone.token), status=USAGE).stderr
    other = Phone(gate, user, tmp_path)
    other.token.write_text("x.y.z")
    assert "token" in other.run(status=REFUSED).stderr
    assert other.run(url="https://localhost:1", status=UNREACHABLE).stderr
    other.file = tmp_path / "no" / "folder"
    assert "unable to open" in other.run(status=REFUSED).stderr
    (tmp_path / "text").write_text("this is no database at all, but a text that is long enough to be looked at " * 20)
    other.file = tmp_path / "text"
    assert "not a database" in other.run(status=REFUSED).stderr


def test_a_difference_is_found(phone, user):
    user.push(tune())
    phone.sync()
    with sqlite3.connect(phone.file) as db:
        db.execute("UPDATE sync_control SET disabled = 1")
        db.execute("UPDATE tune SET last_modified_at = 5")
        db.execute("UPDATE sync_control SET disabled = 0")
    assert "table tune differs" in phone.run("--check", status=REFUSED).stderr


def test_help_names_every_option_and_status(phone):
    text = phone.run("--help").stdout
    for word in ("--db", "--app", "--check", "--every", "--json", "  3 ", "  64", "  65", "  69"):
        assert word in text
