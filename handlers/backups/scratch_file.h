/*
 * Files for SQLite in a process that can open none: a VFS over one descriptor that is open already. The database and every temporary file of SQLite
 * have a stretch of it each, STRETCH bytes apart; what nobody wrote takes no room on the disk.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_SCRATCH_FILE_H
#define TIDEGATE_HANDLERS_BACKUPS_SCRATCH_FILE_H

#include "core/base/err.h"

#include <stdint.h>

#define SCRATCH_FILE_VFS "scratch"
#define SCRATCH_FILE_STRETCH (1LL << 38)
#define SCRATCH_FILE_LIMIT (SCRATCH_FILE_STRETCH * 32)

/* fd: an empty file of this process alone. Registers the VFS as the default. Once per process. */
enum err scratch_file_use(int fd) MUST_USE;

#endif
