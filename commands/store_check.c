/*
 * tidegate store check and setup: what the endpoint can do, tried out with an object of our own that is gone afterwards.
 * Called by `tidegate store`. Must never touch an object it has not made.
 */
#include "commands/store.h"

#include "core/base/clock.h"
#include "core/base/ids.h"
#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "core/net/http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CLOCK_MAX_S = 60, LIFE_S = 60, BODY = 4096, ORIGINS_MAX = 32 };

struct check {
	struct command *command;
	struct s3 *s3;
	const char *key;
	int fd; /* a file of BODY bytes */
	int wrong;
};

static void ok(const char *what)
{
	printf("ok     %s\n", what);
}

PRINTF_LIKE(3, 4) static void say(struct check *check, bool wrong, const char *format, ...)
{
	va_list args;
	check->wrong += wrong;
	va_start(args, format);
	fputs(wrong ? "WRONG  " : "lacks  ", stdout);
	vprintf(format, args);
	fputc('\n', stdout);
	va_end(args);
}

static const char *reason(struct check *check, enum err err)
{
	return store_reason(check->command, check->s3, err);
}

/* Can we talk to it at all? Nothing else is tried when not. */
static bool credentials(struct check *check)
{
	struct s3_page page;
	enum err err = s3_list(check->s3, check->command->arena, "tidegate-check/", NULL, &page);
	if (err)
		say(check, true, "the bucket %s at %s cannot be listed: %s", check->s3->config->storage_bucket, check->s3->config->storage_endpoint, reason(check, err));
	else
		ok("endpoint, bucket and credentials");
	return !err;
}

static void clocks(struct check *check)
{
	int64_t ahead = check->s3->date ? check->s3->date - clock_unix() : 0;
	if (!check->s3->date)
		say(check, false, "the endpoint does not say what time it is");
	else if (ahead > CLOCK_MAX_S || ahead < -CLOCK_MAX_S)
		say(check, true, "the clock of the endpoint is %lld s ahead of ours: signatures are refused from 900 s on", (long long)ahead);
	else
		ok("the clock agrees with ours");
}

static bool write_and_read(struct check *check)
{
	const struct s3_put how = {.content_type = "application/octet-stream"};
	struct s3_object object;
	struct arena *arena = check->command->arena;
	FILE *copy = tmpfile();
	uint8_t sent[SHA256_SIZE], got[SHA256_SIZE] = {0};
	enum err err = copy ? s3_put(check->s3, arena, check->key, check->fd, BODY, &how) : ERR_IO;
	const char *step = "written";
	if (!err) {
		step = "read";
		err = s3_get(check->s3, arena, check->key, fileno(copy), BODY, &object);
	}
	if (!err)
		err = sha256_fd(check->fd, sent, NULL) || sha256_fd(fileno(copy), got, NULL) || memcmp(sent, got, SHA256_SIZE) != 0 ? ERR_IO : OK;
	if (err)
		say(check, true, "an object cannot be %s: %s", step, reason(check, err));
	else
		ok("objects are written and come back the same (signature, Content-MD5, SHA-256)");
	if (copy)
		(void)fclose(copy);
	return !err;
}

static void conditional_put(struct check *check)
{
	const struct s3_put how = {.only_new = true};
	bool wanted = check->s3->config->storage_conditional_put;
	enum err err = s3_put(check->s3, check->command->arena, check->key, check->fd, BODY, &how);
	if (err == ERR_CONFLICT)
		ok("If-None-Match: * (an upload URL works once)");
	else if (!err)
		say(check, wanted, "If-None-Match: * is ignored%s", wanted ? "; set storage.conditional_put = false" : "");
	else
		say(check, wanted, "If-None-Match: * is refused (%s)%s", reason(check, err), wanted ? "; set storage.conditional_put = false" : "");
}

static void signed_urls(struct check *check)
{
	struct arena *arena = check->command->arena;
	struct http_response response = {0};
	const char *url, *why = "";
	enum err err = s3_presign(check->s3, arena, "GET", check->key, NULL, 0, NULL, 0, LIFE_S, &url);
	if (!err) {
		struct http_request request = {.url = url, .response_max = BODY, .allow_loopback_http = true,
		                               .ca_file = *check->s3->config->storage_ca_file ? check->s3->config->storage_ca_file : NULL};
		err = http_request(arena, &request, &response, &why);
	}
	if (err || response.status != 200)
		say(check, true, "a signed URL does not work: %s%s", err ? why : "status ", err ? "" : arena_printf(arena, "%d", response.status));
	else
		ok("signed URLs");
}

static void parts(struct check *check)
{
	const struct s3_put how = {0};
	const char *id;
	enum err err = s3_multipart_create(check->s3, check->command->arena, check->key, &how, &id);
	if (!err)
		err = s3_multipart_abort(check->s3, check->command->arena, check->key, id);
	if (err)
		say(check, true, "uploads in parts do not work: %s", reason(check, err));
	else
		ok("uploads in parts");
}

/* The origins whose pages may upload, each once. */
static size_t origins_of(struct command *command, const char *origins[ORIGINS_MAX])
{
	size_t n = 0;
	origins[n++] = command->config->public_url;
	for (const char *p = command->config->cors_origins; *p && n < ORIGINS_MAX;) {
		size_t length = strcspn(p, " \t");
		const char *origin = length ? arena_copy(command->arena, p, length) : NULL;
		if (origin && !text_equal(origin, command->config->public_url))
			origins[n++] = origin;
		p += length + strspn(p + length, " \t");
	}
	return n;
}

/* What a browser would ask before a PUT from a page of that origin. */
static bool preflight(struct check *check, const char *origin)
{
	struct arena *arena = check->command->arena;
	struct http_response response;
	const char *url;
	const char *headers[] = {arena_printf(arena, "Origin: %s", origin), "Access-Control-Request-Method: PUT",
	                         "Access-Control-Request-Headers: if-none-match, x-amz-checksum-sha256", NULL};
	if (!headers[0] || s3_presign(check->s3, arena, "PUT", check->key, NULL, 0, NULL, 0, LIFE_S, &url))
		return false;
	struct http_request request = {.method = "OPTIONS", .url = url, .headers = headers, .response_max = 64 << 10, .allow_loopback_http = true,
	                               .ca_file = *check->s3->config->storage_ca_file ? check->s3->config->storage_ca_file : NULL};
	if (http_request(arena, &request, &response, NULL) || response.status < 200 || response.status > 299)
		return false;
	const char *allowed = http_header(&response, "access-control-allow-origin");
	return allowed && (text_equal(allowed, origin) || text_equal(allowed, "*"));
}

static void cross_origin(struct check *check)
{
	const char *origins[ORIGINS_MAX];
	size_t count = origins_of(check->command, origins);
	for (size_t i = 0; i < count; i++) {
		if (preflight(check, origins[i]))
			ok(arena_printf(check->command->arena, "pages of %s may upload (CORS)", origins[i]));
		else
			say(check, false, "pages of %s may not upload: no CORS rule allows it; `tidegate store setup` writes one where the endpoint can", origins[i]);
	}
}

int store_check(struct command *command, struct s3 *s3)
{
	struct check check = {.command = command, .s3 = s3};
	char id[UUID_SIZE], block[BODY];
	FILE *file = tmpfile();
	uuid_v4(id);
	check.key = arena_printf(command->arena, "tidegate-check/%s", id);
	random_bytes(block, sizeof(block));
	if (!file || !check.key || fwrite(block, sizeof(block), 1, file) != 1 || fflush(file))
		return complain(EXIT_CANNOT_CREATE, "no temporary file can be written.");
	check.fd = fileno(file);
	bool there = credentials(&check);
	clocks(&check);
	if (there && write_and_read(&check)) {
		conditional_put(&check);
		signed_urls(&check);
		parts(&check);
		cross_origin(&check);
	}
	if (there && s3_delete(s3, command->arena, check.key))
		say(&check, true, "the object %s cannot be deleted: %s", check.key, store_reason(command, s3, OK));
	(void)fclose(file);
	puts(check.wrong ? "the store does not do what is needed" : "the store does what is needed");
	return check.wrong ? EXIT_FAILED : 0;
}

int store_setup(struct command *command, struct s3 *s3)
{
	const char *origins[ORIGINS_MAX];
	size_t count = origins_of(command, origins);
	struct s3_page page;
	struct buf xml;
	enum err err = s3_list(s3, command->arena, "tidegate-check/", NULL, &page);
	if (err == ERR_NOT_FOUND && !(err = s3_bucket_create(s3, command->arena)))
		printf("made the bucket %s\n", s3->config->storage_bucket);
	if (err)
		return complain(err == ERR_UNAVAILABLE || err == ERR_TIMEOUT ? EXIT_UNAVAILABLE : EXIT_REFUSED, "the bucket: %s", store_reason(command, s3, err));
	buf_init(&xml, 64 << 10);
	buf_append_text(&xml, "<CORSConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><CORSRule>");
	for (size_t i = 0; i < count; i++)
		buf_printf(&xml, "<AllowedOrigin>%s</AllowedOrigin>", origins[i]);
	buf_append_text(&xml, "<AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod><AllowedMethod>HEAD</AllowedMethod>"
			      "<AllowedHeader>content-type</AllowedHeader><AllowedHeader>if-none-match</AllowedHeader>"
			      "<AllowedHeader>x-amz-checksum-sha256</AllowedHeader><ExposeHeader>ETag</ExposeHeader>"
			      "<MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule></CORSConfiguration>");
	err = xml.overflowed ? ERR_TOO_LARGE : s3_cors_write(s3, command->arena, (struct str){buf_text(&xml), xml.len});
	buf_release(&xml);
	if (err)
		return complain(err == ERR_UNAVAILABLE || err == ERR_TIMEOUT ? EXIT_UNAVAILABLE : EXIT_REFUSED, "the CORS rules were not taken: %s",
		                store_reason(command, s3, err));
	for (size_t i = 0; i < count; i++)
		printf("pages of %s may upload to and download from %s\n", origins[i], s3->config->storage_bucket);
	return 0;
}
