/* The sample of a sheet. Called by xlsx_read.c. Must never keep a pointer into the sheet's own buffers. */
#include "readers/xlsx_sample.h"

#include <string.h>

static enum err keep_row(struct xlsx_sample *sample, struct arena *arena, const struct xlsx_row *row, size_t *bytes)
{
	struct str *cells = arena_array(arena, row->cell_count, sizeof(cells[0]));
	*bytes += row->cell_count * sizeof(cells[0]);
	for (uint32_t i = 0; cells && i < row->cell_count; i++) {
		cells[i] = row->cells[i];
		if (!cells[i].p)
			continue;
		cells[i].p = arena_copy(arena, row->cells[i].p, row->cells[i].n);
		*bytes += cells[i].n;
		if (!cells[i].p)
			return ERR_TOO_LARGE;
	}
	if (!cells)
		return ERR_TOO_LARGE;
	sample->rows[sample->count] = *row;
	sample->rows[sample->count++].cells = cells;
	return OK;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct xlsx_row *)a)->number, y = ((const struct xlsx_row *)b)->number;
	return x < y ? -1 : x > y;
}

static bool is_sorted(const struct xlsx_sample *sample)
{
	for (size_t i = 1; i < sample->count; i++) {
		if (sample->rows[i].number <= sample->rows[i - 1].number)
			return false;
	}
	return true;
}

enum err xlsx_sample_take(struct xlsx_sample *sample, struct xlsx_sheet *sheet, struct arena *arena)
{
	struct xlsx_row row;
	enum xlsx_step step = XLSX_ROW;
	size_t bytes = 0;
	*sample = (struct xlsx_sample){.rows = arena_array(arena, XLSX_SAMPLE_ROWS, sizeof(sample->rows[0]))};
	enum err err = sample->rows ? OK : ERR_TOO_LARGE;
	while (!err && sample->count < XLSX_SAMPLE_ROWS && bytes < XLSX_SAMPLE_BYTES && (step = xlsx_sheet_next(sheet, &row)) == XLSX_ROW)
		err = keep_row(sample, arena, &row, &bytes);
	if (err || step == XLSX_FAILED)
		return err ? err : sheet->error;
	sample->whole = step == XLSX_END;
	sample->bytes = xml_position(&sheet->book->xml);
	if (sample->whole && !is_sorted(sample))
		qsort(sample->rows, sample->count, sizeof(sample->rows[0]), by_number);
	return is_sorted(sample) ? OK : refuse(sheet->book->refusal, "rows_out_of_order");
}

/* ---- as header.c sees it ---- */

static enum err open_rows(void *context)
{
	((struct xlsx_sample *)context)->at = 0;
	return OK;
}

static bool next_row(void *context, struct header_row *ret)
{
	struct xlsx_sample *sample = context;
	if (sample->at == sample->count)
		return false;
	const struct xlsx_row *row = &sample->rows[sample->at++];
	*ret = (struct header_row){.number = row->number, .cells = row->cells, .cell_count = row->cell_count};
	return true;
}

enum err xlsx_sample_header(struct xlsx_sample *sample, struct arena *scratch, int64_t wished_row, struct header *ret)
{
	struct header_sample rows = {.open = open_rows, .next = next_row, .context = sample, .scratch = scratch, .grid = true};
	return header_detect(&rows, wished_row, ret);
}
