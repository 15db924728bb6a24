/*
 * Fuzz target: JSON in and out, percent-encoding. What must hold: a parsed value printed and parsed again is the same;
 * quoted text comes back as it was; what was encoded decodes to itself; no NUL comes out of anything.
 * Seeds: tests/fuzz/seeds/json/.
 */
#include "core/base/json_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void parse(struct arena *arena, const char *bytes, size_t n)
{
	json_t *value = NULL, *again = NULL;
	const char *why = NULL;
	enum err err = json_parse(arena, bytes, n, &value, &why);
	must(err ? why != NULL && value == NULL : value != NULL);
	if (err)
		return;
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	must(text != NULL && json_parse(arena, text, strlen(text), &again, NULL) == OK && json_equal(value, again));
	free(text);
}

/* What the strict parser takes, the tree holds, and writes as the same; what the tree writes, it reads again. */
static void tree(struct arena *arena, const char *bytes, size_t n)
{
	json_t *strict = NULL, *again = NULL;
	const struct json_node *node = NULL, *second = NULL;
	char *copy = arena_copy(arena, bytes, n);
	struct buf text;
	if (!copy)
		return;
	enum err err = json_tree_parse(arena, copy, n, &node);
	bool cut = n && memchr(bytes, 0, n) != NULL; /* jansson takes a NUL behind the value for the end */
	must((err == OK) == (node != NULL) && (!err || cut || json_parse(arena, bytes, n, &strict, NULL) != OK));
	if (err)
		return;
	buf_init(&text, 8 * n + 16);
	json_tree_write(&text, node);
	must(!text.overflowed);
	if (!json_parse(arena, bytes, n, &strict, NULL))
		must(json_parse(arena, text.data, text.len, &again, NULL) == OK && json_equal(strict, again));
	copy = arena_copy(arena, text.data, text.len);
	must(!copy || (json_tree_parse(arena, copy, text.len, &second) == OK && second->size == node->size));
	buf_release(&text);
}

static void quote(struct arena *arena, const char *bytes, size_t n)
{
	struct buf text;
	json_t *value = NULL;
	buf_init(&text, 8 * n + 2);
	json_quote(&text, bytes, n);
	must(!text.overflowed && utf8_valid(text.data, text.len));
	enum err err = json_parse(arena, text.data, text.len, &value, NULL);
	must((err == OK) == (n == 0 || memchr(bytes, 0, n) == NULL));
	if (!err && utf8_valid(bytes, n))
		must(str_equal((struct str){json_string_value(value), json_string_length(value)}, (struct str){bytes, n}));
	buf_release(&text);
}

static void percent(struct arena *arena, const char *bytes, size_t n)
{
	struct buf text;
	struct str decoded = {NULL, 0};
	if (percent_decode(arena, bytes, n, n % 2, &decoded) == OK)
		must(decoded.n <= n && strlen(decoded.p) == decoded.n);
	buf_init(&text, 3 * n + 1);
	must(percent_encode(&text, bytes, n, n % 2) == OK);
	enum err err = percent_decode(arena, buf_text(&text), text.len, false, &decoded);
	must((err == OK) == (n == 0 || memchr(bytes, 0, n) == NULL));
	must(err || str_equal(decoded, (struct str){bytes, n}));
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena arena;
	const char *bytes = size ? (const char *)data : "";
	if (arena.cap == 0)
		arena_init(&arena, 8 << 20);
	if (size > 1 << 20)
		return 0;
	parse(&arena, bytes, size);
	tree(&arena, bytes, size);
	quote(&arena, bytes, size);
	percent(&arena, bytes, size);
	arena_reset(&arena);
	return 0;
}
