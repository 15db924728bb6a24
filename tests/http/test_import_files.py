"""What files are really like: every trap of CSV by name, and bad files. Each trap ends in the right rows or in a reason; nothing
ends in a 500, and nothing of a refused file is left among the leads."""
import io
import random
import zipfile

import pytest

from space import JOBS, Space, table


@pytest.fixture
def space(gate):
    return Space(gate)


def raw(space, job):
    return [row["raw"] for row in space.rows(job["id"])]


def codes(space, job):
    """What is said of each row."""
    return [[error["code"] for error in row["errors"]] for row in space.rows(job["id"])]


def outcome(space, job):
    """(row number, valid) of each row."""
    return [(row["rowNumber"], row["action"] != "invalid") for row in space.rows(job["id"])]


# ------------------------------------------------------------------------------------------------------------------ encodings

FRENCH = [["Prénom", "Email", "Société"], ["Élodie", "e@example.com", "Œuvre & Cœur"], ["François", "f@example.com", "Crêperie à Noël"]]
# Spreadsheets write UTF-16 with tabs and Windows-1252 with semicolons.
ENCODED = {
    "UTF-8": ("utf-8", ",", table(FRENCH).encode()),
    "UTF-8 with a mark": ("utf-8", ";", b"\xef\xbb\xbf" + table(FRENCH, ";").encode()),
    "UTF-16LE with a mark": ("utf-16le", "\t", b"\xff\xfe" + table(FRENCH, "\t", "\r\n").encode("utf-16-le")),
    "UTF-16BE with a mark": ("utf-16be", "\t", b"\xfe\xff" + table(FRENCH, "\t", "\r\n").encode("utf-16-be")),
    "UTF-16LE without": ("utf-16le", "\t", table(FRENCH, "\t", "\r\n").encode("utf-16-le")),
    "UTF-16BE without": ("utf-16be", ";", table(FRENCH, ";").encode("utf-16-be")),
    "Windows-1252": ("windows-1252", ";", table(FRENCH, ";", "\r\n").encode("cp1252")),
    "MacRoman": ("macintosh", ";", table(FRENCH, ";", "\r").encode("mac-roman")),
}


@pytest.mark.parametrize("name", ENCODED)
def test_encoding(space, name):
    encoding, delimiter, data = ENCODED[name]
    job = space.parsed(data)
    assert (job["encoding"], job["delimiter"]) == (encoding, delimiter)
    assert [column["name"] for column in job["columns"]] == FRENCH[0], "expected no byte order mark in a heading"
    assert raw(space, job) == FRENCH[1:]
    space.commit(job["id"])
    assert space.leads("first_name, company") == [("Élodie", "Œuvre & Cœur"), ("François", "Crêperie à Noël")]


def test_encoding_of_astral_and_combining_characters(space):
    rows = [["Nom", "Email", "Notes"], ["Müller 😀", "m@example.com", "日本語 𝄞"], ["Ne\u0301", "n@example.com", "العربية"]]
    for data in (table(rows).encode(), b"\xff\xfe" + table(rows).encode("utf-16-le")):
        assert raw(space, space.parsed(data)) == rows[1:]


def test_mixed_encodings_in_one_file(space):
    data = "Nom;Email;Société\nÉtienne;a@example.com;Café\n".encode() + "Grégory;b@example.com;Hôtel\n".encode("cp1252") + "Zoé;c@example.com;Forêt\n".encode()
    job = space.parsed(data)
    assert job["encoding"] == "utf-8"
    assert raw(space, job) == [["Étienne", "a@example.com", "Café"], ["Grégory", "b@example.com", "Hôtel"], ["Zoé", "c@example.com", "Forêt"]]
    assert codes(space, job)[1] == ["mixed_encoding"] and "mixed_encoding" not in codes(space, job)[0] + codes(space, job)[2]
    assert outcome(space, job) == [(2, True), (3, True), (4, True)]


@pytest.mark.parametrize("name, data", [
    ("a byte Windows-1252 does not know", "Nom,Email\nDupré é à,a@example.com\n".encode() + b"Bad\x81,b@example.com\nC,c@example.com\n"),
    ("half a surrogate pair", b"\xff\xfe" + "Nom,Email\nA,a@example.com\nBad".encode("utf-16-le") + b"\x00\xd8" + ",b@example.com\nC,c@example.com\n".encode("utf-16-le")),
    ("encoded surrogates", b"Nom,Email\n\xc3\xa9\xc3\xa8\xc3\xa0,a@example.com\nBad\xed\xa0\x80\x81,b@example.com\nC,c@example.com\n")])
def test_characters_without_meaning_keep_their_row_out(space, name, data):
    job = space.parsed(data)
    assert outcome(space, job) == [(2, True), (3, False), (4, True)], f"expected {name} to concern its row alone, got {space.rows(job['id'])}"
    assert "invalid_bytes" in codes(space, job)[1] and "\ufffd" in raw(space, job)[1][0]
    assert space.commit(job["id"])["counts"]["inserted"] == 2


def test_half_a_character_at_the_end_of_utf_16(space):
    data = b"\xff\xfe" + "Nom,Email\nA,a@example.com\nB,b@example.com".encode("utf-16-le") + b"x"
    assert outcome(space, space.parsed(data)) == [(2, True), (3, False)]


# ----------------------------------------------------------------------------------------------------------------- delimiters

@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line", ["\n", "\r\n", "\r"])
def test_delimiter_and_line_end(space, delimiter, line):
    rows = [["Nom", "Email", "Notes"], ["Durand", "a@example.com", "un, deux; trois | quatre"], ["Petit", "b@example.com", ""], ["", "c@example.com", "x"]]
    job = space.parsed(table(rows, delimiter, line))
    assert (job["delimiter"], raw(space, job)) == (delimiter, rows[1:])
    assert [number for number, _ in outcome(space, job)] == [2, 3, 4]


def test_decimal_commas_do_not_separate(space):
    job = space.parsed("Nom;Email;Montant\nDurand;a@example.com;12,50\nPetit;b@example.com;1 300,75\n")
    assert job["delimiter"] == ";" and raw(space, job)[0] == ["Durand", "a@example.com", "12,50"]


def test_one_column_of_addresses(space):
    job = space.parsed("Email\na@example.com\nb@example.com\n")
    assert space.commit(job["id"])["counts"]["inserted"] == 2


@pytest.mark.parametrize("directive, delimiter", [("sep=;", ";"), ("SEP=,", ","), ("sep=|", "|"), ("sep=\t", "\t"), ('"sep=;"', ";")])
@pytest.mark.parametrize("line", ["\r\n", "\n"])
def test_the_sep_line_is_no_data(space, directive, delimiter, line):
    # One comma a cell: without the directive a comma could be taken for the delimiter.
    rows = [["Nom", "Email", "Notes"], ["Durand, Ana", "a@example.com", "x, y"]]
    job = space.parsed(directive + line + line.join(delimiter.join(f'"{cell}"' if delimiter == "," else cell for cell in row) for row in rows) + line)
    assert (job["delimiter"], job["headerRow"], raw(space, job)) == (delimiter, 1, rows[1:])


def test_mixed_line_ends(space):
    job = space.parsed("Nom,Email\r\nA,a@example.com\nB,b@example.com\rC,c@example.com\r\n\nD,d@example.com")
    assert outcome(space, job) == [(2, True), (3, True), (4, True), (6, True)]
    assert [cells[0] for cells in raw(space, job)] == ["A", "B", "C", "D"]


# --------------------------------------------------------------------------------------------------------------------- quotes

def test_line_ends_in_quotes_are_text(space):
    job = space.parsed('Nom,Email,Notes\r\n"Du\nrand",a@example.com,"un\r\ndeux\rtrois"\r\nPetit,b@example.com,x\r\n')
    assert raw(space, job) == [["Du\nrand", "a@example.com", "un\r\ndeux\rtrois"], ["Petit", "b@example.com", "x"]]
    assert [number for number, _ in outcome(space, job)] == [2, 3]


@pytest.mark.parametrize("written, meant", [
    ('12" monitor', '12" monitor'), ('a "quoted" word', 'a "quoted" word'), ('"a"b', "ab"), ('"a" "b"', 'a "b"'), ('"say ""hi"""', 'say "hi"'), ('""', ""),
    ('""""', '"'), ('""""""', '""'), ('"a,b"', "a,b"), (' "a"', ' "a"'), ("it's", "it's"), ("back\\slash", "back\\slash"), ('"a\\b"', "a\\b")])
def test_quote(space, written, meant):
    job = space.parsed(f"Nom,Notes,Email\nA,{written},a@example.com\nB,plain,b@example.com\nC,\"usual\",c@example.com\n")
    assert raw(space, job) == [["A", meant, "a@example.com"], ["B", "plain", "b@example.com"], ["C", "usual", "c@example.com"]]
    assert outcome(space, job) == [(2, True), (3, True), (4, True)]


def test_backslashes_before_quotes(space):
    job = space.parsed('Nom,Notes,Email\n' + "".join(f'"A{n}","say \\"hi\\", now","a{n}@example.com"\n' for n in range(6)))
    assert raw(space, job)[0] == ["A0", 'say "hi", now', "a0@example.com"]
    assert all(valid for _, valid in outcome(space, job))


@pytest.mark.parametrize("rows_after", [3, 3000])
def test_an_unclosed_quote_takes_its_own_line_only(space, rows_after):
    data = 'Nom,Email,Notes\nA,a@example.com,x\nB,b@example.com,"never closed\n' + "".join(f"C{n},c{n}@example.com,y\n" for n in range(rows_after))
    job = space.parsed(data)
    assert job["counts"]["total"] == rows_after + 2, f"expected the lines after the quote to be read, got {job['counts']}"
    assert space.rows(job["id"], "invalid")[0]["rowNumber"] == 3 and job["counts"]["invalid"] == 1
    bad = space.rows(job["id"], "invalid")[0]
    assert "unclosed_quote" in [error["code"] for error in bad["errors"]] and bad["raw"] == ["B", "b@example.com", '"never closed']
    counts = space.commit(job["id"])["counts"]
    assert (counts["inserted"], counts["invalid"]) == (rows_after + 1, 1)


def test_unclosed_quotes_in_many_lines(space):
    lines = [f'N{n},n{n}@example.com,{chr(34) if n % 3 == 0 else ""}note {n}' for n in range(3000)]
    job = space.parsed("Nom,Email,Notes\n" + "\n".join(lines) + "\n")
    total = job["counts"]["total"]
    # Two stray quotes close each other: what stands between them is one row then. No row may vanish without a word.
    assert total >= 1000 and job["counts"]["invalid"] >= 0
    assert sum(1 + "".join(cells).count("\n") for cells in raw(space, job)) == 3000, "expected every line in some row"


# ---------------------------------------------------------------------------------------------------------------------- shape

def test_short_rows_come_in_with_a_warning(space):
    job = space.parsed("Email,Nom,Ville\na@example.com,Durand,Lyon\nb@example.com\nc@example.com,Petit\n")
    assert outcome(space, job) == [(2, True), (3, True), (4, True)]
    assert [("row_too_short" in said) for said in codes(space, job)] == [False, True, True]
    assert {warning["code"]: warning["rows"] for warning in job["warnings"]}["row_too_short"] == 2
    space.commit(job["id"])
    assert space.leads("email, last_name, city") == [("a@example.com", "Durand", "Lyon"), ("b@example.com", None, None), ("c@example.com", "Petit", None)]


def test_long_rows_stay_out_unless_the_surplus_is_empty(space):
    job = space.parsed("Nom,Email\nA,a@example.com\nB,b@example.com,\nC,c@example.com,,,\nD,d@example.com, ,\nE,e@example.com,surplus\nF,f@example.com\n")
    assert outcome(space, job) == [(2, True), (3, True), (4, True), (5, True), (6, False), (7, True)]
    assert codes(space, job)[4][0] == "row_too_long" and raw(space, job)[4] == ["E", "e@example.com", "surplus"]


def test_trailing_delimiters_on_every_line(space):
    job = space.parsed("Nom;Email;;;\nA;a@example.com;;;\nB;b@example.com;;;\n")
    assert [column["field"] for column in job["columns"]][:2] == ["lastName", "email"] and outcome(space, job) == [(2, True), (3, True)]
    assert not any(code in said for said in codes(space, job) for code in ("row_too_long", "row_too_short"))


def test_empty_lines_count_and_are_no_rows(space):
    job = space.parsed("Nom,Email\n\nA,a@example.com\n,\n  ,\t\n\n\nB,b@example.com\n\n\n")
    assert outcome(space, job) == [(3, True), (8, True)] and job["counts"]["total"] == 2


def test_duplicate_and_empty_headings(space):
    job = space.parsed("Email,Email,,Nom,\na@example.com,z@example.com,x,Durand,y\n")
    assert [column["name"] for column in job["columns"]][:4] == ["Email", "Email", "", "Nom"]
    fields = [column["field"] for column in job["columns"]]
    assert fields[0] == "email" and fields[1] is None and fields[2] is None and fields[3] == "lastName"
    assert raw(space, job) == [["a@example.com", "z@example.com", "x", "Durand", "y"]]


def test_a_header_further_down(space):
    data = "Export du 3 mai 2026;;;\n;;;\nService commercial;;;\nNom;Prénom;Email;Téléphone\nDurand;Ana;a@example.com;0612345678\nPetit;Zoé;b@example.com;0612345679\n"
    job = space.parsed(data)
    assert job["headerRow"] == 4 and [column["field"] for column in job["columns"]] == ["lastName", "firstName", "email", "phone"]
    assert outcome(space, job) == [(5, True), (6, True)]


def test_no_header_at_all(space):
    data = "Durand;Ana;a@example.com;0612345678\nPetit;Zoé;b@example.com;0612345679\nRoux;Max;c@example.com;0612345670\n"
    job = space.inspected(data)
    assert job["headerRow"] == 0 and [column["name"] for column in job["columns"]] == [None] * 4
    assert [column["field"] for column in job["columns"]] == [None, None, "email", "phone"], "expected what the cells tell"
    space.call(job["id"], "mapping", 200, "PUT", {"columns": {"0": "lastName", "1": "firstName"}})
    assert space.parse(job["id"])["counts"]["valid"] == 3, "expected the first line to be a row"
    space.commit(job["id"])
    assert space.leads("last_name, first_name")[0] == ("Durand", "Ana")


def test_the_header_again_in_the_middle(space):
    job = space.parsed("Nom,Email\nA,a@example.com\nNom,Email\nB,b@example.com\n")
    assert outcome(space, job) == [(2, True), (3, False), (4, True)], "expected a pasted header to be no lead"


def test_nul_bytes_are_removed(space):
    job = space.parsed(b"Nom,Email,Notes\nDu\0rand,a\0@example.com,x\n\0Petit,b@example.com,\0\0\n" + b"".join(b"N%d,n%d@example.com,ok\n" % (n, n) for n in range(20)))
    assert raw(space, job)[:2] == [["Durand", "a@example.com", "x"], ["Petit", "b@example.com", ""]]
    assert ["nul_removed" in said for said in codes(space, job)[:3]] == [True, True, False] and outcome(space, job)[0] == (2, True)


def test_a_cell_past_the_limit_is_cut_and_said(space):
    job = space.parsed("Nom,Email,Divers\nA,a@example.com," + "x" * 70_000 + "\nB,b@example.com,y\n")
    assert outcome(space, job) == [(2, False), (3, True)] and "field_too_long" in codes(space, job)[0]
    assert len(raw(space, job)[0][2]) == 65536


def test_a_line_past_the_limit_is_cut_and_said(space):
    job = space.parsed("Nom,Email," + ",".join(f"D{n}" for n in range(60)) + "\nA,a@example.com," + ",".join(["x" * 40_000] * 60) + "\nB,b@example.com,y\n")
    assert outcome(space, job) == [(2, False), (3, True)], f"expected the next line to be read, got {outcome(space, job)}"
    assert "record_too_long" in codes(space, job)[0]
    assert space.report(job["id"])[1]["rows"] == 1


def test_many_rows_of_maximal_length(space):
    """Far more than one frame, batch buffer or page holds."""
    wide = ",".join(["y" * 60_000] * 15)
    data = "Nom,Email," + ",".join(f"D{n}" for n in range(15)) + "\n" + "".join(f"N{n},n{n}@example.com,{wide}\n" for n in range(30)) + \
           "".join(f"B{n},bad,{wide}\n" for n in range(10))
    job = space.parsed(data)
    assert (job["counts"]["valid"], job["counts"]["invalid"]) == (30, 10)
    assert len(space.report(job["id"])[0].content) > 10 * 15 * 60_000
    answer = space.api("GET", f"{JOBS}/{job['id']}/rows?limit=500")
    assert answer.status_code in (200, 413), f"expected rows or a clear refusal, got {answer.status_code}"
    assert len(space.call(job["id"], "rows?limit=2", 200, "GET")["items"]) == 2, "expected a smaller page to be answered"
    assert space.commit(job["id"])["counts"]["inserted"] == 30


def test_four_thousand_columns(space):
    head = ["Nom", "Email"] + [f"Colonne {n}" for n in range(3998)]
    job = space.parsed(table([head, ["Durand", "a@example.com"] + ["x"] * 3998]))
    assert len(job["columns"]) == 4000 and job["counts"]["valid"] == 1
    assert space.rows(job["id"])[0]["raw"][-1] == "x"


# --------------------------------------------------------------------------------------------------------------------- values

@pytest.mark.parametrize("heading, cell, column, value", [
    ("Téléphone", "'0612345678", "phone", "+33612345678"), ("Téléphone", '="0612345678"', "phone", "+33612345678"), ("ID externe", '="0123"', "external_id", "0123"),
    ("ID externe", "'00042", "external_id", "00042"), ("ID externe", "00042", "external_id", "00042"), ("Code postal", "01000", "postal_code", "01000"),
    ("Code postal", "'01000", "postal_code", "01000"), ("Code postal", "1000", "postal_code", "01000"), ("Téléphone", "0612345678", "phone", "+33612345678"),
    ("Téléphone", "612345678", "phone", "+33612345678"), ("Téléphone", "06\u00a012\u202f34 56\u200b78", "phone", "+33612345678"),
    ("Téléphone", "\ufeffp:+33 (0)6 12 34 56 78\u00a0", "phone", "+33612345678"), ("Téléphone", "0044 20 7946 0958", "phone", "+442079460958"),
    ("Nom", "\u00a0Durand\u202f", "last_name", "Durand"), ("Nom", "McDonald", "last_name", "McDonald"), ("Entreprise", "SNCF", "company", "SNCF"),
    ("Notes", "'bonjour", "notes", "'bonjour"), ("Notes", "NULL", "notes", "NULL"), ("Notes", "\\N", "notes", "\\N"), ("Notes", "{a,\"b\"}", "notes", "{a,\"b\"}"),
    ("Notes", "'; DROP TABLE lead; --", "notes", "'; DROP TABLE lead; --"), ("Notes", "1e400", "notes", "1e400"), ("Notes", "-5", "notes", "-5")])
def test_value(space, heading, cell, column, value):
    space.imported(table([["Email", heading], ["a@example.com", cell]]))
    assert space.leads(f"email, {column}") == [("a@example.com", value)]


@pytest.mark.parametrize("cell, value", [
    ("\u00a0ana@exa\u200bmple.com\u202f", "ana@example.com"), ("\ufeffana@example.com", "ana@example.com"), (" ANA@Example.COM ", "ana@example.com"),
    ("mailto:ana@example.com", "ana@example.com"), ("ana@gmailcom", "ana@gmail.com"), ("ana\u00adb@example.com", "anab@example.com")])
def test_an_address_with_what_nobody_sees(space, cell, value):
    space.imported(table([["Nom", "Email"], ["Durand", cell]]))
    assert space.leads() == [(value,)]


def test_the_same_person_written_differently_is_one(space):
    job = space.imported(table([["Email", "Téléphone"], ["ana@example.com", ""], ["\u200bANA@example.com\u00a0", ""], ["", "'0612345678"], ["", "+33 6 12 34 56 78"]]))
    assert (job["counts"]["inserted"], job["counts"]["skipped"]) == (2, 2)


# ------------------------------------------------------------------------------------------------------------------ bad files

def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return out.getvalue()


NOISE = random.Random(1).randbytes(50_000)
BAD = {
    "only a header": (b"Nom,Email\n", "no_rows"),
    "only a header without its line end": (b"Nom,Email", "no_rows"),
    "a header and empty lines": (b"Nom,Email\n\n,\n\n", "no_rows"),
    "nothing but line ends": (b"\n\r\n\n", "no_rows"),
    "nothing but a sep line": (b"sep=;\n", "no_rows"),
    "nothing but a mark": (b"\xef\xbb\xbf", "empty_file"),
    "nothing but a mark of UTF-16": (b"\xff\xfe", "empty_file"),
    "noise": (NOISE, "not_a_text_file"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + NOISE, "not_a_text_file"),
    "a PDF": (b"%PDF-1.7\n" + NOISE, "not_a_text_file"),
    "gzip": (b"\x1f\x8b\x08\0" + NOISE, "not_a_text_file"),
    "a database": (b"SQLite format 3\0" + NOISE, "not_a_text_file"),
    "a program": (b"\x7fELF\x02\x01\x01" + NOISE, "not_a_text_file"),
    "zeros": (bytes(10_000), "not_a_text_file"),
    "a workbook": (zipped(), "not_a_workbook"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + NOISE, "looks_like_xls"),
    "ten thousand columns": (table([["Email"] + [f"c{n}" for n in range(9_999)], ["a@example.com"] + ["x"] * 9_999]).encode(), "too_many_columns"),
    "ten thousand columns without a header": (table([["a@example.com"] + ["1"] * 9_999] * 3).encode(), "too_many_columns"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file(space, name):
    data, code = BAD[name]
    job = space.failed(space.create(data), code)["id"]
    assert space.rows(job) == []
    space.refused(job, "parse", 409, "wrong_state")
    space.refused(job, "commit", 409, "wrong_state")
    space.refused(job, "error-report", 409, "report_not_ready")
    space.call(job, "retry")
    space.failed(job, code)


def test_nothing_but_delimiters(space):
    """They may be text under another delimiter; what they are not is leads."""
    job = space.inspected(",,,\n,,,\n")["id"]
    space.refused(job, "parse", 422, "mapping_incomplete")
    space.call(job, "mapping", 202, "PUT", {"delimiter": ","})
    space.failed(job, "no_rows")


def test_ten_thousand_columns_further_down(space):
    """Past the sample: only the parse meets it."""
    data = "Nom,Email\n" + "".join(f"N{n},n{n}@example.com\n" for n in range(60_000)) + "x," * 10_000 + "x\n"
    job = space.inspected(data)["id"]
    space.call(job, "parse")
    state = space.failed(job, "too_many_columns")
    assert state["counts"]["inserted"] == 0
    space.refused(job, "commit", 409, "wrong_state")


def test_sixty_megabytes_without_a_line_end(space):
    job = space.inspected(b"Email," + b"x" * 60_000_000)["id"]
    space.call(job, "parse")
    assert space.failed(job, "no_rows")["counts"]["total"] == 0


@pytest.mark.parametrize("quote", ["", '"'])
def test_sixty_megabytes_in_one_cell(space, quote):
    data = b"Nom,Email,Notes\nA,a@example.com,x\nB,b@example.com," + quote.encode() + b"x" * 60_000_000 + quote.encode() + b"\nC,c@example.com,y\n"
    job = space.parsed(data)
    rows = space.rows(job["id"], limit=1)
    assert [row["raw"][0] for row in rows if row["action"] != "invalid"] == ["A", "C"], "expected the rows around it to be read"
    assert {code for row in rows if row["action"] == "invalid" for code in [error["code"] for error in row["errors"]]} & {"record_too_long", "unclosed_quote"}
    assert space.commit(job["id"])["counts"]["inserted"] == 2


def test_a_file_that_vanished(space):
    job = space.create("Nom,Email\nA,a@example.com\n")
    state = space.wait(job, "mapping")
    data = space.gate.object(state["objectKey"])
    space.gate.replace_object(state["objectKey"], None)
    space.call(job, "parse")
    space.failed(job, "file_gone")
    space.gate.replace_object(state["objectKey"], data)
    space.call(job, "retry")
    space.wait(job, "ready")
    assert space.commit(job)["counts"]["inserted"] == 1


def test_a_file_that_is_another_one_now(space):
    job = space.create("Nom,Email\nA,a@example.com\n")
    state = space.wait(job, "mapping")
    space.gate.replace_object(state["objectKey"], b"Vil" + space.gate.object(state["objectKey"])[3:])
    space.call(job, "mapping", 202, "PUT", {"headerRow": 1})
    space.failed(job, "file_changed")


def test_a_wrong_override_fails_and_heals(space):
    """UTF-16 read as something else is nonsense; the user who chose that may choose again."""
    job = space.inspected(ENCODED["UTF-16LE with a mark"][2])["id"]
    space.call(job, "mapping", 202, "PUT", {"encoding": "utf-8"})
    space.failed(job, "not_a_text_file")
    space.refused(job, "mapping", 409, "wrong_state", "PUT", {"columns": {"0": None}})
    space.call(job, "mapping", 202, "PUT", {"encoding": "utf-16le"})
    state = space.wait(job, "mapping")
    assert [column["name"] for column in state["columns"]] == FRENCH[0] and state["error"] is None
    space.parse(job)
    assert space.commit(job)["counts"]["inserted"] == 2


def test_too_many_rows(make_gate):
    space = Space(make_gate(import__max_rows=100))
    data = table([["Nom", "Email"]] + [[f"N{n}", f"n{n}@example.com"] for n in range(101)])
    job = space.inspected(data)["id"]
    space.call(job, "parse")
    space.failed(job, "too_many_rows")
    counts = space.imported(table([["Nom", "Email"]] + [[f"N{n}", f"n{n}@example.com"] for n in range(100)]))["counts"]
    assert counts["inserted"] == 100, f"expected exactly the limit to come in, got {counts}"
