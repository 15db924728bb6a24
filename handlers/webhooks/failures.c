/* Sentences for why a delivery failed or an endpoint is disabled. Called when one is shown. Must never show anything but the table. */
#include "handlers/webhooks/failures.h"

#include "core/base/sentence.h"

static const struct sentence failures[] = {
#define FAILURE(code, english, french) {code, {english, french}},
#include "handlers/webhooks/failures.def"
#undef FAILURE
};

const char *webhook_failure_sentence(const char *code, enum language language)
{
	return sentence_text(failures, sizeof(failures) / sizeof(failures[0]), code, language);
}
