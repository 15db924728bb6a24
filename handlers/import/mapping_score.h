/* Private to the mapping: the score of one heading against one alias, both as keys (normalise_key). */
#ifndef TIDEGATE_HANDLERS_IMPORT_MAPPING_SCORE_H
#define TIDEGATE_HANDLERS_IMPORT_MAPPING_SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPPING_KEY_MAX 64 /* longer headings are compared by their first 64 letters */
#define MAPPING_WORDS_MAX 12

struct mapping_key {
	char text[MAPPING_KEY_MAX];
	size_t n;
	uint64_t letters; /* bit per character that occurs */
	struct {
		unsigned char at, n;
	} words[MAPPING_WORDS_MAX]; /* without articles and the like */
	size_t word_count;
};

/* Fills letters and words from text and n. */
void mapping_key_finish(struct mapping_key *key);

/* The key without its known prefixes, suffixes and number; false when there is nothing to take off. */
bool mapping_key_strip(const struct mapping_key *key, struct mapping_key *ret);

bool mapping_key_equal(const struct mapping_key *a, const struct mapping_key *b);

/* Everything below the exact and the stripped match (see mapping.h): 0.92 at most; 0 when it would be under IMPORT_SCORE_MIN. */
double mapping_score(const struct mapping_key *heading, const struct mapping_key *alias);

#endif
