/* What a cell looks like, as far as finding the delimiter and the header needs it. Not a validation. */
#ifndef TIDEGATE_READERS_CELL_TYPES_H
#define TIDEGATE_READERS_CELL_TYPES_H

#include "core/base/text.h"

enum cell_type {
	CELL_EMPTY,
	CELL_NUMBER, /* sign, digits with blanks or dots between groups, decimal point or comma, % € $ £ */
	CELL_DATE,   /* digits joined by - / . with a time or without */
	CELL_PHONE,  /* +, blanks, dots, dashes; 8 to 15 digits, starting with 0, + or ( */
	CELL_EMAIL,
	CELL_URL,
	CELL_TEXT,
	CELL_ODD, /* text that holds what separates cells elsewhere: ; | tab, a quote, a comma not followed by a blank */
	CELL_TYPE_COUNT
};

enum cell_type cell_type_of(struct str cell);

#endif
