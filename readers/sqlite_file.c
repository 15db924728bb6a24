/*
 * A read-only view of the input descriptor for SQLite. Used by sqlite_read.c and, beneath it, by the library. Must never
 * write, open, create or lock anything, nor read before the offset.
 */
#include "readers/sqlite_file.h"

#include "readers/sqlite_vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

/* The file of this process: the library hands its callbacks no context that is ours. */
static struct {
	int fd;
	int64_t offset, size;
} input;

/* As much of n bytes as there is; -1 on an error. */
static int64_t read_some(char *to, int64_t n, int64_t at)
{
	int64_t done = 0;
	if (at < 0 || at >= input.size)
		return 0;
	n = n < input.size - at ? n : input.size - at;
	while (done < n) {
		ssize_t got = pread(input.fd, to + done, (size_t)(n - done), input.offset + at + done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += got;
	}
	return done;
}

bool sqlite_file_read(void *to, size_t n, int64_t at)
{
	return read_some(to, (int64_t)n, at) == (int64_t)n;
}

/* ---- the open file ---- */

static int file_close(sqlite3_file *file)
{
	(void)file;
	return SQLITE_OK;
}

static int file_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	(void)file;
	int64_t got = read_some(to, n, at);
	if (got < 0)
		return SQLITE_IOERR_READ;
	if (got == n)
		return SQLITE_OK;
	memset((char *)to + got, 0, (size_t)(n - got));
	return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
	(void)file, (void)from, (void)n, (void)at;
	return SQLITE_READONLY;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	(void)file, (void)size;
	return SQLITE_READONLY;
}

static int file_sync(sqlite3_file *file, int flags)
{
	(void)file, (void)flags;
	return SQLITE_READONLY;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	(void)file;
	*ret = input.size;
	return SQLITE_OK;
}

static int file_is(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_IMMUTABLE;
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 1, /* no shared memory, no mapping */
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = sqlite_vfs_lock,
	.xUnlock = sqlite_vfs_lock,
	.xCheckReservedLock = sqlite_vfs_is_reserved,
	.xFileControl = sqlite_vfs_control,
	.xSectorSize = sqlite_vfs_sector,
	.xDeviceCharacteristics = file_is,
};

/* ---- the file system, in which there is that file and nothing else ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	(void)vfs, (void)name;
	file->pMethods = NULL;
	if (!(flags & SQLITE_OPEN_MAIN_DB) || !(flags & SQLITE_OPEN_READONLY))
		return SQLITE_CANTOPEN;
	file->pMethods = &file_methods;
	if (ret_flags)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs, (void)name, (void)sync;
	return SQLITE_READONLY;
}

/* Nothing read here depends on chance or on the time. */
static int vfs_random(sqlite3_vfs *vfs, int n, char *ret)
{
	(void)vfs;
	memset(ret, 0, (size_t)n);
	return n;
}

enum err sqlite_file_use(int fd, int64_t offset, int64_t size)
{
	static sqlite3_vfs vfs = {
		.szOsFile = sizeof(sqlite3_file),
		.zName = SQLITE_FILE_VFS,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xRandomness = vfs_random,
	};
	static bool ready;
	input.fd = fd;
	input.offset = offset;
	input.size = size;
	if (ready)
		return OK;
	enum err err = sqlite_vfs_use(&vfs);
	ready = !err;
	return err;
}
