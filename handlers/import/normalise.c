/*
 * The table of normalisers and validators, the memory they use, and the cleaning that every cell gets.
 * Called by check.c; the table also when a declaration is checked at start.
 * Never copies a cell to trim it, and never allocates per cell: memory comes in chunks from the batch arena.
 */
#include "handlers/import/normalise.h"

#include <string.h>

#define CHUNK ((size_t)64 * 1024)

static const struct normaliser normalisers[] = {
	{"trim", NULL},
	{"email", normalise_email},
	{"phone", normalise_phone},
	{"postal_code", normalise_postal_code},
	{"name", normalise_name},
	{"timestamp", normalise_timestamp},
	{"value", normalise_value},
	{"integer", normalise_integer},
	{"money", normalise_money},
	{"boolean", normalise_boolean},
};

static const struct validator validators[] = {
	{"email", validate_email},
	{"phone", validate_phone},
	{"postal_code", validate_postal_code},
};

const struct normaliser *normaliser_of(const char *name)
{
	for (size_t i = 0; i < sizeof(normalisers) / sizeof(normalisers[0]); i++)
		if (text_equal(normalisers[i].name, name))
			return &normalisers[i];
	return NULL;
}

const struct validator *validator_of(const char *name)
{
	for (size_t i = 0; i < sizeof(validators) / sizeof(validators[0]); i++)
		if (text_equal(validators[i].name, name))
			return &validators[i];
	return NULL;
}

void normalise_start(struct normalise_context *context, struct arena *arena)
{
	*context = (struct normalise_context){.arena = arena, .french = true};
}

char *normalise_room(struct normalise_context *context, size_t n)
{
	char *got = NULL;

	if (!context->at || n > (size_t)(context->end - context->at)) {
		size_t size = n > CHUNK ? n : CHUNK;
		char *chunk = arena_alloc(context->arena, size);
		if (!chunk) {
			context->exhausted = true;
			return NULL;
		}
		context->at = chunk;
		context->end = chunk + size;
	}
	got = context->at;
	context->at += n;
	return got;
}

size_t normalise_zero_width(const char *p, size_t n)
{
	const unsigned char *b = (const unsigned char *)p;

	if (b[0] < 0xC2 || n < 2)
		return 0;
	if (b[0] == 0xC2)
		return b[1] == 0xAD ? 2 : 0; /* soft hyphen */
	if (n < 3)
		return 0;
	if (b[0] == 0xE2 && b[1] == 0x80)
		return (b[2] >= 0x8B && b[2] <= 0x8F) || (b[2] >= 0xAA && b[2] <= 0xAE) ? 3 : 0; /* U+200B-200F, U+202A-202E */
	if (b[0] == 0xE2 && b[1] == 0x81)
		return b[2] == 0xA0 ? 3 : 0; /* U+2060 */
	return b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF ? 3 : 0; /* U+FEFF */
}

size_t normalise_blank(const char *p, size_t n)
{
	const unsigned char *b = (const unsigned char *)p;

	if (b[0] < 0x80)
		return b[0] <= ' ';
	if (n >= 2 && b[0] == 0xC2 && b[1] == 0xA0)
		return 2;
	if (n >= 3 && b[0] == 0xE2 && b[1] == 0x80 && (b[2] <= 0x8A || b[2] == 0xAF)) /* U+2000-200A, U+202F */
		return 3;
	return normalise_zero_width(p, n);
}

/* Length of the blank that ends at p + n. */
static size_t blank_before(const char *p, size_t n)
{
	unsigned char last = (unsigned char)p[n - 1];

	if (last < 0x80)
		return last <= ' ';
	for (size_t length = 2; length <= 3 && length <= n; length++)
		if (normalise_blank(p + n - length, length) == length)
			return length;
	return 0;
}

static struct str trim(struct str s)
{
	size_t cut = 0;

	for (; s.n && (cut = normalise_blank(s.p, s.n)) != 0; s.n -= cut)
		s.p += cut;
	for (; s.n && (cut = blank_before(s.p, s.n)) != 0; s.n -= cut)
		;
	return s;
}

/* The signs that make a spreadsheet take text for a formula; the last four are their full-width forms. */
static bool is_guarded(struct str after)
{
	static const char plain[] = "=+-@\t\r\n'0123456789";
	static const char *const wide[] = {"\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D", "\xEF\xBC\xA0"};

	if (after.n == 0)
		return false;
	if (memchr(plain, after.p[0], sizeof(plain) - 1))
		return true;
	for (size_t i = 0; i < 4; i++)
		if (after.n >= 3 && memcmp(after.p, wide[i], 3) == 0)
			return true;
	return false;
}

static struct str unwrap(struct str s)
{
	while (s.n >= 2 && s.p[0] == '\'' && is_guarded((struct str){s.p + 1, s.n - 1}))
		s = (struct str){s.p + 1, s.n - 1};
	if (s.n >= 3 && s.p[0] == '=' && s.p[1] == '"' && s.p[s.n - 1] == '"' && !memchr(s.p + 2, '"', s.n - 3))
		s = (struct str){s.p + 2, s.n - 3};
	return trim(s);
}

struct str normalise_clean(struct str cell)
{
	cell = trim(cell);
	if (cell.n && (cell.p[0] == '\'' || cell.p[0] == '='))
		return unwrap(cell);
	return cell;
}
