/*
 * Short cuts through the XML of sheets and strings. Called by xlsx_sheet.c and xlsx_strings.c. Must never take what the
 * scanner would have understood in another way. The window ends with a NUL, which no pattern here contains; what is compared
 * behind it is old, but within the window's slack.
 */
#include "readers/xlsx_quick.h"

#include <string.h>

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One to three capitals, then digits that do not begin with 0, then the quote. Returns what is behind it, NULL: not so. */
static inline const char *take_reference(const char *p, uint32_t *ret_column)
{
	uint32_t column = 0;
	const char *start = p;
	for (; *p >= 'A' && *p <= 'Z'; p++)
		column = column * 26 + (uint32_t)(*p - 'A' + 1);
	if (p == start || p - start > 3 || !is_digit(*p) || *p == '0')
		return NULL;
	start = p;
	while (is_digit(*p))
		p++;
	*ret_column = column;
	return *p == '"' && p - start <= 7 ? p + 1 : NULL;
}

static inline const char *take_style(const char *p, struct str *ret)
{
	const char *start = p;
	while (is_digit(*p))
		p++;
	*ret = (struct str){start, (size_t)(p - start)};
	return *p == '"' ? p + 1 : NULL;
}

static inline const char *take_type(const char *p, char *ret)
{
	bool string = p[0] == 's' && p[1] == 't' && p[2] == 'r';
	if (!string && p[0] != 's' && p[0] != 'n' && p[0] != 'b' && p[0] != 'e')
		return NULL;
	*ret = (char)(string ? 'f' : p[0]);
	p += string ? 3 : 1;
	return *p == '"' ? p + 1 : NULL;
}

static inline const char *take_attributes(const char *p, struct xlsx_quick_cell *cell)
{
	while (p && *p == ' ') {
		char name = p[1];
		if (!name || p[2] != '=' || p[3] != '"')
			return NULL;
		p += 4;
		p = name == 'r' ? take_reference(p, &cell->column) : name == 's' ? take_style(p, &cell->style) : name == 't' ? take_type(p, &cell->type) : NULL;
	}
	return p;
}

bool xlsx_quick_cell(struct xml *xml, struct xlsx_quick_cell *ret)
{
	const char *p = xml->window + xml->at;
	if (xml->end_follows || xml->in_cdata || p[0] != '<' || p[1] != 'c')
		return false;
	struct xlsx_quick_cell cell = {.type = 'n'};
	p = take_attributes(p + 2, &cell);
	if (!p)
		return false;
	if (p[0] == '/' && p[1] == '>') {
		p += 2;
	} else {
		if (memcmp(p, "><v>", 4) != 0)
			return false;
		p += 4;
		const char *value = p;
		while (*p > ' ' && *p != '<' && *p != '&')
			p++;
		if (memcmp(p, "</v></c>", 8) != 0)
			return false;
		cell.value = (struct str){value, (size_t)(p - value)};
		p += 8;
	}
	xml->at = (size_t)(p - xml->window);
	*ret = cell;
	return true;
}

bool xlsx_quick_string(struct xml *xml, struct str *ret_text, bool *ret_keeps_space)
{
	static const char plain[] = "<si><t>", kept[] = "<si><t xml:space=\"preserve\">", end[] = "</t></si>";
	const char *p = xml->window + xml->at;
	bool keeps_space = memcmp(p, kept, sizeof(kept) - 1) == 0;
	if (xml->end_follows || xml->in_cdata || (!keeps_space && memcmp(p, plain, sizeof(plain) - 1) != 0))
		return false;
	p += keeps_space ? sizeof(kept) - 1 : sizeof(plain) - 1;
	const char *close = memchr(p, '<', xml->filled - (size_t)(p - xml->window));
	if (!close || memcmp(close, end, sizeof(end) - 1) != 0 || memchr(p, '\0', (size_t)(close - p)))
		return false;
	*ret_text = (struct str){p, (size_t)(close - p)};
	*ret_keeps_space = keeps_space;
	xml->at = (size_t)(close - xml->window) + sizeof(end) - 1;
	return true;
}
