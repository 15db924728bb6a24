/*
 * JSON in, where there is much of it: a tree of nodes in one array, made in one pass over bytes that it may change. Several times as fast as
 * jansson, which keeps a hash table per object, and exact: numbers stay as they were written. json.h is for everything of everyday size.
 *
 * The grammar is RFC 8259, UTF-8 only, nested no deeper than JSON_DEPTH_MAX. A text may hold NUL (compare strlen with n); half of a surrogate
 * pair, which is no character, is read as U+FFFD, so that one bad text does not cost the rest. Members that stand twice are both kept:
 * json_member finds neither.
 *
 * A node stands right before what it holds, so that a value is walked by adding sizes:
 *     for (const struct json_node *item = json_first(list); item < json_end(list); item += item->size)
 * In an object, names (texts) and values take turns.
 */
#ifndef TIDEGATE_CORE_BASE_JSON_TREE_H
#define TIDEGATE_CORE_BASE_JSON_TREE_H

#include "core/base/json.h"

enum json_kind { JSON_KIND_NULL, JSON_KIND_FALSE, JSON_KIND_TRUE, JSON_KIND_NUMBER, JSON_KIND_TEXT, JSON_KIND_LIST, JSON_KIND_OBJECT };

struct json_node {
	const char *text; /* of a text: its bytes and a NUL; of a number: as written, n bytes and no NUL */
	uint32_t n;       /* bytes of a text or a number, elements of a list, members of an object */
	uint32_t size;    /* nodes, this one and all it holds */
	enum json_kind kind;
};

/*
 * Parses n bytes (any value). The bytes are changed and must outlive the tree, whose nodes are in the arena.
 * ERR_INVALID: no JSON, or not UTF-8; ERR_TOO_LARGE: past the depth, past 4 GiB, or the arena is exhausted.
 */
enum err json_tree_parse(struct arena *arena, char *bytes, size_t n, const struct json_node **ret) MUST_USE;

/* Appends the value as compact JSON. */
void json_tree_write(struct buf *out, const struct json_node *node);

static inline bool json_is(const struct json_node *node, enum json_kind kind)
{
	return node && node->kind == kind;
}

static inline const struct json_node *json_first(const struct json_node *node)
{
	return node + 1;
}

static inline const struct json_node *json_end(const struct json_node *node)
{
	return node + node->size;
}

/* The value of that member; NULL when there is none or more than one, or this is no object. */
const struct json_node *json_member(const struct json_node *object, const char *name);

/* The text of a text, as far as its first NUL; NULL of anything else. */
static inline const char *json_node_text(const struct json_node *node)
{
	return json_is(node, JSON_KIND_TEXT) ? node->text : NULL;
}

/* Is it a text that no NUL cuts short? / Does some text or name in this value hold a NUL, which PostgreSQL stores nowhere? */
bool json_is_whole_text(const struct json_node *node);
bool json_holds_nul(const struct json_node *node);

#endif
