/*
 * What a workbook is, as the JSON of its META frame; the members that CSV files have too mean the same (csv_meta.h):
 * {"format":"xlsx","date1904","sheets":[{"name","hidden"}, …],"sheet","hasHeader","headerRow","columns","header":[…],
 *  "sample":[{"row":2,"cells":[…]},… at most 20],"estimatedRows","exact","fileSize"}
 * A cell that is not there is "". Texts are cut to 500 bytes, less where the frame would not hold them.
 */
#ifndef TIDEGATE_READERS_XLSX_META_H
#define TIDEGATE_READERS_XLSX_META_H

#include "core/base/buf.h"
#include "readers/xlsx_sample.h"

#define XLSX_META_ROWS 20u

struct xlsx_source {
	const struct xlsx_book *book;
	const struct xlsx_sheet_entry *sheet;
	const struct xlsx_sample *sample;
	struct header header;
	int64_t sheet_bytes; /* of the part, as the archive says */
	int64_t file_size;
};

/* ERR_TOO_LARGE when it does not fit however short the texts are. */
enum err xlsx_meta(const struct xlsx_source *source, struct buf *json) MUST_USE;

#endif
