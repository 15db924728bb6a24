/*
 * The frame protocol: what is written comes back the same; every way of lying is refused.
 */
#include "readers/frame.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <unistd.h>

static char stored[4 << 20];

/* What the writer sent to the pipe so far. */
static struct str drain(int fd)
{
	size_t n = 0;
	for (ssize_t got; (got = read(fd, stored + n, sizeof(stored) - n)) > 0;)
		n += (size_t)got;
	return (struct str){stored, n};
}

/* Takes one checked frame off the front. */
static enum err next_frame(struct str *rest, struct frame *frame, uint64_t *last_row)
{
	size_t length = 0;
	if (rest->n < FRAME_HEADER || frame_header_parse(rest->p, &frame->type, &length) || rest->n < FRAME_HEADER + length)
		return ERR_INVALID;
	frame->payload = (struct str){rest->p + FRAME_HEADER, length};
	*rest = (struct str){rest->p + FRAME_HEADER + length, rest->n - FRAME_HEADER - length};
	return frame_payload_check(frame, last_row);
}

static void test_round_trip(void)
{
	int ends[2];
	struct frame_writer w;
	struct frame frame = {0};
	uint64_t last_row = 0;
	if (pipe2(ends, O_NONBLOCK))
		return;
	frame_writer_init(&w, ends[1]);
	const struct str cells[] = {STR("a"), STR(""), {NULL, 0}, STR("né")};
	enum err err = frame_put_meta(&w, STR("{}"));
	for (uint64_t number = 3; number < 1000 && !err; number += 2)
		err = frame_put_row(&w, &(struct frame_row){number, number * 100, ROW_FLAG_SHORT, 4, cells});
	if (!err)
		err = frame_put_note(&w, 7, "unclosed_quote");
	if (!err)
		err = frame_put_end(&w, &(struct frame_end){0, 2, 1000, 4444, 0});
	ok(err == OK, "frames are sent");
	struct str rest = drain(ends[0]);
	ok(next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_META && str_equal_text(frame.payload, "{}"), "META");
	ok(next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_NOTE, "NOTE");
	ok(frame_note_read(&frame).row == 7 && str_equal_text(frame_note_read(&frame).code, "unclosed_quote"), "its row and code");
	ok(next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_ROWS && last_row == 999, "ROWS, many in one frame");
	static struct str places[FRAME_CELLS_MAX];
	struct frame_cursor cursor;
	struct frame_row row;
	uint64_t expected = 3;
	bool same = true;
	frame_rows_open(&cursor, &frame, places);
	for (; frame_row_next(&cursor, &row); expected += 2) {
		same = same && row.number == expected && row.offset == expected * 100 && row.flags == ROW_FLAG_SHORT && row.cell_count == 4;
		same = same && str_equal(row.cells[0], cells[0]) && row.cells[1].p && row.cells[1].n == 0 && !row.cells[2].p && str_equal(row.cells[3], cells[3]);
	}
	ok(same && expected == 1001, "rows and cells come back");
	ok(next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_END, "END");
	struct frame_end end = frame_end_read(&frame);
	ok(end.rows == 499 && end.empty == 2 && end.records == 1000 && end.bytes == 4444 && end.notes == 1, "its counts");
	ok(rest.n == 0, "nothing after it");
	err = frame_put_fail(&w, "empty_file", "The file is empty.");
	rest = drain(ends[0]);
	ok(err == OK && next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_FAIL, "FAIL");
	ok(str_equal_text(frame_failure_read(&frame).code, "empty_file") && str_equal_text(frame_failure_read(&frame).message, "The file is empty."), "its code and message");
	frame_writer_release(&w);
	close(ends[0]);
	close(ends[1]);
}

static void test_sizes(void)
{
	static char big[FRAME_PAYLOAD_MAX];
	struct frame_writer w;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	frame_writer_init(&w, null);
	memset(big, 'x', sizeof(big));
	struct str cell = {big, FRAME_PAYLOAD_MAX - 4 - 28};
	struct frame_row row = {1, 0, 0, 1, &cell};
	ok(frame_put_row(&w, &row) == OK, "the largest row fits");
	cell.n++;
	ok(frame_put_row(&w, &row) == ERR_TOO_LARGE, "a byte more does not");
	row.cell_count = FRAME_CELLS_MAX + 1;
	ok(frame_send(null, FRAME_META, (struct str){big, FRAME_PAYLOAD_MAX + 1}) == ERR_TOO_LARGE, "nor any other frame");
	for (unsigned i = 0; i < FRAME_NOTES_MAX + 10; i++) {
		if (frame_put_note(&w, i, "x"))
			break;
	}
	ok(w.notes == FRAME_NOTES_MAX + 10, "notes past the cap are counted");
	frame_writer_release(&w);
	close(null);
}

#define ROW "\x05\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0"

static const struct {
	const char *name;
	enum frame_type type;
	struct str payload;
	enum err expected;
} payloads[] = {
	{"empty META", FRAME_META, {"", 0}, ERR_INVALID},
	{"META that is no UTF-8", FRAME_META, {"\"\xe9\"", 3}, ERR_INVALID},
	{"no rows", FRAME_ROWS, {"\0\0\0\0", 4}, OK},
	{"no row count", FRAME_ROWS, {"\0\0\0", 3}, ERR_INVALID},
	{"more rows said than there are", FRAME_ROWS, {"\2\0\0\0" ROW "\0\0\0\0" "\0\0\0\0", 28}, ERR_INVALID},
	{"bytes after the last row", FRAME_ROWS, {"\1\0\0\0" ROW "\0\0\0\0" "\0\0\0\0" "x", 29}, ERR_INVALID},
	{"a row without cells", FRAME_ROWS, {"\1\0\0\0" ROW "\0\0\0\0" "\0\0\0\0", 28}, OK},
	{"row number 0", FRAME_ROWS, {"\1\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0" "\0\0\0\0", 28}, ERR_INVALID},
	{"a row number twice", FRAME_ROWS, {"\2\0\0\0" ROW "\0\0\0\0" "\0\0\0\0" ROW "\0\0\0\0" "\0\0\0\0", 52}, ERR_INVALID},
	{"unknown flag", FRAME_ROWS, {"\1\0\0\0" ROW "\0\1\0\0" "\0\0\0\0", 28}, ERR_INVALID},
	{"too many cells", FRAME_ROWS, {"\1\0\0\0" ROW "\0\0\0\0" "\1\x10\0\0", 28}, ERR_INVALID},
	{"a cell", FRAME_ROWS, {"\1\0\0\0" ROW "\0\0\0\0" "\1\0\0\0" "\1\0\0\0" "x", 33}, OK},
	{"a cell longer than the frame", FRAME_ROWS, {"\1\0\0\0" ROW "\0\0\0\0" "\1\0\0\0" "\2\0\0\0" "x", 33}, ERR_INVALID},
	{"a cell of 4 GiB", FRAME_ROWS, {"\1\0\0\0" ROW "\0\0\0\0" "\1\0\0\0" "\xfe\xff\xff\xff" "x", 33}, ERR_INVALID},
	{"a cell that is not there", FRAME_ROWS, {"\1\0\0\0" ROW "\0\0\0\0" "\1\0\0\0" "\xff\xff\xff\xff", 32}, OK},
	{"a cell with NUL", FRAME_ROWS, {"\1\0\0\0" ROW "\0\0\0\0" "\1\0\0\0" "\1\0\0\0" "\0", 33}, ERR_INVALID},
	{"a cell that is no UTF-8", FRAME_ROWS, {"\1\0\0\0" ROW "\0\0\0\0" "\1\0\0\0" "\1\0\0\0" "\xe9", 33}, ERR_INVALID},
	{"a character across two cells", FRAME_ROWS, {"\1\0\0\0" ROW "\0\0\0\0" "\2\0\0\0" "\1\0\0\0" "\1\0\0\0" "\xc3\xa9", 38}, ERR_INVALID},
	{"NOTE without code", FRAME_NOTE, {"\0\0\0\0\0\0\0\0", 8}, ERR_INVALID},
	{"NOTE with a code that is none", FRAME_NOTE, {"\0\0\0\0\0\0\0\0" "No!", 11}, ERR_INVALID},
	{"short END", FRAME_END, {"\0\0\0\0\0\0\0\0", 8}, ERR_INVALID},
	{"FAIL with a code past its end", FRAME_FAIL, {"\x9\0\0\0" "abc", 7}, ERR_INVALID},
	{"FAIL without message", FRAME_FAIL, {"\3\0\0\0" "abc", 7}, OK},
	{"FAIL with a code of four gigabytes", FRAME_FAIL, {"\xff\xff\xff\xff" "abc", 7}, ERR_INVALID},
};

static void test_lies(void)
{
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		uint64_t last_row = 0;
		struct frame frame = {payloads[i].type, payloads[i].payload};
		ok(frame_payload_check(&frame, &last_row) == payloads[i].expected, "%s", payloads[i].name);
	}
	static const char *const headers[] = {"TGF2\1\0\0\0\0\0\0\0", "TGF1\0\0\0\0\0\0\0\0", "TGF1\x9\0\0\0\0\0\0\0", "TGF1\1\0\1\0\0\0\0\0", "TGF1\1\0\0\0\1\0\x11\0"};
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		enum frame_type type = FRAME_META;
		size_t length = 0;
		ok(frame_header_parse(headers[i], &type, &length) == ERR_INVALID, "wrong header %zu", i);
	}
	is_text(row_flag_name(ROW_FLAG_UNCLOSED_QUOTE), "unclosed_quote", "flags have names");
	ok(row_flag_name(1 << 20) == NULL, "others have none");
}

int main(void)
{
	test_round_trip();
	test_sizes();
	test_lies();
	return tap_done();
}
