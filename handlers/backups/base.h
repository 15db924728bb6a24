/*
 * The full backup on which differential ones stand. The dump of the base and the differential one behind it are a whole dump: two parts that are decrypted, but not
 * unpacked, and laid one behind the other are one object that everything else takes like any other.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_BASE_H
#define TIDEGATE_HANDLERS_BACKUPS_BASE_H

#include "core/crypto/age.h"
#include "core/pg/pg.h"
#include "handlers/backups/copy.h"
#include "handlers/backups/source.h"

struct backup_base {
	const char *id; /* NULL: there is none */
	struct stored_object object;
	const char *content; /* its hash, hex */
	int64_t bytes;       /* of its SQL */
	bool has_replica, encrypted;
};

/* Of the statements backup_base and backup_base_of. */
void base_read(const struct pg_rows *rows, struct backup_base *ret);

/* Its bytes, compared with the hash of the inventory. ERR_NOT_FOUND, ERR_INVALID: gone, damaged. */
enum err base_open(struct arena *arena, const struct config *config, const struct backup_base *base, int *ret_fd) MUST_USE;

/* Restores it into the empty file of path, and checks its content. identity NULL: it is not encrypted. db is the caller's to close. */
enum err base_restore(struct arena *arena, const struct config *config, const struct backup_base *base, const struct age_identity *identity, const char *path, sqlite3 **ret_db,
                      struct backup_failure *failure) MUST_USE;

struct base_part {
	int fd;
	const struct age_identity *identity; /* NULL: not encrypted */
};

/* Two parts as one file without a name, at its beginning. ERR_DENIED, ERR_INVALID: of a part that does not open. */
enum err base_join(struct arena *arena, const struct config *config, const struct base_part parts[2], int *ret_fd) MUST_USE;

#endif
