/* tidegate import --sqlite FILE: an SQLite database through the public API. */
#ifndef TIDEGATE_COMMANDS_IMPORT_SQLITE_H
#define TIDEGATE_COMMANDS_IMPORT_SQLITE_H

#include "commands/commands.h"

/* Takes the other options from the command; returns the exit status. */
int import_sqlite(struct command *command, const char *path);

/* Opens a file that is to be imported: its descriptor, its name without its folder, its size; -1 after one sentence. Of import.c. */
int import_open_file(const char *path, const char **ret_name, int64_t *ret_size);

#endif
