/* The sentences of failures.def. */
#ifndef TIDEGATE_HANDLERS_BACKUPS_FAILURES_H
#define TIDEGATE_HANDLERS_BACKUPS_FAILURES_H

#include "fcgi/problem.h"

/* Never NULL: a code without a sentence of its own gets the one of "internal". */
const char *backup_failure_sentence(const char *code, enum language language);

#endif
