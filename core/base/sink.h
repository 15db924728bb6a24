/*
 * Where bytes go that are made piece by piece: the stages of a stream (compress, encrypt, write) each take a sink and are one.
 * put takes all n bytes or fails, and what failed once is not called again. n may be 0.
 */
#ifndef TIDEGATE_CORE_BASE_SINK_H
#define TIDEGATE_CORE_BASE_SINK_H

#include "core/base/err.h"

#include <stddef.h>

struct sink {
	enum err (*put)(void *context, const void *bytes, size_t n);
	void *context;
};

static inline enum err sink_put(const struct sink *sink, const void *bytes, size_t n)
{
	return sink->put(sink->context, bytes, n);
}

/* Writes to a file, a pipe or a terminal; *fd stays the caller's. ERR_IO, with errno. */
struct sink sink_file(int *fd);

/* Everything that fd still has goes into the sink. ERR_IO when it cannot be read; otherwise what the sink says. */
enum err sink_pour(int fd, struct sink to) MUST_USE;

#endif
