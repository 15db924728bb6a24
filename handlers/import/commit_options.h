/*
 * What a commit is asked to do, validated when it is asked for and stored with the import as JSON, so that a resumed
 * commit does exactly the same.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_COMMIT_OPTIONS_H
#define TIDEGATE_HANDLERS_IMPORT_COMMIT_OPTIONS_H

#include "core/schema/catalog.h"
#include "fcgi/response.h"

struct commit_options {
	const char *assignment; /* {"mode":"none"} or {"mode":"single","userId":"…"} */
	const char *duplicates; /* {"strategy":"skip|update|create","fields":["email",…]} */
	const char *defaults;   /* {"status":…,"source":…} */
};

/* Reads the body of POST …/commit; an absent part means assignment none, strategy skip over all keys, no defaults. */
enum err commit_options_read(struct request *request, struct response *response, const struct schema_target *target, struct commit_options *ret) MUST_USE;

/* The same, as the worker reads it back. */
struct commit_plan {
	const char *user;   /* to assign to, or NULL */
	const char *status; /* default, or NULL */
	const char *source;
	bool update, create; /* neither: skip */
	bool keys[SCHEMA_KEYS_MAX]; /* by place in import->keys */
};

enum err commit_plan_read(struct arena *arena, const struct schema_target *target, const char *assignment, const char *duplicates,
                          const char *defaults, struct commit_plan *ret) MUST_USE;

#endif
