/*
 * The payload of age files: chunks of 64 KiB, each with a tag and its number, the last one marked. Called by the backups and
 * `tidegate restore`. Must never pass on a byte whose tag has not been verified, nor take a file that ends before its last chunk.
 */
#include "core/crypto/age.h"

#include "core/crypto/age_header.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

enum { NONCE = 16, SEALED = AGE_CHUNK + AGE_TAG };

static void chunk_nonce(uint64_t counter, bool last, uint8_t out[12])
{
	memset(out, 0, 12);
	for (int i = 0; i < 8; i++)
		out[10 - i] = (uint8_t)(counter >> 8 * i);
	out[11] = last;
}

static enum err start(struct age_stream *stream, struct sink to)
{
	memset(stream, 0, sizeof(*stream));
	stream->to = to;
	stream->cipher = EVP_CIPHER_CTX_new();
	return stream->cipher ? OK : ERR_UNAVAILABLE;
}

enum err age_seal_start(struct age_stream *stream, const struct age_recipient *recipients, size_t count, struct sink to)
{
	struct buf header;
	enum err err = start(stream, to);
	buf_init(&header, AGE_HEADER_MAX);
	randombytes_buf(stream->file_key, sizeof(stream->file_key));
	randombytes_buf(stream->nonce, sizeof(stream->nonce));
	if (!err)
		err = age_header_write(recipients, count, stream->file_key, &header);
	age_derive(stream->file_key, sizeof(stream->file_key), stream->nonce, NONCE, "payload", stream->key);
	if (!err)
		err = sink_put(&to, header.data, header.len);
	buf_release(&header);
	return err ? err : sink_put(&to, stream->nonce, NONCE);
}

static enum err seal_chunk(struct age_stream *stream, bool last)
{
	uint8_t nonce[12];
	chunk_nonce(stream->counter++, last, nonce);
	size_t n = stream->held;
	stream->held = 0;
	enum err err = age_aead_seal(stream->cipher, stream->key, nonce, stream->chunk, n, stream->chunk);
	return err ? err : sink_put(&stream->to, stream->chunk, n + AGE_TAG);
}

/* A full chunk waits until more comes: it may be the last. */
enum err age_seal_put(struct age_stream *stream, const void *bytes, size_t n)
{
	const uint8_t *from = bytes;
	enum err err = OK;
	while (!err && n) {
		if (stream->held == AGE_CHUNK)
			err = seal_chunk(stream, false);
		size_t take = AGE_CHUNK - stream->held < n ? AGE_CHUNK - stream->held : n;
		memcpy(stream->chunk + stream->held, from, take);
		stream->held += take;
		from += take;
		n -= take;
	}
	return err;
}

enum err age_seal_finish(struct age_stream *stream)
{
	return seal_chunk(stream, true);
}

enum err age_open_start(struct age_stream *stream, const struct age_identity *identity, struct sink to)
{
	enum err err = start(stream, to);
	stream->identity = identity;
	return err;
}

static enum err open_chunk(struct age_stream *stream, bool last)
{
	uint8_t nonce[12];
	size_t n = stream->held;
	if (n < AGE_TAG || (last && n == AGE_TAG && stream->counter > 0))
		return ERR_INVALID;
	chunk_nonce(stream->counter++, last, nonce);
	stream->held = 0;
	enum err err = age_aead_open(stream->cipher, stream->key, nonce, stream->chunk, n, stream->chunk);
	return err ? err : sink_put(&stream->to, stream->chunk, n - AGE_TAG);
}

static enum err open_payload(struct age_stream *stream, const uint8_t *from, size_t n)
{
	enum err err = OK;
	while (n && stream->nonce_length < NONCE) {
		stream->nonce[stream->nonce_length++] = *from++;
		n--;
		if (stream->nonce_length == NONCE)
			age_derive(stream->file_key, sizeof(stream->file_key), stream->nonce, NONCE, "payload", stream->key);
	}
	while (!err && n) {
		if (stream->held == SEALED)
			err = open_chunk(stream, false);
		size_t take = SEALED - stream->held < n ? SEALED - stream->held : n;
		memcpy(stream->chunk + stream->held, from, take);
		stream->held += take;
		from += take;
		n -= take;
	}
	return err;
}

/* Collects the header; what came behind it is payload. */
static enum err open_header(struct age_stream *stream, const uint8_t *from, size_t n)
{
	size_t take = sizeof(stream->header) - stream->header_length < n ? sizeof(stream->header) - stream->header_length : n;
	memcpy(stream->header + stream->header_length, from, take);
	stream->header_length += take;
	size_t length = age_header_length(stream->header, stream->header_length);
	if (!length)
		return stream->header_length == sizeof(stream->header) ? ERR_INVALID : OK;
	enum err err = age_header_open(stream->header, length, stream->identity, stream->file_key);
	stream->identity = NULL;
	if (!err)
		err = open_payload(stream, stream->header + length, stream->header_length - length);
	return err ? err : open_payload(stream, from + take, n - take);
}

enum err age_open_put(struct age_stream *stream, const void *bytes, size_t n)
{
	return stream->identity ? open_header(stream, bytes, n) : open_payload(stream, bytes, n);
}

enum err age_open_finish(struct age_stream *stream)
{
	if (stream->identity || stream->nonce_length < NONCE)
		return ERR_INVALID;
	return open_chunk(stream, true);
}

enum err age_rewrap(const void *bytes, size_t n, const struct age_identity *identity, const struct age_recipient *recipients, size_t count, struct buf *out, size_t *ret_length)
{
	uint8_t file_key[AGE_FILE_KEY];
	size_t length = age_header_length(bytes, n);
	if (!length)
		return ERR_INVALID;
	enum err err = age_header_open(bytes, length, identity, file_key);
	if (!err)
		err = age_header_write(recipients, count, file_key, out);
	sodium_memzero(file_key, sizeof(file_key));
	if (!err)
		*ret_length = length;
	return err;
}

void age_release(struct age_stream *stream)
{
	EVP_CIPHER_CTX_free(stream->cipher);
	sodium_memzero(stream, sizeof(*stream));
}

static enum err seal_sink_put(void *context, const void *bytes, size_t n)
{
	return age_seal_put(context, bytes, n);
}

static enum err open_sink_put(void *context, const void *bytes, size_t n)
{
	return age_open_put(context, bytes, n);
}

struct sink age_seal_sink(struct age_stream *stream)
{
	return (struct sink){seal_sink_put, stream};
}

struct sink age_open_sink(struct age_stream *stream)
{
	return (struct sink){open_sink_put, stream};
}
