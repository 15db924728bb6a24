/*
 * Copies a database in use. Called by the job that backs up and by `tidegate backup dump`. Must never write to the source, copy its files past SQLite, or
 * hand out a copy that was not checked.
 */
#include "handlers/backups/snapshot.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "handlers/backups/replay.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { RETRY_MS = 50, SPARE = 16 << 20 };

static enum err look(const char *path, const char *copy_path, struct snapshot *snapshot, struct backup_failure *failure)
{
	struct stat st;
	struct statvfs disk;
	char wal[PATH_MAX];
	if (stat(path, &st))
		return backup_refuse(failure, errno == EACCES ? "source_unreadable" : "source_missing", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return backup_refuse(failure, "source_not_sqlite", "not a file");
	if (st.st_size == 0)
		return backup_refuse(failure, "source_not_sqlite", "an empty file");
	int64_t need = st.st_size;
	if (snprintf(wal, sizeof(wal), "%s-wal", path) < (int)sizeof(wal) && stat(wal, &st) == 0)
		snapshot->wal_bytes = st.st_size;
	if (statvfs(copy_path, &disk))
		return ERR_IO;
	if ((int64_t)disk.f_bavail * (int64_t)disk.f_frsize >= need + SPARE)
		return OK;
	backup_refuse(failure, "disk_full", "the copy would not fit");
	return ERR_IO;
}

static int open_source(const char *path, sqlite3 **ret)
{
	int result = sqlite3_open_v2(path, ret, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	return result == SQLITE_OK ? sqlite3_busy_timeout(*ret, RETRY_MS) : result;
}

/* -1: all pages in one step, so that another process that writes cannot make it begin again and again. */
static int copy(sqlite3 *from, sqlite3 *to, int64_t deadline_us)
{
	int result = SQLITE_BUSY;
	sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
	if (!backup)
		return sqlite3_errcode(to);
	for (;;) {
		result = sqlite3_backup_step(backup, -1);
		if ((result != SQLITE_BUSY && result != SQLITE_LOCKED) || clock_monotonic_us() > deadline_us)
			break;
		clock_sleep_ms(RETRY_MS);
	}
	int finished = sqlite3_backup_finish(backup);
	return result == SQLITE_DONE ? finished : result;
}

static int read_word(sqlite3 *db, const char *sql, char *out, size_t room)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		snprintf(out, room, "%s", (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return result == SQLITE_ROW ? SQLITE_OK : result;
}

/* The first look at a source also says whether it is a database at all; a lock is waited for. */
static int greet(sqlite3 *db, struct snapshot *snapshot, int64_t deadline_us)
{
	int result = SQLITE_BUSY;
	char ignored[32];
	for (;;) {
		result = read_word(db, "SELECT count(*) FROM sqlite_schema", ignored, sizeof(ignored));
		if ((result & 0xff) != SQLITE_BUSY || clock_monotonic_us() > deadline_us)
			break;
		clock_sleep_ms(RETRY_MS);
	}
	return result == SQLITE_OK ? read_word(db, "PRAGMA journal_mode", snapshot->journal_mode, sizeof(snapshot->journal_mode)) : result;
}

static enum err copy_to(sqlite3 *source, const char *copy_path, int64_t deadline_us, struct backup_failure *failure)
{
	sqlite3 *to = NULL;
	char ignored[32];
	int result = sqlite3_open_v2(copy_path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_exec(to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;", NULL, NULL, NULL);
	if (result == SQLITE_OK)
		result = copy(source, to, deadline_us);
	/* The copy of a WAL database is one itself; nobody shares this one. */
	if (result == SQLITE_OK)
		result = read_word(to, "PRAGMA journal_mode=DELETE", ignored, sizeof(ignored));
	enum err err = result == SQLITE_OK ? OK : source_failed((result & 0xff) == SQLITE_BUSY ? source : to, result, failure);
	if ((result & 0xff) == SQLITE_IOERR) {
		backup_refuse(failure, "disk_full", sqlite3_errmsg(to));
		err = ERR_IO;
	}
	sqlite3_close(to);
	return err;
}

static enum err check_copy(const char *copy_path, struct snapshot *snapshot, struct backup_failure *failure)
{
	char number[32] = "0";
	struct stat st;
	int result = sqlite3_open_v2(copy_path, &snapshot->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (result != SQLITE_OK || stat(copy_path, &st))
		return source_failed(snapshot->db, result, failure);
	snapshot->bytes = st.st_size;
	sqlite3_exec(snapshot->db, "PRAGMA cell_size_check=ON; PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY;", NULL, NULL, NULL);
	enum err err = backup_quick_check(snapshot->db, "source_corrupt", failure);
	/* A check that itself cannot run (a parent table that is gone) says nothing of the data. */
	if (!err && read_word(snapshot->db, "SELECT count(*) FROM pragma_foreign_key_check", number, sizeof(number)) == SQLITE_OK)
		err = parse_i64(number, 0, INT64_MAX, &snapshot->foreign_key_violations);
	return err;
}

enum err snapshot_take(const char *path, const char *copy_path, int64_t wait_ms, struct snapshot *ret, struct backup_failure *failure)
{
	int64_t deadline_us = clock_monotonic_us() + wait_ms * 1000;
	sqlite3 *source = NULL;
	*ret = (struct snapshot){0};
	enum err err = look(path, copy_path, ret, failure);
	if (err)
		return err;
	int result = open_source(path, &source);
	if (result == SQLITE_OK)
		result = greet(source, ret, deadline_us);
	err = result == SQLITE_OK ? copy_to(source, copy_path, deadline_us, failure) : source_failed(source, result, failure);
	sqlite3_close(source);
	return err ? err : check_copy(copy_path, ret, failure);
}

void snapshot_release(struct snapshot *snapshot)
{
	sqlite3_close(snapshot->db);
	snapshot->db = NULL;
}
