/*
 * JSON in: jansson behind limits. Depth is checked before the parser runs (jansson's own limit is 2048 and fixed),
 * duplicate members are refused, and so is a NUL in a string. The result belongs to the arena.
 * JSON out: a writer that streams into a buf and puts the commas itself; it keeps no tree.
 */
#ifndef TIDEGATE_CORE_BASE_JSON_H
#define TIDEGATE_CORE_BASE_JSON_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 32

/* Parses n bytes of UTF-8 JSON (any value). ERR_INVALID with *ret_why (a literal, may be NULL on no wish), ERR_TOO_LARGE past depth. */
enum err json_parse(struct arena *arena, const char *bytes, size_t n, json_t **ret, const char **ret_why) MUST_USE;

/*
 * For bodies of which one bad text must not cost the rest: a text may hold NUL (look at json_string_length), and half of a surrogate pair,
 * which is no character, is read as U+FFFD. A number out of range (1e999, more than 64 bits) is read as a text with a NUL. Changes the bytes.
 */
enum err json_parse_tolerant(struct arena *arena, char *bytes, size_t n, json_t **ret) MUST_USE;

/* Member text of an object, or NULL when absent, null or not a string. */
const char *json_text(const json_t *object, const char *name);

struct json_writer {
	struct buf *out;
	unsigned depth;
	bool comma[JSON_DEPTH_MAX + 1];
};

void json_start(struct json_writer *w, struct buf *out);
void json_object_open(struct json_writer *w, const char *name); /* name NULL inside arrays and at the top */
void json_object_close(struct json_writer *w);
void json_array_open(struct json_writer *w, const char *name);
void json_array_close(struct json_writer *w);
void json_put_text(struct json_writer *w, const char *name, const char *text); /* NULL writes null; invalid UTF-8 becomes U+FFFD */
void json_put_str(struct json_writer *w, const char *name, struct str s);
void json_put_i64(struct json_writer *w, const char *name, int64_t value);
void json_put_real(struct json_writer *w, const char *name, double value); /* not finite writes null */
void json_put_bool(struct json_writer *w, const char *name, bool value);
void json_put_null(struct json_writer *w, const char *name);
void json_put_raw(struct json_writer *w, const char *name, const char *json); /* JSON already made, e.g. by PostgreSQL */

/* Appends "…" with escapes. */
void json_quote(struct buf *out, const char *bytes, size_t n);

#endif
