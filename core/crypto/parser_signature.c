/* Signatures of parsers' calls. Called by the guard of their addresses, and by tests. Must never log a secret or a signature. */
#include "core/crypto/parser_signature.h"

#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 1024, TIMESTAMP_MAX = 20, NEWLINES = 4 };

static bool nonce_is_one(const char *nonce)
{
	size_t n = nonce ? strlen(nonce) : 0;
	if (n < PARSER_NONCE_MIN || n > PARSER_NONCE_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (nonce[i] <= ' ' || nonce[i] > '~')
			return false;
	return true;
}

static bool signature_is_one(const char *signature)
{
	return signature && strlen(signature) == SHA256_HEX_SIZE - 1 && strspn(signature, "0123456789abcdef") == SHA256_HEX_SIZE - 1;
}

void parser_sign(const char *secret, const struct parser_call *call, char out[SHA256_HEX_SIZE])
{
	char hash[SHA256_HEX_SIZE], message[MESSAGE_MAX];
	uint8_t mac[SHA256_SIZE];
	sha256_hex(call->body.p ? call->body.p : "", call->body.n, hash);
	int n = snprintf(message, sizeof(message), "%s\n%.*s\n%s\n%s\n%s", call->method, (int)call->path.n, call->path.p, call->timestamp, call->nonce, hash);
	hmac_sha256(secret, strlen(secret), message, n < 0 ? 0 : (size_t)n < sizeof(message) ? (size_t)n : sizeof(message) - 1, mac);
	hex_encode(mac, sizeof(mac), out);
}

static bool signed_with(const char *secret, const struct parser_call *call)
{
	char expected[SHA256_HEX_SIZE];
	if (!*secret)
		return false;
	parser_sign(secret, call, expected);
	return constant_time_equal(expected, SHA256_HEX_SIZE - 1, call->signature, SHA256_HEX_SIZE - 1);
}

enum err parser_verify(const char *current, const char *next, const struct parser_call *call, int64_t now)
{
	int64_t at = 0;
	size_t fixed = strlen(call->method) + TIMESTAMP_MAX + PARSER_NONCE_MAX + SHA256_HEX_SIZE + NEWLINES;
	if (!call->timestamp || strlen(call->timestamp) > TIMESTAMP_MAX || parse_i64(call->timestamp, 0, INT64_MAX, &at) || !nonce_is_one(call->nonce) ||
	    !signature_is_one(call->signature) || call->path.n + fixed > MESSAGE_MAX)
		return ERR_INVALID;
	if (at < now - PARSER_SKEW_S || at > now + PARSER_SKEW_S)
		return ERR_TIMEOUT;
	bool by_current = signed_with(current, call), by_next = signed_with(next, call);
	return by_current || by_next ? OK : ERR_DENIED;
}
