"""Empty files to be filled in: in the reader's language, openable as they are, without a row, and mapped by themselves once filled."""
import io

import openpyxl
import pytest

from instance import expect_problem
from space import Space

TARGETS = ["lead", "menu_item"]
CSV, XLSX = "text/csv; charset=utf-8", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MENU = {"fr": ["T-01", "Thé à la menthe", "شاي", "Boisson chaude", "12,50", "Oui", "1"],
        "en": ["T-01", "Mint tea", "شاي", "Hot drink", "12.50", "Yes", "1"]}
LEAD = {"externalId": "0042", "firstName": "Ana", "lastName": "Durand", "email": "ana@example.com", "phone": "0612345678", "company": "SNCF",
        "jobTitle": "Directrice", "address": "1 rue Haute", "city": "Lyon", "postalCode": "01000", "country": "France", "status": None, "source": "Salon",
        "notes": "à rappeler", "assignedTo": "", "createdAt": "05/03/2026", "updatedAt": "06/03/2026"}


@pytest.fixture
def space(gate):
    return Space(gate)


def template(space, target, kind, language=None, **options):
    query = f"?lang={language}" if language else ""
    answer = space.api("GET", f"/api/import/targets/{target}/template.{kind}{query}", **options)
    assert answer.status_code == 200, f"expected a template, got {answer.status_code} {answer.text[:300]}"
    return answer


def fields_of(space, target):
    return next(entry for entry in space.api("GET", "/api/import/targets").json()["items"] if entry["name"] == target)["fields"]


def labels(space, target, language):
    return [field["labels"][language] for field in fields_of(space, target)]


def filled(space, target, language):
    """A row to write under the headings, in their order."""
    fields = fields_of(space, target)
    if target == "menu_item":
        return MENU[language]
    status = next(value["labels"][language] for field in fields for value in field.get("values", []) if value["value"] == "contacted")
    row = {**LEAD, "status": status}
    assert set(row) == {field["name"] for field in fields}
    return [row[field["name"]] for field in fields]


def maps_by_itself(space, job, target):
    wanted = [(field["name"], 1.0, False) for field in fields_of(space, target)]
    assert [(column["field"], column["confidence"], column["manual"]) for column in job["columns"]] == wanted
    assert job["headerRow"] == 1


@pytest.mark.parametrize("language, delimiter", [("fr", ";"), ("en", ",")])
@pytest.mark.parametrize("target", TARGETS)
def test_csv(space, target, language, delimiter):
    answer = template(space, target, "csv", language)
    assert answer.headers["content-type"] == CSV and answer.headers["content-language"] == language
    assert answer.headers["content-disposition"] == f'attachment; filename="{"modele" if language == "fr" else "template"}-{target}.csv"'
    assert answer.content.startswith(b"\xef\xbb\xbf") and answer.content.endswith(b"\r\n") and answer.content.count(b"\n") == 1
    assert answer.content.decode("utf-8-sig").rstrip().split(delimiter) == labels(space, target, language)
    row = delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in filled(space, target, language))
    job = space.inspected(answer.content + row.encode() + b"\r\n", target=target)
    maps_by_itself(space, job, target)
    assert space.parse(job["id"])["counts"]["valid"] == 1


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("target", TARGETS)
def test_xlsx(space, target, language):
    answer = template(space, target, "xlsx", language)
    assert answer.headers["content-type"] == XLSX and answer.headers["content-disposition"].endswith(f'-{target}.xlsx"')
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    sheet = book.active
    assert len(book.sheetnames) == 1 and [cell.value for cell in sheet[1]] == labels(space, target, language) and sheet.max_row == 1
    assert all(cell.font.bold for cell in sheet[1]) and sheet.freeze_panes == "A2"
    for cell in sheet[1]:
        assert sheet.column_dimensions[cell.column_letter].width >= len(cell.value) + 2
    for column, value in enumerate(filled(space, target, language), 1):
        sheet.cell(2, column).value = value or None
    out = io.BytesIO()
    book.save(out)
    job = space.inspected(out.getvalue(), "rempli.xlsx", target=target)
    maps_by_itself(space, job, target)
    assert space.parse(job["id"])["counts"]["valid"] == 1
    values = space.rows(job["id"])[0]["values"]
    if target == "lead":
        assert values["postalCode"] == "01000" and values["externalId"] == "0042" and values["status"] == "contacted"
    else:
        assert values["price"] == "1250" and values["available"] == "true" and values["category"] == "hot_drink"


def test_texts_are_texts_and_lists_are_lists(space):
    sheet = openpyxl.load_workbook(io.BytesIO(template(space, "lead", "xlsx", "fr").content)).active
    formats = {cell.value: sheet.column_dimensions[cell.column_letter].number_format for cell in sheet[1]}
    assert {formats[name] for name in ("Téléphone", "Code postal", "ID externe")} == {"@"} and formats["Date de création"] == "General"
    rules = {str(rule.sqref): rule for rule in sheet.data_validations.dataValidation}
    status = next(cell.column_letter for cell in sheet[1] if cell.value == "Statut")
    assert list(rules) == [f"{status}2:{status}1048576"] and "Contacté" in rules[f"{status}2:{status}1048576"].formula1
    menu = openpyxl.load_workbook(io.BytesIO(template(space, "menu_item", "xlsx", "fr").content)).active
    lists = sorted(rule.formula1 for rule in menu.data_validations.dataValidation)
    assert lists == ['"Boisson chaude,Boisson froide,Plat,En-cas,Dessert,Chicha,Autre"', '"Oui,Non"']


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_an_empty_template_brings_nothing_in(space, kind):
    job = space.create(template(space, "lead", kind).content, f"vide.{kind}")
    space.failed(job, "no_rows")


@pytest.mark.parametrize("accept, lang, language", [("fr", None, "fr"), ("de", None, "en"), ("", None, "en"), ("en", "fr", "fr"), ("fr", "en", "en")])
def test_language(space, accept, lang, language):
    for kind in ("csv", "xlsx"):
        answer = template(space, "lead", kind, lang, headers={"Accept-Language": accept})
        assert answer.headers["content-language"] == language and "Accept-Language" in answer.headers["vary"]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_head(space, kind):
    path = f"/api/import/targets/lead/template.{kind}"
    get, head = space.api("GET", path), space.api("HEAD", path)
    assert head.status_code == 200 and head.content == b"" and head.headers["content-type"] == get.headers["content-type"]
    assert int(head.headers["content-length"]) > 0 and head.headers["content-disposition"] == get.headers["content-disposition"]


def test_refusals(space, gate):
    for path in ("nobody/template.csv", "nobody/template.xlsx", "profile/template.xlsx", "lead/template.ods", "lead/template", "Lead/template.csv"):
        expect_problem(space.api("GET", f"/api/import/targets/{path}"), 404, "not_found")
    expect_problem(space.api("GET", "/api/import/targets/lead/template.csv?lang=de"), 400, "invalid_field")
    expect_problem(space.api("POST", "/api/import/targets/lead/template.csv"), 405, "method_not_allowed")
    expect_problem(gate.api("GET", "/api/import/targets/lead/template.csv", token="member"), 403, "forbidden")
    expect_problem(gate.api("GET", "/api/import/targets/lead/template.xlsx", token=None), 401, "unauthorized")
