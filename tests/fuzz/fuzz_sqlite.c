/*
 * libFuzzer: the SQLite reader, whole, in this process, on a file in memory. A first byte of 'F' means that the rest is the file;
 * of 'H' that the fields of its header which are the same in every file, and its size, are made right first, so that what is
 * behind the header is reached. What must hold: META first, tables that open and close, frames that the parent accepts, END or
 * FAIL at the end.
 *   clang -fsanitize=fuzzer,address,undefined … tests/fuzz/fuzz_sqlite.c; run on tests/fuzz/seeds/sqlite
 */
#include "core/base/buf.h"
#include "readers/read.h"
#include "readers/sqlite_failures.h"
#include "readers/sqlite_header.h"
#include "readers/values.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 1 << 20 };

static void must(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void set_file(int fd, struct str bytes)
{
	must(ftruncate(fd, 0) == 0);
	must(bytes.n == 0 || pwrite(fd, bytes.p, bytes.n, 0) == (ssize_t)bytes.n);
}

static volatile unsigned seen;

/* Reads every value, so that the sanitizer sees each byte that is given out. */
static uint64_t touch_values(const struct frame *frame, uint32_t cells)
{
	static struct value places[FRAME_CELLS_MAX];
	struct values_cursor cursor;
	struct value_row row;
	values_open(&cursor, frame, places);
	uint64_t rows = cursor.rows;
	must(cursor.cells == cells);
	while (values_next(&cursor, &row)) {
		for (uint32_t i = 0; i < cells; i++) {
			bool bytes = row.values[i].class == VALUE_TEXT || row.values[i].class == VALUE_BLOB || row.values[i].class == VALUE_TEXT_UTF16;
			for (size_t j = 0; bytes && j < row.values[i].bytes.n; j++)
				seen += (unsigned char)row.values[i].bytes.p[j];
		}
	}
	return rows;
}

struct progress {
	struct table_begin table; /* cells 0: none is open */
	uint64_t in_table, rows, next_index;
};

static void check_table_frame(const struct frame *frame, struct progress *p)
{
	if (frame->type == FRAME_TABLE) {
		must(p->table.cells == 0 && values_table_read(frame).index >= p->next_index);
		p->table = values_table_read(frame);
		p->next_index = (uint64_t)p->table.index + 1;
		p->in_table = 0;
	} else if (frame->type == FRAME_VALUES) {
		must(p->table.cells > 0);
		p->in_table += touch_values(frame, p->table.cells);
	} else if (frame->type == FRAME_TABLE_END) {
		struct table_end end = values_table_end_read(frame);
		must(p->table.cells > 0 && end.index == p->table.index && end.rows == p->in_table);
		p->rows += end.rows;
		p->table.cells = 0;
	}
}

static void check_frames(const struct buf *frames)
{
	struct progress progress = {0};
	uint64_t last_row = 0;
	struct frame frame = {FRAME_META, {NULL, 0}};
	for (size_t at = 0; at < frames->len; at += FRAME_HEADER + frame.payload.n) {
		must(frames->len - at >= FRAME_HEADER && frame_header_parse(frames->data + at, &frame.type, &frame.payload.n) == OK);
		frame.payload.p = frames->data + at + FRAME_HEADER;
		must((at == 0) == (frame.type == FRAME_META) || frame.type == FRAME_FAIL);
		must(frame.type != FRAME_ROWS && frame.payload.n <= frames->len - at - FRAME_HEADER && frame_payload_check(&frame, &last_row) == OK);
		check_table_frame(&frame, &progress);
	}
	must(frame.type == FRAME_END || frame.type == FRAME_FAIL);
	if (frame.type == FRAME_END)
		must(progress.table.cells == 0 && frame_end_read(&frame).rows == progress.rows);
	else {
		char code[FRAME_CODE_MAX + 1] = "";
		memcpy(code, frame_failure_read(&frame).code.p, frame_failure_read(&frame).code.n);
		must(sqlite_failure_find(code) != NULL);
	}
}

static void read_all(struct str file, struct buf *frames)
{
	static int input = -1, output = -1;
	if (input < 0) {
		input = memfd_create("input", 0);
		output = memfd_create("output", 0);
		must(input >= 0 && output >= 0 && dup2(input, STDIN_FILENO) == STDIN_FILENO);
	}
	struct read_options options = {.mode = "rows", .file_size = (int64_t)file.n};
	struct frame_writer writer;
	set_file(input, file);
	must(ftruncate(output, 0) == 0 && lseek(output, 0, SEEK_SET) == 0);
	frame_writer_init(&writer, output);
	enum err err = sqlite_read(&options, &writer);
	must(err == OK || err == ERR_TOO_LARGE);
	frame_writer_release(&writer);
	off_t length = lseek(output, 0, SEEK_CUR);
	buf_clear(frames);
	char *to = length >= 0 && length <= (off_t)frames->max ? buf_reserve(frames, (size_t)length) : NULL;
	if (!to)
		return; /* many rows that share large pages: more than is looked at here */
	must(pread(output, to, (size_t)length, 0) == length);
	frames->len = (size_t)length;
	if (err == OK)
		check_frames(frames);
}

/* Magic, versions, fractions and page count; the page size is kept if it is one. */
static struct str mend(struct str file, struct buf *to)
{
	if (file.n < 512)
		return file;
	buf_clear(to);
	buf_append(to, file.p, file.n);
	unsigned page = (unsigned)(unsigned char)to->data[16] << 8 | (unsigned char)to->data[17];
	if (page < 512 || (page & (page - 1)) || page > file.n) {
		page = 512;
		memcpy(to->data + 16, "\2\0", 2);
	}
	memcpy(to->data, "SQLite format 3", 16);
	memcpy(to->data + 18, "\1\1\0\100\40\40", 6);
	memcpy(to->data + 92, to->data + 24, 4);
	size_t pages = file.n / page;
	for (int i = 0; i < 4; i++)
		to->data[28 + i] = (char)(pages >> (24 - 8 * i));
	memcpy(to->data + 44, "\0\0\0\4", 4);
	memcpy(to->data + 56, "\0\0\0", 3);
	to->data[59] = (char)(1 + (unsigned char)to->data[59] % 3);
	return (struct str){to->data, pages * page};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct buf mended, frames;
	if (mended.max == 0) {
		buf_init(&mended, FILE_MAX);
		buf_init(&frames, 32 << 20);
	}
	if (size < 2 || size > FILE_MAX)
		return 0;
	struct str file = {(const char *)data + 1, size - 1};
	if (data[0] == 'H')
		read_all(mend(file, &mended), &frames);
	else if (data[0] == 'F')
		read_all(file, &frames);
	return 0;
}
