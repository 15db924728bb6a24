/*
 * JSON into nodes, in place. Used for the changes of a push.
 * Must never read past the bytes it was given, nor recurse deeper than JSON_DEPTH_MAX.
 */
#include "core/base/json_tree.h"

#include <string.h>

struct parser {
	char *at, *end;
	struct json_node *nodes;
	size_t count, room;
	unsigned depth;
};

/* Every node but the first stands behind one of these. */
static size_t most_nodes(const char *bytes, size_t n)
{
	size_t count = 1;
	for (size_t i = 0; i < n; i++)
		count += bytes[i] == ',' || bytes[i] == ':' || bytes[i] == '[' || bytes[i] == '{';
	return count;
}

static void skip_space(struct parser *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
		p->at++;
}

static bool take(struct parser *p, char c)
{
	skip_space(p);
	if (p->at == p->end || *p->at != c)
		return false;
	p->at++;
	return true;
}

static bool word(struct parser *p, struct json_node *node, const char *text, enum json_kind kind)
{
	size_t n = strlen(text);
	if ((size_t)(p->end - p->at) < n || memcmp(p->at, text, n) != 0)
		return false;
	p->at += n;
	node->kind = kind;
	return true;
}

static bool digits(struct parser *p)
{
	char *start = p->at;
	while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
		p->at++;
	return p->at > start;
}

static bool next_is(const struct parser *p, char a, char b)
{
	return p->at < p->end && (*p->at == a || *p->at == b);
}

static bool number(struct parser *p, struct json_node *node)
{
	char *start = p->at;
	p->at += next_is(p, '-', '-');
	if (next_is(p, '0', '0'))
		p->at++;
	else if (!digits(p))
		return false;
	if (next_is(p, '.', '.')) {
		p->at++;
		if (!digits(p))
			return false;
	}
	if (next_is(p, 'e', 'E')) {
		p->at++;
		p->at += next_is(p, '+', '-');
		if (!digits(p))
			return false;
	}
	node->kind = JSON_KIND_NUMBER;
	node->text = start;
	node->n = (uint32_t)(p->at - start);
	return true;
}

/* The four digits of \uXXXX, behind the u. */
static bool code_unit(const struct parser *p, const char *at, uint32_t *ret)
{
	uint8_t bytes[2];
	if (p->end - at < 4 || hex_decode(at, 4, bytes, sizeof(bytes)))
		return false;
	*ret = (uint32_t)bytes[0] << 8 | bytes[1];
	return true;
}

static bool unicode_escape(struct parser *p, char **out)
{
	uint32_t code = 0, low = 0;
	if (!code_unit(p, p->at, &code))
		return false;
	p->at += 4;
	if (code >= 0xd800 && code <= 0xdbff && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u' && code_unit(p, p->at + 2, &low) && low >= 0xdc00 &&
	    low <= 0xdfff) {
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
		p->at += 6;
	} else if (code >= 0xd800 && code <= 0xdfff) {
		code = 0xfffd;
	}
	*out += utf8_encode(code, *out);
	return true;
}

/* Behind the backslash. What an escape stands for is never longer than the escape: it is written over it. */
static bool escape(struct parser *p, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	if (p->at == p->end)
		return false;
	char c = *p->at++;
	if (c == 'u')
		return unicode_escape(p, out);
	const char *found = c ? strchr(from, c) : NULL;
	if (!found)
		return false;
	*(*out)++ = to[found - from];
	return true;
}

/* Behind the opening quote. The NUL goes where the closing one was, or before. */
static bool text(struct parser *p, struct json_node *node)
{
	char *start = p->at, *out;
	while (p->at < p->end && *p->at != '"' && *p->at != '\\' && (unsigned char)*p->at >= 0x20)
		p->at++;
	out = p->at;
	while (p->at < p->end && *p->at != '"') {
		if ((unsigned char)*p->at < 0x20)
			return false;
		if (*p->at != '\\') {
			*out++ = *p->at++;
			continue;
		}
		p->at++;
		if (!escape(p, &out))
			return false;
	}
	if (p->at == p->end)
		return false;
	p->at++;
	*out = '\0';
	node->kind = JSON_KIND_TEXT;
	node->text = start;
	node->n = (uint32_t)(out - start);
	return true;
}

static bool value(struct parser *p);

static struct json_node *add(struct parser *p)
{
	struct json_node *node = p->count < p->room ? &p->nodes[p->count++] : NULL;
	if (node)
		node->size = 1;
	return node;
}

static bool name(struct parser *p)
{
	struct json_node *node = take(p, '"') ? add(p) : NULL;
	return node && text(p, node) && take(p, ':');
}

/* A list or an object, behind its bracket. */
static bool members(struct parser *p, struct json_node *node, enum json_kind kind)
{
	char close = kind == JSON_KIND_OBJECT ? '}' : ']';
	size_t first = p->count - 1;
	node->kind = kind;
	if (++p->depth > JSON_DEPTH_MAX)
		return false;
	if (!take(p, close)) {
		do {
			if ((kind == JSON_KIND_OBJECT && !name(p)) || !value(p))
				return false;
			node->n++;
		} while (take(p, ','));
		if (!take(p, close))
			return false;
	}
	p->depth--;
	node->size = (uint32_t)(p->count - first);
	return true;
}

static bool value(struct parser *p)
{
	skip_space(p);
	struct json_node *node = p->at < p->end ? add(p) : NULL;
	if (!node)
		return false;
	switch (*p->at) {
	case '{':
		p->at++;
		return members(p, node, JSON_KIND_OBJECT);
	case '[':
		p->at++;
		return members(p, node, JSON_KIND_LIST);
	case '"':
		p->at++;
		return text(p, node);
	case 't':
		return word(p, node, "true", JSON_KIND_TRUE);
	case 'f':
		return word(p, node, "false", JSON_KIND_FALSE);
	case 'n':
		return word(p, node, "null", JSON_KIND_NULL);
	default:
		return number(p, node);
	}
}

enum err json_tree_parse(struct arena *arena, char *bytes, size_t n, const struct json_node **ret)
{
	struct parser p = {.at = bytes, .end = bytes + n};
	*ret = NULL;
	if (n > UINT32_MAX)
		return ERR_TOO_LARGE;
	if (!utf8_valid(bytes, n))
		return ERR_INVALID;
	p.room = most_nodes(bytes, n);
	p.nodes = arena_array(arena, p.room, sizeof(*p.nodes));
	if (!p.nodes)
		return ERR_TOO_LARGE;
	bool whole = value(&p);
	if (p.depth > JSON_DEPTH_MAX)
		return ERR_TOO_LARGE;
	skip_space(&p);
	if (!whole || p.at != p.end)
		return ERR_INVALID;
	*ret = p.nodes;
	return OK;
}

static void write_members(struct buf *out, const struct json_node *node)
{
	bool object = node->kind == JSON_KIND_OBJECT;
	buf_append_char(out, object ? '{' : '[');
	for (const struct json_node *item = json_first(node); item < json_end(node); item += item->size) {
		if (item > json_first(node))
			buf_append_char(out, ',');
		if (object) {
			json_quote(out, item->text, item->n);
			buf_append_char(out, ':');
			item++;
		}
		json_tree_write(out, item);
	}
	buf_append_char(out, object ? '}' : ']');
}

/* As deep as what was parsed. */
void json_tree_write(struct buf *out, const struct json_node *node)
{
	switch (node->kind) {
	case JSON_KIND_NULL:
		buf_append_text(out, "null");
		break;
	case JSON_KIND_FALSE:
		buf_append_text(out, "false");
		break;
	case JSON_KIND_TRUE:
		buf_append_text(out, "true");
		break;
	case JSON_KIND_NUMBER:
		buf_append(out, node->text, node->n);
		break;
	case JSON_KIND_TEXT:
		json_quote(out, node->text, node->n);
		break;
	case JSON_KIND_LIST:
	case JSON_KIND_OBJECT:
		write_members(out, node);
		break;
	}
}

const struct json_node *json_member(const struct json_node *object, const char *name)
{
	const struct json_node *found = NULL;
	if (!json_is(object, JSON_KIND_OBJECT))
		return NULL;
	for (const struct json_node *item = json_first(object); item < json_end(object); item += 1 + item[1].size) {
		if (strcmp(item->text, name) != 0)
			continue;
		if (found)
			return NULL;
		found = item + 1;
	}
	return found;
}

bool json_is_whole_text(const struct json_node *node)
{
	return json_is(node, JSON_KIND_TEXT) && strlen(node->text) == node->n;
}

bool json_holds_nul(const struct json_node *node)
{
	for (const struct json_node *item = node; item < json_end(node); item++)
		if (item->kind == JSON_KIND_TEXT && !json_is_whole_text(item))
			return true;
	return false;
}
