/*
 * The first rows of a sheet, kept in memory: for the header, for META, and for a small sheet all there is. Rows of a sheet
 * that is whole in the sample are brought into order; in a larger one they must be in order already.
 */
#ifndef TIDEGATE_READERS_XLSX_SAMPLE_H
#define TIDEGATE_READERS_XLSX_SAMPLE_H

#include "readers/header.h"
#include "readers/xlsx_sheet.h"

#define XLSX_SAMPLE_ROWS 2000u
#define XLSX_SAMPLE_BYTES (4u << 20) /* of cells and their text */

struct xlsx_sample {
	struct xlsx_row *rows; /* numbers rise strictly */
	size_t count;
	bool whole;     /* there are no more */
	uint64_t bytes; /* of the part, that these rows took */
	size_t at;      /* of header_detect */
};

/* Reads from a sheet that was just opened. The arena takes at most 8 MiB. Refuses as the sheet does, and with rows_out_of_order. */
enum err xlsx_sample_take(struct xlsx_sample *sample, struct xlsx_sheet *sheet, struct arena *arena) MUST_USE;

/* Header and columns of the sample. */
enum err xlsx_sample_header(struct xlsx_sample *sample, struct arena *scratch, int64_t wished_row, struct header *ret) MUST_USE;

#endif
