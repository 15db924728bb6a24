/* What `tidegate import` is asked to do: its options, as they stand on the command line and nothing more. */
#ifndef TIDEGATE_COMMANDS_IMPORT_OPTIONS_H
#define TIDEGATE_COMMANDS_IMPORT_OPTIONS_H

#include "commands/commands.h"

enum { IMPORT_MAPS_MAX = 64, IMPORT_KEYS_MAX = 8 };

struct import_map {
	const char *field;
	const char *heading; /* or the number of the column, from 1; "" leaves the field without a column */
};

struct import_assignment {
	const char *mode;  /* none, single, round_robin, by_column; NULL when not asked for */
	const char *value; /* user, users with commas between them, or heading; NULL for none */
};

struct import_options {
	const char *file, *url, *token_file;
	const char *ca_file, *target, *error_report; /* target is never NULL, the others may be */
	const char *sheet, *encoding, *delimiter;    /* overrides of the inspection, or NULL */
	int64_t header_row;                          /* -1: as the inspection finds it */
	struct import_map maps[IMPORT_MAPS_MAX];
	size_t map_count;
	const char *strategy; /* skip, update or create */
	const char *keys[IMPORT_KEYS_MAX];
	size_t key_count; /* 0: all keys of the target */
	struct import_assignment assignment;
	bool allow_duplicate, json, wait, dry_run;
};

/* Takes the options of `import` from its arguments. False after one sentence on standard error: the command ends with EXIT_USAGE. */
bool import_options_read(struct command *command, struct import_options *ret) MUST_USE;

/* The options and exit statuses in full: `tidegate import --help`. */
void import_options_help(FILE *to);

#endif
