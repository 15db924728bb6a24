/*
 * The shared strings of a workbook: the part is read once, whole, into a string store. What count and uniqueCount say does
 * not matter; an empty <si/> counts; rich runs are one text; phonetic runs are skipped.
 */
#ifndef TIDEGATE_READERS_XLSX_STRINGS_H
#define TIDEGATE_READERS_XLSX_STRINGS_H

#include "readers/string_store.h"
#include "readers/xlsx_book.h"

/* Reads the part, if there is one, into an empty store; texts are cut a little past max bytes, so that the cell can say so. */
enum err xlsx_strings_read(struct xlsx_book *book, struct string_store *store, size_t max) MUST_USE;

/* Text of a <t> as it counts: blanks at its ends only with xml:space="preserve". Of the event XML_START of the element. */
bool xlsx_keeps_space(const struct xml *xml);

/* In place, of a whole string: blanks trimmed unless kept, escapes; SIZE_MAX: it is no UTF-8. */
size_t xlsx_finish_text(char *text, size_t n);

#endif
