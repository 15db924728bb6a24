/*
 * Whole numbers, amounts of money and yes or no, as people write them in French and in English.
 * Called by check.c through the table of normalisers. Results are what PostgreSQL reads: -12, 1250 (hundredths), true.
 * Never rounds, and never drops a sign, digit or unit it does not know: what cannot be read is an error.
 */
#include "handlers/import/normalise.h"

#include <stdio.h>
#include <string.h>

enum { DIGITS_MAX = 17, NUMBER_SIZE = 24, WORD_MAX = 16 };

/* What may stand before or after an amount; capitals do not matter. Longer ones first, where one begins another. */
static const char *const currencies[] = {"EUR", "USD", "GBP", "EGP", "CHF", "MAD", "TND", "DZD", "FCFA", "XOF", "L.E.", "LE", "DH", "DA", "DT",
                                         "€", "$", "£", "ج.م.", "ج.م"};

struct word {
	const char *key; /* normalise_key of it */
	const char *value;
};

static const struct word words[] = {
	{"1", "true"}, {"0", "false"}, {"oui", "true"}, {"non", "false"}, {"o", "true"}, {"n", "false"}, {"yes", "true"}, {"no", "false"},
	{"y", "true"}, {"vrai", "true"}, {"faux", "false"}, {"v", "true"}, {"f", "false"}, {"true", "true"}, {"false", "false"}, {"t", "true"},
	{"x", "true"}, {"on", "true"}, {"off", "false"}, {"actif", "true"}, {"active", "true"}, {"inactif", "false"}, {"inactive", "false"},
};

/* Signs and words that have no key of Latin letters. */
static const struct word marks[] = {{"✓", "true"}, {"✔", "true"}, {"☑", "true"}, {"✗", "false"}, {"✘", "false"}, {"☐", "false"}, {"نعم", "true"}, {"لا", "false"}};

/* Length of what only groups digits at p: a blank of any kind or an apostrophe; 0 when it is none. */
static size_t grouping(const char *p, size_t n)
{
	if (*p == '\'')
		return 1;
	if (n >= 3 && memcmp(p, "’", 3) == 0)
		return 3;
	return normalise_blank(p, n);
}

/* The digits of a number in groups; marks stay as ',' and '.', every other separator becomes ' '. */
struct scan {
	char text[NUMBER_SIZE * 2];
	size_t n;
	size_t commas, points, blanks;
	size_t last_comma, last_point; /* places in text */
};

static bool scan(struct str s, struct scan *ret)
{
	*ret = (struct scan){0};
	for (size_t i = 0, step = 1; i < s.n; i += step) {
		char c = s.p[i];
		step = 1;
		if (ret->n == sizeof(ret->text))
			return false;
		if (c == ',') {
			ret->last_comma = ret->n;
			ret->commas++;
		} else if (c == '.') {
			ret->last_point = ret->n;
			ret->points++;
		} else if (c < '0' || c > '9') {
			step = grouping(s.p + i, s.n - i);
			if (!step)
				return false;
			c = ' ';
			ret->blanks++;
		}
		ret->text[ret->n++] = c;
	}
	return ret->n > 0;
}

/*
 * Where the decimals begin (the place of their mark), or n. Two different marks: the last one. The same mark twice groups.
 * A single mark groups when exactly three digits follow and one to three that begin with no zero stand before: 1,500 and
 * 1.500 are fifteen hundred, 0,500 and 1 234,500 are not.
 */
static size_t decimals_at(const struct scan *s)
{
	if (s->commas && s->points)
		return s->last_comma > s->last_point ? (s->commas == 1 ? s->last_comma : s->n) : s->points == 1 ? s->last_point : s->n;
	if (s->commas + s->points != 1)
		return s->n;
	size_t at = s->commas ? s->last_comma : s->last_point;
	bool groups = s->n - at == 4 && at >= 1 && at <= 3 && s->text[0] != '0' && !s->blanks;
	return groups ? s->n : at;
}

/* Reads 1 to 3 digits and then groups of three behind one and the same separator, or digits without any. */
static bool whole_part(const struct scan *s, size_t n, int64_t *ret)
{
	char separator = 0;
	size_t in_group = 0, digits = 0;
	int64_t value = 0;
	for (size_t i = 0; i < n; i++) {
		char c = s->text[i];
		if (c >= '0' && c <= '9') {
			in_group++;
			if (++digits > DIGITS_MAX || (separator && in_group > 3))
				return false;
			value = value * 10 + (c - '0');
			continue;
		}
		if (in_group == 0 || in_group > 3 || (separator && (c != separator || in_group != 3)))
			return false;
		separator = c;
		in_group = 0;
	}
	*ret = value;
	return digits > 0 && (!separator || in_group == 3);
}

/* Appends the decimals to value; digits past `places` must be zeros. */
static bool decimal_part(const struct scan *s, size_t at, int places, int64_t *value)
{
	if (at < s->n && at + 1 == s->n)
		return false;
	for (size_t i = at + 1; i < s->n; i++) {
		if (s->text[i] < '0' || s->text[i] > '9')
			return false;
		if (places > 0)
			*value = *value * 10 + (s->text[i] - '0');
		else if (s->text[i] != '0')
			return false;
		places--;
	}
	for (; places > 0; places--)
		*value *= 10;
	return true;
}

static bool take_sign(struct str *s)
{
	static const char minus[] = "\xE2\x88\x92"; /* U+2212 */
	size_t n = s->n && (s->p[0] == '-' || s->p[0] == '+') ? 1 : s->n >= 3 && memcmp(s->p, minus, 3) == 0 ? 3 : 0;
	bool negative = n && s->p[0] != '+';
	*s = normalise_clean((struct str){s->p + n, s->n - n});
	return negative;
}

static bool number(struct str s, bool negative, int places, int64_t *ret)
{
	struct scan digits;
	int64_t value = 0;
	if (!scan(s, &digits))
		return false;
	size_t at = decimals_at(&digits);
	/* at most DIGITS_MAX digits and two decimals: no overflow */
	if (!whole_part(&digits, at, &value) || !decimal_part(&digits, at, places, &value))
		return false;
	*ret = negative ? -value : value;
	return true;
}

static enum row_code put(struct normalise_context *context, int64_t result, struct str *value)
{
	char *out = normalise_room(context, NUMBER_SIZE);
	if (!out)
		return ROW_FINE;
	int n = snprintf(out, NUMBER_SIZE, "%lld", (long long)result);
	*value = (struct str){out, n > 0 ? (size_t)n : 0};
	return ROW_FINE;
}

enum row_code normalise_integer(struct normalise_context *context, struct str *value)
{
	int64_t result = 0;
	struct str rest = *value;
	bool negative = take_sign(&rest);
	return number(rest, negative, 0, &result) ? put(context, result, value) : ROW_NUMBER_INVALID;
}

static struct str without_currency(struct str s)
{
	for (size_t i = 0; i < sizeof(currencies) / sizeof(currencies[0]); i++) {
		size_t n = strlen(currencies[i]);
		if (s.n > n && strncasecmp(s.p, currencies[i], n) == 0)
			return normalise_clean((struct str){s.p + n, s.n - n});
		if (s.n > n && strncasecmp(s.p + s.n - n, currencies[i], n) == 0)
			return normalise_clean((struct str){s.p, s.n - n});
	}
	return s;
}

enum row_code normalise_money(struct normalise_context *context, struct str *value)
{
	int64_t result = 0;
	struct str rest = *value;
	bool negative = take_sign(&rest);
	struct str bare = without_currency(rest);
	if (bare.n < rest.n && !negative)
		negative = take_sign(&bare); /* € -5 */
	return number(bare, negative, 2, &result) ? put(context, result, value) : ROW_AMOUNT_INVALID;
}

enum row_code normalise_boolean(struct normalise_context *context, struct str *value)
{
	char key[WORD_MAX];
	size_t n = normalise_key(*value, key, sizeof(key));
	(void)context;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_equal_text((struct str){key, n}, words[i].key)) {
			*value = str_of(words[i].value);
			return ROW_FINE;
		}
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (str_equal_text(*value, marks[i].key)) {
			*value = str_of(marks[i].value);
			return ROW_FINE;
		}
	return ROW_BOOLEAN_INVALID;
}
