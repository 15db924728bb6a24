/*
 * Normalisers and validators of imported cells, by the names a declaration uses.
 *
 * Invariants: input is valid UTF-8 without NUL; output is too; a cell that needs no change is returned as it came,
 * pointing into the input; changed text comes from the context's memory and lives until the batch arena is reset.
 * Letters of other scripts than Latin pass through untouched.
 */
#ifndef TIDEGATE_HANDLERS_IMPORT_NORMALISE_H
#define TIDEGATE_HANDLERS_IMPORT_NORMALISE_H

#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "handlers/import/check_codes.h"

/* Aliases of a value list, by normalised key: open addressing, size a power of two, never full. */
struct value_index {
	size_t size;
	struct value_entry *entries;
};

struct normalise_context {
	struct arena *arena;
	char *at, *end; /* what is left of the chunk in use */
	bool exhausted; /* memory was refused; the row must not be used */
	bool french;    /* the row's country is France or not given: national phone and postal rules apply */
	const struct value_index *values; /* of the field at hand, for "value" */
};

struct normaliser {
	const char *name;
	/* Replaces *value and returns what to say about it, mostly ROW_FINE. A value made empty is left out. NULL changes nothing. */
	enum row_code (*run)(struct normalise_context *context, struct str *value);
};

struct validator {
	const char *name;
	enum row_code (*run)(struct str value);
};

/* By name; NULL when there is none. */
const struct normaliser *normaliser_of(const char *name);
const struct validator *validator_of(const char *name);

/* A context that takes its memory from the arena. Again after every reset of the arena. */
void normalise_start(struct normalise_context *context, struct arena *arena);

/* n bytes, not zeroed, or NULL with `exhausted` set. */
char *normalise_room(struct normalise_context *context, size_t n) MUST_USE;

/*
 * Without what spreadsheets put around a value: blanks at both ends (also U+00A0, U+202F, zero-width characters and
 * byte order marks), ="…" and the ' that makes Excel keep text as text. Only cuts, so it never needs memory.
 * ' goes only before a digit, another ' or a formula sign, as the error report writes it: 't Hooft keeps his.
 */
struct str normalise_clean(struct str cell);

/* Length of the blank / zero-width character at p (n >= 1), 0 when it is none. */
size_t normalise_blank(const char *p, size_t n);
size_t normalise_zero_width(const char *p, size_t n);

/*
 * Key of a heading or value: lower case, accents stripped, blanks and '/' to single '_', everything but a-z 0-9 _ dropped.
 * Writes at most room bytes (no NUL) and returns how many.
 */
size_t normalise_key(struct str text, char *out, size_t room);

/* Index of a column's values, their labels and aliases; said (object of text to value, or NULL) goes before them and must
   outlive the index. NULL when the arena is exhausted. */
const struct value_index *normalise_values(struct arena *arena, const struct schema_column *column, const json_t *said) MUST_USE;

/* The normalisers and validators themselves (normalise_contact.c, normalise_name.c, normalise_time.c, normalise_key.c,
   normalise_number.c). */
enum row_code normalise_email(struct normalise_context *context, struct str *value);
enum row_code normalise_phone(struct normalise_context *context, struct str *value);
enum row_code normalise_postal_code(struct normalise_context *context, struct str *value);
enum row_code normalise_name(struct normalise_context *context, struct str *value);
enum row_code normalise_timestamp(struct normalise_context *context, struct str *value);
enum row_code normalise_value(struct normalise_context *context, struct str *value);
enum row_code normalise_integer(struct normalise_context *context, struct str *value);
enum row_code normalise_money(struct normalise_context *context, struct str *value); /* hundredths */
enum row_code normalise_boolean(struct normalise_context *context, struct str *value);
enum row_code validate_email(struct str value);
enum row_code validate_phone(struct str value);
enum row_code validate_postal_code(struct str value);

#endif
