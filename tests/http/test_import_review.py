"""Between parse and commit: rows put right and decided by hand, duplicates with what they repeat, dry runs, values that mean something."""
import random

import pytest

from space import JOBS, Space, people, table


@pytest.fixture
def space(gate):
    return Space(gate)


def patch(space, job, row, status=200, **body):
    return space.call(job, f"rows/{row}", status, "PATCH", body)


def errors(row):
    return [error["code"] for error in row["errors"] if error["severity"] == "error"]


def settled(space, job):
    """The import once the marks are those of its rows."""
    space.soon(lambda: not space.get(job)["marksPending"], "marks of the changed rows")
    return space.get(job)


def dry_run(space, job, **options):
    space.call(job, "commit", 202, json={"dryRun": True, **options})
    space.soon(lambda: (lambda state: state["preview"] or state["previewError"])(space.get(job)), "the preview")
    state = space.get(job)
    assert state["status"] == "ready" and not space.gate.sql("SELECT id FROM crm.lead WHERE import_job_id = %s", job), "expected a dry run to write nothing"
    return state["preview"]


def outcome(counts):
    return {name: counts[name] for name in ("total", "valid", "invalid", "inserted", "updated", "skipped")}


FILE = table([["Nom", "Email", "Téléphone"], ["A", "a@example.com", ""], ["B", "bad", ""], ["C", "a@example.com", ""], ["D", "d@example.com", "0611223344"],
              ["E", "e@example.com", "0611223344"], ["F", "f@example.com", ""]])


# ------------------------------------------------------------------------------------------------------------ rows by hand

def test_a_row_is_put_right(space):
    job = space.parsed(FILE)["id"]
    row = patch(space, job, 3, values={"email": "B@Example.com", "phone": "06 99 88 77 66"})
    assert errors(row) == [] and row["values"]["email"] == "b@example.com" and row["values"]["phone"] == "+33699887766", f"got {row}"
    assert row["raw"] == ["B", "B@Example.com", "06 99 88 77 66"], "expected the cells to be those that were given"
    state = settled(space, job)
    assert (state["counts"]["valid"], state["counts"]["invalid"], state["edits"]) == (6, 0, 1)
    assert state["reportRows"] == 0, "expected no row left in the error report"
    assert space.commit(job)["counts"]["inserted"] == 4
    assert ("b@example.com",) in space.leads()


def test_a_row_is_made_wrong_and_right_again(space):
    job = space.parsed(FILE)["id"]
    row = patch(space, job, 2, values={"email": "nothing like it"})
    assert row["action"] == "invalid" and errors(row), f"got {row}"
    state = settled(space, job)
    assert (state["counts"]["valid"], state["counts"]["invalid"], state["counts"]["duplicateInFile"]) == (4, 2, 1), "expected row 4 to repeat nothing any more"
    patch(space, job, 2, values={"email": "a@example.com"})
    assert settled(space, job)["counts"]["duplicateInFile"] == 2


def test_a_changed_key_moves_between_groups(space):
    job = space.parsed(FILE)["id"]
    patch(space, job, 7, values={"phone": "+33 6 11 22 33 44"})
    settled(space, job)
    groups = space.call(job, "duplicates?kind=file", 200, "GET")["items"]
    assert [(group["rowNumber"], [row["rowNumber"] for row in group["rows"]]) for group in groups] == [(2, [2, 4]), (5, [5, 6, 7])]


def test_a_short_row_gets_its_missing_cell(space):
    job = space.parsed("Nom,Email,Ville\nA,a@example.com\n")["id"]
    row = patch(space, job, 2, values={"city": "Lyon"})
    assert row["raw"] == ["A", "a@example.com", "Lyon"] and not errors(row)


@pytest.mark.parametrize("text", ["été \"q\" \\ {a,b} NULL", "a\nb", "=1+1", "x" * 3000, "𝄞", ""])
def test_any_text_can_be_given(space, text):
    job = space.parsed("Nom,Email,Notes\nA,a@example.com,\n")["id"]
    row = patch(space, job, 2, values={"notes": text})
    assert row["raw"][2] == text


def test_decisions(space):
    space.add_lead(email="f@example.com", last_name="Stored")
    job = space.parsed(FILE)["id"]
    assert patch(space, job, 2, action="skip")["decision"] == "skip"
    assert patch(space, job, 6, action="import")["decision"] == "import"
    assert patch(space, job, 7, action="update")["decision"] == "update"
    settled(space, job)
    counts = space.commit(job)["counts"]
    assert outcome(counts) == {"total": 6, "valid": 5, "invalid": 1, "inserted": 3, "updated": 1, "skipped": 1}, f"got {counts}"
    assert sorted(space.leads("email, last_name")) == [("a@example.com", "C"), ("d@example.com", "D"), ("e@example.com", "E"), ("f@example.com", "F")], \
        "expected row 4 in place of the skipped row 2, both rows of one phone, and the stored lead updated"


def test_a_decision_is_taken_back(space):
    job = space.parsed(people(2))["id"]
    patch(space, job, 2, action="skip")
    assert patch(space, job, 2, action=None)["decision"] is None
    assert space.commit(job)["counts"]["inserted"] == 2


@pytest.mark.parametrize("strategy, expected", [("skip", (0, 1)), ("update", (0, 1)), ("create", (0, 1))])
def test_update_by_hand_goes_before_the_strategy(space, strategy, expected):
    space.add_lead(email="p0@example.com", last_name="Old")
    job = space.parsed(people(1))["id"]
    patch(space, job, 2, action="update")
    counts = space.commit(job, strategy)["counts"]
    assert (counts["inserted"], counts["updated"]) == expected and space.leads("last_name") == [("Durand0",)]


@pytest.mark.parametrize("strategy", ["skip", "update", "create"])
def test_skip_and_import_by_hand_go_before_the_strategy(space, strategy):
    space.add_lead(email="p0@example.com", last_name="Old")
    job = space.parsed(people(2))["id"]
    patch(space, job, 2, action="import")
    patch(space, job, 3, action="skip")
    counts = space.commit(job, strategy)["counts"]
    assert outcome(counts) == {"total": 2, "valid": 2, "invalid": 0, "inserted": 1, "updated": 0, "skipped": 1}


def test_a_new_parse_forgets_what_was_decided(space):
    job = space.parsed(people(2))["id"]
    patch(space, job, 2, action="skip", values={"lastName": "Changed"})
    space.parse(job)
    row = space.rows(job)[0]
    assert row["decision"] is None and row["values"]["lastName"] == "Durand0" and space.get(job)["edits"] == 0


@pytest.mark.parametrize("body, field", [({"values": {"nope": "x"}}, "values.nope"), ({"values": {"city": "x"}}, "values.city"), ({"values": {"email": 7}}, "values.email"),
                                         ({"values": ["email"]}, "values"), ({"action": "delete"}, "action"), ({"action": 1}, "action"),
                                         ({"values": {"email": "x" * 32768}}, "values.email")])
def test_refused_changes(space, body, field):
    job = space.parsed(people(1))["id"]
    problem = space.refused(job, "rows/2", 400, "invalid_field", "PATCH", body)
    assert problem["errors"][0]["field"] == field, f"got {problem}"
    assert space.get(job)["edits"] == 0


@pytest.mark.parametrize("row", ["1", "99", "0", "-1", "x", "99999999999999"])
def test_rows_that_are_not_there(space, row):
    job = space.parsed(people(1))["id"]
    space.refused(job, f"rows/{row}", 404, "not_found", "PATCH", {"action": "skip"})


def test_only_a_ready_import_of_ones_own_is_changed(space):
    job = space.imported(people(1))["id"]
    space.refused(job, "rows/2", 409, "wrong_state", "PATCH", {"action": "skip"})
    other = Space(space.gate).parsed(people(1))["id"]
    space.refused(other, "rows/2", 404, "not_found", "PATCH", {"action": "skip"})
    space.refused(other, "duplicates", 404, "not_found", "GET")
    assert Space(space.gate, name=space.name).get(job)["edits"] == 0


def test_a_commit_does_not_wait_for_the_marks(space):
    job = space.parsed(people(3000))["id"]
    for row in range(2, 12):
        patch(space, job, row, values={"email": "p2999@example.com"})
    counts = space.commit(job)["counts"]
    assert (counts["inserted"], counts["skipped"]) == (2990, 10), f"got {counts}"


# -------------------------------------------------------------------------------------------------------------- duplicates

def test_duplicates_in_the_database_show_what_would_change(space):
    kept = space.add_lead(email="a@example.com", last_name="Old", city="Paris", notes="kept")
    job = space.parsed(table([["Nom", "Email", "Ville", "Fonction", "Date de création"], ["New", "A@example.com", "", "CEO", "05/03/2024"], ["X", "x@example.com", "", "", ""]]))["id"]
    page = space.call(job, "duplicates?kind=database", 200, "GET")
    assert len(page["items"]) == 1 and page["nextCursor"] is None
    item = page["items"][0]
    assert (item["rowNumber"], item["record"]["id"]) == (2, str(kept)) and item["record"]["values"]["city"] == "Paris"
    assert {change["field"]: (change["from"], change["to"]) for change in item["changes"]} == {"lastName": ("Old", "New"), "jobTitle": (None, "CEO")}, f"got {item['changes']}"
    space.commit(job, "update")
    assert ("New", "Paris", "CEO") in space.leads("last_name, city, job_title")


def test_pages_of_duplicates(space):
    rows = [["Nom", "Email"]] + [[f"N{n}", f"p{n % 50}@example.com"] for n in range(150)]
    for n in range(50):
        space.add_lead(email=f"q{n}@example.com")
    job = space.parsed(table(rows + [["Q", f"q{n}@example.com"] for n in range(50)]))["id"]
    for kind, wanted in (("file", list(range(2, 52))), ("database", list(range(152, 202)))):
        found, cursor = [], None
        while True:
            page = space.call(job, f"duplicates?kind={kind}&limit=7" + (f"&cursor={cursor}" if cursor else ""), 200, "GET")
            found += [item["rowNumber"] for item in page["items"]]
            cursor = page["nextCursor"]
            if not cursor:
                break
        assert found == wanted, f"expected every duplicate of the {kind} once, got {found}"
    assert all(item["duplicates"] == 2 and len(item["rows"]) == 3 for item in space.call(job, "duplicates", 200, "GET")["items"])


@pytest.mark.parametrize("query, code", [("kind=all", "invalid_field"), ("limit=0", "invalid_field"), ("limit=101", "invalid_field"), ("cursor=x", "invalid_field")])
def test_refused_lists(space, query, code):
    job = space.parsed(people(1))["id"]
    assert space.api("GET", f"{JOBS}/{job}/duplicates?{query}").json()["code"] in (code, "invalid_cursor", "invalid_query")


# ---------------------------------------------------------------------------------------------------------------- dry runs

@pytest.mark.parametrize("strategy", ["skip", "update", "create"])
@pytest.mark.parametrize("fields", [["email", "phone", "externalId"], ["email"], []])
def test_a_dry_run_tells_what_the_commit_does(space, strategy, fields):
    rand = random.Random(f"{strategy}{fields}")
    for n in range(0, 40, 3):
        space.add_lead(email=f"p{n}@example.com", phone=f"+336112233{n:02d}")
    rows = [["Nom", "Email", "Téléphone"]] + [[f"N{n}", rand.choice([f"p{rand.randrange(60)}@example.com", "bad", ""]), rand.choice(["", f"06112233{rand.randrange(60):02d}"])]
                                             for n in range(120)]
    job = space.parsed(table(rows))["id"]
    for row in rand.sample(range(2, 122), 12):
        patch(space, job, row, action=rand.choice(["import", "skip", "update"]))
    options = {"duplicates": {"strategy": strategy, "fields": fields}}
    preview = dry_run(space, job, **options)
    counts = space.commit(job, strategy, fields)["counts"]
    assert outcome(preview["counts"]) == outcome(counts), "expected the commit to do what the dry run said"


def test_the_distribution_of_a_dry_run(space):
    for user, name in (("u1", "Marie Durand"), ("u2", "Zoé Petit")):
        space.add_profile(user, name)
    rows = [["Nom", "Email", "Qui"]] + [[f"N{n}", f"p{n}@example.com", ["Marie", "zoe petit", "Personne", ""][n % 4]] for n in range(10)] + [["Twice", "p0@example.com", "Marie"]]
    job = space.parsed(table(rows))["id"]
    shares = {json_mode: dry_run(space, job, assignment=assignment)["distribution"] for json_mode, assignment in (
        ("none", {"mode": "none"}), ("single", {"mode": "single", "userId": "u2"}), ("turns", {"mode": "round_robin", "userIds": ["u1", "u2", "u1"]}),
        ("column", {"mode": "by_column", "column": "Qui"}))}
    assert shares["none"] == [] and shares["single"] == [{"userId": "u2", "rows": 10}]
    assert shares["turns"] == [{"userId": "u1", "rows": 7}, {"userId": "u2", "rows": 3}]
    assert {share["userId"]: share["rows"] for share in shares["column"]} == {None: 4, "u1": 3, "u2": 3}
    state = space.get(job)
    assert state["preview"]["unknownAssignees"] == [{"value": "Personne", "rows": 2}] and state["preview"]["assignment"] == {"mode": "by_column", "column": 2}
    space.commit(job, assignment={"mode": "round_robin", "userIds": ["u1", "u2", "u1"]})
    assert sorted(space.gate.sql("SELECT assigned_to, count(*) FROM crm.lead WHERE space = %s GROUP BY 1", space.name)) == [("u1", 7), ("u2", 3)]


def test_a_changed_row_makes_the_preview_anew(space):
    job = space.parsed(people(3))["id"]
    assert dry_run(space, job)["counts"]["inserted"] == 3
    patch(space, job, 2, action="skip")
    space.soon(lambda: (space.get(job)["preview"] or {}).get("counts", {}).get("inserted") == 2, "a preview with the row left out")


def test_what_would_fail_is_said(space):
    job = space.parsed(table([["Nom", "Email", "Qui"]] + [[f"N{n}", f"n{n}@example.com", f"name {n}"] for n in range(10001)]))["id"]
    dry_run(space, job, assignment={"mode": "by_column", "column": "Qui"})
    said = {language: space.api("GET", f"{JOBS}/{job}", headers={"Accept-Language": language}).json()["previewError"] for language in ("fr", "en")}
    assert said["fr"]["code"] == "too_many_names" and said["fr"]["message"] != said["en"]["message"]
    assert dry_run(space, job)["counts"]["inserted"] == 10001, "expected another choice to be previewed"


@pytest.mark.parametrize("body, code, status", [({"dryRun": "yes"}, "invalid_field", 400), ({"dryRun": True, "assignment": {"mode": "lottery"}}, "invalid_field", 400)])
def test_refused_dry_runs(space, body, code, status):
    job = space.parsed(people(1))["id"]
    space.refused(job, "commit", status, code, json=body)
    assert space.get(job)["preview"] is None


def test_a_dry_run_needs_a_ready_import(space):
    job = space.imported(people(1))["id"]
    space.refused(job, "commit", 409, "wrong_state", json={"dryRun": True})


# ------------------------------------------------------------------------------------------------------------------ values

def test_values_that_are_not_known_are_listed_and_can_be_mapped(space):
    rows = [["Nom", "Email", "Statut"]] + [[f"N{n}", f"p{n}@example.com", ["Brûlant", "gagné", "Mystère"][min(n % 4, 2)]] for n in range(8)]
    state = space.parsed(table(rows))
    assert state["unknownValues"] == [{"field": "status", "value": "Mystère", "rows": 4}, {"field": "status", "value": "Brûlant", "rows": 2}], f"got {state['unknownValues']}"
    job = state["id"]
    state = space.call(job, "mapping", 200, "PUT", {"values": {"status": {"Brûlant": "qualified", "MYSTERE": "lost"}}})
    assert state["status"] == "mapping" and state["valueMap"] == {"status": {"Brûlant": "qualified", "MYSTERE": "lost"}}
    state = space.parse(job)
    assert state["unknownValues"] == [] and [warning["code"] for warning in state["warnings"]] == ["company_missing"]
    space.commit(job)
    assert sorted(space.gate.sql("SELECT status, count(*) FROM crm.lead WHERE space = %s GROUP BY 1", space.name)) == [("lost", 4), ("qualified", 2), ("won", 2)]


def test_a_mapped_value_goes_before_an_alias(space):
    job = space.inspected(table([["Nom", "Email", "Statut"], ["A", "a@example.com", "Gagné"]]))["id"]
    space.call(job, "mapping", 200, "PUT", {"values": {"status": {"gagné": "deposit"}}})
    space.parse(job)
    space.commit(job)
    assert space.leads("status") == [("deposit",)]


def test_names_of_people_can_be_mapped(space):
    space.add_profile("u1", "Marie Durand")
    job = space.inspected(table([["Nom", "Email", "Commercial"], ["A", "a@example.com", "La patronne"], ["B", "b@example.com", "?"]]))["id"]
    space.call(job, "mapping", 200, "PUT", {"values": {"assignedTo": {"La patronne": "u1"}}})
    space.parse(job)
    state = space.commit(job)
    assert space.leads("email, assigned_to") == [("a@example.com", "u1"), ("b@example.com", None)] and state["unknownAssignees"] == [{"value": "?", "rows": 1}]


@pytest.mark.parametrize("values, field", [({"status": {"x": "nope"}}, "values.status"), ({"status": []}, "values.status"), ({"email": {"a": "b"}}, "values.email"),
                                           ({"nope": {}}, "values.nope"), ([], "values"), ({"status": {"x": None}}, "values.status"),
                                           ({"assignedTo": {"x": ""}}, "values.assignedTo"), ({"status": {str(n): "new" for n in range(1001)}}, "values.status")])
def test_refused_values(space, values, field):
    job = space.inspected(people(1))["id"]
    problem = space.refused(job, "mapping", 400, "invalid_field", "PUT", {"values": values})
    assert problem["errors"][0]["field"] == field
