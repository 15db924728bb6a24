/*
 * The differential writer alone: `differ BASE.db FILE.db OUT` writes what makes FILE.db of BASE.db, uncompressed, as `sqldiff BASE.db FILE.db > OUT` does.
 * Must never copy or check the databases first: sqldiff does not either.
 */
#include "handlers/backups/differ.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

static bool open_database(const char *path, sqlite3 **ret)
{
	return sqlite3_open_v2(path, ret, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK;
}

int main(int argc, char **argv)
{
	static const uint8_t no_hash[32];
	char inserted[] = "/tmp/differ-XXXXXX";
	struct arena arena;
	struct backup_failure failure = {0};
	struct dump_result result;
	struct difference difference = {.base_key = "base", .base_hash = no_hash, .inserted = mkstemp(inserted)};
	sqlite3 *db = NULL;
	int fd = argc == 4 ? open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	unlink(inserted);
	if (fd < 0 || difference.inserted < 0 || sodium_init() < 0 || !open_database(argv[1], &difference.base) || !open_database(argv[2], &db))
		return 64;
	arena_init(&arena, 64 << 20);
	const struct dump_request request = {.name = "bench", .run = "", .journal_mode = "", .to = sink_file(&fd)};
	enum err err = differ_write(db, &arena, &difference, &request, &result, &failure);
	if (err)
		fprintf(stderr, "%s %s\n", err_name(err), failure.detail);
	arena_release(&arena);
	sqlite3_close(db);
	sqlite3_close(difference.base);
	return err ? 1 : 0;
}
