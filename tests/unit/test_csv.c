/*
 * The CSV machine: every trap by name, each fed whole and in blocks of 1, 2, 3 and 7 bytes, with the same result; random tables
 * written in every dialect come back cell for cell; what must stay bounded stays bounded.
 *
 * Records are shown one a line: number, letters of flags, then <cell> for each cell; "empty" for records without text.
 */
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "readers/csv.h"
#include "readers/frame.h"
#include "tests/unit/tap.h"

#define COMMA {',', '"', false}
#define SEMICOLON {';', '"', false}
#define SMALL {64, 16, 4, 8} /* limits of the tests about limits: record, field, lines, columns */
#define BYTES(literal) {literal, sizeof(literal) - 1}

struct trap {
	const char *name;
	struct str input;
	const char *expected;
	size_t columns;
	struct csv_dialect dialect;
	bool small;                 /* SMALL limits */
};

static const struct trap traps[] = {
	{"plain", BYTES("a,b\n1,2\n"), "1:<a><b>\n2:<1><2>\n", 0, COMMA, false},
	{"no newline at the end", BYTES("a,b\n1,2"), "1:<a><b>\n2:<1><2>\n", 0, COMMA, false},
	{"empty input", BYTES(""), "", 0, COMMA, false},
	{"one newline", BYTES("\n"), "1:empty\n", 0, COMMA, false},
	{"delimiter at the very end", BYTES("a,"), "1:<a><>\n", 0, COMMA, false},
	{"semicolon, comma is data", BYTES("a;1,5\n"), "1:<a><1,5>\n", 0, SEMICOLON, false},
	{"tab", BYTES("a\tb c\n"), "1:<a><b c>\n", 0, {'\t', '"', false}, false},
	{"pipe", BYTES("a|\"b|c\"\n"), "1:<a><b|c>\n", 0, {'|', '"', false}, false},
	{"single quotes", BYTES("'a,b',c\"d\n"), "1:<a,b><c\"d>\n", 0, {',', '\'', false}, false},
	{"no quotes at all", BYTES("\"a,b\"\n"), "1:<\"a><b\">\n", 0, {',', '\0', false}, false},
	{"CR", BYTES("a\rb\r"), "1:<a>\n2:<b>\n", 0, COMMA, false},
	{"CRLF", BYTES("a,1\r\nb,2\r\n"), "1:<a><1>\n2:<b><2>\n", 0, COMMA, false},
	{"CR, LF and CRLF mixed", BYTES("a\nb\rc\r\nd\n\re\r\r\nf"), "1:<a>\n2:<b>\n3:<c>\n4:<d>\n5:empty\n6:<e>\n7:empty\n8:<f>\n", 0, COMMA, false},
	{"newlines inside quotes", BYTES("\"a\nb\",\"c\r\nd\",\"e\rf\"\n2\n"), "1:<a\\nb><c\\r\\nd><e\\rf>\n2:<2>\n", 0, COMMA, false},
	{"quote inside an unquoted field", BYTES("1,12\" monitor,x\n5' 6\",y\n"), "1:<1><12\" monitor><x>\n2:<5' 6\"><y>\n", 0, COMMA, false},
	{"blank before a quote makes it data", BYTES("a, \"b\",c\n"), "1:<a>< \"b\"><c>\n", 0, COMMA, false},
	{"text after a closing quote", BYTES("\"a\"b,\"c\" \"d\",e\n"), "1:<ab><c \"d\"><e>\n", 0, COMMA, false},
	{"doubled quotes", BYTES("\"a\"\"b\",\"\"\"\",\"\"\n"), "1:<a\"b><\"><>\n", 0, COMMA, false},
	{"backslash is data", BYTES("\"a\\\",b\\n,\"\\\\\"\n"), "1:<a\\\\><b\\\\n><\\\\\\\\>\n", 0, COMMA, false},
	{"backslash escapes by dialect", BYTES("\"a\\\"b,c\",\"\\\\\",\"\\d\",\\\"e\n"), "1:<a\"b,c><\\\\><\\\\d><\\\\\"e>\n", 0, {',', '"', true}, false},
	{"backslash at the end of a path", BYTES("\"C:\\dir\\\\\",x\n"), "1:<C:\\\\dir\\\\><x>\n", 0, {',', '"', true}, false},
	{"unclosed quote at the end of the file", BYTES("1,\"a\n2,b\n3,c\n"), "1Q:<1><\"a>\n2:<2><b>\n3:<3><c>\n", 0, COMMA, false},
	{"unclosed quote past the line cap", BYTES("1,\"a,z\n2\n3\n4\n5\n6\n7\n"), "1Q:<1><\"a><z>\n2:<2>\n3:<3>\n4:<4>\n5:<5>\n6:<6>\n7:<7>\n", 0, COMMA, true},
	{"line cap counts CRLF once", BYTES("\"a\r\nb\r\nc\r\nd\r\ne\",z\n"), "1:<a\\r\\nb\\r\\nc\\r\\nd\\r\\ne><z>\n", 0, COMMA, true},
	{"unclosed quote past the record cap", BYTES("1,\"a,z\n2,bbbbbbbbbbbb\n3,cccccccccccc\n4,dddddddddddd\n5,eeeeeeeeeeee\n6,f\n"),
	 "1Q:<1><\"a><z>\n2:<2><bbbbbbbbbbbb>\n3:<3><cccccccccccc>\n4:<4><dddddddddddd>\n5:<5><eeeeeeeeeeee>\n6:<6><f>\n", 0, COMMA, true},
	{"good multi-line field before a bad quote", BYTES("\"a\nb\",\"c\n2,d\n"), "1Q:<a\\nb><\"c>\n2:<2><d>\n", 0, COMMA, false},
	{"lone quote as last byte", BYTES("a,\""), "1Q:<a><\">\n", 0, COMMA, false},
	{"lone quote in a line", BYTES("a,\"\nb,c\n"), "1Q:<a><\">\n2:<b><c>\n", 0, COMMA, false},
	{"short rows", BYTES("a,b,c\n1\n1,2\n1,2,3\n"), "1:<a><b><c>\n2S:<1>\n3S:<1><2>\n4:<1><2><3>\n", 3, COMMA, false},
	{"long rows", BYTES("a,b\n1,2,\n1,2,,\"\"\n1,2,3,\n1,2,,4\n"), "1:<a><b>\n2:<1><2>\n3:<1><2>\n4L:<1><2><3>\n5L:<1><2><><4>\n", 2, COMMA, false},
	{"trailing delimiters", BYTES("a;b;;\n1;2;;\n"), "1:<a><b>\n2:<1><2>\n", 2, SEMICOLON, false},
	{"empty lines count", BYTES("a,b\n\n1,2\n\r\n,\n \t \n3,4\n"), "1:<a><b>\n2:empty\n3:<1><2>\n4:empty\n5:empty\n6:empty\n7:<3><4>\n", 2, COMMA, false},
	{"NUL is dropped", BYTES("a\0b,\0\n\0\"c\0\0\"\0,d\n"), "1N:<ab><>\n2N:<c><d>\n", 0, COMMA, false},
	{"NUL between doubled quotes", BYTES("\"a\"\0\"b\"\n"), "1N:<a\"b>\n", 0, COMMA, false},
	{"NUL between CR and LF", BYTES("a\r\0\nb\n"), "1:<a>\n2N:<b>\n", 0, COMMA, false},
	{"NUL alone", BYTES("\0\0"), "1N:empty\n", 0, COMMA, false},
	{"field cap", BYTES("0123456789abcdefXYZ,\"0123456789abcdefXYZ\"\n0123456789abcdef,1\n"),
	 "1F:<0123456789abcdef><0123456789abcdef>\n2:<0123456789abcdef><1>\n", 0, COMMA, true},
	{"field cap keeps characters whole", BYTES("0123456789abcde\xc3\xa9,1\n0123456789abcd\xc3\xa9\xc3\xa9,1\n"),
	 "1F:<0123456789abcde><1>\n2F:<0123456789abcd\xc3\xa9><1>\n", 0, COMMA, true},
	{"record cap", BYTES("a,bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb,c\r\n2,b\n"),
	 "1FR:<a><bbbbbbbbbbbbbbbb>\n2:<2><b>\n", 0, COMMA, true},
	{"record cap in a quoted field without newline", BYTES("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",1\n2,b\n"),
	 "1FQR:<\"aaaaaaaaaaaaaaa>\n2:<2><b>\n", 0, COMMA, true},
	{"too many columns", BYTES("1,2,3,4,5,6,7,8\n1,2,3,4,5,6,7,8,,\"\",\n1,2,3,4,5,6,7,8,9\nx\n"),
	 "1:<1><2><3><4><5><6><7><8>\n2:<1><2><3><4><5><6><7><8>\ntoo many columns\n", 0, COMMA, true},
	{"Windows-1252 bytes pass", BYTES("caf\xe9;\x80\n"), "1:<caf\xe9><\x80>\n", 0, SEMICOLON, false},
};

static void show_cell(struct buf *out, struct str cell)
{
	buf_append_char(out, '<');
	for (size_t i = 0; i < cell.n; i++) {
		const char *special = cell.p[i] == '\n' ? "\\n" : cell.p[i] == '\r' ? "\\r" : cell.p[i] == '\\' ? "\\\\" : NULL;
		if (special)
			buf_append_text(out, special);
		else
			buf_append_char(out, cell.p[i]);
	}
	buf_append_char(out, '>');
}

static void show_record(struct buf *out, const struct csv_record *record)
{
	static const char letters[] = "SLIMNFQR";
	buf_printf(out, "%llu", (unsigned long long)record->number);
	for (unsigned bit = 0; letters[bit]; bit++) {
		if (record->flags & 1u << bit)
			buf_append_char(out, letters[bit]);
	}
	buf_append_char(out, ':');
	for (uint32_t i = 0; i < record->cell_count && !record->empty; i++)
		show_cell(out, record->cells[i]);
	buf_append_text(out, record->empty ? "empty\n" : "\n");
}

/* Feeds at most `block` bytes a time. Offsets must rise, and stand where a record can begin. */
static bool read_all(struct csv *csv, struct str input, size_t block, struct buf *out)
{
	struct csv_record record;
	size_t fed = 0;
	int64_t offset = -1;
	for (;;) {
		enum csv_step step = csv_next(csv, &record);
		if (step == CSV_DONE)
			return true;
		if (step == CSV_TOO_MANY_COLUMNS) {
			buf_append_text(out, "too many columns\n");
			return true;
		}
		if (step == CSV_RECORD) {
			bool begins = record.offset == 0 || (record.offset <= input.n && memchr("\r\n\0", input.p[record.offset - 1], 3));
			if ((int64_t)record.offset <= offset || !begins)
				return false;
			offset = (int64_t)record.offset;
			show_record(out, &record);
			continue;
		}
		size_t room = 0, n = input.n - fed < block ? input.n - fed : block;
		char *to = csv_room(csv, &room);
		if (n > room)
			n = room;
		memcpy(to, input.p + fed, n);
		csv_fed(csv, n);
		fed += n;
		if (fed == input.n)
			csv_finish(csv);
	}
}

static void test_trap(struct arena *arena, const struct trap *trap)
{
	static const size_t blocks[] = {SIZE_MAX, 1, 2, 3, 7};
	static const struct csv_limits small = SMALL;
	struct csv_limits limits = trap->small ? small : CSV_LIMITS_DEFAULT;
	struct buf out;
	buf_init(&out, 1 << 20);
	for (size_t b = 0; b < sizeof(blocks) / sizeof(blocks[0]); b++) {
		struct csv csv;
		char name[200];
		snprintf(name, sizeof(name), "%s, in blocks of %zd", trap->name, (ssize_t)blocks[b]);
		arena_reset(arena);
		buf_clear(&out);
		if (csv_init(&csv, arena, &trap->dialect, &limits, 0)) {
			ok(false, "%s: init", name);
			continue;
		}
		csv_expect(&csv, trap->columns);
		bool offsets = read_all(&csv, trap->input, blocks[b], &out);
		is_text(buf_text(&out), trap->expected, name);
		if (!offsets)
			ok(false, "%s: offsets", name);
	}
	buf_release(&out);
}

/* ---- random tables ---- */

static uint64_t random_state = 20261121;

static unsigned random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 11) % n);
}

static void random_cell(struct buf *cell)
{
	static const char *const pieces[] = {"a", "bc", "\"", "\"\"", ",", ";", "\t", "|", "\n", "\r", "\r\n", " ", "'", "\\", "\xc3\xa9", "0123456789abcdef01234567", "12,5"};
	buf_clear(cell);
	for (unsigned left = random_below(6); left; left--)
		buf_append_text(cell, pieces[random_below(sizeof(pieces) / sizeof(pieces[0]))]);
}

static void write_cell(struct buf *out, struct str cell, const struct csv_dialect *dialect)
{
	bool quote = random_below(4) == 0 || (cell.n && cell.p[0] == dialect->quote);
	for (size_t i = 0; i < cell.n; i++)
		quote = quote || cell.p[i] == dialect->delimiter || cell.p[i] == '\n' || cell.p[i] == '\r';
	if (!quote) {
		buf_append(out, cell.p, cell.n);
		return;
	}
	buf_append_char(out, dialect->quote);
	for (size_t i = 0; i < cell.n; i++) {
		bool escape = cell.p[i] == dialect->quote || (dialect->backslash && cell.p[i] == '\\');
		if (escape)
			buf_append_char(out, (char)(dialect->backslash ? '\\' : dialect->quote));
		buf_append_char(out, cell.p[i]);
	}
	buf_append_char(out, dialect->quote);
}

static void test_round_trip(struct arena *arena, const struct csv_dialect *dialect, const char *line_end)
{
	struct buf file, expected, got, cell;
	bool same = true;
	buf_init(&file, 1 << 20);
	buf_init(&expected, 1 << 20);
	buf_init(&got, 1 << 20);
	buf_init(&cell, 1 << 10);
	for (unsigned turn = 0; turn < 40 && same; turn++) {
		struct csv csv;
		unsigned columns = 1 + random_below(6), rows = 1 + random_below(20);
		buf_clear(&file);
		buf_clear(&expected);
		buf_clear(&got);
		for (unsigned row = 0; row < rows; row++) {
			buf_printf(&expected, "%u:<row>", row + 1);
			buf_append_text(&file, "row");
			for (unsigned column = 0; column < columns; column++) {
				random_cell(&cell);
				struct str value = {buf_text(&cell), cell.len};
				show_cell(&expected, value);
				buf_append_char(&file, dialect->delimiter);
				write_cell(&file, value, dialect);
			}
			buf_append_char(&expected, '\n');
			buf_append_text(&file, line_end);
		}
		arena_reset(arena);
		same = csv_init(&csv, arena, dialect, &CSV_LIMITS_DEFAULT, 0) == OK;
		read_all(&csv, (struct str){file.data, file.len}, 1 + random_below(100), &got);
		same = same && strcmp(buf_text(&expected), buf_text(&got)) == 0;
		if (!same)
			printf("# file: %s\n# expected: %s\n# got: %s\n", buf_text(&file), buf_text(&expected), buf_text(&got));
	}
	ok(same, "random tables come back: delimiter 0x%02x quote %c%s", (unsigned)dialect->delimiter, dialect->quote, dialect->backslash ? ", backslash" : "");
	buf_release(&file);
	buf_release(&expected);
	buf_release(&got);
	buf_release(&cell);
}

/* ---- large ---- */

/* Feeds `count` times the piece, then the end. Returns the records, *flags of the first. */
static uint64_t read_repeated(struct arena *arena, struct str first, struct str piece, size_t count, struct str last, struct csv_record *ret_first)
{
	struct csv csv;
	struct csv_dialect dialect = COMMA;
	uint64_t records = 0;
	arena_reset(arena);
	if (csv_init(&csv, arena, &dialect, &CSV_LIMITS_DEFAULT, 0))
		return 0;
	for (size_t fed = 0;;) {
		struct csv_record record;
		enum csv_step step = csv_next(&csv, &record);
		if (step == CSV_RECORD && records++ == 0)
			*ret_first = record;
		if (step == CSV_RECORD)
			continue;
		if (step != CSV_MORE)
			return step == CSV_DONE ? records : 0;
		size_t room = 0;
		char *to = csv_room(&csv, &room);
		struct str next = fed == 0 ? first : fed <= count ? piece : last;
		memcpy(to, next.p, next.n);
		csv_fed(&csv, next.n);
		if (fed++ > count)
			csv_finish(&csv);
	}
}

static void test_large(struct arena *arena)
{
	static char block[1 << 16];
	struct csv_record first = {0};
	memset(block, 'x', sizeof(block));
	uint64_t records = read_repeated(arena, STR("a,"), (struct str){block, sizeof(block)}, 32 << 10, STR("\nb,c\n"), &first);
	is_i64((int64_t)records, 2, "2 GiB without a newline is one record, and the next one is read");
	ok(first.flags == (ROW_FLAG_RECORD_TOO_LONG | ROW_FLAG_FIELD_TOO_LONG), "it is flagged");
	records = read_repeated(arena, STR("a,\""), (struct str){block, sizeof(block)}, 1 << 10, STR("\nb,c\n"), &first);
	is_i64((int64_t)records, 2, "64 MiB inside a quote too");
	ok(first.flags == (ROW_FLAG_RECORD_TOO_LONG | ROW_FLAG_FIELD_TOO_LONG | ROW_FLAG_UNCLOSED_QUOTE), "flagged with the quote");
	memset(block, ',', sizeof(block));
	records = read_repeated(arena, STR("a"), (struct str){block, 10000}, 1, STR("\n1,2\n"), &first);
	is_i64((int64_t)records, 2, "10 000 empty columns are fine");
	records = read_repeated(arena, STR("a"), (struct str){block, 10000}, 1, STR("z\n1,2\n"), &first);
	is_i64((int64_t)records, 0, "10 000 columns with something in the last are not");
	for (size_t i = 0; i < sizeof(block); i += 16)
		memcpy(block + i, "row,value one,x\n", 16);
	records = read_repeated(arena, STR("bad,\"quote,x\n"), (struct str){block, sizeof(block)}, 64, STR("z\n"), &first);
	is_i64((int64_t)records, 1 + 64 * 4096 + 1, "a bad quote takes only its own line with it");
	ok(first.flags == ROW_FLAG_UNCLOSED_QUOTE, "and that line is flagged");
}

int main(void)
{
	struct arena arena;
	arena_init(&arena, 8 << 20);
	for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++)
		test_trap(&arena, &traps[i]);
	static const char delimiters[] = ",;\t|";
	static const char *const line_ends[] = {"\n", "\r\n", "\r"};
	for (size_t d = 0; d < 4; d++) {
		for (size_t q = 0; q < 3; q++) {
			struct csv_dialect dialect = {delimiters[d], "\"\"'"[q], q == 1};
			test_round_trip(&arena, &dialect, line_ends[(d + q) % 3]);
		}
	}
	struct csv csv;
	struct csv_dialect bad = {'\n', '"', false};
	ok(csv_init(&csv, &arena, &bad, &CSV_LIMITS_DEFAULT, 0) == ERR_INVALID, "a line end is no delimiter");
	test_large(&arena);
	arena_release(&arena);
	return tap_done();
}
