/* Styles of a workbook, as far as they change what a number means: one kind per cell style. */
#ifndef TIDEGATE_READERS_XLSX_STYLES_H
#define TIDEGATE_READERS_XLSX_STYLES_H

#include "readers/xlsx_book.h"
#include "readers/xlsx_value.h"

#define XLSX_STYLES_MAX 65536u /* Excel's own limit is 65 490 */

struct xlsx_styles {
	uint32_t count;
	uint8_t *kinds; /* enum xlsx_kind, by the number in a cell's s= */
};

/* Reads the styles part, if there is one. About 400 KiB of the book's arena. Styles past XLSX_STYLES_MAX are plain numbers. */
enum err xlsx_styles_read(struct xlsx_book *book, struct xlsx_styles *ret) MUST_USE;

/* style: the number as it stands in the file, or p == NULL. */
enum xlsx_kind xlsx_style_kind(const struct xlsx_styles *styles, struct str style);

#endif
