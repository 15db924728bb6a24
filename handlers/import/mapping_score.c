/*
 * Similarity of a heading and an alias.
 * Called by mapping.c for every pair that a table look-up has not already settled.
 * Never runs the quadratic distance before two cheap bounds (lengths, letters in common) allow a useful result: a sheet
 * of 4096 columns meets some 600 aliases.
 */
#include "handlers/import/mapping_score.h"

#include "core/base/text.h"
#include "handlers/import/mapping.h"

#include <string.h>

#define SUBSTRING_MIN 5

static const char *const prefixes[] = {"lead_", "contact_", "client_", "customer_", "prospect_", "user_", "your_", "votre_", "vos_",
				       "billing_", "mailing_", "shipping_", "primary_", "fb_", "champ_", "field_"};
static const char *const suffixes[] = {"_fb", "_lead", "_contact", "_client", "_prospect", "_principal", "_principale", "_primary",
				       "_main", "_pro", "_perso", "_du_contact", "_du_client", "_du_prospect", "_du_lead", "_obligatoire",
				       "_required", "_value", "_field"};
static const char *const small_words[] = {"de", "du", "des", "la", "le", "les", "l", "d", "a", "et", "of", "the", "and", "to", "by", "in", "en", "un", "une"};

static bool is_small(const char *word, size_t n)
{
	for (size_t i = 0; i < sizeof(small_words) / sizeof(small_words[0]); i++)
		if (str_equal_text((struct str){word, n}, small_words[i]))
			return true;
	return false;
}

static unsigned letter_bit(char c)
{
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a');
	if (c >= '0' && c <= '9')
		return 26 + (unsigned)(c - '0');
	return 36;
}

void mapping_key_finish(struct mapping_key *key)
{
	size_t start = 0;

	key->letters = 0;
	key->word_count = 0;
	for (size_t i = 0; i <= key->n; i++) {
		if (i < key->n)
			key->letters |= (uint64_t)1 << letter_bit(key->text[i]);
		if (i < key->n && key->text[i] != '_')
			continue;
		if (i > start && key->word_count < MAPPING_WORDS_MAX && !is_small(key->text + start, i - start)) {
			key->words[key->word_count].at = (unsigned char)start;
			key->words[key->word_count++].n = (unsigned char)(i - start);
		}
		start = i + 1;
	}
}

bool mapping_key_equal(const struct mapping_key *a, const struct mapping_key *b)
{
	return a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}

static bool cut_prefix(struct str *s)
{
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t n = strlen(prefixes[i]);
		if (s->n > n && memcmp(s->p, prefixes[i], n) == 0) {
			*s = (struct str){s->p + n, s->n - n};
			return true;
		}
	}
	return false;
}

static bool cut_suffix(struct str *s)
{
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t n = strlen(suffixes[i]);
		if (s->n > n && memcmp(s->p + s->n - n, suffixes[i], n) == 0) {
			s->n -= n;
			return true;
		}
	}
	return false;
}

static bool cut_number(struct str *s)
{
	size_t n = s->n;

	while (n && s->p[n - 1] >= '0' && s->p[n - 1] <= '9')
		n--;
	if (n == s->n)
		return false;
	while (n && s->p[n - 1] == '_')
		n--;
	if (n == 0)
		return false;
	s->n = n;
	return true;
}

bool mapping_key_strip(const struct mapping_key *key, struct mapping_key *ret)
{
	struct str s = {key->text, key->n};
	bool cut = cut_number(&s);

	cut |= cut_suffix(&s);
	cut |= cut_prefix(&s);
	cut |= cut_number(&s);
	if (!cut)
		return false;
	memcpy(ret->text, s.p, s.n);
	ret->n = s.n;
	mapping_key_finish(ret);
	return true;
}

static double contained(const struct mapping_key *heading, const struct mapping_key *alias)
{
	const char *from = heading->text, *end = heading->text + heading->n;
	bool found = false;

	if (alias->n == 0 || alias->n >= heading->n || (alias->letters & ~heading->letters))
		return 0;
	for (const char *at = NULL; (at = memmem(from, (size_t)(end - from), alias->text, alias->n)) != NULL; from = at + 1) {
		bool left = at == heading->text || at[-1] == '_';
		bool right = at + alias->n == end || at[alias->n] == '_';
		if (left && right)
			return 0.92;
		found = true;
	}
	return found && alias->n >= SUBSTRING_MIN ? 0.85 + 0.1 * (double)alias->n / (double)heading->n : 0;
}

static double overlap(const struct mapping_key *heading, const struct mapping_key *alias)
{
	size_t most = heading->word_count > alias->word_count ? heading->word_count : alias->word_count, common = 0;

	if (heading->word_count < 2 || alias->word_count < 2)
		return 0;
	for (size_t h = 0; h < heading->word_count; h++) {
		for (size_t a = 0; a < alias->word_count; a++) {
			if (heading->words[h].n == alias->words[a].n &&
			    memcmp(heading->text + heading->words[h].at, alias->text + alias->words[a].at, alias->words[a].n) == 0) {
				common++;
				break;
			}
		}
	}
	return common * 2 > most ? 0.8 + 0.1 * (double)common / (double)most : 0;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;
	return least < c ? least : c;
}

static size_t distance(const struct mapping_key *a, const struct mapping_key *b)
{
	size_t row[MAPPING_KEY_MAX + 1];

	for (size_t j = 0; j <= b->n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a->n; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b->n; j++) {
			size_t above = row[j];
			row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a->text[i - 1] != b->text[j - 1]));
			diagonal = above;
		}
	}
	return row[b->n];
}

static double likeness(const struct mapping_key *heading, const struct mapping_key *alias)
{
	size_t longer = heading->n > alias->n ? heading->n : alias->n;
	size_t shorter = heading->n > alias->n ? alias->n : heading->n;
	size_t most = (size_t)((1 - IMPORT_SCORE_MIN) * (double)longer + 1e-9);
	/* One edit changes at most two letters of the set of letters that occur. */
	size_t unlike = (size_t)__builtin_popcountll(heading->letters ^ alias->letters);
	size_t d = 0;

	if (longer == 0 || longer - shorter > most || unlike > 2 * most)
		return 0;
	d = distance(heading, alias);
	return d <= most ? 1 - (double)d / (double)longer : 0;
}

double mapping_score(const struct mapping_key *heading, const struct mapping_key *alias)
{
	double score = contained(heading, alias);

	if (score > 0)
		return score;
	score = overlap(heading, alias);
	return score > 0 ? score : likeness(heading, alias);
}
