/* Sentences for why a row was not taken. Called when an answer is written. Must never show anything but the table. */
#include "handlers/sync/rejections.h"

#include "core/base/text.h"

static const struct {
	const char *code;
	const char *sentence[2];
} rejections[] = {
	{"", {"", ""}},
#define REJECTION(id, code, en, fr) {code, {en, fr}},
#include "handlers/sync/rejections.def"
#undef REJECTION
};

const char *rejection_code(enum rejection rejection)
{
	return rejections[rejection].code;
}

const char *rejection_sentence(const char *code, enum language language)
{
	for (size_t i = 0; i < sizeof(rejections) / sizeof(rejections[0]); i++)
		if (text_equal(rejections[i].code, code))
			return rejections[i].sentence[language];
	return "";
}
