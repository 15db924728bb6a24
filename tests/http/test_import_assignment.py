"""Who gets the records: one person, several in turn, or whom a column of the file names."""
import pytest

from space import Space, table


@pytest.fixture
def space(gate):
    space = Space(gate)
    for user, name in [("u1", "Marie Durand"), ("u2", "Éric Lefèvre"), ("u3", "Zoé Petit")]:
        space.add_profile(user, name)
    return space


def people(count, first=0):
    return table([["Nom", "Email"]] + [[f"N{n}", f"n{n}@example.com"] for n in range(first, first + count)])


def by_mail(space):
    return dict(space.leads("email, assigned_to"))


def test_in_turn(space):
    state = space.imported(people(10), assignment={"mode": "round_robin", "userIds": ["u1", "u2", "u3"]})
    assert state["assignment"] == {"mode": "round_robin", "userIds": ["u1", "u2", "u3"]}
    expected = {f"n{n}@example.com": ["u1", "u2", "u3"][n % 3] for n in range(10)}
    assert by_mail(space) == expected, "expected the users in turn, in the order of the file"


def test_turns_pass_over_rows_that_do_not_come_in(space):
    space.imported(people(2, 3))
    rows = [["Nom", "Email"]] + [[f"N{n}", "bad" if n == 1 else f"n{n}@example.com"] for n in range(8)]
    space.imported(table(rows), assignment={"mode": "round_robin", "userIds": ["u1", "u2"]})
    got = by_mail(space)
    assert [got[f"n{n}@example.com"] for n in (0, 2, 5, 6, 7)] == ["u1", "u2", "u1", "u2", "u1"]
    assert got["n3@example.com"] is None, "expected the stored lead to stay as it is"


def test_turns_over_lanes_are_even(space):
    space.imported(people(60000), assignment={"mode": "round_robin", "userIds": ["u1", "u2", "u3"]})
    counts = dict(space.gate.sql("SELECT assigned_to, count(*) FROM crm.lead WHERE space = %s GROUP BY 1", space.name))
    assert counts == {"u1": 20000, "u2": 20000, "u3": 20000}


def test_turns_go_on_after_a_stop(space):
    job = space.parsed(people(30000))["id"]
    space.call(job, "commit", 202, json={"assignment": {"mode": "round_robin", "userIds": ["u1", "u2", "u3"]}})
    space.soon(lambda: space.get(job)["counts"]["inserted"] > 0, "the first leads")
    if space.api("POST", f"/api/import/jobs/{job}/cancel").status_code == 202:
        space.wait(job, ("cancelled", "completed"))
        space.call(job, "retry")
    space.wait(job, "completed")
    got = by_mail(space)
    wrong = [n for n in range(30000) if got[f"n{n}@example.com"] != ["u1", "u2", "u3"][n % 3]]
    assert not wrong, f"expected every lead to be where its turn was, {len(wrong)} are not, the first is {wrong[0]}"


def test_by_the_names_in_a_column(space):
    space.add_profile("u4", "Marie Petit")
    rows = [["Nom", "Email", "Suivi"], ["A", "a@example.com", "MARIE DURAND"], ["B", "b@example.com", "eric"], ["C", "c@example.com", " Zoe  petit"],
            ["D", "d@example.com", "u2"], ["E", "e@example.com", "Marie"], ["F", "f@example.com", ""], ["G", "g@example.com", "Inconnue"], ["H", "h@example.com", "Marie"]]
    state = space.imported(table(rows), assignment={"mode": "by_column", "column": "Suivi"})
    assert by_mail(space) == {"a@example.com": "u1", "b@example.com": "u2", "c@example.com": "u3", "d@example.com": "u2", "e@example.com": None,
                              "f@example.com": None, "g@example.com": None, "h@example.com": None}
    assert state["unknownAssignees"] == [{"value": "Marie", "rows": 2}, {"value": "Inconnue", "rows": 1}], "expected the names that are nobody's"
    assert state["assignment"] == {"mode": "by_column", "column": 2}


def test_a_mapped_column_of_names_needs_no_mode(space):
    state = space.imported(table([["Email", "Nom", "Commercial"], ["a@example.com", "A", "Zoé Petit"], ["b@example.com", "B", "u1"], ["c@example.com", "C", "?"]]))
    assert by_mail(space) == {"a@example.com": "u3", "b@example.com": "u1", "c@example.com": None}
    assert state["unknownAssignees"] == [{"value": "?", "rows": 1}]


def test_people_of_other_spaces_are_nobody(space):
    Space(space.gate).add_profile("far", "Luc Far")
    space.imported(table([["Email", "Nom", "Qui"], ["a@example.com", "A", "Luc Far"]]), assignment={"mode": "by_column", "column": 2})
    assert by_mail(space) == {"a@example.com": None}


@pytest.mark.parametrize("assignment, field, code", [
    ({"mode": "round_robin"}, "assignment.userIds", "invalid_field"), ({"mode": "round_robin", "userIds": []}, "assignment.userIds", "invalid_field"),
    ({"mode": "round_robin", "userIds": ["u1", 7]}, "assignment.userIds", "invalid_field"),
    ({"mode": "round_robin", "userIds": ["u1", ""]}, "assignment.userIds", "invalid_field"),
    ({"mode": "round_robin", "userIds": ["u1"] * 1001}, "assignment.userIds", "invalid_field"),
    ({"mode": "round_robin", "userIds": ["u1", 'no"{}\\body']}, "assignment.userIds", "assignee_unknown"),
    ({"mode": "by_column"}, "assignment.column", "invalid_field"), ({"mode": "by_column", "column": "Absent"}, "assignment.column", "invalid_field"),
    ({"mode": "by_column", "column": 2}, "assignment.column", "invalid_field"), ({"mode": "by_column", "column": -1}, "assignment.column", "invalid_field"),
    ({"mode": "by_column", "column": True}, "assignment.column", "invalid_field")])
def test_refused(space, assignment, field, code):
    job = space.parsed(people(1))["id"]
    problem = space.refused(job, "commit", 422 if code == "assignee_unknown" else 400, code, json={"assignment": assignment})
    assert problem["errors"][0]["field"] == field, f"expected {field} to be named, got {problem}"


def test_too_many_names_fail_and_another_choice_goes_through(space):
    job = space.parsed(table([["Nom", "Email", "Qui"]] + [[f"N{n}", f"n{n}@example.com", f"name {n}"] for n in range(10001)]))["id"]
    space.call(job, "commit", 202, json={"assignment": {"mode": "by_column", "column": "Qui"}})
    space.failed(job, "too_many_names")
