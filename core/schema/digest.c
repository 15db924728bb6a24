/*
 * SHA-256 through OpenSSL's one-shot EVP call.
 * Called by ddl.c (fingerprint of a declaration) and by the column mapping (fingerprint of headings).
 * Never used for secrets: nothing here is keyed or constant-time.
 */
#include "core/schema/digest.h"

#include "core/base/text.h"

#include <openssl/evp.h>

enum err schema_digest(const void *bytes, size_t n, char out[SCHEMA_DIGEST_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int length = 0;

	if (EVP_Digest(bytes, n, digest, &length, EVP_sha256(), NULL) != 1 || length != 32)
		return ERR_IO;
	hex_encode(digest, length, out);
	return OK;
}
