/*
 * Loads every declaration of a directory and makes the statements of its import targets. Called once per process.
 * Must never go on with a declaration that is wrong: the process does not start, the operator gets one sentence.
 */
#include "core/schema/catalog.h"

#include "core/base/buf.h"
#include "core/schema/statements.h"
#include "core/schema/undo_statements.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SQL_MAX = 256 << 10 };

unsigned schema_slot(const struct schema_target *target, enum schema_slot_kind kind)
{
	return target->number * SLOT_COUNT + kind;
}

const struct schema_target *catalog_target(const struct schema_catalog *catalog, const char *name)
{
	for (size_t i = 0; i < catalog->target_count; i++)
		if (text_equal(catalog->targets[i].table->name, name))
			return &catalog->targets[i];
	return NULL;
}

static enum err keep(struct arena *arena, struct buf *sql, const char **ret)
{
	*ret = sql->overflowed ? NULL : arena_strdup(arena, buf_text(sql));
	buf_clear(sql);
	return *ret ? OK : ERR_TOO_LARGE;
}

static const struct {
	enum err (*make)(const struct schema_app *app, const struct schema_table *table, struct buf *out);
	size_t offset;
} makers[] = {
	{schema_sql_insert, offsetof(struct schema_target, insert_sql)},
	{schema_sql_update, offsetof(struct schema_target, update_sql)},
	{schema_sql_gone, offsetof(struct schema_target, gone_sql)},
	{schema_sql_analyze, offsetof(struct schema_target, analyze_sql)},
	{schema_sql_records, offsetof(struct schema_target, records_sql)},
	{schema_sql_undo_remove, offsetof(struct schema_target, undo_remove_sql)},
	{schema_sql_undo_keep, offsetof(struct schema_target, undo_keep_sql)},
};

static enum err add_target(struct arena *arena, struct schema_catalog *catalog, const struct schema_app *app, const struct schema_table *table)
{
	struct buf sql;
	if (catalog->target_count == CATALOG_TARGETS_MAX)
		return ERR_TOO_LARGE;
	struct schema_target *target = &catalog->targets[catalog->target_count];
	*target = (struct schema_target){.number = (unsigned)catalog->target_count, .app = app, .table = table};
	buf_init(&sql, SQL_MAX);
	enum err err = OK;
	for (size_t i = 0; !err && i < sizeof(makers) / sizeof(makers[0]); i++) {
		const char **place = (const char **)(void *)((char *)target + makers[i].offset);
		err = makers[i].make(app, table, &sql);
		if (!err)
			err = keep(arena, &sql, place);
	}
	if (!err && schema_sql_assignee(app, table, &sql) == OK)
		err = keep(arena, &sql, &target->assignee_sql);
	if (!err && schema_sql_people(app, table, &sql) == OK)
		err = keep(arena, &sql, &target->people_sql);
	if (!err && schema_sql_undo_restore(app, table, &sql) == OK)
		err = keep(arena, &sql, &target->undo_restore_sql);
	for (size_t key = 0; !err && key < table->import->key_count; key++) {
		err = schema_sql_match(app, table, key, &sql);
		if (!err)
			err = keep(arena, &sql, &target->match_sql[key]);
	}
	buf_release(&sql);
	if (!err)
		catalog->target_count++;
	return err;
}

static enum err read_file(struct arena *arena, const char *path, struct str *ret)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ERR_NOT_FOUND;
	char *bytes = NULL;
	size_t n = 0;
	if (fstat(fd, &st) == 0 && st.st_size <= SCHEMA_FILE_MAX)
		bytes = arena_alloc(arena, (size_t)st.st_size + 1);
	while (bytes && n < (size_t)st.st_size) {
		ssize_t got = read(fd, bytes + n, (size_t)st.st_size - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	if (!bytes)
		return ERR_TOO_LARGE;
	*ret = (struct str){bytes, n};
	return OK;
}

static enum err add_app(struct arena *arena, struct schema_catalog *catalog, const char *path, const char **ret_why)
{
	const struct schema_app *app = NULL;
	const char *why = "it cannot be read";
	struct str text;
	enum err err = catalog->app_count < CATALOG_APPS_MAX ? read_file(arena, path, &text) : ERR_TOO_LARGE;
	if (!err)
		err = schema_load(arena, text.p, text.n, &app, &why);
	if (err) {
		*ret_why = arena_printf(arena, "%s: %s.", path, why);
		return ERR_INVALID;
	}
	catalog->apps[catalog->app_count++] = app;
	for (size_t i = 0; !err && i < app->table_count; i++)
		if (app->tables[i].import)
			err = add_target(arena, catalog, app, &app->tables[i]);
	if (!err && app->synced_count)
		err = catalog_add_synced(arena, catalog, app);
	if (err)
		*ret_why = arena_printf(arena, "%s: its statements cannot be made.", path);
	return err;
}

static int is_declaration(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);
	return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".json") == 0;
}

enum err catalog_load(struct arena *arena, const char *directory, struct schema_catalog *ret, const char **ret_why)
{
	struct dirent **entries = NULL;
	enum err err = OK;
	*ret = (struct schema_catalog){.next_sync_slot = CATALOG_TARGETS_MAX * SLOT_COUNT};
	int count = scandir(directory, &entries, is_declaration, alphasort);
	if (count < 0) {
		*ret_why = arena_printf(arena, "The directory of declarations %s cannot be read.", directory);
		return ERR_NOT_FOUND;
	}
	for (int i = 0; i < count; i++) {
		char *path = arena_printf(arena, "%s/%s", directory, entries[i]->d_name);
		if (!err)
			err = path ? add_app(arena, ret, path, ret_why) : ERR_TOO_LARGE;
		free(entries[i]); /* from scandir */
	}
	free(entries); /* from scandir */
	return err;
}
