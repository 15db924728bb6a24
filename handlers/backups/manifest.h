/* The manifest of a stored backup: JSON beside the object, under its key + ".json". */
#ifndef TIDEGATE_HANDLERS_BACKUPS_MANIFEST_H
#define TIDEGATE_HANDLERS_BACKUPS_MANIFEST_H

#include "core/base/buf.h"
#include "handlers/backups/dump.h"
#include "handlers/backups/pack.h"

#define MANIFEST_SUFFIX ".json"

struct manifest {
	const char *database, *day, *key, *run, *sha256;
	const char *base_key; /* of a differential one; NULL for the others */
	const char *const *recipients;
	size_t recipient_count;
	int64_t size, wal_bytes, foreign_key_violations;
	int64_t verified_at_us; /* 0: not yet */
	const struct dump_result *dump; /* NULL for a dump of PostgreSQL */
	const struct pack *pack;
	const char *journal_mode;
};

/*
 * whole: with what is known of the content (tables, rows, hashes, frames). Of an encrypted backup that is kept in the database alone: hashes of a
 * plain text tell who knows a candidate that he guessed right.
 */
enum err manifest_write(const struct manifest *manifest, bool whole, struct buf *out) MUST_USE;

#endif
