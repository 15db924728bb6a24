"""Workbooks (XLSX) made part by part, so that a test can make them as odd as real programs, and people who mean harm, do."""
import io
import zipfile
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def relations(*targets):
    """(id, kind, target) each."""
    return HEAD + f'<Relationships xmlns="{RELATIONS}">' + "".join(
        f'<Relationship Id="{name}" Type="{OFFICE}/{kind}" Target="{escape(target)}"/>' for name, kind, target in targets) + "</Relationships>"


def column(index):
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(65 + rest) + name
    return name


def text_cell(reference, text):
    return f'<c r="{reference}" t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def rows(table):
    """sheetData of a table of texts; None: no cell."""
    return "".join(f'<row r="{n}">' + "".join(text_cell(f"{column(i)}{n}", cell) for i, cell in enumerate(cells) if cell is not None) + "</row>"
                   for n, cells in enumerate(table, 1))


def sheet(data, before="", after=""):
    return HEAD + f'<worksheet xmlns="{MAIN}" xmlns:r="{OFFICE}">{before}<sheetData>{data}</sheetData>{after}</worksheet>'


def parts(data, strings=None, styles=None, properties="", more=()):
    """The parts of a workbook with one sheet, by name; data: its sheetData."""
    made = {"_rels/.rels": relations(("rId1", "officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": HEAD + f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">{properties}<sheets><sheet name="Feuil1" sheetId="1" r:id="rId1"/></sheets></workbook>',
            "xl/worksheets/sheet1.xml": sheet(data)}
    targets = [("rId1", "worksheet", "worksheets/sheet1.xml")]
    if strings is not None:
        made["xl/sharedStrings.xml"] = HEAD + f'<sst xmlns="{MAIN}" count="1" uniqueCount="1">{strings}</sst>'
        targets.append(("rId2", "sharedStrings", "sharedStrings.xml"))
    if styles is not None:
        made["xl/styles.xml"] = HEAD + f'<styleSheet xmlns="{MAIN}">{styles}</styleSheet>'
        targets.append(("rId3", "styles", "styles.xml"))
    made["xl/_rels/workbook.xml.rels"] = relations(*targets)
    return made | dict(more)


def pack(made, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in made.items() if isinstance(made, dict) else made:
            archive.writestr(name, content)
    return out.getvalue()


def workbook(table):
    return pack(parts(rows(table)))
