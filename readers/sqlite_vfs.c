/*
 * What every file system of ours for SQLite shares: there is one process, nothing to lock, no path, no time. Called by the library through
 * sqlite_file.c (a stranger's file, read only) and by the scratch file of test restores. Must never reach anything outside the process.
 */
#include "readers/sqlite_vfs.h"

#include <string.h>

int sqlite_vfs_lock(sqlite3_file *file, int level)
{
	(void)file, (void)level;
	return SQLITE_OK;
}

int sqlite_vfs_is_reserved(sqlite3_file *file, int *ret)
{
	(void)file;
	*ret = 0;
	return SQLITE_OK;
}

int sqlite_vfs_control(sqlite3_file *file, int operation, void *argument)
{
	(void)file, (void)operation, (void)argument;
	return SQLITE_NOTFOUND;
}

int sqlite_vfs_sector(sqlite3_file *file)
{
	(void)file;
	return 4096;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	(void)vfs, (void)name, (void)flags;
	*ret = 0;
	return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int room, char *ret)
{
	(void)vfs;
	size_t n = strlen(name);
	if (n >= (size_t)room)
		return SQLITE_CANTOPEN;
	memcpy(ret, name, n + 1);
	return SQLITE_OK;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
	(void)vfs;
	return microseconds;
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
	(void)vfs;
	*ret = 2440587.5; /* 1970-01-01 as a Julian day: nothing of ours depends on the time */
	return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int room, char *ret)
{
	(void)vfs, (void)room, (void)ret;
	return 0;
}

enum err sqlite_vfs_use(sqlite3_vfs *vfs)
{
	vfs->iVersion = 1;
	vfs->mxPathname = 64;
	vfs->xAccess = vfs_access;
	vfs->xFullPathname = vfs_full_name;
	vfs->xSleep = vfs_sleep;
	vfs->xCurrentTime = vfs_time;
	vfs->xGetLastError = vfs_last_error;
	bool ready = sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) == SQLITE_OK && sqlite3_initialize() == SQLITE_OK && sqlite3_vfs_register(vfs, 1) == SQLITE_OK;
	return ready ? OK : ERR_IO;
}
