/* A tar archive as a stream (POSIX ustar; sizes beyond 8 GiB in base 256, as GNU tar and bsdtar read them). The same members make the same bytes. */
#ifndef TIDEGATE_HANDLERS_BACKUPS_TAR_H
#define TIDEGATE_HANDLERS_BACKUPS_TAR_H

#include "core/base/sink.h"

#include <stdint.h>

enum { TAR_BLOCK = 512, TAR_NAME_MAX = 99 };

/* The header of a regular file, mode 0600, of nobody. name: at most TAR_NAME_MAX bytes. ERR_INVALID. */
enum err tar_begin(const struct sink *to, const char *name, int64_t size, int64_t modified) MUST_USE;

/* What fills the last block behind size bytes. / The end of the archive. */
enum err tar_end_member(const struct sink *to, int64_t size) MUST_USE;
enum err tar_finish(const struct sink *to) MUST_USE;

#endif
