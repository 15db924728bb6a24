"""Any table comes back cell for cell; any bytes, and any damage to a workbook, end in END or in FAIL with a code."""
import datetime
import io
import random

import openpyxl
import xlsx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import read

COMMON = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

# XML has no NUL, surrogates or U+FFFE/FFFF, not even escaped ones that mean a character.
TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\ufffe\uffff"), min_size=1, max_size=30).filter(lambda text: text.strip(" \t"))
NUMBERS = st.one_of(st.integers(-(10**18), 10**18), st.floats(allow_nan=False, allow_infinity=False))
CELLS = st.one_of(st.none(), TEXTS, NUMBERS, st.booleans())
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=6), min_size=1, max_size=12)


def same(got, given):
    """Whether the text of a cell is what was put there; numbers must read back as the same number."""
    if given is None or isinstance(given, str):
        return got == given
    if isinstance(given, bool):
        return got == ("true" if given else "false")
    return int(got) == given if isinstance(given, int) else float(got) == given


def check(reading, table):
    assert reading.code == "ok", reading.fail
    width = max((i + 1 for row in table for i, cell in enumerate(row) if cell is not None), default=0)
    filled = {number: row for number, row in enumerate(table, 1) if any(cell is not None for cell in row)}
    assert list(reading.rows) == list(filled)
    for number, row in filled.items():
        padded = (row + [None] * width)[:width]
        assert len(reading.rows[number]) == width
        assert all(same(got, cell) for got, cell in zip(reading.rows[number], padded)), (reading.rows[number], padded)
        assert reading.flags[number] == []


@COMMON
@given(TABLES)
def test_any_table_of_ours_comes_back(table):
    check(read(xlsx.pack(xlsx.table(table)), "--header-row", "0"), table)


PLAIN_TEXTS = TEXTS.filter(lambda text: not any(c < " " and c not in "\t\n" or c in "\x7f_" for c in text) and not text.startswith("="))
DATES = st.datetimes(datetime.datetime(1900, 3, 1), datetime.datetime(9999, 12, 31)).map(lambda date: date.replace(microsecond=0))


@COMMON
@given(st.lists(st.lists(st.one_of(st.none(), PLAIN_TEXTS, st.integers(-(10**15), 10**15), st.booleans(), DATES), min_size=1, max_size=5), min_size=1, max_size=8))
def test_any_table_of_openpyxl_comes_back(table):
    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in table:
        book.active.append(row)
    for cells in book.active.iter_rows():
        for cell in cells:
            if isinstance(cell.value, str):
                cell.data_type = "s"  # "#N/A" is a text here
    book.save(out)
    expected = [[cell.isoformat() if isinstance(cell, datetime.datetime) else cell for cell in row] for row in table]
    check(read(out.getvalue(), "--header-row", "0"), expected)


LEADS = [["nom", "email", "n"]] + [[f"Zoé {i}", f"z{i}@e.fr", i * 1.5] for i in range(40)]
WHOLE = xlsx.pack(xlsx.table(LEADS))
STORED = xlsx.pack(xlsx.table(LEADS), xlsx.zipfile.ZIP_STORED)


def ends_well(data, *options):
    reading = read(data, *options)
    assert reading.status == 0 and (reading.end is None) != (reading.fail is None)
    return reading


@COMMON
@given(st.binary(max_size=300))
def test_any_bytes_end_well(data):
    assert ends_well(data).fail
    assert ends_well(b"PK\x03\x04" + data).fail


@COMMON
@given(st.data())
def test_any_damage_ends_well(data):
    """Bytes of the archive are changed, dropped, or come twice."""
    damaged = bytearray(data.draw(st.sampled_from([WHOLE, STORED])))
    for _ in range(data.draw(st.integers(1, 4))):
        at, size = data.draw(st.integers(0, len(damaged) - 1)), data.draw(st.integers(1, 40))
        change = data.draw(st.sampled_from(["set", "drop", "twice"]))
        piece = data.draw(st.binary(min_size=size, max_size=size)) if change == "set" else b"" if change == "drop" else bytes(damaged[at : at + size]) * 2
        damaged[at : at + size] = piece
    ends_well(bytes(damaged))


MARKUP = ["<", ">", "/>", "</v>", "</c>", "<c>", "<row>", "<is>", "<t>", "<![CDATA[", "]]>", "<!--", "-->", "&amp;", "&#x", "\"", "'", " r=\"XFD9\"", " t=\"s\"", " t=\"inlineStr\"", "\0", "\xff", "é", "99999999999", "-", "e308", "<?", "?>", "<!DOCTYPE"]


@COMMON
@given(st.integers(0, 2**32), st.sampled_from(["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "_rels/.rels"]))
def test_any_damage_inside_a_part_ends_well(seed, name):
    rand, parts = random.Random(seed), xlsx.table(LEADS)
    text = parts[name]
    for _ in range(rand.randrange(1, 4)):
        at = rand.randrange(len(text))
        text = text[:at] + rand.choice(MARKUP) + text[at + rand.randrange(8) :]
    parts[name] = text
    ends_well(xlsx.pack(parts))
