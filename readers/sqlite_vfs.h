/* The common part of file systems that SQLite sees and that are no file systems: one descriptor, no paths, no locks, no time. */
#ifndef TIDEGATE_READERS_SQLITE_VFS_H
#define TIDEGATE_READERS_SQLITE_VFS_H

#include "core/base/err.h"

#include <sqlite3.h>
#include <stdbool.h>

/* For sqlite3_io_methods: nobody else has the file. */
int sqlite_vfs_lock(sqlite3_file *file, int level);
int sqlite_vfs_is_reserved(sqlite3_file *file, int *ret);
int sqlite_vfs_control(sqlite3_file *file, int operation, void *argument);
int sqlite_vfs_sector(sqlite3_file *file);

/*
 * Fills in what is common (version, paths, time) and makes vfs, which the caller keeps for ever, the only one in use. szOsFile, zName, xOpen, xDelete and
 * xRandomness are the caller's. Once in a process, before any other use of the library. ERR_IO: the library refused.
 */
enum err sqlite_vfs_use(sqlite3_vfs *vfs) MUST_USE;

#endif
