/*
 * The test restore: a stored backup becomes a database again in a child process that has nothing but the bytes of the object, an unlinked scratch
 * file, and the key to decrypt it; no network, no other file, no environment (readers/sandbox.h). It answers with the content hash of what it restored.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_PROVE_H
#define TIDEGATE_HANDLERS_BACKUPS_PROVE_H

#include "core/base/config.h"
#include "core/crypto/age.h"
#include "handlers/backups/source.h"

struct proof {
	uint8_t hash[32];
	int64_t rows, tables;
};

/*
 * object: a descriptor of the stored bytes, at their beginning. identity NULL: not encrypted. ERR_INVALID with a failure (object_damaged,
 * dump_not_whole, restore_failed, content_differs, key_missing …); ERR_IO, ERR_TIMEOUT, ERR_TOO_LARGE with prover_died, disk_full, deadline, no_memory.
 */
enum err prove_object(const struct config *config, int object, const struct age_identity *identity, struct proof *ret, struct backup_failure *failure) MUST_USE;

/* main() of the child: `tidegate prove MEMORY SECONDS`, descriptors 0 object, 1 answer, 3 scratch, 4 key. */
int prove_main(int argc, char **argv);

#endif
