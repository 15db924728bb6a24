/*
 * Other dumps out of a dump: one table of it, or what Cloudflare's D1 takes, put together of places of its plain text (which the manifest of the inventory knows) and
 * a few statements of our own.
 */
#ifndef TIDEGATE_HANDLERS_BACKUPS_PIECES_H
#define TIDEGATE_HANDLERS_BACKUPS_PIECES_H

#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/base/sink.h"
#include "handlers/backups/source.h"

enum { PIECES_D1_STATEMENT = 100000 };

struct piece {
	const char *text;          /* NULL: a place of the dump */
	struct source_place place;
	const char *table;         /* whose rows these are; NULL: a statement */
	const char *head;          /* INSERT INTO … VALUES, in the place of the one that its statements have; NULL: as they are */
};

struct pieces {
	struct piece *list;
	size_t count;
	int64_t bytes; /* of the places */
	bool d1;
	const char *too_long; /* after pieces_write: the table with a statement that is too long for D1 */
};

/*
 * content: member "content" of a manifest. table NULL: all. ERR_NOT_FOUND: there is no such table, *ret_why names those there are; ERR_CONFLICT: it is nothing for D1, *ret_why says for
 * what; ERR_INVALID: the manifest does not know the places.
 */
enum err pieces_plan(struct arena *arena, const json_t *content, const char *table, bool d1, struct pieces *ret, const char **ret_why) MUST_USE;

/* plain: the plain dump, of which the places are there. ERR_TOO_LARGE with too_long; ERR_IO; or what the sink says. */
enum err pieces_write(struct pieces *pieces, int plain, struct sink to) MUST_USE;

#endif
