/*
 * The META frame of a CSV file. Called by csv_read.c. Must never make more JSON than one frame holds: texts are cut
 * harder until it fits.
 */
#include "readers/csv_meta.h"

#include "core/base/json.h"
#include "readers/frame.h"

/* At most `cap` bytes of the cell as UTF-8, not cut inside a character. */
static void put_cell(struct json_writer *w, const struct csv_source *source, struct str cell, size_t cap)
{
	char text[3 * 500];
	unsigned findings = 0;
	cell.n = cell.n < cap ? cell.n : cap;
	enum encoding encoding = source->is_utf16 ? ENCODING_UTF8 : source->encoding;
	if (encoding == ENCODING_UTF8 && cell.n == cap) {
		size_t back = cell.n;
		while (back && cell.n - back < 4 && ((unsigned char)cell.p[back - 1] & 0xc0) == 0x80)
			back--;
		uint32_t code_point = 0;
		if (back && (unsigned char)cell.p[back - 1] >= 0xc0 && !utf8_decode(cell.p + back - 1, cell.n - (back - 1), &code_point))
			cell.n = back - 1;
	}
	json_put_str(w, NULL, (struct str){text, encoding_decode(encoding, cell.p, cell.n, text, &findings)});
}

static void put_cells(struct json_writer *w, const char *name, const struct csv_source *source, const struct csv_record *record, size_t cap)
{
	json_array_open(w, name);
	for (uint32_t i = 0; i < record->cell_count; i++)
		put_cell(w, source, record->cells[i], cap);
	json_array_close(w);
}

/* The header, then the first rows of data. */
static enum err put_sample(struct arena *scratch, struct json_writer *w, const struct csv_source *source, size_t cap)
{
	const struct csv_layout *layout = &source->layout;
	struct csv csv;
	struct csv_record record;
	struct str text = {source->text.p + layout->directive, source->text.n - layout->directive};
	enum err err = csv_open_sample(&csv, scratch, text, &layout->dialect);
	unsigned rows = 0;
	bool open = false;
	if (err)
		return err;
	csv_expect(&csv, layout->columns);
	while (rows < CSV_META_ROWS && csv_next(&csv, &record) == CSV_RECORD) {
		bool cut = !source->whole && csv.start + csv.consumed == csv.filled && record.number > 1;
		if (record.number == layout->header_row)
			put_cells(w, "header", source, &record, cap);
		if (cut || record.empty || record.number <= layout->header_row)
			continue;
		if (!open)
			json_array_open(w, "sample");
		open = true;
		json_object_open(w, NULL);
		json_put_i64(w, "row", (int64_t)record.number);
		put_cells(w, "cells", source, &record, cap);
		json_object_close(w);
		rows++;
	}
	if (!open)
		json_array_open(w, "sample");
	json_array_close(w);
	return OK;
}

static int64_t estimate_rows(const struct csv_source *source)
{
	double share = source->sampled ? (double)source->file_size / (double)source->sampled : 0;
	return source->whole ? (int64_t)source->layout.data_rows : (int64_t)((double)source->layout.data_rows * share + 0.5);
}

static enum err put_meta(struct arena *scratch, const struct csv_source *source, struct buf *json, size_t cap)
{
	const struct csv_layout *layout = &source->layout;
	struct json_writer w;
	json_start(&w, json);
	json_object_open(&w, NULL);
	json_put_text(&w, "format", "csv");
	json_put_text(&w, "encoding", encoding_name(source->encoding));
	json_put_bool(&w, "bom", source->bom > 0);
	json_put_str(&w, "delimiter", (struct str){&layout->dialect.delimiter, 1});
	json_put_str(&w, "quote", (struct str){&layout->dialect.quote, 1});
	json_put_bool(&w, "backslash", layout->dialect.backslash);
	json_put_bool(&w, "sepLine", layout->directive > 0);
	json_put_bool(&w, "hasHeader", layout->has_header);
	json_put_i64(&w, "headerRow", (int64_t)layout->header_row);
	json_put_i64(&w, "columns", (int64_t)layout->columns);
	enum err err = put_sample(scratch, &w, source, cap);
	json_put_i64(&w, "estimatedRows", estimate_rows(source));
	json_put_bool(&w, "exact", source->whole);
	json_put_i64(&w, "fileSize", (int64_t)source->file_size);
	json_object_close(&w);
	return err ? err : json->overflowed ? ERR_TOO_LARGE : OK;
}

enum err csv_meta(struct arena *scratch, const struct csv_source *source, struct buf *json)
{
	static const size_t caps[] = {500, 100, 30, 8};
	enum err err = OK;
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		buf_clear(json);
		err = put_meta(scratch, source, json, caps[i]);
		if (err != ERR_TOO_LARGE)
			break;
	}
	return err;
}
