/* What the operations on objects share with those on parts. Private to core/store/s3*.c; everybody else includes s3.h. */
#ifndef TIDEGATE_CORE_STORE_S3_MULTIPART_H
#define TIDEGATE_CORE_STORE_S3_MULTIPART_H

#include "core/store/s3.h"

/* A whole file as a multipart upload; nothing is left of one that fails. */
enum err s3_put_parts(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t size, const struct s3_put *how) MUST_USE;

/* Could the call that failed last have done its work all the same? Not when the store said plainly that it did not. */
bool s3_was_unclear(const struct s3_failure *failure);

/* s3_head between two attempts of something else: few attempts, and s3->failure stays as it was. */
bool s3_look_between(struct s3 *s3, struct arena *arena, const char *key, struct s3_object *ret) MUST_USE;

/* Text as XML content. */
void s3_append_xml(struct buf *out, const char *text);

#endif
