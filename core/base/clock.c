/*
 * Time. Calendar arithmetic is done here on integers (Howard Hinnant's days_from_civil), because the C library's
 * calendar calls depend on the process's time zone. Must never use the wall clock to measure a duration.
 */
#include "core/base/clock.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock_us(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_unix_us(void)
{
	return read_clock_us(CLOCK_REALTIME);
}

int64_t clock_unix(void)
{
	return clock_unix_us() / 1000000;
}

int64_t clock_monotonic_us(void)
{
	return read_clock_us(CLOCK_MONOTONIC);
}

void clock_sleep_ms(int64_t milliseconds)
{
	struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
	nanosleep(&pause, NULL);
}

int64_t clock_days(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * 146097 + day_of_era - 719468;
}

int clock_date_exists(int64_t year, int64_t month, int64_t day)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1)
		return 0;
	int leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return day <= days[month - 1] + leap;
}

struct calendar {
	int year, month, day, hour, minute, second, weekday;
};

static struct calendar to_calendar(int64_t unix_seconds)
{
	int64_t days = unix_seconds / 86400, rest = unix_seconds % 86400;
	if (rest < 0) {
		rest += 86400;
		days--;
	}
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted = (5 * day_of_year + 2) / 153;
	int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
	return (struct calendar){
	    .year = (int)(year_of_era + era * 400 + (month <= 2)),
	    .month = (int)month,
	    .day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1),
	    .hour = (int)(rest / 3600),
	    .minute = (int)(rest / 60 % 60),
	    .second = (int)(rest % 60),
	    .weekday = (int)(((days + 4) % 7 + 7) % 7),
	};
}

void clock_iso8601(int64_t unix_us, char out[CLOCK_ISO_SIZE])
{
	int64_t seconds = unix_us / 1000000, fraction = unix_us % 1000000;
	if (fraction < 0) {
		fraction += 1000000;
		seconds--;
	}
	struct calendar c = to_calendar(seconds);
	snprintf(out, CLOCK_ISO_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", c.year % 10000, c.month, c.day, c.hour, c.minute, c.second,
	         (int)fraction);
}

void clock_basic(int64_t unix_seconds, char out[CLOCK_ISO_SIZE])
{
	struct calendar c = to_calendar(unix_seconds);
	const int parts[] = {c.year / 100 % 100, c.year % 100, c.month, c.day, c.hour, c.minute, c.second};
	char *to = out;
	/* By hand: it stands in every signature. */
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (i == 4)
			*to++ = 'T';
		*to++ = (char)('0' + parts[i] / 10);
		*to++ = (char)('0' + parts[i] % 10);
	}
	*to++ = 'Z';
	*to = '\0';
}

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void clock_http_date(int64_t unix_seconds, char out[CLOCK_ISO_SIZE])
{
	static const char weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	struct calendar c = to_calendar(unix_seconds);
	snprintf(out, CLOCK_ISO_SIZE, "%s, %02d %s %04d %02d:%02d:%02d GMT", weekdays[c.weekday], c.day, months[c.month - 1], c.year % 10000,
	         c.hour, c.minute, c.second);
}

enum err clock_parse_basic(const char *text, int64_t *ret_unix_seconds)
{
	static const struct {
		int at, length;
		int64_t min, max;
	} parts[] = {{0, 4, 1, 9999}, {4, 2, 1, 12}, {6, 2, 1, 31}, {9, 2, 0, 23}, {11, 2, 0, 59}, {13, 2, 0, 59}};
	int64_t v[6];
	if (!text || strlen(text) != 16 || text[8] != 'T' || text[15] != 'Z')
		return ERR_INVALID;
	for (int i = 0; i < 6; i++)
		if (text[parts[i].at] == '-' || parse_i64_n(text + parts[i].at, (size_t)parts[i].length, parts[i].min, parts[i].max, &v[i]))
			return ERR_INVALID;
	if (!clock_date_exists(v[0], v[1], v[2]))
		return ERR_INVALID;
	*ret_unix_seconds = clock_days(v[0], v[1], v[2]) * 86400 + v[3] * 3600 + v[4] * 60 + v[5];
	return OK;
}

struct digits {
	int at, length;
	int64_t min, max;
};

/* Numbers at fixed places, digits only. */
static bool read_digits(const char *text, const struct digits *parts, int count, int64_t *ret)
{
	for (int i = 0; i < count; i++)
		if (text[parts[i].at] == '-' || parse_i64_n(text + parts[i].at, (size_t)parts[i].length, parts[i].min, parts[i].max, &ret[i]))
			return false;
	return true;
}

enum err clock_parse_http_date(const char *text, int64_t *ret_unix_seconds)
{
	static const struct digits parts[] = {{5, 2, 1, 31}, {12, 4, 1, 9999}, {17, 2, 0, 23}, {20, 2, 0, 59}, {23, 2, 0, 60}};
	int64_t v[5], month = 0;
	if (strlen(text) != 29 || memcmp(text + 3, ", ", 2) != 0 || text[7] != ' ' || text[11] != ' ' || text[16] != ' ' || text[19] != ':' || text[22] != ':' ||
	    strcmp(text + 25, " GMT") != 0 || !read_digits(text, parts, 5, v))
		return ERR_INVALID;
	for (int i = 0; i < 12; i++)
		if (memcmp(text + 8, months[i], 3) == 0)
			month = i + 1;
	if (!month || !clock_date_exists(v[1], month, v[0]))
		return ERR_INVALID;
	*ret_unix_seconds = clock_days(v[1], month, v[0]) * 86400 + v[2] * 3600 + v[3] * 60 + v[4];
	return OK;
}

/* Z, or +HH:MM / -HH:MM: seconds east of UTC. */
static bool read_zone(const char *text, int64_t *ret)
{
	static const struct digits parts[] = {{1, 2, 0, 23}, {4, 2, 0, 59}};
	int64_t v[2];
	if (strcmp(text, "Z") == 0) {
		*ret = 0;
		return true;
	}
	if (strlen(text) != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':' || !read_digits(text, parts, 2, v))
		return false;
	*ret = (v[0] * 3600 + v[1] * 60) * (text[0] == '-' ? -1 : 1);
	return true;
}

enum err clock_parse_iso8601(const char *text, int64_t *ret_unix_us)
{
	static const struct digits parts[] = {{0, 4, 1, 9999}, {5, 2, 1, 12}, {8, 2, 1, 31}, {11, 2, 0, 23}, {14, 2, 0, 59}, {17, 2, 0, 59}};
	int64_t v[6], fraction = 0, zone = 0;
	if (strlen(text) < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' || !read_digits(text, parts, 6, v) ||
	    !clock_date_exists(v[0], v[1], v[2]))
		return ERR_INVALID;
	const char *rest = text + 19;
	if (*rest == '.') {
		size_t n = strspn(rest + 1, "0123456789");
		if (n == 0 || n > 6 || parse_i64_n(rest + 1, n, 0, 999999, &fraction))
			return ERR_INVALID;
		for (size_t i = n; i < 6; i++)
			fraction *= 10;
		rest += n + 1;
	}
	if (!read_zone(rest, &zone))
		return ERR_INVALID;
	*ret_unix_us = (clock_days(v[0], v[1], v[2]) * 86400 + v[3] * 3600 + v[4] * 60 + v[5] - zone) * 1000000 + fraction;
	return OK;
}

int64_t clock_ahead_s(int64_t theirs, int64_t resolution, int64_t before, int64_t after)
{
	if (theirs > after)
		return (theirs - after) / 1000000;
	return theirs + resolution < before ? (theirs + resolution - before) / 1000000 : 0;
}
