/* Numbers, texts and bytes as SQL: SQLite itself reads back what was written, bit for bit. */
#include "handlers/backups/literal.h"

#include "tests/unit/tap.h"

#include <math.h>

static struct literal_parser parser;

/* What SQLite makes of the text as an expression: true when it is that REAL. */
static bool comes_back(double value, char text[LITERAL_REAL_MAX + 16])
{
	char sql[LITERAL_REAL_MAX + 16] = "SELECT ";
	sqlite3_stmt *statement = NULL;
	size_t n = literal_real(&parser, value, sql + 7);
	sql[7 + n] = '\0';
	memcpy(text, sql + 7, n + 1);
	bool good = n <= 416 && sqlite3_prepare_v2(parser.db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW &&
	            sqlite3_column_type(statement, 0) == SQLITE_FLOAT;
	double got = good ? sqlite3_column_double(statement, 0) : 0;
	uint64_t got_bits, bits;
	memcpy(&got_bits, &got, sizeof(got_bits));
	memcpy(&bits, &value, sizeof(bits));
	good = good && got_bits == bits;
	sqlite3_finalize(statement);
	return good;
}

static void test_chosen(void)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{0.0, "0.0"}, {-0.0, "-0.0"}, {1.0, "1.0"}, {-2.5, "-2.5"}, {12.34, "12.34"}, {0.1, "0.1"}, {100.0, "100.0"}, {0.30000000000000004, "0.30000000000000004"},
		{9007199254740992.0, "9007199254740992.0"}, {1e21, "1e+21"}, {INFINITY, "9e999"}, {-INFINITY, "-9e999"}, {0.000001, "0.000001"},
		{123456.789, "123456.789"}, {48.856613, "48.856613"}, {99999999999999.99, NULL}, {5e-324, NULL}, {-5e-324, NULL}, {2.2250738585072014e-308, NULL},
		{1.7976931348623157e308, NULL}, {1e-281, NULL}, {9223372036854775808.0, NULL}, {1e17, NULL}, {1e-9, NULL}, {4503599627370497.5, NULL}, {1e22, NULL}, {1e23, NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[LITERAL_REAL_MAX + 16];
		ok(comes_back(cases[i].value, text), "%s comes back", text);
		if (cases[i].text)
			is_text(text, cases[i].text, "and is short");
	}
}

static uint64_t next(void)
{
	static uint64_t state = 0x9E3779B97F4A7C15u;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void sweep(const char *name, int count, double (*make)(void))
{
	int wrong = 0;
	for (int i = 0; i < count; i++) {
		char text[LITERAL_REAL_MAX + 16];
		double value = make();
		if (isfinite(value) && !comes_back(value, text) && wrong++ < 5)
			printf("# %a became %s\n", value, text);
	}
	is_i64(wrong, 0, name);
}

static double any_bits(void)
{
	uint64_t bits = next();
	double value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static double subnormal(void)
{
	return ldexp((double)(next() >> 11), -1022 - (int)(next() % 53) - 52 + 52);
}

static double tiny(void)
{
	return ldexp(1.0 + (double)(next() >> 12) * 0x1p-52, -930 - (int)(next() % 92));
}

static double price(void)
{
	return (double)(int64_t)(next() % 100000000) / 100;
}

static double measured(void)
{
	return (double)(next() >> 11) * 0x1p-53 * pow(10, (int)(next() % 25) - 8);
}

static double whole(void)
{
	return (double)(int64_t)next();
}

static void test_integers(void)
{
	static const struct {
		int64_t value;
		const char *text;
	} cases[] = {{0, "0"}, {-1, "-1"}, {INT64_MAX, "9223372036854775807"}, {INT64_MIN, "-9223372036854775808"}, {9007199254740993, "9007199254740993"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[LITERAL_INTEGER_MAX + 1];
		text[literal_integer(cases[i].value, text)] = '\0';
		is_text(text, cases[i].text, "an integer");
	}
}

/* Every byte at every place of a word and behind it. */
static void test_scan(void)
{
	int wrong = 0;
	for (unsigned c = 0; c < 256; c++)
		for (size_t at = 0; at < 19; at++) {
			char text[20] = "abcdefghijklmnopqrs";
			text[at] = (char)c;
			unsigned expected = (c == '\'' ? LITERAL_QUOTE : 0) | (c > 127 ? LITERAL_HIGH : 0) | (c == 0 || c == 13 ? LITERAL_HIDDEN : 0);
			wrong += literal_scan(text, 19) != expected;
		}
	is_i64(wrong, 0, "the flags of every byte at every place");
	is_i64(literal_scan("caf\xc3\xa9 \r\n'", 10), LITERAL_QUOTE | LITERAL_HIGH | LITERAL_HIDDEN, "all flags of one word");
}

static void test_texts(void)
{
	struct buf out;
	buf_init(&out, 1000);
	literal_put_text(&out, "l'eau ''", 8, literal_scan("l'eau ''", 8));
	is_text(buf_text(&out), "'l''eau '''''", "quotes are doubled");
	buf_clear(&out);
	literal_put_hex(&out, (const uint8_t *)"\x00\x7f\xff", 3);
	is_text(buf_text(&out), "007FFF", "bytes");
	buf_clear(&out);
	literal_put_name(&out, "a\"b\"");
	is_text(buf_text(&out), "\"a\"\"b\"\"\"", "a name");
	buf_release(&out);
}

int main(void)
{
	is_i64(literal_parser_open(&parser), OK, "a parser");
	test_chosen();
	sweep("random bits", 60000, any_bits);
	sweep("subnormal numbers", 20000, subnormal);
	sweep("numbers about 1e-281 to 1e-308", 20000, tiny);
	sweep("prices", 20000, price);
	sweep("measured numbers", 60000, measured);
	sweep("whole numbers", 20000, whole);
	parser.known = !parser.known;
	if (!parser.known)
		sweep("measured numbers, each asked of SQLite", 20000, measured);
	else
		parser.known = false;
	test_integers();
	test_scan();
	test_texts();
	literal_parser_close(&parser);
	return tap_done();
}
