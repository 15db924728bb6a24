"""A completed import is taken back: what it inserted goes, what it updated is as before, and what somebody has touched since stays."""
import os
import subprocess
import threading

import psycopg
import pytest

from instance import BUILD, expect_problem, unique
from space import JOBS, Space, people, table
from patient import Client, end, look, reach

HEAD = ["Prénom", "Nom", "Email", "Téléphone", "Entreprise", "Notes"]


@pytest.fixture
def space(gate):
    return Space(gate)


@pytest.fixture
def fine(own_instance):
    """A space where an undo takes many small steps, and whose processes may be killed."""
    return Space(own_instance(import__slice_rows=1000, worker__lease_s=5, worker__reap_s=1))


def sheet(*lines):
    return table([HEAD, *lines])


def everything(space):
    """All leads of a space as they stand, but for when they were touched."""
    return space.gate.sql("SELECT to_jsonb(l) - 'updated_at' FROM crm.lead l WHERE space = %s ORDER BY id", space.name)


def history(space, lead):
    return [event for event, in space.gate.sql("SELECT event_type FROM crm.lead_history WHERE lead_id = %s ORDER BY created_at", lead)]


def lead(space, email, columns="id"):
    return space.gate.sql(f"SELECT {columns} FROM crm.lead WHERE space = %s AND email = %s", space.name, email)[0][0]


def ends(space, job):
    """{row number: (result, reason)} of the rows that an undo reached."""
    return {row["rowNumber"]: (row["undo"]["result"], row["undo"]["reason"]) for row in space.rows(job) if row["undo"]}


# ------------------------------------------------------------------------------------------------------------------ the rule

def test_what_was_inserted_goes(space):
    other = space.add_lead(email="other@example.com", last_name="Other")
    state = space.imported(sheet(["Ana", "Durand", "ana@example.com", "", "SNCF", ""], ["Zoé", "Petit", "zoe@example.com", "", "", "x"], ["", "", "nothing", "", "", ""]))
    ids = [identifier for identifier, in space.gate.sql("SELECT id FROM crm.lead WHERE import_job_id = %s", state["id"])]
    assert all(row["undo"] is None for row in space.rows(state["id"])), "expected no word of an undo before there is one"
    job = space.call(state["id"], "undo")
    assert job["status"] == job["phase"] == "undoing" and job["counts"]["reversed"] == 0
    space.wait(job["id"], "undone")
    job = space.undone(job["id"])
    assert (job["counts"]["reversed"], job["counts"]["kept"], job["counts"]["errored"]) == (2, 0, 0)
    assert (job["progress"]["done"], job["progress"]["total"], job["progress"]["percent"]) == (3, 3, 100) and job["completedAt"] and job["error"] is None
    assert everything(space)[0][0]["id"] == str(other) and len(space.leads()) == 1, "expected the other lead to stay, and no other"
    assert all(history(space, identifier) == ["imported", "import_undone"] for identifier in ids), "expected the history to outlive the leads"
    assert ends(space, job["id"]) == {2: ("reversed", None), 3: ("reversed", None)}


def test_the_one_who_undoes_is_named(space):
    job = space.imported(people(2))["id"]
    colleague = Space(space.gate, sub=unique("colleague"), name=space.name)
    colleague.undo(job)
    assert space.gate.sql("SELECT event_type, min(actor_id), count(*) FROM crm.lead_history WHERE job_id = %s GROUP BY 1 ORDER BY 1", job) == [
        ("import_undone", colleague.sub, 2), ("imported", space.sub, 2)]


def test_what_was_updated_is_as_before(space):
    space.add_profile("vera")
    old = space.add_lead(email="Ana@Example.com", phone="+33611111111", last_name="Stored", company="Old", status="won", source="Salon", assigned_to="vera",
                         updated_at="2020-01-01", created_at="2020-01-01")
    before = everything(space)
    state = space.imported(sheet(["Ana", "Durand", "ana@example.com", "", "New", "added"], ["Max", "Roux", "max@example.com", "", "", ""]), strategy="update")
    assert (state["counts"]["inserted"], state["counts"]["updated"]) == (1, 1) and everything(space) != before
    counts = space.undo(state["id"])["counts"]
    assert (counts["reversed"], counts["kept"], counts["errored"]) == (2, 0, 0)
    assert everything(space) == before, "expected the lead as it was, and the new one gone"
    [(fresh, images)] = space.gate.sql("SELECT l.updated_at > now() - interval '1 hour', (SELECT array_agg(h.after_data->>'company' ORDER BY h.created_at) FROM crm.lead_history h "
                                       "WHERE h.lead_id = l.id) FROM crm.lead l WHERE id = %s", old)
    assert fresh and images == ["New", "Old"], f"expected the undo to be a change that is seen, with images, got {fresh}, {images}"


def test_create_and_skip(space):
    space.add_lead(email="p0@example.com", last_name="Stored")
    before = everything(space)
    made = space.imported(people(5), strategy="create")["id"]
    skipped = space.parsed(people(7), allowDuplicate=True)["id"]
    counts = space.commit(skipped)["counts"]
    assert (counts["inserted"], counts["skipped"]) == (2, 5)
    counts = space.undo(skipped)["counts"]
    assert (counts["reversed"], counts["kept"]) == (2, 0)
    assert len(space.leads()) == 6, "expected an undo to leave alone what its import skipped"
    assert space.undo(made)["counts"]["reversed"] == 5
    assert everything(space) == before


def test_values_of_every_kind(space):
    """Dates of the file, defaults of the commit and of the table, an assigned user: none of them looks like an edit."""
    space.add_profile("vera")
    data = table([["Nom", "Email", "Statut", "Source", "Date de création", "Dernière modification", "Pays"],
                  ["A", "a@example.com", "Gagné", "Salon", "2019-05-01", "2031-01-01", "Belgique"], ["B", "b@example.com", "", "", "", "2001-02-03 10:00", ""],
                  ["C", "c@example.com", "nonsense", "", "01/02/2003", "", "France"]])
    job = space.imported(data, assignment={"mode": "single", "userId": "vera"}, defaults={"status": "contacted", "source": "Web"})["id"]
    assert space.leads("assigned_to") == [("vera",)] * 3
    assert space.undo(job)["counts"]["reversed"] == 3
    assert not space.leads()


# ------------------------------------------------------------------------------------------------------------------- edited

@pytest.mark.parametrize("edit", [
    "company = 'Other', updated_at = now()", "company = 'Other'", "notes = 'called'", "phone = NULL", "updated_at = now() + interval '1 second'"])
def test_an_edited_lead_is_kept(space, edit):
    job = space.imported(sheet(*[["Ana", f"D{n}", f"d{n}@example.com", "0612345678", "SNCF", ""] for n in range(3)]), strategy="create")["id"]
    space.gate.sql(f"UPDATE crm.lead SET {edit} WHERE space = %s AND email = 'd1@example.com'", space.name)
    edited = lead(space, "d1@example.com", "to_jsonb(lead)")
    counts = space.undo(job)["counts"]
    assert (counts["reversed"], counts["kept"], counts["errored"]) == (2, 1, 0)
    assert space.leads("to_jsonb(lead)") == [(edited,)], "expected the edited lead as it stood"
    assert ends(space, job)[3] == ("kept", "edited_since")
    [row] = space.rows(job, "kept", language="fr")
    assert row["rowNumber"] == 3 and "modifié depuis" in row["undo"]["message"] and row["action"] == "import"


def test_a_line_of_history_is_an_edit(space):
    job = space.imported(people(3))["id"]
    space.gate.sql("INSERT INTO crm.lead_history (space, lead_id, event_type) VALUES (%s, %s, 'comment_added')", space.name, lead(space, "p1@example.com"))
    counts = space.undo(job)["counts"]
    assert (counts["reversed"], counts["kept"]) == (2, 1)
    assert space.leads() == [("p1@example.com",)]


def test_an_updated_lead_keeps_later_edits(space):
    """Of what the import changed nothing may have been edited; anything else may, and stays edited."""
    for n in range(3):
        space.add_lead(email=f"d{n}@example.com", last_name="Stored", company="Old", city="Lyon")
    job = space.imported(sheet(*[["Ana", "", f"d{n}@example.com", "", "New", ""] for n in range(3)]), strategy="update")["id"]
    space.gate.sql("UPDATE crm.lead SET company = 'Edited', updated_at = now() WHERE id = %s", lead(space, "d0@example.com"))
    space.gate.sql("UPDATE crm.lead SET city = 'Paris', updated_at = now() WHERE id = %s", lead(space, "d1@example.com"))
    counts = space.undo(job)["counts"]
    assert (counts["reversed"], counts["kept"]) == (2, 1)
    assert sorted(space.leads("email, first_name, company, city")) == [
        ("d0@example.com", "Ana", "Edited", "Lyon"), ("d1@example.com", None, "Old", "Paris"), ("d2@example.com", None, "Old", "Lyon")]
    assert ends(space, job)[2] == ("kept", "edited_since")


def test_two_imports_come_undone_in_either_order(space):
    """The second has written over leads of the first: the first can only go after the second."""
    first = space.imported(sheet(["Ana", "Durand", "ana@example.com", "", "One", ""], ["Zoé", "Petit", "zoe@example.com", "", "One", ""]))["id"]
    second = space.imported(sheet(["Ana", "Durand", "ana@example.com", "", "Two", ""]), strategy="update")["id"]
    third = space.imported(sheet(["Ana", "Durand", "ana@example.com", "", "Three", ""]), strategy="update")["id"]
    assert space.undo(second)["counts"]["kept"] == 1, "expected a lead that a later import has changed to be kept"
    assert lead(space, "ana@example.com", "company") == "Three"
    assert space.undo(third)["counts"]["reversed"] == 1
    assert lead(space, "ana@example.com", "company") == "Two"
    counts = space.undo(first)["counts"]
    assert (counts["reversed"], counts["kept"]) == (1, 1), "expected the lead that the second import has changed for good to be kept"
    other = Space(space.gate)
    first = other.imported(sheet(["Ana", "Durand", "ana@example.com", "", "One", ""]))["id"]
    second = other.imported(sheet(["Ana", "Durand", "ana@example.com", "", "Two", ""]), strategy="update")["id"]
    assert other.undo(second)["counts"]["reversed"] == 1 and lead(other, "ana@example.com", "company") == "One"
    assert other.undo(first)["counts"]["reversed"] == 1, "expected an import that was taken back not to count as an edit"
    assert not other.leads()


# --------------------------------------------------------------------------------------------------------------------- gone

@pytest.mark.parametrize("how", ["DELETE FROM crm.lead", "UPDATE crm.lead SET deleted_at = now(), updated_at = now()"])
def test_what_is_gone_needs_no_undo(space, how):
    space.add_lead(email="d0@example.com", company="Old")
    job = space.imported(sheet(*[["Ana", "D", f"d{n}@example.com", "", "New", ""] for n in range(4)]), strategy="update")["id"]
    space.gate.sql(f"{how} WHERE space = %s AND email IN ('d0@example.com', 'd1@example.com')", space.name)
    counts = space.undo(job)["counts"]
    assert (counts["reversed"], counts["kept"], counts["errored"]) == (4, 0, 0), f"expected what is gone to be no exception, got {counts}"
    assert not space.leads() if how.startswith("DELETE") else sorted(space.leads("email")) == [("d0@example.com",), ("d1@example.com",)]


# ------------------------------------------------------------------------------------------------------------------ refused

@pytest.fixture
def calls(space):
    """A table that refers to leads, as another program might have made it."""
    name = f"crm.call_{space.name.replace('-', '_')}"
    space.gate.sql(f"CREATE TABLE {name} (lead_id uuid PRIMARY KEY REFERENCES crm.lead (id))")
    yield name
    space.gate.sql(f"DROP TABLE {name}")


def test_a_lead_that_something_refers_to_stays_alone(space, calls):
    job = space.imported(people(40))["id"]
    for n in (0, 7, 8, 39):
        space.gate.sql(f"INSERT INTO {calls} VALUES (%s)", lead(space, f"p{n}@example.com"))
    counts = space.undo(job)["counts"]
    assert (counts["reversed"], counts["kept"], counts["errored"]) == (36, 0, 4)
    assert sorted(space.leads()) == [(f"p{n}@example.com",) for n in (0, 39, 7, 8)]
    assert {number: end for number, end in ends(space, job).items() if end[0] == "errored"} == {n + 2: ("errored", "still_referenced") for n in (0, 7, 8, 39)}


def test_any_number_of_refusals_ends_in_an_undone_import(space, calls):
    job = space.imported(people(1100))["id"]
    space.gate.sql(f"INSERT INTO {calls} SELECT id FROM crm.lead WHERE space = %s", space.name)
    counts = space.undo(job)["counts"]
    assert (counts["reversed"], counts["errored"]) == (0, 1100)


def test_an_image_that_cannot_be_restored(space):
    """The user a lead was assigned to is gone, a rule of the table refuses the old value, the history has been thinned out."""
    for user in ("vera", "walter"):
        space.add_profile(user)
    for n in range(4):
        space.add_lead(email=f"d{n}@example.com", company=f"Old{n}", assigned_to="vera" if n == 0 else None)
    data = table([["Email", "Entreprise", "Nom", "Assigné à"]] + [[f"d{n}@example.com", f"New{n}", "D", "walter"] for n in range(4)])
    job = space.imported(data, strategy="update")["id"]
    space.gate.sql("DELETE FROM crm.profile WHERE space = %s AND id = 'vera'", space.name)
    space.gate.sql("DELETE FROM crm.lead_history WHERE lead_id = %s", lead(space, "d2@example.com"))
    function = f"crm.no_{space.name.replace('-', '_')}"
    space.gate.sql(f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                   "IF NEW.company = 'Old1' THEN RAISE 'not that one'; END IF; RETURN NEW; END $$")
    space.gate.sql(f"CREATE TRIGGER no BEFORE UPDATE ON crm.lead FOR EACH ROW WHEN (NEW.space = '{space.name}') EXECUTE FUNCTION {function}()")
    try:
        space.call(job, "undo")
        state = space.wait(job, "undone")
    finally:
        space.gate.sql(f"DROP FUNCTION {function} CASCADE")
    assert (state["counts"]["reversed"], state["counts"]["kept"], state["counts"]["errored"]) == (1, 0, 3)
    assert ends(space, job) == {2: ("errored", "undo_refused"), 3: ("errored", "undo_refused"), 4: ("errored", "image_gone"), 5: ("reversed", None)}
    assert sorted(space.leads("email, company")) == [("d0@example.com", "New0"), ("d1@example.com", "New1"), ("d2@example.com", "New2"), ("d3@example.com", "Old3")]


# -------------------------------------------------------------------------------------------------------- who and when

def test_only_a_completed_import_of_ones_own_space(space):
    job = space.imported(people(2))["id"]
    stranger = Space(space.gate)
    stranger.refused(job, "undo", 404, "not_found")
    member = space.gate.token("member", sub=space.sub, space=space.name)
    expect_problem(space.gate.api("POST", f"{JOBS}/{job}/undo", token=member), 403, "forbidden")
    expect_problem(space.gate.api("POST", f"{JOBS}/{job}/undo", token=None), 401, "unauthorized")
    assert len(space.leads()) == 2
    space.undo(job)
    for call in ("undo", "retry", "cancel", "commit", "parse"):
        assert space.refused(job, call, 409, "wrong_state")["state"] == "undone"
    ready = space.parsed(people(2, 50))["id"]
    assert space.refused(ready, "undo", 409, "wrong_state")["state"] == "ready"


def test_a_double_tap_undoes_once(space):
    job, statuses = space.imported(people(300))["id"], []
    taps = [threading.Thread(target=lambda: statuses.append(space.api("POST", f"{JOBS}/{job}/undo").status_code)) for _ in range(5)]
    for tap in taps:
        tap.start()
    for tap in taps:
        tap.join()
    assert statuses.count(202) == 1 and set(statuses) <= {202, 409}, f"expected one 202 and otherwise 409, got {sorted(statuses)}"
    space.wait(job, "undone")
    assert space.undone(job)["counts"]["reversed"] == 300


def test_a_key_repeats_the_answer(space):
    job, key = space.imported(people(3))["id"], {"Idempotency-Key": unique()}
    first = space.call(job, "undo", headers=key)
    space.wait(job, "undone")
    assert space.call(job, "undo", headers=key) == first, "expected the first answer again"


def test_another_space_is_not_touched(space):
    neighbour = Space(space.gate)
    theirs = neighbour.imported(people(5))["id"]
    before = everything(neighbour)
    space.undo(space.imported(people(5))["id"])
    assert everything(neighbour) == before and neighbour.ledger(theirs)
    assert not neighbour.gate.sql("SELECT 1 FROM crm.lead_history WHERE space = %s AND event_type = 'import_undone'", neighbour.name)


# ------------------------------------------------------------------------------------------------------------ afterwards

def test_the_same_file_comes_in_again(space):
    data = people(20)
    first = space.imported(data)["id"]
    space.undo(first)
    second = space.parsed(data)
    assert second["counts"]["duplicateInDatabase"] == 0, f"expected no duplicate of what is gone, got {second['counts']}"
    assert space.commit(second["id"])["counts"]["inserted"] == 20
    space.undone(first)
    assert space.undo(second["id"])["counts"]["reversed"] == 20


def test_report_and_ledger_outlive_the_undo(space):
    job = space.imported(people(5) + "x,y,bad,z\n")["id"]
    before, counts = space.report(job)[0].content, space.ledger(job)["counts"]
    after = space.undo(job)["counts"]
    assert {name: after[name] for name in counts if name not in ("reversed", "kept", "errored")} == {
        name: counts[name] for name in counts if name not in ("reversed", "kept", "errored")}, "expected the counts of the import to stay"
    assert space.report(job)[0].content == before
    [listed] = [item for item in space.api("GET", f"{JOBS}?status=undone").json()["items"] if item["id"] == job]
    assert listed["counts"]["reversed"] == 5


def test_an_undone_import_is_deleted_with_all_it_left(space):
    job = space.imported(people(5))["id"]
    space.gate.sql("UPDATE crm.lead SET notes = 'mine' WHERE id = %s", lead(space, "p1@example.com"))
    space.undo(job)
    number = space.number(job)
    space.call(job, "", 204, "DELETE")
    space.soon(lambda: space.gate.sql("SELECT to_regclass(%s), to_regclass(%s)", f"tidegate.import_row_{number}", f"tidegate.import_undo_{number}") == [(None, None)],
               "the partitions to go")
    assert space.leads() == [("p1@example.com",)], "expected the lead that was kept to stay"
    assert space.gate.sql("SELECT count(*) FROM crm.lead_history WHERE job_id = %s", job) == [(9,)], "expected the history to stay"


def test_another_target(gate):
    """Numbers, truths and lower-case keys: no text, no assigned user, no status."""
    space = Space(gate)
    space.gate.sql("INSERT INTO venue.menu_item (space, sku, name, price) VALUES (%s, 'T-1', 'Thé', 300)", space.name)
    data = table([["Référence", "Nom", "Prix", "Disponible", "Ordre"], ["T-1", "Thé vert", "3,50", "non", "4"], ["C-1", "Café", "2", "", ""], ["C-2", "Crème", "2,5", "oui", "7"]])
    job = space.parsed(data, target="menu_item")["id"]
    space.call(job, "commit", json={"duplicates": {"strategy": "update", "fields": ["sku"]}})
    assert space.wait(job, "completed")["counts"]["updated"] == 1
    space.gate.sql("UPDATE venue.menu_item SET price = 260 WHERE space = %s AND sku = 'C-2'", space.name)
    space.call(job, "undo")
    counts = space.wait(job, "undone")["counts"]
    assert (counts["reversed"], counts["kept"], counts["errored"]) == (2, 1, 0)
    assert sorted(space.gate.sql("SELECT sku, name, price, available, sort_order FROM venue.menu_item WHERE space = %s", space.name)) == [
        ("C-2", "Crème", 260, True, 7), ("T-1", "Thé", 300, True, 0)]


# --------------------------------------------------------------------------------------------------- cancel, retry, kill -9

@pytest.fixture(scope="module")
def sample():
    """40 000 rows, some invalid and some repeated: two lanes."""
    return subprocess.run([os.path.join(BUILD, "sample"), "40000", "5"], check=True, capture_output=True).stdout


def large(space, sample):
    """A large import that has updated every second lead and inserted the others; the leads before it, and the import."""
    peace = type(space)(space.gate)
    peace.imported(sample)
    space.gate.sql("INSERT INTO crm.lead (space, external_id, email, phone, last_name, company) SELECT %s, external_id, email, phone, last_name, 'before' "
                   "FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM crm.lead WHERE space = %s) l WHERE n %% 2 = 0", space.name, peace.name)
    before = content(space)
    state = space.imported(sample, strategy="update")
    assert state["counts"]["updated"] > 10000 and state["counts"]["inserted"] > 10000
    return before, state


def content(space):
    return space.gate.sql("SELECT count(*), md5(string_agg((to_jsonb(l) - 'updated_at')::text, '' ORDER BY id)) FROM crm.lead l WHERE space = %s", space.name)


def test_killed_again_and_again(make_gate, sample):
    fine = Client(make_gate(fsync="on", import__slice_rows=1000, worker__lease_s=5, worker__reap_s=1))
    before, state = large(fine, sample)
    job, wrote = state["id"], state["counts"]["inserted"] + state["counts"]["updated"]
    fine.call(job, "undo")
    deaths = 0
    for victim, moment in (("work", 0), ("work", 0.2), ("postgres", 0.4), ("work", 0.6), ("postgres", 0.8)):
        if reach(fine, job, "undoing", int(40000 * moment)):
            fine.gate.restart_postgres() if victim == "postgres" else fine.gate.kill("work")
            deaths += 1
    end(fine, job, "undone")
    assert deaths >= 3, f"expected to meet the undo under way, killed {deaths} times"
    counts = fine.undone(job)["counts"]
    assert (counts["reversed"], counts["kept"], counts["errored"]) == (wrote, 0, 0), f"expected every record to be taken back once, got {counts}"
    assert content(fine) == before, "expected the leads as they were before the import"
    lines = fine.gate.sql("SELECT count(*) FROM crm.lead_history WHERE job_id = %s AND event_type = 'import_undone'", job)[0][0]
    assert lines == wrote, f"expected one line of history for each of {wrote} records, got {lines}"


def test_cancelled_and_gone_on_with(fine, sample):
    before, state = large(fine, sample)
    job, wrote = state["id"], state["counts"]["inserted"] + state["counts"]["updated"]
    seen = []
    fine.call(job, "undo")

    def under_way():
        found = fine.get(job)
        assert found["status"] == "undoing", f"expected to meet the undo under way, got {found}"
        seen.append(found["progress"])
        return found["progress"]["done"] > 4000
    fine.soon(under_way, "some rows of the undo")
    assert any(progress["rowsPerSecond"] > 0 and progress["etaSeconds"] is not None for progress in seen), f"expected a rate and a remaining time, got {seen}"
    fine.refused(job, "", 409, "wrong_state", "DELETE")
    fine.refused(job, "undo", 409, "wrong_state")
    fine.call(job, "cancel")
    stopped = fine.wait(job, "cancelled")
    done = stopped["counts"]["reversed"]
    assert stopped["phase"] == "undoing" and 0 < done < wrote and stopped["counts"]["cancelled"] == 0, f"expected the undo to stop in the middle, got {stopped}"
    page = fine.call(job, "rows?state=reversed&limit=500", 200, "GET")["items"]
    assert len(page) == 500 and {row["undo"]["result"] for row in page} == {"reversed"} and not fine.rows(job, "cancelled")
    answer = fine.api("POST", JOBS, json={"objectKey": fine.gate.upload(sample, token=fine.token), "fileName": "leads.csv", "fileSize": len(sample)})
    expect_problem(answer, 409, "duplicate_file")
    fine.refused(job, "undo", 409, "wrong_state")
    fine.call(job, "retry")
    end(fine, job, "undone")
    assert fine.undone(job)["counts"]["reversed"] == wrote
    assert content(fine) == before


def test_a_failed_undo_is_retried(fine, sample):
    before, state = large(fine, sample)
    job, wrote = state["id"], state["counts"]["inserted"] + state["counts"]["updated"]
    fine.call(job, "undo")
    assert reach(fine, job, "undoing", 4000)
    fine.gate.sql("UPDATE tidegate.job SET attempt = max_attempts WHERE args->>'id' = %s", job)
    fine.gate.kill("work")
    fine.gate.sql("UPDATE tidegate.job SET lease_until = now() WHERE args->>'id' = %s", job)
    fine.soon(lambda: (look(fine, job) or [""])[0] == "failed", "the undo to be given up")
    found = fine.get(job)
    assert found["error"]["code"] == "worker_died" and found["phase"] == "undoing" and found["counts"]["cancelled"] == 0
    assert 0 < found["counts"]["reversed"] < wrote and not fine.rows(job, "cancelled")
    fine.call(job, "retry")
    end(fine, job, "undone")
    assert fine.undone(job)["counts"]["reversed"] == wrote
    assert content(fine) == before


def test_cancelled_before_it_begins(space):
    job = space.imported(people(5))["id"]
    with psycopg.connect(space.gate._conninfo("tidegate")) as wall:
        wall.execute("LOCK TABLE crm.lead")
        space.call(job, "undo")
        space.call(job, "cancel")
    state = space.wait(job, ("cancelled", "undone"))
    assert state["status"] == "cancelled", f"expected a cancel that came first to count, got {state}"
    space.call(job, "retry")
    space.wait(job, "undone")
    assert space.undone(job)["counts"]["reversed"] == 5


def test_an_undo_and_a_commit_of_one_space_take_turns(fine):
    """The commit asks who is a duplicate after the undo has ended, or writes before it begins."""
    first = fine.imported(people(3000))["id"]
    second = fine.parsed(people(3000) + "Eva,Last,last@example.com,X\n")["id"]
    fine.call(first, "undo")
    fine.call(second, "commit")
    fine.wait(first, "undone")
    counts = fine.wait(second, "completed")["counts"]
    assert (counts["inserted"], counts["skipped"]) == (3001, 0), f"expected the commit to find the leads gone, got {counts}"
    assert len(fine.leads()) == 3001
