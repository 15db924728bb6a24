/*
 * Points in time as spreadsheets and lead forms write them: ISO 8601 (with or without time, fraction and offset) and the
 * French day first (05/03/2026 14:30, also with - or .). Result: ISO 8601 in UTC with microseconds, as timestamptz reads it.
 * Called by check.c through the table of normalisers.
 * Never guesses the American month-first order; a time without an offset is taken as UTC.
 */
#include "handlers/import/normalise.h"

#include "core/base/clock.h"

#include <string.h>

struct moment {
	int64_t year, month, day, hour, minute, second, microsecond, offset_minutes;
};

/* Reads min..max digits; returns false and leaves s where it is otherwise. */
static bool digits(struct str *s, size_t min, size_t max, int64_t *ret)
{
	int64_t value = 0;
	size_t n = 0;

	for (; n < s->n && n < max && s->p[n] >= '0' && s->p[n] <= '9'; n++)
		value = value * 10 + (s->p[n] - '0');
	if (n < min)
		return false;
	*s = (struct str){s->p + n, s->n - n};
	*ret = value;
	return true;
}

static bool one_of(struct str *s, const char *allowed, char *ret)
{
	if (s->n == 0 || s->p[0] == '\0' || !strchr(allowed, s->p[0]))
		return false;
	*ret = s->p[0];
	*s = (struct str){s->p + 1, s->n - 1};
	return true;
}

static bool read_date(struct str *s, struct moment *m)
{
	struct str start = *s;
	char separator = 0, again = 0;

	if (digits(s, 4, 4, &m->year) && one_of(s, "-/", &separator) && digits(s, 1, 2, &m->month) && one_of(s, "-/", &again) &&
	    digits(s, 1, 2, &m->day) && separator == again)
		return true;
	*s = start;
	return digits(s, 1, 2, &m->day) && one_of(s, "/-.", &separator) && digits(s, 1, 2, &m->month) && one_of(s, "/-.", &again) &&
	       separator == again && digits(s, 4, 4, &m->year);
}

static bool read_fraction(struct str *s, struct moment *m)
{
	char mark = 0;
	int64_t value = 0, ignored = 0;
	size_t before = 0;

	if (!one_of(s, ".,", &mark))
		return true;
	before = s->n;
	if (!digits(s, 1, 6, &value))
		return false;
	for (size_t n = before - s->n; n < 6; n++)
		value *= 10;
	m->microsecond = value;
	(void)digits(s, 1, 9, &ignored); /* finer than we keep */
	return true;
}

/* Z, +01:00, +0100, +01, after an optional blank. */
static bool read_offset(struct str *s, struct moment *m)
{
	char sign = 0, colon = 0;
	int64_t hours = 0, minutes = 0;

	*s = str_trim(*s);
	if (s->n == 0)
		return true;
	if (one_of(s, "Zz", &sign))
		return true;
	if (!one_of(s, "+-", &sign) || !digits(s, 2, 2, &hours))
		return false;
	(void)one_of(s, ":", &colon);
	if (s->n && !digits(s, 2, 2, &minutes))
		return false;
	if (hours > 15 || minutes > 59)
		return false;
	m->offset_minutes = (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
	return true;
}

static bool read_time(struct str *s, struct moment *m)
{
	char mark = 0;

	if (s->n == 0)
		return true;
	if (!one_of(s, "Tt ", &mark))
		return false;
	*s = str_trim(*s);
	if (!digits(s, 1, 2, &m->hour) || !one_of(s, ":hH", &mark) || !digits(s, 2, 2, &m->minute))
		return false;
	if (one_of(s, ":", &mark) && !(digits(s, 2, 2, &m->second) && read_fraction(s, m)))
		return false;
	return read_offset(s, m);
}

static bool exists(const struct moment *m)
{
	return m->year >= 1900 && clock_date_exists(m->year, m->month, m->day) && m->hour <= 23 && m->minute <= 59 && m->second <= 59;
}

enum row_code normalise_timestamp(struct normalise_context *context, struct str *value)
{
	struct moment m = {0};
	struct str rest = *value;
	int64_t seconds = 0;
	char *out = NULL;

	if (!read_date(&rest, &m) || !read_time(&rest, &m) || rest.n != 0 || !exists(&m))
		return ROW_DATE_INVALID;
	out = normalise_room(context, CLOCK_ISO_SIZE);
	if (!out)
		return ROW_FINE;
	seconds = clock_days(m.year, m.month, m.day) * 86400 + m.hour * 3600 + (m.minute - m.offset_minutes) * 60 + m.second;
	clock_iso8601(seconds * 1000000 + m.microsecond, out);
	*value = str_of(out);
	return ROW_FINE;
}
