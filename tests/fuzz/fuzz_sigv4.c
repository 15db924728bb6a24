/*
 * Fuzz target: presigning and verifying. The input is a request target ("/path?query"): first it is verified as received,
 * then its path is taken as a raw key, signed, and must be accepted, and must come back as it was.
 * Seeds: tests/fuzz/seeds/sigv4/.
 */
#include "core/crypto/sigv4.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1700000000
#define HOST "files.example"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sigv4_credentials credentials = {
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
	.service = "s3",
};

static struct str header(void *context, struct str name)
{
	(void)context;
	return str_equal_text(name, "host") ? STR(HOST) : (struct str){NULL, 0};
}

static enum sigv4_reason verify(struct arena *arena, struct str target, struct sigv4_verified *ret)
{
	const char *mark = target.n > 0 ? memchr(target.p, '?', target.n) : NULL;
	size_t path = mark != NULL ? (size_t)(mark - target.p) : target.n;
	const struct sigv4_received received = {
		.method = STR("PUT"),
		.path = {target.p, path},
		.query = mark != NULL ? (struct str){mark + 1, target.n - path - 1} : STR(""),
		.header = header,
	};

	return sigv4_verify_presigned(arena, &credentials, &received, NOW, ret);
}

static void round_trip(struct arena *arena, struct str path)
{
	const struct sigv4_pair query[] = {{STR("response-content-disposition"), path}};
	const struct sigv4_request request = {.method = "PUT", .host = HOST, .path = path, .query = query, .query_count = 1};
	struct sigv4_verified verified = {0};
	const char *url = NULL;

	if (sigv4_presign(arena, &credentials, &request, "https", NOW, 900, &url) != OK)
		return;
	const char *target = strstr(url, HOST) + strlen(HOST);
	struct str sent = str_of(target);
	/* Longer targets than the verifier takes may be signed; nothing else may be refused. */
	if (sent.n <= SIGV4_TARGET_MAX && verify(arena, sent, &verified) != SIGV4_OK)
		abort();
	if (sent.n <= SIGV4_TARGET_MAX && (!str_equal(verified.path, path) || !str_equal(sigv4_signed_parameter(&verified, query[0].name.p), path)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = {(const char *)data, size};
	struct sigv4_verified verified = {0};
	struct arena arena;

	arena_init(&arena, 8 << 20);
	if (verify(&arena, input, &verified) == SIGV4_OK && (verified.path.n == 0 || verified.expires_at <= NOW))
		abort();
	if (size > 0 && size < 4096 && data[0] == '/' && memchr(data, 0, size) == NULL)
		round_trip(&arena, input);
	arena_release(&arena);
	return 0;
}
