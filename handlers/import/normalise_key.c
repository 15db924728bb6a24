/*
 * Keys: headings and values reduced to a-z, 0-9 and '_' so that spelling differences disappear; and the index that finds
 * a value of a closed list by any of its spellings.
 * Called by mapping.c for headings and by check.c for status-like fields.
 * Never used to store: a key is for comparing.
 */
#include "handlers/import/normalise.h"

#include <string.h>

#define KEY_MAX 96

struct value_entry {
	size_t n; /* 0 is a free place */
	char key[KEY_MAX];
	struct str value;
};

/* Base letters of U+00C0 to U+017F. '1' ae, '2' th, '3' ss, '4' ij, '5' oe, '*' none. */
static const char fold[] = "aaaaaa1ceeeeiiiidnooooo*ouuuuy23aaaaaa1ceeeeiiiidnooooo*ouuuuy2y"
			   "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii44jjkkkllllllllllnnnnnnnnnoooooo55rrrrrrsssssssstttttt"
			   "uuuuuuuuuuuuwwyyyzzzzzzs";
_Static_assert(sizeof(fold) == 192 + 1, "one letter for each of U+00C0 to U+017F");

static const char *const pairs[] = {"ae", "th", "ss", "ij", "oe"};

static const char *fold_wide(uint32_t code_point, char single[2])
{
	char base = '*';

	if (code_point >= 0xC0 && code_point <= 0x17F)
		base = fold[code_point - 0xC0];
	if (base >= '1' && base <= '5')
		return pairs[base - '1'];
	single[0] = (char)(base == '*' ? '\0' : base);
	single[1] = '\0';
	return single;
}

static size_t put_blank(char *out, size_t at, size_t room)
{
	if (at && at < room && out[at - 1] != '_')
		out[at++] = '_';
	return at;
}

/* One character that is not ASCII; returns its length. */
static size_t put_wide(const char *p, size_t n, char *out, size_t *at, size_t room)
{
	uint32_t code_point = 0;
	size_t length = utf8_decode(p, n, &code_point);
	char single[2] = "";

	if (length == 0)
		return 1;
	if (normalise_blank(p, n) && !normalise_zero_width(p, n)) {
		*at = put_blank(out, *at, room);
		return length;
	}
	for (const char *base = fold_wide(code_point, single); *base && *at < room; base++)
		out[(*at)++] = *base;
	return length;
}

size_t normalise_key(struct str text, char *out, size_t room)
{
	size_t at = 0;

	for (size_t i = 0; i < text.n && at < room;) {
		unsigned char c = (unsigned char)text.p[i];
		if (c >= 0x80) {
			i += put_wide(text.p + i, text.n - i, out, &at, room);
			continue;
		}
		if (c >= 'A' && c <= 'Z')
			out[at++] = (char)(c + 32);
		else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[at++] = (char)c;
		else if (c <= ' ' || c == '_' || c == '/')
			at = put_blank(out, at, room);
		i++;
	}
	while (at && out[at - 1] == '_')
		at--;
	return at;
}

/* FNV-1a. */
static size_t hash(const char *p, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
	return (size_t)(h ^ (h >> 32));
}

static struct value_entry *place(const struct value_index *index, const char *key, size_t n)
{
	size_t at = hash(key, n) & (index->size - 1);

	while (index->entries[at].n && (index->entries[at].n != n || memcmp(index->entries[at].key, key, n) != 0))
		at = (at + 1) & (index->size - 1);
	return &index->entries[at];
}

/* The first spelling wins: a value's own name and labels are added before any alias. */
static void add(const struct value_index *index, const char *text, const char *value)
{
	char key[KEY_MAX];
	size_t n = normalise_key(str_of(text), key, sizeof(key));
	struct value_entry *entry = place(index, key, n);

	if (n == 0 || entry->n)
		return;
	memcpy(entry->key, key, n);
	entry->n = n;
	entry->value = str_of(value);
}

const struct value_index *normalise_values(struct arena *arena, const struct schema_column *column, const json_t *said)
{
	struct value_index *index = arena_alloc(arena, sizeof(*index));
	size_t count = column->value_count * 3 + json_object_size(said);
	const char *text;
	const json_t *value;

	for (size_t i = 0; i < column->value_count; i++)
		count += column->values[i].aliases.count;
	if (!index)
		return NULL;
	for (index->size = 16; index->size < count * 2;)
		index->size *= 2;
	index->entries = arena_array(arena, index->size, sizeof(*index->entries));
	if (!index->entries)
		return NULL;
	json_object_foreach((json_t *)(uintptr_t)said, text, value)
	{
		add(index, text, json_string_value(value));
	}
	for (size_t i = 0; i < column->value_count; i++) {
		add(index, column->values[i].value, column->values[i].value);
		add(index, column->values[i].labels.fr, column->values[i].value);
		add(index, column->values[i].labels.en, column->values[i].value);
	}
	for (size_t i = 0; i < column->value_count; i++)
		for (size_t a = 0; a < column->values[i].aliases.count; a++)
			add(index, column->values[i].aliases.items[a], column->values[i].value);
	return index;
}

enum row_code normalise_value(struct normalise_context *context, struct str *value)
{
	char key[KEY_MAX];
	size_t n = normalise_key(*value, key, sizeof(key));
	const struct value_entry *entry = context->values ? place(context->values, key, n) : NULL;

	if (entry && entry->n) {
		*value = entry->value;
		return ROW_FINE;
	}
	*value = (struct str){NULL, 0};
	return ROW_VALUE_UNKNOWN;
}
