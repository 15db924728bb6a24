/*
 * The ends of streams: files. Called wherever bytes are written, or passed on, without being looked at.
 * Must never call a write done that was done in part.
 */
#include "core/base/sink.h"

#include <errno.h>
#include <unistd.h>

enum { PIECE = 1 << 16 };

static enum err put_file(void *context, const void *bytes, size_t n)
{
	const char *from = bytes;
	while (n) {
		ssize_t done = write(*(const int *)context, from, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return ERR_IO;
		from += done;
		n -= (size_t)done;
	}
	return OK;
}

struct sink sink_file(int *fd)
{
	return (struct sink){put_file, fd};
}

enum err sink_pour(int fd, struct sink to)
{
	char piece[PIECE];
	for (;;) {
		ssize_t n = read(fd, piece, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? ERR_IO : OK;
		enum err err = sink_put(&to, piece, (size_t)n);
		if (err)
			return err;
	}
}
