/* Why an import of an SQLite database failed, and what it warned of. Called when one is shown. Must never show anything but the tables. */
#include "handlers/sqlite/failures.h"

#include "core/base/sentence.h"
#include "core/base/text.h"
#include "readers/sqlite_failures.h"

static const struct sentence failures[] = {
#define FAILURE(reason, class, english, french) {reason, {english, french}},
#include "handlers/sqlite/failures.def"
#undef FAILURE
};

static const char *const classes[] = {
#define FAILURE(reason, class, english, french) class,
#include "handlers/sqlite/failures.def"
#undef FAILURE
};

static const struct sentence warnings[] = {
#define WARNING(code, english, french) {code, {english, french}},
#include "handlers/sqlite/warnings.def"
#undef WARNING
};

enum { FAILURES = sizeof(failures) / sizeof(failures[0]), WARNINGS = sizeof(warnings) / sizeof(warnings[0]) };

const char *sqlite_failure_sentence(const char *reason, enum language language)
{
	const struct sentence *of_reader = sqlite_failure_find(reason);
	return of_reader ? of_reader->text[language] : sentence_text(failures, FAILURES, reason, language);
}

const char *sqlite_warning_sentence(const char *code, enum language language)
{
	return sentence_text(warnings, WARNINGS, code, language);
}

const char *sqlite_failure_class(const char *reason)
{
	if (sqlite_failure_find(reason))
		return "INVALID_SQLITE";
	const struct sentence *found = sentence_find(failures, FAILURES, reason);
	return classes[found ? found - failures : FAILURES - 1];
}

bool sqlite_class_known(const char *class)
{
	for (size_t i = 0; i < FAILURES; i++)
		if (text_equal(classes[i], class))
			return true;
	return text_equal(class, "INVALID_SQLITE");
}
