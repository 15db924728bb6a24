/*
 * Stored backups in other forms, made for one download: another packing, one table, or what D1 takes. They are objects of their own under made/, which go after a day.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_CONVERT_H
#define TIDEGATE_HANDLERS_BACKUPS_CONVERT_H

#include "handlers/backups/base.h"
#include "handlers/backups/copy.h"
#include "handlers/backups/pieces.h"

#include "core/base/json.h"
#include "core/crypto/age.h"

enum convert_form { CONVERT_SQL, CONVERT_ZST, CONVERT_AGE };

struct conversion {
	const struct config *config; /* with the recipients, and the first store, where the result goes */
	const struct config *from;   /* the store that has the object */
	struct stored_object object;
	const json_t *content;       /* of its manifest */
	const struct age_identity *identity; /* NULL: it is not encrypted */
	struct pieces *pieces;       /* NULL: all of it */
	const struct backup_base *base; /* on which it stands; NULL: a full one */
	enum convert_form form;
	const char *key;             /* of the result */
	/* Of the result. */
	int64_t size;
	char sha256[SHA256_HEX_SIZE];
};

/*
 * Makes the object. ERR_DENIED: encrypted to another key; ERR_NOT_FOUND, ERR_INVALID: it is not in the store, or damaged; ERR_TOO_LARGE with pieces->too_long; or what the stores say.
 */
enum err convert_backup(struct arena *arena, struct conversion *conversion) MUST_USE;

/* The file of backups.identity_file. ERR_INVALID with key_missing. */
struct backup_failure;
enum err backup_load_key(const struct config *config, struct age_identity *ret, struct backup_failure *failure) MUST_USE;

#endif
