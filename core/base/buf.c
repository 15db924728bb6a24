/*
 * Growable, capped bytes: bodies, log lines, COPY data, JSON out. The only malloc besides the arena.
 * Must never grow past max, and never lose what was already appended when it refuses.
 */
#include "core/base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *buf, size_t max)
{
	*buf = (struct buf){.max = max};
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->overflowed = false;
	if (buf->data)
		buf->data[0] = '\0';
}

void buf_release(struct buf *buf)
{
	free(buf->data);
	buf_init(buf, buf->max);
}

char *buf_reserve(struct buf *buf, size_t n)
{
	if (buf->overflowed || n > buf->max - buf->len) {
		buf->overflowed = true;
		return NULL;
	}
	size_t need = buf->len + n + 1;
	if (need > buf->room) {
		size_t room = buf->room ? buf->room * 2 : 256;
		if (room > buf->max + 1)
			room = buf->max + 1;
		if (room < need)
			room = need;
		char *data = realloc(buf->data, room);
		if (!data) {
			buf->overflowed = true;
			return NULL;
		}
		buf->data = data;
		buf->room = room;
	}
	return buf->data + buf->len;
}

enum err buf_append(struct buf *buf, const void *bytes, size_t n)
{
	char *to = buf_reserve(buf, n);
	if (!to)
		return ERR_TOO_LARGE;
	if (n)
		memcpy(to, bytes, n);
	buf->len += n;
	buf->data[buf->len] = '\0';
	return OK;
}

enum err buf_append_text(struct buf *buf, const char *text)
{
	return buf_append(buf, text, strlen(text));
}

enum err buf_append_char(struct buf *buf, char c)
{
	char *to = buf_reserve(buf, 1);
	if (!to)
		return ERR_TOO_LARGE;
	*to = c;
	buf->data[++buf->len] = '\0';
	return OK;
}

enum err buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0)
		return ERR_INVALID;
	char *to = buf_reserve(buf, (size_t)length);
	if (!to)
		return ERR_TOO_LARGE;
	va_start(args, format);
	vsnprintf(to, (size_t)length + 1, format, args);
	va_end(args);
	buf->len += (size_t)length;
	return OK;
}

const char *buf_text(const struct buf *buf)
{
	return buf->data ? buf->data : "";
}
