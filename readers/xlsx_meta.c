/*
 * The META frame of a workbook. Called by xlsx_read.c. Must never make more JSON than one frame holds: texts are cut harder
 * until it fits.
 */
#include "readers/xlsx_meta.h"

#include "core/base/json.h"

static void put_cells(struct json_writer *w, const char *name, const struct xlsx_source *source, const struct xlsx_row *row, size_t cap)
{
	json_array_open(w, name);
	for (size_t i = 0; i < source->header.columns || i < row->cell_count; i++) {
		struct str cell = i < row->cell_count && row->cells[i].p ? row->cells[i] : STR("");
		if (cell.n > cap)
			cell.n = utf8_valid_prefix(cell.p, cap);
		json_put_str(w, NULL, cell);
	}
	json_array_close(w);
}

static void put_sheets(struct json_writer *w, const struct xlsx_book *book)
{
	json_array_open(w, "sheets");
	for (size_t i = 0; i < book->sheet_count; i++) {
		json_object_open(w, NULL);
		json_put_str(w, "name", book->sheets[i].name);
		json_put_bool(w, "hidden", book->sheets[i].hidden);
		json_object_close(w);
	}
	json_array_close(w);
}

static void put_rows(struct json_writer *w, const struct xlsx_source *source, size_t cap)
{
	const struct xlsx_sample *sample = source->sample;
	unsigned shown = 0;
	for (size_t i = 0; i < sample->count; i++) {
		if (sample->rows[i].number == source->header.row)
			put_cells(w, "header", source, &sample->rows[i], cap);
	}
	json_array_open(w, "sample");
	for (size_t i = 0; i < sample->count && shown < XLSX_META_ROWS; i++) {
		if (sample->rows[i].number <= source->header.row)
			continue;
		json_object_open(w, NULL);
		json_put_i64(w, "row", (int64_t)sample->rows[i].number);
		put_cells(w, "cells", source, &sample->rows[i], cap);
		json_object_close(w);
		shown++;
	}
	json_array_close(w);
}

static int64_t estimate_rows(const struct xlsx_source *source)
{
	const struct xlsx_sample *sample = source->sample;
	double rows = (double)source->header.data_rows, bytes = (double)sample->bytes, all = (double)source->sheet_bytes;
	return sample->whole || all <= bytes ? (int64_t)source->header.data_rows : (int64_t)(rows * all / bytes + 0.5);
}

static enum err put_meta(const struct xlsx_source *source, struct buf *json, size_t cap)
{
	struct json_writer w;
	json_start(&w, json);
	json_object_open(&w, NULL);
	json_put_text(&w, "format", "xlsx");
	json_put_bool(&w, "date1904", source->book->is_1904);
	put_sheets(&w, source->book);
	json_put_str(&w, "sheet", source->sheet->name);
	json_put_bool(&w, "hasHeader", source->header.row > 0);
	json_put_i64(&w, "headerRow", (int64_t)source->header.row);
	json_put_i64(&w, "columns", (int64_t)source->header.columns);
	put_rows(&w, source, cap);
	json_put_i64(&w, "estimatedRows", estimate_rows(source));
	json_put_bool(&w, "exact", source->sample->whole);
	json_put_i64(&w, "fileSize", source->file_size);
	json_object_close(&w);
	return json->overflowed ? ERR_TOO_LARGE : OK;
}

enum err xlsx_meta(const struct xlsx_source *source, struct buf *json)
{
	static const size_t caps[] = {500, 100, 30, 8};
	enum err err = ERR_TOO_LARGE;
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]) && err; i++) {
		buf_clear(json);
		err = put_meta(source, json, caps[i]);
	}
	return err;
}
