/*
 * Fuzz target: the token verifier. The input is tried as a token as it is, then its first line as a header and its second
 * as a payload under a good signature (which a mutation would never find), and at last as a key set.
 * Seeds: tests/fuzz/seeds/jwt/.
 */
#include "core/crypto/base64.h"
#include "core/crypto/jwt.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void verify(struct jwt_keyring *ring, const char *token, size_t n)
{
	static const struct jwt_policy policy = {.role_claim = "app_metadata.role", .leeway = 60};
	struct jwt_claims claims = {0};
	struct arena arena;

	arena_init(&arena, 1 << 20);
	/* What is accepted must keep what the header promises. */
	if (jwt_verify(&arena, ring, &policy, token, n, NOW, &claims) == JWT_OK &&
	    (claims.sub == NULL || claims.space == NULL || claims.sub[0] == '\0' || strlen(claims.sub) > JWT_TEXT_MAX || claims.exp + 60 <= NOW))
		abort();
	arena_release(&arena);
}

static void verify_signed(struct jwt_keyring *ring, const char *data, size_t size)
{
	const char *line = memchr(data, '\n', size);
	size_t header = line != NULL ? (size_t)(line - data) : size;
	size_t payload = line != NULL ? size - header - 1 : 0;
	uint8_t signature[SHA256_SIZE] = {0};
	struct buf token;

	buf_init(&token, 2 * (size_t)JWT_TOKEN_MAX);
	base64url_encode(&token, data, header);
	buf_append_char(&token, '.');
	base64url_encode(&token, data + size - payload, payload);
	if (!token.overflowed) {
		hmac_sha256(SECRET, strlen(SECRET), token.data, token.len, signature);
		buf_append_char(&token, '.');
		base64url_encode(&token, signature, sizeof signature);
		if (!token.overflowed)
			verify(ring, token.data, token.len);
	}
	buf_release(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct jwt_keyring ring;
	struct arena scratch;
	const char *why = NULL;

	if (size == 0)
		return 0;
	jwt_keyring_init(&ring);
	if (jwt_keyring_add_secret(&ring, NULL, SECRET, strlen(SECRET)) == OK) {
		verify(&ring, text, size);
		verify_signed(&ring, text, size);
	}
	arena_init(&scratch, 4 << 20);
	if (jwt_keyring_add_jwks(&ring, &scratch, text, size, &why) == OK)
		verify(&ring, text, size);
	arena_release(&scratch);
	jwt_keyring_release(&ring);
	return 0;
}
