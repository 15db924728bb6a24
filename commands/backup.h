/* What `tidegate backup` and `tidegate restore` share. */
#ifndef TIDEGATE_COMMANDS_BACKUP_H
#define TIDEGATE_COMMANDS_BACKUP_H

#include "commands/commands.h"
#include "core/crypto/age.h"
#include "handlers/backups/failures.h"
#include "handlers/backups/source.h"

/* Reads a key from a file as age-keygen writes it, or complains and returns false. */
bool load_identity(const char *path, struct age_identity *ret);

/* Names of the form YYYY-MM-DD in a directory, NULL-terminated; NULL: there is no such directory. */
const char *const *backup_dates(struct arena *arena, const char *directory);

/* The sentence of a failure on standard error; returns the exit status. */
int complain_of_backup(const char *what, enum err err, const struct backup_failure *failure);

/* `backup run [DATABASE]… [--reason TEXT] [--no-wait]`. */
int backup_run(struct command *command);
/* `backup retention [--dry-run]`. */
int backup_retention(struct command *command);
/* `backup reconcile [--untracked report|adopt|delete]`. */
int backup_reconcile_now(struct command *command);
/* `backup wake`. */
int backup_wake_now(struct command *command);

/* `backup rewrap --identity FILE [--dry-run] [DATABASE]…`. */
int backup_rewrap_command(struct command *command);

#endif
