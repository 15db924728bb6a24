/* Finds sentences by code. Called where refusals and failures are shown. Must never show anything but a table. */
#include "core/base/sentence.h"

#include "core/base/text.h"

const struct sentence *sentence_find(const struct sentence *table, size_t count, const char *code)
{
	for (size_t i = 0; code && i < count; i++)
		if (text_equal(table[i].code, code))
			return &table[i];
	return NULL;
}

const char *sentence_text(const struct sentence *table, size_t count, const char *code, unsigned language)
{
	const struct sentence *found = sentence_find(table, count, code);
	return (found ? found : &table[count - 1])->text[language];
}
