/* Wall and monotonic time, ISO 8601 and HTTP forms. Times are UTC everywhere; the wall clock is never used to measure. */
#ifndef TIDEGATE_CORE_BASE_CLOCK_H
#define TIDEGATE_CORE_BASE_CLOCK_H

#include "core/base/err.h"

#include <stdint.h>

int64_t clock_unix_us(void);      /* microseconds since 1970 */
int64_t clock_unix(void);         /* seconds since 1970 */
int64_t clock_monotonic_us(void); /* for durations */
void clock_sleep_ms(int64_t milliseconds); /* ends early on a signal */

#define CLOCK_ISO_SIZE 32
/* 2026-11-21T08:47:38.123456Z */
void clock_iso8601(int64_t unix_us, char out[CLOCK_ISO_SIZE]);

/* 20130524T000000Z, as SigV4 has it. / Back to seconds; ERR_INVALID for anything else, also for dates that do not exist. */
void clock_basic(int64_t unix_seconds, char out[CLOCK_ISO_SIZE]);
enum err clock_parse_basic(const char *text, int64_t *ret_unix_seconds) MUST_USE;

/* Sun, 06 Nov 1994 08:49:37 GMT / Back to seconds; ERR_INVALID for anything else (the weekday is not looked at, nor the obsolete forms). */
void clock_http_date(int64_t unix_seconds, char out[CLOCK_ISO_SIZE]);
enum err clock_parse_http_date(const char *text, int64_t *ret_unix_seconds) MUST_USE;

/* 2026-11-21T08:47:38Z, with up to six digits of a fraction, and Z or an offset such as +01:00. ERR_INVALID for anything else. */
enum err clock_parse_iso8601(const char *text, int64_t *ret_unix_us) MUST_USE;

/*
 * How many whole seconds another clock is ahead of ours (negative: behind), when between two moments of ours it said `theirs`, cut off to a multiple of
 * `resolution`: at least so many; 0 when it may as well be right. All in microseconds.
 */
int64_t clock_ahead_s(int64_t theirs, int64_t resolution, int64_t before, int64_t after);

/* Days since 1970-01-01 of a proleptic Gregorian date / is there such a date (year 1..9999). */
int64_t clock_days(int64_t year, int64_t month, int64_t day);
int clock_date_exists(int64_t year, int64_t month, int64_t day);

#endif
