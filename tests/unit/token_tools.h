/* Tokens and keys for tests, good and bad: signs whatever header and payload it is given, unlike the real thing. */
#ifndef TIDEGATE_TESTS_TOKEN_TOOLS_H
#define TIDEGATE_TESTS_TOKEN_TOOLS_H

#include "core/base/buf.h"
#include "core/crypto/base64.h"
#include "core/crypto/digest.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#define TOOLS_SECRET "0123456789abcdef0123456789abcdef"

/* header.payload, both in base64url. */
__attribute__((unused)) static void tools_unsigned(struct buf *out, const char *header, const char *payload)
{
	buf_clear(out);
	base64url_encode(out, header, strlen(header));
	buf_append_char(out, '.');
	base64url_encode(out, payload, strlen(payload));
}

/* .signature */
__attribute__((unused)) static void tools_signature(struct buf *out, const void *signature, size_t n)
{
	buf_append_char(out, '.');
	base64url_encode(out, signature, n);
}

__attribute__((unused)) static void tools_hs256(struct buf *out, const void *secret, size_t n, const char *header, const char *payload)
{
	uint8_t signature[SHA256_SIZE] = {0};

	tools_unsigned(out, header, payload);
	hmac_sha256(secret, n, out->data, out->len, signature);
	tools_signature(out, signature, sizeof signature);
}

/* Signs with an RSA key as RS256, with an EC key as ES256. */
__attribute__((unused)) static void tools_signed(struct buf *out, EVP_PKEY *key, const char *header, const char *payload)
{
	uint8_t signature[1024] = {0}, halves[2 * 66] = {0};
	size_t n = sizeof signature, half = (size_t)(EVP_PKEY_get_bits(key) + 7) / 8;
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	tools_unsigned(out, header, payload);
	EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL);
	EVP_DigestSign(context, signature, &n, (const uint8_t *)out->data, out->len);
	EVP_MD_CTX_free(context);
	if (EVP_PKEY_is_a(key, "RSA")) {
		tools_signature(out, signature, n);
		return;
	}
	const uint8_t *der = signature;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)n);
	BN_bn2binpad(ECDSA_SIG_get0_r(pair), halves, (int)half);
	BN_bn2binpad(ECDSA_SIG_get0_s(pair), halves + half, (int)half);
	ECDSA_SIG_free(pair);
	tools_signature(out, halves, 2 * half);
}

/* "name":"base64url" of a number of the key, on at least width bytes. */
__attribute__((unused)) static void tools_number(struct buf *out, EVP_PKEY *key, const char *name, const char *parameter, int width)
{
	BIGNUM *number = NULL;
	uint8_t bytes[1024] = {0};

	EVP_PKEY_get_bn_param(key, parameter, &number);
	int n = BN_num_bytes(number) > width ? BN_num_bytes(number) : width;
	BN_bn2binpad(number, bytes, n);
	buf_printf(out, ",\"%s\":\"", name);
	base64url_encode(out, bytes, (size_t)n);
	buf_append_char(out, '"');
	BN_free(number);
}

/* Appends the public key as a JWK. kid may be NULL; extra is more members, each with a comma in front, or "". */
__attribute__((unused)) static void tools_jwk(struct buf *out, EVP_PKEY *key, const char *kid, const char *extra)
{
	bool rsa = EVP_PKEY_is_a(key, "RSA");

	buf_printf(out, "{\"kty\":\"%s\"", rsa ? "RSA" : "EC");
	if (kid != NULL)
		buf_printf(out, ",\"kid\":\"%s\"", kid);
	if (rsa) {
		tools_number(out, key, "n", OSSL_PKEY_PARAM_RSA_N, 1);
		tools_number(out, key, "e", OSSL_PKEY_PARAM_RSA_E, 1);
	} else {
		buf_printf(out, ",\"crv\":\"P-%d\"", EVP_PKEY_get_bits(key));
		tools_number(out, key, "x", OSSL_PKEY_PARAM_EC_PUB_X, (EVP_PKEY_get_bits(key) + 7) / 8);
		tools_number(out, key, "y", OSSL_PKEY_PARAM_EC_PUB_Y, (EVP_PKEY_get_bits(key) + 7) / 8);
	}
	buf_printf(out, "%s}", extra);
}

/* A whole key set of one key. */
__attribute__((unused)) static void tools_jwks(struct buf *out, EVP_PKEY *key, const char *kid, const char *extra)
{
	buf_clear(out);
	buf_append_text(out, "{\"keys\":[");
	tools_jwk(out, key, kid, extra);
	buf_append_text(out, "]}");
}

#endif
