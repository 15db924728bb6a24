/*
 * Speed of a reader as the worker uses it: a sandboxed child, its frames through a pipe, every one checked.
 * bench/xlsx_reader.sh and sqlite_reader.sh run it, and print the same for other readers. Arguments: PROGRAM FORMAT FILE TURNS
 * Prints one line: name, seconds (the best turn), cells per second, rows, cells; then the child's peak memory.
 */
#include "core/base/clock.h"
#include "readers/reader.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

struct result {
	uint64_t rows, cells;
	struct reader_result end;
};

/* Rows of a sheet, or of a table of a database. */
static void count_rows(struct reader *reader, const struct frame *frame, struct result *result)
{
	static struct value values[FRAME_CELLS_MAX];
	struct values_cursor typed;
	struct value_row record;
	struct frame_cursor plain;
	struct frame_row row;
	if (frame->type == FRAME_VALUES) {
		values_open(&typed, frame, values);
		for (; values_next(&typed, &record); result->rows++)
			result->cells += typed.cells;
	} else if (frame->type == FRAME_ROWS) {
		reader_rows(reader, frame, &plain);
		for (; frame_row_next(&plain, &row); result->rows++)
			result->cells += row.cell_count;
	}
}

static struct result read_once(struct arena *arena, const char *program, const char *format, int input)
{
	struct reader_options options = {.program = program, .argv0 = "tidegate", .format = format, .mode = "rows", .input = input, .wait_ms = 600000,
	                                 .scratch_directory = "/tmp", .tables = text_equal(format, "sqlite")};
	struct result result = {0};
	struct reader reader;
	struct frame frame;
	arena_reset(arena);
	if (reader_start(&reader, arena, &options))
		return result;
	while (reader_next(&reader, &frame) == READER_FRAME)
		count_rows(&reader, &frame, &result);
	result.end = reader_finish(&reader);
	return result;
}

int main(int argc, char **argv)
{
	int64_t turns = 0, best = INT64_MAX;
	struct arena arena;
	struct result result = {0};
	int input = argc == 5 && parse_i64(argv[4], 1, 100, &turns) == OK ? open(argv[3], O_RDONLY | O_CLOEXEC) : -1;
	if (input < 0)
		return 1;
	arena_init(&arena, 1 << 20);
	for (int64_t turn = 0; turn < turns; turn++) {
		int64_t begin = clock_monotonic_us();
		result = read_once(&arena, argv[1], argv[2], input);
		int64_t took = clock_monotonic_us() - begin;
		best = took < best ? took : best;
	}
	struct rusage usage;
	getrusage(RUSAGE_CHILDREN, &usage);
	printf("%-24s %8.3f s  %8.2f M cells/s  %llu rows  %llu cells  %s\n", "tidegate reader child", (double)best / 1e6,
	       (double)result.cells / (double)best, (unsigned long long)result.rows, (unsigned long long)result.cells, result.end.code);
	printf("%-24s %8.1f MB\n", "its peak memory", (double)usage.ru_maxrss / 1024);
	arena_release(&arena);
	close(input);
	return result.end.verdict == READER_OK ? 0 : 1;
}
