/*
 * The styles part: custom number formats, then the cell styles that use them. Called by xlsx_read.c and xlsx_sheet.c. Only
 * cellXfs counts: cellStyleXfs has the same elements and means something else.
 */
#include "readers/xlsx_styles.h"

#include <string.h>

#define FORMATS_MAX 16384u
#define CODE_MAX 2048u

struct format {
	uint32_t number;
	enum xlsx_kind kind;
};

struct styles_reader {
	struct xlsx_book *book;
	struct xlsx_styles *styles;
	struct format *formats; /* in the order of the file */
	size_t format_count;
	bool in_formats, in_cells;
};

static bool number_of(struct str text, uint32_t *ret)
{
	int64_t value = 0;
	if (!text.p || parse_i64_n(text.p, text.n, 0, UINT32_MAX, &value))
		return false;
	*ret = (uint32_t)value;
	return true;
}

static enum err add_format(struct styles_reader *r)
{
	char code[CODE_MAX];
	uint32_t number = 0;
	struct str raw = xml_attribute(&r->book->xml, "formatCode");
	if (!number_of(xml_attribute(&r->book->xml, "numFmtId"), &number) || !raw.p || raw.n > sizeof(code) || r->format_count == FORMATS_MAX)
		return OK;
	size_t n = xml_decode(raw, false, code);
	if (n == SIZE_MAX)
		return refuse(r->book->refusal, "xml_malformed");
	r->formats[r->format_count++] = (struct format){number, xlsx_kind_of_format((struct str){code, n})};
	return OK;
}

/* What the file says of a number goes before what is built in. */
static enum xlsx_kind kind_of(const struct styles_reader *r, uint32_t number)
{
	for (size_t i = r->format_count; i-- > 0;) {
		if (r->formats[i].number == number)
			return r->formats[i].kind;
	}
	return xlsx_kind_of_builtin(number);
}

static enum err on_start(struct styles_reader *r)
{
	const struct xml *xml = &r->book->xml;
	if (xml->depth == 2) {
		r->in_formats = str_equal_text(xml->name, "numFmts");
		r->in_cells = str_equal_text(xml->name, "cellXfs");
	}
	if (xml->depth != 3)
		return OK;
	if (r->in_formats && str_equal_text(xml->name, "numFmt"))
		return add_format(r);
	if (r->in_cells && str_equal_text(xml->name, "xf") && r->styles->count < XLSX_STYLES_MAX) {
		uint32_t number = 0;
		bool known = number_of(xml_attribute(xml, "numFmtId"), &number);
		r->styles->kinds[r->styles->count++] = (uint8_t)(known ? kind_of(r, number) : XLSX_NUMBER);
	}
	return OK;
}

enum err xlsx_styles_read(struct xlsx_book *book, struct xlsx_styles *ret)
{
	struct styles_reader r = {.book = book, .styles = ret};
	*ret = (struct xlsx_styles){.kinds = arena_alloc(book->arena, XLSX_STYLES_MAX)};
	r.formats = arena_array(book->arena, FORMATS_MAX, sizeof(r.formats[0]));
	if (!ret->kinds || !r.formats)
		return ERR_TOO_LARGE;
	if (book->styles < 0)
		return OK;
	enum err err = xlsx_book_part(book, book->styles, XLSX_SMALL_PART);
	enum xml_event event = XML_TEXT;
	while (!err && (event = xml_next(&book->xml)) != XML_DONE && event != XML_FAILED) {
		if (event == XML_START)
			err = on_start(&r);
	}
	return err ? err : event == XML_FAILED ? book->xml.error : OK;
}

enum xlsx_kind xlsx_style_kind(const struct xlsx_styles *styles, struct str style)
{
	uint32_t number = 0;
	for (size_t i = 0; i < style.n; i++) {
		unsigned digit = (unsigned char)style.p[i] - (unsigned)'0';
		if (digit > 9 || i > 8)
			return XLSX_NUMBER;
		number = number * 10 + digit;
	}
	return style.n && number < styles->count ? (enum xlsx_kind)styles->kinds[number] : XLSX_NUMBER;
}
