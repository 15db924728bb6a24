/* The sentences of sqlite_failures.def. Called by the SQLite reader and by whoever shows why one of its files was refused. */
#ifndef TIDEGATE_READERS_SQLITE_FAILURES_H
#define TIDEGATE_READERS_SQLITE_FAILURES_H

#include "core/base/sentence.h"

/* NULL for a code that is not in the table (those of reader.h and read.c, for example). */
const struct sentence *sqlite_failure_find(const char *code);

#endif
