/*
 * The dump writer alone: `dump FILE.db OUT LEVEL` writes the dump of a database that nobody else has open as `sqlite3 FILE.db .dump > OUT` does, with
 * a LEVEL above 0 through zstd as backups do. Must never copy or check the database first: the shell does not either.
 */
#include "core/base/text.h"
#include "handlers/backups/dump.h"
#include "handlers/backups/pack.h"

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct arena arena;
	struct backup_failure failure = {0};
	struct dump_result result;
	struct pack pack;
	uint8_t stored[SHA256_SIZE];
	int64_t level = 0;
	sqlite3 *db = NULL;
	int fd = argc == 4 && !parse_i64(argv[3], 0, 19, &level) ? open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	if (fd < 0 || sodium_init() < 0 || sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return 64;
	arena_init(&arena, 64 << 20);
	enum err err = pack_start(&pack, &arena, fd, (int)level, NULL, 0);
	const struct dump_request request = {.name = "bench", .run = "", .journal_mode = "", .to = level ? pack_sink(&pack) : sink_file(&fd)};
	if (!err)
		err = dump_write(db, &arena, &request, &result, &failure);
	if (!err && level)
		err = pack_finish(&pack, stored);
	if (err)
		fprintf(stderr, "%s %s\n", err_name(err), failure.detail);
	pack_release(&pack);
	arena_release(&arena);
	sqlite3_close(db);
	return err ? 1 : 0;
}
