/*
 * Frames, the parent's half: header, check of a whole payload, then reading without a copy. Called by reader.c, tests
 * and the fuzzer. Everything here is fed by a process that parsed strangers' bytes and may be in their hands: must
 * never read a byte that a checked length does not cover, and never let through text that is not UTF-8.
 */
#include "readers/frame.h"

#include "readers/little.h"
#include "readers/values.h"

#include <string.h>

static const struct {
	unsigned flag;
	const char *name;
} row_flags[] = {
	{ROW_FLAG_SHORT, "short_row"},
	{ROW_FLAG_LONG, "long_row"},
	{ROW_FLAG_INVALID_BYTES, "invalid_bytes"},
	{ROW_FLAG_MIXED_ENCODING, "mixed_encoding"},
	{ROW_FLAG_NUL_REMOVED, "nul_removed"},
	{ROW_FLAG_FIELD_TOO_LONG, "field_too_long"},
	{ROW_FLAG_UNCLOSED_QUOTE, "unclosed_quote"},
	{ROW_FLAG_RECORD_TOO_LONG, "record_too_long"},
};

const char *row_flag_name(unsigned flag)
{
	for (size_t i = 0; i < sizeof(row_flags) / sizeof(row_flags[0]); i++) {
		if (row_flags[i].flag == flag)
			return row_flags[i].name;
	}
	return NULL;
}

/* Takes n bytes off the front. False, with nothing taken, when there are fewer. */
static bool take(struct str *rest, size_t n, const char **ret)
{
	if (n > rest->n)
		return false;
	*ret = rest->p;
	rest->p += n;
	rest->n -= n;
	return true;
}

enum err frame_header_parse(const char *header, enum frame_type *ret_type, size_t *ret_length)
{
	static const char zeros[3];
	unsigned type = (unsigned char)header[4];
	uint32_t length = get_u32(header + 8);
	if (memcmp(header, "TGF1", 4) != 0 || memcmp(header + 5, zeros, 3) != 0)
		return ERR_INVALID;
	if (type < FRAME_META || type >= FRAME_TYPE_COUNT || length > FRAME_PAYLOAD_MAX)
		return ERR_INVALID;
	*ret_type = (enum frame_type)type;
	*ret_length = length;
	return OK;
}

static bool text_is_clean(const char *bytes, size_t n)
{
	return n == 0 || (!memchr(bytes, 0, n) && utf8_valid(bytes, n));
}

static bool code_is_clean(struct str code)
{
	for (size_t i = 0; i < code.n; i++) {
		char c = code.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return code.n > 0 && code.n <= FRAME_CODE_MAX;
}

static bool check_row(struct str *rest, uint64_t *last_row)
{
	const char *fixed = NULL, *lengths = NULL, *bytes = NULL;
	if (!take(rest, 24, &fixed))
		return false;
	uint64_t number = get_u64(fixed);
	uint32_t flags = get_u32(fixed + 16), cells = get_u32(fixed + 20);
	if (number <= *last_row || (flags & ~(uint32_t)ROW_FLAG_ALL) || cells > FRAME_CELLS_MAX || !take(rest, 4 * (size_t)cells, &lengths))
		return false;
	for (uint32_t i = 0; i < cells; i++) {
		uint32_t n = get_u32(lengths + 4 * (size_t)i);
		if (n != FRAME_NO_CELL && (!take(rest, n, &bytes) || !text_is_clean(bytes, n)))
			return false;
	}
	*last_row = number;
	return true;
}

static bool check_rows(struct str payload, uint64_t *last_row)
{
	const char *count = NULL;
	if (!take(&payload, 4, &count))
		return false;
	for (uint32_t left = get_u32(count); left; left--) {
		if (!check_row(&payload, last_row))
			return false;
	}
	return payload.n == 0;
}

static bool check_meta(struct str payload, uint64_t *last_row)
{
	(void)last_row;
	return payload.n > 0 && text_is_clean(payload.p, payload.n);
}

static bool check_note(struct str payload, uint64_t *last_row)
{
	(void)last_row;
	return payload.n > 8 && code_is_clean((struct str){payload.p + 8, payload.n - 8});
}

static bool check_end(struct str payload, uint64_t *last_row)
{
	(void)last_row;
	return payload.n == 5 * sizeof(uint64_t);
}

static bool check_fail(struct str payload, uint64_t *last_row)
{
	(void)last_row;
	const char *length = NULL, *code = NULL;
	if (!take(&payload, 4, &length) || !take(&payload, get_u32(length), &code))
		return false;
	return code_is_clean((struct str){code, get_u32(length)}) && payload.n <= FRAME_MESSAGE_MAX && text_is_clean(payload.p, payload.n);
}

enum err frame_payload_check(const struct frame *frame, uint64_t *last_row)
{
	static bool (*const checks[FRAME_TYPE_COUNT])(struct str, uint64_t *) = {
		[FRAME_META] = check_meta, [FRAME_ROWS] = check_rows, [FRAME_NOTE] = check_note, [FRAME_END] = check_end, [FRAME_FAIL] = check_fail,
		[FRAME_TABLE] = values_check_table, [FRAME_VALUES] = values_check, [FRAME_TABLE_END] = values_check_table_end};
	if (frame->type < FRAME_META || frame->type >= FRAME_TYPE_COUNT || frame->payload.n > FRAME_PAYLOAD_MAX)
		return ERR_INVALID;
	return checks[frame->type](frame->payload, last_row) ? OK : ERR_INVALID;
}

void frame_rows_open(struct frame_cursor *cursor, const struct frame *frame, struct str *cells)
{
	*cursor = (struct frame_cursor){{frame->payload.p + 4, frame->payload.n - 4}, get_u32(frame->payload.p), cells};
}

bool frame_row_next(struct frame_cursor *cursor, struct frame_row *row)
{
	if (cursor->rows_left == 0)
		return false;
	const char *p = cursor->rest.p;
	*row = (struct frame_row){get_u64(p), get_u64(p + 8), get_u32(p + 16), get_u32(p + 20), cursor->cells};
	const char *bytes = p + 24 + 4 * (size_t)row->cell_count;
	for (uint32_t i = 0; i < row->cell_count; i++) {
		uint32_t n = get_u32(p + 24 + 4 * (size_t)i);
		cursor->cells[i] = n == FRAME_NO_CELL ? (struct str){NULL, 0} : (struct str){bytes, n};
		bytes += cursor->cells[i].n;
	}
	cursor->rest.n -= (size_t)(bytes - p);
	cursor->rest.p = bytes;
	cursor->rows_left--;
	return true;
}

struct frame_note frame_note_read(const struct frame *frame)
{
	return (struct frame_note){get_u64(frame->payload.p), {frame->payload.p + 8, frame->payload.n - 8}};
}

struct frame_end frame_end_read(const struct frame *frame)
{
	const char *p = frame->payload.p;
	return (struct frame_end){get_u64(p), get_u64(p + 8), get_u64(p + 16), get_u64(p + 24), get_u64(p + 32)};
}

struct frame_failure frame_failure_read(const struct frame *frame)
{
	uint32_t n = get_u32(frame->payload.p);
	return (struct frame_failure){{frame->payload.p + 4, n}, {frame->payload.p + 4 + n, frame->payload.n - 4 - n}};
}
