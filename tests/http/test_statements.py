"""Every named statement of sql/queries is prepared once against a migrated database: a typo or a drift fails here, not in production."""
import glob
import os
import re

import pytest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def statements():
    for path in sorted(glob.glob(os.path.join(ROOT, "sql", "queries", "*.sql"))):
        with open(path, encoding="utf-8") as file:
            parts = re.split(r"^-- name: (\S+)$", file.read(), flags=re.M)
        for name, text in zip(parts[1::2], parts[2::2]):
            yield name, text


@pytest.mark.parametrize("name,text", list(statements()), ids=[name for name, _ in statements()])
def test_statement_fits_the_database(gate, name, text):
    body = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip().rstrip(";")
    if body.startswith("COPY"):
        columns = re.search(r"COPY (\S+) \(([^)]*)\)", body)
        gate.sql(f"SELECT {columns.group(2)} FROM {columns.group(1)} LIMIT 0")
    else:
        gate.sql(f"PREPARE check_{name} AS {body}; DEALLOCATE check_{name}")


def test_names_are_unique():
    names = [name for name, _ in statements()]
    assert len(names) == len(set(names)), f"these names stand twice: {sorted(n for n in names if names.count(n) > 1)}"
