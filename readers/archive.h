/*
 * The zip container of a workbook. Its central directory alone says what is inside; libzip reads it, we decide what is
 * acceptable. The parts themselves are unpacked by part.h.
 *
 * Names are compared as OPC (ISO/IEC 29500-2) wants it: ASCII case does not count; backslashes are slashes, and a leading
 * slash is dropped. A name that two entries share is refused when it is asked for: programs disagree on which one is meant.
 * Bytes before the archive are skipped, whether its offsets count them or not.
 */
#ifndef TIDEGATE_READERS_ARCHIVE_H
#define TIDEGATE_READERS_ARCHIVE_H

#include "core/base/err.h"
#include "core/base/text.h"
#include "readers/refusal.h"

#include <stdint.h>

struct archive_limits {
	int64_t entries;
	int64_t part_bytes;  /* one part unpacks to at most so much */
	int64_t total_bytes; /* all parts that are read, together */
	int64_t ratio;       /* unpacked : packed, of a part that unpacks to more than ARCHIVE_RATIO_GRACE */
};

#define ARCHIVE_RATIO_GRACE (64ll << 20)
#define ARCHIVE_ENTRIES_MAX 10000
#define ARCHIVE_PART_MAX (4ll << 30)
#define ARCHIVE_TOTAL_MAX (8ll << 30)
#define ARCHIVE_RATIO_MAX 250
#define ARCHIVE_LIMITS_DEFAULT ((struct archive_limits){ARCHIVE_ENTRIES_MAX, ARCHIVE_PART_MAX, ARCHIVE_TOTAL_MAX, ARCHIVE_RATIO_MAX})

struct archive {
	struct zip *zip;
	int fd;
	int64_t size;     /* of the file */
	int64_t start;    /* the archive begins here in the file */
	int64_t position; /* of libzip, from start */
	struct archive_limits limits;
	struct refusal *refusal;
	int64_t produced; /* bytes unpacked so far, of all parts */
};

/* fd: a regular file, read with pread, stays the caller's. Refuses with not_a_workbook, zip_damaged, zip_too_many_entries, read_error. */
enum err archive_open(struct archive *archive, int fd, int64_t size, const struct archive_limits *limits, struct refusal *refusal) MUST_USE;
void archive_close(struct archive *archive);

/* Number of the entry, -1 when there is none. Refuses with zip_duplicate_entry. */
enum err archive_find(struct archive *archive, struct str name, int64_t *ret) MUST_USE;

#endif
