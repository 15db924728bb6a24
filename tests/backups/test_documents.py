"""docs/backups.md names every code that a backup can fail with or warn of, and no other."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_codes():
    table = (ROOT / "handlers/backups/failures.def").read_text(encoding="utf-8")
    codes = set(re.findall(r'^FAILURE\("([a-z_]+)"', table, re.M)) - {"internal"}
    section = (ROOT / "docs/backups.md").read_text(encoding="utf-8").split("## Codes")[1].split("## ")[0]
    told = {code for row in section.splitlines() if row.startswith("| `") for code in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert told == codes
