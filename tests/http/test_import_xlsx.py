"""A workbook from the upload to leads: sheets, types of cells, overrides, checkpoints, report, and files that are no workbook."""
import io

import openpyxl
import pytest

from space import Space, read_report
from xlsx import pack, relations, table

def workbook(rows):
    return pack(table(rows))


HEAD = ["Prénom", "Nom", "Email", "Téléphone", "Code postal", "Date de création"]


@pytest.fixture
def space(gate):
    return Space(gate)


def written(table, sheets=()):
    """As a spreadsheet program writes it: shared texts, numbers, dates with styles."""
    book = openpyxl.Workbook()
    book.active.title = "Prospects"
    for row in table:
        book.active.append(row)
    for name, content in sheets:
        other = book.create_sheet(name)
        for row in content:
            other.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_workbook_becomes_leads(space):
    import datetime
    data = written([HEAD, ["Ana", "DURAND", "Ana@Example.com", 33612345678, 75001, datetime.datetime(2024, 3, 5, 14, 30)],
                    ["Zoé", "Petit", "zoe@example.com", "06 11 22 33 44", "01000", datetime.date(2023, 12, 31)], ["Max", "Roux", "no mail at all", None, None, None]],
                   [("Autre", [["Email"], ["other@example.com"]])])
    state = space.inspected(data, "mes leads.xlsx")
    assert (state["format"], state["sheet"], state["headerRow"]) == ("xlsx", "Prospects", 1), f"got {state}"
    assert [entry["name"] for entry in state["sheets"]] == ["Prospects", "Autre"]
    assert [column["field"] for column in state["columns"]] == ["firstName", "lastName", "email", "phone", "postalCode", "createdAt"]
    state = space.parse(state["id"])
    assert (state["counts"]["total"], state["counts"]["invalid"]) == (3, 1)
    counts = space.commit(state["id"])["counts"]
    assert (counts["inserted"], counts["invalid"]) == (2, 1)
    assert sorted(space.leads("email, phone, postal_code, (created_at AT TIME ZONE 'UTC')::date::text")) == [
        ("ana@example.com", "+33612345678", "75001", "2024-03-05"), ("zoe@example.com", "+33611223344", "01000", "2023-12-31")]


def test_another_sheet_by_override(space):
    job = space.inspected(written([["Notes"], ["rien"]], [("Clients", [["Nom", "Email"], ["Durand", "ana@example.com"]])]), "a.xlsx")["id"]
    space.call(job, "mapping", 202, "PUT", {"sheet": "Clients"})
    state = space.wait(job, "mapping")
    assert state["sheet"] == "Clients" and [column["field"] for column in state["columns"]] == ["lastName", "email"]
    space.parse(job)
    assert space.commit(job)["counts"]["inserted"] == 1


def test_a_sheet_that_is_not_there_fails_and_can_be_put_right(space):
    job = space.inspected(workbook([["Nom", "Email"], ["Durand", "ana@example.com"]]), "a.xlsx")["id"]
    space.call(job, "mapping", 202, "PUT", {"sheet": "Nulle part"})
    space.failed(job, "sheet_not_found")
    space.call(job, "mapping", 202, "PUT", {"sheet": "Sheet1"})
    assert space.wait(job, "mapping")["sheet"] == "Sheet1"


def test_the_name_does_not_matter_the_content_does(space):
    assert space.inspected(workbook([["Nom", "Email"], ["Durand", "ana@example.com"]]), "leads.csv")["format"] == "xlsx"
    assert space.inspected("Nom,Email\nDurand,ana@example.com\n", "leads.xlsx")["format"] == "csv"


def test_a_header_below_a_title(space):
    job = space.inspected(workbook([["Prospects 2024"], [None, None], ["Nom", "Email"], ["Durand", "ana@example.com"], ["Petit", "zoe@example.com"]]), "a.xlsx")
    assert job["headerRow"] == 3, f"expected the headings in row 3, got {job['headerRow']}"
    space.parse(job["id"])
    assert [row["rowNumber"] for row in space.rows(job["id"])] == [4, 5]
    assert space.commit(job["id"])["counts"]["inserted"] == 2


def test_a_large_workbook_is_cancelled_and_goes_on(space):
    job = space.inspected(workbook([["Nom", "Email"]] + [[f"N{n}", f"n{n}@example.com"] for n in range(20000)]), "a.xlsx")["id"]
    space.call(job, "parse")
    space.soon(lambda: space.get(job)["counts"]["total"] > 0, "the first rows")
    if space.api("POST", f"/api/import/jobs/{job}/cancel").status_code == 202:
        space.wait(job, ("cancelled", "ready"))
        space.call(job, "retry")
    space.wait(job, "ready")
    assert space.commit(job)["counts"]["inserted"] == 20000


def test_the_report_of_a_workbook_can_be_imported_again(space):
    job = space.parsed(workbook([["Nom", "Email"], ["Durand", "bad"], ["Petit", "zoe@example.com"]]), "a.xlsx")["id"]
    file, said = space.report(job)
    table = read_report(file, ",")
    assert said["rows"] == 1 and table[0] == ["Nom", "Email", "_ligne", "_erreurs"] and table[1][:3] == ["Durand", "bad", "2"]
    fixed = file.content.replace(b"bad", b"ana@example.com")
    assert space.imported(fixed, "report.csv")["counts"]["inserted"] == 1


FAILURES = {
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4000), ("old_excel", "looks_like_xls", "password_protected")),
    "OpenDocument": (pack({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<x/>"}), "looks_like_ods"),
    "a document": (pack({"word/document.xml": "<x/>"}), ("not_a_workbook", "part_missing")), "a damaged zip": (b"PK\3\4" + bytes(500), ("zip_damaged", "not_a_workbook")),
    "headings only": (workbook([["Nom", "Email"]]), "no_rows"), "no cells": (workbook([]), ("no_rows", "empty_file")),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_workbook_that_fails(space, name):
    data, code = FAILURES[name]
    space.failed(space.create(data, "leads.xlsx"), code)


def test_a_chart_is_no_sheet(space):
    made = table([["Nom", "Email"], ["Durand", "ana@example.com"]])
    made["xl/_rels/workbook.xml.rels"] = relations([("rId1", "chartsheet", "worksheets/sheet1.xml")])
    space.failed(space.create(pack(made), "a.xlsx"), "no_worksheet")
