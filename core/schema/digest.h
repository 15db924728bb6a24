/* SHA-256 of short texts, as lower-case hex: fingerprints of declarations and of spreadsheet headings. */
#ifndef TIDEGATE_CORE_SCHEMA_DIGEST_H
#define TIDEGATE_CORE_SCHEMA_DIGEST_H

#include "core/base/err.h"

#include <stddef.h>

#define SCHEMA_DIGEST_SIZE 65

/* ERR_IO when the crypto library refuses. */
enum err schema_digest(const void *bytes, size_t n, char out[SCHEMA_DIGEST_SIZE]) MUST_USE;

#endif
