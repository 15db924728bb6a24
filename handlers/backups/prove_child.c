/*
 * The child of a test restore. Started by prove.c as `tidegate prove`. Must never look at a byte of the object before the sandbox is up, nor
 * write anything but its one line of answer.
 */
#include "handlers/backups/prove.h"

#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "handlers/backups/pack.h"
#include "handlers/backups/replay.h"
#include "handlers/backups/scratch_file.h"
#include "readers/sandbox.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

enum { KEY_FD = 4, ARENA = 256 << 20, EXIT_WRONG = 64 };

/* *ret_has false: there is none. */
static bool read_key(struct age_identity *identity, bool *ret_has)
{
	char text[AGE_TEXT_SIZE + 1];
	ssize_t n = read(KEY_FD, text, sizeof(text) - 1);
	if (n < 0)
		return false;
	text[n] = '\0';
	*ret_has = n > 0;
	bool good = n == 0 || age_identity_parse(text, identity) == OK;
	sodium_memzero(text, sizeof(text));
	return good;
}

/* What libraries look up in files at their first use is used once now. */
static void warm_up(void)
{
	uint8_t key[AGE_KEY] = {1}, digest[SHA256_SIZE];
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	if (cipher)
		EVP_DecryptInit_ex(cipher, EVP_chacha20_poly1305(), NULL, key, key);
	EVP_CIPHER_CTX_free(cipher);
	sha256_once(key, sizeof(key), digest);
	hmac_sha256(key, sizeof(key), key, sizeof(key), digest);
	randombytes_buf(key, sizeof(key));
}

static enum err restore(struct arena *arena, const struct age_identity *identity, struct proof *proof, struct backup_failure *failure)
{
	sqlite3 *db = NULL;
	struct replay replay;
	struct source source = {0};
	enum err err = scratch_file_use(SANDBOX_SCRATCH);
	if (err)
		return err;
	int result = sqlite3_open_v2("proof", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, SCRATCH_FILE_VFS);
	err = result == SQLITE_OK ? replay_prepare(db, failure) : source_failed(db, result, failure);
	replay_start(&replay, db, failure);
	if (!err)
		err = unpack_file(arena, STDIN_FILENO, identity, replay_sink(&replay));
	if (!err)
		err = replay_finish(&replay, arena, &source, proof->hash);
	for (int i = 0; i < source.table_count; i++) {
		proof->rows += source.tables[i].rows;
		proof->tables += source.tables[i].kind != SOURCE_SHADOW;
	}
	if (err == ERR_DENIED)
		err = backup_refuse(failure, identity ? "object_damaged" : "key_missing", "no key of this server opens it");
	else if (err && !failure->code)
		err = backup_refuse(failure, err == ERR_INVALID ? "object_damaged" : err == ERR_TOO_LARGE ? "no_memory" : "prover_died", err_name(err));
	return err;
}

static int answer(enum err err, const struct proof *proof, const struct backup_failure *failure)
{
	char line[512], hex[65];
	hex_encode(proof->hash, sizeof(proof->hash), hex);
	int n = err ? snprintf(line, sizeof(line), "failed %s %s\n", failure->code, failure->detail)
	            : snprintf(line, sizeof(line), "ok %s %lld %lld\n", hex, (long long)proof->rows, (long long)proof->tables);
	size_t length = n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1;
	return write(STDOUT_FILENO, line, length) == (ssize_t)length ? 0 : 1;
}

int prove_main(int argc, char **argv)
{
	int64_t memory = 0, seconds = 0;
	struct age_identity identity;
	struct arena arena;
	struct proof proof = {0};
	struct backup_failure failure = {0};
	bool has_key = false;
	if (argc != 3 || parse_i64(argv[1], 1, INT64_MAX / 2, &memory) || parse_i64(argv[2], 1, 86400, &seconds) || sodium_init() < 0 || !read_key(&identity, &has_key))
		return EXIT_WRONG;
	warm_up();
	const struct sandbox_limits limits = {memory, seconds, SCRATCH_FILE_LIMIT};
	if (sandbox_enter(&limits))
		return EXIT_WRONG;
	arena_init(&arena, ARENA);
	/* What runs at a common exit (the leak checker of sanitizers, say) would ask for more than the sandbox allows. */
	_exit(answer(restore(&arena, has_key ? &identity : NULL, &proof, &failure), &proof, &failure));
}
