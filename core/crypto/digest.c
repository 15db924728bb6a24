/*
 * SHA-256 and HMAC-SHA-256.
 *
 * Called by everything that signs, verifies or names content: tokens, webhooks, sigv4, uploads, backups.
 * It must never compare digests (that is constant_time_equal), never accept another algorithm, and never hand out a
 * digest after a failure of libcrypto: it ends the process instead.
 */
#include "core/crypto/digest.h"

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/text.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <unistd.h>

#define READ_SIZE ((size_t)1 << 20)

static _Noreturn void give_up(const char *what)
{
	log_write(LOG_LEVEL_ERROR, "libcrypto_failed", LOG_TEXT("call", what));
	abort();
}

static EVP_MD *sha256_algorithm(void)
{
	static EVP_MD *algorithm;

	if (algorithm == NULL)
		algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (algorithm == NULL)
		give_up("EVP_MD_fetch");
	return algorithm;
}

/* A fresh HMAC-SHA-256 context without a key, or NULL. */
static EVP_MAC_CTX *hmac_context(void)
{
	static EVP_MAC *algorithm;
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	if (algorithm == NULL)
		algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (algorithm == NULL)
		give_up("EVP_MAC_fetch");
	EVP_MAC_CTX *context = EVP_MAC_CTX_new(algorithm);
	if (context != NULL && EVP_MAC_CTX_set_params(context, params) != 1) {
		EVP_MAC_CTX_free(context);
		context = NULL;
	}
	return context;
}

static void hmac_finish(EVP_MAC_CTX *context, const void *bytes, size_t n, uint8_t out[SHA256_SIZE])
{
	size_t length = 0;

	if (EVP_MAC_update(context, bytes, n) != 1 || EVP_MAC_final(context, out, &length, SHA256_SIZE) != 1 || length != SHA256_SIZE)
		give_up("EVP_MAC_final");
}

enum err sha256_init(struct sha256 *hash)
{
	hash->context = EVP_MD_CTX_new();
	if (hash->context == NULL || EVP_DigestInit_ex2(hash->context, sha256_algorithm(), NULL) != 1) {
		sha256_release(hash);
		return ERR_UNAVAILABLE;
	}
	return OK;
}

void sha256_update(struct sha256 *hash, const void *bytes, size_t n)
{
	if (EVP_DigestUpdate(hash->context, bytes, n) != 1)
		give_up("EVP_DigestUpdate");
}

void sha256_final(struct sha256 *hash, uint8_t out[SHA256_SIZE])
{
	unsigned length = 0;

	if (EVP_DigestFinal_ex(hash->context, out, &length) != 1 || length != SHA256_SIZE)
		give_up("EVP_DigestFinal_ex");
}

void sha256_release(struct sha256 *hash)
{
	EVP_MD_CTX_free(hash->context);
	hash->context = NULL;
}

void sha256_once(const void *bytes, size_t n, uint8_t out[SHA256_SIZE])
{
	static struct sha256 kept;

	if (kept.context == NULL)
		kept.context = EVP_MD_CTX_new();
	if (kept.context == NULL || EVP_DigestInit_ex2(kept.context, sha256_algorithm(), NULL) != 1)
		give_up("EVP_DigestInit_ex2");
	sha256_update(&kept, bytes, n);
	sha256_final(&kept, out);
}

void sha256_hex(const void *bytes, size_t n, char out[SHA256_HEX_SIZE])
{
	uint8_t digest[SHA256_SIZE] = {0};

	sha256_once(bytes, n, digest);
	hex_encode(digest, sizeof digest, out);
}

static enum err hash_file(struct sha256 *hash, int fd, char *block, int64_t *ret_size)
{
	int64_t size = 0;

	for (;;) {
		ssize_t n = pread(fd, block, READ_SIZE, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			break;
		sha256_update(hash, block, (size_t)n);
		size += n;
	}
	*ret_size = size;
	return OK;
}

enum err sha256_fd(int fd, uint8_t out[SHA256_SIZE], int64_t *ret_size)
{
	struct sha256 hash = {0};
	struct buf block;
	int64_t size = 0;
	enum err err = ERR_UNAVAILABLE;

	buf_init(&block, READ_SIZE);
	char *bytes = buf_reserve(&block, READ_SIZE);
	if (bytes != NULL)
		err = sha256_init(&hash);
	if (err == OK)
		err = hash_file(&hash, fd, bytes, &size);
	if (err == OK) {
		sha256_final(&hash, out);
		if (ret_size != NULL)
			*ret_size = size;
	}
	sha256_release(&hash);
	buf_release(&block);
	return err;
}

void hmac_sha256(const void *key, size_t key_length, const void *bytes, size_t n, uint8_t out[SHA256_SIZE])
{
	static EVP_MAC_CTX *kept;

	if (kept == NULL)
		kept = hmac_context();
	/* A NULL key would mean "the key of last time" to EVP_MAC_init. */
	if (kept == NULL || EVP_MAC_init(kept, key == NULL || key_length == 0 ? (const void *)"" : key, key_length, NULL) != 1)
		give_up("EVP_MAC_init");
	hmac_finish(kept, bytes, n, out);
}

enum err hmac_key_init(struct hmac_key *key, const void *bytes, size_t n)
{
	key->context = hmac_context();
	if (key->context == NULL || EVP_MAC_init(key->context, n == 0 ? (const void *)"" : bytes, n, NULL) != 1) {
		hmac_key_release(key);
		return ERR_UNAVAILABLE;
	}
	return OK;
}

void hmac_key_sign(struct hmac_key *key, const void *bytes, size_t n, uint8_t out[SHA256_SIZE])
{
	if (EVP_MAC_init(key->context, NULL, 0, NULL) != 1)
		give_up("EVP_MAC_init");
	hmac_finish(key->context, bytes, n, out);
}

void hmac_key_release(struct hmac_key *key)
{
	EVP_MAC_CTX_free(key->context);
	key->context = NULL;
}
