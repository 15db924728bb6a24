/*
 * Short cuts for what sheets and strings consist of almost entirely, as Excel writes it to the byte:
 *   <c r="B7" s="1" t="s"><v>12</v></c>     <c r="B7" s="1"/>     <si><t>text</t></si>
 * A short cut looks at the scanner's window alone. It takes one whole such element, just as the scanner's events would have
 * told it, or it takes nothing and the events tell: prefixes, entities, formulas, blanks, the end of the window, mistakes.
 */
#ifndef TIDEGATE_READERS_XLSX_QUICK_H
#define TIDEGATE_READERS_XLSX_QUICK_H

#include "readers/xml.h"

struct xlsx_quick_cell {
	uint32_t column; /* from 1; 0: it has no reference */
	struct str style; /* p == NULL: it has none */
	char type;        /* first letter of t=: s, b, e, n; 'f' for str, the text of a formula; n without t= */
	struct str value; /* empty: it has none; nothing in it to decode; valid until the scanner goes on */
};

/* Between the children of an element. False: nothing was taken. */
bool xlsx_quick_cell(struct xml *xml, struct xlsx_quick_cell *ret);

/* text: not decoded yet, kept with its blanks only if keeps_space. */
bool xlsx_quick_string(struct xml *xml, struct str *ret_text, bool *ret_keeps_space);

#endif
