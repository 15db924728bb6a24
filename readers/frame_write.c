/*
 * Frames, the child's half: rows gather in one buffer and leave as one ROWS frame; everything else is sent at once.
 * Called by the readers inside the sandbox (and by tests). Uses write(2) alone.
 * Must never send a frame that frame_payload_check refuses, and never buffer more than one frame.
 */
#include "readers/frame.h"

#include "readers/little.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void put_header(char to[FRAME_HEADER], enum frame_type type, size_t length)
{
	memcpy(to, "TGF1", 4);
	to[4] = (char)type;
	memset(to + 5, 0, 3);
	put_u32(to + 8, (uint32_t)length);
}

static enum err write_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t written = write(fd, bytes, n);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return ERR_IO;
		bytes += written;
		n -= (size_t)written;
	}
	return OK;
}

enum err frame_send(int fd, enum frame_type type, struct str payload)
{
	if (payload.n > FRAME_PAYLOAD_MAX)
		return ERR_TOO_LARGE;
	char header[FRAME_HEADER];
	put_header(header, type, payload.n);
	enum err err = write_all(fd, header, sizeof(header));
	return err ? err : write_all(fd, payload.p, payload.n);
}

void frame_writer_init(struct frame_writer *w, int fd)
{
	*w = (struct frame_writer){.fd = fd, .batch_bytes = FRAME_BATCH_DEFAULT, .batch = FRAME_ROWS};
	buf_init(&w->rows, FRAME_HEADER + FRAME_PAYLOAD_MAX);
}

void frame_writer_release(struct frame_writer *w)
{
	buf_release(&w->rows);
}

size_t frame_row_size(const struct frame_row *row)
{
	size_t size = 24 + 4 * (size_t)row->cell_count;
	for (uint32_t i = 0; i < row->cell_count; i++)
		size += row->cells[i].n;
	return size;
}

enum err frame_flush_rows(struct frame_writer *w)
{
	if (w->row_count == 0)
		return OK;
	put_header(w->rows.data, w->batch, w->rows.len - FRAME_HEADER);
	put_u32(w->rows.data + FRAME_HEADER, w->row_count);
	enum err err = write_all(w->fd, w->rows.data, w->rows.len);
	w->rows_sent += w->row_count;
	w->row_count = 0;
	buf_clear(&w->rows);
	return err;
}

/* Room for the row in the frame being filled. NULL when memory is out. */
static char *row_room(struct frame_writer *w, size_t size)
{
	if (w->row_count == 0) {
		buf_clear(&w->rows);
		char *start = buf_reserve(&w->rows, FRAME_HEADER + 4);
		if (!start)
			return NULL;
		memset(start, 0, FRAME_HEADER + 4);
		w->rows.len = FRAME_HEADER + 4;
		w->batch = FRAME_ROWS;
	}
	return buf_reserve(&w->rows, size);
}

enum err frame_put_row(struct frame_writer *w, const struct frame_row *row)
{
	size_t size = frame_row_size(row);
	if (size > FRAME_PAYLOAD_MAX - 4 || row->cell_count > FRAME_CELLS_MAX)
		return ERR_TOO_LARGE;
	if (w->row_count && w->rows.len + size > w->batch_bytes) {
		enum err err = frame_flush_rows(w);
		if (err)
			return err;
	}
	char *to = row_room(w, size);
	if (!to)
		return ERR_TOO_LARGE;
	put_u64(to, row->number);
	put_u64(to + 8, row->offset);
	put_u32(to + 16, row->flags);
	put_u32(to + 20, row->cell_count);
	char *length = to + 24, *bytes = length + 4 * (size_t)row->cell_count;
	for (uint32_t i = 0; i < row->cell_count; i++, length += 4) {
		put_u32(length, row->cells[i].p ? (uint32_t)row->cells[i].n : FRAME_NO_CELL);
		if (row->cells[i].p)
			memcpy(bytes, row->cells[i].p, row->cells[i].n);
		bytes += row->cells[i].n;
	}
	w->rows.len += size;
	w->row_count++;
	return OK;
}

enum err frame_put_meta(struct frame_writer *w, struct str json)
{
	return frame_send(w->fd, FRAME_META, json);
}

enum err frame_put_note(struct frame_writer *w, uint64_t row, const char *code)
{
	if (w->notes++ >= FRAME_NOTES_MAX)
		return OK;
	char payload[8 + FRAME_CODE_MAX];
	size_t n = strnlen(code, FRAME_CODE_MAX);
	put_u64(payload, row);
	memcpy(payload + 8, code, n);
	return frame_send(w->fd, FRAME_NOTE, (struct str){payload, 8 + n});
}

enum err frame_put_end(struct frame_writer *w, const struct frame_end *end)
{
	enum err err = frame_flush_rows(w);
	if (err)
		return err;
	const uint64_t values[] = {w->rows_sent, end->empty, end->records, end->bytes, w->notes};
	char payload[sizeof(values)];
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		put_u64(payload + 8 * i, values[i]);
	return frame_send(w->fd, FRAME_END, (struct str){payload, sizeof(payload)});
}

enum err frame_put_fail(struct frame_writer *w, const char *code, const char *message)
{
	enum err err = frame_flush_rows(w);
	if (err)
		return err;
	char payload[4 + FRAME_CODE_MAX + FRAME_MESSAGE_MAX];
	size_t code_length = strnlen(code, FRAME_CODE_MAX), message_length = strnlen(message, FRAME_MESSAGE_MAX);
	put_u32(payload, (uint32_t)code_length);
	memcpy(payload + 4, code, code_length);
	memcpy(payload + 4 + code_length, message, message_length);
	return frame_send(w->fd, FRAME_FAIL, (struct str){payload, 4 + code_length + message_length});
}
