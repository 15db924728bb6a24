/* Why an SQLite file cannot be read. See sqlite_failures.h. Must never show anything but the table. */
#include "readers/sqlite_failures.h"

#include "core/base/text.h"

static const struct sqlite_failure failures[] = {
#define FAILURE(code, english, french) {code, english, french},
#include "readers/sqlite_failures.def"
#undef FAILURE
};

const struct sqlite_failure *sqlite_failure_find(const char *code)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		if (text_equal(failures[i].code, code))
			return &failures[i];
	}
	return NULL;
}
