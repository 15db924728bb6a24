/*
 * Which column of a sheet feeds which field: every heading is scored against the aliases of every field, then the best
 * pairs are taken first, one column per field and one field per column.
 *
 *     1.0          the heading is an alias
 *     0.95         it is one without a known prefix, suffix or number (lead_email, email_2)
 *     0.92         an alias stands in it as whole words
 *     0.85 + 0.1r  an alias of 5 letters or more is a part of it; r = length of the alias / length of the heading
 *     0.8 + 0.1r   more than half of the words agree; r = share of the words
 *     1 - d/n      otherwise: Levenshtein distance over the longer length
 *
 * Scores under IMPORT_SCORE_MIN count for nothing. Between equal scores the field's own name or label wins (exact and
 * stripped matches) or the longer alias (the others), then the column further left. An alias written "=date" counts only
 * for the first two rules: "Date de naissance" is no creation date.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_MAPPING_H
#define TIDEGATE_HANDLERS_IMPORT_MAPPING_H

#include "core/base/arena.h"
#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "core/schema/schema.h"

#define IMPORT_HEADINGS_MAX 4096
#define IMPORT_SCORE_MIN 0.7
#define IMPORT_ALTERNATIVES_MAX 3

struct import_candidate {
	int field;
	double confidence;
};

struct import_match {
	int field; /* index, or -1 */
	double confidence; /* 0 without a field */
	struct import_candidate alternatives[IMPORT_ALTERNATIVES_MAX]; /* best first, the chosen one included */
	size_t alternative_count;
};

/* Fills ret[0..n-1]. Working memory comes from the arena. ERR_TOO_LARGE past IMPORT_HEADINGS_MAX or when it is exhausted. */
enum err import_map(struct arena *arena, const struct schema_table *target, const struct str *headings, size_t n, struct import_match *ret) MUST_USE;

/* SHA-256 (hex) over the normalised headings in order: the key under which a mapping is remembered. */
enum err import_fingerprint(const struct str *headings, size_t n, char out[SHA256_HEX_SIZE]) MUST_USE;

#endif
