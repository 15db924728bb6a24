/* Sentences for why a delivery failed or an endpoint is disabled. Called when one is shown. Must never show anything but the table. */
#include "handlers/webhooks/failures.h"

#include "core/base/text.h"

static const struct {
	const char *code, *sentence[2];
} failures[] = {
#define FAILURE(code, english, french) {code, {english, french}},
#include "handlers/webhooks/failures.def"
#undef FAILURE
};

enum { FAILURES = sizeof(failures) / sizeof(failures[0]) };

const char *webhook_failure_sentence(const char *code, enum language language)
{
	for (size_t i = 0; i < FAILURES; i++)
		if (text_equal(failures[i].code, code))
			return failures[i].sentence[language];
	return failures[FAILURES - 1].sentence[language];
}
