/* What the operations on objects share with those on parts. Private to core/store/s3*.c; everybody else includes s3.h. */
#ifndef TIDEGATE_CORE_STORE_S3_MULTIPART_H
#define TIDEGATE_CORE_STORE_S3_MULTIPART_H

#include "core/store/s3.h"

/* A whole file as a multipart upload; nothing is left of one that fails. */
enum err s3_put_parts(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t size, const struct s3_put *how) MUST_USE;

/* Text as XML content. */
void s3_append_xml(struct buf *out, const char *text);

#endif
