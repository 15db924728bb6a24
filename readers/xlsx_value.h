/*
 * What stands in the cells of a workbook, as text: references, numbers, dates, escapes. Nothing here depends on where the
 * text came from; all of it is tested from tables.
 */
#ifndef TIDEGATE_READERS_XLSX_VALUE_H
#define TIDEGATE_READERS_XLSX_VALUE_H

#include "core/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XLSX_ROWS_MAX 1048576u
#define XLSX_COLUMNS_MAX 16384u

/* What a number format makes of a number. */
enum xlsx_kind { XLSX_NUMBER, XLSX_DATE, XLSX_TIME, XLSX_DATE_TIME, XLSX_DURATION };

/* By the code of a custom format: letters d m y h s of its first section, outside quotes, escapes and brackets. */
enum xlsx_kind xlsx_kind_of_format(struct str code);

/* By the number of a built-in format (ECMA-376 part 1, 18.8.30; 27 to 36 and 50 to 58 are the dates of East Asian Excels). */
enum xlsx_kind xlsx_kind_of_builtin(uint32_t number);

/* "AB12", "$AB$12", "ab12": column and row from 1; a row of 0: only the column was given. False: this is no reference. */
bool xlsx_reference(struct str text, uint32_t *ret_column, uint32_t *ret_row);

#define XLSX_VALUE_MAX 400u /* bytes that a number or date takes at most */

/*
 * A number as the shortest decimal text that means the same double; no exponent for whole numbers, nor above 1e-10. Digits of
 * whole numbers stay as they are written, however many. Returns the length in to (XLSX_VALUE_MAX bytes), 0: not a number.
 */
size_t xlsx_number(struct str text, char *to);

enum xlsx_date_finding { XLSX_DATE_FINE, XLSX_DATE_FICTITIOUS /* 29 February 1900 */, XLSX_DATE_IMPOSSIBLE };

/*
 * A serial number as ISO 8601 text, rounded to seconds: 2024-03-05, 2024-03-05T14:30:00, 14:30:00 (also for a date below 1),
 * durations as 26:30:00. A date with a part of a day is given with its time, whatever the format shows of it.
 * Returns the length in to; 0 for what is no number or lies outside 1900 to 9999 (XLSX_DATE_IMPOSSIBLE).
 */
size_t xlsx_date(struct str text, enum xlsx_kind kind, bool is_1904, char *to, enum xlsx_date_finding *ret_finding);

/* _x000D_ and the like become what they stand for, _x005F_ an underscore; NUL is dropped, lone surrogates become U+FFFD.
   In place; returns the new length, never more. */
size_t xlsx_unescape(char *text, size_t n);

#endif
