/*
 * Why a file cannot be read. Deep inside a reader a function refuses with a code and returns ERR_INVALID; the top of the
 * reader turns the code into the FAIL frame. ERR_INVALID always comes with a code; other errors are not about the file.
 */
#ifndef TIDEGATE_READERS_REFUSAL_H
#define TIDEGATE_READERS_REFUSAL_H

#include "core/base/err.h"

struct refusal {
	const char *code; /* a literal; NULL: not refused */
};

/* The first code stands. */
static inline enum err refuse(struct refusal *refusal, const char *code)
{
	if (!refusal->code)
		refusal->code = code;
	return ERR_INVALID;
}

#endif
