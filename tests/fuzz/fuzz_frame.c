/*
 * libFuzzer: what the parent does with the bytes of a child. Any header and payload: refused, or read without touching a byte outside.
 *   clang -fsanitize=fuzzer,address,undefined … tests/fuzz/fuzz_frame.c; run on tests/fuzz/seeds/frame
 */
#include "readers/frame.h"
#include "readers/values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t seen;

static void touch(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		seen += (unsigned char)s.p[i];
}

static void read_rows(const struct frame *frame)
{
	static struct str places[FRAME_CELLS_MAX];
	struct frame_cursor cursor;
	struct frame_row row;
	uint64_t last = 0;
	frame_rows_open(&cursor, frame, places);
	while (frame_row_next(&cursor, &row)) {
		if (row.number <= last || row.cell_count > FRAME_CELLS_MAX)
			__builtin_trap();
		last = row.number;
		for (uint32_t i = 0; i < row.cell_count; i++)
			touch(row.cells[i]);
	}
	if (cursor.rest.n)
		__builtin_trap();
}

static void read_values(const struct frame *frame)
{
	static struct value places[FRAME_CELLS_MAX];
	struct values_cursor cursor;
	struct value_row row;
	uint64_t last = 0;
	values_open(&cursor, frame, places);
	while (values_next(&cursor, &row)) {
		if (row.number <= last)
			__builtin_trap();
		last = row.number;
		for (uint32_t i = 0; i < cursor.cells; i++) {
			const struct value *value = &row.values[i];
			if (value->class == VALUE_REAL && value->real != value->real)
				__builtin_trap();
			if (value->class == VALUE_TEXT || value->class == VALUE_BLOB || value->class == VALUE_TEXT_UTF16)
				touch(value->bytes);
		}
	}
	if (cursor.at != frame->payload.p + frame->payload.n)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = {(const char *)data, size};
	uint64_t last_row = 0;
	while (rest.n >= FRAME_HEADER) {
		struct frame frame = {FRAME_META, {NULL, 0}};
		size_t length = 0;
		if (frame_header_parse(rest.p, &frame.type, &length) || length > rest.n - FRAME_HEADER)
			return 0;
		frame.payload = (struct str){rest.p + FRAME_HEADER, length};
		rest = (struct str){rest.p + FRAME_HEADER + length, rest.n - FRAME_HEADER - length};
		if (frame_payload_check(&frame, &last_row))
			return 0;
		touch(frame.payload);
		if (frame.type == FRAME_ROWS)
			read_rows(&frame);
		else if (frame.type == FRAME_VALUES)
			read_values(&frame);
		else if (frame.type == FRAME_NOTE)
			touch(frame_note_read(&frame).code);
		else if (frame.type == FRAME_FAIL)
			touch(frame_failure_read(&frame).message);
		else if (frame.type == FRAME_END)
			seen += frame_end_read(&frame).rows;
	}
	return 0;
}
