/*
 * Fuzz target: age files and keys as strangers write them, and dumps that are read back. What must hold: whatever comes, an answer; pieces do not
 * matter; what parses as a key prints as the same key; a dump without its last comment is not whole.
 * Seeds: tests/fuzz/seeds/age/.
 */
#include "core/crypto/age.h"

#include "core/base/buf.h"
#include "handlers/backups/replay.h"

#include <sodium.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct age_stream stream;

static void must(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static enum err collect(void *context, const void *bytes, size_t n)
{
	return buf_append(context, bytes, n);
}

static enum err open_in_pieces(const struct age_identity *identity, const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	buf_clear(out);
	enum err err = age_open_start(&stream, identity, (struct sink){collect, out});
	for (size_t at = 0; !err && at < size; at += step)
		err = age_open_put(&stream, data + at, size - at < step ? size - at : step);
	if (!err)
		err = age_open_finish(&stream);
	age_release(&stream);
	return err;
}

/* The key of the seeds: nobody else's. */
static void files(const uint8_t *data, size_t size)
{
	struct age_identity identity = {.scalar = {1, 2, 3, 4}};
	struct buf whole, pieces;
	must(crypto_scalarmult_curve25519_base(identity.point, identity.scalar) == 0);
	buf_init(&whole, 1 << 21);
	buf_init(&pieces, 1 << 21);
	enum err err = open_in_pieces(&identity, data, size, size + 1, &whole);
	must(err == open_in_pieces(&identity, data, size, 7, &pieces));
	must(err == OK || err == ERR_INVALID || err == ERR_DENIED);
	must(err != OK || (whole.len == pieces.len && strcmp(buf_text(&whole), buf_text(&pieces)) == 0));
	buf_release(&whole);
	buf_release(&pieces);
}

static void keys(const char *text)
{
	struct age_recipient recipient, again;
	struct age_identity identity;
	char printed[AGE_TEXT_SIZE];
	if (age_recipient_parse(text, &recipient) == OK) {
		age_recipient_text(&recipient, printed);
		must(age_recipient_parse(printed, &again) == OK && memcmp(&again, &recipient, sizeof(again)) == 0);
	}
	if (age_identity_parse(text, &identity) == OK) {
		age_identity_text(&identity, printed);
		must(age_identity_parse(printed, &identity) == OK);
	}
}

/* Statements of a dump, against an empty database in memory. */
static void dump(const uint8_t *data, size_t size)
{
	struct backup_failure failure = {0};
	struct replay replay;
	struct source source;
	struct arena arena;
	uint8_t hash[32];
	sqlite3 *db = NULL;
	must(sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK);
	sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1 << 20);
	sqlite3_limit(db, SQLITE_LIMIT_VDBE_OP, 10000);
	arena_init(&arena, 16 << 20);
	must(replay_prepare(db, &failure) == OK);
	replay_start(&replay, db, &failure);
	struct sink to = replay_sink(&replay);
	enum err err = OK;
	for (size_t at = 0; !err && at < size; at += 11)
		err = sink_put(&to, data + at, size - at < 11 ? size - at : 11);
	if (!err)
		err = replay_finish(&replay, &arena, &source, hash);
	must(err != OK || memmem(data, size, "-- Content hash: ", 17));
	must(err == OK || failure.code);
	replay_release(&replay);
	arena_release(&arena);
	sqlite3_close(db);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[256] = "";
	must(sodium_init() >= 0);
	if (size > 1 << 18)
		return 0;
	memcpy(text, data, size < sizeof(text) - 1 ? size : sizeof(text) - 1);
	files(data, size);
	keys(text);
	if (size == 0 || data[0] != 'a')
		dump(data, size);
	return 0;
}
