"""What is inside workbooks: every trap of sheets, strings, styles and relationships by name, from parts made by hand."""
import pytest
import xlsx
from reading import read


def rows_of(rows_xml, *strings, styles=None, options=(), **more):
    """The rows of a sheet without header, as {number: cells}."""
    data = xlsx.pack(xlsx.parts(xlsx.sheet(rows_xml, **more), xlsx.strings(*strings) if strings else None, styles))
    reading = read(data, "--header-row", "0", *options)
    assert reading.code == "ok", reading.fail
    return reading.rows


def one_cell(cell_xml, *strings, **more):
    """The text of A1."""
    return rows_of(f'<row r="1">{cell_xml}</row>', *strings, **more)[1][0]


# ---- types of cells ----

CELLS = {
    "number": ("<c r='A1'><v>12.50</v></c>", "12.5"),
    "number that says so": ('<c r="A1" t="n"><v>1E3</v></c>', "1000"),
    "shared string": ('<c r="A1" t="s"><v>1</v></c>', "b"),
    "formula text": ('<c r="A1" t="str"><f>A2&amp;"x"</f><v>x &lt; y</v></c>', "x < y"),
    "formula text keeps blanks": ('<c r="A1" t="str"><v> x </v></c>', " x "),
    "formula of a number": ("<c r='A1'><f>1+1</f><v>2</v></c>", "2"),
    "inline": ('<c r="A1" t="inlineStr"><is><t>x</t></is></c>', "x"),
    "inline, rich": ('<c r="A1" t="inlineStr"><is><r><rPr><b/></rPr><t>x</t></r><r><t xml:space="preserve"> y</t></r></is></c>', "x y"),
    "inline, with a value to ignore": ('<c r="A1" t="inlineStr"><v>7</v><is><t>x</t></is></c>', "x"),
    "inline, phonetic": ('<c r="A1" t="inlineStr"><is><t>x</t><rPh sb="0" eb="1"><t>nope</t></rPh></is></c>', "x"),
    "true": ('<c r="A1" t="b"><v>1</v></c>', "true"),
    "false": ('<c r="A1" t="b"><v>0</v></c>', "false"),
    "date in ISO form": ('<c r="A1" t="d"><v>2024-03-05T14:30:00</v></c>', "2024-03-05T14:30:00"),
    "prefix": ('<x:c xmlns:x="u" r="A1" t="s"><x:v>0</x:v></x:c>', "a"),
    "CDATA": ('<c r="A1" t="str"><v><![CDATA[<&>]]></v></c>', "<&>"),
    "comment inside a number": ('<c r="A1"><v>1<!-- x -->2</v></c>', "12"),
    "escapes": ('<c r="A1" t="str"><v>a_x000D_b_x005F_x000D_</v></c>', "a\rb_x000D_"),
    "line end": ('<c r="A1" t="str"><v>a\r\nb</v></c>', "a\nb"),
    "number with blanks": ('<c r="A1"><v> 7 </v></c>', "7"),
    "shared string with blanks": ('<c r="A1" t="s"><v> 1 </v></c>', "b"),
    "no number": ('<c r="A1"><v>n/a</v></c>', "n/a"),
    "extension inside": ('<c r="A1"><v>7</v><extLst><ext><v>8</v></ext></extLst></c>', "7"),
    "other order of attributes": ('<c t="s" s="0" r="A1"><v>1</v></c>', "b"),
    "unknown attributes": ('<c cm="1" r="A1" vm="2"><v>3</v></c>', "3"),
}


@pytest.mark.parametrize("name", CELLS)
def test_cell(name):
    cell, expected = CELLS[name]
    assert one_cell(cell, "a", "b") == expected


def test_cells_without_anything_are_no_rows():
    empties = '<row r="1"><c r="A1" s="1"/><c r="B1" t="s"/><c r="C1"><v></v></c><c r="D1" t="inlineStr"><is/></c><c r="E1" t="str"><v>  </v></c></row>'
    assert rows_of(empties + '<row r="3"><c r="B3"><v>1</v></c></row>') == {3: [None, "1"]}


def test_error_values_are_kept_and_noted():
    data = xlsx.pack(xlsx.parts(xlsx.sheet('<row r="1"><c r="A1" t="e"><v>#N/A</v></c></row><row r="2"><c r="A2"><v>x</v></c></row>')))
    reading = read(data, "--header-row", "0")
    assert reading.rows == {1: ["#N/A"], 2: ["x"]}
    assert reading.notes == [(1, "cell_error_value"), (2, "cell_not_a_number")]


@pytest.mark.parametrize("index", ["5", "-1", "x", "99999999999999999999", "2"])
def test_a_shared_string_that_is_not_there_spoils_its_row(index):
    data = xlsx.pack(xlsx.parts(xlsx.sheet(f'<row r="1"><c r="A1" t="s"><v>{index}</v></c><c r="B1"><v>1</v></c></row>'), xlsx.strings("a", "b")))
    reading = read(data, "--header-row", "0")
    assert (reading.rows, reading.flags) == ({1: ["\ufffd", "1"]}, {1: ["invalid_bytes"]})
    assert reading.notes == [(1, "shared_string_missing")]


# ---- where cells stand ----

def test_cells_and_rows_without_references():
    assert rows_of("<row><c><v>1</v></c><c><v>2</v></c></row><row r='5'><c r='C5'><v>3</v></c><c><v>4</v></c></row><row><c><v>5</v></c></row>") == {
        1: ["1", "2", None, None], 5: [None, None, "3", "4"], 6: ["5", None, None, None]}


def test_sparse_cells_in_any_order():
    assert rows_of('<row r="2"><c r="D2"><v>4</v></c><c r="A2"><v>1</v></c></row>') == {2: ["1", None, None, "4"]}


def test_rows_in_any_order_are_sorted_in_a_small_sheet():
    assert rows_of('<row r="3"><c r="A3"><v>3</v></c></row><row r="1"><c r="A1"><v>1</v></c></row>') == {1: ["1"], 3: ["3"]}


def test_a_row_number_that_comes_twice_is_refused():
    data = xlsx.pack(xlsx.parts(xlsx.sheet('<row r="3"><c r="A3"><v>3</v></c></row><row r="3"><c r="B3"><v>1</v></c></row>')))
    assert read(data).code == "rows_out_of_order"


@pytest.mark.parametrize("where", [10, 4500])
def test_rows_out_of_order_in_a_large_sheet_are_refused(where):
    lines = [f'<row r="{i}"><c r="A{i}"><v>{i}</v></c></row>' for i in range(1, 5001)]
    lines[where], lines[where + 1] = lines[where + 1], lines[where]
    assert read(xlsx.pack(xlsx.parts(xlsx.sheet("".join(lines))))).code == "rows_out_of_order"


def test_merged_cells_have_a_value_only_once():
    rows = rows_of('<row r="1"><c r="A1"><v>1</v></c><c r="B1" s="1"/></row><row r="2"><c r="A2"/><c r="B2"><v>2</v></c></row>', after='<mergeCells><mergeCell ref="A1:B1"/></mergeCells>')
    assert rows == {1: ["1", None], 2: [None, "2"]}


def test_the_dimension_is_not_believed():
    assert rows_of('<row r="1"><c r="A1"><v>1</v></c></row>', before='<dimension ref="A1:XFD1048576"/>') == {1: ["1"]}
    assert rows_of('<row r="1"><c r="B1"><v>1</v></c></row>', before='<dimension ref="A1"/>') == {1: [None, "1"]}


def test_phantom_columns_and_rows_are_ignored():
    phantom = '<row r="1"><c r="A1"><v>1</v></c><c r="XFD1" s="3"/><c r="ZZZ1"/></row><row r="1048576" s="1"><c r="A1048576" s="1"/></row><row r="4000000"/>'
    assert rows_of(phantom) == {1: ["1"]}


@pytest.mark.parametrize("cell, code", [
    ('<c r="FAO1"><v>1</v></c>', "too_many_columns"), ('<c r="XFD1"><v>1</v></c>', "too_many_columns"), ('<c r="1A"><v>1</v></c>', "bad_cell_reference"),
    ('<c r=""><v>1</v></c>', "bad_cell_reference"), ('<c r="A1B"><v>1</v></c>', "bad_cell_reference")])
def test_cells_that_stand_nowhere(cell, code):
    assert read(xlsx.pack(xlsx.parts(xlsx.sheet(f'<row r="1">{cell}</row>')))).code == code


def test_the_last_row_of_excel_and_the_one_after():
    last = '<row r="{0}"><c r="A{0}"><v>1</v></c></row>'
    assert rows_of(last.format(1048576)) == {1048576: ["1"]}
    assert read(xlsx.pack(xlsx.parts(xlsx.sheet(last.format(1048577))))).code == "too_many_rows"
    assert read(xlsx.pack(xlsx.parts(xlsx.sheet('<row r="x"/>')))).code == "bad_cell_reference"


def test_a_row_wider_than_the_columns_is_flagged():
    lines = "".join(f'<row r="{i}"><c r="A{i}"><v>{i}</v></c>{"<c r=%sC5000%s><v>9</v></c>" % (chr(34), chr(34)) if i == 5000 else ""}</row>' for i in range(1, 5001))
    reading = read(xlsx.pack(xlsx.parts(xlsx.sheet(lines))), "--header-row", "0")
    assert reading.rows[4999] == ["4999"] and reading.flags[4999] == []
    assert reading.rows[5000] == ["5000", None, "9"] and reading.flags[5000] == ["long_row"]


# ---- shared strings ----

def test_kinds_of_shared_strings():
    items = ["<si/>", "<si><t/></si>", "<si><t> trimmed </t></si>", '<si><t xml:space="preserve"> kept </t></si>', "<si><r><t>ri</t></r><r><rPr/><t>ch</t></r></si>",
             '<si><t>漢字</t><rPh sb="0" eb="2"><t>かんじ</t></rPh><phoneticPr fontId="1"/></si>', "<si><t>a &amp; b&#10;c</t></si>", "<si><t><![CDATA[<x>]]></t></si>",
             "<si><t>_x000D__x005F_x000D_</t></si>", "<x:si xmlns:x='u'><x:t>prefix</x:t></x:si>", "<si ><t>odd</t></si>", "<si><t>last</t></si>"]
    row = "".join(f'<c r="{xlsx.column_name(i + 1)}1" t="s"><v>{i}</v></c>' for i in range(len(items)))
    text = xlsx.HEAD + f'<sst xmlns="{xlsx.MAIN}" count="3" uniqueCount="1">{"".join(items)}</sst>'
    data = xlsx.pack(xlsx.parts(xlsx.sheet(f'<row r="1">{row}</row>'), text))
    assert read(data, "--header-row", "0").rows == {
        1: [None, None, "trimmed", " kept ", "rich", "漢字", "a & b\nc", "<x>", "\r_x000D_", "prefix", "odd", "last"]}


def test_a_date_style_does_not_make_a_date_of_a_string():
    assert one_cell('<c r="A1" s="0" t="s"><v>0</v></c>', "45356", styles=xlsx.styles(14)) == "45356"


def test_a_missing_strings_part():
    assert one_cell('<c r="A1"><v>1</v></c>') == "1"


@pytest.mark.parametrize("memory", [1024, 100_000, 10_000_000])
def test_strings_past_the_cap_move_to_the_scratch_file(memory):
    texts = [f"texte numéro {i} " + "x" * (i % 300) for i in range(3000)]
    rows = "".join(f'<row r="{i + 1}"><c r="A{i + 1}" t="s"><v>{i}</v></c><c r="B{i + 1}" t="s"><v>{(i * 7919) % 3000}</v></c></row>' for i in range(3000))
    data = xlsx.pack(xlsx.parts(xlsx.sheet(rows), xlsx.strings(*texts)))
    reading = read(data, "--header-row", "0", "--strings-memory", str(memory), scratch=1 << 30)
    assert reading.code == "ok"
    assert list(reading.rows.values()) == [[texts[i], texts[(i * 7919) % 3000]] for i in range(3000)]
    refused = read(data, "--header-row", "0", "--strings-memory", str(memory))
    assert refused.code == ("ok" if memory == 10_000_000 else "shared_strings_too_large")
    assert memory == 10_000_000 or read(data, "--strings-memory", str(memory), scratch=50_000).code == "shared_strings_too_large"


# ---- dates ----

DATES = [
    (14, "45356", "2024-03-05"), (22, "45356.604166666664", "2024-03-05T14:30:00"), (20, "0.60416666666666663", "14:30:00"), (46, "1.1041666666666667", "26:30:00"),
    ("dd/mm/yyyy", "45356", "2024-03-05"), ("[$-40C]d mmmm yyyy;@", "45356", "2024-03-05"), ("yyyy\\-mm\\-dd\\ hh:mm", "45356.5", "2024-03-05T12:00:00"),
    ("[h]:mm", "2", "48:00:00"), ('0 "jours"', "45356", "45356"), ("General", "45356", "45356"), (0, "45356", "45356"), (14, "59", "1900-02-28"), (14, "61", "1900-03-01"),
]


@pytest.mark.parametrize("code, serial, expected", DATES)
def test_date(code, serial, expected):
    assert one_cell(f'<c r="A1" s="1"><v>{serial}</v></c>', styles=xlsx.styles(0, code)) == expected


@pytest.mark.parametrize("value", ["1", "true"])
def test_dates_of_1904(value):
    parts = xlsx.parts(xlsx.sheet('<row r="1"><c r="A1" s="0"><v>43894</v></c></row>'), None, xlsx.styles(14), f'<workbookPr date1904="{value}"/>')
    assert read(xlsx.pack(parts), "--header-row", "0").rows == {1: ["2024-03-05"]}


def test_impossible_dates_stay_numbers():
    data = xlsx.pack(xlsx.parts(xlsx.sheet('<row r="1"><c r="A1" s="0"><v>-5</v></c></row><row r="2"><c r="A2" s="0"><v>60</v></c></row>'), None, xlsx.styles(14)))
    reading = read(data, "--header-row", "0")
    assert reading.rows == {1: ["-5"], 2: ["1900-02-28"]}
    assert reading.notes == [(1, "cell_not_a_date"), (2, "cell_fictitious_date")]


def test_a_style_that_is_not_there_is_a_number():
    assert one_cell('<c r="A1" s="99"><v>45356</v></c>', styles=xlsx.styles(14)) == "45356"
    assert one_cell('<c r="A1" s="99"><v>45356</v></c>') == "45356"


# ---- relationships and sheets ----

SHEET = xlsx.sheet('<row r="1"><c r="A1"><v>1</v></c></row>')
EMPTY = xlsx.sheet("")


def book(sheets, relations, parts):
    entries = {"_rels/.rels": xlsx.relations([("rId1", "officeDocument", "xl/workbook.xml")]), "xl/workbook.xml": xlsx.workbook(sheets),
               "xl/_rels/workbook.xml.rels": xlsx.relations(relations)}
    return xlsx.pack({**entries, **parts})


@pytest.mark.parametrize("target", ["/xl/worksheets/S.xml", "worksheets/S.xml", "WORKSHEETS/s.XML", "worksheets\\S.xml", "./worksheets/../worksheets/S.xml",
                                    "/xl//worksheets/S.xml", "../xl/worksheets/S.xml", "../../../xl/worksheets/S.xml", "worksheets/%53.xml"])
def test_targets(target):
    assert read(book([("S", "r1")], [("r1", "worksheet", target)], {"xl/worksheets/S.xml": SHEET}), "--header-row", "0").rows == {1: ["1"]}


def test_parts_may_stand_anywhere():
    entries = {"_rels/.rels": xlsx.relations([("x", "officeDocument", "/odd/place/book.xml")]), "odd/place/book.xml": xlsx.workbook([("S", "q")]),
               "odd/place/_rels/book.xml.rels": xlsx.relations([("q", "worksheet", "../s.xml"), ("w", "sharedStrings", "/strings"), ("e", "styles", "../../look.xml")]),
               "odd/s.xml": xlsx.sheet('<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" s="0"><v>45356</v></c></row>'), "strings": xlsx.strings("é"), "look.xml": xlsx.styles(14)}
    assert read(xlsx.pack(entries), "--header-row", "0").rows == {1: ["é", "2024-03-05"]}


def test_entry_names_with_backslashes():
    entries = {name.replace("/", "\\"): text for name, text in xlsx.parts(SHEET).items()}
    assert read(xlsx.pack(entries), "--header-row", "0").rows == {1: ["1"]}


def test_strict_files_and_prefixes():
    entries = {
        "_rels/.rels": xlsx.relations([("rId1", "officeDocument", "xl/workbook.xml")], xlsx.STRICT_OFFICE),
        "xl/workbook.xml": f'<x:workbook xmlns:x="{xlsx.STRICT_MAIN}" xmlns:q="{xlsx.STRICT_OFFICE}"><x:workbookPr date1904="0"/><x:sheets><x:sheet name="S" sheetId="1" q:id="a"/></x:sheets></x:workbook>',
        "xl/_rels/workbook.xml.rels": xlsx.relations([("a", "worksheet", "s.xml"), ("b", "sharedStrings", "t.xml")], xlsx.STRICT_OFFICE),
        "xl/s.xml": f'<x:worksheet xmlns:x="{xlsx.STRICT_MAIN}"><x:sheetData><x:row r="1"><x:c r="A1" t="s"><x:v>0</x:v></x:c></x:row></x:sheetData></x:worksheet>',
        "xl/t.xml": f'<x:sst xmlns:x="{xlsx.STRICT_MAIN}"><x:si><x:t>é</x:t></x:si></x:sst>'}
    assert read(xlsx.pack(entries), "--header-row", "0").rows == {1: ["é"]}


def test_utf16_parts():
    entries = {name: text.replace('encoding="UTF-8"', 'encoding="UTF-16"').encode("utf-16") for name, text in xlsx.parts(xlsx.sheet('<row r="1"><c r="A1" t="s"><v>0</v></c></row>'), xlsx.strings("é😀")).items()}
    assert read(xlsx.pack(entries), "--header-row", "0").rows == {1: ["é😀"]}


def test_sheets_to_choose_from():
    sheets = [("Graph", "r0"), ("Caché", "r1", 'state="hidden"'), ("Très caché", "r2", 'state="veryHidden"'), ("Vide", "r3"), ("Été & Co", "r4"), ("Autre", "r5")]
    relations = [("r0", "chartsheet", "c.xml"), ("r1", "worksheet", "a.xml"), ("r2", "worksheet", "a.xml"), ("r3", "worksheet", "e.xml"), ("r4", "worksheet", "a.xml"), ("r5", "worksheet", "b.xml")]
    data = book(sheets, relations, {"xl/c.xml": "<chartsheet/>", "xl/a.xml": SHEET, "xl/e.xml": EMPTY, "xl/b.xml": xlsx.sheet('<row r="2"><c r="A2"><v>2</v></c></row>')})
    reading = read(data, mode="inspect")
    assert reading.meta["sheets"] == [{"name": "Caché", "hidden": True}, {"name": "Très caché", "hidden": True}, {"name": "Vide", "hidden": False},
                                      {"name": "Été & Co", "hidden": False}, {"name": "Autre", "hidden": False}]
    assert reading.meta["sheet"] == "Été & Co" and reading.rows == {}
    assert read(data, "--sheet", "Autre", "--header-row", "0").rows == {2: ["2"]}
    assert read(data, "--sheet", "Caché", "--header-row", "0").rows == {1: ["1"]}
    assert read(data, "--sheet", "Graph").code == "sheet_not_found"


def test_an_empty_workbook():
    reading = read(xlsx.pack(xlsx.parts(EMPTY)))
    assert reading.code == "ok" and reading.meta["exact"] and reading.meta["estimatedRows"] == 0 and reading.end["rows"] == 0


BROKEN = {
    "no_worksheet": book([("Graph", "r0")], [("r0", "chartsheet", "c.xml")], {}),
    "part_missing": book([("S", "r0")], [("r0", "worksheet", "nowhere.xml")], {}),
    "not_a_workbook": xlsx.pack({"_rels/.rels": xlsx.relations([("r", "officeDocument", "word/document.xml")]), "word/document.xml": "<w:document xmlns:w='w'/>"}),
    "looks_like_xlsb": xlsx.pack({"_rels/.rels": xlsx.relations([("r", "officeDocument", "xl/workbook.bin")]), "xl/workbook.bin": b"\x83\x01\x00"}),
    "looks_like_ods": xlsx.pack({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<office/>"}),
    "xml_doctype": xlsx.pack(xlsx.parts('<!DOCTYPE worksheet [<!ENTITY a "b">]>' + SHEET.replace(xlsx.HEAD, ""))),
    "xml_malformed": xlsx.pack(xlsx.parts(SHEET.replace("</row>", "</raw>"))),
    "xml_encoding": xlsx.pack(xlsx.parts(SHEET.replace("UTF-8", "ISO-8859-1"))),
    "xml_too_complex": xlsx.pack(xlsx.parts(xlsx.sheet("<row>" * 200))),
}


@pytest.mark.parametrize("code", BROKEN)
def test_refused(code):
    reading = read(BROKEN[code])
    assert reading.code == code and reading.rows == {}
    assert reading.fail[1].endswith(".")


@pytest.mark.parametrize("sheet", [SHEET[:-20], SHEET.replace("<v>1", "<v>&nope;"), SHEET.replace('r="1"', "r=1"), SHEET + "<more/>", ""])
def test_malformed_sheets(sheet):
    assert read(xlsx.pack(xlsx.parts(sheet))).code == "xml_malformed"


def test_text_that_is_no_utf8():
    assert read(xlsx.pack(xlsx.parts(xlsx.sheet('<row r="1"><c r="A1" t="str"><v>X</v></c></row>').encode().replace(b"<v>X", b"<v>\xe9")))).code == "xml_encoding"
    assert read(xlsx.pack(xlsx.parts(SHEET, xlsx.strings("X").encode().replace(b">X<", b">\xff<")))).code == "xml_encoding"


def test_an_external_relationship_is_not_followed():
    entries = book([("S", "r0")], [("r0", "worksheet", "http://example.org/sheet.xml", 'TargetMode="External"')], {})
    assert read(entries).code == "no_worksheet"


# ---- header, counts, resume ----

LEADS = [["Export du 5 mars"], [None], ["Nom", "E-mail", "Téléphone"], ["Zoé", "zoe@exemple.fr", "+33612345678"], [None], ["Léa", "lea@exemple.fr", None], ["Max", "max@exemple.fr", 612345679]]


def test_meta():
    data = xlsx.pack(xlsx.table(LEADS))
    assert read(data, mode="inspect").meta == {
        "format": "xlsx", "date1904": False, "sheets": [{"name": "Sheet1", "hidden": False}], "sheet": "Sheet1", "hasHeader": True, "headerRow": 3, "columns": 3,
        "header": ["Nom", "E-mail", "Téléphone"], "sample": [{"row": 4, "cells": ["Zoé", "zoe@exemple.fr", "+33612345678"]}, {"row": 6, "cells": ["Léa", "lea@exemple.fr", ""]},
                                                             {"row": 7, "cells": ["Max", "max@exemple.fr", "612345679"]}],
        "estimatedRows": 3, "exact": True, "fileSize": len(data)}


def test_rows_and_counts():
    reading = read(xlsx.pack(xlsx.table(LEADS)))
    assert reading.rows == {4: ["Zoé", "zoe@exemple.fr", "+33612345678"], 6: ["Léa", "lea@exemple.fr", None], 7: ["Max", "max@exemple.fr", "612345679"]}
    assert (reading.end["rows"], reading.end["empty"], reading.end["records"]) == (3, 1, 7)


def test_resume_and_a_chosen_header():
    data = xlsx.pack(xlsx.table(LEADS))
    assert list(read(data, "--header-row", "3", "--skip-rows", "6").rows) == [7]
    assert list(read(data, "--header-row", "4").rows) == [6, 7]
    assert list(read(data, "--header-row", "0").rows) == [1, 3, 4, 6, 7]


def test_resume_of_a_large_sheet():
    data = xlsx.pack(xlsx.table([["id", "name"]] + [[i, f"name {i % 100}"] for i in range(2, 6001)]))
    reading = read(data, "--header-row", "1", "--skip-rows", "5990")
    assert list(reading.rows) == list(range(5991, 6001)) and reading.rows[6000] == ["6000", "name 0"]
    assert not reading.meta["exact"] and 5000 < reading.meta["estimatedRows"] < 7000


def test_wide_and_long():
    wide = [[f"heading {i} " + "é" * 100 for i in range(4096)], [f"value {i}" for i in range(4096)]]
    reading = read(xlsx.pack(xlsx.table(wide)), "--header-row", "1")
    assert reading.rows == {2: wide[1]} and len(reading.meta["header"]) == 4096
    long = read(xlsx.pack(xlsx.table([["é" * 40000, "b"], ["x" * 70000] * 20])), "--header-row", "0")
    assert long.flags == {1: ["field_too_long"], 2: ["field_too_long", "record_too_long"]}
    assert long.rows[1][:2] == ["é" * 32768, "b"] and sum(len(cell) for cell in long.rows[2] if cell) == 1 << 20
    inline = xlsx.sheet(f'<row r="1"><c r="A1" t="str"><v>{"x" * 600_000}</v></c><c r="B1" t="str"><v>b</v></c></row>')
    assert read(xlsx.pack(xlsx.parts(inline)), "--header-row", "0").rows == {1: ["x" * 65536, "b"]}


def test_caps_of_options():
    data = xlsx.pack(xlsx.table([["a", "b", "c"], ["1", "2", "3"]]))
    assert read(data, "--max-columns", "2").code == "too_many_columns"
    assert read(data, "--max-field", "1", "--header-row", "0").code == "ok"
