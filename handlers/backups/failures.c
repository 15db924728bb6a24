/* Sentences for why a backup or a restore failed. Called when one is shown. Must never show anything but the table. */
#include "handlers/backups/failures.h"

#include "core/base/sentence.h"

static const struct sentence failures[] = {
#define FAILURE(code, english, french) {code, {english, french}},
#include "handlers/backups/failures.def"
#undef FAILURE
};

const char *backup_failure_sentence(const char *code, enum language language)
{
	return sentence_text(failures, sizeof(failures) / sizeof(failures[0]), code, language);
}
