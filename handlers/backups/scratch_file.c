/*
 * SQLite's files inside one descriptor. Called by the test restore in its sandbox. Must never open, lock or delete anything, nor let one file
 * reach into the stretch of another.
 */
#include "handlers/backups/scratch_file.h"

#include "readers/sqlite_vfs.h"

#include <errno.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { FILES = 32 };

struct scratch {
	sqlite3_file base;
	int number;
};

/* The files of this process: the library hands its callbacks no context that is ours. */
static struct {
	int fd;
	bool open[FILES];
	int64_t size[FILES];
} files;

static int number_of(sqlite3_file *file)
{
	struct scratch scratch;
	memcpy(&scratch, file, sizeof(scratch));
	return scratch.number;
}

static int scratch_close(sqlite3_file *file)
{
	files.open[number_of(file)] = false;
	return SQLITE_OK;
}

static int scratch_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	int number = number_of(file), done = 0;
	int64_t there = at < files.size[number] ? files.size[number] - at : 0;
	int wanted = n < there ? n : (int)there;
	while (done < wanted) {
		ssize_t got = pread(files.fd, (char *)to + done, (size_t)(wanted - done), number * SCRATCH_FILE_STRETCH + at + done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return SQLITE_IOERR_READ;
		done += (int)got;
	}
	if (done == n)
		return SQLITE_OK;
	memset((char *)to + done, 0, (size_t)(n - done));
	return SQLITE_IOERR_SHORT_READ;
}

static int scratch_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
	int number = number_of(file), done = 0;
	if (at + n > SCRATCH_FILE_STRETCH)
		return SQLITE_FULL;
	while (done < n) {
		ssize_t put = pwrite(files.fd, (const char *)from + done, (size_t)(n - done), number * SCRATCH_FILE_STRETCH + at + done);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return SQLITE_FULL;
		done += (int)put;
	}
	if (at + n > files.size[number])
		files.size[number] = at + n;
	return SQLITE_OK;
}

static int scratch_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int number = number_of(file);
	if (size < files.size[number])
		files.size[number] = size;
	return SQLITE_OK;
}

static int scratch_sync(sqlite3_file *file, int flags)
{
	(void)file, (void)flags;
	return SQLITE_OK;
}

static int scratch_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	*ret = files.size[number_of(file)];
	return SQLITE_OK;
}

static int scratch_is(sqlite3_file *file)
{
	(void)file;
	return 0;
}

static const sqlite3_io_methods methods = {
	.iVersion = 1, /* no shared memory, no mapping */
	.xClose = scratch_close,
	.xRead = scratch_read,
	.xWrite = scratch_write,
	.xTruncate = scratch_truncate,
	.xSync = scratch_sync,
	.xFileSize = scratch_size,
	.xLock = sqlite_vfs_lock,
	.xUnlock = sqlite_vfs_lock,
	.xCheckReservedLock = sqlite_vfs_is_reserved,
	.xFileControl = sqlite_vfs_control,
	.xSectorSize = sqlite_vfs_sector,
	.xDeviceCharacteristics = scratch_is,
};

/* Number 0 is the database, and there is one. */
static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	(void)vfs, (void)name;
	struct scratch scratch = {.number = flags & SQLITE_OPEN_MAIN_DB ? 0 : 1};
	file->pMethods = NULL;
	while (scratch.number < FILES && files.open[scratch.number])
		scratch.number++;
	if (scratch.number == FILES || (flags & SQLITE_OPEN_MAIN_DB && scratch.number != 0))
		return SQLITE_CANTOPEN;
	scratch.base.pMethods = &methods;
	files.open[scratch.number] = true;
	files.size[scratch.number] = 0;
	memcpy(file, &scratch, sizeof(scratch));
	if (ret_flags)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs, (void)name, (void)sync;
	return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int n, char *ret)
{
	(void)vfs;
	randombytes_buf(ret, (size_t)n);
	return n;
}

enum err scratch_file_use(int fd)
{
	static sqlite3_vfs vfs = {
		.szOsFile = sizeof(struct scratch),
		.zName = SCRATCH_FILE_VFS,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xRandomness = vfs_random,
	};
	files.fd = fd;
	return sqlite_vfs_use(&vfs);
}
