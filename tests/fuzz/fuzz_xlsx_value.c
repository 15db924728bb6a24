/*
 * libFuzzer: texts of cells. What must hold: results within their room, numbers that mean what was written and are their own
 * shortest form, dates that look like dates, escapes that never grow and leave UTF-8 what it was.
 *   clang -fsanitize=fuzzer,address,undefined … tests/fuzz/fuzz_xlsx_value.c; run on tests/fuzz/seeds/xlsx_value
 */
#include "readers/xlsx_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void check_number(struct str text)
{
	char once[XLSX_VALUE_MAX + 1], twice[XLSX_VALUE_MAX], copy[100];
	size_t n = xlsx_number(text, once);
	must(n <= XLSX_VALUE_MAX);
	if (n == 0)
		return;
	once[n] = '\0';
	must(xlsx_number((struct str){once, n}, twice) == n && memcmp(once, twice, n) == 0);
	text = str_trim(text);
	if (text.n >= sizeof(copy))
		return;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	must(strtod(copy, NULL) == strtod(once, NULL));
}

static void check_date(struct str text, enum xlsx_kind kind, bool is_1904)
{
	char to[XLSX_VALUE_MAX];
	enum xlsx_date_finding finding = XLSX_DATE_FINE;
	size_t n = xlsx_date(text, kind, is_1904, to, &finding);
	must((n == 0) == (finding == XLSX_DATE_IMPOSSIBLE) && n <= XLSX_VALUE_MAX);
	must(n == 0 || kind == XLSX_DURATION || n == 8 || n == 10 || n == 19);
	for (size_t i = 0; i < n; i++)
		must((to[i] >= '0' && to[i] <= '9') || to[i] == '-' || to[i] == ':' || to[i] == 'T');
}

static void check_escapes(struct str text)
{
	static char copy[4096];
	if (text.n > sizeof(copy))
		return;
	if (text.n)
		memcpy(copy, text.p, text.n);
	size_t n = xlsx_unescape(copy, text.n);
	must(n <= text.n && (!utf8_valid(text.p, text.n) || utf8_valid(copy, n)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t column = 0, row = 0;
	if (size < 2)
		return 0;
	struct str text = {(const char *)data + 1, size - 1};
	check_number(text);
	check_date(text, (enum xlsx_kind)(data[0] % 5), data[0] & 8);
	check_escapes(text);
	must(xlsx_kind_of_format(text) <= XLSX_DURATION);
	if (xlsx_reference(text, &column, &row))
		must(column >= 1 && column <= 18278);
	return 0;
}
