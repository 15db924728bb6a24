/*
 * Key rings: where keys for tokens come from (shared secrets, key sets) and what a key must be to be used at all.
 *
 * Called at start, and by jwks.c at every reload. It must never add a key that is weaker than the limits in jwt.h, never
 * take a secret out of a key set, and never leave it to the verifier to find out what a key is for.
 */
#include "core/crypto/jwt.h"

#include "core/base/json.h"
#include "core/base/text.h"
#include "core/crypto/base64.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#define P256_SIZE 32
#define RSA_BYTES_MAX (JWT_RSA_BITS_MAX / 8)

void jwt_keyring_init(struct jwt_keyring *ring)
{
	*ring = (struct jwt_keyring){0};
}

void jwt_keyring_release(struct jwt_keyring *ring)
{
	for (size_t i = 0; i < ring->count; i++) {
		hmac_key_release(&ring->keys[i].secret);
		EVP_PKEY_free(ring->keys[i].public_key);
	}
	jwt_keyring_init(ring);
}

static bool kid_is_taken(const struct jwt_keyring *ring, const char *kid)
{
	for (size_t i = 0; i < ring->count; i++) {
		if (text_equal(ring->keys[i].kid, kid))
			return true;
	}
	return false;
}

/* The place for the next key, already named but not yet counted. */
static enum err next_key(struct jwt_keyring *ring, const char *kid, struct jwt_key **ret)
{
	size_t n = kid != NULL ? strlen(kid) : 0;

	if (kid != NULL && (n == 0 || n > JWT_TEXT_MAX || kid_is_taken(ring, kid)))
		return ERR_INVALID;
	if (ring->count == JWT_KEYS_MAX)
		return ERR_TOO_LARGE;
	struct jwt_key *key = &ring->keys[ring->count];
	*key = (struct jwt_key){0};
	if (kid != NULL)
		memcpy(key->kid, kid, n);
	*ret = key;
	return OK;
}

enum err jwt_keyring_add_foreign_secret(struct jwt_keyring *ring, const char *kid, const void *secret, size_t n)
{
	struct jwt_key *key = NULL;

	if (n == 0)
		return ERR_INVALID;
	enum err err = next_key(ring, kid, &key);
	if (err == OK)
		err = hmac_key_init(&key->secret, secret, n);
	if (err != OK)
		return err;
	key->algorithm = JWT_HS256;
	key->signature_size = SHA256_SIZE;
	ring->count++;
	return OK;
}

enum err jwt_keyring_add_secret(struct jwt_keyring *ring, const char *kid, const void *secret, size_t n)
{
	return n < JWT_SECRET_MIN ? ERR_INVALID : jwt_keyring_add_foreign_secret(ring, kid, secret, n);
}

/* Decodes a base64url member into out[room]; its length, 0 when it is absent or wrong. */
static size_t member_bytes(const json_t *jwk, const char *name, uint8_t *out, size_t room)
{
	const char *text = json_text(jwk, name);
	size_t length = 0;

	if (text == NULL || base64url_decode(text, strlen(text), out, room, &length) != OK)
		return 0;
	return length;
}

/* A public key from its parameters, checked by libcrypto, or NULL. */
static EVP_PKEY *make_key(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY_CTX *check = NULL;
	EVP_PKEY *key = NULL;
	bool good = context != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
	            EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) == 1;

	if (good)
		check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	good = good && check != NULL && EVP_PKEY_public_check(check) == 1;
	EVP_PKEY_CTX_free(check);
	EVP_PKEY_CTX_free(context);
	if (!good) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

static EVP_PKEY *make_rsa(const BIGNUM *n, const BIGNUM *e)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (build != NULL && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		params = OSSL_PARAM_BLD_to_param(build);
	if (params != NULL)
		key = make_key("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	return key;
}

static bool load_rsa(const json_t *jwk, struct jwt_key *key)
{
	uint8_t n_bytes[RSA_BYTES_MAX + 3] = {0}, e_bytes[8] = {0};
	size_t n_length = member_bytes(jwk, "n", n_bytes, sizeof n_bytes);
	size_t e_length = member_bytes(jwk, "e", e_bytes, sizeof e_bytes);
	BIGNUM *n = BN_bin2bn(n_bytes, (int)n_length, NULL);
	BIGNUM *e = BN_bin2bn(e_bytes, (int)e_length, NULL);

	if (n != NULL && e != NULL && BN_num_bits(n) >= JWT_RSA_BITS_MIN && BN_num_bits(n) <= JWT_RSA_BITS_MAX && BN_is_odd(n) &&
	    BN_is_odd(e) && !BN_is_one(e))
		key->public_key = make_rsa(n, e);
	BN_free(n);
	BN_free(e);
	if (key->public_key == NULL)
		return false;
	key->algorithm = JWT_RS256;
	key->signature_size = (size_t)EVP_PKEY_get_size(key->public_key);
	return true;
}

static bool load_p256(const json_t *jwk, struct jwt_key *key)
{
	char curve[] = "P-256";
	uint8_t point[1 + 2 * P256_SIZE] = {4}; /* uncompressed form */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
		OSSL_PARAM_construct_end(),
	};

	if (!text_equal(json_text(jwk, "crv"), curve) || member_bytes(jwk, "x", point + 1, P256_SIZE) != P256_SIZE ||
	    member_bytes(jwk, "y", point + 1 + P256_SIZE, P256_SIZE) != P256_SIZE)
		return false;
	key->public_key = make_key("EC", params);
	key->algorithm = JWT_ES256;
	key->signature_size = sizeof point - 1; /* two numbers of the same size */
	return key->public_key != NULL;
}

/* use, key_ops and alg are optional, but where they stand they must mean this. */
static bool meant_for(const json_t *jwk, const char *algorithm)
{
	const json_t *use = json_object_get(jwk, "use"), *alg = json_object_get(jwk, "alg");
	const json_t *operations = json_object_get(jwk, "key_ops");
	bool verifies = operations == NULL;

	for (size_t i = 0; i < json_array_size(operations); i++)
		verifies = verifies || text_equal(json_string_value(json_array_get(operations, i)), "verify");
	return verifies && (use == NULL || text_equal(json_string_value(use), "sig")) &&
	       (alg == NULL || text_equal(json_string_value(alg), algorithm));
}

static bool load_jwk(const json_t *jwk, struct jwt_key *key)
{
	const char *type = json_text(jwk, "kty");

	if (text_equal(type, "RSA"))
		return meant_for(jwk, "RS256") && load_rsa(jwk, key);
	if (text_equal(type, "EC"))
		return meant_for(jwk, "ES256") && load_p256(jwk, key);
	return false;
}

/* OK also for a key that is passed over. */
static enum err add_jwk(struct jwt_keyring *ring, const json_t *jwk, const char **ret_why)
{
	struct jwt_key loaded = {0};
	struct jwt_key *key = NULL;
	const json_t *kid = json_object_get(jwk, "kid");

	if (!load_jwk(jwk, &loaded))
		return OK;
	enum err err = kid != NULL && !json_is_string(kid) ? ERR_INVALID : next_key(ring, json_string_value(kid), &key);
	if (err != OK) {
		EVP_PKEY_free(loaded.public_key);
		*ret_why = err == ERR_TOO_LARGE ? "too many keys" : "a kid stands twice, or is not text of 1 to 255 bytes";
		return err;
	}
	memcpy(loaded.kid, key->kid, sizeof loaded.kid);
	*key = loaded;
	ring->count++;
	return OK;
}

enum err jwt_keyring_add_jwks(struct jwt_keyring *ring, struct arena *scratch, const char *json, size_t n, const char **ret_why)
{
	json_t *set = NULL;
	size_t before = ring->count;

	enum err err = json_parse(scratch, json, n, &set, ret_why);
	if (err != OK)
		return err;
	const json_t *keys = json_object_get(set, "keys");
	if (!json_is_array(keys)) {
		*ret_why = "no array named keys";
		return ERR_INVALID;
	}
	for (size_t i = 0; i < json_array_size(keys) && err == OK; i++)
		err = add_jwk(ring, json_array_get(keys, i), ret_why);
	if (err == OK && ring->count == before) {
		*ret_why = "no key that could verify RS256 or ES256";
		err = ERR_INVALID;
	}
	return err;
}
