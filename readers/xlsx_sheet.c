/*
 * The worksheet part: events of the XML scanner become rows. Called by xlsx_read.c and xlsx_sample.c. Elements are told by
 * where they stand: worksheet 1, sheetData 2, row 3, c 4, v or is 5, t 6 (t 7 below r); whatever stands elsewhere is passed over.
 * Must never let a cell's content move another cell, nor a row's size pass the limits.
 */
#include "readers/xlsx_sheet.h"

#include "readers/frame.h"
#include "readers/xlsx_quick.h"
#include "readers/xlsx_strings.h"

#include <string.h>

#define RAW_MAX ((size_t)XML_WINDOW + (64u << 10)) /* of one cell before it is cut */

static const struct {
	unsigned note;
	const char *code;
} note_codes[] = {
    {XLSX_NOTE_ERROR_VALUE, "cell_error_value"},
    {XLSX_NOTE_NOT_A_NUMBER, "cell_not_a_number"},
    {XLSX_NOTE_NOT_A_DATE, "cell_not_a_date"},
    {XLSX_NOTE_FICTITIOUS_DATE, "cell_fictitious_date"},
    {XLSX_NOTE_NO_STRING, "shared_string_missing"},
};

const char *xlsx_note_code(unsigned note)
{
	for (size_t i = 0; i < sizeof(note_codes) / sizeof(note_codes[0]); i++) {
		if (note_codes[i].note == note)
			return note_codes[i].code;
	}
	return "unknown_note";
}

enum err xlsx_sheet_init(struct xlsx_sheet *sheet, struct xlsx_book *book, struct string_store *strings, const struct xlsx_styles *styles,
			 const struct xlsx_sheet_limits *limits, struct arena *arena)
{
	*sheet = (struct xlsx_sheet){.book = book, .strings = strings, .styles = styles, .limits = *limits};
	sheet->text = arena_alloc(arena, limits->record_bytes + limits->field_bytes + RAW_MAX);
	sheet->cells = arena_array(arena, limits->columns, sizeof(sheet->cells[0]));
	return sheet->text && sheet->cells ? OK : ERR_TOO_LARGE;
}

static void clear_row(struct xlsx_sheet *s)
{
	if (s->cells_used)
		memset(s->cells, 0, s->cells_used * sizeof(s->cells[0]));
	s->cells_used = 0;
	s->text_used = s->row_bytes = 0;
	s->flags = 0;
	s->notes = 0;
	s->has_text = false;
}

enum err xlsx_sheet_open(struct xlsx_sheet *s, const struct xlsx_sheet_entry *entry)
{
	clear_row(s);
	s->error = OK;
	s->row_number = 0;
	s->in_data = s->in_row = s->in_cell = s->in_inline = s->in_run = s->collecting = false;
	return entry->part < 0 ? refuse(s->book->refusal, "part_missing") : xlsx_book_part(s->book, entry->part, INT64_MAX);
}

static inline bool named(const struct xml *xml, const char *name, size_t n)
{
	return xml->name.n == n && memcmp(xml->name.p, name, n) == 0;
}

/* ---- where we are ---- */

static enum err start_row(struct xlsx_sheet *s)
{
	struct str number = xml_attribute(&s->book->xml, "r");
	int64_t value = (int64_t)s->row_number + 1;
	if (number.p && parse_i64_n(number.p, number.n, 1, UINT32_MAX - 1, &value))
		return refuse(s->book->refusal, "bad_cell_reference");
	clear_row(s);
	s->row_number = (uint32_t)value;
	s->column = 0;
	s->in_row = true;
	return OK;
}

static enum xlsx_cell_type type_of(struct str t)
{
	static const struct {
		const char *name;
		enum xlsx_cell_type type;
	} types[] = {
	    {"s", XLSX_CELL_SHARED},  {"n", XLSX_CELL_NUMBER}, {"str", XLSX_CELL_TEXT}, {"inlineStr", XLSX_CELL_INLINE},
	    {"b", XLSX_CELL_BOOLEAN}, {"e", XLSX_CELL_ERROR},  {"d", XLSX_CELL_ISO_DATE},
	};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (str_equal_text(t, types[i].name))
			return types[i].type;
	}
	return XLSX_CELL_NUMBER;
}

static enum err start_cell(struct xlsx_sheet *s)
{
	const struct xml *xml = &s->book->xml;
	struct str reference = {NULL, 0}, style = {NULL, 0};
	uint32_t row = 0;
	s->type = XLSX_CELL_NUMBER;
	for (unsigned i = 0; i < xml->attribute_count; i++) {
		const struct xml_attribute *attribute = &xml->attributes[i];
		char name = '\0';
		if (attribute->name.n == 1)
			name = attribute->name.p[0];
		if (name == 'r')
			reference = attribute->value;
		else if (name == 's')
			style = attribute->value;
		else if (name == 't')
			s->type = type_of(attribute->value);
	}
	s->column++;
	if (reference.p && !xlsx_reference(reference, &s->column, &row))
		return refuse(s->book->refusal, "bad_cell_reference");
	s->kind = s->type == XLSX_CELL_NUMBER ? xlsx_style_kind(s->styles, style) : XLSX_NUMBER;
	s->value_start = s->text_used;
	s->in_cell = true;
	return OK;
}

static void start_text(struct xlsx_sheet *s)
{
	s->collecting = true;
	s->keeps_space = xlsx_keeps_space(&s->book->xml);
	s->run_start = s->text_used;
}

static enum err on_start(struct xlsx_sheet *s)
{
	const struct xml *xml = &s->book->xml;
	if (xml->depth == 4 && s->in_row && named(xml, "c", 1))
		return start_cell(s);
	if (xml->depth == 5 && s->in_cell) {
		s->collecting = s->type != XLSX_CELL_INLINE && named(xml, "v", 1);
		s->in_inline = s->type == XLSX_CELL_INLINE && named(xml, "is", 2);
	} else if (xml->depth == 3 && s->in_data && named(xml, "row", 3)) {
		return start_row(s);
	} else if (xml->depth == 2) {
		s->in_data = named(xml, "sheetData", 9);
	} else if (xml->depth == 6 && s->in_inline) {
		s->in_run = named(xml, "r", 1);
		if (named(xml, "t", 1))
			start_text(s);
	} else if (xml->depth == 7 && s->in_run && named(xml, "t", 1)) {
		start_text(s);
	}
	return OK;
}

static enum err on_text(struct xlsx_sheet *s)
{
	const struct xml *xml = &s->book->xml;
	if (s->text_used - s->value_start + xml->text.n > RAW_MAX) {
		s->flags |= ROW_FLAG_FIELD_TOO_LONG;
		return OK;
	}
	size_t n = xml_decode(xml->text, xml->literal, s->text + s->text_used);
	if (n == SIZE_MAX)
		return refuse(s->book->refusal, "xml_malformed");
	s->text_used += n;
	return OK;
}

/* ---- values ---- */

static enum err convert_number(struct xlsx_sheet *s, struct str *value)
{
	char text[XLSX_VALUE_MAX];
	enum xlsx_date_finding finding = XLSX_DATE_FINE;
	size_t n = 0;
	if (str_trim(*value).n == 0) {
		value->n = 0;
		return OK;
	}
	if (s->kind != XLSX_NUMBER)
		n = xlsx_date(*value, s->kind, s->book->is_1904, text, &finding);
	if (n == 0)
		n = xlsx_number(*value, text);
	s->notes |= finding == XLSX_DATE_FICTITIOUS ? XLSX_NOTE_FICTITIOUS_DATE : finding == XLSX_DATE_IMPOSSIBLE ? XLSX_NOTE_NOT_A_DATE : 0;
	s->notes |= n == 0 ? XLSX_NOTE_NOT_A_NUMBER : 0;
	if (n) {
		char *to = s->text + s->value_start;
		memcpy(to, text, n);
		*value = (struct str){to, n};
	}
	return n || utf8_valid(value->p, value->n) ? OK : refuse(s->book->refusal, "xml_encoding");
}

static bool whole_number(struct str text, uint64_t *ret)
{
	uint64_t value = 0;
	for (size_t i = 0; i < text.n; i++) {
		unsigned digit = (unsigned char)text.p[i] - (unsigned)'0';
		if (digit > 9 || i > 17)
			return false;
		value = value * 10 + digit;
	}
	*ret = value;
	return true;
}

static enum err convert_shared(struct xlsx_sheet *s, struct str *value)
{
	uint64_t index = 0;
	struct str text = str_trim(*value);
	if (text.n == 0) {
		value->n = 0;
		return OK;
	}
	if (!whole_number(text, &index) || index >= s->strings->count) {
		s->notes |= XLSX_NOTE_NO_STRING;
		s->flags |= ROW_FLAG_INVALID_BYTES;
		*value = STR("\xef\xbf\xbd");
		return OK;
	}
	return string_store_get(s->strings, index, s->text + s->value_start, s->limits.field_bytes + 4, value);
}

static enum err convert_text(struct xlsx_sheet *s, struct str *value)
{
	value->n = xlsx_finish_text(s->text + s->value_start, value->n);
	return value->n == SIZE_MAX ? refuse(s->book->refusal, "xml_encoding") : OK;
}

static enum err convert(struct xlsx_sheet *s, struct str *value)
{
	if (s->type == XLSX_CELL_NUMBER)
		return convert_number(s, value);
	if (s->type == XLSX_CELL_SHARED)
		return convert_shared(s, value);
	if (s->type == XLSX_CELL_BOOLEAN && (str_equal_text(*value, "1") || str_equal_text(*value, "0")))
		*value = value->p[0] == '1' ? STR("true") : STR("false");
	else if (s->type == XLSX_CELL_ERROR)
		s->notes |= value->n ? XLSX_NOTE_ERROR_VALUE : 0;
	return value->p == s->text + s->value_start ? convert_text(s, value) : OK;
}

/* The value within the limits of a cell and of the row, not cut inside a character. */
static void fit(struct xlsx_sheet *s, struct str *value)
{
	if (value->n > s->limits.field_bytes) {
		s->flags |= ROW_FLAG_FIELD_TOO_LONG;
		value->n = utf8_valid_prefix(value->p, s->limits.field_bytes);
	}
	if (value->n > s->limits.record_bytes - s->row_bytes) {
		s->flags |= ROW_FLAG_RECORD_TOO_LONG;
		value->n = utf8_valid_prefix(value->p, s->limits.record_bytes - s->row_bytes);
	}
}

static bool is_blank(struct str value)
{
	size_t i = 0;
	while (i < value.n && (value.p[i] == ' ' || value.p[i] == '\t'))
		i++;
	return i == value.n;
}

static enum err keep_cell(struct xlsx_sheet *s, struct str value)
{
	bool blank = is_blank(value);
	if (s->column > s->limits.columns)
		return blank ? OK : refuse(s->book->refusal, "too_many_columns");
	if (s->column > s->cells_used)
		s->cells_used = s->column;
	fit(s, &value);
	if (value.p == s->text + s->value_start)
		s->text_used = s->value_start + value.n;
	s->row_bytes += value.n;
	s->has_text = s->has_text || !blank;
	s->cells[s->column - 1] = value;
	return OK;
}

/* Of text only what a kept cell holds stays, so that it never passes the limit of the row. */
static enum err end_cell(struct xlsx_sheet *s)
{
	struct str value = {s->text + s->value_start, s->text_used - s->value_start};
	s->in_cell = s->in_inline = s->in_run = s->collecting = false;
	if (value.n == 0)
		return OK;
	enum err err = convert(s, &value);
	s->text_used = s->value_start;
	return err || value.n == 0 ? err : keep_cell(s, value);
}

/* ---- cells of the plainest form ---- */

/* A whole number as we would write it. */
static bool is_plain_whole(struct str value)
{
	if (value.n > 15 || value.p[0] < '1' || value.p[0] > '9')
		return false;
	for (size_t i = 1; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return false;
	}
	return true;
}

static enum err quick_cell(struct xlsx_sheet *s, const struct xlsx_quick_cell *cell)
{
	static const enum xlsx_cell_type types[] = {
	    ['s'] = XLSX_CELL_SHARED, ['f'] = XLSX_CELL_TEXT, ['b'] = XLSX_CELL_BOOLEAN, ['e'] = XLSX_CELL_ERROR, ['n'] = XLSX_CELL_NUMBER};
	s->column = cell->column ? cell->column : s->column + 1;
	if (cell->value.n == 0)
		return OK;
	struct str value = {s->text + s->text_used, cell->value.n};
	s->value_start = s->text_used;
	s->type = types[(unsigned char)cell->type];
	if (s->type == XLSX_CELL_SHARED) {
		value = cell->value;
		enum err err = convert_shared(s, &value);
		return err || value.n == 0 ? err : keep_cell(s, value);
	}
	if (cell->value.n > RAW_MAX)
		return refuse(s->book->refusal, "xml_too_complex");
	memcpy(s->text + s->value_start, cell->value.p, cell->value.n);
	s->kind = s->type == XLSX_CELL_NUMBER ? xlsx_style_kind(s->styles, cell->style) : XLSX_NUMBER;
	if (s->type == XLSX_CELL_NUMBER && s->kind == XLSX_NUMBER && is_plain_whole(value))
		return keep_cell(s, value);
	s->text_used += value.n;
	return end_cell(s);
}

/* As many as stand one behind the other. */
static enum err quick_cells(struct xlsx_sheet *s)
{
	struct xlsx_quick_cell cell;
	enum err err = OK;
	while (!err && xlsx_quick_cell(&s->book->xml, &cell))
		err = quick_cell(s, &cell);
	return err;
}

/* ---- rows ---- */

/* *ret_filled: the row at hand is one to give out. */
static enum err end_row(struct xlsx_sheet *s, bool *ret_filled)
{
	s->in_row = false;
	*ret_filled = s->has_text;
	return s->has_text && s->row_number > XLSX_ROWS_MAX ? refuse(s->book->refusal, "too_many_rows") : OK;
}

static void end_text(struct xlsx_sheet *s)
{
	s->collecting = false;
	if (s->keeps_space || s->text_used == s->run_start)
		return;
	char *run = s->text + s->run_start;
	struct str trimmed = str_trim((struct str){run, s->text_used - s->run_start});
	memmove(run, trimmed.p, trimmed.n);
	s->text_used = s->run_start + trimmed.n;
}

static enum err on_end(struct xlsx_sheet *s, bool *ret_filled)
{
	unsigned depth = s->book->xml.depth;
	if (depth == 3 && s->in_cell)
		return end_cell(s);
	if (depth == 4 && s->in_cell)
		s->collecting = s->in_inline = false;
	else if (depth >= 5 && s->collecting && s->in_inline)
		end_text(s);
	else if (depth == 2 && s->in_row)
		return end_row(s, ret_filled);
	else if (depth == 1)
		s->in_data = false;
	return OK;
}

enum xlsx_step xlsx_sheet_next(struct xlsx_sheet *s, struct xlsx_row *ret)
{
	struct xml *xml = &s->book->xml;
	bool filled = false;
	while (!s->error && !filled) {
		enum xml_event event = xml_next(xml);
		if (event == XML_START)
			s->error = on_start(s);
		else if (event == XML_END)
			s->error = on_end(s, &filled);
		else if (event == XML_TEXT)
			s->error = s->collecting ? on_text(s) : OK;
		else if (event == XML_DONE)
			return XLSX_END;
		else
			s->error = xml->error;
		if (!s->error && s->in_row && xml->depth == 3)
			s->error = quick_cells(s);
	}
	if (s->error)
		return XLSX_FAILED;
	*ret = (struct xlsx_row){s->row_number, s->flags, s->notes, s->cells_used, s->cells};
	return XLSX_ROW;
}
