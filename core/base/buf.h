/*
 * Growable bytes with a mandatory maximum. A buf that would pass its maximum keeps what it has, remembers the refusal
 * (`overflowed`) and refuses everything after it, so a long series of appends needs one check at its end.
 * The bytes are always followed by a NUL that is not counted.
 */
#ifndef TIDEGATE_CORE_BASE_BUF_H
#define TIDEGATE_CORE_BASE_BUF_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data; /* NULL until the first append */
	size_t len;
	size_t room; /* bytes allocated */
	size_t max;  /* len never passes this */
	bool overflowed;
};

/* Empty buffer of at most max bytes; allocates nothing. */
void buf_init(struct buf *buf, size_t max);

/* Empties it and keeps the memory. */
void buf_clear(struct buf *buf);

/* Gives the memory back; the buffer is as after buf_init. */
void buf_release(struct buf *buf);

/* ERR_TOO_LARGE once the maximum is reached or memory is out; see above. */
enum err buf_append(struct buf *buf, const void *bytes, size_t n);
enum err buf_append_text(struct buf *buf, const char *text);
enum err buf_append_char(struct buf *buf, char c);
enum err buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* Makes room for n more bytes and returns where they go (then add to len yourself), or NULL. */
char *buf_reserve(struct buf *buf, size_t n) MUST_USE;

/* The text so far, "" when nothing was appended. */
const char *buf_text(const struct buf *buf);

#endif
