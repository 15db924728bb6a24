/*
 * Speed of the CSV machine on a file, next to the floor under it: finding the newlines with memchr.
 * bench/csv_reader.sh runs it, and prints the same for other readers. Prints one line per measure: name, MB/s, rows, cells.
 */
#include "core/base/clock.h"
#include "readers/csv.h"
#include "readers/frame.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { TURNS = 7 };

struct result {
	uint64_t rows, cells, bytes;
};

static struct result read_newlines(int fd, struct arena *arena)
{
	struct result result = {0};
	char *block = arena_alloc(arena, CSV_BLOCK);
	ssize_t n = 0;
	while (block && (n = pread(fd, block, CSV_BLOCK, (off_t)result.bytes)) > 0) {
		result.bytes += (uint64_t)n;
		for (const char *at = block; (at = memchr(at, '\n', (size_t)(block + n - at))) != NULL; at++)
			result.rows++;
	}
	return result;
}

static struct result read_csv(int fd, struct arena *arena)
{
	struct result result = {0};
	struct csv_dialect dialect = {',', '"', false};
	struct csv csv;
	struct csv_record record;
	if (csv_init(&csv, arena, &dialect, &CSV_LIMITS_DEFAULT, 0))
		return result;
	for (;;) {
		enum csv_step step = csv_next(&csv, &record);
		if (step == CSV_RECORD) {
			result.rows++;
			result.cells += record.cell_count;
		} else if (step == CSV_MORE) {
			size_t room = 0;
			char *to = csv_room(&csv, &room);
			ssize_t n = pread(fd, to, room, (off_t)result.bytes);
			if (n <= 0)
				csv_finish(&csv);
			else
				csv_fed(&csv, (size_t)n);
			result.bytes += n > 0 ? (uint64_t)n : 0;
		} else {
			return result;
		}
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		struct result (*run)(int fd, struct arena *arena);
	} measures[] = {{"memchr newline", read_newlines}, {"tidegate csv", read_csv}};
	int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return 1;
	for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
		int64_t best = INT64_MAX;
		struct result result = {0};
		for (int turn = 0; turn < TURNS; turn++) {
			struct arena arena;
			arena_init(&arena, 8 << 20);
			int64_t begin = clock_monotonic_us();
			result = measures[i].run(fd, &arena);
			int64_t took = clock_monotonic_us() - begin;
			best = took < best ? took : best;
			arena_release(&arena);
		}
		printf("%-22s %8.0f MB/s  %llu rows  %llu cells\n", measures[i].name, (double)result.bytes / (double)best, (unsigned long long)result.rows,
		       (unsigned long long)result.cells);
	}
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	printf("%-22s %8.1f MB\n", "peak memory", (double)usage.ru_maxrss / 1024);
	close(fd);
	return 0;
}
