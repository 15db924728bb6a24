/*
 * The table of row codes.
 * Called by the row check, the rows API and the error report.
 * Never renames a code: stored rows and clients hold them.
 */
#include "handlers/import/check_codes.h"

static const struct {
	const char *name;
	enum row_severity severity;
	const char *english, *french;
} codes[ROW_CODE_COUNT] = {
	[ROW_FINE] = {"", ROW_SEVERITY_WARNING, "", ""},
#define X(id, code, severity, english, french) [ROW_##id] = {code, ROW_SEVERITY_##severity, english, french},
#include "handlers/import/row_codes.def"
#undef X
};

static size_t row_of(enum row_code code)
{
	return (size_t)code < ROW_CODE_COUNT ? (size_t)code : ROW_FINE;
}

const char *row_code_name(enum row_code code)
{
	return codes[row_of(code)].name;
}

enum row_severity row_code_severity(enum row_code code)
{
	return codes[row_of(code)].severity;
}

const char *row_code_sentence(enum row_code code, enum schema_language language)
{
	return language == SCHEMA_ENGLISH ? codes[row_of(code)].english : codes[row_of(code)].french;
}

enum row_code row_code_of(const char *name)
{
	for (size_t i = 1; i < ROW_CODE_COUNT; i++)
		if (text_equal(codes[i].name, name))
			return (enum row_code)i;
	return ROW_FINE;
}
