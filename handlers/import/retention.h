/* Removing imports: the one way an import goes, asked for by a person or because it ended long ago. */
#ifndef TIDEGATE_HANDLERS_IMPORT_RETENTION_H
#define TIDEGATE_HANDLERS_IMPORT_RETENTION_H

#include "core/pg/pg.h"

struct import_removal {
	const char *no, *id, *space;
	const char *object_key; /* of the uploaded file */
};

/*
 * In the open transaction, under the import's scope and its row lock: the import and its upload are gone with the commit;
 * rows, file and report are removed by a job that is queued here. Imported records stay.
 */
enum err import_remove(struct pg *pg, struct arena *arena, const struct import_removal *what) MUST_USE;

/* An import whose time is over, as it is told. */
struct import_expired {
	const char *id, *space, *target, *status, *file_name;
	const char *ended_at; /* ISO 8601, UTC */
	int64_t rows;
};

enum import_retention { IMPORT_RETENTION_LIST, IMPORT_RETENTION_REMOVE };

/*
 * Lists or removes up to limit imports that ended more than days (> 0) ago, the oldest first, each in a transaction of its
 * own; one that somebody uses at this moment is passed over. tell (or NULL) is called after each. *ret_count counts them.
 * The role tidegate_worker; in no transaction. What was removed before an error stays removed, and is counted.
 */
enum err import_retain(struct pg *pg, struct arena *arena, enum import_retention what, int64_t days, int64_t limit,
                       void (*tell)(const struct import_expired *expired), int64_t *ret_count) MUST_USE;

#endif
