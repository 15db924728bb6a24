"""Writes a workbook of ROWS x 13 mixed cells (texts, numbers, dates), the same for the same seed: xlsx_rows.py FILE ROWS SEED
Or one of texts, with the rows of a CSV file (semicolons): xlsx_rows.py FILE --csv CSV

Made by hand with zipfile, the way Excel writes: shared strings, styles for dates, references on every cell. Nothing but the
standard library, and a second or two for 200 000 rows.
"""
import csv
import random
import sys
import zipfile
from xml.sax.saxutils import escape

HEADINGS = ["external_id", "first_name", "last_name", "email", "phone", "company", "amount", "score", "created_at", "birthday", "postal_code", "city", "notes"]
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n'


class Strings:
    def __init__(self):
        self.numbers = {}

    def add(self, text):
        return self.numbers.setdefault(text, len(self.numbers))


def row_of(i, rand, strings):
    """Cells as (style, type, value)."""
    text = lambda value: ("", "s", strings.add(value))
    name, surname = f"Zoé{rand.randrange(300)}", f"Dupont{rand.randrange(5000)}"
    return [
        text(f"EXT{i:07d}"), text(name), text(surname), text(f"{name.lower()}.{surname.lower()}{i}@exemple{rand.randrange(30)}.fr"),
        text(f"+3361{rand.randrange(10**7):07d}"), text(f"Société {rand.randrange(2000)} & fils"), ("", "", f"{rand.randrange(10**7) / 100:.15g}"),
        ("", "", rand.randrange(100)), ("2", "", f"{45000 + rand.randrange(800)}.{rand.randrange(10**10):010d}"), ("1", "", 20000 + rand.randrange(20000)),
        ("", "", 10000 + rand.randrange(85000)), text(f"Ville {rand.randrange(500)}"), text(f"note courte {rand.randrange(50)}"),
    ]


def sheet_lines(rows, rand, strings):
    letters = "ABCDEFGHIJKLM"
    yield HEAD + f'<worksheet xmlns="{MAIN}" xmlns:r="{OFFICE}"><dimension ref="A1:M{rows + 1}"/><sheetData>'
    cells = "".join(f'<c r="{letter}1" t="s"><v>{strings.add(heading)}</v></c>' for letter, heading in zip(letters, HEADINGS))
    yield f'<row r="1" spans="1:13">{cells}</row>'
    for i in range(rows):
        n, cells = i + 2, []
        for letter, (style, kind, value) in zip(letters, row_of(i, rand, strings)):
            style, kind = style and f' s="{style}"', kind and f' t="{kind}"'
            cells.append(f'<c r="{letter}{n}"{style}{kind}><v>{value}</v></c>')
        yield f'<row r="{n}" spans="1:13">{"".join(cells)}</row>'
    yield "</sheetData></worksheet>"


def csv_lines(path, strings):
    """The rows of a CSV file, headings included, every cell that is not empty as a shared text."""
    yield HEAD + f'<worksheet xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheetData>'
    with open(path, newline="", encoding="utf-8") as file:
        for n, row in enumerate(csv.reader(file, delimiter=";"), 1):
            cells = "".join(f'<c r="{chr(65 + i)}{n}" t="s"><v>{strings.add(text)}</v></c>' for i, text in enumerate(row) if text)
            yield f'<row r="{n}">{cells}</row>'
    yield "</sheetData></worksheet>"


def write_lines(archive, name, lines):
    with archive.open(name, "w", force_zip64=True) as part:
        block = []
        for line in lines:
            block.append(line)
            if len(block) == 2000:
                part.write("".join(block).encode())
                block = []
        part.write("".join(block).encode())


def string_lines(strings):
    yield HEAD + f'<sst xmlns="{MAIN}" count="{len(strings.numbers)}" uniqueCount="{len(strings.numbers)}">'
    for text in strings.numbers:
        yield f'<si><t xml:space="preserve">{escape(text)}</t></si>'
    yield "</sst>"


def main(path, lines, strings):
    small = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
        '<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>'
        '<Override PartName="/xl/sharedStrings.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets><sheet name="Leads" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{OFFICE}/styles" Target="styles.xml"/><Relationship Id="rId3" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="dd/mm/yyyy\\ hh:mm"/></numFmts><fonts count="1"><font/></fonts>'
        '<fills count="1"><fill><patternFill patternType="none"/></fill></fills><borders count="1"><border/></borders><cellStyleXfs count="1"><xf numFmtId="0"/></cellStyleXfs>'
        '<cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/><xf numFmtId="164" applyNumberFormat="1"/></cellXfs></styleSheet>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in small.items():
            archive.writestr(name, HEAD + text)
        write_lines(archive, "xl/worksheets/sheet1.xml", lines)
        write_lines(archive, "xl/sharedStrings.xml", string_lines(strings))


texts = Strings()
if sys.argv[2] == "--csv":
    main(sys.argv[1], csv_lines(sys.argv[3], texts), texts)
else:
    main(sys.argv[1], sheet_lines(int(sys.argv[2]), random.Random(int(sys.argv[3])), texts), texts)
