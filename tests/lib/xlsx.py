"""Workbooks and zip archives made by hand, so that a test can make any part of them odd. Nothing here checks anything."""
import io
import struct
import zipfile
from xml.sax.saxutils import escape, quoteattr

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
STRICT_MAIN = "http://purl.oclc.org/ooxml/spreadsheetml/main"
STRICT_OFFICE = "http://purl.oclc.org/ooxml/officeDocument/relationships"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def column_name(column):
    """1 is A."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def escaped(text):
    """Text of a cell as Excel writes it: control characters as _x000D_, and what looks like that protected."""
    out = []
    for i, c in enumerate(text):
        looks = c == "_" and len(text) >= i + 7 and text[i + 1] == "x" and text[i + 6] == "_"
        out.append("_x005F_" if looks else c if c in "\t\n" or (c >= " " and c not in "\ufffe\uffff") else f"_x{ord(c):04X}_")
    return escape("".join(out))


def relations(entries, office=OFFICE):
    """entries: (id, kind or whole type, target[, more attributes])"""
    lines = [f'<Relationship Id="{id}" Type={quoteattr(kind if "/" in kind else f"{office}/{kind}")} Target={quoteattr(target)} {"".join(more)}/>' for id, kind, target, *more in entries]
    return HEAD + f'<Relationships xmlns="{RELATIONS}">{"".join(lines)}</Relationships>'


def sheet(rows_xml, before="", after="", main=MAIN):
    return HEAD + f'<worksheet xmlns="{main}">{before}<sheetData>{rows_xml}</sheetData>{after}</worksheet>'


def strings(*items):
    """Texts, or whole <si>…</si> elements."""
    inside = "".join(item if item.startswith("<si") else f'<si><t xml:space="preserve">{escaped(item)}</t></si>' for item in items)
    return HEAD + f'<sst xmlns="{MAIN}" count="1" uniqueCount="9999">{inside}</sst>'


def styles(*formats):
    """One cell style per format: a number of a built-in one, or the code of a custom one. Style 0 is the first."""
    custom = {code: 164 + i for i, code in enumerate(code for code in formats if isinstance(code, str))}
    codes = "".join(f"<numFmt numFmtId=\"{number}\" formatCode={quoteattr(code)}/>" for code, number in custom.items())
    cells = "".join(f'<xf numFmtId="{custom.get(code, code)}"/>' for code in formats)
    # cellStyleXfs comes first and means something else
    return HEAD + f'<styleSheet xmlns="{MAIN}"><numFmts>{codes}</numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs>{cells}</cellXfs></styleSheet>'


def workbook(sheets, before="", main=MAIN, office=OFFICE):
    """sheets: (name, relationship id[, more attributes])"""
    lines = "".join(f'<sheet name={quoteattr(name)} sheetId="{i + 1}" r:id="{id}" {"".join(more)}/>' for i, (name, id, *more) in enumerate(sheets))
    return HEAD + f'<workbook xmlns="{main}" xmlns:r="{office}">{before}<sheets>{lines}</sheets></workbook>'


def parts(sheet_xml, strings_xml=None, styles_xml=None, before_sheets=""):
    """The parts of a workbook of one sheet, as {name: text}."""
    result = {
        "_rels/.rels": relations([("rId1", "officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": workbook([("Sheet1", "rId1")], before_sheets),
        "xl/_rels/workbook.xml.rels": relations([("rId1", "worksheet", "worksheets/sheet1.xml"), ("rId2", "sharedStrings", "sharedStrings.xml"), ("rId3", "styles", "styles.xml")]),
        "xl/worksheets/sheet1.xml": sheet_xml,
    }
    if strings_xml is not None:
        result["xl/sharedStrings.xml"] = strings_xml
    if styles_xml is not None:
        result["xl/styles.xml"] = styles_xml
    return result


def pack(entries, method=zipfile.ZIP_DEFLATED, junk=b"", count_junk=True, zip64=False):
    """entries: {name: text or bytes}, or pairs when a name comes twice."""
    out = io.BytesIO()
    if count_junk:
        out.write(junk)
    with zipfile.ZipFile(out, "a" if junk and count_junk else "w", method) as archive:
        for name, content in entries.items() if isinstance(entries, dict) else entries:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=zip64) if method == zipfile.ZIP_STORED else archive.open(deflated(name, method), "w", force_zip64=zip64) as part:
                part.write(content.encode() if isinstance(content, str) else content)
    return (b"" if count_junk else junk) + out.getvalue()


def deflated(name, method):
    info = zipfile.ZipInfo(name)
    info.compress_type = method
    return info


class Unseekable(io.RawIOBase):
    """A target that cannot go back, so that zipfile writes sizes behind the data (bit 3)."""

    def __init__(self):
        self.bytes = b""

    def writable(self):
        return True

    def write(self, data):
        self.bytes += bytes(data)
        return len(data)


def pack_streamed(entries):
    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.bytes


def patch(data, name, offset_central, offset_local, code, change):
    """Changes a field of the headers of one entry: code is its struct format, change gets the old value."""
    data, raw = bytearray(data), name.encode()
    for magic, offset, length_at, name_at in ((b"PK\x01\x02", offset_central, 28, 46), (b"PK\x03\x04", offset_local, 26, 30)):
        at = -1
        while (at := data.find(magic, at + 1)) >= 0:
            (length,) = struct.unpack_from("<H", data, at + length_at)
            if bytes(data[at + name_at : at + name_at + length]) == raw and offset is not None:
                struct.pack_into(code, data, at + offset, change(struct.unpack_from(code, data, at + offset)[0]))
    return bytes(data)


def table(rows):
    """A workbook of rows of texts, numbers (int, float), booleans and None, row 1 first: shared strings, the way Excel writes."""
    numbers, lines = {}, []
    for r, row in enumerate(rows, 1):
        cells = []
        for c, value in enumerate(row, 1):
            at = f"{column_name(c)}{r}"
            if isinstance(value, bool):
                cells.append(f'<c r="{at}" t="b"><v>{int(value)}</v></c>')
            elif isinstance(value, (int, float)):
                cells.append(f'<c r="{at}"><v>{value!r}</v></c>')
            elif value is not None:
                cells.append(f'<c r="{at}" t="s"><v>{numbers.setdefault(value, len(numbers))}</v></c>')
        lines.append(f'<row r="{r}">{"".join(cells)}</row>')
    return parts(sheet("".join(lines)), strings(*numbers), styles(0))
