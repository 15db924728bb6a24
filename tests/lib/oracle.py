"""What must become of a table, worked out row by row in plain Python from the rules as they are written down: which rows are
invalid, what is a duplicate, which lead a row meets, what the leads are afterwards. It knows neither the program nor its SQL,
and shares no code with them. It speaks of the cells that tests/http/test_ledger_property.py generates, not of every cell there is.
"""
import re

KEYS = ("email", "phone", "externalId")  # in order of priority
COLUMNS = {"externalId": "external_id", "firstName": "first_name", "lastName": "last_name", "email": "email", "phone": "phone", "company": "company",
           "city": "city", "postalCode": "postal_code", "status": "status", "source": "source", "notes": "notes", "assignedTo": "assigned_to"}
LONGEST = {"externalId": 100, "firstName": 100, "lastName": 100, "email": 255, "company": 200, "city": 100, "source": 100, "notes": 5000}
STATUSES = {"Nouveau": "new", "Gagné": "won", "Perdu": "lost", "RDV": "rdv", "Rappeler": "callback"}
DOMAINS = {"gmailcom": "gmail.com", "yahoofr": "yahoo.fr", "orangefr": "orange.fr"}


def blank(cell):
    return not cell.strip()


def shown(cells, width):
    """Cells as they can be compared: an empty surplus over the headings means nothing."""
    while len(cells) > width and blank(cells[-1]):
        cells = cells[:-1]
    return cells


def email(cell):
    name, at, domain = cell.lower().rpartition("@")
    value = name + at + DOMAINS.get(domain, domain)
    return value, [] if re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+", value) else ["email_invalid"]


def phone(cell):
    digits = re.sub(r"[^0-9]", "", cell)
    if len(digits) < 8:
        return cell, ["phone_too_short"]
    if len(digits) == 10 and digits[0] == "0":
        return "+33" + digits[1:], []
    if len(digits) == 11 and digits.startswith("33"):
        return "+" + digits, []
    if len(digits) == 9:
        return "+33" + digits, []
    return ("+" if "+" in cell else "") + digits, []


def postal_code(cell):
    if not 4 <= len(cell) <= 10:
        return cell, ["postal_code_invalid"]
    return cell.zfill(5), []


def status(cell):
    return STATUSES.get(cell), []  # None, an unknown one: as if the cell was empty


RULES = {"email": email, "phone": phone, "postalCode": postal_code, "status": status}


class Row:
    """One source row: its number in the file, what it says by field, and what keeps it out."""

    def __init__(self, number, cells, fields):
        self.number, self.cells, self.values, self.errors = number, cells, {}, set()
        if not all(blank(cell) for cell in cells[len(fields):]):
            self.errors.add("row_too_long")
        for field, cell in zip(fields, cells):
            if field is None or blank(cell):
                continue
            value, errors = RULES.get(field, lambda text: (text, []))(cell.strip())
            if value is not None:
                self.values[field] = value
            self.errors.update(errors)
            if value is not None and len(value) > LONGEST.get(field, 5000):
                self.errors.add("too_long")
        if not any(self.values.get(key) for key in KEYS):
            self.errors.add("contact_missing")

    def keys(self, chosen):
        return [(key, self.values[key]) for key in KEYS if key in chosen and key in self.values]


def read(table, fields):
    """The rows of a table whose first row is the header, without the empty ones; they count in the numbering all the same."""
    return [Row(number, cells, fields) for number, cells in enumerate(table[1:], 2) if not all(blank(cell) for cell in cells)]


class Fate:
    """Where a row ends: what is done (insert, update, skip, invalid), why, and the stored lead that it meets."""

    def __init__(self, action, reason=None, lead=None):
        self.action, self.reason, self.lead = action, reason, lead

    def __repr__(self):
        return f"{self.action} ({self.reason})" if self.reason else self.action


def met(row, leads, chosen):
    """The index of the stored lead that a row stands for: by e-mail before phone before external id; deleted leads are gone."""
    for key, value in row.keys(chosen):
        for index, lead in enumerate(leads):
            stored = lead.get(COLUMNS[key])
            if not lead.get("deleted_at") and stored is not None and (stored.lower() if key == "email" else stored) == value:
                return index
    return None


def fates(rows, leads, strategy="skip", chosen=KEYS):
    """{row number: Fate} of every row. leads: what is stored before, {column: value} each."""
    found, seen, taken = {}, set(), set()
    for row in rows:
        if row.errors:
            found[row.number] = Fate("invalid")
            continue
        repeated = any(key in seen for key in row.keys(chosen))
        seen.update(row.keys(chosen))
        lead = met(row, leads, chosen)
        if strategy == "create":
            found[row.number] = Fate("insert")
        elif repeated or lead in taken:  # two rows that are one stored lead are one record as well
            found[row.number] = Fate("skip", "duplicate_in_file")
        elif lead is None:
            found[row.number] = Fate("insert")
        else:
            taken.add(lead)
            found[row.number] = Fate("update" if strategy == "update" else "skip", "duplicate_in_database", lead)
    return found


def afterwards(rows, ends, leads, users, assignee=None):
    """(the stored leads, the new leads) after an import whose rows end so; {column: value} each, None where there is nothing."""
    stored, new = [{column: lead.get(column) for column in COLUMNS.values()} for lead in leads], []
    for row in rows:
        fate, said = ends[row.number], {COLUMNS[field]: value for field, value in row.values.items() if field != "assignedTo" or value in users}
        if fate.action == "update":
            stored[fate.lead].update(said)
        if fate.action == "insert":
            new.append({column: None for column in COLUMNS.values()} | {"status": "new"} | said | ({"assigned_to": assignee} if assignee else {}))
    return stored, new
