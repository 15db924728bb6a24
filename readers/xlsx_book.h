/*
 * What a workbook consists of, found by relationships and never by usual names (ECMA-376 part 2, clause 9): the package's
 * relationships name the workbook, the workbook's own relationships name its sheets, styles and strings. Namespaces are
 * told by the last word of the relationship's type, so that Transitional and Strict files are the same.
 */
#ifndef TIDEGATE_READERS_XLSX_BOOK_H
#define TIDEGATE_READERS_XLSX_BOOK_H

#include "core/base/arena.h"
#include "readers/archive.h"
#include "readers/part.h"
#include "readers/xml.h"

#include <stdbool.h>

#define XLSX_SHEETS_MAX 1000u
#define XLSX_SHEET_NAME_MAX 255u /* bytes; Excel's own limit is 31 characters */
#define XLSX_SMALL_PART (64ll << 20) /* parts other than sheets and strings unpack to at most so much */

struct xlsx_sheet_entry {
	struct str name;
	bool hidden; /* also very hidden */
	int64_t part; /* entry of the archive */
};

struct xlsx_book {
	struct arena *arena;
	struct archive *archive;
	struct refusal *refusal;
	struct part part; /* the one that is open: parts are read one after the other */
	struct xml xml;
	bool is_1904;
	int64_t styles, strings; /* entries of the archive, -1: there is none */
	size_t sheet_count;      /* of worksheets; charts and macros are no sheets here */
	struct xlsx_sheet_entry *sheets;
};

/*
 * Everything but cells. The arena, of 2 MiB at least, lives as long as the book. Refuses as part.h and xml.h do, and with
 * not_a_workbook, looks_like_ods, looks_like_xlsb, part_missing, no_worksheet.
 */
enum err xlsx_book_open(struct xlsx_book *book, struct archive *archive, struct arena *arena, struct refusal *refusal) MUST_USE;
void xlsx_book_close(struct xlsx_book *book);

/* Starts book->xml on a part that unpacks to at most cap bytes. */
enum err xlsx_book_part(struct xlsx_book *book, int64_t entry, int64_t cap) MUST_USE;

/* The target of a relationship as a name in the archive: relative to the folder of its source ("" or "xl"), or absolute. Not for
   one that climbs out of the archive, which ends at its root. NULL: the arena is exhausted. */
const char *xlsx_resolve(struct arena *arena, struct str folder, struct str target);

#endif
