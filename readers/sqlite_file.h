/*
 * The file under SQLite: a VFS of our own over one open descriptor, beginning at an offset. It says that the file is
 * immutable, so SQLite looks for no journal and no write-ahead log, takes no lock and needs no shared memory; everything
 * that would write, create, delete or look elsewhere is refused. Reading is pread.
 *
 * Life cycle: sqlite_file_use once per file, then sqlite3_open_v2 with SQLITE_FILE_VFS and any name.
 */
#ifndef TIDEGATE_READERS_SQLITE_FILE_H
#define TIDEGATE_READERS_SQLITE_FILE_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SQLITE_FILE_VFS "tidegate"

/* The one file of this process; size: bytes from offset to its end. Sets SQLite up and registers the VFS as the default. ERR_IO when that fails. */
enum err sqlite_file_use(int fd, int64_t offset, int64_t size) MUST_USE;

/* n bytes at a place of the database. False when they are not all there or cannot be read. */
bool sqlite_file_read(void *to, size_t n, int64_t at) MUST_USE;

#endif
