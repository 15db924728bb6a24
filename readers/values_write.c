/*
 * Typed rows, the child's half: rows gather in the buffer of the frame writer and leave as one VALUES frame. Called by the
 * SQLite reader inside the sandbox (and by tests). Uses write(2) alone.
 * Must never send a frame that frame_payload_check refuses, and never buffer more than one frame.
 */
#include "readers/values.h"

#include "readers/little.h"

#include <string.h>

#define ROW_HEAD 16u

size_t values_row_size(const struct value_row *row, uint32_t cells)
{
	size_t size = ROW_HEAD;
	for (uint32_t i = 0; i < cells; i++) {
		enum value_class class = row->values[i].class;
		size += class == VALUE_NULL ? 1 : class == VALUE_INTEGER || class == VALUE_REAL ? 9 : 5 + row->values[i].bytes.n;
	}
	return size;
}

enum err values_put_table(struct frame_writer *w, const struct table_begin *table)
{
	char payload[8];
	enum err err = frame_flush_rows(w);
	if (err)
		return err;
	put_u32(payload, table->index);
	put_u32(payload + 4, table->cells);
	return frame_send(w->fd, FRAME_TABLE, (struct str){payload, sizeof(payload)});
}

enum err values_put_table_end(struct frame_writer *w, const struct table_end *end)
{
	char payload[20];
	enum err err = frame_flush_rows(w);
	if (err)
		return err;
	put_u32(payload, end->index);
	put_u64(payload + 4, end->rows);
	put_u64(payload + 12, end->left_out);
	return frame_send(w->fd, FRAME_TABLE_END, (struct str){payload, sizeof(payload)});
}

/* Room for the row in the frame being filled. NULL when memory is out. */
static char *room_for(struct frame_writer *w, size_t size, uint32_t cells)
{
	if (w->row_count == 0) {
		buf_clear(&w->rows);
		char *start = buf_reserve(&w->rows, FRAME_HEADER + VALUES_HEAD);
		if (!start)
			return NULL;
		memset(start, 0, FRAME_HEADER + VALUES_HEAD);
		put_u32(start + FRAME_HEADER + 4, cells);
		w->rows.len = FRAME_HEADER + VALUES_HEAD;
		w->batch = FRAME_VALUES;
	}
	return buf_reserve(&w->rows, size);
}

static char *put_cell(char *to, const struct value *value)
{
	*to++ = (char)value->class;
	if (value->class == VALUE_NULL)
		return to;
	if (value->class == VALUE_INTEGER || value->class == VALUE_REAL) {
		uint64_t bits = 0;
		memcpy(&bits, &value->integer, sizeof(bits)); /* both members are these eight bytes */
		put_u64(to, bits);
		return to + 8;
	}
	put_u32(to, (uint32_t)value->bytes.n);
	if (value->bytes.n)
		memcpy(to + 4, value->bytes.p, value->bytes.n);
	return to + 4 + value->bytes.n;
}

enum err values_put_row(struct frame_writer *w, const struct value_row *row, uint32_t cells)
{
	if (cells == 0 || cells > FRAME_CELLS_MAX)
		return ERR_TOO_LARGE;
	size_t size = values_row_size(row, cells);
	if (size > VALUES_ROW_MAX)
		return ERR_TOO_LARGE;
	if (w->row_count && w->rows.len + size > w->batch_bytes) {
		enum err err = frame_flush_rows(w);
		if (err)
			return err;
	}
	char *to = room_for(w, size, cells);
	if (!to)
		return ERR_TOO_LARGE;
	put_u64(to, row->number);
	put_u64(to + 8, (uint64_t)row->key);
	to += ROW_HEAD;
	for (uint32_t i = 0; i < cells; i++)
		to = put_cell(to, &row->values[i]);
	w->rows.len += size;
	w->row_count++;
	return OK;
}
