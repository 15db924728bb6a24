/* The reasons of rejections.def. */
#ifndef TIDEGATE_HANDLERS_SYNC_REJECTIONS_H
#define TIDEGATE_HANDLERS_SYNC_REJECTIONS_H

#include "fcgi/problem.h"

enum rejection {
	REJECT_NONE,
#define REJECTION(id, code, en, fr) REJECT_##id,
#include "handlers/sync/rejections.def"
#undef REJECTION
};

const char *rejection_code(enum rejection rejection);

/* The sentence of a code, "" for one that is not known. */
const char *rejection_sentence(const char *code, enum language language);

#endif
