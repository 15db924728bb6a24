/*
 * Which row of a sample is the header, and how many columns a row should have: one mechanism for every format. The format
 * hands over its sample as rows that can be read again from the beginning.
 */
#ifndef TIDEGATE_READERS_HEADER_H
#define TIDEGATE_READERS_HEADER_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEADER_AUTO (-1)

struct header_row {
	uint64_t number; /* 1-based, rising */
	const struct str *cells;
	uint32_t cell_count; /* at most FRAME_CELLS_MAX */
	bool empty;
	bool cut; /* the sample ends inside this row */
};

struct header_sample {
	enum err (*open)(void *context); /* to the beginning; may reset scratch */
	bool (*next)(void *context, struct header_row *row);
	void *context;
	struct arena *scratch; /* used after open, void at the next one; 64 KiB do */
	bool grid;             /* rows end at their last filled cell, so the widest row of data tells the number of columns, not the usual one */
};

struct header {
	uint64_t row;       /* row number, 0 without header; titles and empty lines before it are no data */
	size_t columns;     /* cells a row should have */
	uint64_t records;   /* in the sample */
	uint64_t data_rows; /* of these, after the header and not empty */
};

/* wished_row: HEADER_AUTO, 0 for none, else the row number. Passes on the errors of open, and ERR_TOO_LARGE for a full scratch. */
enum err header_detect(const struct header_sample *sample, int64_t wished_row, struct header *ret) MUST_USE;

#endif
