/*
 * Types of cells, by shape alone: each is a small predicate, the first that holds wins. Called by csv_detect.c and
 * header.c on the sample. Must never be used to accept or refuse a row.
 */
#include "readers/cell_types.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Only digits and the given characters; counts the digits. */
static bool made_of(struct str cell, const char *others, size_t *digits)
{
	*digits = 0;
	for (size_t i = 0; i < cell.n; i++) {
		bool digit = is_digit(cell.p[i]);
		if (!digit && (cell.p[i] == '\0' || !strchr(others, cell.p[i])))
			return false;
		*digits += digit;
	}
	return true;
}

static bool is_empty(struct str cell)
{
	return cell.n == 0;
}

static bool is_phone(struct str cell)
{
	size_t digits = 0;
	return made_of(cell, "+().-/ ", &digits) && digits >= 8 && digits <= 15 && strchr("0+(", cell.p[0]) != NULL;
}

/* Three groups of 1-2, 1-2 and 2-4 digits, or 4, 1-2 and 1-2, joined by one of - / . and followed by anything of a time. */
static bool is_date(struct str cell)
{
	size_t digits = 0, group[3] = {0, 0, 0}, at = 0;
	if (!made_of(cell, "-/.:+TZ ", &digits) || digits > 20)
		return false;
	for (size_t g = 0; g < 3; g++) {
		while (at < cell.n && is_digit(cell.p[at]))
			group[g]++, at++;
		if (g < 2 && (at >= cell.n || !strchr("-/.", cell.p[at++])))
			return false;
	}
	bool year_first = group[0] == 4 && group[2] >= 1 && group[2] <= 2;
	bool year_last = group[0] >= 1 && group[0] <= 2 && (group[2] == 2 || group[2] == 4);
	return (year_first || year_last) && group[1] >= 1 && group[1] <= 2 && (at == cell.n || cell.p[at] == ' ' || cell.p[at] == 'T');
}

static bool is_number(struct str cell)
{
	size_t digits = 0;
	if (cell.p[0] == '-' || cell.p[0] == '+')
		cell = (struct str){cell.p + 1, cell.n - 1};
	while (cell.n && (unsigned char)cell.p[cell.n - 1] >= 0x80)
		cell.n--; /* a currency sign */
	if (!made_of(cell, "., %$", &digits) || digits == 0 || !(is_digit(cell.p[0]) || cell.p[0] == '$'))
		return false;
	const char *comma = memchr(cell.p, ',', cell.n);
	return !comma || !memchr(comma + 1, ',', cell.n - (size_t)(comma + 1 - cell.p));
}

static bool is_email(struct str cell)
{
	const char *at = memchr(cell.p, '@', cell.n);
	if (!at || at == cell.p || memchr(cell.p, ' ', cell.n))
		return false;
	const char *dot = memchr(at + 1, '.', cell.n - (size_t)(at + 1 - cell.p));
	for (const char *odd = ",;|\t\""; *odd; odd++) {
		if (memchr(cell.p, *odd, cell.n))
			return false;
	}
	return dot && dot != at + 1;
}

static bool is_url(struct str cell)
{
	static const char *const starts[] = {"http://", "https://", "www."};
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		size_t n = strlen(starts[i]);
		if (cell.n > n && memcmp(cell.p, starts[i], n) == 0 && !memchr(cell.p, ' ', cell.n) && !memchr(cell.p, ';', cell.n))
			return true;
	}
	return false;
}

static bool is_text(struct str cell)
{
	for (size_t i = 0; i < cell.n; i++) {
		char c = cell.p[i];
		if (c == ';' || c == '|' || c == '\t' || (c == '"' && i == 0))
			return false;
		if (c == ',' && (i + 1 == cell.n || (cell.p[i + 1] != ' ' && !is_digit(cell.p[i + 1]))))
			return false;
	}
	return true;
}

static const struct {
	enum cell_type type;
	bool (*holds)(struct str cell);
} shapes[] = {
	{CELL_EMPTY, is_empty}, {CELL_DATE, is_date}, {CELL_PHONE, is_phone}, {CELL_NUMBER, is_number},
	{CELL_EMAIL, is_email}, {CELL_URL, is_url},   {CELL_TEXT, is_text},
};

enum cell_type cell_type_of(struct str cell)
{
	cell = str_trim(cell);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (shapes[i].holds(cell))
			return shapes[i].type;
	}
	return CELL_ODD;
}
