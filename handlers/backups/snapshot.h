/*
 * A private copy of a SQLite file in use, at one moment, by SQLite's backup API: whoever writes to it is held up for the copy alone, and not at all in
 * WAL mode. The source is opened read-only; its journal and its write-ahead log are honoured.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_SNAPSHOT_H
#define TIDEGATE_HANDLERS_BACKUPS_SNAPSHOT_H

#include "handlers/backups/source.h"

#include <stdint.h>

struct snapshot {
	sqlite3 *db; /* of the copy, read-only, in this process alone */
	char journal_mode[16];
	int64_t wal_bytes;      /* size of the write-ahead log when the copy was begun */
	int64_t bytes;          /* of the copy */
	int64_t foreign_key_violations; /* noted, not judged: they are in the source too */
};

/*
 * Copies the database of path over the empty file copy_path, waits at most wait_ms for locks, and checks every page of the copy.
 * ERR_INVALID with a failure: source_missing, source_not_sqlite, source_locked, source_corrupt, disk_full …; ERR_IO: the copy cannot be written.
 */
enum err snapshot_take(const char *path, const char *copy_path, int64_t wait_ms, struct snapshot *ret, struct backup_failure *failure) MUST_USE;
void snapshot_release(struct snapshot *snapshot);

#endif
