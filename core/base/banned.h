/* Included before every file of ours: calls that have no safe use here become compile errors. */
#ifndef TIDEGATE_CORE_BASE_BANNED_H
#define TIDEGATE_CORE_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* libpq's header mentions strtoul in a macro, so it must be seen before the name is poisoned. */
#if __has_include(<postgres_ext.h>)
#include <postgres_ext.h>
#endif

/* With _FORTIFY_SOURCE and clang, glibc defines some of these as macros, which cannot be poisoned. */
#undef sprintf
#undef vsprintf
#undef strcpy
#undef strcat
#undef strncpy
#undef strncat

#pragma GCC poison strcpy strcat strncpy strncat strtok sprintf vsprintf gets
#pragma GCC poison gmtime localtime ctime asctime mktemp tmpnam
#pragma GCC poison strtol strtoul strtoll strtoull atoi atol atoll atof

#endif
