/* Where `tidegate restore` takes a backup from: a file, a directory that holds what the bucket holds, or one of the two stores. */
#ifndef TIDEGATE_COMMANDS_RESTORE_FIND_H
#define TIDEGATE_COMMANDS_RESTORE_FIND_H

#include "commands/commands.h"

/* At most one of the three is set by the caller; none: the current directory. */
struct restore_place {
	const char *from;    /* a directory */
	bool store, replica; /* the stores of the configuration; PostgreSQL is not asked */
	/* Filled by restore_find. */
	struct config config;
	bool bucket;      /* config is a bucket; otherwise from is the directory */
	bool single_file; /* what was named is a file itself, outside of any place */
};

/*
 * Opens the backup `what` (a file, or a database: its newest day, or date). Returns the exit status after a complaint; 0 with *ret_label for messages and *ret_fd, the
 * caller's to close.
 */
int restore_find(struct command *command, struct restore_place *place, const char *what, const char *date, const char **ret_label, int *ret_fd);

/*
 * Opens the full backup `key`, on which the one that was found stands: at the same place, or beside the file. Returns the exit status after a complaint.
 */
int restore_find_base(struct command *command, const struct restore_place *place, const char *label, const char *key, int *ret_fd);

#endif
