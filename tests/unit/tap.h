/*
 * TAP for C unit tests (https://testanything.org): ok / is / done. A failed comparison prints expected and got.
 * A test program is a main() that calls these and returns tap_done().
 */
#ifndef TIDEGATE_TESTS_TAP_H
#define TIDEGATE_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((unused, format(printf, 2, 3))) static bool ok(bool pass, const char *format, ...)
{
	va_list args;
	printf("%sok %d - ", pass ? "" : "not ", ++tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	tap_failed += !pass;
	fflush(stdout);
	return pass;
}

__attribute__((unused)) static bool is_text(const char *got, const char *expected, const char *name)
{
	bool pass = got && expected ? strcmp(got, expected) == 0 : got == expected;
	ok(pass, "%s", name);
	if (!pass)
		printf("#      got: %s\n# expected: %s\n", got ? got : "(null)", expected ? expected : "(null)");
	return pass;
}

__attribute__((unused)) static bool is_i64(int64_t got, int64_t expected, const char *name)
{
	bool pass = ok(got == expected, "%s", name);
	if (!pass)
		printf("#      got: %lld\n# expected: %lld\n", (long long)got, (long long)expected);
	return pass;
}

__attribute__((unused)) static int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

#endif
