/*
 * Personal names: DUPONT becomes Dupont and jean-pierre Jean-Pierre; a name with any mixture of cases is as its owner
 * writes it (McDonald, de La Fontaine) and stays.
 * Called by check.c through the table of normalisers.
 * Never applied to companies or cities: SNCF is not Sncf.
 */
#include "handlers/import/normalise.h"

#include <string.h>

enum letter_case { CASE_NONE, CASE_LOWER, CASE_UPPER };

struct letter {
	enum letter_case letter_case;
	uint32_t other; /* the same letter in the other case */
};

/* Basic Latin, Latin-1 and Latin Extended-A; within these blocks both cases have the same length in UTF-8. */
static struct letter letter_of(uint32_t c)
{
	bool odd = c & 1;

	if (c >= 'a' && c <= 'z')
		return (struct letter){CASE_LOWER, c - 32};
	if (c >= 'A' && c <= 'Z')
		return (struct letter){CASE_UPPER, c + 32};
	if (c >= 0xC0 && c <= 0xDE && c != 0xD7)
		return (struct letter){CASE_UPPER, c + 32};
	if (c >= 0xE0 && c <= 0xFE && c != 0xF7)
		return (struct letter){CASE_LOWER, c - 32};
	if (c == 0xFF || c == 0x178)
		return c == 0xFF ? (struct letter){CASE_LOWER, 0x178} : (struct letter){CASE_UPPER, 0xFF};
	if (c < 0x100 || c > 0x17E || c == 0x130 || c == 0x131 || c == 0x138 || c == 0x149)
		return (struct letter){CASE_NONE, c};
	if ((c >= 0x139 && c <= 0x148) || c >= 0x179)
		odd = !odd;
	return odd ? (struct letter){CASE_LOWER, c - 1} : (struct letter){CASE_UPPER, c + 1};
}

/* Decodes the character at i; most are ASCII. 0 where it is not UTF-8. */
static size_t character(struct str s, size_t i, uint32_t *ret)
{
	*ret = (unsigned char)s.p[i];
	return *ret < 0x80 ? 1 : utf8_decode(s.p + i, s.n - i, ret);
}

static bool has_one_case(struct str name)
{
	bool lower = false, upper = false;
	uint32_t c = 0;

	for (size_t i = 0, length = 0; i < name.n && !(lower && upper); i += length) {
		length = character(name, i, &c);
		if (length == 0)
			return false;
		enum letter_case letter_case = letter_of(c).letter_case;
		lower |= letter_case == CASE_LOWER;
		upper |= letter_case == CASE_UPPER;
	}
	return lower != upper;
}

enum row_code normalise_name(struct normalise_context *context, struct str *value)
{
	char *out = NULL;
	bool first = true;
	uint32_t c = 0;

	if (!has_one_case(*value))
		return ROW_FINE;
	out = normalise_room(context, value->n);
	if (!out)
		return ROW_FINE;
	for (size_t i = 0, length = 0; i < value->n; i += length) {
		struct letter letter = {CASE_NONE, 0};
		length = character(*value, i, &c);
		if (length == 0)
			return ROW_INVALID_BYTES;
		letter = letter_of(c);
		if (letter.letter_case != CASE_NONE && letter.letter_case != (first ? CASE_UPPER : CASE_LOWER))
			utf8_encode(letter.other, out + i);
		else
			memcpy(out + i, value->p + i, length);
		/* After a blank, hyphen, apostrophe (also U+2019) or dot a new part begins; digits and letters continue one. */
		first = letter.letter_case == CASE_NONE && (c < 0x80 ? !(c >= '0' && c <= '9') : c == 0x2019 || c == 0xA0 || c == 0x2010 || c == 0x2011);
	}
	value->p = out;
	return ROW_FINE;
}
