/*
 * Proposes a column mapping from headings.
 * Called when a file is inspected and when the user changes header row or sheet.
 * Never decides for the user: a mapping is a proposal with its confidence and alternatives, and every score is
 * reproducible from heading and declaration alone.
 */
#include "handlers/import/mapping.h"

#include "handlers/import/mapping_score.h"
#include "handlers/import/normalise.h"

#include <string.h>

#define SCORE_STRIPPED 0.95

struct alias {
	struct mapping_key key;
	int field;
	bool own;   /* the field's name or a label of it */
	bool whole; /* written "=date": counts only as the whole heading */
};

struct pair {
	double score;
	size_t weight; /* between equal scores: length of the alias; among exact matches, whether it is the field's own name */
	size_t column;
	int field;
};

struct mapper {
	struct alias *aliases;
	size_t alias_count;
	uint32_t *exact; /* open addressing over aliases: index + 1, 0 is free */
	size_t exact_size;
	struct pair *pairs;
	size_t pair_count;
};

static void make_key(struct str text, struct mapping_key *ret)
{
	ret->n = normalise_key(text, ret->text, sizeof(ret->text));
	mapping_key_finish(ret);
}

static size_t hash(const struct mapping_key *key)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < key->n; i++)
		h = (h ^ (unsigned char)key->text[i]) * 0x100000001b3u;
	return (size_t)(h ^ (h >> 32));
}

/* The place of a key: the first alias spelt so, or the free place where it belongs. */
static uint32_t *exact_place(const struct mapper *m, const struct mapping_key *key)
{
	size_t at = hash(key) & (m->exact_size - 1);

	while (m->exact[at] && !mapping_key_equal(&m->aliases[m->exact[at] - 1].key, key))
		at = (at + 1) & (m->exact_size - 1);
	return &m->exact[at];
}

static void add_alias(struct mapper *m, const char *text, int field, bool own)
{
	struct alias *alias = &m->aliases[m->alias_count];
	uint32_t *place = NULL;

	make_key(str_of(text), &alias->key);
	if (alias->key.n == 0)
		return;
	place = exact_place(m, &alias->key);
	if (*place)
		return;
	alias->field = field;
	alias->own = own;
	alias->whole = text[0] == '=';
	*place = (uint32_t)++m->alias_count;
}

/* A field is also called by its own name and labels; these come first, so no alias of another field can take them away. */
static enum err load_aliases(struct mapper *m, struct arena *arena, const struct schema_table *target)
{
	size_t most = 0;

	for (size_t f = 0; f < target->field_count; f++)
		most += 3 + target->fields[f].aliases.count;
	for (m->exact_size = 64; m->exact_size < most * 2;)
		m->exact_size *= 2;
	m->aliases = arena_array(arena, most, sizeof(*m->aliases));
	m->exact = arena_array(arena, m->exact_size, sizeof(*m->exact));
	if (!m->aliases || !m->exact)
		return ERR_TOO_LARGE;
	for (size_t f = 0; f < target->field_count; f++) {
		add_alias(m, target->fields[f].name, (int)f, true);
		add_alias(m, target->fields[f].column->labels.fr, (int)f, true);
		add_alias(m, target->fields[f].column->labels.en, (int)f, true);
	}
	for (size_t f = 0; f < target->field_count; f++)
		for (size_t i = 0; i < target->fields[f].aliases.count; i++)
			add_alias(m, target->fields[f].aliases.items[i], (int)f, false);
	return OK;
}

static void keep_best(struct pair best[SCHEMA_FIELDS_MAX], const struct alias *alias, double score, size_t weight)
{
	struct pair *pair = &best[alias->field];

	if (score > pair->score || (score >= pair->score && weight > pair->weight)) {
		pair->score = score;
		pair->weight = weight;
	}
}

static void score_heading(const struct mapper *m, const struct mapping_key *heading, struct pair best[SCHEMA_FIELDS_MAX])
{
	struct mapping_key stripped;
	bool has_stripped = mapping_key_strip(heading, &stripped);
	uint32_t exact = *exact_place(m, heading);
	uint32_t bare = has_stripped ? *exact_place(m, &stripped) : 0;

	for (size_t i = 0; i < m->alias_count; i++) {
		const struct alias *alias = &m->aliases[i];
		double score = alias->whole ? 0 : mapping_score(heading, &alias->key);
		if (score >= IMPORT_SCORE_MIN)
			keep_best(best, alias, score, alias->key.n);
	}
	if (bare)
		keep_best(best, &m->aliases[bare - 1], SCORE_STRIPPED, m->aliases[bare - 1].own);
	if (exact)
		keep_best(best, &m->aliases[exact - 1], 1.0, m->aliases[exact - 1].own);
}

static int pair_order(const void *left, const void *right)
{
	const struct pair *a = left, *b = right;

	if (a->score > b->score || a->score < b->score)
		return a->score > b->score ? -1 : 1;
	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	if (a->column != b->column)
		return a->column < b->column ? -1 : 1;
	return (a->field > b->field) - (a->field < b->field);
}

static void add_pairs(struct mapper *m, const struct schema_table *target, size_t column, struct pair best[SCHEMA_FIELDS_MAX], struct import_match *match)
{
	size_t first = m->pair_count;

	for (size_t f = 0; f < target->field_count; f++) {
		if (best[f].score <= 0)
			continue;
		best[f].column = column;
		best[f].field = (int)f;
		m->pairs[m->pair_count++] = best[f];
	}
	qsort(m->pairs + first, m->pair_count - first, sizeof(*m->pairs), pair_order);
	for (size_t i = first; i < m->pair_count && match->alternative_count < IMPORT_ALTERNATIVES_MAX; i++)
		match->alternatives[match->alternative_count++] = (struct import_candidate){m->pairs[i].field, m->pairs[i].score};
}

/* A heading that names one field plainly is not given to another one for want of a column: a second e-mail is no address. */
static bool is_meant_otherwise(const struct import_match *match, const struct pair *pair)
{
	return match->alternatives[0].confidence >= SCORE_STRIPPED && pair->score < match->alternatives[0].confidence;
}

static void choose(struct mapper *m, struct import_match *ret)
{
	uint64_t taken = 0;

	qsort(m->pairs, m->pair_count, sizeof(*m->pairs), pair_order);
	for (size_t i = 0; i < m->pair_count; i++) {
		const struct pair *pair = &m->pairs[i];
		if (ret[pair->column].field >= 0 || taken >> pair->field & 1 || is_meant_otherwise(&ret[pair->column], pair))
			continue;
		taken |= (uint64_t)1 << pair->field;
		ret[pair->column].field = pair->field;
		ret[pair->column].confidence = pair->score;
	}
}

enum err import_map(struct arena *arena, const struct schema_table *target, const struct str *headings, size_t n, struct import_match *ret)
{
	struct mapper m = {0};
	enum err err = OK;

	if (n > IMPORT_HEADINGS_MAX)
		return ERR_TOO_LARGE;
	err = load_aliases(&m, arena, target);
	if (err)
		return err;
	m.pairs = arena_array(arena, n * target->field_count, sizeof(*m.pairs));
	if (!m.pairs)
		return ERR_TOO_LARGE;
	for (size_t c = 0; c < n; c++) {
		struct pair best[SCHEMA_FIELDS_MAX] = {0};
		struct mapping_key heading;
		ret[c] = (struct import_match){.field = -1};
		make_key(headings[c], &heading);
		if (heading.n == 0)
			continue;
		score_heading(&m, &heading, best);
		add_pairs(&m, target, c, best, &ret[c]);
	}
	choose(&m, ret);
	return OK;
}

enum err import_fingerprint(const struct str *headings, size_t n, char out[SHA256_HEX_SIZE])
{
	struct buf text;

	buf_init(&text, (size_t)IMPORT_HEADINGS_MAX * (MAPPING_KEY_MAX + 1));
	for (size_t i = 0; i < n; i++) {
		char key[MAPPING_KEY_MAX];
		(void)buf_append(&text, key, normalise_key(headings[i], key, sizeof(key)));
		(void)buf_append_char(&text, '\n');
	}
	enum err err = text.overflowed ? ERR_TOO_LARGE : OK;
	if (!err)
		sha256_hex(buf_text(&text), text.len, out);
	buf_release(&text);
	return err;
}
