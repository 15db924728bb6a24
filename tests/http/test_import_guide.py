"""docs/imports.en.md and docs/imports.fr.md against the tables they explain: codes, sentences, states, fields, headings, limits. No server."""
import json
import os
import re
import unicodedata

import pytest

from instance import REPOSITORY

TEXT = r'"((?:[^"\\]|\\.)*)"'
LANGUAGES = ("en", "fr")


def read(*path):
    with open(os.path.join(REPOSITORY, *path), encoding="utf-8") as file:
        return file.read()


def sql_of(pattern):
    folder = os.path.join(REPOSITORY, "sql", "migrations")
    return "".join(re.findall(pattern, "".join(read("sql", "migrations", name) for name in sorted(os.listdir(folder))), re.S))


@pytest.fixture(params=LANGUAGES)
def guide(request):
    """The rows of all tables of the guide by their first cell, without the quotes of code."""
    text = read("docs", f"imports.{request.param}.md")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return type("Guide", (), {"text": text, "language": request.param, "pick": LANGUAGES.index(request.param), "rows": rows,
                              "of": lambda self, name: [row for row in rows if row[0].strip("`") == name]})()


def explained(guide, code, sentence):
    rows = [row for row in guide.of(code) if len(row) > 2]
    assert rows, f"expected {code} in docs/imports.{guide.language}.md"
    assert any(row[1] == sentence for row in rows), f"expected the sentence of {code} to be {sentence!r}, got {rows}"
    assert all(len(row[-1]) > 5 for row in rows), f"expected {code} to say what to do"


def test_every_code_of_a_row(guide):
    codes = re.findall(rf"^X\(\w+, {TEXT}, (\w+), {TEXT}, {TEXT}\)", read("handlers", "import", "row_codes.def"), re.M)
    assert len(codes) > 20
    words = {"ERROR": ("stays out", "reste dehors"), "WARNING": ("comes in", "est importée")}
    for code, severity, *sentences in codes:
        explained(guide, code, sentences[guide.pick])
        assert guide.of(code)[0][2] == words[severity][guide.pick], f"expected {code} to be said to be an {severity.lower()}"


# A code that is no more may stay explained: imports that ended with it are still shown.
def test_every_code_of_a_failure(guide):
    codes = re.findall(rf"^FAILURE\({TEXT}, {TEXT}, {TEXT}\)", read("handlers", "import", "failures.def"), re.M)
    assert len(codes) > 50
    for code, *sentences in codes:
        explained(guide, code, sentences[guide.pick])


def test_every_state(guide):
    moves = sql_of(r"INSERT INTO tidegate\.import_move VALUES(.*?);")
    states = set(re.findall(r"'(\w+)'", moves))
    assert "mapping" in states and "completed" in states
    missing = sorted(state for state in states if not guide.of(state))
    assert not missing, f"expected every state of an import to be explained, got none for {missing}"
    [listed] = re.findall(r"name: state, in: query, schema: \{enum: \[([^]]*)\]\}", read("docs", "openapi.yaml"))
    missing = sorted(state for state in listed.split(", ") if not guide.of(state))
    assert not missing, f"expected every state of a row to be explained, got none for {missing}"


def key(text):
    letters = unicodedata.normalize("NFD", text.lower())
    return re.sub(r"[^a-z0-9]+", "_", "".join(c for c in letters if not unicodedata.combining(c))).strip("_")


def test_fields_and_headings(guide):
    columns = [column for column in json.loads(read("schema", "crm.json"))["tables"]["lead"]["columns"] if "import" in column]
    for column in columns:
        label, field = column["labels"][guide.language], column["import"]["field"]
        rows = [row for row in guide.of(label) if row[1] == f"`{field}`"]
        assert len(rows) == 1, f"expected the field {label} once, got {rows}"
        _, _, headings, longest = rows[0]
        known = {alias.lstrip("=") for alias in column["import"]["aliases"]} | {key(name) for name in column["labels"].values()}
        unknown = [heading for heading in headings.split(", ") if key(heading) not in known]
        assert not unknown, f"expected headings of {field}, got {unknown}"
        maximum = column["import"].get("max") or column.get("check", {}).get("maxLength")
        assert longest == (str(maximum) if maximum else "–"), f"expected the longest {field} to be {maximum}, got {longest}"


def test_limits_are_those_of_the_program(guide):
    defaults = {f"{section}.{name}": int(value) for section, name, value in re.findall(r'^INT\(\w+, "(\w+)", "(\w+)", (\d+)', read("core", "base", "config.def"), re.M)}
    limits = {row[2].strip("`"): int(row[1].replace(" ", "")) for row in guide.rows if len(row) == 3 and re.fullmatch(r"[\d ]+", row[1])}
    assert {"import.max_rows", "storage.upload_max_bytes", "import.retention_days"} <= set(limits)
    for option, value in limits.items():
        if option:
            assert value == defaults[option], f"expected {option} to be {defaults[option]}, got {value}"


def test_both_guides_have_the_same_parts():
    shapes = [[(len(line.split(" ")[0]) if line.startswith("#") else "|") for line in read("docs", f"imports.{language}.md").splitlines() if line[:1] in ("#", "|")]
              for language in LANGUAGES]
    assert shapes[0] == shapes[1], "expected the same headings and tables in both languages"
