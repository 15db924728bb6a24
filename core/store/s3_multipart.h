/* What the operations on objects share with those on parts. Private to core/store/s3*.c; everybody else includes s3.h. */
#ifndef TIDEGATE_CORE_STORE_S3_MULTIPART_H
#define TIDEGATE_CORE_STORE_S3_MULTIPART_H

#include "core/crypto/digest.h"
#include "core/store/s3.h"

struct s3_digest {
	uint8_t md5_bytes[MD5_SIZE];
	const char *md5, *md5_base64, *sha256; /* hex, base64, hex */
};

/* Of a stretch of a file / of bytes. */
enum err s3_digest(struct arena *arena, int fd, int64_t offset, int64_t size, struct s3_digest *ret) MUST_USE;
enum err s3_digest_bytes(struct arena *arena, struct str bytes, struct s3_digest *ret) MUST_USE;

/* Did the store find other bytes than those that were signed? */
bool s3_body_was_damaged(const struct s3_failure *failure);

/* A whole file as a multipart upload; nothing is left of one that fails. */
enum err s3_put_parts(struct s3 *s3, struct arena *arena, const char *key, int fd, int64_t size, const struct s3_put *how) MUST_USE;

/* Text as XML content. */
void s3_append_xml(struct buf *out, const char *text);

#endif
