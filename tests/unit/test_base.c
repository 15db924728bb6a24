/* core/base: arena, buf, text, utf8, clock, ids, json. */
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "tests/unit/tap.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static int cleanups_run;
static void count_cleanup(void *what) { cleanups_run = cleanups_run * 10 + *(int *)what; }

static void test_arena(void)
{
	static int one = 1, two = 2;
	struct arena arena;
	arena_init(&arena, 64 << 10);
	ok(arena_defer(&arena, count_cleanup, &one) == OK && arena_defer(&arena, count_cleanup, &two) == OK, "deferring works");
	char *first = arena_alloc(&arena, 100);
	bool zero = first != NULL;
	for (int i = 0; zero && i < 100; i++)
		zero = first[i] == 0;
	ok(zero, "memory is zeroed");
	ok(arena_alloc(&arena, 1 << 20) == NULL && arena.exhausted, "past the cap: NULL and exhausted");
	ok(arena_array(&arena, SIZE_MAX / 2, 4) == NULL, "an overflowing product is refused");
	size_t held = 0;
	while (arena_alloc(&arena, 1000))
		held += 1000;
	ok(held >= 56000 && arena.used <= arena.cap, "the cap is used and kept (%zu bytes)", held);
	arena_reset(&arena);
	is_i64(cleanups_run, 21, "clean-ups run newest first");
	ok(!arena.exhausted && arena_alloc(&arena, 1000), "usable after reset");
	is_text(arena_printf(&arena, "%d-%s", 7, "x"), "7-x", "printf");
	arena_release(&arena);
	is_i64((int64_t)arena.used, 0, "release gives everything back");
}

static void test_buf(void)
{
	struct buf buf;
	buf_init(&buf, 10);
	is_text(buf_text(&buf), "", "empty text");
	ok(buf_append_text(&buf, "12345678") == OK, "below the maximum");
	ok(buf_append_text(&buf, "xyz") == ERR_TOO_LARGE && buf.overflowed, "past the maximum: refused");
	is_text(buf_text(&buf), "12345678", "what was there stays");
	ok(buf_append_char(&buf, 'a') == ERR_TOO_LARGE, "refuses everything after");
	buf_clear(&buf);
	ok(buf_printf(&buf, "%s", "0123456789") == OK, "exactly the maximum");
	buf_release(&buf);
}

static void test_numbers(void)
{
	static const struct {
		const char *text;
		int64_t min, max;
		enum err err;
		int64_t value;
	} cases[] = {
	    {"0", 0, 9, OK, 0}, {"-1", -5, 5, OK, -1}, {"9223372036854775807", 0, INT64_MAX, OK, INT64_MAX},
	    {"-9223372036854775808", INT64_MIN, 0, OK, INT64_MIN}, {"9223372036854775808", 0, INT64_MAX, ERR_INVALID, 0},
	    {"", 0, 9, ERR_INVALID, 0}, {"-", -9, 9, ERR_INVALID, 0}, {" 1", 0, 9, ERR_INVALID, 0}, {"1 ", 0, 9, ERR_INVALID, 0},
	    {"+1", 0, 9, ERR_INVALID, 0}, {"0x1", 0, 9, ERR_INVALID, 0}, {"10", 0, 9, ERR_INVALID, 0}, {"1e3", 0, 9999, ERR_INVALID, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t value = 0;
		enum err err = parse_i64(cases[i].text, cases[i].min, cases[i].max, &value);
		ok(err == cases[i].err && value == cases[i].value, "parse_i64(\"%s\")", cases[i].text);
	}
}

static void test_utf8(void)
{
	static const struct {
		const char *bytes;
		size_t n, prefix;
	} cases[] = {
	    {"abc", 3, 3}, {"\xc3\xa9", 2, 2}, {"a\xc3", 2, 1}, {"\xc0\xaf", 2, 0}, {"\xed\xa0\x80", 3, 0}, {"\xf4\x90\x80\x80", 4, 0},
	    {"\xf0\x9f\x98\x80", 4, 4}, {"\xe0\x80\xaf", 3, 0}, {"12345678\xff", 9, 8}, {"1234567\xc3\xa9", 9, 9}, {"\x80", 1, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_i64((int64_t)utf8_valid_prefix(cases[i].bytes, cases[i].n), (int64_t)cases[i].prefix, "utf8 valid prefix");
	for (uint32_t c = 0; c <= 0x10ffff; c += 0x101) {
		char out[4];
		uint32_t back = 0;
		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		size_t n = utf8_encode(c, out);
		if (utf8_decode(out, n, &back) != n || back != c)
			ok(false, "utf8 round trip of U+%04X", c);
	}
}

static void test_percent(void)
{
	struct arena arena;
	struct buf buf;
	struct str s;
	arena_init(&arena, 1 << 16);
	buf_init(&buf, 1000);
	percent_encode(&buf, "a b/+%~\xc3\xa9", 9, false);
	is_text(buf_text(&buf), "a%20b%2F%2B%25~%C3%A9", "percent_encode");
	ok(percent_decode(&arena, "a%20b+%2F", 9, true, &s) == OK && str_equal_text(s, "a b /"), "percent_decode of a form");
	ok(percent_decode(&arena, "a%20b+", 6, false, &s) == OK && str_equal_text(s, "a b+"), "percent_decode of a path");
	ok(percent_decode(&arena, "%2", 2, false, &s) == ERR_INVALID, "a broken escape is refused");
	ok(percent_decode(&arena, "%zz", 3, false, &s) == ERR_INVALID, "a wrong digit is refused");
	ok(percent_decode(&arena, "%00", 3, false, &s) == ERR_INVALID, "a NUL is refused");
	buf_release(&buf);
	arena_release(&arena);
}

static void test_clock(void)
{
	char out[CLOCK_ISO_SIZE];
	int64_t t = 0;
	clock_iso8601(1369353600000001, out);
	is_text(out, "2013-05-24T00:00:00.000001Z", "iso8601");
	clock_basic(1369353600, out);
	is_text(out, "20130524T000000Z", "basic");
	clock_http_date(784111777, out);
	is_text(out, "Sun, 06 Nov 1994 08:49:37 GMT", "http date");
	ok(clock_parse_basic("20130524T000000Z", &t) == OK && t == 1369353600, "parse basic");
	ok(clock_parse_basic("20130230T000000Z", &t) == ERR_INVALID, "30 February does not exist");
	ok(clock_parse_basic("2013-524T000000Z", &t) == ERR_INVALID, "a sign inside is refused");
	clock_iso8601(-1, out);
	is_text(out, "1969-12-31T23:59:59.999999Z", "before 1970");
	for (int64_t day = -800000; day < 800000; day += 997) {
		clock_basic(day * 86400, out);
		if (day > -719162 && (clock_parse_basic(out, &t) != OK || t != day * 86400))
			ok(false, "calendar round trip of day %lld", (long long)day);
	}
}

static void test_ids(void)
{
	uint8_t previous[16] = {0}, next[16];
	char text[UUID_SIZE];
	bool sorted = true;
	for (int i = 0; i < 100000; i++) {
		uuid_v7(next);
		sorted = sorted && memcmp(previous, next, 16) < 0;
		memcpy(previous, next, 16);
	}
	ok(sorted, "100000 version 7 ids in a row sort as made");
	ok((next[6] & 0xf0) == 0x70 && (next[8] & 0xc0) == 0x80, "version and variant of v7");
	uuid_v4(text);
	ok(is_uuid(text) && text[14] == '4', "version 4 text");
	ok(!is_uuid("0123456789abcdef0123456789abcdef0123"), "dashes matter");
}

static void test_json(void)
{
	static const struct {
		const char *text;
		enum err err;
	} cases[] = {
	    {"{\"a\":1}", OK}, {"[]", OK}, {"{\"a\":1,\"a\":2}", ERR_INVALID}, {"{", ERR_INVALID}, {"", ERR_INVALID}, {"{}x", ERR_INVALID},
	    {"{\"a\":\"\\u0000\"}", ERR_INVALID}, {"\"\xff\"", ERR_INVALID}, {"1e999", ERR_INVALID}, {"nul", ERR_INVALID},
	    {"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"", OK},
	};
	struct arena arena;
	struct buf buf;
	struct json_writer w;
	json_t *value;
	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(json_parse(&arena, cases[i].text, strlen(cases[i].text), &value, NULL) == cases[i].err, "json_parse(%s)", cases[i].text);
	char deep[100];
	memset(deep, '[', sizeof(deep));
	ok(json_parse(&arena, deep, sizeof(deep), &value, NULL) == ERR_TOO_LARGE, "100 levels are refused before parsing");
	buf_init(&buf, 1000);
	json_start(&w, &buf);
	json_object_open(&w, NULL);
	json_put_text(&w, "t", "a\"\\\n\x01\xff\xc3\xa9");
	json_put_i64(&w, "i", -5);
	json_array_open(&w, "l");
	json_put_bool(&w, NULL, true);
	json_put_null(&w, NULL);
	json_array_close(&w);
	json_put_raw(&w, "r", "{\"x\":1}");
	json_object_close(&w);
	is_text(buf_text(&buf), "{\"t\":\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa9\",\"i\":-5,\"l\":[true,null],\"r\":{\"x\":1}}", "json_writer");
	buf_release(&buf);
	arena_release(&arena);
}

static void test_times(void)
{
	static const struct {
		const char *text;
		int64_t us;
	} good[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"1994-11-06T08:49:37Z", 784111777000000},
	    {"1994-11-06T08:49:37.5Z", 784111777500000},
	    {"1994-11-06T08:49:37.000001Z", 784111777000001},
	    {"1994-11-06T09:49:37+01:00", 784111777000000},
	    {"1994-11-06T03:19:37-05:30", 784111777000000},
	    {"2024-02-29T00:00:00Z", 1709164800000000},
	};
	static const char *const bad[] = {
	    "", "now", "1994-11-06", "1994-11-06T08:49:37", "1994-11-06 08:49:37Z", "1994-11-06T08:49:37z", "1994-11-06T08:49:37.Z", "1994-11-06T08:49:37.0000001Z",
	    "1994-11-06T08:49:37+1:00", "1994-11-06T08:49:37+0100", "1994-11-06T08:49:37Zx", "1994-13-06T08:49:37Z", "1994-11-31T08:49:37Z", "2023-02-29T00:00:00Z",
	    "1994-11-06T24:00:00Z", "1994-11-06T08:60:00Z", "1994-11-06T08:49:60Z", "-994-11-06T08:49:37Z", "1994-1--06T08:49:37Z", "infinity", "yesterday",
	    "1994-11-06T08:49:37 Z", "1994-11-06T08:49:37+24:00", "0000-01-01T00:00:00Z",
	}, *const bad_dates[] = {
	    "", "60", "Sun, 06 Nov 1994 08:49:37", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC",
	    "Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, -6 Nov 1994 08:49:37 GMT",
	};
	char text[CLOCK_ISO_SIZE];
	int64_t value = 0;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(clock_parse_iso8601(good[i].text, &value) == OK && value == good[i].us, "a time: %s", good[i].text);
	value = 7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(clock_parse_iso8601(bad[i], &value) == ERR_INVALID && value == 7, "no time: %s", bad[i]);
	for (int64_t at = -3; at < 3; at++) {
		int64_t seconds = at * 987654321;
		clock_http_date(seconds, text);
		ok(clock_parse_http_date(text, &value) == OK && value == seconds, "there and back: %s", text);
	}
	value = 7;
	for (size_t i = 0; i < sizeof(bad_dates) / sizeof(bad_dates[0]); i++)
		ok(clock_parse_http_date(bad_dates[i], &value) == ERR_INVALID && value == 7, "no HTTP date: %s", bad_dates[i]);
}

static uint64_t bits_of(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* Every double comes back from its text bit for bit, and the text says that it is no integer. */
static bool real_returns(double value)
{
	char text[REAL_TEXT_SIZE], *end = NULL;
	size_t n = real_text(value, text);
	double back = strtod(text, &end);
	bool pass = n < sizeof(text) && n == strlen(text) && *end == '\0' && bits_of(back) == bits_of(value) && strpbrk(text, ".ein");
	if (!pass)
		printf("# %a became %s\n", value, text);
	return pass;
}

static double of_bits(uint64_t bits)
{
	double value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static void test_reals(void)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
	    {0.0, "0.0"}, {-0.0, "-0.0"}, {5.0, "5.0"}, {-5.0, "-5.0"}, {0.1, "0.1"}, {0.5, "0.5"}, {-2.5, "-2.5"}, {1e15, "1000000000000000.0"}, {1e300, "1e+300"},
	    {-1e300, "-1e+300"}, {1.0 / 3, "0.33333333333333331"}, {123456.789, "123456.789"}, {1000000.0, "1000000.0"}, {9.5, "9.5"}, {99.5, "99.5"},
	    {1e-7, "0.0000001"}, {INFINITY, "Infinity"}, {-INFINITY, "-Infinity"}, {1e22, "1e+22"}, {DBL_MIN, "2.2250738585072014e-308"},
	    {DBL_TRUE_MIN, "4.94065645841247e-324"}, {DBL_MAX, "1.7976931348623157e+308"},
	};
	char text[REAL_TEXT_SIZE];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n = real_text(cases[i].value, text);
		is_text(text, cases[i].text, cases[i].text);
		is_i64((int64_t)n, (int64_t)strlen(cases[i].text), "its length");
	}
	bool all = true;
	/* Both sides of every power of ten and of two, where the number of digits and the spacing of doubles change. */
	for (int power = -323; power <= 308; power++) {
		double at = pow(10, power);
		all = real_returns(at) && real_returns(nextafter(at, 0)) && real_returns(nextafter(at, INFINITY)) && real_returns(-at) && all;
	}
	ok(all, "powers of ten and their neighbours come back");
	all = true;
	for (int power = -1074; power <= 1023; power++) {
		double at = ldexp(1, power);
		all = real_returns(at) && real_returns(nextafter(at, 0)) && real_returns(nextafter(at, INFINITY)) && all;
	}
	ok(all, "powers of two and their neighbours come back");
	all = true;
	uint64_t state = 88172645463325252u;
	for (int i = 0; i < 400000; i++) {
		state ^= state << 13, state ^= state >> 7, state ^= state << 17;
		double any = of_bits(state), everyday = ldexp((double)(state >> 11), -(int)(state % 83)), money = (double)(state % 100000000000) / 100;
		all = (any != any || isinf(any) || real_returns(any)) && real_returns(everyday) && real_returns(money) && all;
	}
	ok(all, "a million others come back");
}

static void test_tolerant_json(void)
{
	static const struct {
		const char *given, *text;
		size_t n;
	} cases[] = {
	    {"[\"a\\u0000b\"]", "a", 3},
	    {"[\"\\ud83d\"]", "\xef\xbf\xbd", 3},
	    {"[\"\\uDE00x\"]", "\xef\xbf\xbdx", 4},
	    {"[\"\\ud83d\\ude00\"]", "\xf0\x9f\x98\x80", 4},
	    {"[\"\\ud83d\\ud83d\\ude00\"]", "\xef\xbf\xbd\xf0\x9f\x98\x80", 7},
	    {"[\"\\\\ud83d\"]", "\\ud83d", 6},
	    {"[1e999]", "?", 2},
	    {"[-1.5E+999, true, \"1e999\"]", "?", 2},
	    {"[9223372036854775808]", "?", 2},
	    {"[-9223372036854775809]", "?", 2},
	    {"[\"1e999 \\\" [\", 1e999]", "1e999 \" [", 9},
	    {"[\"x\", 1e999", NULL, 0},
	    {"[1e999e]", NULL, 0},
	    {"[\"\\ud83\"]", NULL, 0},
	    {"[\"\\ud83d", NULL, 0},
	};
	struct arena arena;
	arena_init(&arena, 1 << 16);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *value = NULL;
		char *copy = arena_strdup(&arena, cases[i].given);
		enum err err = json_parse_tolerant(&arena, copy, strlen(copy), &value);
		const json_t *item = json_array_get(value, 0);
		ok((err == OK) == (cases[i].text != NULL), "%s is %s", cases[i].given, cases[i].text ? "read" : "refused");
		ok(!cases[i].text || (json_string_length(item) == cases[i].n && text_starts_with(json_string_value(item), cases[i].text)), "as %zu bytes", cases[i].n);
	}
	arena_release(&arena);
}

int main(void)
{
	test_arena();
	test_buf();
	test_numbers();
	test_reals();
	test_utf8();
	test_percent();
	test_clock();
	test_times();
	test_ids();
	test_json();
	test_tolerant_json();
	return tap_done();
}
