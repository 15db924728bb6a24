/* Preloaded into a process of ours: its wall clock is CLOCK_SHIFT seconds ahead (behind, when negative). Called by tests/http/test_backups_alerts.py. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	const char *shift = getenv("CLOCK_SHIFT");
	long rc = syscall(SYS_clock_gettime, clock, ts);
	if (rc == 0 && clock == CLOCK_REALTIME && shift)
		ts->tv_sec += atol(shift);
	return (int)rc;
}
