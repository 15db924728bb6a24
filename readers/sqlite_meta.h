/* The META frame of a database: docs/sqlite.md lists its members. */
#ifndef TIDEGATE_READERS_SQLITE_META_H
#define TIDEGATE_READERS_SQLITE_META_H

#include "readers/sqlite_schema.h"

struct sqlite_source {
	enum sqlite_container container;
	struct str plist; /* the property list before the database, as far as it is text; else empty */
	const struct sqlite_header *header;
	const struct sqlite_schema *schema;
	int64_t file_size;
};

/* Into json, whose maximum is that of a frame. ERR_TOO_LARGE when it is more. */
enum err sqlite_meta(const struct sqlite_source *source, struct buf *json) MUST_USE;

/* "UTF-8", "UTF-16le" or "UTF-16be". */
const char *sqlite_encoding_name(enum sqlite_encoding encoding);

#endif
