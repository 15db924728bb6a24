/* JSON as a tree: what is JSON and what is not, what texts come out as, members, and that big and deep values end well. */
#include "core/base/json_tree.h"
#include "tests/unit/tap.h"

#include <stdlib.h>

static struct arena arena;

static enum err parse(const char *text, const struct json_node **ret)
{
	char *copy = arena_strdup(&arena, text);
	return json_tree_parse(&arena, copy, strlen(copy), ret);
}

static void test_written(void)
{
	static const struct {
		const char *given, *written; /* NULL: it is no JSON */
	} cases[] = {
	    {"null", "null"},
	    {" [ 1 , true , false , null ] ", "[1,true,false,null]"},
	    {"{\"a\":{\"b\":[{},[]]},\"c\":\"\"}", "{\"a\":{\"b\":[{},[]]},\"c\":\"\"}"},
	    {"-0.50e+10", "-0.50e+10"},
	    {"123456789012345678901234567890", "123456789012345678901234567890"},
	    {"1e999", "1e999"},
	    {"\"\\u00e9\\n\\\\\\\"\\/\"", "\"\xc3\xa9\\n\\\\\\\"/\""},
	    {"{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"},
	    {"", NULL},
	    {"[", NULL},
	    {"[1,]", NULL},
	    {"[1 2]", NULL},
	    {"{\"a\"}", NULL},
	    {"{\"a\":}", NULL},
	    {"{a:1}", NULL},
	    {"{\"a\":1,}", NULL},
	    {"01", NULL},
	    {"1.", NULL},
	    {".5", NULL},
	    {"+1", NULL},
	    {"1e", NULL},
	    {"-", NULL},
	    {"NaN", NULL},
	    {"nul", NULL},
	    {"true false", NULL},
	    {"\"a", NULL},
	    {"\"\\x\"", NULL},
	    {"\"\\u12\"", NULL},
	    {"\"\\", NULL},
	    {"\"a\nb\"", NULL},
	    {"\"\xff\"", NULL},
	    {"]", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct json_node *node = NULL;
		struct buf out;
		enum err err = parse(cases[i].given, &node);
		buf_init(&out, 1000);
		if (node)
			json_tree_write(&out, node);
		is_i64(err, cases[i].written ? OK : ERR_INVALID, cases[i].given);
		is_text(node ? buf_text(&out) : NULL, cases[i].written, "written");
		buf_release(&out);
	}
}

static void test_texts(void)
{
	static const struct {
		const char *given, *text;
		size_t n;
	} cases[] = {
	    {"\"a\\u0000b\"", "a", 3},
	    {"\"\\ud83d\"", "\xef\xbf\xbd", 3},
	    {"\"\\uDE00x\"", "\xef\xbf\xbdx", 4},
	    {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 4},
	    {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80", 7},
	    {"\"\\\\ud83d\"", "\\ud83d", 6},
	    {"\"plain\"", "plain", 5},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct json_node *node = NULL;
		is_i64(parse(cases[i].given, &node), OK, cases[i].given);
		is_text(json_node_text(node), cases[i].text, "as text");
		is_i64(node ? node->n : 0, (int64_t)cases[i].n, "of so many bytes");
		ok(json_holds_nul(node) == (i == 0) && json_is_whole_text(node) == (i != 0), "NUL is seen");
	}
}

static void test_members(void)
{
	const struct json_node *node = NULL;
	is_i64(parse("{\"list\":[1,[2,3],{\"x\":4}],\"name\":\"n\",\"twice\":1,\"twice\":2,\"list2\":null}", &node), OK, "an object");
	is_i64(node->n, 5, "has its members");
	is_text(json_node_text(json_member(node, "name")), "n", "one is found behind a list");
	ok(!json_member(node, "twice"), "one that stands twice is not");
	ok(!json_member(node, "none") && !json_member(json_member(node, "name"), "x") && !json_member(NULL, "x"), "nor one that is not there");
	const struct json_node *list = json_member(node, "list");
	int64_t count = 0;
	for (const struct json_node *item = json_first(list); item < json_end(list); item += item->size)
		count++;
	is_i64(count, 3, "a list is walked item by item");
	ok(json_is(json_member(node, "list2"), JSON_KIND_NULL), "null is a value");
}

static void test_limits(void)
{
	char deep[2 * JSON_DEPTH_MAX + 3];
	const struct json_node *node = NULL;
	for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
		memset(deep, '[', depth);
		memset(deep + depth, ']', depth);
		deep[2 * depth] = '\0';
		is_i64(parse(deep, &node), depth > JSON_DEPTH_MAX ? ERR_TOO_LARGE : OK, "as deep as allowed, and no deeper");
	}
	size_t n = 200001;
	char *wide = malloc(n + 1);
	for (size_t i = 1; i < n - 1; i++)
		wide[i] = i % 2 ? '1' : ',';
	wide[0] = '[', wide[n - 1] = ']', wide[n] = '\0';
	is_i64(json_tree_parse(&arena, wide, n, &node), OK, "a long list");
	is_i64(node ? node->n : 0, 100000, "has all its elements");
	struct arena small;
	arena_init(&small, 4096);
	is_i64(json_tree_parse(&small, wide, n, &node), ERR_TOO_LARGE, "an arena that is too small");
	arena_release(&small);
	free(wide);
}

int main(void)
{
	arena_init(&arena, 64 << 20);
	test_written();
	test_texts();
	test_members();
	test_limits();
	arena_release(&arena);
	return tap_done();
}
