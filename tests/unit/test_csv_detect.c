/*
 * Detection: encodings, the `sep=` line, delimiter and quote, header or none, columns; decoding; what is no text.
 */
#include "readers/csv_detect.h"
#include "readers/cell_types.h"
#include "readers/encoding.h"
#include "tests/unit/tap.h"

#define BYTES(literal) {literal, sizeof(literal) - 1}

static const struct {
	const char *name;
	struct str sample;
	enum encoding encoding;
	size_t bom;
} encodings[] = {
	{"ASCII is UTF-8", BYTES("a,b\n"), ENCODING_UTF8, 0},
	{"UTF-8", BYTES("caf\xc3\xa9\n"), ENCODING_UTF8, 0},
	{"UTF-8 with BOM", BYTES("\xef\xbb\xbf" "a\n"), ENCODING_UTF8, 3},
	{"UTF-8 cut at the end of the sample", BYTES("caf\xc3\xa9 \xe2\x82"), ENCODING_UTF8, 0},
	{"UTF-16LE with BOM", BYTES("\xff\xfe" "a\0"), ENCODING_UTF16LE, 2},
	{"UTF-16BE with BOM", BYTES("\xfe\xff\0a"), ENCODING_UTF16BE, 2},
	{"UTF-16LE without BOM", BYTES("a\0\t\0b\0\n\0"), ENCODING_UTF16LE, 0},
	{"UTF-16BE without BOM", BYTES("\0a\0\t\0b\0\n"), ENCODING_UTF16BE, 0},
	{"Cyrillic UTF-16LE without BOM", BYTES("\x18\x04;\0\x12\x04\r\0\n\0\x18\x04;\0\x12\x04\r\0\n\0"), ENCODING_UTF16LE, 0},
	{"a few NUL are no UTF-16", BYTES("abc\0def,ghi\njklm\0nop\n"), ENCODING_UTF8, 0},
	{"Windows-1252", BYTES("Pr\xe9nom;No\xebl;Fran\xe7ois\n"), ENCODING_WINDOWS_1252, 0},
	{"MacRoman", BYTES("Pr\x8enom;Fran\x8dois;Hel\x8fne;\x88 voir\n"), ENCODING_MACINTOSH, 0},
	{"typographic apostrophe of Windows", BYTES("l\x92" "\xe9t\xe9 \x96 d\x92hiver\n"), ENCODING_WINDOWS_1252, 0},
	{"mostly UTF-8, one stray line", BYTES("\xc3\xa9\xc3\xa8\n\xc3\xa0 \xc3\xa7\ncaf\xe9\n"), ENCODING_UTF8, 0},
};

static void test_encodings(void)
{
	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
		struct encoding_guess guess = encoding_detect(encodings[i].sample.p, encodings[i].sample.n);
		ok(guess.encoding == encodings[i].encoding && guess.bom == encodings[i].bom, "%s (got %s, %zu)", encodings[i].name,
		   encoding_name(guess.encoding), guess.bom);
	}
	enum encoding encoding = ENCODING_UTF8;
	ok(encoding_parse("Latin1", &encoding) == OK && encoding == ENCODING_WINDOWS_1252, "latin1 is windows-1252");
	ok(encoding_parse("UTF-16LE", &encoding) == OK && encoding == ENCODING_UTF16LE, "names in any case");
	ok(encoding_parse("ebcdic", &encoding) == ERR_INVALID, "unknown names are refused");
}

static void is_decoded(enum encoding encoding, struct str in, const char *expected, unsigned expected_findings, const char *name)
{
	char out[200];
	unsigned findings = 0;
	size_t n = encoding_decode(encoding, in.p, in.n, out, &findings);
	out[n] = '\0';
	is_text(out, expected, name);
	is_i64(findings, expected_findings, name);
}

static void test_decoding(void)
{
	is_decoded(ENCODING_WINDOWS_1252, STR("\x80 caf\xe9 \x9c"), "€ café œ", 0, "windows-1252");
	is_decoded(ENCODING_WINDOWS_1252, STR("a\x81"), "a\xef\xbf\xbd", ENCODING_REPLACED, "a byte windows-1252 does not have");
	is_decoded(ENCODING_MACINTOSH, STR("caf\x8e \xdb \xcf"), "café € œ", 0, "macintosh");
	is_decoded(ENCODING_UTF8, STR("é caf\xe9"), "é café", ENCODING_MIXED, "stray bytes in UTF-8");
	is_decoded(ENCODING_UTF8, STR("\xed\xa0\x80"), "í\xc2\xa0€", ENCODING_MIXED, "a surrogate is no UTF-8");
}

static void test_utf16(void)
{
	static const struct str in = BYTES("\x3d\xd8\x00\xde" "a\0" "\x3d\xd8" "b\0" "\x00\xde" "\xe9\0" "\x3d");
	static const char expected[] = "\xf0\x9f\x98\x80" "a" "\xef\xbf\xbd" "b" "\xef\xbf\xbd" "é" "\xef\xbf\xbd";
	for (size_t block = 1; block <= in.n; block++) {
		struct utf16 utf16 = {0};
		char out[200];
		size_t n = 0;
		for (size_t at = 0; at < in.n; at += block)
			n += utf16_decode(&utf16, in.p + at, in.n - at < block ? in.n - at : block, at + block >= in.n, out + n);
		out[n] = '\0';
		is_text(out, expected, "UTF-16 in pieces");
	}
	struct utf16 big = {.big_endian = true};
	char out[UTF16_ROOM(4)];
	size_t n = utf16_decode(&big, "\0a\x20\xac", 4, true, out);
	ok(n == 4 && memcmp(out, "a€", 4) == 0, "UTF-16BE");
}

static const struct {
	const char *name;
	struct str sample;
	char delimiter, quote;
	int header_row;
	size_t columns, data_rows;
} layouts[] = {
	{"commas", BYTES("name,email,age\nAnna,a@b.fr,3\nBob,b@c.fr,4\n"), ',', '"', 1, 3, 2},
	{"French Excel", BYTES("Nom;Prix;Adresse\r\nA;12,50;1, rue X, Lyon\r\nB;3,20;2, rue Y\r\n"), ';', '"', 1, 3, 2},
	{"decimal commas in one column", BYTES("Prix\n12,50\n3,20\n7,10\n"), ';', '"', 1, 1, 3},
	{"tabs", BYTES("a\tb\n1\tx, y\n2\tz; w\n"), '\t', '"', 1, 2, 2},
	{"pipes", BYTES("a|b|c\n1|x,y|3\n2|z,w|4\n"), '|', '"', 1, 3, 2},
	{"quoted delimiters", BYTES("\"a;b\",\"c\"\n\"x;y\",\"z;w;v\"\n\"1;2\",\"q\"\n"), ',', '"', 1, 2, 2},
	{"newlines in quotes", BYTES("a,b,c\n1,\"x\ny\nz\",2\n3,\"u\nv\",4\n"), ',', '"', 1, 3, 2},
	{"single quotes", BYTES("a,b,c\n1,'x,y',2\n3,'z,w,v',4\n5,'u,t',6\n"), ',', '\'', 1, 3, 3},
	{"one column", BYTES("email\na@b.fr\nc@d.fr\n"), ',', '"', 1, 1, 2},
	{"sep= line", BYTES("sep=|\r\na|b,c\n1|2,5\n"), '|', '"', 1, 2, 1},
	{"quoted sep= line", BYTES("\"sep=;\"\na;b\n1;2\n"), ';', '"', 1, 2, 1},
	{"title and empty lines before the header", BYTES("Export leads 2026;;;\n;;;\n\nNom;Email;Tel;Ville\nA;a@b.fr;0612345678;Lyon\nB;b@b.fr;0612345679;Nice\n"), ';', '"', 4, 4, 2},
	{"no header: e-mails and phones in line 1", BYTES("Jean;jean@x.fr;0612345678\nAnne;anne@y.fr;0612345679\n"), ';', '"', 0, 3, 2},
	{"no header: numbers only", BYTES("1,2,3\n4,5,6\n7,8,9\n"), ',', '"', 0, 3, 3},
	{"header of years", BYTES("Pays,2021,2022\nFrance,12,13\nItalie,14,15\n"), ',', '"', 1, 3, 2},
	{"header only", BYTES("nom,email,telephone\n"), ',', '"', 1, 3, 0},
	{"text under text is a header", BYTES("Nom;Ville\nAnna;Lyon\nBob;Nice\n"), ';', '"', 1, 2, 2},
	{"trailing delimiters everywhere", BYTES("a;b;;\n1;2;;\n3;4;;\n"), ';', '"', 1, 2, 2},
	{"data under an empty heading", BYTES("a,b,\n1,2,3\n4,5,6\n"), ',', '"', 1, 3, 2},
	{"header shorter than the data", BYTES("a,b\n1,2,3\n4,5,6\n7,8,9\n"), ',', '"', 1, 3, 3},
	{"inches are no quotes", BYTES("item,size\nmonitor,12\"\ntv,40\"\n"), ',', '"', 1, 2, 2},
	{"two files pasted together", BYTES("nom,ville\na,b\nnom,ville\nc,d\n"), ',', '"', 1, 2, 3},
};

static void test_layouts(struct arena *scratch)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		struct csv_layout layout = {0};
		struct csv_wish wish = {'\0', HEADER_AUTO};
		enum err err = csv_detect(scratch, layouts[i].sample, true, &wish, &layout);
		bool pass = ok(err == OK && layout.dialect.delimiter == layouts[i].delimiter && layout.dialect.quote == layouts[i].quote &&
				       layout.header_row == (uint64_t)layouts[i].header_row && layout.has_header == (layouts[i].header_row > 0) &&
				       layout.columns == layouts[i].columns && layout.data_rows == layouts[i].data_rows,
			       "%s", layouts[i].name);
		if (!pass)
			printf("# delimiter %c quote %c header %d columns %zu rows %d\n", layout.dialect.delimiter, layout.dialect.quote,
			       (int)layout.header_row, layout.columns, (int)layout.data_rows);
	}
}

static void test_wishes(struct arena *scratch)
{
	static const struct str sample = BYTES("x,y;z\n1,2;3\n4,5;6\n");
	struct csv_layout layout = {0};
	struct csv_wish wish = {'\0', HEADER_AUTO};
	wish.delimiter = ';';
	ok(csv_detect(scratch, sample, true, &wish, &layout) == OK && layout.dialect.delimiter == ';' && layout.columns == 2, "a wished delimiter is kept");
	wish.header_row = 2;
	ok(csv_detect(scratch, sample, true, &wish, &layout) == OK && layout.header_row == 2 && layout.data_rows == 1, "a wished header row too");
	wish.header_row = 0;
	ok(csv_detect(scratch, sample, true, &wish, &layout) == OK && !layout.has_header && layout.data_rows == 3, "no header, as wished");
	wish = (struct csv_wish){'\0', HEADER_AUTO};
	ok(csv_detect(scratch, STR("a,b\n\"x\\\"y,z\",1\n\"x\\\"w,v\",2\n\"\\\"q\\\", r\",3\n"), true, &wish, &layout) == OK && layout.dialect.backslash, "backslash escapes");
	ok(csv_detect(scratch, STR("a,b\n\"C:\\dir\\\",1\n\"D:\\\",2\n"), true, &wish, &layout) == OK && !layout.dialect.backslash, "Windows paths are no escapes");
}

static void test_types(void)
{
	static const struct {
		const char *text;
		enum cell_type type;
	} cells[] = {
		{"", CELL_EMPTY}, {" 12 ", CELL_NUMBER}, {"-3,5", CELL_NUMBER}, {"1 234,50 €", CELL_NUMBER}, {"75001", CELL_NUMBER},
		{"2026-11-21", CELL_DATE}, {"21/11/2026 08:47", CELL_DATE}, {"2026-11-21T08:47:38Z", CELL_DATE}, {"1.2.26", CELL_DATE},
		{"0612345678", CELL_PHONE}, {"+33 6 12 34 56 78", CELL_PHONE}, {"06.12.34.56.78", CELL_PHONE}, {"a@b.fr", CELL_EMAIL},
		{"a@b", CELL_TEXT}, {"https://x.fr/a", CELL_URL}, {"Jean Dupont", CELL_TEXT}, {"1, rue X", CELL_TEXT}, {"a;b", CELL_ODD}, {"a,b", CELL_ODD},
		{"-", CELL_TEXT}, {"+", CELL_TEXT}, {"€", CELL_TEXT},
	};
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		is_i64(cell_type_of(str_of(cells[i].text)), cells[i].type, cells[i].text);
}

static void test_not_text(void)
{
	is_text(csv_not_text("PK\x03\x04....", 8), "looks_like_xlsx", "zip");
	is_text(csv_not_text("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8), "looks_like_xls", "old Excel");
	is_text(csv_not_text("%PDF-1.7", 8), "not_a_text_file", "PDF");
	is_text(csv_not_text("\x7f" "ELF\x02", 5), "not_a_text_file", "ELF");
	is_text(csv_not_text("SQLite format 3", 16), "not_a_text_file", "SQLite");
	is_text(csv_not_text("PK,name\n", 8), NULL, "a heading PK is text");
	ok(csv_mostly_control("\x01\x02\x03\x04 a", 6), "control bytes");
	ok(!csv_mostly_control("a\tb\r\nc\0dddddddddddd", 19), "a NUL is nothing yet");
}

int main(void)
{
	struct arena scratch;
	arena_init(&scratch, 4 << 20);
	test_encodings();
	test_decoding();
	test_utf16();
	test_types();
	test_layouts(&scratch);
	test_wishes(&scratch);
	test_not_text();
	arena_release(&scratch);
	return tap_done();
}
