"""`tidegate read xlsx` alone: workbooks as programs write them, as they break, and as nobody should; and any table back cell for cell."""
import random
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import reading
from workbook import HEAD, MAIN, OFFICE, pack, parts, relations, rows, sheet, workbook

TABLE = [["Nom", "Email"], ["Durand", "ana@example.com"], ["Petit", "zoe@example.com"]]


def cells(data, *options):
    """{row number: cells} of a file that can be read."""
    got = reading.read(data, *options)
    assert got.code == "ok", f"expected the workbook to be read, got {got.code}"
    return got.rows


def one(cell, **options):
    """What a single data cell says, under a heading."""
    data = pack(parts(f'<row r="1"><c r="A1" t="inlineStr"><is><t>Valeur</t></is></c></row><row r="2">{cell}<c r="B2" t="inlineStr"><is><t>end</t></is></c></row>', **options))
    return cells(data, "--header-row", "1")[2][0]


def refused(data, *codes):
    got = reading.read(data)
    assert got.code in codes, f"expected {' or '.join(codes)}, got {got.code}"
    assert got.fail[1], "expected a sentence"


STYLES = ('<numFmts count="3"><numFmt numFmtId="164" formatCode="dd/mm/yyyy"/><numFmt numFmtId="165" formatCode="[Red]0.00&quot;d&quot;"/>'
          '<numFmt numFmtId="166" formatCode="[$-40C]d mmmm yyyy hh:mm"/></numFmts>'
          '<cellXfs count="8"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="166"/><xf numFmtId="20"/><xf numFmtId="2"/></cellXfs>')
STRINGS = ('<si><t>plain</t></si><si/><si><r><t>ri</t></r><r><rPr><b/></rPr><t>ch</t></r></si><si><t>base</t><rPh sb="0" eb="1"><t>reading</t></rPh></si>'
           '<si><t xml:space="preserve"> kept </t></si><si><t>a_x000D_b_x005F_x0041_</t></si><si><t>&lt;&amp;&gt;&#233;&#x20AC;<![CDATA[<raw>]]></t></si>')

VALUES = {
    "shared": ('<c r="A2" t="s"><v>0</v></c>', "plain"), "rich runs are one text": ('<c r="A2" t="s"><v>2</v></c>', "rich"),
    "phonetic text is no text": ('<c r="A2" t="s"><v>3</v></c>', "base"), "space is kept": ('<c r="A2" t="s"><v>4</v></c>', " kept "),
    "escapes": ('<c r="A2" t="s"><v>5</v></c>', "a\rb_x0041_"), "entities and CDATA": ('<c r="A2" t="s"><v>6</v></c>', "<&>é€<raw>"),
    "a date style on a text": ('<c r="A2" t="s" s="1"><v>0</v></c>', "plain"), "formula text": ('<c r="A2" t="str"><f>A1</f><v>made</v></c>', "made"),
    "inline rich": ('<c r="A2" t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is></c>', "ab"), "true": ('<c r="A2" t="b"><v>1</v></c>', "true"),
    "false": ('<c r="A2" t="b"><v>0</v></c>', "false"), "error": ('<c r="A2" t="e"><v>#N/A</v></c>', "#N/A"), "iso date": ('<c r="A2" t="d"><v>2024-03-05</v></c>', "2024-03-05"),
    "integer": ('<c r="A2"><v>33612345678</v></c>', "33612345678"), "shortest decimal": ('<c r="A2"><v>0.10000000000000001</v></c>', "0.1"),
    "large integer": ('<c r="A2"><v>1E+15</v></c>', "1000000000000000"), "date": ('<c r="A2" s="1"><v>45356</v></c>', "2024-03-05"),
    "date and time": ('<c r="A2" s="2"><v>45356.604166666664</v></c>', "2024-03-05T14:30:00"), "custom date": ('<c r="A2" s="3"><v>45356</v></c>', "2024-03-05"),
    "letters in quotes are no date": ('<c r="A2" s="4"><v>45356</v></c>', "45356"), "locale prefix": ('<c r="A2" s="5"><v>45356.5</v></c>', "2024-03-05T12:00:00"),
    "time": ('<c r="A2" s="6"><v>0.5</v></c>', "12:00:00"), "two decimals": ('<c r="A2" s="7"><v>12.5</v></c>', "12.5"),
}


@pytest.mark.parametrize("name", VALUES)
def test_value(name):
    cell, wanted = VALUES[name]
    got = one(cell, strings=STRINGS, styles=STYLES)
    assert got == wanted, f"expected {wanted!r} for {name}, got {got!r}"


def test_dates_since_1904():
    got = one('<c r="A2" s="1"><v>43894</v></c>', styles=STYLES, properties='<workbookPr date1904="1"/>')
    assert got == "2024-03-05", f"expected 1462 days more, got {got}"


def test_cells_and_rows_without_references_follow_the_last():
    data = pack(parts('<row><c t="inlineStr"><is><t>A</t></is></c><c t="inlineStr"><is><t>B</t></is></c></row><row r="4"><c r="B4"><v>7</v></c></row><row><c><v>8</v></c></row>'))
    got = cells(data, "--header-row", "1")
    assert set(got) >= {4, 5} and got[4][1] == "7" and got[5][0] == "8", f"expected rows 4 and 5, got {got}"


def test_the_dimension_is_not_believed():
    made = parts(rows(TABLE))
    made["xl/worksheets/sheet1.xml"] = sheet(rows(TABLE), before='<dimension ref="A1:XFD1048576"/>')
    assert cells(pack(made)) == cells(pack(parts(rows(TABLE))))


@pytest.mark.parametrize("target", ["/xl/worksheets/sheet1.xml", "worksheets\\sheet1.xml", "WORKSHEETS/Sheet1.xml"])
def test_targets_as_they_come(target):
    made = parts(rows(TABLE))
    made["xl/_rels/workbook.xml.rels"] = relations(("rId1", "worksheet", target))
    assert len(cells(pack(made))) == 2


def test_any_prefix_and_the_strict_namespaces():
    strict = "http://purl.oclc.org/ooxml/spreadsheetml/main"
    made = parts("")
    made["xl/worksheets/sheet1.xml"] = (HEAD + f'<x:worksheet xmlns:x="{strict}"><x:sheetData>' + rows(TABLE).replace("<", "<x:").replace("<x:/", "</x:")
                                        + "</x:sheetData></x:worksheet>")
    assert len(cells(pack(made))) == 2


def test_utf_16():
    made = parts(rows(TABLE))
    made["xl/worksheets/sheet1.xml"] = made["xl/worksheets/sheet1.xml"].replace("UTF-8", "UTF-16").encode("utf-16")
    assert cells(pack(made))[2] == TABLE[1]


def test_sheets_are_listed_and_chosen():
    made = parts(rows([["cachée"], ["x"]]))
    made["xl/workbook.xml"] = (HEAD + f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets><sheet name="Cachée" sheetId="1" state="hidden" r:id="rId1"/>'
                               '<sheet name="Graphique" sheetId="3" r:id="rId3"/><sheet name="Prospects &amp; co" sheetId="2" r:id="rId2"/></sheets></workbook>')
    made["xl/_rels/workbook.xml.rels"] = relations(("rId1", "worksheet", "worksheets/sheet1.xml"), ("rId2", "worksheet", "worksheets/sheet2.xml"), ("rId3", "chartsheet", "chartsheets/sheet1.xml"))
    made["xl/worksheets/sheet2.xml"] = sheet(rows(TABLE))
    data = pack(made)
    meta = reading.read(data, mode="inspect").meta
    assert meta["sheet"] == "Prospects & co", f"expected the first visible worksheet, got {meta['sheet']}"
    assert {"Cachée", "Prospects & co"} <= {entry["name"] for entry in meta["sheets"]}
    assert cells(data, "--sheet", "Cachée", "--header-row", "1") == {2: ["x"]}
    assert reading.read(data, "--sheet", "Nulle part").code == "sheet_not_found"


def test_reading_goes_on_after_a_row():
    table = [["Nom", "Email"]] + [[f"N{n}", f"n{n}@example.com"] for n in range(2, 500)]
    every = cells(workbook(table), "--header-row", "1")
    assert cells(workbook(table), "--header-row", "1", "--skip-rows", "300") == {number: row for number, row in every.items() if number > 300}


# ------------------------------------------------------------------------------------------------------------------- refused

def changed(name, content):
    return pack(parts(rows(TABLE)) | {name: content})


def without(name):
    return pack({part: content for part, content in parts(rows(TABLE)).items() if part != name})


def twice():
    made = list(parts(rows(TABLE)).items())
    return pack(made + [("xl/worksheets/SHEET1.xml", sheet(rows(TABLE)))])


def flipped():
    data = bytearray(pack(parts(rows(TABLE)), zipfile.ZIP_STORED))
    data[data.index(b"Durand")] ^= 1
    return bytes(data)


DAMAGE = ("zip_damaged", "not_a_workbook", "empty_file", "part_missing")
REFUSED = {
    "no zip at all": (lambda: b"PK\3\4" + b"nonsense" * 20, DAMAGE), "cut in the middle": (lambda: workbook(TABLE)[:300], DAMAGE),
    "another zip": (lambda: pack({"word/document.xml": "<x/>"}), ("not_a_workbook", "part_missing")), "no sheet part": (lambda: without("xl/worksheets/sheet1.xml"), ("part_missing",)),
    "a document type": (lambda: changed("xl/worksheets/sheet1.xml", HEAD + '<!DOCTYPE a [<!ENTITY b "c">]>' + sheet(rows(TABLE))[len(HEAD):]), ("xml_doctype",)),
    "cut XML": (lambda: changed("xl/worksheets/sheet1.xml", sheet(rows(TABLE))[:-40]), ("xml_malformed",)),
    "an unknown entity": (lambda: changed("xl/worksheets/sheet1.xml", sheet('<row><c t="str"><v>&evil;</v></c></row>')), ("xml_malformed",)),
    "two entries of one name but for case": (twice, ("zip_duplicate_entry",)), "a wrong checksum": (flipped, ("zip_bad_checksum", "zip_damaged")),
    "an unusual method": (lambda: pack(parts(rows(TABLE)), zipfile.ZIP_LZMA), ("zip_method_unsupported",)),
    "an old workbook": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4000), ("old_excel", "looks_like_xls", "password_protected")),
    "OpenDocument": (lambda: pack({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<x/>"}), ("looks_like_ods",)),
    "a cell reference that is none": (lambda: pack(parts('<row r="1"><c r="1A"><v>1</v></c></row>')), ("bad_cell_reference",)),
    "an index of no text": (lambda: pack(parts('<row r="1"><c r="A1" t="s"><v>9</v></c></row>', strings="<si><t>a</t></si>")), ("ok", "xml_malformed", "bad_cell_reference")),
    "many entries": (lambda: pack(parts(rows(TABLE)) | {f"xl/media/{n}": "x" for n in range(20000)}), ("zip_too_many_entries",)),
    "a bomb": (lambda: pack(parts(rows(TABLE) + " " * (400 << 20))), ("unpacks_too_dense", "unpacks_too_large")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, codes = REFUSED[name]
    if "ok" in codes:
        got = reading.read(make())
        assert got.code in codes, f"expected one of {codes}, got {got.code}"
    else:
        refused(make(), *codes)


# ---------------------------------------------------------------------------------------------------------------- properties

RARE = settings(max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="_\ufffe\uffff"), min_size=1, max_size=20).filter(lambda text: text.strip())


@RARE
@given(st.lists(st.lists(st.one_of(st.none(), TEXT), min_size=3, max_size=3).filter(any), min_size=1, max_size=8))
def test_any_table_comes_back(table):
    got = cells(workbook([["Nom", "Email", "Ville"]] + table), "--header-row", "1")
    wanted = {number: row for number, row in enumerate(table, 2)}
    assert {number: [cell or None for cell in row] + [None] * (3 - len(row)) for number, row in got.items()} == wanted


@RARE
@given(st.integers(0, 1 << 32), st.integers(1, 12))
def test_any_change_of_bytes_ends_with_a_reason(seed, changes):
    rand = random.Random(seed)
    data = bytearray(pack(parts(rows(TABLE), strings=STRINGS, styles=STYLES), rand.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
    for _ in range(changes):
        data[rand.randrange(len(data))] = rand.randrange(256)
    got = reading.read(bytes(data))
    assert got.code == "ok" or got.fail, f"expected END or FAIL, the reader {got.code}"


@RARE
@given(st.binary(max_size=300))
def test_any_bytes_end_with_a_reason(data):
    got = reading.read(b"PK\3\4" + data)
    assert got.fail, f"expected FAIL, got {got.code}"
