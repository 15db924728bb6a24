"""A CSV from the upload to leads, through the public API: states, mapping, duplicates, ledger, report, delete."""
import threading

import pytest

from instance import expect_problem, unique
from space import JOBS, Space, people, read_report, table

HEAD = ["Prénom", "Nom", "Email", "Téléphone", "Entreprise", "Statut", "Source", "ID externe", "Notes"]


@pytest.fixture
def space(gate):
    return Space(gate)


def line(first="Ana", last="Durand", email="", phone="", company="SNCF", status="", source="", external="", notes=""):
    return [first, last, email, phone, company, status, source, external, notes]


def sheet(*lines):
    return table([HEAD, *lines])


# ------------------------------------------------------------------------------------------------------------- the whole way

def test_a_file_becomes_leads(space):
    data = sheet(line("Ana", "DURAND", "Ana@Example.com", "06 12 34 56 78", notes="Rappeler"), line("Zoé", "Petit", "zoe@example.com", status="RDV", source="Salon"),
                 line("Max", "Roux", "no mail at all"))
    job = space.create(data, "mes leads.csv")
    state = space.wait(job, "mapping")
    assert (state["format"], state["encoding"], state["delimiter"], state["headerRow"]) == ("csv", "utf-8", ",", 1)
    assert [column["field"] for column in state["columns"]] == ["firstName", "lastName", "email", "phone", "company", "status", "source", "externalId", "notes"]
    assert all(column["confidence"] >= 0.7 and not column["manual"] for column in state["columns"])
    assert state["columns"][2]["samples"] == ["Ana@Example.com", "zoe@example.com", "no mail at all"]
    assert state["fileName"] == "mes leads.csv" and state["fileSize"] == len(data.encode()) and state["createdBy"] == space.sub
    assert not space.leads() and state["counts"]["total"] == 0
    state = space.parse(job)
    assert (state["counts"]["total"], state["counts"]["valid"], state["counts"]["invalid"]) == (3, 2, 1)
    assert {warning["code"]: warning["rows"] for warning in state["warnings"]}["email_invalid"] == 1
    assert not space.leads(), "expected no lead before the commit"
    state = space.commit(job)
    assert (state["counts"]["inserted"], state["counts"]["invalid"]) == (2, 1)
    assert state["createdAt"] <= state["startedAt"] <= state["completedAt"] and state["error"] is None
    assert space.leads("first_name, last_name, email, phone, company, status, status_label, source, notes, assigned_to") == [
        ("Ana", "Durand", "ana@example.com", "+33612345678", "SNCF", "new", "Nouveau", None, "Rappeler", None),
        ("Zoé", "Petit", "zoe@example.com", None, "SNCF", "rdv", "RDV", "Salon", None, None)]
    assert space.gate.sql("SELECT DISTINCT actor_id, event_type FROM crm.lead_history WHERE job_id = %s", job) == [(space.sub, "imported")]


def test_a_double_tap_commits_once(space):
    job, statuses = space.parsed(people(300))["id"], []
    taps = [threading.Thread(target=lambda: statuses.append(space.api("POST", f"{JOBS}/{job}/commit").status_code)) for _ in range(5)]
    for tap in taps:
        tap.start()
    for tap in taps:
        tap.join()
    assert statuses.count(202) == 1 and set(statuses) <= {202, 409}, f"expected one 202 and otherwise 409, got {sorted(statuses)}"
    space.wait(job, "completed")
    assert space.ledger(job)["counts"]["inserted"] == 300


def test_a_key_repeats_the_answer_and_not_the_commit(space):
    job, key = space.parsed(people(3))["id"], {"Idempotency-Key": unique()}
    first = space.call(job, "commit", headers=key)
    space.wait(job, "completed")
    assert space.call(job, "commit", headers=key) == first, "expected the first answer again"
    assert space.ledger(job)["counts"]["inserted"] == 3


def test_a_ready_import_can_be_parsed_again(space):
    job = space.parsed(people(5) + "x,y,bad,z\n")["id"]
    state = space.parse(job)
    assert (state["counts"]["total"], state["counts"]["invalid"]) == (6, 1), f"expected the counts of one parse, got {state['counts']}"
    assert len(space.rows(job)) == 6
    assert space.commit(job)["counts"]["inserted"] == 5


def test_options_are_checked_before_anything_is_written(space):
    job = space.parsed(people(2))["id"]
    for body, field in [({"duplicates": {"strategy": "erase"}}, "duplicates.strategy"), ({"duplicates": {"fields": ["notes"]}}, "duplicates.fields"),
                        ({"duplicates": {"fields": "email"}}, "duplicates.fields"), ({"duplicates": []}, "duplicates"),
                        ({"assignment": {"mode": "lottery"}}, "assignment.mode"), ({"assignment": {"mode": "single"}}, "userId"),
                        ({"defaults": {"status": "nonsense"}}, "defaults.status"), ({"defaults": {"source": "x" * 101}}, "source")]:
        problem = space.refused(job, "commit", 400, "invalid_field", json=body)
        assert problem["errors"][0]["field"] == field, f"expected the field {field} for {body}, got {problem['errors']}"
    assert space.get(job)["status"] == "ready" and not space.leads()


# ---------------------------------------------------------------------------------------------------------------- duplicates

def test_skip_leaves_what_is_there(space):
    old = space.add_lead(email="Ana.DURAND@Example.COM", last_name="Stored", company="Old")
    state = space.parsed(sheet(line(email="ana.durand@example.com", company="New"), line(email="b@example.com")))
    assert state["counts"]["duplicateInDatabase"] == 1, f"expected the mixed-case address to be found, got {state['counts']}"
    counts = space.commit(state["id"])["counts"]
    assert (counts["inserted"], counts["skipped"]) == (1, 1)
    assert space.gate.sql("SELECT email, last_name, company, import_job_id FROM crm.lead WHERE id = %s", old) == [("Ana.DURAND@Example.COM", "Stored", "Old", None)]
    assert not space.gate.sql("SELECT 1 FROM crm.lead_history WHERE lead_id = %s", old), "expected no history of a lead that was left alone"
    [row] = space.rows(state["id"], "skipped")
    assert (row["rowNumber"], row["action"], row["reason"]) == (2, "skip", "duplicate_in_database")


def test_update_never_erases(space):
    space.add_profile("vera")
    old = space.add_lead(email="Ana@Example.com", phone="+33611111111", last_name="Stored", company="Old", status="won", source="Salon", country="Belgique",
                         assigned_to="vera", notes="kept")
    state = space.imported(sheet(line("Ana", "", email="ANA@example.com", company="New", notes="")), strategy="update", defaults={"status": "lost", "source": "Import"})
    assert (state["counts"]["updated"], state["counts"]["inserted"]) == (1, 0)
    names = "first_name, last_name, phone, company, status, status_label, source, country, assigned_to, notes, import_job_id"
    assert space.gate.sql(f"SELECT {names} FROM crm.lead WHERE id = %s", old) == [
        ("Ana", "Stored", "+33611111111", "New", "won", "Gagné", "Salon", "Belgique", "vera", "kept", None)]
    [(event, actor, before, after)] = space.gate.sql("SELECT event_type, actor_id, before_data, after_data FROM crm.lead_history WHERE lead_id = %s", old)
    assert (event, actor) == ("updated", space.sub)
    assert (before["company"], before["first_name"], before["email"]) == ("Old", None, "Ana@Example.com"), f"expected the before-image, got {before}"
    assert (after["company"], after["first_name"]) == ("New", "Ana"), f"expected the after-image, got {after}"
    assert len(space.leads()) == 1


def test_update_changes_what_the_file_says(space):
    old = space.add_lead(external_id="K-1", email="old@example.com", status="new", updated_at="2020-01-01", created_at="2020-01-01")
    space.imported(sheet(line("Ana", "Durand", "new@example.com", external="K-1", status="Perdu", source="Web")), strategy="update")
    [(email, status, label, source, fresh, created)] = space.gate.sql(
        "SELECT email, status, status_label, source, updated_at > now() - interval '1 hour', created_at::date::text FROM crm.lead WHERE id = %s", old)
    assert (email, status, label, source, fresh, created) == ("new@example.com", "lost", "Perdu", "Web", True, "2020-01-01")


def test_create_takes_every_valid_row(space):
    space.add_lead(email="ana@example.com")
    counts = space.imported(sheet(line(email="ana@example.com"), line(email="Ana@Example.com"), line(email="b@example.com")), strategy="create")["counts"]
    assert (counts["inserted"], counts["skipped"], counts["updated"]) == (3, 0, 0)
    assert (counts["duplicateInFile"], counts["duplicateInDatabase"]) == (1, 1), "expected the counts of the parse to stay"


@pytest.mark.parametrize("key, stored, cell", [("email", {"email": "X@Y.fr"}, {"email": "x@y.FR"}), ("phone", {"phone": "+33612345678"}, {"phone": "06.12.34.56.78"}),
                                               ("externalId", {"external_id": "A-7"}, {"external": " A-7 "})])
def test_only_the_chosen_keys_count(space, key, stored, cell):
    space.add_lead(**stored)
    other = next(name for name in ("email", "phone", "externalId") if name != key)
    counts = space.imported(sheet(line(**cell)), fields=[other])["counts"]
    assert (counts["inserted"], counts["skipped"]) == (1, 0), f"expected {key} not to count when {other} does, got {counts}"
    again = Space(space.gate)
    again.add_lead(**stored)
    counts = again.imported(sheet(line(**cell)), fields=[key])["counts"]
    assert (counts["inserted"], counts["skipped"]) == (0, 1), f"expected a duplicate by {key}, got {counts}"


def test_email_comes_before_phone_before_external_id(space):
    by_email = space.add_lead(email="a@example.com")
    by_phone = space.add_lead(phone="+33612345678")
    by_id = space.add_lead(external_id="7")
    state = space.imported(sheet(line("One", "A", "a@example.com", "0612345678", external="7"), line("Two", "B", "", "0612345678"),
                                 line("Three", "C", "", "", external="7")), strategy="update")
    # The first row is the record of its e-mail; what it shares with the other two rows are the file's own duplicates.
    assert state["counts"]["updated"] == 1 and state["counts"]["skipped"] == 2, f"expected one update and two repeats, got {state['counts']}"
    assert space.gate.sql("SELECT first_name FROM crm.lead WHERE id = ANY (%s) ORDER BY first_name", [by_email, by_phone, by_id]) == [("One",), (None,), (None,)]
    assert [row["reason"] for row in space.rows(state["id"])] == ["duplicate_in_database", "duplicate_in_file", "duplicate_in_file"]


def test_two_rows_that_are_one_record_change_it_once(space):
    old = space.add_lead(email="a@example.com", phone="+33612345678")
    state = space.imported(sheet(line("First", "A", "a@example.com"), line("Second", "B", "", "0612345678")), strategy="update")
    assert (state["counts"]["updated"], state["counts"]["skipped"]) == (1, 1)
    assert space.gate.sql("SELECT first_name FROM crm.lead WHERE id = %s", old) == [("First",)]


def test_repeats_in_the_file_come_in_once(space):
    lines = [line("First", email="a@example.com"), line("Bad", email="b@"), line("Again", email="A@EXAMPLE.com"), line("Phone", phone="0612345678"),
             line("Same phone", phone="+33 6 12 34 56 78"), line("Id", external="x"), line("Same id", external="x"), line("Later", email="b@example.com")]
    state = space.parsed(sheet(*lines))
    assert state["counts"]["duplicateInFile"] == 3
    assert [row["rowNumber"] for row in space.rows(state["id"], "duplicate")] == [4, 6, 8]
    counts = space.commit(state["id"], "update")["counts"]
    assert (counts["inserted"], counts["skipped"], counts["invalid"], counts["updated"]) == (4, 3, 1, 0)
    assert sorted(name for name, in space.leads("first_name")) == ["First", "Id", "Later", "Phone"], "expected the first row of each contact"


def test_deleted_leads_and_other_spaces_are_no_duplicates(space):
    space.add_lead(email="gone@example.com", deleted_at="2024-01-01")
    Space(space.gate).add_lead(email="other@example.com")
    counts = space.imported(sheet(line(email="gone@example.com"), line(email="other@example.com")))["counts"]
    assert (counts["inserted"], counts["duplicateInDatabase"]) == (2, 0)


def test_a_second_file_meets_the_leads_of_the_first(space):
    space.imported(people(40))
    counts = space.imported(people(60, 20))["counts"]
    assert (counts["inserted"], counts["skipped"]) == (40, 20)
    assert len(space.leads()) == 80


@pytest.mark.parametrize("strategy", ["skip", "update"])
def test_commits_at_once_make_no_duplicates_of_each_other(space, strategy):
    """Two files with the same people, one upside down: whichever commit comes first, the other finds what it has written."""
    rows = [["Nom", "Email", "Téléphone"]] + [[f"N{n}", f"n{n}@example.com", f"06{n:08d}"] for n in range(3000)]
    jobs = [space.parsed(table(data))["id"] for data in (rows, rows[:1] + rows[:0:-1])]
    for job in jobs:
        space.call(job, "commit", json={"duplicates": {"strategy": strategy}})
    for job in jobs:
        space.wait(job, "completed")
    counts = [space.ledger(job)["counts"] for job in jobs]
    assert sum(count["inserted"] for count in counts) == 3000 and sum(count["updated"] + count["skipped"] for count in counts) == 3000, f"got {counts}"
    assert space.gate.sql("SELECT count(*), count(DISTINCT email_key), count(DISTINCT phone) FROM crm.lead WHERE space = %s", space.name) == [(3000, 3000, 3000)]


# -------------------------------------------------------------------------------------------------------- assignment, defaults

def test_all_to_one_user(space):
    space.add_profile("vera")
    state = space.imported(people(3), assignment={"mode": "single", "userId": "vera"})
    assert state["assignment"] == {"mode": "single", "userId": "vera"}
    assert space.leads("assigned_to") == [("vera",)] * 3


def test_nobody_unless_the_file_says_so(space):
    space.add_profile("vera")
    data = table([["Email", "Assigné à"], ["a@example.com", "vera"], ["b@example.com", "nobody-known"], ["c@example.com", ""]])
    state = space.imported(data, assignment={"mode": "none"})
    assert state["counts"]["inserted"] == 3
    assert space.leads("email, assigned_to") == [("a@example.com", "vera"), ("b@example.com", None), ("c@example.com", None)]


@pytest.mark.parametrize("user", ["nobody", "elsewhere"])
def test_an_unknown_user_is_422(space, user):
    Space(space.gate).add_profile("elsewhere")
    job = space.parsed(people(2))["id"]
    space.refused(job, "commit", 422, "assignee_unknown", json={"assignment": {"mode": "single", "userId": user}})
    assert space.get(job)["status"] == "ready" and not space.leads()


def test_defaults_fill_what_the_file_leaves_open(space):
    data = sheet(line(email="a@example.com"), line(email="b@example.com", status="Gagné", source="Web"), line(email="c@example.com", status="???"))
    state = space.imported(data, defaults={"status": "callback", "source": "Salon 2026"})
    assert space.leads("email, status, status_label, source") == [("a@example.com", "callback", "Rappeler", "Salon 2026"), ("b@example.com", "won", "Gagné", "Web"),
                                                                  ("c@example.com", "callback", "Rappeler", "Salon 2026")]
    assert "status_unknown" in [warning["code"] for warning in state["warnings"]]


# ------------------------------------------------------------------------------------------------------------------- history

def test_history_is_paged_and_filtered(space):
    names = ["Salon de Lyon.csv", "salon de nice.csv", "100%_web.csv", "Été.csv"]
    jobs = [space.inspected(people(1, n), name)["id"] for n, name in enumerate(names)]
    space.parse(jobs[1])
    space.failed(space.create("Email\n", "header.csv"), "no_rows")
    pages, cursor = [], ""
    while cursor is not None:
        page = space.api("GET", f"{JOBS}?limit=2{cursor and '&cursor=' + cursor}").json()
        pages.append([item["fileName"] for item in page["items"]])
        cursor = page["nextCursor"]
    assert pages == [["header.csv", "Été.csv"], ["100%_web.csv", "salon de nice.csv"], ["Salon de Lyon.csv"]], f"expected newest first in twos, got {pages}"

    def found(query):
        return sorted(item["fileName"] for item in space.api("GET", f"{JOBS}?{query}").json()["items"])
    assert found("q=SALON") == ["Salon de Lyon.csv", "salon de nice.csv"]
    assert found("q=%25_") == ["100%_web.csv"], "expected % and _ to stand for themselves"
    assert found("q=%C3%A9t%C3%A9") == ["Été.csv"]
    assert found("status=ready") == ["salon de nice.csv"] and found("status=failed") == ["header.csv"]
    assert found("status=mapping&q=salon") == ["Salon de Lyon.csv"]
    assert found("q=nothing") == []
    item = space.api("GET", f"{JOBS}?status=failed", headers={"Accept-Language": "fr"}).json()["items"][0]
    assert item["error"] == {"code": "no_rows", "message": "Le fichier a des en-têtes mais aucune ligne."}
    expect_problem(space.api("GET", f"{JOBS}?cursor=nonsense"), 400, "invalid_cursor")


def test_the_history_does_not_slip_while_imports_are_added(space):
    for n in range(4):
        space.inspected(people(1, n), f"{n}.csv")
    first = space.api("GET", f"{JOBS}?limit=2").json()
    space.inspected(people(1, 9), "new.csv")
    second = space.api("GET", f"{JOBS}?limit=2&cursor={first['nextCursor']}").json()
    assert [item["fileName"] for item in first["items"] + second["items"]] == ["3.csv", "2.csv", "1.csv", "0.csv"]
    assert second["nextCursor"] is None


# --------------------------------------------------------------------------------------------------- same file, other people

def start(space, data, **fields):
    key = space.gate.upload(data.encode(), unique(), token=space.token)
    return space.api("POST", JOBS, json={"objectKey": key, "fileName": "again.csv", "fileSize": len(data.encode()), **fields})


def test_the_same_file_again_is_409(space):
    data = people(2)
    job = space.create(data)
    problem = expect_problem(start(space, data), 409, "duplicate_file")
    assert problem["existingJobId"] == job
    space.wait(job, "mapping")
    space.parse(job)
    assert expect_problem(start(space, data), 409, "duplicate_file")["existingJobId"] == job
    space.commit(job)
    assert expect_problem(start(space, data), 409, "duplicate_file")["existingJobId"] == job
    allowed = start(space, data, allowDuplicate=True)
    assert allowed.status_code == 201, f"expected 201 with allowDuplicate, got {allowed.status_code} {allowed.text}"
    assert start(Space(space.gate), data).status_code == 201, "expected another space to know nothing of it"


def test_a_file_whose_import_ended_badly_may_come_again(space):
    data = people(2)
    job = space.inspected(data)["id"]
    space.call(job, "cancel")
    assert start(space, data).status_code == 201, "expected the file of a cancelled import to be taken"


def test_of_many_imports_of_one_file_at_once_one_starts(space):
    data = people(5)
    keys = [space.gate.upload(data.encode(), unique(), token=space.token) for _ in range(6)]
    statuses = []

    def create(key):
        statuses.append(space.api("POST", JOBS, json={"objectKey": key, "fileName": "x.csv", "fileSize": len(data.encode())}).status_code)
    threads = [threading.Thread(target=create, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 5, f"expected one 201 and five 409, got {sorted(statuses)}"


CALLS = [("GET", ""), ("PUT", "mapping"), ("POST", "parse"), ("GET", "rows"), ("POST", "commit"), ("POST", "cancel"), ("POST", "retry"), ("POST", "error-report"),
         ("DELETE", "")]


def test_another_spaces_import_is_404_and_a_member_gets_403(space):
    job = space.parsed(people(2))["id"]
    stranger = Space(space.gate, sub=space.sub)
    member = space.gate.token("member", sub=space.sub, space=space.name)
    for method, what in CALLS:
        path, body = f"{JOBS}/{job}/{what}".rstrip("/"), {} if method in ("POST", "PUT") else None
        expect_problem(stranger.api(method, path, json=body), 404, "not_found")
        expect_problem(space.gate.api(method, path, json=body, token=member), 403, "forbidden")
        expect_problem(space.gate.api(method, path, json=body, token=None), 401, "unauthorized")
    assert stranger.api("GET", JOBS).json()["items"] == []
    colleague = Space(space.gate, name=space.name)
    assert colleague.get(job)["status"] == "ready", "expected an administrator of the same space to see the import, untouched"


@pytest.mark.parametrize("identifier", ["1", "00000000-0000-0000-0000-000000000000", "x'--", "%2e%2e", "01a1fdb5-aa54-7000-b3c3-c422f3aae98f%20"])
def test_an_import_that_is_not_there_is_404(space, identifier):
    for method, what in CALLS:
        expect_problem(space.api(method, f"{JOBS}/{identifier}/{what}".rstrip("/"), json={} if method in ("POST", "PUT") else None), 404, "not_found")


# ------------------------------------------------------------------------------------------------------------------- mapping

def test_mapping_by_hand(space):
    data = table([["A", "B", "C"], ["Durand", "Ana", "ana@example.com"]])
    job = space.inspected(data)["id"]
    state = space.call(job, "mapping", 200, "PUT", {"columns": {"0": "lastName", "1": "firstName", "2": "email"}})
    assert [(column["field"], column["manual"], column["confidence"]) for column in state["columns"]] == [(f, True, 1) for f in ("lastName", "firstName", "email")]
    state = space.call(job, "mapping", 200, "PUT", {"columns": {"1": None}})
    assert [column["field"] for column in state["columns"]] == ["lastName", None, "email"], "expected the columns that are not named to stay"
    space.parse(job)
    space.commit(job)
    assert space.leads("first_name, last_name, email") == [(None, "Durand", "ana@example.com")]


@pytest.mark.parametrize("columns, field", [
    ({"0": "nonsense"}, "columns.0"), ({"0": "lastName"}, "columns.1"), ({"7": "email"}, "columns.7"), ({"-1": "email"}, "columns.-1"), ({"x": "email"}, "columns.x"),
    ({"0": 5}, "columns.0"), ({"0": "space"}, "columns.0"), ({"0": "notes", "1": "notes"}, "columns.1")])
def test_a_wrong_mapping_is_422_and_changes_nothing(space, columns, field):
    job = space.inspected(people(1))
    problem = space.refused(job["id"], "mapping", 422, "mapping_invalid", "PUT", {"columns": columns})
    assert problem["errors"][0]["field"] == field, f"expected {field} to be named, got {problem['errors']}"
    assert space.get(job["id"])["columns"] == job["columns"]


@pytest.mark.parametrize("body, field", [
    ({"columns": []}, "columns"), ({"encoding": "klingon"}, "encoding"), ({"delimiter": ":"}, "delimiter"), ({"delimiter": ""}, "delimiter"), ({"headerRow": -1}, "headerRow"),
    ({"headerRow": "1"}, "headerRow"), ({"headerRow": 1001}, "headerRow"), ({"saveAs": "x" * 101}, "saveAs"), ({"encoding": 8}, "encoding")])
def test_wrong_overrides_are_400(space, body, field):
    job = space.inspected(people(1))["id"]
    problem = space.refused(job, "mapping", 400, "invalid_field", "PUT", body)
    assert problem["errors"][0]["field"] == field, f"expected {field} to be named, got {problem['errors']}"


def test_without_a_way_to_reach_people_there_is_no_parse(space):
    job = space.inspected(people(2))["id"]
    space.call(job, "mapping", 200, "PUT", {"columns": {"2": None}})
    space.refused(job, "parse", 422, "mapping_incomplete")
    space.call(job, "mapping", 200, "PUT", {"columns": {"3": "externalId"}})
    assert space.parse(job)["counts"]["valid"] == 2


def test_a_saved_mapping_returns_for_the_same_headings(space):
    head = ["Alpha", "Beta", "Gamma"]
    job = space.inspected(table([head, ["Durand", "Ana", "ana@example.com"]]))["id"]
    space.call(job, "mapping", 200, "PUT", {"columns": {"0": "lastName", "1": "firstName", "2": "email"}, "saveAs": "Trois lettres"})
    again = space.inspected(table([["ALPHA ", "beta", "Gamma"], ["Petit", "Zoé", "zoe@example.com"]]))
    assert [(column["field"], column["manual"]) for column in again["columns"]] == [("lastName", True), ("firstName", True), ("email", True)]
    other = space.inspected(table([["Alpha", "Gamma", "Beta"], ["Petit", "zoe@example.com", "Zoé"]]))
    assert [column["field"] for column in other["columns"]] != ["lastName", "firstName", "email"], "expected other headings to stand for themselves"
    stranger = Space(space.gate).inspected(table([head, ["Petit", "Zoé", "zoe@example.com"]]))
    assert [column["field"] for column in stranger["columns"]] == [None, None, None], "expected another space not to see it"


def test_a_mapping_saved_again_replaces_the_first(space):
    head = ["Alpha", "Beta"]
    for n, fields in enumerate((["email", "notes"], ["notes", "email"])):
        job = space.inspected(table([head, [f"{n}", "x"]]))["id"]
        space.call(job, "mapping", 200, "PUT", {"columns": {"0": None, "1": None}})
        space.call(job, "mapping", 200, "PUT", {"columns": dict(zip("01", fields)), "saveAs": "Deux"})
    assert [column["field"] for column in space.inspected(table([head, ["9", "x"]]))["columns"]] == ["notes", "email"]


def test_overrides_inspect_the_file_again(space):
    rows = [["Rapport du 3 mai", "", ""], ["Nom", "Email", "Téléphone"], ["Müller", "m@example.com", "0612345678"], ["André", "a@example.com", "0612345679"]]
    job = space.inspected(table(rows, ";").encode("cp1252"))["id"]

    def override(**body):
        space.call(job, "mapping", 202, "PUT", body)
        return space.wait(job, "mapping")
    state = override(headerRow=1)
    assert (state["headerRow"], state["columns"][0]["name"]) == (1, "Rapport du 3 mai")
    state = override(headerRow=2)
    assert (state["headerRow"], [column["field"] for column in state["columns"]]) == (2, ["lastName", "email", "phone"])
    state = override(encoding="macintosh")
    assert state["encoding"] == "macintosh" and state["columns"][2]["name"] != "Téléphone", "expected the headings as MacRoman reads them"
    state = override(encoding="windows-1252")
    assert state["columns"][2]["name"] == "Téléphone"
    state = override(delimiter="|")
    assert state["delimiter"] == "|" and len(state["columns"]) == 1
    state = override(delimiter=";", headerRow=0)
    assert state["headerRow"] == 0 and [column["name"] for column in state["columns"]] == [None] * 3
    override(headerRow=2)
    space.parse(job)
    space.commit(job)
    assert space.leads("last_name, email, phone") == [("André", "a@example.com", "+33612345679"), ("Müller", "m@example.com", "+33612345678")]


def test_an_override_after_the_parse_starts_over(space):
    job = space.parsed(people(3))["id"]
    space.call(job, "mapping", 202, "PUT", {"headerRow": 2})
    assert space.wait(job, "mapping")["headerRow"] == 2
    space.refused(job, "commit", 409, "wrong_state")
    space.call(job, "mapping", 202, "PUT", {"headerRow": 1})
    space.wait(job, "mapping")
    space.parse(job)
    assert space.commit(job)["counts"]["inserted"] == 3


def test_a_mapping_changed_after_the_parse_is_what_gets_imported(space):
    job = space.parsed(people(2))["id"]
    space.call(job, "mapping", 200, "PUT", {"columns": {"1": None, "3": "lastName"}})
    space.refused(job, "commit", 409, "wrong_state")
    space.parse(job)
    space.commit(job)
    assert {name for name, in space.leads("last_name")} == {"Sncf"}, "expected the mapping that the user saw last, not the one of an earlier parse"


# ---------------------------------------------------------------------------------------------------------------------- rows

def test_rows_by_state_language_and_page(space):
    space.add_lead(email="old@example.com")
    lines = [line(email="a@example.com"), line(email="bad"), line(email="a@example.com"), line(email="old@example.com"), line(phone="123"), line()]
    job = space.parsed(sheet(*lines, *[line(email=f"p{n}@example.com") for n in range(30)]))["id"]
    assert [row["rowNumber"] for row in space.rows(job, "invalid")] == [3, 6, 7]
    assert [row["rowNumber"] for row in space.rows(job, "duplicate")] == [4, 5]
    assert len(space.rows(job, "valid")) == 33 and [row["rowNumber"] for row in space.rows(job)] == list(range(2, 38))
    assert [row["rowNumber"] for row in space.rows(job, limit=7)] == list(range(2, 38)), "expected pages that neither repeat nor miss a row"
    assert len(space.call(job, "rows", 200, "GET")["items"]) == 20
    english, french = ([row["errors"][0] for row in space.rows(job, "invalid", language=language)] for language in ("en", "fr"))
    assert [(error["field"], error["code"]) for error in english] == [("email", "email_invalid"), ("phone", "phone_too_short"), (None, "contact_missing")]
    assert [error["message"] for error in english] == ["This is not an e-mail address.", "The phone number has fewer than 8 digits.",
                                                       "Give at least an e-mail, a phone number or an external id."]
    assert [error["message"] for error in french] == ["Ce n'est pas une adresse e-mail.", "Le numéro de téléphone a moins de 8 chiffres.",
                                                      "Indiquez au moins un e-mail, un téléphone ou un identifiant externe."]
    [first, *_] = space.rows(job, limit=1)[:1]
    assert first["raw"] == line(email="a@example.com") and first["values"] == {"firstName": "Ana", "lastName": "Durand", "email": "a@example.com", "company": "SNCF"}
    assert [row["action"] for row in space.rows(job)][:6] == ["import", "invalid", "skip", "skip", "invalid", "invalid"]
    for query, field in (("state=odd", "state"), ("limit=0", "limit"), ("limit=501", "limit"), ("cursor=-1", "cursor"), ("cursor=x", "cursor")):
        problem = expect_problem(space.api("GET", f"{JOBS}/{job}/rows?{query}"), 400, "invalid_field")
        assert problem["errors"][0]["field"] == field


def test_rows_after_a_commit_say_what_became_of_them(space):
    space.add_lead(email="old@example.com")
    job = space.imported(sheet(line(email="old@example.com"), line(email="new@example.com"), line(email="bad"), line(email="new@example.com")), strategy="update")["id"]
    assert [(row["action"], row["reason"]) for row in space.rows(job)] == [
        ("update", "duplicate_in_database"), ("import", None), ("invalid", None), ("skip", "duplicate_in_file")]
    assert [row["rowNumber"] for row in space.rows(job, "updated")] == [2] and [row["rowNumber"] for row in space.rows(job, "skipped")] == [5]


def test_a_page_of_large_rows_ends_early_and_loses_none(space):
    job = space.parsed(table([["Nom", "Email", "Notes"]] + [[f"D{n}", f"d{n}@example.com", chr(97 + n % 26) * 300_000] for n in range(40)]))["id"]
    page = space.call(job, "rows?limit=500", 200, "GET")
    assert 2 <= len(page["items"]) < 40 and page["nextCursor"], f"expected a page of some megabytes, got {len(page['items'])} rows"
    assert [row["rowNumber"] for row in space.rows(job)] == list(range(2, 42))


def test_there_are_no_rows_before_the_parse(space):
    assert space.rows(space.inspected(people(2))["id"]) == []


# -------------------------------------------------------------------------------------------------------------- error report

CELLS = ["=1+1", "+33612345678", "-5", "-3,5", "+1-1", "@cmd", "=HYPERLINK(\"http://x\";\"y\")", "'=x", "''=x", "'hello", "＝1", "＋1", "－1", "＠x", "a;b", 'say "x"',
         "two\nlines", "+336123", "+12345", "+1234567890123456", "-", "+", "-1-1", "1e5", "\t=x", "plain", "é è", "0612345678"]
SAFE = ["'=1+1", "+33612345678", "-5", "-3,5", "'+1-1", "'@cmd", "'=HYPERLINK(\"http://x\";\"y\")", "''=x", "'''=x", "'hello", "'＝1", "'＋1", "'－1", "'＠x", "a;b",
        'say "x"', "two\nlines", "+336123", "+12345", "+1234567890123456", "'-", "'+", "'-1-1", "1e5", "'\t=x", "plain", "é è", "0612345678"]


def test_the_report_is_safe_to_open_and_changes_no_number(space):
    data = table([["Nom", "Email", "Notes"]] + [["Durand", f"bad{n}", cell] for n, cell in enumerate(CELLS)] + [["Petit", "good@example.com", "=1"]], ";")
    job = space.parsed(data, "mes leads.csv")
    file, said = space.report(job["id"])
    head, *rows = read_report(file)
    assert head == ["Nom", "Email", "Notes", "_ligne", "_erreurs"]
    assert said["rows"] == len(rows) == len(CELLS) == job["reportRows"]
    for row, cell, safe, n in zip(rows, CELLS, SAFE, range(len(CELLS))):
        assert row[2] == safe, f"expected {cell!r} as {safe!r}, got {row[2]!r}"
        assert row[1] == f"bad{n}" and row[4] == "Email : Ce n'est pas une adresse e-mail."
    numbers = [int(row[3]) for row in rows]
    assert numbers == [row["rowNumber"] for row in space.rows(job["id"], "invalid")]
    kind, disposition = file.headers["Content-Type"], file.headers["Content-Disposition"]
    assert kind.startswith("text/csv") and disposition.startswith("attachment") and "erreurs-mes%20leads.csv" in disposition, f"got {kind} {disposition}"


def test_the_fixed_report_comes_in_with_its_own_cells(space):
    data = table([["Nom", "Email", "Notes"]] + [["Durand", f"bad{n}", cell] for n, cell in enumerate(CELLS)], ";")
    first = space.imported(data)
    assert first["counts"]["inserted"] == 0
    file, _ = space.report(first["id"])
    again = space.parsed(file.content, "unfixed.csv")
    assert (again["delimiter"], again["counts"]["total"], again["counts"]["invalid"]) == (";", len(CELLS), len(CELLS))
    fixed = file.content.decode("utf-8-sig").replace(";bad", ";good@").replace(";\"good@", ";good@")
    for n in range(len(CELLS)):
        fixed = fixed.replace(f";good@{n};", f";good{n}@example.com;")
    state = space.parsed(("\ufeff" + fixed).encode(), "fixed.csv")
    assert (state["counts"]["valid"], state["counts"]["invalid"]) == (len(CELLS), 0), f"expected every fixed row to be good, got {state['counts']} {space.rows(state['id'], 'invalid')}"
    for row, cell in zip(space.rows(state["id"]), CELLS):
        assert row["raw"][2] == cell, f"expected the cell of the first file, {cell!r}, got {row['raw'][2]!r}"
    assert space.commit(state["id"])["counts"]["inserted"] == len(CELLS)


def test_a_report_of_a_report_has_the_same_shape(space):
    job = space.parsed(table([["Nom", "Email"], ["=Durand", "bad"], ["Petit", "worse"]], ";"))["id"]
    first, _ = space.report(job)
    second, _ = space.report(space.parsed(first.content, "again.csv")["id"])
    one, two = read_report(first), read_report(second)
    assert [row[:2] + row[3:] for row in two] == [row[:2] + row[3:] for row in one], f"expected the same report but for the line numbers, got {two}"


def test_a_report_without_errors_is_a_header(space):
    file, said = space.report(space.parsed(people(2))["id"])
    assert said["rows"] == 0 and read_report(file, ",") == [["Prénom", "Nom", "Email", "Entreprise", "_ligne", "_erreurs"]]


def test_a_report_names_every_reason(space):
    job = space.parsed(table([["Nom", "Email", "Téléphone"], ["x" * 101, "bad", "12"], ["y", "", "", "surplus"]]))["id"]
    _, first, second = read_report(space.report(job)[0], ",")
    assert first[-1] == "Nom : Le texte est plus long que ce champ ne le permet. Email : Ce n'est pas une adresse e-mail. " \
                        "Téléphone : Le numéro de téléphone a moins de 8 chiffres."
    assert second[-1] == "La ligne a plus de cellules que d'en-têtes. Indiquez au moins un e-mail, un téléphone ou un identifiant externe."


def test_a_large_report_has_every_row(space):
    count = 3000
    job = space.parsed(table([["Nom", "Email"]] + [[f"n{n}", "bad" if n % 2 else f"g{n}@example.com"] for n in range(count)]))["id"]
    rows = read_report(space.report(job)[0], ",")[1:]
    assert [row[0] for row in rows] == [f"n{n}" for n in range(count) if n % 2]


def test_a_report_belongs_to_its_link(space):
    _, said = space.report(space.parsed(people(1) + "x,y,bad,z\n")["id"])
    for url in (said["downloadUrl"][:-1] + ("0" if said["downloadUrl"][-1] != "0" else "1"), said["downloadUrl"].partition("?")[0]):
        answer = space.gate.session.get(url)
        assert answer.status_code in (400, 403), f"expected the link to be refused, got {answer.status_code}"
        if url.startswith(space.gate.url):
            expect_problem(answer, 403, "signature_invalid")


def test_there_is_no_report_before_the_parse(space):
    job = space.inspected(people(1))["id"]
    space.refused(job, "error-report", 409, "report_not_ready")


# -------------------------------------------------------------------------------------------------------------------- delete

def test_delete_takes_rows_file_and_report_and_leaves_leads(space):
    state = space.imported(people(5) + "x,y,bad,z\n")
    job, number = state["id"], space.number(state["id"])
    _, said = space.report(job)
    file, gate = state["objectKey"], space.gate
    [(report,)] = gate.sql("SELECT report_key FROM tidegate.import_job WHERE id = %s", job)
    assert gate.object(file) and gate.object(report)
    space.call(job, "", 204, "DELETE")
    expect_problem(space.api("GET", f"{JOBS}/{job}"), 404, "not_found")
    space.soon(lambda: gate.object(file) is None and gate.object(report) is None, "the file and the report to go")
    space.soon(lambda: space.gate.sql("SELECT to_regclass(%s), to_regclass(%s)", f"tidegate.import_row_{number}", f"tidegate.import_outcome_{number}") == [(None, None)],
               "the partitions to go")
    assert space.gate.session.get(said["downloadUrl"]).status_code == 404
    assert space.gate.sql("SELECT count(*) FROM tidegate.import_lane WHERE job_no = %s", number) == [(0,)]
    assert len(space.leads()) == 5, "expected the leads to stay"
    assert start(space, people(5) + "x,y,bad,z\n").status_code == 201, "expected the file to be taken again"


# ---------------------------------------------------------------------------------------------------------------- wrong state

STATES = ["pending", "inspecting", "mapping", "queued", "parsing", "ready", "importing", "completed", "failed", "cancelled", "undoing", "undone"]
ALLOWED = {("PUT", "mapping"): {"mapping", "ready"}, ("POST", "parse"): {"mapping", "ready"}, ("POST", "commit"): {"ready"},
           ("POST", "cancel"): set(STATES) - {"completed", "failed", "cancelled", "undone"}, ("POST", "retry"): {"failed", "cancelled"},
           ("DELETE", ""): set(STATES) - {"pending", "inspecting", "queued", "parsing", "importing", "undoing"}, ("POST", "undo"): {"completed"}}


@pytest.mark.parametrize("state", STATES)
def test_calls_in_the_wrong_state_are_409_and_change_nothing(space, state):
    job = space.inspected(people(2))["id"]
    space.gate.sql("UPDATE tidegate.import_job SET status = %s WHERE id = %s", state, job)
    row = space.gate.sql("SELECT j::text FROM tidegate.import_job j WHERE id = %s", job)
    for (method, what), states in ALLOWED.items():
        if state in states:
            continue
        problem = space.refused(job, what, 409, "wrong_state", method, {} if method != "DELETE" else None)
        assert problem["state"] == state, f"expected the state {state} to be named, got {problem}"
        assert space.gate.sql("SELECT j::text FROM tidegate.import_job j WHERE id = %s", job) == row, f"expected {method} {what} to change nothing"
