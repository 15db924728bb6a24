/* Row codes: what can be said of a row or cell, with its severity and a sentence in both languages. List: row_codes.def. */
#ifndef TIDEGATE_HANDLERS_IMPORT_CHECK_CODES_H
#define TIDEGATE_HANDLERS_IMPORT_CHECK_CODES_H

#include "core/schema/schema.h"

enum row_severity { ROW_SEVERITY_WARNING, ROW_SEVERITY_ERROR };

enum row_code {
	ROW_FINE, /* nothing to say */
#define X(id, code, severity, english, french) ROW_##id,
#include "handlers/import/row_codes.def"
#undef X
	ROW_CODE_COUNT
};

/* Stable name, "" for ROW_FINE and values out of range. */
const char *row_code_name(enum row_code code);
enum row_severity row_code_severity(enum row_code code);
const char *row_code_sentence(enum row_code code, enum schema_language language);

/* ROW_FINE when no code has that name. */
enum row_code row_code_of(const char *name);

#endif
