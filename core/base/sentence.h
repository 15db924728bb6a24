/*
 * Tables of sentences for people: one for each code, in English and French. A capability writes its own as a .def file; this
 * finds them.
 */
#ifndef TIDEGATE_CORE_BASE_SENTENCE_H
#define TIDEGATE_CORE_BASE_SENTENCE_H

#include <stddef.h>

struct sentence {
	const char *code;
	const char *text[2]; /* English, French: the order of enum language */
};

/* NULL for a code that is not in the table, and for NULL. */
const struct sentence *sentence_find(const struct sentence *table, size_t count, const char *code);

/* Never NULL: a code that is not in the table gets its last sentence. language: 0 or 1. */
const char *sentence_text(const struct sentence *table, size_t count, const char *code, unsigned language);

#endif
