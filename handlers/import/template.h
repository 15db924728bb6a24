/*
 * Empty files of a target to be filled in: the labels of its fields as headings and no row, so that nothing can be imported
 * by accident. Filled in, every column maps by itself: a field is called by its labels (mapping.h).
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_TEMPLATE_H
#define TIDEGATE_HANDLERS_IMPORT_TEMPLATE_H

#include "core/base/buf.h"
#include "core/schema/schema.h"

/* As spreadsheets of that language open it by a double click: UTF-8 with its mark; semicolons in French, commas in English. */
enum err import_template_csv(const struct schema_table *target, enum schema_language language, struct buf *out) MUST_USE;

/*
 * A workbook of one sheet: bold headings that stay in sight, widths that fit, texts as texts (leading zeros survive), and
 * a list to choose from where a field has one of at most 255 characters. ERR_IO when it cannot be made.
 */
enum err import_template_xlsx(const struct schema_table *target, enum schema_language language, struct buf *out) MUST_USE;

#endif
