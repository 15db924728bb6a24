/*
 * SHA-256 and MD5 of stretches of files and of the same bytes in one pass. Called where an object store wants both: the signature and Content-MD5.
 * Must never be used to decide whether somebody may do something: MD5 is no protection against people.
 */
#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/crypto/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 256 << 10 };

struct pair {
	EVP_MD_CTX *sha256, *md5; /* md5 may be NULL: not wanted */
};

static _Noreturn void give_up(void)
{
	log_write(LOG_LEVEL_ERROR, "libcrypto_failed", LOG_TEXT("call", "EVP_Digest"));
	abort();
}

static void pair_open(struct pair *pair, bool md5)
{
	*pair = (struct pair){EVP_MD_CTX_new(), md5 ? EVP_MD_CTX_new() : NULL};
	if (!pair->sha256 || EVP_DigestInit_ex2(pair->sha256, EVP_sha256(), NULL) != 1)
		give_up();
	if (md5 && (!pair->md5 || EVP_DigestInit_ex2(pair->md5, EVP_md5(), NULL) != 1))
		give_up();
}

static void pair_update(struct pair *pair, const void *bytes, size_t n)
{
	if (EVP_DigestUpdate(pair->sha256, bytes, n) != 1 || (pair->md5 && EVP_DigestUpdate(pair->md5, bytes, n) != 1))
		give_up();
}

static void pair_close(struct pair *pair, struct file_digests *ret)
{
	if (EVP_DigestFinal_ex(pair->sha256, ret->sha256, NULL) != 1 || (pair->md5 && EVP_DigestFinal_ex(pair->md5, ret->md5, NULL) != 1))
		give_up();
	EVP_MD_CTX_free(pair->sha256);
	EVP_MD_CTX_free(pair->md5);
}

static enum err read_range(int fd, int64_t offset, int64_t size, bool md5, struct file_digests *ret)
{
	struct file_digests found;
	struct pair pair;
	struct buf block;
	enum err err = OK;
	buf_init(&block, READ_SIZE);
	char *bytes = buf_reserve(&block, READ_SIZE);
	if (!bytes)
		return ERR_UNAVAILABLE;
	pair_open(&pair, md5);
	while (!err && size > 0) {
		ssize_t n = pread(fd, bytes, size < READ_SIZE ? (size_t)size : (size_t)READ_SIZE, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = ERR_IO;
			break;
		}
		pair_update(&pair, bytes, (size_t)n);
		offset += n;
		size -= n;
	}
	pair_close(&pair, &found);
	buf_release(&block);
	if (!err)
		*ret = found;
	return err;
}

enum err digests_fd(int fd, int64_t offset, int64_t size, struct file_digests *ret)
{
	return read_range(fd, offset, size, true, ret);
}

enum err sha256_range(int fd, int64_t offset, int64_t size, uint8_t out[SHA256_SIZE])
{
	struct file_digests digests;
	enum err err = read_range(fd, offset, size, false, &digests);
	if (!err)
		memcpy(out, digests.sha256, SHA256_SIZE);
	return err;
}

void digests_once(const void *bytes, size_t n, struct file_digests *ret)
{
	struct pair pair;
	pair_open(&pair, true);
	pair_update(&pair, bytes, n);
	pair_close(&pair, ret);
}

