/* Parts of `tidegate store`. */
#ifndef TIDEGATE_COMMANDS_STORE_H
#define TIDEGATE_COMMANDS_STORE_H

#include "commands/commands.h"
#include "core/store/s3.h"

/* Tries everything that Tidegate asks of the store, with objects of its own that are gone afterwards; says in plain words what
   does not work. The exit status: 0, or EXIT_FAILED when something that is needed does not. */
int store_check(struct command *command, struct s3 *s3);

/* Writes the bucket's CORS rules for the pages that may upload: server.public_url and auth.cors_origins. */
int store_setup(struct command *command, struct s3 *s3);

/* Sentence for the last failure of the store: its code and words, or the result. */
const char *store_reason(struct command *command, const struct s3 *s3, enum err err);

#endif
