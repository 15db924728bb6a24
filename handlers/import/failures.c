/* Sentences for why an import failed. Called when an import is shown. Must never show anything but the table. */
#include "handlers/import/failures.h"

#include "core/base/sentence.h"

static const struct sentence failures[] = {
#define FAILURE(code, english, french) {code, {english, french}},
#include "handlers/import/failures.def"
#undef FAILURE
};

const char *import_failure_sentence(const char *code, enum language language)
{
	return sentence_text(failures, sizeof(failures) / sizeof(failures[0]), code, language);
}
