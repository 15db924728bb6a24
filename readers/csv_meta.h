/*
 * What a CSV file is, as the JSON of its META frame:
 * {"format":"csv","encoding","bom","delimiter","quote","backslash","sepLine","hasHeader","headerRow","columns","header":[…],
 *  "sample":[{"row":2,"cells":[…]},… at most 20],"estimatedRows","exact","fileSize"}
 * Texts are cut to 500 bytes, less where the frame would not hold them; `exact` says that estimatedRows is a count.
 */
#ifndef TIDEGATE_READERS_CSV_META_H
#define TIDEGATE_READERS_CSV_META_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "readers/csv_detect.h"
#include "readers/encoding.h"

#define CSV_META_ROWS 20u

struct csv_source {
	enum encoding encoding;
	bool is_utf16;
	size_t bom;
	struct str text; /* the sample without byte order mark; UTF-16 already as UTF-8 */
	size_t sampled;  /* bytes of the file it was */
	bool whole;      /* the sample is all of the file */
	uint64_t file_size;
	struct csv_layout layout;
};

/* ERR_TOO_LARGE when memory is out. scratch is reset. */
enum err csv_meta(struct arena *scratch, const struct csv_source *source, struct buf *json) MUST_USE;

#endif
