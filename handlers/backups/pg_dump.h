/* Tidegate's own database by pg_dump (custom format), so that the service backs itself up. */
#ifndef TIDEGATE_HANDLERS_BACKUPS_PG_DUMP_H
#define TIDEGATE_HANDLERS_BACKUPS_PG_DUMP_H

#include "core/base/config.h"
#include "core/base/sink.h"
#include "core/crypto/age.h"
#include "handlers/backups/source.h"

/* Everything that pg_dump writes goes to the sink. ERR_INVALID with pg_dump_failed. */
enum err pg_dump_run(const struct config *config, struct sink to, struct backup_failure *failure) MUST_USE;

/* A stored dump, encrypted or not, is read by pg_restore to its end, into nothing: every block of data is unpacked. object_damaged when it cannot. */
enum err pg_dump_prove(const struct config *config, int object, const struct age_identity *identity, struct backup_failure *failure) MUST_USE;

#endif
