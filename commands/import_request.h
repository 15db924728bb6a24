/*
 * The bodies that `tidegate import` sends, made from its options and from what the server said of the file. Pure: no
 * network, nothing printed. Texts belong to the arena. Where a function can refuse, *ret_why is then a sentence for the
 * person at the keyboard, and NULL otherwise; NULL with *ret_why NULL means that there is nothing to send.
 */
#ifndef TIDEGATE_COMMANDS_IMPORT_REQUEST_H
#define TIDEGATE_COMMANDS_IMPORT_REQUEST_H

#include "commands/import_options.h"
#include "core/base/json.h"

/* none, single:USER, round_robin:USER,USER,… or by_column:HEADING. False for anything else. */
bool import_assignment_parse(struct arena *arena, const char *text, struct import_assignment *ret) MUST_USE;

/* Are the fields of --map and --key those of the target? targets: answer of GET /api/import/targets. NULL, or a sentence. */
const char *import_target_trouble(struct arena *arena, const json_t *targets, const struct import_options *options);

/* PUT …/mapping: sheet, encoding, delimiter, header row. NULL when none is given. */
const char *import_overrides_body(struct arena *arena, const struct import_options *options);

/*
 * PUT …/mapping: the columns of --map, by `columns` of the import. A field that stood on another column is taken from it.
 * Also checks the heading of --assign by_column, so that a wrong one is said before anything is parsed.
 */
const char *import_columns_body(struct arena *arena, const json_t *columns, const struct import_options *options, const char **ret_why);

/* POST …/commit. `columns` as above; the column of --assign by_column, which must be one of them, is sent by its place. */
const char *import_commit_body(struct arena *arena, const json_t *columns, const struct import_options *options);

#endif
