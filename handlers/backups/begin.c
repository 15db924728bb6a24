/* How a run begins. Called by the schedule, by the API and by `tidegate backup run`. Must never begin one over a name that is not configured. */
#include "core/base/text.h"
#include "handlers/backups/handlers.h"

static enum err choose(struct arena *arena, const struct backup_sources *sources, const char *const *names, size_t count, const char **list, size_t *ret_count,
                       const char **ret_why)
{
	size_t chosen = 0;
	for (size_t i = 0; i < count; i++)
		if (!backup_source_find(sources, names[i])) {
			*ret_why = arena_strdup(arena, names[i]);
			return ERR_INVALID;
		}
	for (size_t i = 0; i < sources->count; i++) {
		bool wanted = count == 0 && sources->list[i].daily;
		for (size_t n = 0; n < count; n++)
			wanted |= text_equal(names[n], sources->list[i].name);
		if (wanted)
			list[chosen++] = sources->list[i].name;
	}
	*ret_count = chosen;
	return chosen ? OK : ERR_NOT_FOUND;
}

enum err backup_begin(struct pg *pg, struct arena *arena, const struct config *config, const char *trigger, const char *reason, const char *const *names, size_t count,
                      const char **ret_run, bool *ret_joined, const char **ret_why)
{
	struct backup_sources sources;
	struct pg_rows rows;
	const char **list = arena_array(arena, BACKUP_SOURCES_MAX, sizeof(*list));
	size_t chosen = 0;
	enum err err = list ? backup_sources_load(arena, config, &sources, ret_why) : ERR_TOO_LARGE;
	if (!err)
		err = choose(arena, &sources, names, count, list, &chosen, ret_why);
	if (!err)
		err = pg_query(pg, arena, STMT_BACKUP_BEGIN,
		               PG_VALUES(config->backups_space, trigger, reason, pg_text_array(arena, list, chosen), pg_number(arena, config->backups_concurrency)), &rows);
	if (err)
		return err;
	*ret_run = pg_text(&rows, 0, 0);
	*ret_joined = pg_bool(&rows, 0, 1);
	return OK;
}

const char *backup_names(struct arena *arena, const struct backup_sources *sources, bool weekly)
{
	const char **list = arena_array(arena, sources->count + 1, sizeof(*list));
	size_t count = 0;
	for (size_t i = 0; list && i < sources->count; i++)
		if (weekly ? sources->list[i].weekly : sources->list[i].daily)
			list[count++] = sources->list[i].name;
	return list ? pg_text_array(arena, list, count) : NULL;
}
