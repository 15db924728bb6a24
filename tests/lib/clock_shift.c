/* Preloaded into a process of ours: its wall clock is CLOCK_SHIFT seconds ahead (behind, when negative). Called by tests/http/test_backups_alerts.py. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long seconds(const char *text)
{
	long value = 0;
	const char *c = text && *text == '-' ? text + 1 : text;
	for (; c && *c >= '0' && *c <= '9'; c++)
		value = value * 10 + (*c - '0');
	return text && *text == '-' ? -value : value;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the names of the C library are reserved. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	long rc = syscall(SYS_clock_gettime, clock, ts);
	if (rc == 0 && clock == CLOCK_REALTIME)
		ts->tv_sec += seconds(getenv("CLOCK_SHIFT"));
	return (int)rc;
}
