/*
 * References, numbers, dates and escapes of workbooks. Called by the readers of sheets, strings and styles. Must never depend
 * on a locale or a time zone.
 */
#include "readers/xlsx_value.h"

#include <math.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* ---- formats ---- */

enum letter { LETTER_DAY_OR_YEAR = 1, LETTER_MONTH_OR_MINUTE = 2, LETTER_TIME = 4, LETTER_ELAPSED = 8 };

/* What is in brackets counts only as elapsed time: [h], [mm], [ss]. */
static unsigned letters_of_bracket(struct str inside)
{
	for (size_t i = 0; i < inside.n; i++) {
		if (!strchr("hms", lower(inside.p[i])) || lower(inside.p[i]) != lower(inside.p[0]))
			return 0;
	}
	return inside.n ? LETTER_ELAPSED : 0;
}

static unsigned letter_of(char c)
{
	c = lower(c);
	return c == 'd' || c == 'y' ? LETTER_DAY_OR_YEAR : c == 'm' ? LETTER_MONTH_OR_MINUTE : c == 'h' || c == 's' ? LETTER_TIME : 0;
}

/* Length of what is not to be looked at from i on: "…", \x, _x, *x, […], AM/PM, A/P; adds what it means to *letters. */
static size_t skipped(struct str code, size_t i, unsigned *letters)
{
	struct str rest = {code.p + i, code.n - i};
	if (rest.p[0] == '"' || rest.p[0] == '[') {
		const char *close = memchr(rest.p + 1, rest.p[0] == '"' ? '"' : ']', rest.n - 1);
		size_t inside = close ? (size_t)(close - rest.p - 1) : rest.n - 1;
		*letters |= rest.p[0] == '[' ? letters_of_bracket((struct str){rest.p + 1, inside}) : 0;
		return inside + 1 + (close != NULL);
	}
	if (rest.p[0] == '\\' || rest.p[0] == '_' || rest.p[0] == '*')
		return 2;
	for (size_t n = 5; n >= 3; n -= 2) {
		if (rest.n >= n && str_equal_ignore_case((struct str){rest.p, n}, n == 5 ? "am/pm" : "a/p")) {
			*letters |= LETTER_TIME;
			return n;
		}
	}
	return 0;
}

enum xlsx_kind xlsx_kind_of_format(struct str code)
{
	unsigned letters = 0;
	for (size_t i = 0; i < code.n && code.p[i] != ';';) {
		size_t skip = skipped(code, i, &letters);
		if (!skip)
			letters |= letter_of(code.p[i]);
		i += skip ? skip : 1;
	}
	bool time = (letters & LETTER_TIME) != 0;
	bool date = (letters & LETTER_DAY_OR_YEAR) || ((letters & LETTER_MONTH_OR_MINUTE) && !time);
	if (letters & LETTER_ELAPSED)
		return XLSX_DURATION;
	return date && time ? XLSX_DATE_TIME : date ? XLSX_DATE : time ? XLSX_TIME : XLSX_NUMBER;
}

enum xlsx_kind xlsx_kind_of_builtin(uint32_t number)
{
	static const struct {
		uint32_t from, to;
		enum xlsx_kind kind;
	} ranges[] = {
	    {14, 17, XLSX_DATE}, {18, 21, XLSX_TIME}, {22, 22, XLSX_DATE_TIME}, {27, 31, XLSX_DATE}, {32, 35, XLSX_TIME},
	    {36, 36, XLSX_DATE}, {45, 45, XLSX_TIME}, {46, 46, XLSX_DURATION},  {47, 47, XLSX_TIME}, {50, 58, XLSX_DATE},
	};
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (number >= ranges[i].from && number <= ranges[i].to)
			return ranges[i].kind;
	}
	return XLSX_NUMBER;
}

/* ---- references ---- */

bool xlsx_reference(struct str text, uint32_t *ret_column, uint32_t *ret_row)
{
	uint32_t column = 0, row = 0;
	size_t i = text.n && text.p[0] == '$', letters = 0, digits = 0;
	for (; i < text.n && lower(text.p[i]) >= 'a' && lower(text.p[i]) <= 'z' && letters < 4; i++, letters++)
		column = column * 26 + (uint32_t)(lower(text.p[i]) - 'a' + 1);
	i += i < text.n && text.p[i] == '$';
	for (; i < text.n && is_digit(text.p[i]) && digits < 9; i++, digits++)
		row = row * 10 + (uint32_t)(text.p[i] - '0');
	if (i != text.n || letters == 0 || letters > 3 || (digits && row == 0))
		return false;
	*ret_column = column;
	*ret_row = row;
	return true;
}

/* ---- numbers ---- */

/* [sign] digits [. digits] [e [sign] digits], nothing else. */
struct decimal {
	bool negative, has_exponent;
	struct str whole, fraction;
};

static struct str take_digits(struct str *rest)
{
	struct str digits = {rest->p, 0};
	while (digits.n < rest->n && is_digit(digits.p[digits.n]))
		digits.n++;
	rest->p += digits.n;
	rest->n -= digits.n;
	return digits;
}

static bool take_either(struct str *rest, char a, char b)
{
	if (rest->n == 0 || (rest->p[0] != a && rest->p[0] != b))
		return false;
	rest->p++;
	rest->n--;
	return true;
}

static bool parse_decimal(struct str text, struct decimal *ret)
{
	struct decimal decimal = {0};
	decimal.negative = text.n && text.p[0] == '-';
	take_either(&text, '+', '-');
	decimal.whole = take_digits(&text);
	decimal.fraction = (struct str){text.p, 0};
	if (take_either(&text, '.', '.'))
		decimal.fraction = take_digits(&text);
	decimal.has_exponent = take_either(&text, 'e', 'E');
	if (decimal.whole.n + decimal.fraction.n == 0)
		return false;
	if (decimal.has_exponent) {
		take_either(&text, '+', '-');
		if (take_digits(&text).n == 0)
			return false;
	}
	*ret = decimal;
	return text.n == 0;
}

/* Written as we would write it: nothing to convert. */
static bool is_canonical(const struct decimal *decimal)
{
	struct str whole = decimal->whole, fraction = decimal->fraction;
	bool zero = whole.n == 1 && whole.p[0] == '0';
	if (decimal->has_exponent || whole.n == 0 || (whole.p[0] == '0' && !zero))
		return false;
	if (fraction.n == 0)
		return !(zero && decimal->negative);
	return whole.n + fraction.n <= 15 && fraction.p[fraction.n - 1] != '0';
}

/* digits times ten to the power of exponent - digits + 1, without an exponent where that is short enough. */
static size_t put_plain(char *to, const char *digits, size_t n, int exponent)
{
	size_t at = 0;
	if (exponent < 0) {
		to[at++] = '0';
		to[at++] = '.';
		for (int i = -1; i > exponent; i--)
			to[at++] = '0';
	}
	for (size_t i = 0; i < n; i++) {
		if (exponent >= 0 && i == (size_t)exponent + 1)
			to[at++] = '.';
		to[at++] = digits[i];
	}
	for (int i = (int)n; i <= exponent; i++)
		to[at++] = '0';
	return at;
}

/* The fewest digits that read back as the same double, and the exponent of the first. */
static size_t shortest_digits(double value, char digits[20], int *ret_exponent)
{
	char text[40];
	/* 15 digits always come back from a double, fewer only from the smallest ones */
	for (int precision = fabs(value) < 2.3e-308 ? 0 : 14; precision <= 16; precision++) {
		snprintf(text, sizeof(text), "%.*e", precision, value);
		if (precision == 16 || strtod(text, NULL) == value)
			break;
	}
	size_t n = 0;
	const char *p = text;
	for (; *p && *p != 'e'; p++) {
		if (is_digit(*p))
			digits[n++] = *p;
	}
	while (n > 1 && digits[n - 1] == '0')
		n--;
	int64_t exponent = 0;
	const char *sign = *p ? p + 1 : p;
	if (parse_i64(*sign == '+' ? sign + 1 : sign, -400, 400, &exponent))
		return 0;
	*ret_exponent = (int)exponent;
	return n;
}

static size_t put_double(char *to, double value)
{
	char digits[20];
	int exponent = 0;
	size_t at = 0, n = value == 0 ? 0 : shortest_digits(fabs(value), digits, &exponent);
	if (n == 0) {
		to[0] = '0';
		return 1;
	}
	if (value < 0)
		to[at++] = '-';
	if (exponent >= -10)
		return at + put_plain(to + at, digits, n, exponent);
	at += put_plain(to + at, digits, n, 0);
	return at + (size_t)snprintf(to + at, 8, "e%d", exponent);
}

/* ret_value: only where the text is not canonical; NAN for what is no number or none that a cell can hold. */
static double to_double(struct str text)
{
	char copy[128];
	if (text.n >= sizeof(copy))
		return NAN;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	return strtod(copy, NULL);
}

size_t xlsx_number(struct str text, char *to)
{
	struct decimal decimal;
	text = str_trim(text);
	if (!parse_decimal(text, &decimal))
		return 0;
	if (is_canonical(&decimal) && text.n < XLSX_VALUE_MAX && is_digit(text.p[decimal.negative])) {
		size_t n = decimal.fraction.n ? text.n : decimal.negative + decimal.whole.n; /* "5." is 5 */
		memcpy(to, text.p, n);
		return n;
	}
	double value = to_double(text);
	return isfinite(value) ? put_double(to, value) : 0;
}

/* ---- dates ---- */

enum { DAY = 86400, UNIX_EPOCH = 25569 /* 1970-01-01 as a serial */, EPOCH_1904 = 1462, SERIAL_MAX = 2958465 /* 9999-12-31 */ };

static char *put_two(char *to, int value)
{
	to[0] = (char)('0' + value / 10);
	to[1] = (char)('0' + value % 10);
	return to + 2;
}

static char *put_clock(char *to, int seconds)
{
	to = put_two(to, seconds / 3600);
	*to++ = ':';
	to = put_two(to, seconds / 60 % 60);
	*to++ = ':';
	return put_two(to, seconds % 60);
}

/* Days since 1970 as a date of the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms"). */
static char *put_day(char *to, int days)
{
	days += 719468;
	int era = days / 146097, of_era = days - era * 146097;
	int year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int shifted = (5 * of_year + 2) / 153, day = of_year - (153 * shifted + 2) / 5 + 1;
	int month = shifted < 10 ? shifted + 3 : shifted - 9, year = year_of_era + era * 400 + (month <= 2);
	to = put_two(put_two(to, year / 100), year % 100);
	*to++ = '-';
	to = put_two(to, month);
	*to++ = '-';
	return put_two(to, day);
}

/* Whole days and seconds of a day, rounded; false for what no date or duration is made of. */
static bool split_serial(struct str text, bool *negative, int64_t *days, int *seconds)
{
	char plain[64];
	struct decimal decimal;
	uint64_t parts = 0, unit = 1;
	if (!parse_decimal(text, &decimal))
		return false;
	if (decimal.has_exponent) {
		double value = to_double(text);
		if (!(fabs(value) < 1e9))
			return false;
		int n = snprintf(plain, sizeof(plain), "%.14f", value);
		if (!parse_decimal((struct str){plain, (size_t)n}, &decimal))
			return false;
	}
	int64_t whole = 0;
	if (decimal.whole.n && parse_i64_n(decimal.whole.p, decimal.whole.n, 0, 1000000000, &whole))
		return false;
	for (size_t i = 0; i < decimal.fraction.n && i < 14; i++) {
		parts = parts * 10 + (uint64_t)(decimal.fraction.p[i] - '0');
		unit *= 10;
	}
	uint64_t rounded = (parts * DAY + unit / 2) / unit;
	*days = whole + (rounded == DAY);
	*seconds = (int)(rounded % DAY);
	*negative = decimal.negative && (*days || *seconds);
	return true;
}

static size_t put_duration(char *to, bool negative, int64_t days, int seconds)
{
	char *p = to;
	if (negative)
		*p++ = '-';
	p += snprintf(p, 24, "%02lld", (long long)days * 24 + seconds / 3600);
	char clock[8];
	put_clock(clock, seconds % 3600);
	memcpy(p, clock + 2, 6);
	return (size_t)(p + 6 - to);
}

size_t xlsx_date(struct str text, enum xlsx_kind kind, bool is_1904, char *to, enum xlsx_date_finding *ret_finding)
{
	bool negative = false;
	int64_t days = 0;
	int seconds = 0;
	*ret_finding = XLSX_DATE_IMPOSSIBLE;
	if (!split_serial(str_trim(text), &negative, &days, &seconds))
		return 0;
	if (kind == XLSX_DURATION) {
		*ret_finding = XLSX_DATE_FINE;
		return put_duration(to, negative, days, seconds);
	}
	bool clock_only = days == 0 && (!is_1904 || kind == XLSX_TIME);
	days += is_1904 ? EPOCH_1904 : 0;
	if (negative || days > SERIAL_MAX)
		return 0;
	*ret_finding = days == 60 ? XLSX_DATE_FICTITIOUS : XLSX_DATE_FINE;
	char *p = to;
	if (!clock_only) /* Excel's 1900 has a 29 February: the days before it are one too few, and it is given as the 28th */
		p = put_day(p, (int)(days - UNIX_EPOCH + (days < 60)));
	if (clock_only || seconds || kind == XLSX_DATE_TIME || kind == XLSX_TIME) {
		if (!clock_only)
			*p++ = 'T';
		p = put_clock(p, seconds);
	}
	return (size_t)(p - to);
}

/* ---- escapes ---- */

static bool escape_at(const char *p, size_t n, uint32_t *ret)
{
	uint32_t value = 0;
	if (n < 7 || p[0] != '_' || p[1] != 'x' || p[6] != '_')
		return false;
	for (int i = 2; i < 6; i++) {
		char c = lower(p[i]);
		if (!is_digit(c) && !(c >= 'a' && c <= 'f'))
			return false;
		value = value * 16 + (uint32_t)(is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	*ret = value;
	return true;
}

/* The character that the escape at p stands for, *ret_length: bytes of text it took. */
static uint32_t escaped(const char *p, size_t n, uint32_t unit, size_t *ret_length)
{
	uint32_t low = 0;
	*ret_length = 7;
	if (unit < 0xd800 || unit > 0xdfff)
		return unit;
	if (unit > 0xdbff || !escape_at(p + 7, n - 7, &low) || low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*ret_length = 14;
	return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

size_t xlsx_unescape(char *text, size_t n)
{
	const char *first = n >= 7 ? memchr(text, '_', n) : NULL;
	if (!first)
		return n;
	size_t to = (size_t)(first - text);
	for (size_t from = to; from < n;) {
		uint32_t unit = 0;
		size_t length = 1;
		if (!escape_at(text + from, n - from, &unit)) {
			text[to++] = text[from++];
			continue;
		}
		uint32_t code_point = escaped(text + from, n - from, unit, &length);
		from += length;
		if (code_point)
			to += utf8_encode(code_point, text + to);
	}
	return to;
}
