/* Why an SQLite file cannot be read. See sqlite_failures.h. Must never show anything but the table. */
#include "readers/sqlite_failures.h"

static const struct sentence failures[] = {
#define FAILURE(code, english, french) {code, {english, french}},
#include "readers/sqlite_failures.def"
#undef FAILURE
};

const struct sentence *sqlite_failure_find(const char *code)
{
	return sentence_find(failures, sizeof(failures) / sizeof(failures[0]), code);
}
