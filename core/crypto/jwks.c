/*
 * The key source: loads, keeps and replaces the keys that tokens are verified with.
 *
 * Called by the request side for every token. It must never use anything a token says to decide what is fetched, never
 * follow a redirect, never give up good keys for a failed load, and never let unknown kids cause more than one load in
 * 30 s.
 */
#include "core/crypto/jwks.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/net/http.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRATCH_MAX ((size_t)2 << 20)

static enum err read_all(int fd, char *out, size_t room, size_t *ret_length)
{
	size_t length = 0;

	while (length < room) {
		ssize_t n = read(fd, out + length, room - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	*ret_length = length;
	return OK;
}

static enum err read_file(struct arena *scratch, const char *path, struct str *ret, const char **ret_why)
{
	struct stat about = {0};
	size_t n = 0;
	enum err err = ERR_IO;

	*ret_why = "the key file cannot be read";
	char *bytes = arena_alloc(scratch, JWKS_BYTES_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && bytes != NULL && fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
		err = read_all(fd, bytes, JWKS_BYTES_MAX + 1, &n);
	if (fd >= 0)
		close(fd);
	if (err != OK)
		return err;
	if (n > JWKS_BYTES_MAX) {
		*ret_why = "the key set is larger than 256 KiB";
		return ERR_TOO_LARGE;
	}
	*ret = (struct str){bytes, n};
	return OK;
}

static enum err fetch(struct arena *scratch, const struct jwks_options *options, struct str *ret, const char **ret_why)
{
	static const char *const headers[] = {"Accept: application/json", NULL};
	const struct http_request request = {
		.url = options->location,
		.headers = headers,
		.response_max = JWKS_BYTES_MAX,
		.timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : JWKS_TIMEOUT_MS,
		.ca_file = options->ca_file,
		.allow_loopback_http = options->allow_loopback_http,
	};
	struct http_response response = {0};

	enum err err = http_request(scratch, &request, &response, ret_why);
	if (err != OK)
		return err;
	if (response.status != 200) {
		*ret_why = "the key server did not answer 200";
		return ERR_UNAVAILABLE;
	}
	*ret = response.body;
	return OK;
}

static enum err add_secret(struct jwt_keyring *ring, const struct jwks_options *options)
{
	if (options->secret == NULL)
		return OK;
	return jwt_keyring_add_secret(ring, options->secret_kid, options->secret, options->secret_length);
}

static enum err build_ring(const struct jwks_options *options, struct jwt_keyring *ring, const char **ret_why)
{
	struct arena scratch;
	struct str json = {0};

	arena_init(&scratch, SCRATCH_MAX);
	enum err err = add_secret(ring, options);
	if (err == OK && options->location[0] == '/')
		err = read_file(&scratch, options->location, &json, ret_why);
	else if (err == OK)
		err = fetch(&scratch, options, &json, ret_why);
	if (err == OK)
		err = jwt_keyring_add_jwks(ring, &scratch, json.p, json.n, ret_why);
	arena_release(&scratch);
	return err;
}

enum err jwks_init(struct jwks *jwks, const struct jwks_options *options)
{
	const char *location = options->location;

	*jwks = (struct jwks){.options = *options, .loaded = location == NULL};
	jwt_keyring_init(&jwks->ring);
	if (location == NULL && options->secret == NULL)
		return ERR_INVALID;
	if (location != NULL && location[0] != '/' && !text_starts_with(location, "https://") &&
	    !(options->allow_loopback_http && text_starts_with(location, "http://")))
		return ERR_INVALID;
	return add_secret(&jwks->ring, options);
}

void jwks_release(struct jwks *jwks)
{
	jwt_keyring_release(&jwks->ring);
	*jwks = (struct jwks){0};
}

enum err jwks_load(struct jwks *jwks, const char **ret_why)
{
	struct jwt_keyring fresh;

	if (jwks->options.location == NULL)
		return OK;
	jwt_keyring_init(&fresh);
	enum err err = build_ring(&jwks->options, &fresh, ret_why);
	int64_t now = clock_monotonic_us();
	jwks->asked = true;
	jwks->asked_us = now; /* after the load: a server that takes 5 s to fail is left alone for 30 s all the same */
	if (err != OK) {
		jwt_keyring_release(&fresh);
		return err;
	}
	jwt_keyring_release(&jwks->ring);
	jwks->ring = fresh;
	jwks->loaded = true;
	jwks->loaded_us = now;
	return OK;
}

/* Loads unless the source was asked a moment ago. True when the keys are new. */
static bool load_if_allowed(struct jwks *jwks)
{
	const char *why = NULL;

	if (jwks->options.location == NULL || (jwks->asked && clock_monotonic_us() - jwks->asked_us < JWKS_ASK_EVERY_US))
		return false;
	enum err err = jwks_load(jwks, &why);
	if (err != OK)
		log_write(LOG_LEVEL_WARN, "jwks_load_failed", LOG_TEXT("error", err_name(err)), LOG_TEXT("why", why), LOG_INT("keys_kept", jwks->ring.count));
	return err == OK;
}

enum jwt_reason jwks_verify(struct jwks *jwks, struct arena *arena, const struct jwt_policy *policy, const char *token, size_t n,
                            int64_t now, struct jwt_claims *ret)
{
	if (!jwks->loaded || clock_monotonic_us() - jwks->loaded_us > JWKS_AGE_MAX_US)
		load_if_allowed(jwks);
	enum jwt_reason reason = jwt_verify(arena, &jwks->ring, policy, token, n, now, ret);
	if (reason == JWT_UNKNOWN_KEY && load_if_allowed(jwks))
		reason = jwt_verify(arena, &jwks->ring, policy, token, n, now, ret);
	return reason == JWT_UNKNOWN_KEY && !jwks->loaded ? JWT_KEYS_UNAVAILABLE : reason;
}
