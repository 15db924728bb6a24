/*
 * Identifiers and literals of generated SQL.
 * Called by ddl.c and statements.c for every name and text that comes from a declaration.
 * Never used for values that come from a request: those are parameters.
 */
#include "core/schema/quote.h"

#include <string.h>

void quote_identifier(struct buf *out, const char *name)
{
	buf_append_char(out, '"');
	for (; *name; name++) {
		if (*name == '"')
			buf_append_char(out, '"');
		buf_append_char(out, *name);
	}
	buf_append_char(out, '"');
}

void quote_literal(struct buf *out, const char *text)
{
	if (strchr(text, '\\'))
		buf_append_char(out, 'E');
	buf_append_char(out, '\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_append_char(out, *text);
		buf_append_char(out, *text);
	}
	buf_append_char(out, '\'');
}

void quote_table(struct buf *out, const char *schema, const char *table)
{
	quote_identifier(out, schema);
	buf_append_char(out, '.');
	quote_identifier(out, table);
}
