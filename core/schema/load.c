/*
 * Loads a declaration: JSON to struct schema_app, everything checked.
 * Called by serve and work at start, by `tidegate schema` and by `doctor`.
 * Never repairs or guesses: the first thing that is wrong ends the load with a sentence that names its place.
 */
#include "core/schema/load.h"

#include <errno.h>
#include <stdio.h>

static enum err load_table(struct schema_loader *l, struct schema_table *table, const char *name, const json_t *object)
{
	static const char *const members[] = {"labels", "access", "scope", "display", "columns", "primaryKey", "indexes", "references", "import", "sync", NULL};
	static const struct schema_names access_names[] = {{"full", SCHEMA_ACCESS_FULL}, {"append", SCHEMA_ACCESS_APPEND}, {NULL, 0}};
	const char *path = load_path(l, "tables", name);
	int access = SCHEMA_ACCESS_FULL;
	enum err err = OK;

	if (!load_is_identifier(name))
		return load_fail(l, path, "the name is not snake_case");
	table->name = name;
	err = load_members(l, object, path, members);
	if (!err)
		err = take_labels(l, object, path, true, &table->labels);
	if (!err)
		err = take_choice(l, object, path, "access", access_names, &access);
	table->access = (enum schema_access)access;
	if (!err)
		err = load_columns(l, table, object, path);
	if (!err)
		err = load_constraints(l, table, object, path);
	if (!err)
		err = load_import(l, table, object, path);
	if (!err && json_object_get(object, "sync"))
		err = load_sync_table(l, table, object, path);
	return err;
}

static enum err load_tables(struct schema_loader *l, const json_t *root)
{
	json_t *tables = json_object_get(root, "tables"), *object = NULL;
	size_t n = json_object_size(tables);
	const char *name = NULL;
	enum err err = OK;

	if (!json_is_object(tables) || n == 0 || n > SCHEMA_TABLES_MAX)
		return load_fail(l, "tables", "must be an object of 1 to %d tables", SCHEMA_TABLES_MAX);
	l->app->tables = arena_array(l->arena, n, sizeof(*l->app->tables));
	if (!l->app->tables)
		return ERR_TOO_LARGE;
	json_object_foreach (tables, name, object) {
		err = load_table(l, &l->app->tables[l->app->table_count], name, object);
		if (err)
			return err;
		l->app->table_count++;
	}
	return OK;
}

static enum err load_app(struct schema_loader *l, const json_t *root)
{
	static const char *const members[] = {"app", "tables", "sync", NULL};
	enum err err = load_members(l, root, "", members);

	if (!err)
		err = take_text(l, root, "", "app", true, &l->app->name);
	if (!err && (!load_is_identifier(l->app->name) || text_equal(l->app->name, "tidegate") || text_equal(l->app->name, "public") ||
	             text_starts_with(l->app->name, "pg_")))
		err = load_fail(l, "app", "\"%s\" is reserved or not snake_case", l->app->name);
	if (!err)
		err = load_tables(l, root);
	if (!err)
		err = load_sync_app(l, root);
	return err;
}

enum err schema_load(struct arena *arena, const char *json, size_t n, const struct schema_app **ret, const char **ret_why)
{
	struct schema_loader l = {.arena = arena};
	json_t *root = NULL;
	const char *why = NULL;
	enum err err = OK;

	*ret_why = "the declaration is too large";
	if (n > SCHEMA_FILE_MAX)
		return ERR_TOO_LARGE;
	err = json_parse(arena, json, n, &root, &why);
	if (err) {
		if (why)
			*ret_why = why;
		return err;
	}
	l.app = arena_alloc(arena, sizeof(*l.app));
	err = l.app ? load_app(&l, root) : ERR_TOO_LARGE;
	/* A load_path that found no memory left an empty path: what was said of it is not to be trusted. */
	if (arena->exhausted)
		return ERR_TOO_LARGE;
	if (err) {
		if (l.why)
			*ret_why = l.why;
		return err;
	}
	*ret_why = "";
	*ret = l.app;
	return OK;
}

enum err schema_load_file(struct arena *arena, const char *path, const struct schema_app **ret, const char **ret_why)
{
	FILE *file = fopen(path, "rbe");
	char *text = arena_alloc(arena, SCHEMA_FILE_MAX + 1);
	size_t n = 0;
	enum err err = OK;

	*ret_why = "the file cannot be read";
	if (!file)
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
	if (!text)
		err = ERR_TOO_LARGE;
	else
		n = fread(text, 1, SCHEMA_FILE_MAX + 1, file);
	if (!err && ferror(file))
		err = ERR_IO;
	(void)fclose(file);
	return err ? err : schema_load(arena, text, n, ret, ret_why);
}
