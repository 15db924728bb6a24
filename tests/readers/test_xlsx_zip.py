"""The container of workbooks: every trap of zip archives by name, bombs, and files that are something else."""
import struct
import zipfile

import pytest
import xlsx
from reading import read

SHEET_NAME = "xl/worksheets/sheet1.xml"
PARTS = xlsx.parts(xlsx.sheet('<row r="1"><c r="A1" t="s"><v>0</v></c></row>'), xlsx.strings("a"))
PLAIN = xlsx.pack(PARTS)
DEFLATE_STORE = {"deflated": zipfile.ZIP_DEFLATED, "stored": zipfile.ZIP_STORED}


def reads(data, *options):
    reading = read(data, "--header-row", "0", *options)
    return reading.rows if reading.code == "ok" else reading.code


# ---- archives that are fine ----

@pytest.mark.parametrize("method", DEFLATE_STORE)
@pytest.mark.parametrize("zip64", [False, True])
def test_methods_and_zip64(method, zip64):
    assert reads(xlsx.pack(PARTS, DEFLATE_STORE[method], zip64=zip64)) == {1: ["a"]}


def test_sizes_behind_the_data():
    data = xlsx.pack_streamed(PARTS)
    assert struct.unpack_from("<H", data, 6)[0] & 8, "bit 3 is set"
    assert reads(data) == {1: ["a"]}


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("size", [1, 100, 70_000])
def test_junk_before_the_archive(counted, size):
    assert reads(xlsx.pack(PARTS, junk=b"#!" * (size // 2) + b"j", count_junk=counted)) == {1: ["a"]}


def test_a_comment_behind_the_archive():
    data = bytearray(PLAIN)
    at = data.rfind(b"PK\x05\x06")
    struct.pack_into("<H", data, at + 20, 5)
    assert reads(bytes(data) + b"hello") == {1: ["a"]}


def test_what_local_headers_say_does_not_matter():
    """Sizes of the local header are zeroed, as if they stood behind the data."""
    lied = PLAIN
    for offset in (18, 22):
        lied = xlsx.patch(lied, SHEET_NAME, None, offset, "<I", lambda old: 0)
    assert reads(lied) in ({1: ["a"]}, "zip_damaged")


def test_a_size_in_the_directory_that_lies():
    """The size it unpacks to, in the directory: nothing is believed, the checksum tells."""
    assert reads(xlsx.patch(PLAIN, SHEET_NAME, 24, None, "<I", lambda old: 1)) == {1: ["a"]}
    assert reads(xlsx.patch(PLAIN, SHEET_NAME, 24, None, "<I", lambda old: 0x7FFFFFFF)) == {1: ["a"]}


# ---- archives that are not ----

def test_bad_checksums():
    assert reads(xlsx.patch(PLAIN, SHEET_NAME, 16, 14, "<I", lambda old: old ^ 1)) == "zip_bad_checksum"
    stored = xlsx.pack(PARTS, zipfile.ZIP_STORED)
    assert reads(stored.replace(b"<v>0</v>", b"<v>1</v>")) == "zip_bad_checksum"


def test_a_bad_checksum_of_a_large_sheet_comes_after_its_rows():
    large = xlsx.pack(xlsx.table([[i, f"name {i}"] for i in range(1, 6000)]))
    reading = read(xlsx.patch(large, SHEET_NAME, 16, 14, "<I", lambda old: old ^ 1))
    assert reading.code == "zip_bad_checksum" and reading.meta and reading.end is None


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods(method):
    assert reads(xlsx.pack(PARTS, method)) == "zip_method_unsupported"
    assert reads(xlsx.patch(PLAIN, SHEET_NAME, 10, 8, "<H", lambda old: 99)) in ("zip_method_unsupported", "zip_encrypted_entry", "zip_damaged")


def test_encrypted_entries():
    assert reads(xlsx.patch(PLAIN, SHEET_NAME, 8, 6, "<H", lambda old: old | 1)) == "zip_encrypted_entry"


@pytest.mark.parametrize("twin", [SHEET_NAME, SHEET_NAME.upper(), "XL/Worksheets/Sheet1.xml", "/" + SHEET_NAME, SHEET_NAME.replace("/", "\\")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_names(twin):
    assert reads(xlsx.pack([*PARTS.items(), (twin, xlsx.sheet(""))])) == "zip_duplicate_entry"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicates_of_what_is_not_read_do_not_matter():
    assert reads(xlsx.pack([*PARTS.items(), ("docProps/app.xml", "<a/>"), ("docProps/app.xml", "<b/>")])) == {1: ["a"]}


def test_too_many_entries():
    many = {**PARTS, **{f"media/{i}": b"" for i in range(300)}}
    assert reads(xlsx.pack(many), "--max-entries", "200") == "zip_too_many_entries"
    assert reads(xlsx.pack(many)) == {1: ["a"]}


@pytest.mark.parametrize("keep", [10, 100, len(PLAIN) // 2, len(PLAIN) - 30, len(PLAIN) - 1])
def test_cut_off(keep):
    assert reads(PLAIN[:keep]) in ("zip_damaged", "not_a_workbook")


def test_data_that_is_no_deflate():
    large = xlsx.pack(xlsx.table([[i, f"name {i}"] for i in range(1, 3000)]))
    at = large.find(SHEET_NAME.encode()) + len(SHEET_NAME) + 500
    assert reads(large[:at] + b"\xff" * 200 + large[at + 200 :]) in ("zip_damaged", "zip_bad_checksum", "xml_malformed")


# ---- bombs ----

BLANKS = xlsx.sheet("<row/>" + " " * 90_000_000)


def test_a_part_that_unpacks_to_too_much():
    assert reads(xlsx.pack(xlsx.parts(xlsx.sheet(" " * 3_000_000))), "--max-part", "1000000") == "unpacks_too_large"
    assert reads(xlsx.pack(xlsx.parts(xlsx.sheet(" " * 3_000_000)), zipfile.ZIP_STORED), "--max-part", "1000000") == "unpacks_too_large"


def test_parts_that_unpack_to_too_much_together():
    data = xlsx.pack(xlsx.parts(xlsx.sheet(" " * 600_000), xlsx.strings("x" * 600_000)))
    assert reads(data, "--max-unpacked", "1000000") == "unpacks_too_large"
    assert reads(data, "--max-unpacked", "2000000") != "unpacks_too_large"


def test_the_ratio_counts_for_large_parts_only():
    assert reads(xlsx.pack(xlsx.parts(BLANKS))) == "unpacks_too_dense"
    assert reads(xlsx.pack(xlsx.parts(BLANKS)), "--max-ratio", "2000") == {}
    assert reads(xlsx.pack(xlsx.parts(xlsx.sheet(" " * 3_000_000)))) == {}


def test_a_directory_that_lies_about_a_bomb():
    data = xlsx.pack(xlsx.parts(xlsx.sheet(" " * 3_000_000)))
    assert reads(xlsx.patch(data, SHEET_NAME, 24, 22, "<I", lambda old: 100), "--max-part", "1000000") == "unpacks_too_large"


# ---- something else ----

def ole(*names):
    """An old Office file as far as its directory: header, then sector 0."""
    header = bytearray(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(512, b"\0"))
    struct.pack_into("<H", header, 30, 9)
    struct.pack_into("<I", header, 48, 0)
    return bytes(header) + b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in ("Root Entry", *names)).ljust(512, b"\0")


@pytest.mark.parametrize("data, code", [
    (b"", "empty_file"), (b"nom;email\nZo\xc3\xa9;z@e.fr\n", "not_a_workbook"), (b"P", "not_a_workbook"), (b"<html><table>", "not_a_workbook"),
    (b"\0" * 100_000, "not_a_workbook"), (ole("Workbook"), "old_excel"), (ole("Book"), "old_excel"), (ole("EncryptionInfo", "EncryptedPackage"), "password_protected"),
    (ole("WordDocument"), "looks_like_xls"), (ole()[:512], "looks_like_xls"), (ole()[:10], "looks_like_xls"), (xlsx.pack({}), "not_a_workbook"),
    (xlsx.pack({"readme.txt": "hello"}), "not_a_workbook")], ids=lambda value: value if isinstance(value, str) else repr(value[:12]))
def test_something_else(data, code):
    assert reads(data) == code


def test_the_csv_reader_still_says_what_it_is():
    assert read(PLAIN, kind="csv").code == "looks_like_xlsx"
