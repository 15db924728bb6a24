/* Reasons, classes and warnings of SQLite imports: each has a sentence in both languages, and stands in docs/sqlite-imports.md. */
#include "handlers/sqlite/failures.h"
#include "tests/unit/tap.h"

#include <string.h>

static char guide[1 << 20];

static void check(const char *code, const char *english, const char *french)
{
	char cell[80];
	(void)snprintf(cell, sizeof(cell), "| `%s` |", code);
	ok(*english && *french && strcmp(english, french) != 0, "%s has a sentence in each language", code);
	ok(strstr(guide, cell) && strstr(guide, english) && strstr(guide, french), "%s stands in docs/sqlite-imports.md as it is said", code);
}

int main(void)
{
	FILE *file = fopen("docs/sqlite-imports.md", "r");
	size_t n = file ? fread(guide, 1, sizeof(guide) - 1, file) : 0;
	ok(n > 0, "docs/sqlite-imports.md can be read");
	if (file)
		(void)fclose(file);
#define FAILURE(reason, class, english, french) \
	check(reason, english, french);         \
	ok(sqlite_class_known(class) && strcmp(sqlite_failure_class(reason), class) == 0, "%s is %s", reason, class);
#include "handlers/sqlite/failures.def"
#undef FAILURE
#define WARNING(code, english, french) check(code, english, french);
#include "handlers/sqlite/warnings.def"
#undef WARNING
	ok(strcmp(sqlite_failure_class("sqlite_truncated"), "INVALID_SQLITE") == 0, "what the reader says is INVALID_SQLITE");
	ok(strcmp(sqlite_failure_class("bug"), "PARSE_FAILED") == 0, "anything else is PARSE_FAILED");
	ok(!sqlite_class_known("NONSENSE") && !sqlite_class_known(NULL), "other classes are not known");
	return tap_done();
}
