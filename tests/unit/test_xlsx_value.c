/* Tables of what stands in the cells of workbooks: references, number formats, numbers, dates, escapes. */
#include "readers/xlsx_value.h"
#include "tests/unit/tap.h"

static const struct {
	const char *text;
	uint32_t column, row; /* column 0: no reference */
} references[] = {
    {"A1", 1, 1},       {"Z9", 26, 9},     {"AA10", 27, 10},  {"XFD1048576", 16384, 1048576}, {"b7", 2, 7},   {"$C$4", 3, 4}, {"D", 4, 0},
    {"ZZZ1", 18278, 1}, {"AAAA1", 0, 0},   {"1A", 0, 0},      {"", 0, 0},                     {"A0", 0, 0},   {"A-1", 0, 0},  {"A1:B2", 0, 0},
    {"A 1", 0, 0},      {"A1 ", 0, 0},     {"$", 0, 0},       {"A1234567890", 0, 0},          {"\xc3\x89" "1", 0, 0},
};

static void test_references(void)
{
	for (size_t i = 0; i < sizeof(references) / sizeof(references[0]); i++) {
		uint32_t column = 0, row = 0;
		bool found = xlsx_reference(str_of(references[i].text), &column, &row);
		ok(found == (references[i].column > 0) && column == references[i].column && row == references[i].row, "reference \"%s\"", references[i].text);
	}
}

static const struct {
	const char *code;
	enum xlsx_kind kind;
} formats[] = {
    {"General", XLSX_NUMBER},
    {"0.00", XLSX_NUMBER},
    {"#,##0.00 [$\xe2\x82\xac-40C]", XLSX_NUMBER},
    {"0.00E+00", XLSX_NUMBER},
    {"# ?/?", XLSX_NUMBER},
    {"@", XLSX_NUMBER},
    {"", XLSX_NUMBER},
    {"dd/mm/yyyy", XLSX_DATE},
    {"yyyy\\-mm\\-dd", XLSX_DATE},
    {"mmm-yy", XLSX_DATE},
    {"mmmm", XLSX_DATE},
    {"[$-40C]d mmmm yyyy;@", XLSX_DATE},
    {"[$-F800]dddd, mmmm dd, yyyy", XLSX_DATE},
    {"DD.MM.YYYY", XLSX_DATE},
    {"h:mm", XLSX_TIME},
    {"h:mm:ss AM/PM", XLSX_TIME},
    {"mm:ss.0", XLSX_TIME},
    {"a/p", XLSX_TIME},
    {"dd/mm/yyyy hh:mm", XLSX_DATE_TIME},
    {"yyyy-mm-dd\\Thh:mm:ss", XLSX_DATE_TIME},
    {"[h]:mm", XLSX_DURATION},
    {"[hh]:mm:ss", XLSX_DURATION},
    {"[mm]:ss", XLSX_DURATION},
    {"[SS]", XLSX_DURATION},
    {"0 \"days\"", XLSX_NUMBER},
    {"0 \"d\\m\"", XLSX_NUMBER},
    {"0\\d", XLSX_NUMBER},
    {"0_d", XLSX_NUMBER},
    {"0*y", XLSX_NUMBER},
    {"[Red]0", XLSX_NUMBER},
    {"[Magenta][<1]0", XLSX_NUMBER},
    {"[hm]0", XLSX_NUMBER},
    {"0;d", XLSX_NUMBER},
    {"\";\"d", XLSX_DATE},
    {"0\"unclosed d", XLSX_NUMBER},
    {"0[unclosed d", XLSX_NUMBER},
    {"0\\", XLSX_NUMBER},
};

static void test_formats(void)
{
	static const struct {
		uint32_t number;
		enum xlsx_kind kind;
	} builtins[] = {{0, XLSX_NUMBER}, {13, XLSX_NUMBER}, {14, XLSX_DATE}, {17, XLSX_DATE}, {18, XLSX_TIME}, {21, XLSX_TIME}, {22, XLSX_DATE_TIME},
			{23, XLSX_NUMBER}, {27, XLSX_DATE}, {33, XLSX_TIME}, {36, XLSX_DATE}, {37, XLSX_NUMBER}, {44, XLSX_NUMBER}, {45, XLSX_TIME},
			{46, XLSX_DURATION}, {47, XLSX_TIME}, {48, XLSX_NUMBER}, {49, XLSX_NUMBER}, {50, XLSX_DATE}, {58, XLSX_DATE}, {59, XLSX_NUMBER}};
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		is_i64(xlsx_kind_of_format(str_of(formats[i].code)), formats[i].kind, formats[i].code);
	for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++)
		ok(xlsx_kind_of_builtin(builtins[i].number) == builtins[i].kind, "built-in format %u", builtins[i].number);
}

static const struct {
	const char *text, *expected; /* NULL: no number */
} numbers[] = {
    {"0", "0"},
    {"-0", "0"},
    {"-0.0", "0"},
    {"12", "12"},
    {"-12.5", "-12.5"},
    {"+7", "7"},
    {"007", "7"},
    {"1.0", "1"},
    {"1.50", "1.5"},
    {".5", "0.5"},
    {"5.", "5"},
    {" 42\n", "42"},
    {"1E3", "1000"},
    {"1.5e-3", "0.0015"},
    {"1e+2", "100"},
    {"0.1", "0.1"},
    {"0.10000000000000001", "0.1"},
    {"0.30000000000000004", "0.30000000000000004"},
    {"1.1000000000000001", "1.1"},
    {"33612345678", "33612345678"},
    {"123456789012345678", "123456789012345678"},
    {"1234567890123456.5", "1234567890123456.5"},
    {"1E21", "1000000000000000000000"},
    {"-2.5E+15", "-2500000000000000"},
    {"1E-10", "0.0000000001"},
    {"1.5E-11", "1.5e-11"},
    {"-1E-300", "-1e-300"},
    {"5e-324", "5e-324"},
    {"1e309", NULL},
    {"1e400", NULL},
    {"", NULL},
    {"-", NULL},
    {".", NULL},
    {"1e", NULL},
    {"1e+", NULL},
    {"abc", NULL},
    {"1,5", NULL},
    {"1 2", NULL},
    {"0x10", NULL},
    {"nan", NULL},
    {"inf", NULL},
    {"1-2", NULL},
};

static void test_numbers(void)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char text[XLSX_VALUE_MAX + 1];
		size_t n = xlsx_number(str_of(numbers[i].text), text);
		text[n] = '\0';
		is_text(n ? text : NULL, numbers[i].expected, numbers[i].text);
	}
	char largest[XLSX_VALUE_MAX];
	is_i64((int64_t)xlsx_number(STR("-1.7976931348623157e308"), largest), 310, "the largest number, without an exponent");
	ok(memcmp(largest, "-179769313486231570000", 22) == 0, "its digits");
}

static const struct {
	const char *serial;
	enum xlsx_kind kind;
	bool is_1904;
	const char *expected; /* NULL: impossible */
	enum xlsx_date_finding finding;
} dates[] = {
    {"45356", XLSX_DATE, false, "2024-03-05", XLSX_DATE_FINE},
    {"45356.604166666664", XLSX_DATE_TIME, false, "2024-03-05T14:30:00", XLSX_DATE_FINE},
    {"45356.604166666664", XLSX_DATE, false, "2024-03-05T14:30:00", XLSX_DATE_FINE},
    {"45356", XLSX_DATE_TIME, false, "2024-03-05T00:00:00", XLSX_DATE_FINE},
    {"0.60416666666666663", XLSX_TIME, false, "14:30:00", XLSX_DATE_FINE},
    {"0.5", XLSX_DATE, false, "12:00:00", XLSX_DATE_FINE},
    {"0", XLSX_TIME, false, "00:00:00", XLSX_DATE_FINE},
    {"45356.25", XLSX_TIME, false, "2024-03-05T06:00:00", XLSX_DATE_FINE},
    {"45355.999999", XLSX_DATE, false, "2024-03-05", XLSX_DATE_FINE},
    {"45355.99999", XLSX_DATE, false, "2024-03-04T23:59:59", XLSX_DATE_FINE},
    {"1", XLSX_DATE, false, "1900-01-01", XLSX_DATE_FINE},
    {"59", XLSX_DATE, false, "1900-02-28", XLSX_DATE_FINE},
    {"60", XLSX_DATE, false, "1900-02-28", XLSX_DATE_FICTITIOUS},
    {"61", XLSX_DATE, false, "1900-03-01", XLSX_DATE_FINE},
    {"36585", XLSX_DATE, false, "2000-02-29", XLSX_DATE_FINE},
    {"36526", XLSX_DATE, false, "2000-01-01", XLSX_DATE_FINE},
    {"2958465", XLSX_DATE, false, "9999-12-31", XLSX_DATE_FINE},
    {"2958466", XLSX_DATE, false, NULL, XLSX_DATE_IMPOSSIBLE},
    {"-1", XLSX_DATE, false, NULL, XLSX_DATE_IMPOSSIBLE},
    {"abc", XLSX_DATE, false, NULL, XLSX_DATE_IMPOSSIBLE},
    {"43894", XLSX_DATE, true, "2024-03-05", XLSX_DATE_FINE},
    {"0", XLSX_DATE, true, "1904-01-01", XLSX_DATE_FINE},
    {"0.5", XLSX_TIME, true, "12:00:00", XLSX_DATE_FINE},
    {"2957003", XLSX_DATE, true, "9999-12-31", XLSX_DATE_FINE},
    {"2957004", XLSX_DATE, true, NULL, XLSX_DATE_IMPOSSIBLE},
    {"1.1041666666666667", XLSX_DURATION, false, "26:30:00", XLSX_DATE_FINE},
    {"0.0625", XLSX_DURATION, false, "01:30:00", XLSX_DATE_FINE},
    {"-0.5", XLSX_DURATION, false, "-12:00:00", XLSX_DATE_FINE},
    {"100", XLSX_DURATION, false, "2400:00:00", XLSX_DATE_FINE},
    {"4.5356E4", XLSX_DATE, false, "2024-03-05", XLSX_DATE_FINE},
    {"1E-2", XLSX_TIME, false, "00:14:24", XLSX_DATE_FINE},
    {"1E12", XLSX_DATE, false, NULL, XLSX_DATE_IMPOSSIBLE},
    {" 45356 ", XLSX_DATE, false, "2024-03-05", XLSX_DATE_FINE},
};

static void test_dates(void)
{
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		char text[XLSX_VALUE_MAX + 1], name[100];
		enum xlsx_date_finding finding = XLSX_DATE_FINE;
		size_t n = xlsx_date(str_of(dates[i].serial), dates[i].kind, dates[i].is_1904, text, &finding);
		text[n] = '\0';
		snprintf(name, sizeof(name), "date %s, kind %d%s", dates[i].serial, (int)dates[i].kind, dates[i].is_1904 ? ", 1904" : "");
		is_text(n ? text : NULL, dates[i].expected, name);
		ok(finding == dates[i].finding, "%s: finding", name);
	}
}

static void test_escapes(void)
{
	static const struct {
		const char *text, *expected;
	} escapes[] = {
	    {"a_x000D_b", "a\rb"},       {"a_x000d_", "a\r"},          {"_x005F_x000D_", "_x000D_"}, {"_x005F_", "_"},
	    {"_x0000_a", "a"},           {"_xD83D__xDE00_", "\xf0\x9f\x98\x80"}, {"_xD83D_", "\xef\xbf\xbd"}, {"_xDE00_x", "\xef\xbf\xbdx"},
	    {"_xD83D__x0041_", "\xef\xbf\xbd" "A"}, {"_x00G0_", "_x00G0_"}, {"_x000D", "_x000D"},     {"x_x", "x_x"},
	    {"_x00E9_t_x00E9_", "été"},  {"snake_case_name", "snake_case_name"}, {"", ""},
	};
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		char text[64];
		snprintf(text, sizeof(text), "%s", escapes[i].text);
		text[xlsx_unescape(text, strlen(text))] = '\0';
		is_text(text, escapes[i].expected, escapes[i].text);
	}
}

int main(void)
{
	test_references();
	test_formats();
	test_numbers();
	test_dates();
	test_escapes();
	return tap_done();
}
