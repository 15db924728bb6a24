/*
 * Private to the loader: reading members of a JSON object with exact complaints. Every take_ function returns OK and
 * fills ret (or leaves the default in it when the member is absent and optional), or sets the reason and returns an error.
 */
#ifndef TIDEGATE_CORE_SCHEMA_LOAD_H
#define TIDEGATE_CORE_SCHEMA_LOAD_H

#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/schema/schema.h"

struct schema_loader {
	struct arena *arena;
	struct schema_app *app;
	const char *why; /* first complaint */
};

struct schema_names {
	const char *name;
	int value;
};

/* Records "path: message" (the first one stays) and returns ERR_INVALID. */
enum err load_fail(struct schema_loader *l, const char *path, const char *format, ...) PRINTF_LIKE(3, 4);

/* The object's members are all in allowed (ends with NULL). ERR_INVALID also when it is no object. */
enum err load_members(struct schema_loader *l, const json_t *object, const char *path, const char *const *allowed) MUST_USE;

/* path + "." + name, or path + "[index]"; "" when the arena is full (the next allocation will say so). */
const char *load_path(struct schema_loader *l, const char *path, const char *name);
const char *load_path_at(struct schema_loader *l, const char *path, size_t index);

enum err take_text(struct schema_loader *l, const json_t *o, const char *path, const char *name, bool required, const char **ret) MUST_USE;
enum err take_bool(struct schema_loader *l, const json_t *o, const char *path, const char *name, bool *ret) MUST_USE;
enum err take_integer(struct schema_loader *l, const json_t *o, const char *path, const char *name, bool *ret_given, int64_t *ret) MUST_USE;
enum err take_texts(struct schema_loader *l, const json_t *o, const char *path, const char *name, struct schema_texts *ret) MUST_USE;
enum err take_labels(struct schema_loader *l, const json_t *o, const char *path, bool required, struct schema_labels *ret) MUST_USE;

/* A text that must be one of names (ends with a NULL name). */
enum err take_choice(struct schema_loader *l, const json_t *o, const char *path, const char *name, const struct schema_names *names, int *ret) MUST_USE;

/* The member is an array of at most max elements; *ret stays NULL when it is absent. */
enum err take_array(struct schema_loader *l, const json_t *o, const char *path, const char *name, size_t max, const json_t **ret) MUST_USE;

/* A list of 1..SCHEMA_KEYS_MAX column names of the table; count stays 0 when it is absent. */
enum err take_columns(struct schema_loader *l, const struct schema_table *table, const json_t *o, const char *path, const char *name,
                      const struct schema_column **columns, size_t *ret_count) MUST_USE;

/* snake_case identifier that PostgreSQL keeps whole (at most 63 bytes). */
bool load_is_identifier(const char *name);

/* The two halves of a table: what is in its columns, and what is said about them. */
enum err load_columns(struct schema_loader *l, struct schema_table *table, const json_t *object, const char *path) MUST_USE;
enum err load_constraints(struct schema_loader *l, struct schema_table *table, const json_t *object, const char *path) MUST_USE;
enum err load_import(struct schema_loader *l, struct schema_table *table, const json_t *object, const char *path) MUST_USE;
enum err load_references(struct schema_loader *l, struct schema_table *table, const json_t *object, const char *path) MUST_USE;

/*
 * Synced tables: the columns that stand behind a table's own, and the key that comes of them (after load_columns and
 * load_constraints); then, once all tables are there, their references, and the order in which rows go.
 */
#define LOAD_SYNC_COLUMNS 5
enum err load_sync_table(struct schema_loader *l, struct schema_table *table, const json_t *object, const char *path) MUST_USE;
enum err load_sync_app(struct schema_loader *l, const json_t *root) MUST_USE;

#endif
