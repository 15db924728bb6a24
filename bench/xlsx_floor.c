/*
 * The floor under any reader of a workbook: unpack the first worksheet and the shared texts, and find every tag in them.
 * bench/xlsx_reader.sh runs it. Arguments: FILE TURNS. Prints one line: seconds (the best turn) and cells.
 */
#include "core/base/clock.h"
#include "readers/part.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 256 << 10 };

/* Tags <c …> of one part; one that a block's end cuts is not counted. -1 when the part cannot be read. */
static int64_t scan(struct archive *archive, struct arena *arena, struct str name)
{
	struct part part;
	int64_t entry = -1, cells = 0;
	size_t n = 0;
	char *block = arena_alloc(arena, BLOCK);
	if (!block || archive_find(archive, name, &entry) || entry < 0 || part_init(&part, archive, arena) || part_open(&part, entry, ARCHIVE_PART_MAX))
		return -1;
	while (part_read(&part, block, BLOCK, &n) == OK && n > 0)
		for (const char *at = block; (at = memchr(at, '<', (size_t)(block + n - at))) != NULL; at++)
			cells += at + 2 < block + n && at[1] == 'c' && at[2] == ' ';
	part_close(&part);
	return cells;
}

int main(int argc, char **argv)
{
	int64_t turns = 0, best = INT64_MAX, cells = 0;
	struct stat st;
	int fd = argc == 3 && parse_i64(argv[2], 1, 100, &turns) == OK ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || fstat(fd, &st))
		return 1;
	for (int64_t turn = 0; turn < turns && cells >= 0; turn++) {
		struct archive archive;
		struct arena arena;
		struct refusal refusal = {0};
		arena_init(&arena, 8 << 20);
		int64_t begin = clock_monotonic_us();
		if (archive_open(&archive, fd, st.st_size, &ARCHIVE_LIMITS_DEFAULT, &refusal))
			return 1;
		cells = scan(&archive, &arena, STR("xl/worksheets/sheet1.xml"));
		if (cells >= 0 && scan(&archive, &arena, STR("xl/sharedStrings.xml")) < 0)
			cells = -1;
		archive_close(&archive);
		int64_t took = clock_monotonic_us() - begin;
		best = took < best ? took : best;
		arena_release(&arena);
	}
	printf("%.3f %lld\n", (double)best / 1e6, (long long)cells);
	close(fd);
	return cells > 0 ? 0 : 1;
}
