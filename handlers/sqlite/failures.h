/* The sentences of failures.def and warnings.def. */
#ifndef TIDEGATE_HANDLERS_SQLITE_FAILURES_H
#define TIDEGATE_HANDLERS_SQLITE_FAILURES_H

#include "fcgi/problem.h"

/* Never NULL: a reason without a sentence of its own gets the one of "internal". */
const char *sqlite_failure_sentence(const char *reason, enum language language);
const char *sqlite_warning_sentence(const char *code, enum language language);

/* The class of a reason: INVALID_INPUT, INVALID_SQLITE, INVALID_SCHEMA, INVALID_ROW, PARSE_FAILED or PARSER_INIT_FAILED. */
const char *sqlite_failure_class(const char *reason);

/* Is this a class? */
bool sqlite_class_known(const char *class);

#endif
