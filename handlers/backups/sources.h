/*
 * The databases to be backed up, as the file of backups.sources lists them: a JSON array of
 *   {"name": "shop", "path": "/srv/shop.db", "description": "…", "priority": "critical|high|normal", "daily": true, "weekly": true, "differential": false}
 * or {"name": "tidegate", "kind": "postgresql"}, Tidegate's own. Read anew for every use: a change needs no restart.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_SOURCES_H
#define TIDEGATE_HANDLERS_BACKUPS_SOURCES_H

#include "core/base/arena.h"
#include "core/base/config.h"

#include <stdbool.h>

enum { BACKUP_SOURCES_MAX = 200, BACKUP_NAME_MAX = 64 };

enum backup_priority { BACKUP_CRITICAL, BACKUP_HIGH, BACKUP_NORMAL };

struct backup_source {
	const char *name; /* [a-z0-9][a-z0-9_-]*, part of the key of its backups */
	const char *path; /* NULL for postgresql */
	const char *description;
	enum backup_priority priority;
	bool postgresql, daily, weekly, differential;
};

struct backup_sources {
	struct backup_source *list; /* by priority, then as listed */
	size_t count;
};

/* None configured: OK with none. ERR_INVALID with a sentence for the operator (in the arena) when the file cannot be read or is wrong. */
enum err backup_sources_load(struct arena *arena, const struct config *config, struct backup_sources *ret, const char **ret_why) MUST_USE;

/* NULL: there is none of that name. */
const struct backup_source *backup_source_find(const struct backup_sources *sources, const char *name);

const char *backup_priority_name(enum backup_priority priority);

#endif
