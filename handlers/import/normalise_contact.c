/*
 * E-mail addresses, phone numbers, postal codes.
 * Called by check.c through the tables of normalisers and validators.
 * Never turns one plausible value into another: a number or address that no rule covers stays as it was written, and the
 * national rules for phones and postal codes apply to rows whose country is France or not given.
 */
#include "handlers/import/normalise.h"

#include <string.h>

/* Domains that lost their dot, and what was meant. */
static const struct {
	const char *broken, *domain;
} repairs[] = {
	{"gmailcom", "gmail.com"},       {"googlemailcom", "googlemail.com"}, {"yahoofr", "yahoo.fr"},     {"yahoocom", "yahoo.com"},
	{"hotmailfr", "hotmail.fr"},     {"hotmailcom", "hotmail.com"},       {"outlookfr", "outlook.fr"}, {"outlookcom", "outlook.com"},
	{"livefr", "live.fr"},           {"livecom", "live.com"},             {"msncom", "msn.com"},       {"icloudcom", "icloud.com"},
	{"lapostenet", "laposte.net"},   {"orangefr", "orange.fr"},           {"freefr", "free.fr"},       {"sfrfr", "sfr.fr"},
	{"wanadoofr", "wanadoo.fr"},     {"bboxfr", "bbox.fr"},               {"neuffr", "neuf.fr"},       {"aolcom", "aol.com"},
	{"numericablefr", "numericable.fr"},
};

static bool email_is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x80 || (c >= 'A' && c <= 'Z'))
			return false;
	}
	return !(s.n > 7 && memcmp(s.p, "mailto:", 7) == 0);
}

/* Lower case (ASCII, as the generated key column has it) without zero-width characters and mailto:. */
static bool email_lower(struct normalise_context *context, struct str *value)
{
	char *out = normalise_room(context, value->n);
	size_t n = 0;

	if (!out)
		return false;
	for (size_t i = 0; i < value->n;) {
		char c = value->p[i];
		size_t skip = (unsigned char)c >= 0x80 ? normalise_zero_width(value->p + i, value->n - i) : 0;
		if (skip) {
			i += skip;
			continue;
		}
		out[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
		i++;
	}
	if (n > 7 && memcmp(out, "mailto:", 7) == 0) {
		out += 7;
		n -= 7;
	}
	*value = (struct str){out, n};
	return true;
}

static enum row_code email_repair(struct normalise_context *context, struct str *value, size_t local)
{
	struct str domain = {value->p + local, value->n - local};

	for (size_t i = 0; i < sizeof(repairs) / sizeof(repairs[0]); i++) {
		size_t length = strlen(repairs[i].domain);
		char *out = NULL;
		if (!str_equal_text(domain, repairs[i].broken))
			continue;
		out = normalise_room(context, local + length);
		if (!out)
			return ROW_FINE;
		memcpy(out, value->p, local);
		memcpy(out + local, repairs[i].domain, length);
		*value = (struct str){out, local + length};
		return ROW_EMAIL_REPAIRED;
	}
	return ROW_FINE;
}

enum row_code normalise_email(struct normalise_context *context, struct str *value)
{
	const char *at = NULL;
	size_t local = 0;

	if (!email_is_plain(*value) && !email_lower(context, value))
		return ROW_FINE;
	at = value->n ? memchr(value->p, '@', value->n) : NULL;
	if (!at)
		return ROW_FINE;
	local = (size_t)(at - value->p) + 1;
	if (memchr(at, '.', value->n - local + 1))
		return ROW_FINE;
	return email_repair(context, value, local);
}

/* ^[^\s@]+@[^\s@]+\.[^\s@]+$ where \s includes the blanks of Unicode. */
enum row_code validate_email(struct str value)
{
	size_t at = value.n, dots = 0;

	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		if ((unsigned char)c <= ' ' || ((unsigned char)c >= 0x80 && normalise_blank(value.p + i, value.n - i)))
			return ROW_EMAIL_INVALID;
		if (c == '@') {
			if (at != value.n || i == 0)
				return ROW_EMAIL_INVALID;
			at = i;
		} else if (c == '.' && at < i && i > at + 1 && i + 1 < value.n) {
			dots++;
		}
	}
	return at == value.n || dots == 0 ? ROW_EMAIL_INVALID : ROW_FINE;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/*
 * Digits of a number into out, a leading '+' reported apart. "p:" and other words before the first digit fall away; a
 * letter after it ends the number (an extension); "(0)" after a country code is not dialled.
 */
static size_t phone_digits(struct str s, char *out, bool *ret_plus)
{
	size_t n = 0;

	*ret_plus = false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (is_digit(c)) {
			if (*ret_plus && n && c == '0' && s.p[i - 1] == '(' && i + 1 < s.n && s.p[i + 1] == ')')
				continue;
			out[n++] = c;
		} else if (n == 0 && c == '+') {
			*ret_plus = true;
		} else if (n && is_letter(c)) {
			break;
		}
	}
	return n;
}

struct phone_rule {
	size_t digits;
	const char *start;
	size_t cut;
	const char *prefix;
};

/* National forms of France; the first that fits applies. */
static const struct phone_rule phone_rules[] = {
	{10, "0", 1, "+33"},
	{11, "33", 0, "+"},
	{9, "", 0, "+33"},
	{12, "330", 3, "+33"},
};

static const struct phone_rule *phone_rule_of(const char *number, size_t n)
{
	for (size_t i = 0; i < sizeof(phone_rules) / sizeof(phone_rules[0]); i++)
		if (phone_rules[i].digits == n && memcmp(number, phone_rules[i].start, strlen(phone_rules[i].start)) == 0)
			return &phone_rules[i];
	return NULL;
}

enum row_code normalise_phone(struct normalise_context *context, struct str *value)
{
	enum { PREFIX = 3 };
	char *room = normalise_room(context, value->n + PREFIX), *number = NULL;
	const struct phone_rule *rule = NULL;
	const char *prefix = "";
	bool plus = false;
	size_t n = 0, length = 0;

	if (!room)
		return ROW_FINE;
	number = room + PREFIX;
	n = phone_digits(*value, number, &plus);
	if (!plus && n > 2 && number[0] == '0' && number[1] == '0') {
		plus = true;
		number += 2;
		n -= 2;
	}
	if (plus ? n == 12 && memcmp(number, "330", 3) == 0 : context->french)
		rule = phone_rule_of(number, n);
	if (n == 0)
		return ROW_FINE; /* the validator says so, about the text as it stands */
	if (rule) {
		number += rule->cut;
		n -= rule->cut;
		prefix = rule->prefix;
	} else if (plus) {
		prefix = "+";
	}
	length = strlen(prefix);
	number -= length;
	memcpy(number, prefix, length);
	*value = (struct str){number, n + length};
	return ROW_FINE;
}

enum row_code validate_phone(struct str value)
{
	size_t count = 0;

	for (size_t i = 0; i < value.n; i++)
		count += is_digit(value.p[i]);
	if (count < 8)
		return ROW_PHONE_TOO_SHORT;
	return count > 15 ? ROW_PHONE_TOO_LONG : ROW_FINE;
}

/* Blanks within digits go ("75 001"); four digits of a French row lost their zero to a spreadsheet. */
enum row_code normalise_postal_code(struct normalise_context *context, struct str *value)
{
	char *out = NULL;
	size_t n = 0, count = 0, skip = 0;

	for (size_t i = 0; i < value->n; i++)
		count += is_digit(value->p[i]);
	if (count == value->n && !(count == 4 && context->french))
		return ROW_FINE;
	for (size_t i = 0; i < value->n; i += skip) {
		skip = normalise_blank(value->p + i, value->n - i);
		if (!skip && !is_digit(value->p[i]))
			return ROW_FINE;
		skip = skip ? skip : 1;
	}
	out = normalise_room(context, count + 1);
	if (!out)
		return ROW_FINE;
	if (count == 4 && context->french)
		out[n++] = '0';
	for (size_t i = 0; i < value->n; i++)
		if (is_digit(value->p[i]))
			out[n++] = value->p[i];
	*value = (struct str){out, n};
	return ROW_FINE;
}

/* 4 to 10 digits; codes of other countries (SW1A 1AA, 1012-AB, L-1234) have letters or a hyphen, and at least one digit. */
enum row_code validate_postal_code(struct str value)
{
	size_t digits = 0, others = 0;

	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		if (is_digit(c))
			digits++;
		else if (is_letter(c) || c == ' ' || c == '-')
			others++;
		else
			return ROW_POSTAL_CODE_INVALID;
	}
	if (others == 0)
		return digits >= 4 && digits <= 10 ? ROW_FINE : ROW_POSTAL_CODE_INVALID;
	return digits >= 1 && value.n >= 3 && value.n <= 10 ? ROW_POSTAL_CODE_UNUSUAL : ROW_POSTAL_CODE_INVALID;
}
