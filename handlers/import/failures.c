/* Sentences for why an import failed. Called when an import is shown. Must never show anything but the table. */
#include "handlers/import/failures.h"

#include "core/base/text.h"

static const struct {
	const char *code, *sentence[2];
} failures[] = {
#define FAILURE(code, english, french) {code, {english, french}},
#include "handlers/import/failures.def"
#undef FAILURE
};

enum { FAILURES = sizeof(failures) / sizeof(failures[0]) };

const char *import_failure_sentence(const char *code, enum language language)
{
	for (size_t i = 0; i < FAILURES; i++)
		if (text_equal(failures[i].code, code))
			return failures[i].sentence[language];
	return failures[FAILURES - 1].sentence[language];
}
