/*
 * Makes HS256 tokens: `tidegate token` for development, tests, and tokens between our own processes.
 *
 * It must never be reachable from a request: users' tokens are made by their identity provider.
 */
#include "core/crypto/jwt.h"

#include "core/base/ids.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/crypto/base64.h"

#define PART_MAX 4096
#define ROLE_DEPTH_MAX 8

static void put_optional(struct json_writer *json, const char *name, const char *text)
{
	if (text != NULL)
		json_put_text(json, name, text);
}

/* Writes text at a dotted path: app_metadata.role becomes {"app_metadata":{"role":…}}. */
static enum err put_at_path(struct json_writer *json, const char *path, const char *text)
{
	char part[JWT_TEXT_MAX + 1] = {0};
	unsigned depth = 0;

	for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(path, '.')) {
		size_t n = (size_t)(dot - path);
		if (n == 0 || n > JWT_TEXT_MAX || depth == ROLE_DEPTH_MAX)
			return ERR_INVALID;
		memcpy(part, path, n);
		part[n] = '\0';
		json_object_open(json, part);
		path = dot + 1;
		depth++;
	}
	json_put_text(json, path, text);
	for (; depth > 0; depth--)
		json_object_close(json);
	return OK;
}

static void write_header(struct buf *out, const struct jwt_mint *mint)
{
	struct json_writer json;

	json_start(&json, out);
	json_object_open(&json, NULL);
	json_put_text(&json, "alg", "HS256");
	json_put_text(&json, "typ", "JWT");
	put_optional(&json, "kid", mint->kid);
	json_object_close(&json);
}

static enum err write_payload(struct buf *out, const struct jwt_mint *mint)
{
	struct json_writer json;
	char id[UUID_SIZE] = {0};
	enum err err = OK;

	uuid_v4(id);
	json_start(&json, out);
	json_object_open(&json, NULL);
	put_optional(&json, "iss", mint->issuer);
	put_optional(&json, "aud", mint->audience);
	json_put_text(&json, "sub", mint->sub);
	if (mint->role != NULL)
		err = put_at_path(&json, mint->role_claim != NULL ? mint->role_claim : "role", mint->role);
	put_optional(&json, "space", mint->space);
	json_put_i64(&json, "iat", mint->issued_at);
	json_put_i64(&json, "exp", mint->issued_at + mint->lifetime);
	json_put_text(&json, "jti", id);
	json_object_close(&json);
	return err;
}

/* Appends header.payload.signature; a failed append shows at the end, in out. */
static void append_token(struct buf *out, const struct buf *header, const struct buf *payload, const void *secret, size_t n)
{
	size_t start = out->len;
	uint8_t signature[SHA256_SIZE] = {0};

	base64url_encode(out, header->data, header->len);
	buf_append_char(out, '.');
	base64url_encode(out, payload->data, payload->len);
	if (out->overflowed)
		return;
	hmac_sha256(secret, n, out->data + start, out->len - start, signature);
	buf_append_char(out, '.');
	base64url_encode(out, signature, sizeof signature);
}

enum err jwt_mint_hs256(struct buf *out, const void *secret, size_t n, const struct jwt_mint *mint)
{
	struct buf header, payload;

	if (n < JWT_SECRET_MIN || mint->sub == NULL || mint->sub[0] == '\0' || mint->issued_at < 0 || mint->lifetime <= 0)
		return ERR_INVALID;
	buf_init(&header, PART_MAX);
	buf_init(&payload, PART_MAX);
	write_header(&header, mint);
	enum err err = write_payload(&payload, mint);
	if (err == OK && (header.overflowed || payload.overflowed))
		err = ERR_TOO_LARGE;
	if (err == OK)
		append_token(out, &header, &payload, secret, n);
	if (err == OK && out->overflowed)
		err = ERR_TOO_LARGE;
	buf_release(&header);
	buf_release(&payload);
	return err;
}
