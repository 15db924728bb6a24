"""A target that is nothing but a declaration (schema/venue.json): what holds for leads holds for it, with numbers, amounts and yes or no."""
import pytest

from instance import expect_problem
from space import JOBS, Space, table

FRENCH = [["Référence", "Désignation", "Nom en arabe", "Famille", "Prix TTC", "Dispo", "Ordre d'affichage"],
          ["T-01", "Thé à la menthe", "شاي بالنعناع", "Boissons chaudes", "12,50", "oui", "1"],
          ["C-07", "Café turc", "", "café", "1 020,5 LE", "non", "2"],
          ["", "Chicha pomme", "", "Narguilé", "80", "", ""]]
ENGLISH = [["SKU", "Item name", "Category", "Unit price", "Available", "Position"],
           ["T-01", "Mint tea", "Hot drinks", "12.50", "yes", "1"],
           ["C-07", "Turkish coffee", "coffee", "EGP 1,020.50", "no", "2"],
           ["", "Apple shisha", "Hookah", "80", "", ""]]


@pytest.fixture
def space(gate):
    return Space(gate)


def items(space, columns="sku, name, category, price, available, sort_order"):
    return space.gate.sql(f"SELECT {columns} FROM venue.menu_item WHERE space = %s ORDER BY created_at, sort_order, name", space.name)


def ready(space, data, name="carte.csv"):
    return space.parse(space.inspected(data, name, target="menu_item")["id"])


def committed(space, job, **body):
    space.call(job["id"], "commit", json=body)
    state = space.wait(job["id"], "completed")
    counts = state["counts"]
    assert counts["total"] == sum(counts[name] for name in ("inserted", "updated", "skipped", "invalid", "failed", "cancelled")), counts
    history = space.gate.sql("SELECT count(*) FILTER (WHERE event_type = 'imported'), count(*) FILTER (WHERE event_type = 'updated') "
                             "FROM venue.menu_item_history WHERE job_id = %s AND space = %s AND actor_id = %s", job["id"], space.name, space.sub)[0]
    assert history == (counts["inserted"], counts["updated"]), f"expected a line of history for every change, got {history} for {counts}"
    return counts


@pytest.mark.parametrize("rows, delimiter", [(FRENCH, ";"), (ENGLISH, ",")])
def test_a_menu_all_the_way(space, rows, delimiter):
    job = ready(space, table(rows, delimiter))
    found = [(column["field"], column["confidence"]) for column in job["columns"]]
    wanted = ["sku", "name", "nameAr", "category", "price", "available", "sortOrder"]
    if rows is ENGLISH:
        wanted.remove("nameAr")
    assert found == [(field, 1.0) for field in wanted]
    assert job["counts"]["valid"] == 3 and not job["warnings"]
    assert committed(space, job)["inserted"] == 3
    names = [row[1] for row in rows[1:]]
    assert sorted(items(space), key=lambda item: names.index(item[1])) == [
        ("T-01", names[0], "hot_drink", 1250, True, 1), ("C-07", names[1], "hot_drink", 102050, False, 2), (None, names[2], "shisha", 8000, True, 0)]
    if rows is FRENCH:
        assert ("شاي بالنعناع",) in items(space, "name_ar")


def test_skip_update_and_create(space):
    committed(space, ready(space, table(ENGLISH)))
    changed = [ENGLISH[0], ["T-01", "Green tea", "", "15", "no", ""], ["", "APPLE SHISHA", "", "90", "", "7"], ["N-1", "Water", "water", "5", "", ""]]
    counts = committed(space, ready(space, table(changed), "a.csv"))
    assert (counts["inserted"], counts["skipped"]) == (1, 2)
    counts = committed(space, ready(space, table([*changed, ["N-2", "Juice", "juice", "30", "", ""]]), "b.csv"),
                       duplicates={"strategy": "update", "fields": ["sku", "name"]})
    assert (counts["inserted"], counts["updated"]) == (1, 3)
    by_name = {item[1]: item for item in items(space)}
    assert by_name["Green tea"] == ("T-01", "Green tea", "hot_drink", 1500, False, 1), "an empty cell erases nothing"
    assert by_name["APPLE SHISHA"] == (None, "APPLE SHISHA", "shisha", 9000, True, 7)
    counts = committed(space, ready(space, table([*changed, ["N-3", "Cake", "cakes", "40", "", ""]]), "c.csv"), duplicates={"strategy": "create"})
    assert counts["inserted"] == 4 and len(items(space)) == 9


def test_rows_that_cannot_be_items_stay_out_with_reasons(space):
    bad = [["", "", "", "5", "", ""], ["X", "No price", "", "", "", ""], ["X2", "Dear", "", "beaucoup", "", ""], ["X3", "Too dear", "", "1000001", "", ""],
           ["X4", "Owed", "", "-1", "", ""], ["X5", "Maybe", "", "5", "peut-être", ""], ["X6", "Order", "", "5", "", "1,5"], ["X7", "Odd", "vehicles", "5", "", ""]]
    job = ready(space, table([ENGLISH[0], *bad]))
    said = [[(error["field"], error["code"]) for error in row["errors"]] for row in space.rows(job["id"])]
    assert said == [[("name", "required_missing")], [("price", "required_missing")], [("price", "amount_invalid")], [("price", "number_out_of_range")],
                    [("price", "number_out_of_range")], [("available", "boolean_invalid")], [("sortOrder", "number_invalid")], [("category", "value_unknown")]]
    for language, word in (("fr", "Ce champ doit être rempli."), ("en", "This field must be filled in.")):
        assert space.rows(job["id"], language=language)[0]["errors"][0]["message"] == word
    assert committed(space, job)["inserted"] == 1 and items(space) == [("X7", "Odd", "other", 500, True, 0)]
    file, answer = space.report(job["id"])
    assert answer["rows"] == 7 and "Prix : Ce n'est pas un montant" in file.content.decode("utf-8-sig")


def test_without_name_and_price_there_is_nothing_to_parse(space):
    job = space.inspected("SKU,Price\nX,5\n", target="menu_item")
    expect_problem(space.api("POST", f"{JOBS}/{job['id']}/parse"), 422, "mapping_incomplete")


def test_what_leads_have_and_items_have_not(space):
    job = ready(space, table(ENGLISH))["id"]
    for body in ({"assignment": {"mode": "single", "userId": "x"}}, {"defaults": {"status": "new"}}, {"defaults": {"source": "x"}},
                 {"duplicates": {"fields": ["email"]}}):
        expect_problem(space.api("POST", f"{JOBS}/{job}/commit", json=body), 400, "invalid_field")


def test_items_belong_to_their_space(space, gate):
    other = Space(gate)
    committed(space, ready(space, table(ENGLISH)))
    assert committed(other, ready(other, table(ENGLISH)))["inserted"] == 3, "what another space has is no duplicate"


def test_targets_say_what_a_field_takes(space):
    targets = {target["name"]: target for target in space.api("GET", "/api/import/targets").json()["items"]}
    assert {"lead", "menu_item"} <= set(targets)
    fields = {field["name"]: field for field in targets["menu_item"]["fields"]}
    assert (fields["price"]["type"], fields["price"]["required"]) == ("integer", True) and not fields["sku"]["required"]
    assert targets["menu_item"]["duplicateKeys"] == ["sku", "name"] and fields["category"]["values"][0]["labels"]["fr"] == "Boisson chaude"
