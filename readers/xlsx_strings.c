/*
 * The shared strings part. Called by xlsx_read.c; its rules for text also by xlsx_sheet.c for texts inside cells.
 */
#include "readers/xlsx_strings.h"

#include "readers/xlsx_quick.h"
#include "readers/xlsx_value.h"

#include <string.h>

struct strings_reader {
	struct xlsx_book *book;
	struct string_store *store;
	size_t max;
	struct buf value; /* of the <si> at hand */
	size_t run_start; /* of the <t> at hand */
	bool in_run, in_text, keeps_space;
};

bool xlsx_keeps_space(const struct xml *xml)
{
	return str_equal_text(xml_attribute(xml, "space"), "preserve");
}

size_t xlsx_finish_text(char *text, size_t n)
{
	unsigned char all = 0;
	n = xlsx_unescape(text, n);
	for (size_t i = 0; i < n; i++)
		all |= (unsigned char)text[i];
	return all < 0x80 || utf8_valid(text, n) ? n : SIZE_MAX;
}

static enum err finish_string(struct strings_reader *r)
{
	size_t n = xlsx_finish_text(r->value.data, r->value.len);
	if (n == SIZE_MAX)
		return refuse(r->book->refusal, "xml_encoding");
	if (n > r->max)
		n = utf8_valid_prefix(r->value.data, r->max);
	enum err err = string_store_add(r->store, (struct str){r->value.data, n});
	buf_clear(&r->value);
	return err;
}

static enum err add_text(struct strings_reader *r, struct str text, bool literal)
{
	if (r->value.len > r->max * 8) /* escapes take seven bytes for one; the rest would be cut anyway */
		return OK;
	char *to = buf_reserve(&r->value, text.n);
	size_t n = to ? xml_decode(text, literal, to) : 0;
	if (!to)
		return ERR_TOO_LARGE;
	if (n == SIZE_MAX)
		return refuse(r->book->refusal, "xml_malformed");
	r->value.len += n;
	return OK;
}

static void trim_run(struct strings_reader *r)
{
	char *run = r->value.data + r->run_start;
	struct str trimmed = str_trim((struct str){run, r->value.len - r->run_start});
	if (trimmed.p != run)
		memmove(run, trimmed.p, trimmed.n);
	r->value.len = r->run_start + trimmed.n;
}

/* sst 1, si 2, t 3 or r 3, t 4 below r; rPh stands where r does. */
static void on_start(struct strings_reader *r)
{
	const struct xml *xml = &r->book->xml;
	if (xml->depth == 3)
		r->in_run = str_equal_text(xml->name, "r");
	if ((xml->depth == 3 || (xml->depth == 4 && r->in_run)) && str_equal_text(xml->name, "t")) {
		r->in_text = true;
		r->keeps_space = xlsx_keeps_space(xml);
		r->run_start = r->value.len;
	}
}

static enum err on_end(struct strings_reader *r)
{
	const struct xml *xml = &r->book->xml;
	if (r->in_text && str_equal_text(xml->name, "t")) {
		if (!r->keeps_space && r->value.len > r->run_start)
			trim_run(r);
		r->in_text = false;
	}
	return xml->depth == 1 && str_equal_text(xml->name, "si") ? finish_string(r) : OK;
}

/* Strings of the plainest form, as many as stand one behind the other. */
static enum err take_quick(struct strings_reader *r)
{
	struct str text;
	enum err err = OK;
	while (!err && r->book->xml.depth == 1 && xlsx_quick_string(&r->book->xml, &text, &r->keeps_space)) {
		r->run_start = 0;
		err = add_text(r, text, false);
		if (!err && !r->keeps_space)
			trim_run(r);
		if (!err)
			err = finish_string(r);
	}
	return err;
}

enum err xlsx_strings_read(struct xlsx_book *book, struct string_store *store, size_t max)
{
	struct strings_reader r = {.book = book, .store = store, .max = max};
	if (book->strings < 0)
		return string_store_finish(store, book->arena);
	buf_init(&r.value, max * 8 + 2 * (size_t)XML_WINDOW);
	enum err err = buf_reserve(&r.value, 1) ? xlsx_book_part(book, book->strings, INT64_MAX) : ERR_TOO_LARGE;
	enum xml_event event = XML_TEXT;
	while (!err && (event = xml_next(&book->xml)) != XML_DONE && event != XML_FAILED) {
		if (event == XML_START)
			on_start(&r);
		else if (event == XML_END)
			err = on_end(&r);
		else if (r.in_text)
			err = add_text(&r, book->xml.text, book->xml.literal);
		if (!err)
			err = take_quick(&r);
	}
	buf_release(&r.value);
	if (!err && event == XML_FAILED)
		err = book->xml.error;
	return err ? err : string_store_finish(store, book->arena);
}
