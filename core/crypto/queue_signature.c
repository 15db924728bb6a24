/*
 * Verifies calls of a hosted queue. Called by the guard of signed routes once the body is there.
 * Must never take anything but HS256, nor tell a caller how far a forgery came: the reason is for the log.
 */
#include "core/crypto/queue_signature.h"

#include "core/base/json.h"
#include "core/crypto/base64.h"

#include <string.h>

static enum err add_key(struct jwt_keyring *ring, const char *key)
{
	jwt_keyring_init(ring);
	return *key ? jwt_keyring_add_foreign_secret(ring, NULL, key, strlen(key)) : OK;
}

enum err queue_keys_init(struct queue_keys *keys, const char *current, const char *next)
{
	enum err err = add_key(&keys->rings[0], current);
	enum err err_next = add_key(&keys->rings[1], next);
	if (!err)
		err = err_next;
	if (err)
		queue_keys_release(keys);
	return err;
}

void queue_keys_release(struct queue_keys *keys)
{
	jwt_keyring_release(&keys->rings[0]);
	jwt_keyring_release(&keys->rings[1]);
}

bool queue_keys_present(const struct queue_keys *keys)
{
	return keys->rings[0].count + keys->rings[1].count > 0;
}

/* The claim is base64url of the body's SHA-256, written with padding by some versions and without by others. */
static bool body_is(const char *claim, struct str body)
{
	uint8_t digest[SHA256_SIZE];
	struct buf expected;
	struct str given = str_of(claim);
	while (given.n && given.p[given.n - 1] == '=')
		given.n--;
	sha256_once(body.n ? body.p : "", body.n, digest);
	buf_init(&expected, (size_t)SHA256_SIZE * 2);
	bool same = base64url_encode(&expected, digest, sizeof(digest)) == OK && constant_time_equal(given.p, given.n, expected.data, expected.len);
	buf_release(&expected);
	return same;
}

enum jwt_reason queue_signature_verify(struct arena *arena, struct queue_keys *keys, struct str token, const char *url, struct str body,
                                       int64_t now, int64_t leeway, struct queue_call *ret)
{
	const struct jwt_policy policy = {.issuer = "Upstash", .leeway = leeway};
	struct jwt_claims claims = {0};
	enum jwt_reason reason = JWT_KEYS_UNAVAILABLE;
	for (size_t i = 0; i < 2 && (reason == JWT_KEYS_UNAVAILABLE || reason == JWT_BAD_SIGNATURE); i++)
		if (keys->rings[i].count)
			reason = jwt_verify(arena, &keys->rings[i], &policy, token.p, token.n, now, &claims);
	if (reason != JWT_OK)
		return reason;
	if (!text_equal(claims.sub, url))
		return JWT_WRONG_SUBJECT;
	if (!claims.jti || !json_text(claims.all, "body"))
		return JWT_BAD_CLAIM;
	if (!body_is(json_text(claims.all, "body"), body))
		return JWT_WRONG_BODY;
	*ret = (struct queue_call){claims.jti, claims.exp};
	return JWT_OK;
}
