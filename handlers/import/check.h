/*
 * Checks one source row against an import target: picks the mapped cells, cleans and normalises them, and says what is
 * wrong. Pure: no database, no clock, no locale; the same row gives the same answer in a preview, a parse and a repair.
 *
 * Life cycle: import_check_init once per job; import_check_start at the beginning of every batch (and after every reset of
 * the batch arena); import_check_row for each row. Under a microsecond for 13 cells (tests/unit/test_check.c).
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_CHECK_H
#define TIDEGATE_HANDLERS_IMPORT_CHECK_H

#include "core/base/arena.h"
#include "core/base/text.h"
#include "core/schema/schema.h"
#include "handlers/import/check_codes.h"
#include "handlers/import/normalise.h"

#define IMPORT_COLUMNS_MAX 4096
#define IMPORT_ISSUES_MAX (SCHEMA_FIELDS_MAX * 2 + SCHEMA_KEYS_MAX + 4) /* more than a row can have */
#define IMPORT_WHOLE_ROW (-1)

struct import_issue {
	int field; /* index of the field, or IMPORT_WHOLE_ROW */
	enum row_code code;
	enum row_severity severity;
};

/* The answer for one row. Values point into the cells given or into the batch arena. */
struct import_checked {
	struct str vals[SCHEMA_FIELDS_MAX]; /* by field index; {NULL, 0} is absent */
	struct import_issue issues[IMPORT_ISSUES_MAX];
	size_t issue_count;
	bool valid; /* no issue is an error */
};

struct import_pick {
	size_t column;
	const struct schema_field *field;
	const struct normaliser *normaliser;
	const struct validator *validator; /* or NULL */
	const struct value_index *values;  /* or NULL */
	bool counted; /* a number: its value must lie between these */
	int64_t minimum, maximum;
};

struct import_check_group {
	enum row_code code;
	uint64_t fields; /* bit per field index */
	int named; /* the field that a lone required one is reported of, or IMPORT_WHOLE_ROW */
};

struct import_check {
	const struct schema_table *target;
	size_t columns;        /* headings of the sheet */
	bool short_rows_fine;  /* trailing cells may be missing (XLSX); no row_too_short */
	size_t pick_count;
	struct import_pick picks[SCHEMA_FIELDS_MAX]; /* mapped columns, in column order */
	size_t country;        /* column of the field named country, or SIZE_MAX */
	size_t group_count;
	struct import_check_group groups[SCHEMA_KEYS_MAX];
	struct normalise_context context;
};

/*
 * Prepares a check. fields[c] is the field index of column c or -1. ERR_INVALID when the target is none, names a
 * normaliser, validator or row code that does not exist, or a field stands twice in `fields`; ERR_TOO_LARGE past
 * IMPORT_COLUMNS_MAX or when the arena (which must outlive the check) is exhausted.
 */
enum err import_check_init(struct import_check *check, struct arena *arena, const struct schema_table *target, const int *fields, size_t columns,
                           bool short_rows_fine) MUST_USE;

/* What an operator has said about values of closed lists: {"field": {"what the file says": "value"}}. It goes before the
   declaration's own aliases. After import_check_init, with the same arena. */
enum err import_check_map(struct import_check *check, struct arena *arena, const char *value_map) MUST_USE;

/* Is every name in the target known here? For the start of a process: ERR_INVALID with *ret_why set to the unknown name. */
enum err import_check_target(const struct schema_table *target, const char **ret_why) MUST_USE;

/* From here on values are made in this arena. */
void import_check_start(struct import_check *check, struct arena *batch);

/* Checks a row of n cells. ERR_TOO_LARGE when the batch arena is exhausted; anything about the row is in *ret. */
enum err import_check_row(struct import_check *check, const struct str *cells, size_t n, struct import_checked *ret) MUST_USE;

/* Adds an issue that somebody else found (the reader, the assignment); an error makes the row invalid. */
void import_checked_add(struct import_checked *checked, int field, enum row_code code, enum row_severity severity);

#endif
