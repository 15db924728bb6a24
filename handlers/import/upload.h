/* What the two ways of uploading share: upload_url.c (one PUT) and upload_parts.c. */
#ifndef TIDEGATE_HANDLERS_IMPORT_UPLOAD_H
#define TIDEGATE_HANDLERS_IMPORT_UPLOAD_H

#include "core/base/ids.h"
#include "fcgi/route.h"

struct upload_wanted {
	const char *name, *checksum, *size_text;
	int64_t size;
	bool parts; /* asked for, and large enough */
};

/* A new id, and the key it is part of, in the arena. NULL: no memory. */
const char *upload_key(struct request *request, const struct upload_wanted *wanted, char id[UUID_SIZE]) MUST_USE;

/* The answer of /api/import/upload-url for a file in parts: those that have not arrived, with their URLs. */
enum err upload_parts_url(struct request *request, struct response *response, const struct upload_wanted *wanted) MUST_USE;

#endif
