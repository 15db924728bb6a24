/* Quoting for generated SQL. The one place where text becomes an identifier or a literal. */
#ifndef TIDEGATE_CORE_SCHEMA_QUOTE_H
#define TIDEGATE_CORE_SCHEMA_QUOTE_H

#include "core/base/buf.h"

/* "name", inner quotes doubled. */
void quote_identifier(struct buf *out, const char *name);

/* 'text', inner quotes doubled; the form with escapes (E'…') where there is a backslash, whatever standard_conforming_strings says. */
void quote_literal(struct buf *out, const char *text);

/* "schema"."table" */
void quote_table(struct buf *out, const char *schema, const char *table);

#endif
