/*
 * What a parser elsewhere sends of a file: {"tables": [{"name", "columns": [name or {"name", "type"}], "rows": [[cell, …]], "rowIds": [n]}]}.
 * A cell is null, a whole number, a number with a point or an exponent, a text, or {"integer": "…"}, {"real": "…"}, {"blob": base64},
 * {"text": base64} for what JSON cannot say.
 */
#ifndef TIDEGATE_HANDLERS_SQLITE_SNAPSHOT_H
#define TIDEGATE_HANDLERS_SQLITE_SNAPSHOT_H

#include "fcgi/response.h"
#include "handlers/sqlite/mirror.h"

/* Is it one, down to every cell? False after a refusal that names the place. */
bool snapshot_check(struct request *request, struct response *response, const json_t *snapshot);

/* Everything that was sent of a batch, into its mirror. */
enum err snapshot_mirror(struct mirror *mirror) MUST_USE;

/* The tables are there; the file may go on. */
enum err sqlite_check_profile(struct mirror *mirror) MUST_USE;

#endif
