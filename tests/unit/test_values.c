/*
 * Typed rows of tables: what is written comes back bit for bit; every way of lying is refused.
 */
#include "readers/values.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <math.h>
#include <unistd.h>

static char stored[4 << 20];

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

static const struct value samples[] = {
	{.class = VALUE_INTEGER, .integer = INT64_MIN},
	{.class = VALUE_INTEGER, .integer = INT64_MAX},
	{.class = VALUE_REAL, .real = -0.0},
	{.class = VALUE_REAL, .real = INFINITY},
	{.class = VALUE_REAL, .real = -INFINITY},
	{.class = VALUE_REAL, .real = 5e-324},
	{.class = VALUE_NULL},
	{.class = VALUE_TEXT, .bytes = {"a\0\xff", 3}},
	{.class = VALUE_TEXT, .bytes = {"", 0}},
	{.class = VALUE_BLOB, .bytes = {"\0", 1}},
	{.class = VALUE_TEXT_UTF16, .bytes = {"\0\xd8", 2}},
};

enum { SAMPLES = sizeof(samples) / sizeof(samples[0]), ROWS = 1000 };

static bool same_value(const struct value *a, const struct value *b)
{
	if (a->class != b->class)
		return false;
	if (a->class == VALUE_NULL)
		return true;
	if (a->class == VALUE_INTEGER || a->class == VALUE_REAL)
		return memcmp(&a->integer, &b->integer, sizeof(a->integer)) == 0; /* bits: -0.0 is not 0.0 */
	return str_equal(a->bytes, b->bytes) && b->bytes.p;
}

static enum err write_tables(struct frame_writer *w)
{
	enum err err = frame_put_meta(w, STR("{}"));
	if (!err)
		err = values_put_table(w, &(struct table_begin){3, SAMPLES});
	for (uint64_t number = 1; number <= ROWS && !err; number++)
		err = values_put_row(w, &(struct value_row){number, -(int64_t)number, samples}, SAMPLES);
	if (!err)
		err = values_put_table_end(w, &(struct table_end){3, ROWS, 2});
	if (!err)
		err = values_put_table(w, &(struct table_begin){4, 1});
	if (!err)
		err = values_put_row(w, &(struct value_row){1, 0, samples + 6}, 1);
	if (!err)
		err = values_put_table_end(w, &(struct table_end){4, 1, 0});
	return err ? err : frame_put_end(w, &(struct frame_end){.records = ROWS + 3});
}

static void check_rows(const struct frame *frame, uint64_t *expected, bool *same)
{
	static struct value places[FRAME_CELLS_MAX];
	struct values_cursor cursor;
	struct value_row row;
	for (values_open(&cursor, frame, places); values_next(&cursor, &row); (*expected)++) {
		*same = *same && row.number == *expected && row.key == -(int64_t)*expected;
		for (size_t i = 0; i < SAMPLES; i++)
			*same = *same && same_value(&samples[i], &row.values[i]);
	}
}

static void test_round_trip(void)
{
	int ends[2];
	struct frame_writer w;
	struct frame frame = {0};
	uint64_t last_row = 77, expected = 1;
	bool same = true;
	if (pipe2(ends, O_NONBLOCK))
		return;
	fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
	frame_writer_init(&w, ends[1]);
	ok(write_tables(&w) == OK, "tables are sent");
	struct str rest = drain(ends[0]);
	ok(next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_META, "META");
	ok(next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_TABLE && last_row == 0, "TABLE, and row numbers begin again");
	ok(values_table_read(&frame).index == 3 && values_table_read(&frame).cells == SAMPLES, "its index and cells");
	while (next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_VALUES)
		check_rows(&frame, &expected, &same);
	ok(same && expected == ROWS + 1, "every value of every class comes back, bit for bit");
	struct table_end end = values_table_end_read(&frame);
	ok(frame.type == FRAME_TABLE_END && end.index == 3 && end.rows == ROWS && end.left_out == 2, "TABLE_END and its counts");
	ok(next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_TABLE && next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_VALUES &&
		   next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_TABLE_END, "a table with another number of cells");
	ok(next_frame(&rest, &frame, &last_row) == OK && frame.type == FRAME_END && frame_end_read(&frame).rows == ROWS + 1 && rest.n == 0, "END counts the rows of all");
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
	struct value value = {.class = VALUE_BLOB, .bytes = {big, VALUES_ROW_MAX - 16 - 5}};
	struct value_row row = {1, 0, &value};
	ok(values_row_size(&row, 1) == VALUES_ROW_MAX && values_put_row(&w, &row, 1) == OK, "the largest row fits");
	value.bytes.n++;
	ok(values_put_row(&w, &row, 1) == ERR_TOO_LARGE, "a byte more does not");
	ok(values_put_row(&w, &row, 0) == ERR_TOO_LARGE && values_put_row(&w, &row, FRAME_CELLS_MAX + 1) == ERR_TOO_LARGE, "nor rows without cells or with too many");
	frame_writer_release(&w);
	close(null);
}

#define HEAD "\1\0\0\0\1\0\0\0"
#define ROW "\1\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0"
#define EIGHT "\0\0\0\0\0\0\0\0"
#define BYTES(literal) {literal, sizeof(literal) - 1}

static const struct {
	const char *name;
	enum frame_type type;
	struct str payload;
	enum err expected;
} payloads[] = {
	{"a table", FRAME_TABLE, BYTES("\0\0\0\0\1\0\0\0"), OK},
	{"a table without cells", FRAME_TABLE, BYTES("\0\0\0\0\0\0\0\0"), ERR_INVALID},
	{"a table of 4097 cells", FRAME_TABLE, BYTES("\0\0\0\0\1\x10\0\0"), ERR_INVALID},
	{"a short TABLE", FRAME_TABLE, BYTES("\0\0\0\0\1\0\0"), ERR_INVALID},
	{"a long TABLE", FRAME_TABLE, BYTES("\0\0\0\0\1\0\0\0\0"), ERR_INVALID},
	{"the end of a table", FRAME_TABLE_END, BYTES("\0\0\0\0" EIGHT EIGHT), OK},
	{"a short end of a table", FRAME_TABLE_END, BYTES("\0\0\0\0" EIGHT "\0\0\0\0\0\0\0"), ERR_INVALID},
	{"no head", FRAME_VALUES, BYTES("\1\0\0\0\1\0\0"), ERR_INVALID},
	{"no rows", FRAME_VALUES, BYTES("\0\0\0\0\1\0\0\0"), ERR_INVALID},
	{"no cells", FRAME_VALUES, BYTES("\1\0\0\0\0\0\0\0" ROW), ERR_INVALID},
	{"too many cells", FRAME_VALUES, BYTES("\1\0\0\0\1\x10\0\0" ROW), ERR_INVALID},
	{"a row cut in its head", FRAME_VALUES, BYTES(HEAD "\1\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0"), ERR_INVALID},
	{"a row without its cell", FRAME_VALUES, BYTES(HEAD ROW), ERR_INVALID},
	{"row number 0", FRAME_VALUES, BYTES(HEAD EIGHT EIGHT "\5"), ERR_INVALID},
	{"a row number twice", FRAME_VALUES, BYTES("\2\0\0\0\1\0\0\0" ROW "\5" ROW "\5"), ERR_INVALID},
	{"more rows said than there are", FRAME_VALUES, BYTES("\2\0\0\0\1\0\0\0" ROW "\5"), ERR_INVALID},
	{"bytes after the last row", FRAME_VALUES, BYTES(HEAD ROW "\5\5"), ERR_INVALID},
	{"four billion rows", FRAME_VALUES, BYTES("\xff\xff\xff\xff\1\0\0\0" ROW "\5"), ERR_INVALID},
	{"NULL", FRAME_VALUES, BYTES(HEAD ROW "\5"), OK},
	{"class 0", FRAME_VALUES, BYTES(HEAD ROW "\0"), ERR_INVALID},
	{"class 7", FRAME_VALUES, BYTES(HEAD ROW "\7" EIGHT), ERR_INVALID},
	{"class 255", FRAME_VALUES, BYTES(HEAD ROW "\xff" EIGHT), ERR_INVALID},
	{"an integer", FRAME_VALUES, BYTES(HEAD ROW "\1" EIGHT), OK},
	{"an integer of seven bytes", FRAME_VALUES, BYTES(HEAD ROW "\1\0\0\0\0\0\0\0"), ERR_INVALID},
	{"infinity", FRAME_VALUES, BYTES(HEAD ROW "\2\0\0\0\0\0\0\xf0\x7f"), OK},
	{"a quiet NaN", FRAME_VALUES, BYTES(HEAD ROW "\2\0\0\0\0\0\0\xf8\x7f"), ERR_INVALID},
	{"a signalling NaN", FRAME_VALUES, BYTES(HEAD ROW "\2\1\0\0\0\0\0\xf0\xff"), ERR_INVALID},
	{"a real cut short", FRAME_VALUES, BYTES(HEAD ROW "\2\0\0\0\0"), ERR_INVALID},
	{"text of any bytes", FRAME_VALUES, BYTES(HEAD ROW "\3\2\0\0\0\0\xff"), OK},
	{"text longer than the frame", FRAME_VALUES, BYTES(HEAD ROW "\3\3\0\0\0\0\xff"), ERR_INVALID},
	{"text without its length", FRAME_VALUES, BYTES(HEAD ROW "\3\3\0\0"), ERR_INVALID},
	{"a blob of four gigabytes", FRAME_VALUES, BYTES(HEAD ROW "\4\xff\xff\xff\xff\0"), ERR_INVALID},
	{"an empty blob", FRAME_VALUES, BYTES(HEAD ROW "\4\0\0\0\0"), OK},
	{"text of UTF-16", FRAME_VALUES, BYTES(HEAD ROW "\6\1\0\0\0\0"), OK},
};

static void test_lies(void)
{
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		uint64_t last_row = 0;
		struct frame frame = {payloads[i].type, payloads[i].payload};
		ok(frame_payload_check(&frame, &last_row) == payloads[i].expected, "%s", payloads[i].name);
	}
}

int main(void)
{
	test_round_trip();
	test_sizes();
	test_lies();
	return tap_done();
}
