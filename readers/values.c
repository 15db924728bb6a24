/*
 * Typed rows, the parent's half: check of a whole payload, then reading without a copy. Called by frame.c, by whoever takes
 * rows of tables, by tests and the fuzzer. Everything here is fed by a process that parsed strangers' bytes: must never read
 * a byte that a checked length does not cover, nor give out a double that is not a number.
 */
#include "readers/values.h"

#include "readers/little.h"

#include <string.h>

#define ROW_HEAD 16u

bool values_check_table(struct str payload, uint64_t *last_row)
{
	if (payload.n != 8 || get_u32(payload.p + 4) == 0 || get_u32(payload.p + 4) > FRAME_CELLS_MAX)
		return false;
	*last_row = 0;
	return true;
}

bool values_check_table_end(struct str payload, uint64_t *last_row)
{
	(void)last_row;
	return payload.n == 20;
}

static bool is_nan(uint64_t bits)
{
	return (bits & UINT64_C(0x7fffffffffffffff)) > UINT64_C(0x7ff0000000000000);
}

/* Bytes of the cell that begins here; 0 when it is none. left: bytes from here to the end. */
static size_t cell_size(const char *at, size_t left)
{
	switch ((unsigned char)at[0]) {
	case VALUE_NULL:
		return 1;
	case VALUE_INTEGER:
		return left >= 9 ? 9 : 0;
	case VALUE_REAL:
		return left >= 9 && !is_nan(get_u64(at + 1)) ? 9 : 0;
	case VALUE_TEXT:
	case VALUE_BLOB:
	case VALUE_TEXT_UTF16:
		return left >= 5 && left - 5 >= get_u32(at + 1) ? 5 + (size_t)get_u32(at + 1) : 0;
	default:
		return 0;
	}
}

bool values_check(struct str payload, uint64_t *last_row)
{
	if (payload.n < VALUES_HEAD)
		return false;
	uint32_t rows = get_u32(payload.p), cells = get_u32(payload.p + 4);
	if (rows == 0 || cells == 0 || cells > FRAME_CELLS_MAX)
		return false;
	const char *at = payload.p + VALUES_HEAD, *end = payload.p + payload.n;
	for (; rows; rows--) {
		if ((size_t)(end - at) < ROW_HEAD || get_u64(at) <= *last_row)
			return false;
		*last_row = get_u64(at);
		at += ROW_HEAD;
		for (uint32_t i = 0; i < cells; i++) {
			size_t size = at < end ? cell_size(at, (size_t)(end - at)) : 0;
			if (size == 0)
				return false;
			at += size;
		}
	}
	return at == end;
}

struct table_begin values_table_read(const struct frame *frame)
{
	return (struct table_begin){get_u32(frame->payload.p), get_u32(frame->payload.p + 4)};
}

struct table_end values_table_end_read(const struct frame *frame)
{
	return (struct table_end){get_u32(frame->payload.p), get_u64(frame->payload.p + 4), get_u64(frame->payload.p + 12)};
}

void values_open(struct values_cursor *cursor, const struct frame *frame, struct value *values)
{
	const char *p = frame->payload.p;
	*cursor = (struct values_cursor){p + VALUES_HEAD, get_u32(p), get_u32(p + 4), values};
}

static const char *read_cell(const char *at, struct value *value)
{
	value->class = (enum value_class)at[0];
	if (value->class == VALUE_NULL) {
		value->integer = 0;
		return at + 1;
	}
	if (value->class == VALUE_INTEGER || value->class == VALUE_REAL) {
		uint64_t bits = get_u64(at + 1);
		memcpy(&value->integer, &bits, sizeof(bits)); /* both members are these eight bytes */
		return at + 9;
	}
	value->bytes = (struct str){at + 5, get_u32(at + 1)};
	return at + 5 + value->bytes.n;
}

bool values_next(struct values_cursor *cursor, struct value_row *row)
{
	if (cursor->rows == 0)
		return false;
	uint64_t key = get_u64(cursor->at + 8);
	*row = (struct value_row){.number = get_u64(cursor->at), .values = cursor->values};
	memcpy(&row->key, &key, sizeof(key));
	cursor->at += ROW_HEAD;
	for (uint32_t i = 0; i < cursor->cells; i++)
		cursor->at = read_cell(cursor->at, &cursor->values[i]);
	cursor->rows--;
	return true;
}
