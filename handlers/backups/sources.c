/*
 * Reads the list of databases. Called by jobs, by the API and by `tidegate backup`. Must never take a name that could leave the folder
 * of a backup's key.
 */
#include "handlers/backups/sources.h"

#include "core/base/json.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20 };

static const char *const priorities[] = {"critical", "high", "normal"};

const char *backup_priority_name(enum backup_priority priority)
{
	return priorities[priority];
}

static bool name_is_good(const char *name)
{
	size_t n = name ? strlen(name) : 0;
	return n > 0 && n <= BACKUP_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n && name[0] != '-' && name[0] != '_';
}

static bool flag(const json_t *object, const char *name, bool otherwise, bool *ret)
{
	const json_t *value = json_object_get(object, name);
	*ret = value ? json_is_true(value) : otherwise;
	return !value || json_is_boolean(value);
}

static const char *read_source(const json_t *object, struct backup_source *ret)
{
	const char *kind = json_text(object, "kind"), *priority = json_text(object, "priority"), *description = json_text(object, "description");
	*ret = (struct backup_source){.name = json_text(object, "name"), .path = json_text(object, "path"), .description = description ? description : "", .priority = BACKUP_NORMAL};
	if (!json_is_object(object) || !name_is_good(ret->name))
		return "a name (a-z, 0-9, _ and -) is missing or wrong";
	ret->postgresql = text_equal(kind, "postgresql");
	if (kind && !ret->postgresql && !text_equal(kind, "sqlite"))
		return "its kind must be sqlite or postgresql";
	if (!ret->postgresql && (!ret->path || ret->path[0] != '/'))
		return "its path must be absolute";
	for (size_t i = 0; priority && i < sizeof(priorities) / sizeof(priorities[0]); i++)
		if (text_equal(priority, priorities[i])) {
			ret->priority = (enum backup_priority)i;
			priority = NULL;
		}
	if (priority)
		return "its priority must be critical, high or normal";
	bool good = flag(object, "daily", true, &ret->daily) && flag(object, "weekly", true, &ret->weekly) && flag(object, "differential", false, &ret->differential);
	return good ? NULL : "daily, weekly and differential must be true or false";
}

static enum err read_list(struct arena *arena, const json_t *list, struct backup_sources *ret, const char **ret_why)
{
	struct backup_source *sources = arena_array(arena, BACKUP_SOURCES_MAX, sizeof(*sources));
	size_t count = 0, n = json_array_size(list);
	if (!sources)
		return ERR_TOO_LARGE;
	*ret_why = "backups.sources: the file must hold an array of at most 200 databases.";
	if (!json_is_array(list) || n > BACKUP_SOURCES_MAX)
		return ERR_INVALID;
	for (int priority = BACKUP_CRITICAL; priority <= BACKUP_NORMAL; priority++)
		for (size_t i = 0; i < n; i++) {
			struct backup_source source;
			const char *why = read_source(json_array_get(list, i), &source);
			struct backup_sources before = {sources, count};
			if (!why && (int)source.priority == priority && backup_source_find(&before, source.name))
				why = "its name stands there twice";
			if (why) {
				*ret_why = arena_printf(arena, "backups.sources: database %zu (%s): %s.", i + 1, source.name ? source.name : "?", why);
				return ERR_INVALID;
			}
			if ((int)source.priority == priority)
				sources[count++] = source;
		}
	*ret = (struct backup_sources){sources, count};
	return OK;
}

enum err backup_sources_load(struct arena *arena, const struct config *config, struct backup_sources *ret, const char **ret_why)
{
	const char *path = config->backups_sources, *why = NULL;
	json_t *list = NULL;
	*ret = (struct backup_sources){NULL, 0};
	if (!*path)
		return OK;
	char *text = arena_alloc(arena, FILE_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 || !text ? -1 : read(fd, text, FILE_MAX);
	if (n < 0)
		*ret_why = arena_printf(arena, "backups.sources: %s: %s.", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return ERR_INVALID;
	if (n == FILE_MAX || json_parse(arena, text, (size_t)n, &list, &why)) {
		*ret_why = arena_printf(arena, "backups.sources: %s is not JSON: %s.", path, why ? why : "it is too long");
		return ERR_INVALID;
	}
	return read_list(arena, list, ret, ret_why);
}

const struct backup_source *backup_source_find(const struct backup_sources *sources, const char *name)
{
	for (size_t i = 0; i < sources->count; i++)
		if (text_equal(sources->list[i].name, name))
			return &sources->list[i];
	return NULL;
}
