"""The ledger under any table: generated files, stored leads and options against the model in tests/lib/oracle.py, which says
of every source row where it has to end. `make test` runs the same few examples every time; for a search over fresh ones:

    TIDEGATE_LEDGER_EXAMPLES=500 TIDEGATE_BUILD=build /usr/bin/python3 -m pytest -q tests/http/test_ledger_property.py
"""
import collections
import os

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings, strategies as st

import oracle
from space import JOBS, Space, read_report, table

SEARCH = int(os.environ.get("TIDEGATE_LEDGER_EXAMPLES", "0"))
USER = "vera"
COLUMNS = list(oracle.COLUMNS.values())


def examples(count):
    return settings(max_examples=SEARCH or count, derandomize=not SEARCH, database=None, deadline=None, report_multiple_bugs=False,
                    phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck))


@pytest.fixture
def small_steps(own_instance):
    """Imports take many steps here, so that one of two hundred rows can be stopped between them. Every example has a space of its own."""
    return own_instance(import__batch_rows=20, import__slice_rows=100)


# -------------------------------------------------------------------------------------------------------------------- tables

HEADINGS = {
    "email": ["Email", "Courriel", "Adresse e-mail", "E-mail address"], "phone": ["Téléphone", "Portable", "Phone", "Phone number"],
    "externalId": ["ID externe", "External ID"], "firstName": ["Prénom", "First name"], "lastName": ["Nom", "Last name"],
    "company": ["Entreprise", "Société", "Company"], "city": ["Ville", "City"], "postalCode": ["Code postal", "Zip code"],
    "status": ["Statut", "Status"], "source": ["Source"], "notes": ["Notes", "Remarques"], "assignedTo": ["Assigné à", "Assigned to"]}
UNKNOWN = ["Divers", "Couleur préférée", "Qzx", ""]
TEXTS = ["plain", "é è ç", 'say "hi"', "one; two, three", '"', "a\ttab", "12,50", "Œuvre à 5 €"]
LONG = ["two\nlines", 'a "quoted"\nline; and, more', "one\n\nthree"]
# Few values, so that keys repeat and stored leads are met, each in several spellings.
CELLS = {
    "email": ["ana@example.com", "ANA@Example.com", " ana@example.com", "zoe@example.com", "Zoe@example.com\u00a0", "max@gmail.com", "max@gmailcom", "léo@example.fr",
              "bad", "a@b", "two words@example.com", "x@y@example.com", "@example.com"],
    "phone": ["06 12 34 56 78", "+33 6 12 34 56 78", "06.12.34.56.78", "33612345678", "612345678", "p:0612345678", "'0612345678", "07-11-22-33-44", "+33711223344",
              "+44 20 7946 0958", "1234567890123456", "12", "06 12 34", "n/a"],
    "externalId": ["A-1", " A-1 ", "a-1", "00042", "42", "K/7", "x" * 101],
    "firstName": ["Ana", "Zoé", "Jean-Luc"], "lastName": ["Durand", "McDonald", "Müller", "y" * 101], "company": ["SNCF", "z" * 201, *TEXTS], "city": ["Lyon", *TEXTS],
    "postalCode": ["75001", "1000", "123"], "status": ["Gagné", "RDV", "Perdu", "???"], "source": ["Salon", *TEXTS], "notes": TEXTS + LONG,
    "assignedTo": [USER, "nobody-known"], None: TEXTS + LONG}
USUAL = {"email": "r{}@example.org", "phone": "01{:08}", "externalId": "R-{}"}
ENCODINGS = {"utf-8": ("utf-8", ""), "utf-8 with a mark": ("utf-8", "\ufeff"), "windows-1252": ("cp1252", ""), "utf-16le": ("utf-16-le", "\ufeff")}


def often(strategy, share):
    """The empty cell, or in `share` of ten cases something."""
    return st.integers(1, 10).flatmap(lambda n: strategy if n <= share else st.just(""))


@st.composite
def lines(draw, fields, most):
    """Up to so many rows for these columns: mostly full, some ragged, some empty."""
    def one():
        shape = draw(st.integers(0, 19))
        if shape == 0:
            return draw(st.sampled_from([[], [""] * len(fields), [" "] * len(fields)]))
        cells = [draw(often(st.sampled_from(CELLS[field]), 6 if field in oracle.KEYS else 3)) for field in fields]
        if shape == 1:
            return cells[:draw(st.integers(0, len(cells)))]
        return cells + draw(st.sampled_from([[""], ["", " "], ["surplus"], ["", "surplus"]])) if shape == 2 else cells
    return [one() for _ in range(draw(st.integers(0, most)))]


class Example:
    """A table with the fields of its columns, how it is written as a file, what is stored before and what is asked for."""

    def __init__(self, **parts):
        self.__dict__.update(parts)

    def data(self):
        encoding, mark = ENCODINGS[self.encoding]
        return (mark + table(self.table, self.delimiter, self.line)).encode(encoding)

    def __repr__(self):
        return "\n".join(f"{name}: {value!r}" for name, value in self.__dict__.items())


@st.composite
def stored_leads(draw, strategy):
    """Leads that are there before. Which of two leads with one key an update takes is nobody's promise, so a key is there once."""
    leads, used = [], set()
    for _ in range(draw(st.integers(0, 5))):
        lead = {column: draw(st.sampled_from(values)) for column, values in (
            ("email", [None, "Ana@Example.COM", "zoe@example.com", "max@gmail.com"]), ("phone", [None, "+33612345678", "+33711223344", "+442079460958"]),
            ("external_id", [None, "A-1", "a-1", "00042"]), ("last_name", [None, "Stored"]), ("company", [None, "Old"]), ("source", [None, "Fair"]),
            ("notes", [None, "kept"]), ("status", ["new", "won"]), ("assigned_to", [None, USER]), ("deleted_at", [None, None, None, "2024-01-01"]))}
        keys = {(column, lead[column].lower()) for column in ("email", "phone", "external_id") if lead[column]} if not lead["deleted_at"] else set()
        if strategy != "update" or not keys & used:
            leads.append(lead)
            used |= keys
    return leads


@st.composite
def imports(draw, strategies=("skip", "update", "create"), stops=(None, "parse", "commit", "slice", "slice")):
    strategy, stop = draw(st.sampled_from(strategies)), draw(st.sampled_from(stops))
    keys = draw(st.lists(st.sampled_from(oracle.KEYS), min_size=1, unique=True))
    others = draw(st.lists(st.sampled_from(sorted(set(HEADINGS) - set(keys) - {"assignedTo"}) + [None]), max_size=6, unique_by=lambda field: field or object()))
    fields = draw(st.permutations(keys + others))
    language = draw(st.integers(0, 1))  # French headings come first in their lists
    head = [draw(st.sampled_from(HEADINGS[field][:-1] if language == 0 and len(HEADINGS[field]) > 1 else HEADINGS[field][-1:]) if field else st.sampled_from(UNKNOWN))
            for field in fields]
    if draw(st.integers(0, 4)) == 0:  # the same heading again: one column a field, the first
        head, fields = head + [head[fields.index(keys[0])]], fields + [None]
    assignment = draw(st.sampled_from(["none", "single"]))
    if assignment == "none" and draw(st.booleans()):
        head, fields = head + ["Assigné à"], fields + ["assignedTo"]
    usual = draw(st.integers(95, 130)) if stop == "slice" else draw(st.sampled_from([0, 0, 0, 0, 45]))
    body = draw(lines(fields, 20)) + [[USUAL.get(field, "").format(n) for field in fields] for n in range(usual)] + draw(lines(fields, 20 if usual else 5))
    if not oracle.read([head] + body, fields):
        body.append([USUAL.get(field, "").format(1) for field in fields])
    return Example(fields=fields, table=[head] + body, delimiter=draw(st.sampled_from(";,\t")), line=draw(st.sampled_from(["\n", "\r\n"])),
                   encoding=draw(st.sampled_from(sorted(ENCODINGS))), leads=draw(stored_leads(strategy)), strategy=strategy, assignment=assignment, stop=stop,
                   check=draw(st.sampled_from([["email"], ["phone"], ["externalId"], ["email", "phone"], ["externalId", "email"], list(oracle.KEYS), list(oracle.KEYS), None])))


# -------------------------------------------------------------------------------------------------------------------- steps

def expect(got, wanted, what):
    if isinstance(wanted, dict) and isinstance(got, dict) and got != wanted:
        differ = {key for key in wanted.keys() | got.keys() if wanted.get(key) != got.get(key)}
        wanted, got = ({key: side.get(key) for key in sorted(differ, key=str)} for side in (wanted, got))
    assert got == wanted, f"expected {what}: {wanted}, got {got}"


def inspected(space, example, **fields):
    """Uploads the file and corrects, as a user who sees the preview would, a guess about a file that can be read in two ways."""
    job = space.inspected(example.data(), **fields)
    wrong = {}
    if job["delimiter"] != example.delimiter:
        wrong["delimiter"] = example.delimiter
    if example.encoding == "windows-1252" and not example.data().isascii() and job["encoding"] != "windows-1252":
        wrong["encoding"] = "windows-1252"
    if job["headerRow"] != 1:
        wrong["headerRow"] = 1
    for name in wrong:
        event(f"guessed wrong: the {name} of {'one column' if len(example.fields) == 1 else 'columns'}")
    if wrong:
        space.call(job["id"], "mapping", 202, "PUT", wrong)
        job = space.wait(job["id"], "mapping")
    expect(job["headerRow"], 1, "the header in row")
    expect([column["field"] for column in job["columns"]], example.fields, f"the fields of the headings {example.table[0]}")
    return job["id"]


def cancel(space, job):
    answer = space.api("POST", f"{JOBS}/{job}/cancel")
    assert answer.status_code in (202, 409), f"expected 202 or, when it was over, 409, got {answer.status_code} {answer.text}"


def go_on(space, job):
    """After a cancel, whichever side won: what was stopped has a true ledger, and a retry goes on."""
    state = space.wait(job, ("cancelled", "completed"))["status"]
    counts = space.ledger(job)["counts"]
    if space.gate.sql("SELECT planned FROM tidegate.import_job WHERE id = %s", job) == [(True,)]:
        for place in ("invalid", "skipped", "updated", "failed", "cancelled"):
            expect(len(space.rows(job, place)), counts[place], f"as many rows listed as {place} in a {state} import as are counted")
    event(f"stopped: {state}" + (" in the middle" if counts["inserted"] + counts["updated"] and counts["cancelled"] else ""))
    if state == "cancelled":
        space.call(job, "retry")


def parsed(space, job, example):
    space.call(job, "parse")
    if example.stop == "parse":
        cancel(space, job)
        go_on(space, job)
    return space.wait(job, "ready")


def committed(space, job, example):
    duplicates = {"strategy": example.strategy} | ({"fields": example.check} if example.check else {})
    body = {"duplicates": duplicates, "assignment": {"mode": example.assignment} | ({"userId": USER} if example.assignment == "single" else {})}
    if example.stop == "slice":
        with psycopg.connect(space.gate._conninfo("tidegate")) as wall:
            wall.execute("LOCK TABLE crm.lead_history IN SHARE MODE")  # a slice that writes anything waits here
            space.call(job, "commit", json=body)
            space.soon(lambda: space.gate.sql("SELECT planned OR status = 'completed' FROM tidegate.import_job WHERE id = %s", job) == [(True,)], "the plan to be made")
            cancel(space, job)
        go_on(space, job)
    else:
        space.call(job, "commit", json=body)
    if example.stop == "commit":
        cancel(space, job)
        go_on(space, job)
    space.wait(job, "completed")
    return space.ledger(job)


# ------------------------------------------------------------------------------------------------------------------- checks

def check_rows(space, job, width, rows, ends, phase):
    """Every row listed once, with its cells, its values, its errors and its end; the lists by state are parts of that list."""
    listed = space.rows(job)
    expect([row["rowNumber"] for row in listed], [row.number for row in rows], f"{phase} every row that is not empty, once")
    wanted = {number: {"insert": "import"}.get(end.action, end.action) for number, end in ends.items()}
    expect({row["rowNumber"]: row["action"] for row in listed}, wanted, f"{phase} the action of each row")
    expect({row["rowNumber"]: row["reason"] for row in listed}, {number: end.reason for number, end in ends.items()}, f"{phase} the reason of each row")
    expect({row["rowNumber"]: {error["code"] for error in row["errors"] if error["severity"] == "error"} for row in listed},
           {row.number: row.errors for row in rows}, f"{phase} the errors of each row")
    for got, row in zip(listed, rows):
        expect(oracle.shown(got["raw"], width), oracle.shown(row.cells, width), f"{phase} the cells of row {row.number} as they are in the file")
        if not row.errors:
            expect({key: got["values"].get(key) for key in oracle.KEYS}, {key: row.values.get(key) for key in oracle.KEYS}, f"{phase} the keys of row {row.number}")
    lists = {"valid": [n for n, end in ends.items() if end.action != "invalid"], "failed": [], "cancelled": []}
    lists |= {place: [n for n, end in ends.items() if end.action == action] for place, action in (("invalid", "invalid"), ("skipped", "skip"), ("updated", "update"))}
    if phase == "after the parse":
        lists = {"valid": lists["valid"], "invalid": lists["invalid"], "duplicate": lists["skipped"]}
    for place, numbers in lists.items():
        expect([row["rowNumber"] for row in space.rows(job, place)], numbers, f"{phase} the rows listed as {place}")


def check_counts(counts, ends, phase, **wanted):
    actions = collections.Counter(end.action for end in ends.values())
    wanted |= {"total": len(ends), "valid": len(ends) - actions["invalid"], "invalid": actions["invalid"], "failed": 0}
    expect({name: counts[name] for name in wanted}, wanted, f"{phase} the counts")


def check_leads(space, example, rows, ends, identifiers, job):
    stored, new = oracle.afterwards(rows, ends, example.leads, [USER], USER if example.assignment == "single" else None)
    found = {row[0]: dict(zip(COLUMNS, row[1:])) for row in space.leads(", ".join(["id", *COLUMNS]))}
    expect(len(found), len(stored) + len(new), "leads afterwards")
    updated = {end.lead: row for row, end in ends.items() if end.action == "update"}
    for index, (identifier, before, wanted) in enumerate(zip(identifiers, example.leads, stored)):
        lead = found.pop(identifier)
        erased = [column for column in COLUMNS if before.get(column) is not None and lead[column] is None]
        assert not erased, f"expected nothing that was stored to be erased, lost {erased} of {before}"
        expect(lead, wanted, f"the stored lead {index} after row {updated.get(index)}")
        images = space.gate.sql("SELECT event_type, before_data FROM crm.lead_history WHERE lead_id = %s", identifier)
        expect([event for event, _ in images], ["updated"] if index in updated else [], f"one before-image if a row updated it, of lead {index}")
        for _, image in images:
            expect({column: image[column] for column in COLUMNS}, {column: before.get(column) for column in COLUMNS}, f"the before-image of lead {index}")
    def bag(leads):
        return dict(collections.Counter(tuple(lead[column] for column in COLUMNS) for lead in leads))
    expect(bag(found.values()), bag(new), f"the new leads ({', '.join(COLUMNS)})")


def check_report(space, job, example, rows, ends):
    file, said = space.report(job)
    head, *listed = read_report(file, space.get(job)["delimiter"] or ",")
    wanted = [row.number for row in rows if ends[row.number].action in ("invalid", "failed")]
    expect(head, example.table[0] + ["_ligne", "_erreurs"], "the headings of the report")
    expect([int(row[-2]) for row in listed], wanted, "the rows of the report")
    expect(said["rows"], len(wanted), "the number of rows in the report")
    assert all(row[-1] for row in listed), f"expected a reason in every row of the report, got {listed}"


# --------------------------------------------------------------------------------------------------------------- properties

def stored(space, example):
    space.add_profile(USER)
    return [space.add_lead(**lead) for lead in example.leads]


def of(ends, action, reason=None):
    return sum(end.action == action and (reason is None or end.reason == reason) for end in ends.values())


@examples(25)
@given(imports())
def test_every_row_ends_where_the_rules_say(small_steps, example):
    space = Space(small_steps)
    identifiers, rows = stored(space, example), oracle.read(example.table, example.fields)
    event(f"{example.strategy}, {'more than a slice' if len(rows) > 100 else 'one slice'}")
    preview, ends = oracle.fates(rows, example.leads), oracle.fates(rows, example.leads, example.strategy, example.check or oracle.KEYS)
    job = inspected(space, example)
    state = parsed(space, job, example)
    check_rows(space, job, len(example.fields), rows, preview, "after the parse")
    found = {"duplicateInFile": of(preview, "skip", "duplicate_in_file"), "duplicateInDatabase": of(preview, "skip", "duplicate_in_database")}
    check_counts(state["counts"], preview, "after the parse", **found)
    counts = committed(space, job, example)["counts"]
    check_rows(space, job, len(example.fields), rows, ends, "after the commit")
    check_counts(counts, ends, "after the commit", inserted=of(ends, "insert"), updated=of(ends, "update"), skipped=of(ends, "skip"), cancelled=0)
    check_leads(space, example, rows, ends, identifiers, job)
    check_report(space, job, example, rows, ends)


@examples(8)
@given(imports(strategies=["skip"], stops=[None]))
def test_the_same_file_again_inserts_nothing(small_steps, example):
    example.check = None  # every valid row has one of the keys
    space = Space(small_steps)
    stored(space, example)
    first = committed(space, parsed(space, inspected(space, example), example)["id"], example)["counts"]
    leads = space.leads("id, updated_at")
    again = committed(space, parsed(space, inspected(space, example, allowDuplicate=True), example)["id"], example)["counts"]
    names = ("total", "valid", "invalid", "inserted", "updated", "skipped")
    wanted = {name: first[name] for name in names} | {"inserted": 0, "updated": 0, "skipped": first["valid"]}
    expect({name: again[name] for name in names}, wanted, "the counts of the second import")
    assert space.leads("id, updated_at") == leads, "expected the second import to leave every lead as the first left it"
