/*
 * What a file that should be an SQLite database is, before SQLite sees a byte of it: where the database begins, and its
 * header of 100 bytes (https://www.sqlite.org/fileformat2.html, section 1.3), every field of which is checked.
 */
#ifndef TIDEGATE_READERS_SQLITE_HEADER_H
#define TIDEGATE_READERS_SQLITE_HEADER_H

#include "core/base/text.h"
#include "readers/refusal.h"

#include <stdbool.h>
#include <stdint.h>

#define SQLITE_HEADER 100u       /* bytes of the header */
#define SQLITE_PLIST_OFFSET 4096 /* where the database begins behind an XML property list */

enum sqlite_container {
	SQLITE_PLAIN, /* the database begins at 0 */
	SQLITE_PLIST, /* an XML property list, padded to 4096 bytes, then the database: backups of PinPal for iOS */
};

enum sqlite_encoding { SQLITE_TEXT_UTF8 = 1, SQLITE_TEXT_UTF16LE, SQLITE_TEXT_UTF16BE };

struct sqlite_header {
	uint32_t page_size; /* 512 to 65536, a power of two */
	uint32_t pages;
	uint32_t schema_format; /* 1 to 4; 0 in a database that never had a table */
	enum sqlite_encoding encoding;
	uint32_t user_version, application_id; /* bits as stored */
	uint32_t library;                      /* SQLITE_VERSION_NUMBER of the last writer, 0 when it did not say */
	bool wal;                              /* in write-ahead mode; the -wal file is not part of the backup */
	bool auto_vacuum;
};

/*
 * start: the first bytes of the file, at least SQLITE_PLIST_OFFSET + 16 or else all of them. Refuses with empty_file, not_a_sqlite_file,
 * sqlite_encrypted (a guess: bytes without any pattern, in whole pages), sqlite_truncated (a property list and nothing behind).
 */
enum err sqlite_container_find(struct str start, int64_t file_size, enum sqlite_container *ret, struct refusal *refusal) MUST_USE;

/*
 * bytes: the header. size: of the database, from its first byte to the end of the file. Refuses with sqlite_truncated (fewer
 * bytes than pages), sqlite_damaged, sqlite_too_new.
 */
enum err sqlite_header_read(struct str bytes, int64_t size, struct sqlite_header *ret, struct refusal *refusal) MUST_USE;

#endif
