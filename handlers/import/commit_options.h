/*
 * What a commit is asked to do, validated when it is asked for and stored with the import as JSON, so that a resumed
 * commit does exactly the same.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_COMMIT_OPTIONS_H
#define TIDEGATE_HANDLERS_IMPORT_COMMIT_OPTIONS_H

#include "core/schema/catalog.h"
#include "fcgi/response.h"

struct commit_options {
	const char *assignment; /* {"mode":"none"}, "single" with "userId", "round_robin" with "userIds", "by_column" with "column" (from 0) */
	const char *duplicates; /* {"strategy":"skip|update|create","fields":["email",…]} */
	const char *defaults;   /* {"status":…,"source":…} */
};

/* Reads the body of POST …/commit; an absent part means assignment none, strategy skip over all keys, no defaults.
   columns: of the import, JSON. */
enum err commit_options_read(struct request *request, struct response *response, const struct schema_target *target, const char *columns,
                             struct commit_options *ret) MUST_USE;

/* The same, as the worker reads it back. */
struct commit_plan {
	const char *user;   /* to assign to, or NULL */
	const char *users;  /* text[] of those to assign to in turn, or NULL */
	size_t user_count;
	const char *column; /* whose names say who gets the record, decimal, from 1, or NULL. With no assignment: what is mapped to the field */
	const char *status; /* default, or NULL */
	const char *source;
	bool update, create; /* neither: skip */
	bool keys[SCHEMA_KEYS_MAX]; /* by place in import->keys */
};

struct import_work;
enum err commit_plan_read(struct arena *arena, const struct import_work *work, struct commit_plan *ret) MUST_USE;

/* Column of the import's file that is mapped to the field, decimal from 1; NULL: none is. */
const char *mapped_column(struct arena *arena, const struct import_work *work, const struct schema_field *field);

#endif
